import { createServer, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ImageWorker, OBJECT_HEADERS, startImageWorker } from './image-worker.ts'
import { smallPng } from './small-png.ts'

/** Eight of these fit into the memory for images. What follows the image is no part of it. */
const PICTURE = Buffer.concat([smallPng(300, 200), Buffer.alloc(15 * 1024 ** 2)])
const PICTURES = 10
const FIT = 8
const CROWD = 10

/** A bucket that sends half of each object, and the rest after `release`. */
function heldBucket() {
  const requests: string[] = []
  const held: ServerResponse[] = []
  let isOpen = false
  const server = createServer((request, response) => {
    const half = PICTURE.length / 2
    requests.push(request.url ?? '')
    response.on('error', () => undefined)
    response.writeHead(200, { ...OBJECT_HEADERS, 'Content-Length': PICTURE.length })
    response.write(PICTURE.subarray(0, half))
    const finish = () => response.end(PICTURE.subarray(half))
    if (isOpen) finish()
    else {
      held.push(response)
      response.once('release', finish)
    }
  })
  return {
    server,
    requestsFor: (key: string) => requests.filter((url) => url.includes(key)).length,
    total: () => requests.length,
    release() {
      isOpen = true
      for (const response of held) response.emit('release')
    },
  }
}

const stack = new AsyncDisposableStack()
const bucket = heldBucket()
let worker: ImageWorker

beforeAll(async () => {
  worker = await startImageWorker(bucket.server, stack)
})
afterAll(() => stack.disposeAsync())

const linkTo = (key: string) => worker.linkTo(key, 64)
const ask = (path: string) => worker.ask(path)

const statusOf = async (socket: Socket): Promise<string> =>
  (await text(socket.setEncoding('latin1'))).slice(9, 12)

// @threat image-bomb image-costs
it('serves images after all clients that waited for them have reset their connections', async () => {
  const keys = Array.from({ length: PICTURES }, (_, at) => `picture-${at}`)
  const paths = await Promise.all(keys.map(linkTo))
  const sockets: Socket[] = []
  // Some are reading their originals, the others wait for room, and a crowd waits for each of them.
  for (const path of paths) sockets.push(await ask(path))
  await expect.poll(bucket.total).toBe(FIT)
  for (const path of paths) for (let i = 0; i < CROWD; i++) sockets.push(await ask(path))
  // A request that comes last is answered last: the others have begun to wait.
  expect((await fetch(`${worker.origin}/healthz`)).status).toBe(200)
  for (const socket of sockets) socket.resetAndDestroy()
  bucket.release()

  const again = await Promise.all(paths.map(async (path) => statusOf(await ask(path))))
  expect(again).toEqual(Array(PICTURES).fill('200'))
  for (const key of keys) expect(bucket.requestsFor(key)).toBe(1)
  const news = await Promise.all(['new-1', 'new-2', 'new-3'].map(linkTo))
  const statuses = await Promise.all(news.map(async (path) => statusOf(await ask(path))))
  expect(statuses).toEqual(['200', '200', '200'])
})
