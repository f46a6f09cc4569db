import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ImageWorker, OBJECT_HEADERS, startImageWorker } from './image-worker.ts'
import { colourPng } from './small-png.ts'

const MIB = 1024 ** 2
/** Noise, since anything else would be small as a PNG. */
const PICTURE = colourPng(1500, 1000, randomBytes(1500 * 1000 * 3))
const CROWD = 100

/** 20 MB of noise, and a picture of 200 bytes. */
const LARGE = colourPng(2600, 2550, randomBytes(2600 * 2550 * 3))
const SMALL = colourPng(8, 8, Buffer.alloc(8 * 8 * 3))

const bucket = createServer(({ url = '' }, response) => {
  const picture = url.includes('large') ? LARGE : url.includes('small') ? SMALL : PICTURE
  response.writeHead(200, { ...OBJECT_HEADERS, 'Content-Length': picture.length })
  response.end(picture)
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

/** Asks for all at once, as a page does. Returns their statuses, and the seconds until each came. */
async function askAll(paths: readonly string[]) {
  const begun = performance.now()
  return Promise.all(
    paths.map(async (path) => {
      const response = await text((await worker.ask(path)).setEncoding('latin1'))
      return { status: response.slice(9, 12), seconds: (performance.now() - begun) / 1000 }
    }),
  )
}

const linksTo = (name: string, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, i) => worker.linkTo(`${name}-${randomUUID()}-${i}`, 64)),
  )

// @threat image-bomb
it('shows 120 pictures on a page of 120 new thumbnails', async () => {
  const answers = await askAll(await linksTo('small', 120))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['200']))
})

// @threat image-bomb
it('holds little of 50 originals of 20 MB, and refuses none within 20 seconds', async () => {
  expect(LARGE.length).toBeGreaterThan(18.9 * MIB)
  expect(LARGE.length).toBeLessThan(20 * MIB)
  const paths = await linksTo('large', 50)
  const start = await heldBytes()
  let peak = 0
  const sampling = setInterval(async () => {
    peak = Math.max(peak, (await heldBytes()) - start)
  }, 50)
  const answers = await askAll(paths)
  clearInterval(sampling)
  const refused = answers.filter(({ status }) => status !== '200')
  for (const { seconds } of refused) expect(seconds).toBeGreaterThan(19)
  // The originals have 950 MiB. The local version of Cloudflare Images is in this process, and holds eight.
  expect(peak).toBeLessThan(500 * MIB)
})
