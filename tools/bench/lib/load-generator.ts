/**
 * Runs in its own process and loads an HTTP server on the loopback interface. Messages control it.
 * It sends HTTP/1.1 over bare sockets, one request at a time on each, so that it costs less than
 * the cheapest server.
 */
import { connect } from 'node:net'
import type { LoadOrder, LoadReport } from './load.ts'

const SEPARATOR = Buffer.from('\r\n\r\n')
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

process.on('message', (order: LoadOrder) => {
  run(order).then(
    (report) => process.send?.(report),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})

async function run(order: LoadOrder): Promise<LoadReport> {
  const requests = order.requests.map((text) => Buffer.from(text))
  const begin = performance.now()
  const progress = {
    next: 0,
    done: 0,
    bytes: 0,
    milliseconds: [] as number[],
    deadline: begin + order.seconds * 1000,
    limit: order.count ?? Number.POSITIVE_INFINITY,
  }
  await Promise.all(
    Array.from({ length: order.connections }, () => keepAsking(order, requests, progress)),
  )
  const seconds = (performance.now() - begin) / 1000
  const sorted = progress.milliseconds.sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0
  const { done, bytes } = progress
  return { count: done, seconds, bytes, p50Milliseconds: at(0.5), p99Milliseconds: at(0.99) }
}

interface Progress {
  next: number
  done: number
  bytes: number
  readonly milliseconds: number[]
  readonly deadline: number
  readonly limit: number
}

/**
 * Sends the requests over one connection, each after the previous response, until it reaches the
 * time or the number.
 */
function keepAsking(
  { port, status = 200 }: LoadOrder,
  requests: readonly Buffer[],
  progress: Progress,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let head: Buffer | null = null
  let left = 0
  let sentAt = 0

  const ask = () => {
    sentAt = performance.now()
    if (sentAt >= progress.deadline || progress.next >= progress.limit) {
      socket.end()
      resolve()
      return
    }
    const request = requests[progress.next++ % requests.length]
    if (request !== undefined) socket.write(request)
  }
  const answered = () => {
    progress.done++
    progress.milliseconds.push(performance.now() - sentAt)
    left = 0
    ask()
  }

  socket.on('connect', ask)
  socket.on('error', reject)
  socket.on('close', () => reject(new Error('The server closed a connection.')))
  socket.on('data', (chunk: Buffer) => {
    progress.bytes += chunk.length
    let body = chunk
    if (left === 0) {
      const bytes = head === null ? chunk : Buffer.concat([head, chunk])
      const end = bytes.indexOf(SEPARATOR)
      if (end === -1) {
        head = bytes
        return
      }
      head = null
      const text = bytes.toString('latin1', 0, end + 2)
      if (!text.startsWith(`HTTP/1.1 ${status} `)) {
        reject(new Error(`Unexpected response:\n${bytes.toString().slice(0, 500)}`))
        socket.destroy()
        return
      }
      const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1]
      left = length === undefined ? Number.POSITIVE_INFINITY : Number(length)
      body = bytes.subarray(end + 4)
      if (left === 0) {
        answered()
        return
      }
    }
    if (left === Number.POSITIVE_INFINITY) {
      if (body.length >= 5 && body.subarray(-5).equals(LAST_CHUNK)) answered()
      return
    }
    left -= body.length
    if (left <= 0) answered()
  })
  return promise
}
