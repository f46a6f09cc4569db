import { rm } from 'node:fs/promises'
import objectController from '@20minutes/s3rver/lib/controllers/object.js'
import FilesystemStore from '@20minutes/s3rver/lib/stores/filesystem.js'

/** Makes s3rver copy objects as S3 does. */
export function correctCopies(): void {
  readCopySources()
  replaceETags()
}

/**
 * Reads `x-amz-copy-source` as S3 does. s3rver itself leaves some characters encoded, such as `+` and
 * `?`, and then copies the object of another key. The signature is verified before this.
 */
function readCopySources(): void {
  for (const operation of ['putObjectCopy', 'uploadPartCopy'] as const) {
    const run = objectController[operation]
    objectController[operation] = async (ctx) => {
      const source = String(ctx.req.headers['x-amz-copy-source'])
      ctx.req.headers['x-amz-copy-source'] = encodeURI(decodeURIComponent(source))
      await run(ctx)
    }
  }
}

/** Corrects the ETag of a copy with new metadata, which s3rver keeps from the replaced object. */
function replaceETags(): void {
  const { copyObject } = FilesystemStore.prototype
  FilesystemStore.prototype.copyObject = async function (from, fromKey, to, key, replacement) {
    const copied = await copyObject.call(this, from, fromKey, to, key, replacement)
    if (!replacement || (from === to && fromKey === key)) return copied
    // The store then computes it from the content.
    await rm(this.getResourcePath(to, key, 'object.md5'), { force: true })
    return this.getMetadata(to, key)
  }
}
