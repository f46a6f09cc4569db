import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { crc32 } from 'node:zlib'
import type { Context, Middleware } from '@20minutes/s3rver'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import S3Object from '@20minutes/s3rver/lib/models/object.js'
import type FilesystemStore from '@20minutes/s3rver/lib/stores/filesystem.js'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'

const MIN_PART_BYTES = 5 * 1024 ** 2
const MS_BETWEEN_WRITES = 1000
const CONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since']

type Parts = Parameters<FilesystemStore['putObjectMultipart']>[2]

/**
 * Starts s3rver with the rules that R2 documents and its emulator in wrangler lacks, and with conditions,
 * which s3rver lacks. Each rule names its page below developers.cloudflare.com/r2. If a page is ambiguous,
 * the stricter reading applies. `now` is in milliseconds.
 */
export async function startR2(
  options: S3ServerOptions,
  now: () => number = Date.now,
): Promise<S3Server> {
  const server = await startS3rver(options, r2Rules(createWriteLimit(now)))
  return { ...server, name: 'simulated R2', region: 'auto' }
}

/** Tells whether a key may be written now. */
export type WriteLimit = (key: string) => boolean

/** Returns the limit for one server. platform/limits: one write a second to one key. */
export function createWriteLimit(now: () => number): WriteLimit {
  const writtenAt = new Map<string, number>()
  return (key) => {
    const time = now()
    const isAllowed = time - (writtenAt.get(key) ?? 0) >= MS_BETWEEN_WRITES
    if (isAllowed) writtenAt.set(key, time)
    return isAllowed
  }
}

/** Returns Koa middleware that runs before one s3rver. */
function r2Rules(limit: WriteLimit): Middleware {
  return async (ctx, next) => {
    const { headers } = ctx.req
    // api/s3/presigned-urls: uploads by HTML form are not supported.
    if (ctx.method === 'POST' && /^multipart\/form-data\b/i.test(headers['content-type'] ?? ''))
      throw notImplemented('uploads by HTML form')
    // api/error-codes. The emulator returns 400 without a signature, and 403 to an expired one.
    const unsigned = headers.authorization === undefined && !('X-Amz-Algorithm' in ctx.query)
    if (unsigned && ctx.method !== 'OPTIONS')
      throw r2Error(401, 'Unauthorized', 'Missing authentication credentials.')

    ctx.store = r2Store(ctx.store, ctx, limit)
    try {
      await next()
    } catch (error) {
      if (error instanceof S3Error && error.message === 'Request has expired')
        throw r2Error(400, 'ExpiredRequest', 'The presigned URL has expired.')
      throw error
    }
  }
}

/** Returns `store` for one request. s3rver calls it after it has verified the signature. */
function r2Store(store: FilesystemStore, ctx: Context, limit: WriteLimit): FilesystemStore {
  const { headers } = ctx.req

  // reference/unicode-interoperability: keys are normalized to NFC before they are stored.
  const normalizing: FilesystemStore = Object.assign(Object.create(store), {
    getResourcePath: (bucket: string, key: string | undefined, resource: string) =>
      store.getResourcePath(bucket, key?.normalize('NFC'), resource),
    deleteObject: (bucket: string, key: string) => store.deleteObject(bucket, key.normalize('NFC')),
  } satisfies Partial<FilesystemStore>)

  const requirePause = (bucket: string, key: string): void => {
    const path = normalizing.getResourcePath(bucket, key, 'object')
    if (!limit(path))
      throw r2Error(429, 'TooManyRequests', 'The limit is one write per second to the same key.')
  }

  return Object.assign(Object.create(normalizing), {
    async putObject({ bucket, key, content, metadata }: S3Object) {
      const body = await verifiedBody(content, headers)
      // api/s3/api, PutObject. The emulator has these conditions too.
      const current = await normalizing.getMetadata(bucket, key).catch(() => undefined)
      if (!holds(current?.etag, headers)) throw conditionFailed()
      requirePause(bucket, key)
      return normalizing.putObject(new S3Object(bucket, key, body, metadata))
    },

    // api/s3/api, CopyObject: conditions on the source, which the emulator has too. It ignores those by
    // S3's names on the object that the copy replaces.
    async copyObject(...args: Parameters<FilesystemStore['copyObject']>) {
      const [from, fromKey, bucket, key] = args
      refuseConditions(headers)
      const source = await normalizing.getMetadata(from, fromKey).catch(() => undefined)
      if (source !== undefined && !holds(source.etag, headers, 'x-amz-copy-source-'))
        throw conditionFailed()
      requirePause(bucket, key)
      return normalizing.copyObject(...args)
    },

    async putPart(bucket: string, uploadId: unknown, partNumber: unknown, content: Readable) {
      const body = await verifiedBody(content, headers)
      return normalizing.putPart(bucket, uploadId, partNumber, body)
    },

    async putObjectMultipart(bucket: string, uploadId: unknown, parts: Parts) {
      // api/s3/api lists no conditions for CompleteMultipartUpload. The emulator ignores them.
      refuseConditions(headers)
      await requireEqualSizes(normalizing, bucket, uploadId, parts)
      requirePause(bucket, ctx.params.key)
      return normalizing.putObjectMultipart(bucket, uploadId, parts)
    },
  } satisfies Partial<FilesystemStore>)
}

/**
 * Reads a body, and compares it with the checksums in the request: api/s3/api, PutObject and UploadPart.
 * Returns a stream, since s3rver responds before it has written a buffer.
 */
async function verifiedBody(content: Readable, headers: IncomingHttpHeaders): Promise<Readable> {
  const body = await buffer(content)
  for (const [name, checksum] of Object.entries(CHECKSUMS)) {
    const expected = headers[name]
    if (expected !== undefined && expected !== checksum(body).toString('base64'))
      throw new S3Error('BadDigest', `The body does not match ${name}.`)
  }
  return Readable.from([body])
}

const CHECKSUMS: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  'x-amz-checksum-sha256': (body) => createHash('sha256').update(body).digest(),
  'x-amz-checksum-crc32'(body) {
    const sum = Buffer.alloc(4)
    sum.writeUInt32BE(crc32(body))
    return sum
  },
}

/** Tells whether an object with `etag`, undefined if there is none, meets the conditions on it. */
function holds(etag: string | undefined, headers: IncomingHttpHeaders, prefix = ''): boolean {
  const [match, noneMatch] = ['if-match', 'if-none-match'].map((name) => headers[prefix + name])
  const lists = (value: unknown) =>
    etag !== undefined &&
    (value === '*' || `${value}`.split(',').some((one) => one.trim() === etag))
  return (match === undefined || lists(match)) && (noneMatch === undefined || !lists(noneMatch))
}

function refuseConditions(headers: IncomingHttpHeaders): void {
  const condition = CONDITIONS.find((name) => name in headers)
  if (condition !== undefined) throw notImplemented(condition)
}

/**
 * objects/multipart-objects: all parts except the last have the same size, and the last is not
 * larger. The emulator says that there is no such upload.
 */
async function requireEqualSizes(
  store: FilesystemStore,
  bucket: string,
  uploadId: unknown,
  parts: Parts,
): Promise<void> {
  const folder = join(store.getResourcePath(bucket, undefined, 'uploads'), String(uploadId))
  const sizes = await Promise.all(
    parts.map(async ({ number }) => {
      const part = await stat(join(folder, String(number))).catch(() => undefined)
      if (part === undefined) throw invalidPart('A part could not be found.')
      return part.size
    }),
  )
  const last = sizes.pop() ?? 0
  const [first = last] = sizes
  if (sizes.some((size) => size < MIN_PART_BYTES))
    throw new S3Error('EntityTooSmall', 'A part before the last one is smaller than 5 MiB.')
  if (sizes.some((size) => size !== first) || last > first)
    throw invalidPart('All parts except the last must have the same size.')
}

/** Returns an error with a status from api/error-codes. s3rver has only the statuses of AWS. */
const r2Error = (status: number, code: string, message: string): S3Error =>
  Object.assign(new S3Error(code, message), { status, expose: true })
const conditionFailed = (): S3Error =>
  new S3Error('PreconditionFailed', 'At least one of the conditions is not met.')
const invalidPart = (message: string): S3Error => new S3Error('InvalidPart', message)
const notImplemented = (what: string): S3Error =>
  new S3Error('NotImplemented', `Not implemented: ${what}`)
