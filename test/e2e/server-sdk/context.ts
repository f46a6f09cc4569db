import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { S3Server, S3ServerOptions } from '../../../cli/s3-server.ts'
import { type BucketTable, startBuiltWorker } from '../built-worker.ts'
import { type BucketProxy, startBucketProxy } from '../client/bucket-proxy.ts'
import { sdkClient } from '../contract/context.ts'
import { type ApiProxy, startApiProxy } from './api-proxy.ts'

export const MIB = 1024 ** 2
/** Largest file of the bucket "small". */
export const SMALL_BYTES = 12 * MIB

/** An S3 server behind a proxy, and the built Worker behind another. */
export interface ServerContext {
  /** Origin of the Worker through its proxy. */
  readonly baseUrl: string
  readonly apiKey: string
  readonly api: ApiProxy
  /** Has the PUTs of the client under test. */
  readonly puts: BucketProxy
  /** Returns the ETag of an object, without quotes. */
  etag(key: string): Promise<string>
  /** Returns the SHA-256 of an object. Ceph RGW on SQLite can't read objects from parts. */
  sha256(key: string): Promise<string>
  exists(key: string): Promise<boolean>
  /** Returns the parts of an unfinished upload, or null if there is no such upload. */
  parts(key: string, s3UploadId: string): Promise<number | null>
  close(): Promise<void>
}

export async function startServerContext(
  start: (options: S3ServerOptions) => Promise<S3Server>,
): Promise<ServerContext> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const server = await start({ port: 0, directory, corsOrigins: ['http://localhost:8787'] })
  stack.defer(() => server.close())
  const bucket = await startBucketProxy(server.endpoint, {
    partsInTurn: server.name === 'Ceph RGW',
    isClient: ({ method }) => method === 'PUT',
  })
  stack.defer(() => bucket.close())
  const files: BucketTable = {
    ...{ endpoint: bucket.endpoint, region: server.region, bucket: server.bucket },
    ...{ addressing: 'path', credentials: 'S3' },
  }
  const apiKey = `ep_app_${randomBytes(32).toString('base64url')}`
  const worker = await startBuiltWorker({
    buckets: { files, small: { ...files, maxBytes: SMALL_BYTES } },
    accessKeys: { S3: server },
    variables: { API_KEYS: JSON.stringify([apiKeyEntry(apiKey)]) },
  })
  stack.defer(() => worker.close())
  const api = await startApiProxy(worker.origin)
  stack.defer(() => api.close())
  const s3 = sdkClient(server, server)
  stack.defer(() => s3.destroy())
  const { bucket: Bucket } = server
  const all = stack.move()
  return {
    ...{ baseUrl: api.origin, apiKey, api, puts: bucket },
    async etag(Key) {
      const { ETag = '' } = await s3.send(new HeadObjectCommand({ Bucket, Key }))
      return ETag.replaceAll('"', '')
    },
    async sha256(Key) {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }))
      const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array()
      return createHash('sha256').update(bytes).digest('hex')
    },
    exists: (Key) => found(s3, new HeadObjectCommand({ Bucket, Key }), () => true, false),
    parts: (Key, UploadId) =>
      found(
        s3,
        new ListPartsCommand({ Bucket, Key, UploadId }),
        ({ Parts = [] }) => Parts.length,
        null,
      ),
    close: () => all.disposeAsync(),
  }
}

async function found<T>(
  s3: S3Client,
  command: HeadObjectCommand | ListPartsCommand,
  read: (answer: { readonly Parts?: readonly unknown[] }) => T,
  missing: T,
): Promise<T> {
  try {
    return read(Object(await s3.send<never, never>(command as never)))
  } catch (error) {
    if (Object(error).$metadata?.httpStatusCode === 404) return missing
    throw error
  }
}

const apiKeyEntry = (apiKey: string) => ({
  id: 'app',
  sha256: createHash('sha256').update(apiKey).digest('hex'),
  scopes: [
    ...['files:upload', 'files:read', 'files:list', 'files:delete'],
    ...['links:create', 'tokens:create', 'keys:choose'],
  ],
  prefix: '',
})
