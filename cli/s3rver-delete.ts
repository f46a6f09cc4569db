import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { Context } from '@20minutes/s3rver'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import { childrenOf, escapeXml, readXml, textOf } from '../src/storage/xml.ts'

/**
 * Handles S3 DeleteObjects. s3rver's own handler reads a key like `007` as a number, requires no
 * checksum, and escapes keys twice in its response.
 */
export async function deleteMultipleObjects(ctx: Context): Promise<void> {
  const body = await buffer(ctx.req)
  requireChecksum(ctx, body)
  const root = readXml(body.toString())
  const keys =
    root?.name === 'Delete' ? childrenOf(root, 'Object').map((object) => textOf(object, 'Key')) : []
  if (keys.length === 0)
    throw new S3Error('MalformedXML', 'The XML you provided was not well-formed.')
  // One after another, since s3rver fails if two deletions empty a folder at the same time.
  const entries: string[] = []
  for (const key of keys) entries.push(await deleteOne(ctx, key ?? ''))
  ctx.set('Content-Type', 'application/xml')
  ctx.body = `<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${entries.join('')}</DeleteResult>`
}

/** Deletes an object, and returns the entry of the response. */
async function deleteOne({ store, params: { bucket } }: Context, key: string): Promise<string> {
  const name = `<Key>${escapeXml(key)}</Key>`
  try {
    if (await store.existsObject(bucket, key)) await store.deleteObject(bucket, key)
    return `<Deleted>${name}</Deleted>`
  } catch (error) {
    const code = error instanceof S3Error ? error.code : 'InternalError'
    return `<Error>${name}<Code>${code}</Code></Error>`
  }
}

function requireChecksum({ req: { headers } }: Context, body: Buffer): void {
  const sent = [
    [headers['content-md5'], 'md5'],
    [headers['x-amz-checksum-sha256'], 'sha256'],
  ].filter(([digest]) => digest !== undefined)
  if (sent.length === 0)
    throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5')
  for (const [digest, algorithm = ''] of sent)
    if (createHash(algorithm.toString()).update(body).digest('base64') !== digest)
      throw new S3Error(
        'BadDigest',
        'The Content-MD5 you specified did not match what we received.',
      )
}
