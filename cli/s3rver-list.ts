import type { Context } from '@20minutes/s3rver'
import bucketController from '@20minutes/s3rver/lib/controllers/bucket.js'
import { escapeXml } from '../src/storage/xml.ts'

const MAX_KEYS = 1000

type ListedObject = Awaited<ReturnType<Context['store']['listObjects']>>['objects'][number]

/**
 * Makes s3rver's ListObjectsV2 that of S3. Its own fails above one page, since Node no longer has the
 * cipher of its tokens, encodes no keys, and misses a folder that has only folders.
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
  const objects: ListedObject[] = []
  const folders = new Set<string>()
  let last = after
  for (;;) {
    const options = { prefix, delimiter: '', maxKeys: MAX_KEYS, startAfter: last }
    const page = await store.listObjects(bucket, options)
    for (const object of page.objects) {
      const end = delimiter === '' ? -1 : object.key.indexOf(delimiter, prefix.length)
      const folder = end === -1 ? null : object.key.slice(0, end + delimiter.length)
      const isNew = folder === null || !folders.has(folder)
      if (isNew && objects.length + folders.size === limit) return { objects, folders, next: last }
      if (folder === null) objects.push(object)
      else folders.add(folder)
      last = object.key
    }
    if (!page.isTruncated) return { objects, folders, next: null }
  }
}
