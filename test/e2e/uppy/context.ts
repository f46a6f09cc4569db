import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HeadObjectCommand, ListPartsCommand, type S3Client } from '@aws-sdk/client-s3'
import type { Browser } from 'playwright-core'
import { type BucketTable, type BuiltWorkerOptions, startBuiltWorker } from '../built-worker.ts'
import { connectChromium } from '../chromium.ts'
import { sdkClient } from '../contract/context.ts'
import { sharedCeph } from '../shared.ts'
import { serveUppyPage, type UppyVersion } from './serve-page.ts'

/** Ceph RGW, Workers in front of it, and the pages of some versions of Uppy in Chromium. */
export interface UppyContext {
  readonly browser: Browser
  /** The origin of the bucket. */
  readonly bucket: string
  readonly bucketName: string
  readonly apiKey: string
  /** The URL of each version's page. */
  readonly pages: Readonly<Record<UppyVersion, string>>
  /** Starts a built Worker that allows these pages. Resolves with its origin. */
  startWorker(variables?: BuiltWorkerOptions['variables']): Promise<string>
  /** Returns the bucket's data about an object: its size, and its ETag without quotes. */
  object(key: string): Promise<{ size: number; etag: string; mimetype: string; metadata: object }>
  /** Whether the bucket has an unfinished upload of this id. */
  hasUpload(key: string, s3UploadId: string): Promise<boolean>
  close(): Promise<void>
}

/**
 * Starts everything on free ports. `front` starts a proxy in front of the bucket, with the bucket's
 * port and its own.
 */
export async function startUppyContext(
  versions: readonly [UppyVersion, ...UppyVersion[]],
  front?: (bucketPort: number) => Server,
): Promise<UppyContext> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const pages = { 2: '', 3: '', 4: '', 5: '', 6: '' }
  for (const version of versions) {
    const site = await serveUppyPage(version, join(directory, `page-${version}`))
    pages[version] = `http://localhost:${await listen(stack, site, 'localhost')}`
  }
  const [first, ...others] = versions
  const corsOrigins = [pages[first], ...others.map((version) => pages[version])] as const
  const server = await sharedCeph({ port: 0, directory: join(directory, 'ceph'), corsOrigins })
  stack.defer(() => server.close())
  const s3 = sdkClient(server, server)
  stack.defer(() => s3.destroy())

  const apiKey = `ep_page_${randomBytes(32).toString('base64url')}`
  const { region, bucket } = server
  const endpoint =
    front === undefined
      ? server.endpoint
      : `http://127.0.0.1:${await listen(stack, front(Number(new URL(server.endpoint).port)), '127.0.0.1')}`
  const table: BucketTable = {
    ...{ endpoint, region, bucket, addressing: 'path', credentials: 'S3' },
    uploadCredentials: 'S3_WRITE',
  }
  const browser = await connectChromium()
  stack.defer(() => browser.close())

  const all = stack.move()
  return {
    ...{ browser, bucket: endpoint, bucketName: bucket, apiKey, pages },
    async startWorker(variables = {}) {
      const worker = await startBuiltWorker({
        buckets: { files: table },
        accessKeys: { S3: server, S3_WRITE: server.writer },
        variables: {
          API_KEYS: JSON.stringify([apiKeyEntry(apiKey)]),
          CORS_ORIGINS: JSON.stringify(corsOrigins),
          ...variables,
        },
      })
      all.defer(() => worker.close())
      return worker.origin
    },
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

/** Starts `server` on a free port of `host`. Resolves with the port. */
async function listen(stack: AsyncDisposableStack, server: Server, host: string): Promise<number> {
  server.listen(0, host)
  stack.defer(() => server[Symbol.asyncDispose]())
  await once(server, 'listening')
  return Object(server.address()).port
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

/**
 * Returns S3's ETag of an object: the digest of its bytes or, for a multipart upload, of its parts'
 * digests.
 */
export function etagOf(bytes: Uint8Array, partBytes: number | null): string {
  const md5 = (part: Uint8Array) => createHash('md5').update(part)
  if (partBytes === null) return md5(bytes).digest('hex')
  const digests: Buffer[] = []
  for (let start = 0; start < bytes.length; start += partBytes)
    digests.push(md5(bytes.subarray(start, start + partBytes)).digest())
  return `${md5(Buffer.concat(digests)).digest('hex')}-${digests.length}`
}
