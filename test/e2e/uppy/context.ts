import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HeadObjectCommand, ListPartsCommand, type S3Client } from '@aws-sdk/client-s3'
import type { Browser } from 'playwright-core'
import { startCeph } from '../../../dev/ceph.ts'
import { freePort } from '../../../dev/ports.ts'
import { type BucketTable, startBuiltWorker } from '../built-worker.ts'
import { startChromium } from '../chromium.ts'
import { sdkClient } from '../contract/context.ts'
import { serveUppyPage } from './serve-page.ts'

/** A bucket whose upload URLs end after two seconds. */
export const SHORT_LIVED_SECONDS = 2

/**
 * Ceph RGW, the built Worker in front of it, and the pages of both versions of Uppy in Chromium.
 */
export interface UppyContext {
  readonly browser: Browser
  /** The Worker, open to localhost. */
  readonly worker: string
  /** The same with upload URLs that soon end. */
  readonly hastyWorker: string
  /** Origin of the bucket. */
  readonly bucket: string
  readonly apiKey: string
  /** Where each version's page is. */
  readonly pages: Readonly<Record<5 | 6, string>>
  /** What the bucket says of an object: its size, and its ETag without quotes. */
  object(key: string): Promise<{ size: number; etag: string; mimetype: string; metadata: object }>
  /** Whether the bucket has an unfinished upload of this id. */
  hasUpload(key: string, s3UploadId: string): Promise<boolean>
  close(): Promise<void>
}

/** Starts all of it on free ports. */
export async function startUppyContext(): Promise<UppyContext> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const ports = { 5: await freePort(), 6: await freePort() } as const
  const pages = { 5: `http://localhost:${ports[5]}`, 6: `http://localhost:${ports[6]}` } as const
  const corsOrigins = [pages[5], pages[6]] as const
  const server = await startCeph({ port: 0, directory: join(directory, 'ceph'), corsOrigins })
  stack.defer(() => server.close())
  for (const version of [5, 6] as const) {
    const site = await serveUppyPage(version, join(directory, `page-${version}`))
    site.listen(ports[version], 'localhost')
    stack.defer(() => site[Symbol.asyncDispose]())
    await once(site, 'listening')
  }
  const s3 = sdkClient(server, server)
  stack.defer(() => s3.destroy())

  const apiKey = `ep_page_${randomBytes(32).toString('base64url')}`
  const { endpoint, region, bucket } = server
  const table: BucketTable = {
    ...{ endpoint, region, bucket, addressing: 'path', credentials: 'S3' },
    uploadCredentials: 'S3_WRITE',
  }
  const start = async (files: BucketTable) => {
    const worker = await startBuiltWorker({
      buckets: { files },
      accessKeys: { S3: server, S3_WRITE: server.writer },
      variables: {
        OPEN_ACCESS: 'localhost',
        API_KEYS: JSON.stringify([apiKeyEntry(apiKey)]),
        CORS_ORIGINS: JSON.stringify(corsOrigins),
      },
    })
    stack.defer(() => worker.close())
    return worker.origin
  }
  const worker = await start(table)
  const hastyWorker = await start({ ...table, maxExpiresIn: { upload: SHORT_LIVED_SECONDS } })
  const browser = await startChromium()
  stack.defer(() => browser.close())

  const all = stack.move()
  return {
    ...{ browser, worker, hastyWorker, bucket: endpoint, apiKey, pages },
    object: (key) => headObject(s3, bucket, key),
    async hasUpload(key, s3UploadId) {
      const command = new ListPartsCommand({ Bucket: bucket, Key: key, UploadId: s3UploadId })
      try {
        await s3.send(command)
        return true
      } catch (error) {
        if (Object(error).$metadata?.httpStatusCode === 404) return false
        throw error
      }
    },
    close: () => all.disposeAsync(),
  }
}

async function headObject(s3: S3Client, bucket: string, key: string) {
  const head = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))
  return {
    size: head.ContentLength ?? -1,
    etag: (head.ETag ?? '').replaceAll('"', ''),
    mimetype: head.ContentType ?? '',
    metadata: head.Metadata ?? {},
  }
}

const apiKeyEntry = (apiKey: string) => ({
  id: 'page',
  sha256: createHash('sha256').update(apiKey).digest('hex'),
  scopes: ['files:upload', 'files:read', 'files:list', 'files:delete', 'tokens:create'],
  prefix: 'team/',
})

/** The ETag that S3 gives an object: of its bytes, or, in parts, of the digests of the parts. */
export function etagOf(bytes: Uint8Array, partBytes: number | null): string {
  const md5 = (part: Uint8Array) => createHash('md5').update(part)
  if (partBytes === null) return md5(bytes).digest('hex')
  const digests: Buffer[] = []
  for (let start = 0; start < bytes.length; start += partBytes)
    digests.push(md5(bytes.subarray(start, start + partBytes)).digest())
  return `${md5(Buffer.concat(digests)).digest('hex')}-${digests.length}`
}
