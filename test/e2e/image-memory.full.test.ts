import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ImageWorker, OBJECT_HEADERS, startImageWorker } from './image-worker.ts'
import { colourPng } from './small-png.ts'

const MIB = 1024 ** 2
/** Noise, since anything else would be small as a PNG. */
const PICTURE = colourPng(1500, 1000, randomBytes(1500 * 1000 * 3))
const CROWD = 100

const bucket = createServer((_, response) => {
  response.writeHead(200, { ...OBJECT_HEADERS, 'Content-Length': PICTURE.length })
  response.end(PICTURE)
})
const stack = new AsyncDisposableStack()
let worker: ImageWorker
/** Before the first try of a test, since the next one finds memory that is free again. */
let before = 0

beforeAll(async () => {
  worker = await startImageWorker(bucket, stack)
  before = await heldBytes()
})
afterAll(() => stack.disposeAsync())

/** Returns the memory of workerd that is not from files. */
async function heldBytes(): Promise<number> {
  const status = await readFile(`/proc/${worker.pid}/status`, 'utf8')
  return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) * 1024
}

// @threat image-bomb
it('holds an image once for a crowd that does not read it', async () => {
  const path = await worker.linkTo(randomUUID(), 1280)
  const sockets = await Promise.all(Array.from({ length: CROWD }, () => worker.ask(path)))
  let size = 0
  for (const socket of sockets) {
    const [start] = (await once(socket, 'data')) as [Buffer]
    socket.pause()
    const [, status, length] =
      /^HTTP\/1\.1 (\d+).*?Content-Length: (\d+)/s.exec(start.toString('latin1')) ?? []
    expect(status).toBe('200')
    size = Number(length)
  }
  const held = (await heldBytes()) - before
  for (const socket of sockets) socket.destroy()
  expect(size).toBeGreaterThan(3 * MIB)
  // The original, the result, their copies in the local cache, and some for each connection.
  expect(held).toBeLessThan(150 * MIB)
})
