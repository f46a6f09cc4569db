import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Context } from '@20minutes/s3rver'
import objectController from '@20minutes/s3rver/lib/controllers/object.js'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import router from '@20minutes/s3rver/lib/routes.js'
import FilesystemStore from '@20minutes/s3rver/lib/stores/filesystem.js'
import { noSuchUpload, requireUploadId } from './s3rver-paths.ts'

/** The path of s3rver's own routes for an object. */
const OBJECT_ROUTE = '/:bucket/*key'
/** The maximum number of parts on a page of ListParts, and the default. */
const PAGE = 1000

type NamedParts = readonly { readonly number: number; readonly etag: string }[]

interface StoredPart {
  readonly number: number
  /** MD5 in hex, without quotes. */
  readonly etag: string
  readonly size: number
  readonly lastModified: Date
}

/**
 * Adds what s3rver's uploads in parts lack: ListParts, AbortMultipartUpload, parts that exist only
 * after they have arrived completely, S3's ETag of the object, and errors for an unknown upload, a wrong
 * ETag and parts out of order.
 */
export function completeMultipartUploads(): void {
  storeWholeFiles()
  for (const operation of ['uploadPart', 'uploadPartCopy', 'completeMultipartUpload'] as const) {
    const run = objectController[operation]
    objectController[operation] = async (ctx) => {
      await uploadFolder(ctx)
      await run(ctx)
    }
  }
  const { putObjectMultipart } = FilesystemStore.prototype
  FilesystemStore.prototype.putObjectMultipart = async function (bucket, uploadId, parts) {
    const folder = folderOf(this, bucket, uploadId)
    requireParts(parts, await storedParts(folder))
    const key = await readFile(join(folder, 'key'), 'utf8')
    const result = await putObjectMultipart.call(this, bucket, uploadId, parts)
    const md5 = etagOfParts(parts)
    await writeFile(this.getResourcePath(bucket, key, 'object.md5'), md5)
    return { ...result, md5 }
  }

  router.get(OBJECT_ROUTE, (ctx, next) => (isOfUpload(ctx, 'GET') ? listParts(ctx) : next()))
  router.delete(OBJECT_ROUTE, (ctx, next) => (isOfUpload(ctx, 'DELETE') ? abort(ctx) : next()))
  // s3rver's own handlers don't call the next one, so these two must come before them. The
  // signature is verified before them.
  const added = router.stack.splice(-2)
  const first = router.stack.findIndex(
    ({ path, methods }) => path === OBJECT_ROUTE && methods.includes('DELETE'),
  )
  if (first === -1) throw new Error('s3rver has no route for objects.')
  router.stack.splice(first, 0, ...added)
}

const isOfUpload = ({ method, params }: Context, wanted: string): boolean =>
  method === wanted && params.queryMethod === 'uploadId'

/** Handles S3 ListParts: returns one page of the parts, in order. */
async function listParts(ctx: Context): Promise<void> {
  const parts = await storedParts(await uploadFolder(ctx))
  const max = Math.min(wholeNumber(ctx, 'max-parts', PAGE), PAGE)
  const marker = wholeNumber(ctx, 'part-number-marker', 0)
  const rest = parts.filter(({ number }) => number > marker)
  const page = rest.slice(0, max)
  ctx.body = {
    ListPartsResult: {
      '@': { xmlns: 'http://s3.amazonaws.com/doc/2006-03-01/' },
      Bucket: ctx.params.bucket,
      Key: ctx.params.key,
      UploadId: ctx.query.uploadId,
      PartNumberMarker: marker,
      NextPartNumberMarker: page.at(-1)?.number ?? 0,
      MaxParts: max,
      IsTruncated: rest.length > page.length,
      Part: page.map(({ number, etag, size, lastModified }) => ({
        PartNumber: number,
        LastModified: lastModified.toISOString(),
        ETag: `"${etag}"`,
        Size: size,
      })),
    },
  }
}

/** Handles S3 AbortMultipartUpload. */
async function abort(ctx: Context): Promise<void> {
  await rm(await uploadFolder(ctx), { recursive: true })
  ctx.status = 204
}

/**
 * Returns the folder of the upload that a request names. Throws NoSuchUpload if it is missing or
 * belongs to another key.
 */
async function uploadFolder({ store, params, query }: Context): Promise<string> {
  const folder = folderOf(store, params.bucket, query.uploadId)
  const key = await readFile(join(folder, 'key'), 'utf8').catch(() => undefined)
  if (key === undefined || key !== params.key) throw noSuchUpload()
  return folder
}

function folderOf(store: FilesystemStore, bucket: string, uploadId: unknown): string {
  requireUploadId(uploadId)
  return join(store.getResourcePath(bucket, undefined, 'uploads'), uploadId)
}

/** Returns the parts that have arrived, in order. s3rver writes the digest of a part last. */
async function storedParts(folder: string): Promise<readonly StoredPart[]> {
  const numbers = (await readdir(folder))
    .flatMap((name) => /^(\d+)\.md5$/.exec(name)?.[1] ?? [])
    .map(Number)
  return Promise.all(
    numbers
      .toSorted((a, b) => a - b)
      .map(async (number) => {
        const file = join(folder, String(number))
        const [etag, { size, mtime }] = await Promise.all([
          readFile(`${file}.md5`, 'utf8'),
          stat(file),
        ])
        return { number, etag, size, lastModified: mtime }
      }),
  )
}

/** Throws unless `parts`, as CompleteMultipartUpload names them, have arrived and are in order. */
function requireParts(parts: NamedParts, stored: readonly StoredPart[]): void {
  const etags = new Map(stored.map(({ number, etag }) => [number, etag]))
  for (const [index, { number, etag }] of parts.entries()) {
    if (number <= (parts[index - 1]?.number ?? 0))
      throw new S3Error('InvalidPartOrder', 'The list of parts was not in ascending order.')
    if (etags.get(number) !== etag)
      throw new S3Error('InvalidPart', 'One or more of the specified parts could not be found.')
  }
}

/** Returns S3's ETag of an upload in parts: the MD5 of the parts' MD5s, and their number. */
function etagOfParts(parts: NamedParts): string {
  const md5s = Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, 'hex')))
  return `${createHash('md5').update(md5s).digest('hex')}-${parts.length}`
}

/**
 * Makes the store write to a draft and rename it, so that an interrupted request leaves no file.
 */
function storeWholeFiles(): void {
  FilesystemStore.prototype.putContent = async (path, content) => {
    const draft = `${path}.${randomUUID()}`
    const hash = createHash('md5')
    let size = 0
    const count = new Transform({
      transform(chunk: Buffer, _, done) {
        hash.update(chunk)
        size += chunk.length
        done(null, chunk)
      },
    })
    const source = Buffer.isBuffer(content) ? Readable.from([content]) : content
    try {
      await pipeline(source, count, createWriteStream(draft))
      await rename(draft, path)
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
    return [size, hash.digest('hex')]
  }
}

function wholeNumber({ query }: Context, name: string, fallback: number): number {
  const value = query[name]
  if (value === undefined) return fallback
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Number(value)
  throw new S3Error('InvalidArgument', `${name} must be a whole number.`)
}
