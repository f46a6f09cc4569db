import { createHash } from 'node:crypto'
import { stat, writeFile } from 'node:fs/promises'
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

const REGIONS = ['auto', 'us-east-1', '']
const MAX_METADATA_BYTES = 8192
const MAX_PUT_BYTES = 4.995 * 1024 ** 3
const MIN_PART_BYTES = 5 * 1024 ** 2
const MS_BETWEEN_WRITES = 1000
/**
 * Headers that the tables of "S3 API compatibility" mark as not implemented for the operations in
 * use.
 */
const UNIMPLEMENTED =
  /^x-amz-(?:acl|grant-.+|tagging|object-lock-.+|expected-bucket-owner|request-payer|server-side-encryption(?:-aws-kms-key-id|-context|-bucket-key-enabled)?)$/
const CONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since']
const ENCODED_WORD = /=\?utf-8\?b\?([A-Za-z0-9+/=]*)\?=/gi

type Parts = Parameters<FilesystemStore['putObjectMultipart']>[2]

/**
 * Starts s3rver with the rules that differ between Cloudflare R2 and AWS S3, according to R2's
 * documentation. They were not compared with R2 itself. Each rule names its page below
 * developers.cloudflare.com/r2. If a page is ambiguous, the stricter reading applies: the server
 * returns 501 to an unimplemented header, and to conditions of CompleteMultipartUpload. Not
 * simulated: jurisdictions, the spelling of a normalized key in lists, and the time until CORS
 * rules take effect. The limit of one write per second to a key follows `now`, in milliseconds.
 */
export async function startR2(
  options: S3ServerOptions,
  now: () => number = Date.now,
): Promise<S3Server> {
  const server = await startS3rver(options, r2Rules(now))
  return { ...server, name: 'simulated R2', region: 'auto' }
}

/** Returns Koa middleware that runs before one s3rver. */
function r2Rules(now: () => number): Middleware {
  /** When each object was last written, by its path on the disk. */
  const writtenAt = new Map<string, number>()

  return async (ctx, next) => {
    const { headers } = ctx.req
    // api/s3/presigned-urls: uploads by HTML form are not supported.
    if (ctx.method === 'POST' && /^multipart\/form-data\b/i.test(headers['content-type'] ?? ''))
      throw new S3Error('NotImplemented', 'Uploads by HTML form are not supported.')
    const unsigned = headers.authorization === undefined && !('X-Amz-Algorithm' in ctx.query)
    if (unsigned && ctx.method !== 'OPTIONS')
      throw r2Error(401, 'Unauthorized', 'Missing authentication credentials.')
    if (!unsigned) requireRegion(ctx)

    ctx.store = r2Store(ctx.store, ctx, writtenAt, now)
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
function r2Store(
  store: FilesystemStore,
  ctx: Context,
  writtenAt: Map<string, number>,
  now: () => number,
): FilesystemStore {
  const { headers } = ctx.req

  // reference/unicode-interoperability: keys are normalized to NFC before they are stored.
  const normalizing: FilesystemStore = Object.assign(Object.create(store), {
    getResourcePath: (bucket: string, key: string | undefined, resource: string) =>
      store.getResourcePath(bucket, key?.normalize('NFC'), resource),
    deleteObject: (bucket: string, key: string) => store.deleteObject(bucket, key.normalize('NFC')),
  } satisfies Partial<FilesystemStore>)

  /** platform/limits: one write a second to one key. */
  const requirePause = (bucket: string, key: string): void => {
    const path = normalizing.getResourcePath(bucket, key, 'object')
    const time = now()
    if (time - (writtenAt.get(path) ?? 0) < MS_BETWEEN_WRITES)
      throw r2Error(429, 'TooManyRequests', 'The limit is one write per second to the same key.')
    writtenAt.set(path, time)
  }

  return Object.assign(Object.create(normalizing), {
    async putObject({ bucket, key, content, metadata }: S3Object) {
      requireImplemented(headers)
      requireMetadataSize(metadata)
      const body = await verifiedBody(content, headers)
      // api/s3/api, PutObject: the four conditions are implemented.
      const current = await normalizing.getMetadata(bucket, key).catch(() => undefined)
      if (!holds(current, headers)) throw conditionFailed()
      requirePause(bucket, key)
      return normalizing.putObject(new S3Object(bucket, key, body, metadata))
    },

    // api/s3/api, CopyObject, and api/s3/extensions: conditions on the source by S3's names, and on the
    // object that the copy replaces by R2's own.
    async copyObject(
      from: string,
      fromKey: string,
      bucket: string,
      key: string,
      replacement: SentMetadata | null,
    ) {
      requireImplemented(headers)
      const condition = CONDITIONS.find((name) => name in headers)
      if (condition !== undefined) throw notImplemented(condition)
      if (replacement !== null) requireMetadataSize(replacement)
      await requireSource(normalizing, from, fromKey, headers)
      const current = await normalizing.getMetadata(bucket, key).catch(() => undefined)
      if (!holds(current, named('cf-copy-destination-', headers))) throw conditionFailed()
      requirePause(bucket, key)
      return normalizing.copyObject(from, fromKey, bucket, key, replacement)
    },

    async getObject(from: string, fromKey: string, options: object) {
      if ('x-amz-copy-source' in headers) await requireSource(normalizing, from, fromKey, headers)
      return normalizing.getObject(from, fromKey, options)
    },

    async initiateUpload(bucket: string, key: string, uploadId: string, sent: SentMetadata) {
      requireImplemented(headers)
      requireMetadataSize(sent)
      return normalizing.initiateUpload(bucket, key, uploadId, sent)
    },

    async putPart(bucket: string, uploadId: unknown, partNumber: unknown, content: Readable) {
      const body = await verifiedBody(content, headers)
      return normalizing.putPart(bucket, uploadId, partNumber, body)
    },

    async putObjectMultipart(bucket: string, uploadId: unknown, parts: Parts) {
      const condition = CONDITIONS.find((name) => name in headers)
      if (condition !== undefined) throw notImplemented(condition)
      await requireEqualSizes(normalizing, bucket, uploadId, parts)
      const { key } = ctx.params
      requirePause(bucket, key)
      const result = await normalizing.putObjectMultipart(bucket, uploadId, parts)
      const md5 = etagOfParts(parts)
      await writeFile(normalizing.getResourcePath(bucket, key, 'object.md5'), md5)
      return { ...result, md5 }
    },
  } satisfies Partial<FilesystemStore>)
}

const conditionFailed = (): S3Error =>
  new S3Error('PreconditionFailed', 'At least one of the conditions is not met.')

/** Returns the headers that start with `prefix`, without it. */
const named = (prefix: string, headers: IncomingHttpHeaders): IncomingHttpHeaders =>
  Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  )

/** Requires the conditions on the source of a copy. */
async function requireSource(
  store: FilesystemStore,
  bucket: string,
  key: string,
  headers: IncomingHttpHeaders,
): Promise<void> {
  const source = await store.getMetadata(bucket, key).catch(() => undefined)
  if (source !== undefined && !holds(source, named('x-amz-copy-source-', headers)))
    throw conditionFailed()
}

type SentMetadata = S3Object['metadata']

/** api/s3/api, "Bucket region". The documentation names no code for a region that R2 doesn't have. */
function requireRegion({ query, req }: Context): void {
  const inQuery = query['X-Amz-Credential']
  const credential =
    typeof inQuery === 'string'
      ? inQuery
      : /Credential=([^,]+)/.exec(req.headers.authorization ?? '')?.[1]
  const region = credential?.split('/')[2]
  if (region === undefined || !REGIONS.includes(region))
    throw r2Error(400, 'InvalidRegionName', 'The region of an R2 bucket must be auto.')
}

function requireImplemented(headers: IncomingHttpHeaders): void {
  const name = Object.keys(headers).find((header) => UNIMPLEMENTED.test(header))
  if (name !== undefined) throw notImplemented(name)
}

/** api/s3/extensions: values are decoded by RFC 2047 before their length counts. */
function requireMetadataSize(metadata: SentMetadata): void {
  const bytes = Object.entries(metadata)
    .filter(([name]) => name.startsWith('x-amz-meta-'))
    .map(([name, value]) => name.slice('x-amz-meta-'.length) + decodedWords(value))
    .reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  if (bytes > MAX_METADATA_BYTES)
    throw new S3Error('MetadataTooLarge', 'The metadata exceeds the limit of 8,192 bytes.')
}

const decodedWords = (value: string): string =>
  value.replace(ENCODED_WORD, (_, base64: string) => Buffer.from(base64, 'base64').toString())

/**
 * Reads a body whose length the request states, and compares it with the digests in the request.
 * Returns a stream, since s3rver responds before it has written a buffer.
 */
async function verifiedBody(content: Readable, headers: IncomingHttpHeaders): Promise<Readable> {
  if (headers['content-length'] === undefined)
    throw new S3Error('MissingContentLength', 'Content-Length is missing.')
  if (Number(headers['content-length']) > MAX_PUT_BYTES)
    throw new S3Error('EntityTooLarge', 'The object is too large for one request.')
  const body = await buffer(content)
  for (const [name, digest] of DIGESTS) {
    const expected = headers[name]
    if (expected !== undefined && expected !== digest(body))
      throw new S3Error('BadDigest', `The body does not match ${name}.`)
  }
  return Readable.from([body])
}

const hashed =
  (algorithm: string) =>
  (body: Buffer): string =>
    createHash(algorithm).update(body).digest('base64')

/** api/s3/api, PutObject and UploadPart. */
const DIGESTS: readonly (readonly [string, (body: Buffer) => string])[] = [
  ['content-md5', hashed('md5')],
  ['x-amz-checksum-sha1', hashed('sha1')],
  ['x-amz-checksum-sha256', hashed('sha256')],
  [
    'x-amz-checksum-crc32',
    (body) => {
      const sum = Buffer.alloc(4)
      sum.writeUInt32BE(crc32(body))
      return sum.toString('base64')
    },
  ],
  ['x-amz-checksum-crc32c', () => throwNotImplemented('x-amz-checksum-crc32c in this simulation')],
  [
    'x-amz-checksum-crc64nvme',
    () => throwNotImplemented('x-amz-checksum-crc64nvme in this simulation'),
  ],
]

/**
 * Tells whether the conditions of a PutObject are met by the current object, if any (RFC 9110,
 * 13.2.2).
 */
function holds(
  current: Readonly<Record<string, string>> | undefined,
  headers: IncomingHttpHeaders,
): boolean {
  const lists = (value: string | undefined) =>
    current !== undefined &&
    (value === '*' || value?.split(',').some((etag) => etag.trim() === current.etag) === true)
  if (headers['if-match'] !== undefined && !lists(headers['if-match'])) return false
  if (headers['if-none-match'] !== undefined && lists(headers['if-none-match'])) return false
  if (current === undefined) return true
  const changed = Date.parse(current['last-modified'] ?? '')
  const modifiedSince = Date.parse(headers['if-modified-since'] ?? '')
  const unmodifiedSince = Date.parse(headers['if-unmodified-since'] ?? '')
  return !(changed <= modifiedSince) && !(changed > unmodifiedSince)
}

/**
 * objects/multipart-objects: all parts except the last have the same size, and the last is not
 * larger.
 */
async function requireEqualSizes(
  store: FilesystemStore,
  bucket: string,
  uploadId: unknown,
  parts: Parts,
): Promise<void> {
  const folder = join(store.getResourcePath(bucket, undefined, 'uploads'), String(uploadId))
  const sizes = await Promise.all(
    parts.map(({ number }) =>
      stat(join(folder, String(number))).then(
        ({ size }) => size,
        () => {
          throw invalidPart('One or more of the specified parts could not be found.')
        },
      ),
    ),
  )
  const last = sizes.pop() ?? 0
  const [first = last] = sizes
  if (sizes.some((size) => size < MIN_PART_BYTES))
    throw new S3Error('EntityTooSmall', 'A part before the last one is smaller than 5 MiB.')
  if (sizes.some((size) => size !== first) || last > first)
    throw invalidPart('All parts except the last must have the same size.')
}

/** Returns the MD5 of the parts' MD5s, and their number. */
function etagOfParts(parts: Parts): string {
  const md5s = parts.map(({ etag }) => Buffer.from(etag, 'hex'))
  return `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-${parts.length}`
}

/** Returns an error with a status from api/error-codes. s3rver has only the statuses of AWS. */
const r2Error = (status: number, code: string, message: string): S3Error =>
  Object.assign(new S3Error(code, message), { status, expose: true })
const invalidPart = (message: string): S3Error => new S3Error('InvalidPart', message)
const notImplemented = (what: string): S3Error =>
  new S3Error('NotImplemented', `Not implemented: ${what}`)
function throwNotImplemented(what: string): never {
  throw notImplemented(what)
}
