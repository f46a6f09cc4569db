import { readdirSync } from 'node:fs'
import { sep } from 'node:path'
import type { Context } from '@20minutes/s3rver'
import bucketController from '@20minutes/s3rver/lib/controllers/bucket.js'
import S3Object from '@20minutes/s3rver/lib/models/object.js'
import FilesystemStore from '@20minutes/s3rver/lib/stores/filesystem.js'
import { byUtf8 } from '../src/keys/encodings.ts'
import { escapeXml } from '../src/storage/xml.ts'

const MAX_KEYS = 1000

/**
 * Makes s3rver list objects as S3 does. Its own ListObjectsV2 fails after one page, since Node no
 * longer has the cipher of its tokens. It also encodes no keys, lists them in another order, and
 * misses a folder that has only folders.
 */
export function listInPages(): void {
  const { getBucket } = bucketController
  bucketController.getBucket = (ctx) =>
    ctx.query['list-type'] === '2' ? listObjects(ctx) : getBucket(ctx)
}

async function listObjects(ctx: Context): Promise<void> {
  const asked = (name: string): string => [ctx.query[name] ?? ''].flat().join()
  const token = asked('continuation-token')
  const isEncoded = asked('encoding-type') === 'url'
  const { objects, folders, next } = await pageOf(ctx, {
    prefix: asked('prefix'),
    delimiter: asked('delimiter'),
    limit: Math.min(MAX_KEYS, Number(asked('max-keys') || MAX_KEYS)),
    after: Buffer.from(token, 'base64url').toString() || asked('start-after'),
  })
  const name = (key: string) => escapeXml(isEncoded ? encodeURIComponent(key) : key)
  const parts = [
    `<KeyCount>${objects.length + folders.size}</KeyCount><IsTruncated>${next !== null}</IsTruncated>`,
    isEncoded ? '<EncodingType>url</EncodingType>' : '',
    next === null
      ? ''
      : `<NextContinuationToken>${Buffer.from(next).toString('base64url')}</NextContinuationToken>`,
    ...objects.map(
      ({ key, size, lastModifiedDate, metadata }) =>
        `<Contents><Key>${name(key)}</Key><LastModified>${lastModifiedDate.toISOString()}</LastModified><ETag>${escapeXml(metadata.etag ?? '')}</ETag><Size>${size}</Size></Contents>`,
    ),
    ...Array.from(
      folders,
      (folder) => `<CommonPrefixes><Prefix>${name(folder)}</Prefix></CommonPrefixes>`,
    ),
  ]
  ctx.set('Content-Type', 'application/xml')
  ctx.body = `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</ListBucketResult>`
}

interface Wanted {
  readonly prefix: string
  readonly delimiter: string
  readonly limit: number
  /** Only later keys. */
  readonly after: string
}

/** Returns up to `limit` objects and folders, and the key after which the next page starts, or null. */
async function pageOf(
  { store, params: { bucket } }: Context,
  { prefix, delimiter, limit, after }: Wanted,
) {
  const keys: string[] = []
  const folders = new Set<string>()
  let last = after
  let next: string | null = null
  for (const key of keysIn(store, bucket)) {
    if (!key.startsWith(prefix) || (after !== '' && byUtf8(key, after) <= 0)) continue
    const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const folder = end === -1 ? null : key.slice(0, end + delimiter.length)
    const isNew = folder === null || !folders.has(folder)
    if (isNew && keys.length + folders.size === limit) {
      next = last
      break
    }
    if (folder === null) keys.push(key)
    else folders.add(folder)
    last = key
  }
  const objects = await Promise.all(
    keys.map(async (key) => {
      // Somebody may have deleted it meanwhile.
      const metadata = await store.getMetadata(bucket, key).catch(() => null)
      return metadata === null ? [] : [new S3Object(bucket, key, Buffer.alloc(0), metadata)]
    }),
  )
  return { objects: objects.flat(), folders, next }
}

/** What the file of an object ends with. */
const OBJECT = '._S3rver_object'

/** Returns all keys in the order of their bytes. The store itself reads its folders in another order. */
function keysIn(store: FilesystemStore, bucket: string): string[] {
  const files = readdirSync(store.getBucketPath(bucket), { encoding: 'utf8', recursive: true })
  return files
    .filter((file) => file.endsWith(OBJECT))
    .map((file) =>
      FilesystemStore.decodeKeyPath(file.slice(0, -OBJECT.length).replaceAll(sep, '/')),
    )
    .sort(byUtf8)
}
