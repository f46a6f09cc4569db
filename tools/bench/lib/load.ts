import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cpuMilliseconds } from './process.ts'
import type { RunningServer } from './workerd.ts'

/** The instructions for the load generator. */
export interface LoadOrder {
  readonly port: number
  /** Whole HTTP/1.1 requests, sent in turn. */
  readonly requests: readonly string[]
  readonly connections: number
  /** It stops after this time … */
  readonly seconds: number
  /** … or after this many requests. */
  readonly count?: number
  /** The only status that is no error. Default: 200. */
  readonly status?: number
}

export interface LoadReport {
  readonly count: number
  readonly seconds: number
  /** Bytes of the responses, with their headers. */
  readonly bytes: number
  readonly p50Milliseconds: number
  readonly p99Milliseconds: number
}

/** The effect of a load on the server. */
export interface Measured {
  readonly requestsPerSecond: number
  readonly megabytesPerSecond: number
  /** CPU of the server's whole process, in milliseconds per request. */
  readonly cpuMilliseconds: number
  readonly p50Milliseconds: number
  readonly p99Milliseconds: number
}

export interface LoadGenerator {
  load(server: RunningServer, order: Omit<LoadOrder, 'port'>): Promise<Measured>
  close(): void
}

/** Starts the load generator in its own process. A response with another status is an error. */
export function startLoadGenerator(): LoadGenerator {
  const child = fork(new URL('load-generator.ts', import.meta.url))
  return {
    async load({ port, pid }, order) {
      const before = cpuMilliseconds(pid)
      child.send({ ...order, port } satisfies LoadOrder)
      const [report]: (LoadReport & { readonly error?: string })[] = await once(child, 'message')
      if (report === undefined || report.error !== undefined)
        throw new Error(report?.error ?? 'The load generator sent no report.')
      const { count, seconds, bytes, p50Milliseconds, p99Milliseconds } = report
      return {
        requestsPerSecond: count / seconds,
        megabytesPerSecond: bytes / 1e6 / seconds,
        cpuMilliseconds: (cpuMilliseconds(pid) - before) / count,
        p50Milliseconds,
        p99Milliseconds,
      }
    },
    close: () => void child.kill(),
  }
}

/** Returns a GET, or a POST of `body` as JSON, as one string. `token` may be empty. */
export function httpRequest(
  path: string,
  token: string,
  body?: unknown,
  host = '127.0.0.1',
): string {
  const head = [
    `${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1`,
    `Host: ${host}`,
    ...(token === '' ? [] : [`Authorization: Bearer ${token}`]),
  ]
  if (body === undefined) return `${head.join('\r\n')}\r\n\r\n`
  const json = JSON.stringify(body)
  const type = ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(json)}`]
  return `${[...head, ...type].join('\r\n')}\r\n\r\n${json}`
}
