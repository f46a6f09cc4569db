import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

// Run with `node --expose-gc`. Uploads a stream of eight parts to a bucket that answers a PUT only
// when no other one arrives, and prints the bytes that are in memory each time, as a list in JSON.

const PART = 8 * 1024 ** 2
const PARTS = 8
const CHUNK = 64 * 1024

const { createServerClient } = await import(
  new URL('../../../client/src/server.ts', import.meta.url).href
)

const waiting: (() => void)[] = []
const expiresAt = new Date(Date.now() + 300_000).toISOString()
const record = {
  ...{ key: 'k', bucket: 'files', name: 'a', size: PART * PARTS, mimetype: 'a/b', etag: '"e"' },
  ...{ owner: null, createdAt: expiresAt },
}

const server = createServer(async (request, response) => {
  const { pathname, origin } = new URL(request.url ?? '', `http://${request.headers.host}`)
  if (request.method === 'PUT') {
    await new Promise<void>((resolve) => waiting.push(resolve))
    request.resume()
    await once(request, 'end')
    response.setHeader('ETag', '"e"').end()
    return
  }
  const body = JSON.parse((await request.toArray()).join('') || '{}')
  const answer = pathname.endsWith('/urls')
    ? {
        urls: body.partNumbers.map((partNumber: number) => ({ partNumber, url: origin })),
        ...{ expiresIn: 300, expiresAt },
      }
    : pathname === '/multipart'
      ? { uploadId: 'u', key: 'k', bucket: 'files', partSize: PART, expiresAt }
      : record
  response.setHeader('Content-Type', 'application/json').end(JSON.stringify(answer))
}).listen(0, '127.0.0.1')
await once(server, 'listening')

async function* stream() {
  for (let sent = 0; sent < PARTS * PART; sent += CHUNK) yield new Uint8Array(CHUNK)
}

/**
 * Returns the bytes of buffers that something still refers to. V8 frees the others a little later, and a
 * busy machine takes longer to send what is accepted. So this looks again while there is more than
 * `most`, for up to eight seconds.
 */
async function bytesInMemory(most: number): Promise<number> {
  let least = Infinity
  for (let i = 0; i < (least > most ? 400 : 5); i++) {
    global.gc?.()
    await sleep(20)
    least = Math.min(least, process.memoryUsage().arrayBuffers)
  }
  return least
}

const address = server.address()
if (address === null || typeof address === 'string') throw new Error('There is no port.')
const client = createServerClient({ baseUrl: `http://127.0.0.1:${address.port}` })
const before = await bytesInMemory(Infinity)
const held: number[] = []
const uploaded = client.upload(stream(), { fileName: 'a' })
for (let part = 1; part <= PARTS; part++) {
  const inFlight = Math.min(4, PARTS - part + 1)
  while (waiting.length < inFlight) await sleep(10)
  held.push((await bytesInMemory(before + inFlight * (PART + PART / 8))) - before)
  waiting.shift()?.()
}
await uploaded
process.stdout.write(JSON.stringify(held))
process.exit()
