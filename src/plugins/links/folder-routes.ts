import * as z from 'zod/mini'
import { requirePrefix, requireScope } from '../../access/principal.ts'
import { askToDownload } from '../../core/ask-app.ts'
import { ApiError } from '../../errors/api-error.ts'
import { chooseBucket } from '../../http/choose-bucket.ts'
import { bucket, expiresIn } from '../../http/fields.ts'
import { linkBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson } from '../../http/validate.ts'
import { keyPrefixError, parseObjectKey } from '../../keys/object-key.ts'
import { signFolder, verifyInFolder } from './folder.ts'
import { restricted } from './restrictions.ts'
import { deliver, expiryOf, refuseLink, restrictionsOf } from './routes.ts'

const folderSchema = z.strictObject({
  ...restricted,
  prefix: z.string(),
  expiresIn,
  bucket,
})

/** Creates links to all files in a folder, for players and galleries with relative addresses. */
export const folderRoutes = newApp().post(
  '/links/folder',
  validateJson(folderSchema),
  async (c) => {
    const principal = c.get('principal')
    const { prefix: given, expiresIn, bucket: alias, ...asked } = c.req.valid('json')
    requireScope(principal, 'links:create')
    requireScope(principal, 'files:read')
    const error = given.includes('\\') ? 'A folder must not contain "\\".' : keyPrefixError(given)
    if (error !== null) throw new ApiError('invalid_key', error)
    const prefix = parseObjectKey(given)
    requirePrefix(principal, prefix)
    const bucket = chooseBucket(c, alias, prefix)
    const restrictions = restrictionsOf(principal, 'stream', asked)
    const base = linkBase(c)
    const expires = expiryOf(bucket, expiresIn, asked)
    await askToDownload(c, bucket, prefix, 'folder')
    const folder = { bucket: bucket.alias, prefix, expires, restrictions }
    const path = await signFolder(folder, c.get('settings'))
    return json(c, { base: base + path, expiresAt: new Date(expires * 1000).toISOString() })
  },
)

/** Serves every file of a folder link. The token in the path is the credential. */
export const folderDeliveryRoutes = newApp()
  .get('/f/:token/:key', (c) =>
    deliver(c, ({ path }, settings, now) => {
      const { token, key } = c.req.param()
      // `search` is also empty for a URL that ends with a question mark.
      const spelled = c.req.url.includes('?') ? '' : path
      return verifyInFolder(spelled, token, key, settings, now)
    }),
  )
  .all('/f/*', refuseLink)
