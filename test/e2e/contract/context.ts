import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  NotFound,
  S3Client,
} from '@aws-sdk/client-s3'
import { freePort } from '../../../cli/ports.ts'
import type { AccessKey, S3Server, S3ServerOptions } from '../../../cli/s3-server.ts'
import { countingProxy } from '../../setup/counting-proxy.ts'
import { type ApiClient, createApiClient } from '../api-client.ts'
import {
  type BucketTable,
  type BuiltWorkerOptions,
  configWithD1,
  startBuiltWorker,
} from '../built-worker.ts'

/** The name of the second bucket, with the alias "archive". */
const ARCHIVE = 'cold-store'

/** The largest file in the bucket with the alias "small". */
export const SMALL_BYTES = 1000

/** What every upload to the bucket with the alias "guarded" carries. */
export const UPLOAD_HEADERS = {
  'x-amz-storage-class': 'STANDARD',
  'x-amz-tagging': 'team=web&cost-center=a%20b',
  'x-amz-acl': 'private',
  'x-amz-request-payer': 'requester',
  'x-amz-expected-bucket-owner': '111122223333',
} as const

/**
 * Features that not every server has. The rules show the difference in their names, and none is
 * skipped.
 */
export interface Capabilities {
  /** The status of a request without a signature. */
  readonly unsigned: 400 | 401 | 403
  /** The status of a URL that has expired. */
  readonly expired: 400 | 403
  /** The status of a URL whose date isn't that of its credential scope, if it isn't 403. */
  readonly otherDate?: 400 | 403
  /** The status of an upload with an unsupported header, if the server refuses it. */
  readonly unimplemented?: 501
  /** The second access key can only write. */
  readonly limitsWriter: boolean
  /** Refuses a request that is signed 20 minutes earlier or later. S3 allows 15. */
  readonly checksClock: boolean
  /** A bucket also answers on its own host. */
  readonly virtualHosts: boolean
  /** `a//b` and `a/b` are two objects. */
  readonly keepsEmptySegments: boolean
  /** Stores keys in Unicode NFC. */
  readonly normalizesKeys: boolean
  /** If-None-Match and If-Match on PutObject. */
  readonly conditionalPut: boolean
  /** S3 CopyObject. Ceph RGW on SQLite returns 200, and copies nothing. */
  readonly copiesObjects: boolean
  /** S3 PostObject. */
  readonly takesForms: boolean
  /**
   * An object from a multipart upload has the bytes that were sent. Ceph RGW on SQLite returns the
   * bytes of its last part everywhere.
   */
  readonly readsParts: boolean
  /**
   * Moves the server's clock by a second, if it accepts only one write per second to a key as R2
   * does.
   */
  readonly passSecond?: () => void
}

/**
 * A server, the built Worker in front of it, and the AWS SDK as an independent client of the same
 * server.
 */
export interface Context {
  readonly server: S3Server
  readonly api: ApiClient
  /** The same Worker with an index in D1, which can lock keys. */
  readonly withD1: ApiClient
  readonly s3: S3Client
  /**
   * Returns how many requests for an object the server has received through the Worker's bucket
   * "counted".
   */
  requestsFor(key: string): Promise<number>
  /** Returns the bucket's own data about an object; null when there is none. */
  head(key: string, bucket?: string): Promise<HeadObjectCommandOutput | null>
  close(): Promise<void>
}

/**
 * Starts the server on an empty folder, and a Worker for it with the buckets files, archive, inbox,
 * small, guarded, counted and virtual, and two with wrong access keys.
 */
export async function startContext(
  start: (options: S3ServerOptions) => Promise<S3Server>,
  { normalizesKeys, takesForms, conditionalPut }: Capabilities,
): Promise<Context> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const corsOrigins = ['http://localhost:8787'] as const
  const server = await start({ port: 0, directory, corsOrigins, otherBuckets: [ARCHIVE] })
  stack.defer(() => server.close())
  const s3 = sdkClient(server, server)
  stack.defer(() => s3.destroy())

  const { endpoint, region, bucket } = server
  const { counter, countedEndpoint } = await startCounter(endpoint)
  stack.defer(() => counter[Symbol.asyncDispose]())
  const files: BucketTable = {
    endpoint,
    region,
    bucket,
    addressing: 'path',
    credentials: 'S3',
    normalizesKeys,
    conditionalPut,
    conditionalReplace: conditionalPut,
    postUploads: takesForms,
  }
  const apiKey = `ep_test_${randomBytes(32).toString('base64url')}`
  const options: BuiltWorkerOptions = {
    buckets: {
      files,
      archive: { ...files, bucket: ARCHIVE },
      inbox: { ...files, uploadCredentials: 'S3_WRITE' },
      small: { ...files, maxBytes: SMALL_BYTES },
      guarded: { ...files, uploadHeaders: UPLOAD_HEADERS },
      counted: { ...files, endpoint: countedEndpoint },
      virtual: { ...files, endpoint: server.virtualEndpoint, addressing: 'virtual' },
      wrongsecret: { ...files, credentials: 'WRONG_SECRET' },
      wrongkey: { ...files, credentials: 'WRONG_KEY' },
    },
    accessKeys: {
      S3: server,
      S3_WRITE: server.writer,
      WRONG_SECRET: { ...server.writer, secretAccessKey: 'wrong' },
      WRONG_KEY: { ...server.writer, accessKeyId: 'UNKNOWN' },
    },
    variables: { API_KEYS: JSON.stringify([apiKeyEntry(apiKey)]) },
  }
  const worker = await startBuiltWorker(options)
  stack.defer(() => worker.close())
  const config = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(config, { recursive: true }))
  const workerWithD1 = await startBuiltWorker({
    ...options,
    configPath: await configWithD1(config),
  })
  stack.defer(() => workerWithD1.close())

  const all = stack.move()
  return {
    server,
    api: createApiClient(worker.origin, apiKey),
    withD1: createApiClient(workerWithD1.origin, apiKey),
    s3,
    async requestsFor(key) {
      const object = `/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
      const { origin, pathname } = new URL(countedEndpoint + object)
      const query = new URLSearchParams({ path: pathname })
      return Number(await (await fetch(`${origin}/.count?${query}`)).text())
    },
    async head(key, name = bucket) {
      try {
        return await s3.send(new HeadObjectCommand({ Bucket: name, Key: key }))
      } catch (error) {
        if (error instanceof NotFound) return null
        throw error
      }
    },
    close: () => all.disposeAsync(),
  }
}

/** A proxy in front of the server that counts requests. */
async function startCounter(
  endpoint: string,
): Promise<{ counter: Server; countedEndpoint: string }> {
  const port = await freePort()
  const { host, port: target } = new URL(endpoint)
  const counter = countingProxy(Number(target)).listen(port, '127.0.0.1')
  await once(counter, 'listening')
  return { counter, countedEndpoint: endpoint.replace(host, `127.0.0.1:${port}`) }
}

/** Returns the AWS SDK's client for `server`. */
export const sdkClient = (
  { endpoint, region }: Pick<S3Server, 'endpoint' | 'region'>,
  { accessKeyId, secretAccessKey }: AccessKey,
): S3Client =>
  new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })

/** Returns the entry of `API_KEYS` for a key with the id "test". */
export const apiKeyEntry = (apiKey: string) => ({
  id: 'test',
  sha256: createHash('sha256').update(apiKey).digest('hex'),
  scopes: [
    'files:upload',
    'files:read',
    'files:list',
    'files:delete',
    'links:create',
    'keys:choose',
    'objects:list',
    'files:delete-all',
  ],
  prefix: '',
})
