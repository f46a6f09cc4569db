import objectController from '@20minutes/s3rver/lib/controllers/object.js'

/**
 * Reads `x-amz-copy-source` as S3 does. s3rver's own leaves some characters encoded, such as `+` and
 * `?`, and then copies the object of another key. The signature is verified by then.
 */
export function readCopySources(): void {
  for (const operation of ['putObjectCopy', 'uploadPartCopy'] as const) {
    const run = objectController[operation]
    objectController[operation] = async (ctx) => {
      const source = String(ctx.req.headers['x-amz-copy-source'])
      ctx.req.headers['x-amz-copy-source'] = encodeURI(decodeURIComponent(source))
      await run(ctx)
    }
  }
}
