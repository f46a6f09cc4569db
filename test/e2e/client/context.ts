import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HeadObjectCommand, ListPartsCommand, type S3Client } from '@aws-sdk/client-s3'
import type { Browser } from 'playwright-core'
import { freePort } from '../../../cli/ports.ts'
import type { S3Server, S3ServerOptions } from '../../../cli/s3-server.ts'
import { type BucketTable, startBuiltWorker } from '../built-worker.ts'
import { connectChromium } from '../chromium.ts'
import { sdkClient } from '../contract/context.ts'
import { shared } from '../shared.ts'
import { type BucketProxy, startBucketProxy } from './bucket-proxy.ts'
import { startForwarder } from './forwarder.ts'

/**
 * An S3 server behind a proxy, the built Worker in front of it, and the built client in Chromium on
 * a page of a different origin.
 */
export interface ClientContext {
  readonly browser: Browser
  readonly page: string
  /** The same page at an origin that the Worker's CORS rules allow, but not the bucket's. */
  readonly pageWithoutBucket: string
  /** The same page at an origin that neither allows. */
  readonly pageWithoutWorker: string
  readonly worker: string
  readonly apiKey: string
  readonly proxy: BucketProxy
  /** Ends the Worker's process, and starts it again at the same origin. */
  readonly workerProcess: Restart
  /** Ends the bucket's server, and starts it again with its content. */
  readonly bucketProcess: Restart
  /** The AWS SDK, for the bucket of this name. */
  readonly s3: S3Client
  readonly bucket: string
  /** Returns the bucket's data about an object, with the ETag without quotes. */
  head(key: string): Promise<{ size: number; etag: string; metadata: Record<string, string> }>
  /** Whether the bucket has an unfinished upload. */
  hasUpload(key: string, s3UploadId: string): Promise<boolean>
  close(): Promise<void>
}

interface Restart {
  kill(): Promise<void>
  start(): Promise<void>
}

/** Starts all of it on free ports. */
export async function startClientContext(
  start: (options: S3ServerOptions) => Promise<S3Server>,
): Promise<ClientContext> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const pagePort = await freePort()
  const page = `http://localhost:${pagePort}`
  const pageWithoutBucket = `http://one.localhost:${pagePort}`
  const pageWithoutWorker = `http://two.localhost:${pagePort}`
  const startServer = (port: number) =>
    start({ port, directory: join(directory, 's3'), corsOrigins: [page] })
  let server = await startServer(0)
  stack.defer(() => server.close())
  const proxy = await startBucketProxy(server.endpoint, {
    partsInTurn: server.name === 'Ceph RGW',
  })
  stack.defer(() => proxy.close())

  const { region, bucket } = server
  const files: BucketTable = {
    ...{ endpoint: proxy.endpoint, region, bucket, addressing: 'path', credentials: 'S3' },
    uploadCredentials: 'S3_WRITE',
  }
  const apiKey = `ep_page_${randomBytes(32).toString('base64url')}`
  const startWorker = () =>
    startBuiltWorker({
      buckets: { files },
      accessKeys: { S3: server, S3_WRITE: server.writer },
      variables: {
        API_KEYS: JSON.stringify([apiKeyEntry(apiKey)]),
        CORS_ORIGINS: JSON.stringify([page, pageWithoutBucket]),
      },
    })
  let worker = await startWorker()
  stack.defer(() => worker.close())
  const front = await startForwarder(() => Number(new URL(worker.origin).port))
  stack.defer(() => front.close())

  const site = createServer(async (request, response) => {
    const path = request.url ?? '/'
    if (path.endsWith('.js')) {
      response
        .setHeader('Content-Type', 'text/javascript')
        .end(await shared('clientPage', path.slice(1)))
      return
    }
    if (path === '/page.css') {
      response.setHeader('Content-Type', 'text/css').end(DROPZONE_PAGE_STYLES)
      return
    }
    if (path === '/dropzone.css') {
      response.setHeader('Content-Type', 'text/css').end(await readFile(DROPZONE_STYLES))
      return
    }
    if (path === '/uppy-strict')
      response.setHeader('Content-Security-Policy', "connect-src 'self' http:")
    const [name = 'page'] = /^(?:uppy|(?:react|dropzone)-\d+)/.exec(path.slice(1)) ?? []
    if (name.startsWith('dropzone')) {
      response
        .setHeader('Content-Type', 'text/html; charset=utf-8')
        .setHeader('Content-Security-Policy', "style-src 'self'; script-src 'self'")
        .end(dropzonePage(name))
      return
    }
    response
      .setHeader('Content-Type', 'text/html; charset=utf-8')
      .end(
        `<!doctype html><title>Client</title><input type="file"><div id="root"></div><script src="/${name}.js"></script>`,
      )
  }).listen(pagePort, '127.0.0.1')
  stack.defer(() => site[Symbol.asyncDispose]())
  await once(site, 'listening')
  const browser = await connectChromium()
  stack.defer(() => browser.close())

  const s3 = sdkClient(server, server)
  stack.defer(() => s3.destroy())
  const all = stack.move()
  return {
    ...{ browser, page, pageWithoutBucket, pageWithoutWorker, apiKey, proxy, s3, bucket },
    worker: `http://localhost:${front.port}`,
    workerProcess: {
      kill: () => worker.close(),
      async start() {
        worker = await startWorker()
      },
    },
    bucketProcess: {
      kill: () => server.close(),
      async start() {
        server = await startServer(Number(new URL(server.endpoint).port))
      },
    },
    async head(key) {
      const head = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))
      const { ContentLength: size = -1, ETag = '', Metadata: metadata = {} } = head
      return { size, etag: ETag.replaceAll('"', ''), metadata }
    },
    async hasUpload(key, s3UploadId) {
      const command = new ListPartsCommand({ Bucket: bucket, Key: key, UploadId: s3UploadId })
      try {
        await s3.send(command)
        return true
      } catch (error) {
        if (Object(error).$metadata?.httpStatusCode === 404) return false // RGW: NoSuchKey
        throw error
      }
    },
    close: () => all.disposeAsync(),
  }
}

const DROPZONE_STYLES = join(import.meta.dirname, '../../../client/dropzone.css')
const DROPZONE_PAGE_STYLES =
  ':root { color-scheme: light dark; background: Canvas; color: CanvasText; font-family: sans-serif }'

const dropzonePage = (name: string): string => `<!doctype html>
<html lang="en"><meta name="viewport" content="width=device-width">
<title>Drop zone</title><link rel="stylesheet" href="/dropzone.css"><link rel="stylesheet" href="/page.css">
<main><h1>Files</h1><div id="root"></div></main><script src="/${name}.js"></script></html>`

const apiKeyEntry = (apiKey: string) => ({
  id: 'page',
  sha256: createHash('sha256').update(apiKey).digest('hex'),
  scopes: [
    'keys:choose',
    'files:upload',
    'files:read',
    'files:list',
    'files:delete',
    'links:create',
    'drop-boxes:create',
    'tokens:create',
  ],
  prefix: 'team/',
})
