import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
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

const SMALL_GIF = Buffer.from('474946383961080008000000002c00000000080008000002024c01003b', 'hex')
/** A GIF of the same size, which is read whole. What follows the image is no part of it. */
const GIF = Buffer.concat([SMALL_GIF, Buffer.alloc(19 * MIB)])

function answer({ url = '' }: IncomingMessage, response: ServerResponse): void {
  const pictures = { large: LARGE, small: SMALL, gif: GIF }
  const [, picture = PICTURE] = Object.entries(pictures).find(([name]) => url.includes(name)) ?? []
  response.writeHead(200, { ...OBJECT_HEADERS, 'Content-Length': picture.length })
  response.end(picture)
}

const bucket = createServer(answer)
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
async function askAll(paths: readonly string[], { ask } = worker) {
  const begun = performance.now()
  return Promise.all(
    paths.map(async (path) => {
      const response = await text((await ask(path)).setEncoding('latin1'))
      return { status: response.slice(9, 12), seconds: (performance.now() - begun) / 1000 }
    }),
  )
}

const linksTo = (name: string, count: number, { linkTo } = worker) =>
  Promise.all(Array.from({ length: count }, (_, i) => linkTo(`${name}-${randomUUID()}-${i}`, 64)))

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

// @threat image-bomb
it.each([
  ['that pass through', 'large', LARGE],
  ['that are whole in memory', 'gif', GIF],
])('holds at most 40 MiB of 50 originals of 20 MB %s', async (_, name, { length }) => {
  const calls: number[] = []
  const resizer = createServer(async (request, response) => {
    let size = 0
    for await (const piece of request) size += piece.length
    calls.push(size)
    await sleep(300)
    response.writeHead(200, { 'Content-Type': 'image/png', 'Content-Length': SMALL.length })
    response.end(SMALL)
  })
  let id = 0
  let origin = ''
  const counted = createServer((request, response) => {
    const own = String(id++)
    response.setHeader('X-Id', own)
    response.on('close', () => {
      if (!response.writableFinished) fetch(`${origin}/closed?${own}`).catch(() => undefined)
    })
    answer(request, response)
  })
  await using stopping = new AsyncDisposableStack()
  const counting = await startImageWorker(counted, stopping, resizer)
  ;({ origin } = counting)
  const answers = await askAll(await linksTo(name, 50, counting), counting)
  const shown = answers.filter(({ status }) => status === '200')
  const refused = answers.filter(({ status }) => status !== '200')
  // As many as the bucket, the network and the resizer could serve in this time.
  for (const { seconds } of refused) expect(seconds).toBeGreaterThan(19)
  expect(shown.length).toBeGreaterThan(0)
  expect(new Set(calls)).toEqual(new Set([length]))
  const counts: unknown = await (await fetch(`${counting.origin}/counts`)).json()
  expect(counts).toMatchObject({ peak: expect.any(Number) })
  const { peak } = counts as { peak: number }
  expect(peak).toBeLessThanOrEqual(40 * MIB)
  expect(peak).toBeGreaterThanOrEqual(name === 'gif' ? length : 256 * 1024)
})
