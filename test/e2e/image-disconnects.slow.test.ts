import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startMiniflare } from '../../bench/lib/miniflare.ts'
import { shared } from './shared.ts'
import { smallPng } from './small-png.ts'

/** Two of these fit into the memory for images. What follows the image is no part of it. */
const PICTURE = Buffer.concat([smallPng(300, 200), Buffer.alloc(15 * 1024 ** 2)])
const PICTURES = 5
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
    response.writeHead(200, {
      'Content-Length': PICTURE.length,
      'Content-Type': 'image/png',
      ETag: '"e"',
      'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
    })
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
let port = 0

beforeAll(async () => {
  bucket.server.listen(0, '127.0.0.1')
  await once(bucket.server, 'listening')
  stack.defer(() => {
    bucket.server.closeAllConnections()
    bucket.server.close()
  })
  const endpoint = `http://127.0.0.1:${(bucket.server.address() as AddressInfo).port}`
  const script = await readFile(join(dirname(await shared('worker')), 'worker.js'), 'utf8')
  const address = { endpoint, region: 'us-east-1', bucket: 'files', addressing: 'path' }
  // Miniflare's proxy would hide that a client disconnects.
  const miniflare = await startMiniflare([
    {
      name: 'presigner',
      script,
      bindings: {
        BUCKETS: { files: { ...address, credentials: 'S3' } },
        S3_ACCESS_KEY_ID: 'a',
        S3_SECRET_ACCESS_KEY: 'b',
        SIGNING_SECRETS: `test:${'0123456789abcdef'.repeat(2)}`,
        OPEN_ACCESS: 'localhost',
      },
      kvNamespaces: { FILE_INDEX: 'index' },
      images: 'IMAGES',
    },
  ])
  stack.defer(() => miniflare.close())
  port = miniflare.servers.presigner?.port ?? 0
})
afterAll(() => stack.disposeAsync())

/** Returns the path of a link to a small image of `key`. */
async function linkTo(key: string): Promise<string> {
  const response = await fetch(`http://localhost:${port}/files/${key}/link`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ width: 64, format: 'png' }),
  })
  const { link } = (await response.json()) as { link: string }
  return link.slice(new URL(link).origin.length)
}

/** Sends a request by hand, as a client that can reset its connection. */
async function ask(path: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`)
  return socket
}

const statusOf = async (socket: Socket): Promise<string> =>
  (await text(socket.setEncoding('latin1'))).slice(9, 12)

// @threat image-bomb image-costs
it('serves images after all clients that waited for them have reset their connections', async () => {
  const keys = Array.from({ length: PICTURES }, (_, at) => `picture-${at}`)
  const paths = await Promise.all(keys.map(linkTo))
  const sockets: Socket[] = []
  // Two are reading their originals, the others wait for room, and a crowd waits for each of them.
  for (const path of paths) sockets.push(await ask(path))
  await expect.poll(bucket.total).toBe(PICTURES)
  for (const path of paths) for (let i = 0; i < CROWD; i++) sockets.push(await ask(path))
  // A request that comes last is answered last: the others have begun to wait.
  expect((await fetch(`http://localhost:${port}/healthz`)).status).toBe(200)
  for (const socket of sockets) socket.resetAndDestroy()
  bucket.release()

  const again = await Promise.all(paths.map(async (path) => statusOf(await ask(path))))
  expect(again).toEqual(Array(PICTURES).fill('200'))
  for (const key of keys) expect(bucket.requestsFor(key)).toBe(1)
  const news = await Promise.all(['new-1', 'new-2', 'new-3'].map(linkTo))
  const statuses = await Promise.all(news.map(async (path) => statusOf(await ask(path))))
  expect(statuses).toEqual(['200', '200', '200'])
})
