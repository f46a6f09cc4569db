import { createServer, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Middleware } from '@20minutes/s3rver'

/** Returns a generator of numbers from 0 to 1 that repeats for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** How many requests to the bucket failed, by the kind of failure. */
export interface BucketFailures {
  busy: number
  dropped: number
  lost: number
}

/**
 * Returns a rule for s3rver that fails a share of the requests: it answers 503, drops the
 * connection before the operation, or drops it afterwards, so that the response is lost.
 */
export function failingBucket(
  share: number,
  random: () => number,
  failures: BucketFailures,
): Middleware {
  return async (ctx, next) => {
    const roll = random() / share
    if (roll < 0.4) {
      failures.busy++
      ctx.status = 503
      ctx.body = '<Error><Code>SlowDown</Code></Error>'
      return
    }
    if (roll < 0.7) {
      failures.dropped++
      ctx.req.socket.destroy()
      return
    }
    await next()
    if (roll < 1) {
      failures.lost++
      ctx.req.socket.destroy()
    }
  }
}

/** An endpoint for webhooks that is killed and started again, and sometimes answers 500. */
export class Receiver {
  readonly port: number
  /** The events that arrived: the type and the key. */
  readonly events = new Map<string, number>()
  restarts = 0
  refused = 0
  readonly #random: () => number
  readonly #share: number
  #server: Server | undefined

  constructor(port: number, share: number, random: () => number) {
    this.port = port
    this.#share = share
    this.#random = random
  }

  async start(): Promise<void> {
    const server = createServer(async (request, response) => {
      const body = await text(request).catch(() => '')
      if (this.#random() < this.#share) {
        this.refused++
        response.writeHead(500).end()
        return
      }
      const { type, data } = JSON.parse(body) as { type: string; data: { file: { key: string } } }
      const name = `${type} ${data.file.key}`
      this.events.set(name, (this.events.get(name) ?? 0) + 1)
      response.writeHead(204).end()
    })
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    this.#server = server
  }

  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    await new Promise((resolve) => {
      server.close(resolve)
      server.closeAllConnections()
    })
  }

  /** Kills the server in the middle of its requests, and starts it again after a moment. */
  async restart(): Promise<void> {
    this.restarts++
    await this.stop()
    await new Promise((resolve) => setTimeout(resolve, 200 + 800 * this.#random()))
    await this.start()
  }
}
