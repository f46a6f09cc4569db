import * as z from 'zod/mini'
import { requireKey, requireScope } from '../access/principal.ts'
import type { AppContext } from '../http/app-env.ts'
import { chooseOpenBucket } from '../http/choose-bucket.ts'
import {
  bucket,
  digits,
  expiresIn,
  forEachKey,
  keyList,
  MAX_KEYS_BODY_BYTES,
  usually,
} from '../http/fields.ts'
import { newApp } from '../http/new-app.ts'
import { json } from '../http/responses.ts'
import { keyParam, validateJson, validateQuery } from '../http/validate.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { askToDownload } from './ask-app.ts'
import {
  type DownloadRequest,
  type DownloadUrl,
  downloadSigner,
  downloadUrl,
  MAX_DOWNLOAD_NAME_LENGTH,
  MAX_VERSION_ID_LENGTH,
  VERSION_ID,
} from './download-url.ts'

const flag = z.pipe(
  z.optional(z.enum(['true', 'false'])),
  z.transform((value) => value === 'true'),
)

/** What a download URL is for. */
export const downloadUse = z.enum(['view', 'stream', 'email'])

const urlSchema = z.strictObject({
  use: usually(downloadUse, 'view'),
  expiresIn: z.optional(digits),
  download: z.optional(z.string().check(z.minLength(1), z.maxLength(MAX_DOWNLOAD_NAME_LENGTH))),
  inline: flag,
  stable: flag,
  versionId: z.optional(
    z
      .string()
      .check(
        z.maxLength(MAX_VERSION_ID_LENGTH),
        z.regex(VERSION_ID, 'must be the id of a version'),
      ),
  ),
  bucket,
})

const urlsSchema = z.strictObject({
  keys: keyList,
  use: usually(downloadUse, 'view'),
  expiresIn,
  bucket,
})

/** The file of a download URL for the caller. `bucket` is an alias, by default the caller's first one. */
export interface CallerDownload extends DownloadRequest {
  readonly bucket?: string | undefined
}

/** Returns a signed GET URL for the caller, as `GET /files/:key/url`, even of a missing object. */
export async function signDownload(
  c: AppContext,
  key: ObjectKey,
  request: CallerDownload,
): Promise<DownloadUrl> {
  requireKey(c.get('principal'), 'files:read', key)
  const opened = chooseOpenBucket(c, request.bucket, key)
  // Waits only for a promise, since each `await` costs as much as the rest of this function.
  const bucket = opened instanceof Promise ? await opened : opened
  const asked = askToDownload(c, bucket, key, 'url')
  if (asked) await asked
  return downloadUrl(bucket, key, request, new Date())
}

/** Download URLs, for one file and for many. */
export const downloadUrlRoutes = newApp()
  .get('/files/:key/url', validateQuery(urlSchema), (c) =>
    signDownload(c, keyParam(c), c.req.valid('query')).then((signed) => json(c, signed)),
  )
  .post('/files/urls', validateJson(urlsSchema, MAX_KEYS_BODY_BYTES), async (c) => {
    const { keys, bucket: alias, ...request } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'files:read')
    const bucket = await chooseOpenBucket(c, alias, null)
    const { urlOf, expiresIn, expiresAt } = downloadSigner(bucket, request, new Date())
    const urls = await forEachKey(bucket, keys, async (key) => {
      requireKey(principal, 'files:read', key)
      await askToDownload(c, bucket, key, 'url')
      return { key, url: await urlOf(key) }
    })
    return json(c, { urls, expiresIn, expiresAt })
  })
