import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { startMiniflare } from '../../tools/bench/lib/miniflare.ts'
import { shared } from './shared.ts'

/** Headers of an object, for a bucket that a test scripts. */
export const OBJECT_HEADERS = {
  'Content-Type': 'image/png',
  ETag: '"e"',
  'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
}

/** The Worker with the local version of Cloudflare Images, for clients that connect by hand. */
export interface ImageWorker {
  /** Id of the process of workerd. */
  readonly pid: number
  readonly origin: string
  /** Returns the path of a link to a PNG of `key` in this width. */
  linkTo(key: string, width: number): Promise<string>
  /** Sends a request for a path, as a client that can reset its connection. */
  ask(path: string): Promise<Socket>
}

/** Starts a server, and returns its URL. */
async function listen(server: Server, stack: AsyncDisposableStack): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Returns a Worker that counts at `/counts`, and sends each image to a server. */
async function countingScript(): Promise<string> {
  const built = await build({
    entryPoints: [join(import.meta.dirname, '../support/counted-images.ts')],
    ...{ bundle: true, format: 'esm', write: false, external: ['cloudflare:*', 'node:*'] },
  })
  return built.outputFiles?.[0]?.text ?? ''
}

/**
 * Starts `bucket`, and the Worker for it. With `resizer`, that server gets each image in a POST, instead of
 * the local version of Cloudflare Images, and the Worker counts the bytes that it holds.
 */
export async function startImageWorker(
  bucket: Server,
  stack: AsyncDisposableStack,
  resizer?: Server,
): Promise<ImageWorker> {
  const endpoint = await listen(bucket, stack)
  const script = resizer
    ? await countingScript()
    : await readFile(join(dirname(await shared('worker')), 'worker.js'), 'utf8')
  const images = resizer ? { RESIZER: await listen(resizer, stack) } : {}
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
        ...images,
      },
      kvNamespaces: { FILE_INDEX: 'index' },
      ...(resizer === undefined && { images: 'IMAGES' }),
    },
  ])
  stack.defer(() => miniflare.close())
  const { port = 0, pid = 0 } = miniflare.servers.presigner ?? {}
  const origin = `http://localhost:${port}`
  return {
    pid,
    origin,
    async linkTo(key, width) {
      const response = await fetch(`${origin}/files/${key}/link`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ width, format: 'png' }),
      })
      const { link } = (await response.json()) as { link: string }
      return link.slice(new URL(link).origin.length)
    },
    async ask(path) {
      const socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`)
      return socket
    },
  }
}
