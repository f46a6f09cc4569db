import type { Context } from '@20minutes/s3rver'
import bucketController from '@20minutes/s3rver/lib/controllers/bucket.js'
import { escapeXml } from '../src/storage/xml.ts'

const MAX_KEYS = 1000

/**
 * Makes s3rver's ListObjectsV2 that of S3. Its own fails above one page, since Node no longer has the
 * cipher of its tokens, and encodes no keys.
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
  const { objects, commonPrefixes, isTruncated } = await ctx.store.listObjects(ctx.params.bucket, {
    prefix: asked('prefix'),
    delimiter: asked('delimiter'),
    maxKeys: Math.min(MAX_KEYS, Number(asked('max-keys') || MAX_KEYS)),
    startAfter: Buffer.from(token, 'base64url').toString() || asked('start-after'),
  })
  const name = (key: string) => escapeXml(isEncoded ? encodeURIComponent(key) : key)
  const next = Buffer.from(objects.at(-1)?.key ?? '').toString('base64url')
  const parts = [
    `<KeyCount>${objects.length}</KeyCount><IsTruncated>${isTruncated}</IsTruncated>`,
    isEncoded ? '<EncodingType>url</EncodingType>' : '',
    isTruncated ? `<NextContinuationToken>${next}</NextContinuationToken>` : '',
    ...objects.map(
      ({ key, size, lastModifiedDate, metadata }) =>
        `<Contents><Key>${name(key)}</Key><LastModified>${lastModifiedDate.toISOString()}</LastModified><ETag>${escapeXml(metadata.etag ?? '')}</ETag><Size>${size}</Size></Contents>`,
    ),
    ...commonPrefixes.map(
      (prefix) => `<CommonPrefixes><Prefix>${name(prefix)}</Prefix></CommonPrefixes>`,
    ),
  ]
  ctx.set('Content-Type', 'application/xml')
  ctx.body = `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</ListBucketResult>`
}
