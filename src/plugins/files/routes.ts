import * as z from 'zod/mini'
import { cursorsOf } from '../../access/cursor.ts'
import { requireKey, requirePrefix, requireScope } from '../../access/principal.ts'
import { provesUpload } from '../../access/upload-proof.ts'
import type { Bucket, ConfiguredBucket } from '../../bucket/bucket.ts'
import { requireSpelling } from '../../bucket/key-spelling.ts'
import { MAX_KEYS } from '../../bucket/limits.ts'
import { Allowance } from '../../core/allowance.ts'
import { placeOf, recordBody } from '../../core/announce.ts'
import { askToDownload } from '../../core/ask-app.ts'
import { type DownloadSigner, downloadSigner } from '../../core/download-url.ts'
import { downloadUse } from '../../core/download-urls.ts'
import { purgeReplaced } from '../../core/purge.ts'
import { type Claim, findFile, type Recorded, recordUpload } from '../../core/record.ts'
import { removeAll, warnOfFailures } from '../../core/remove.ts'
import { ApiError } from '../../errors/api-error.ts'
import { type AppContext, Kept } from '../../http/app-env.ts'
import { chooseBucket, chooseOpenBucket, withCredentials } from '../../http/choose-bucket.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import {
  bucket,
  digits,
  fileName,
  forEachKey,
  itemError,
  MAX_FILES,
  MAX_KEYS_BODY_BYTES,
  refusedKey,
  usually,
} from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { countPrincipal } from '../../http/rate-limit.ts'
import { addWarning } from '../../http/request-log.ts'
import { created, json } from '../../http/responses.ts'
import {
  forEachFile,
  keyParam,
  validateFiles,
  validateJson,
  validateQuery,
} from '../../http/validate.ts'
import { requireFileName } from '../../keys/file-name.ts'
import { isNewObjectKey, nameInKey } from '../../keys/new-key.ts'
import { type ObjectKey, parseKeyStart, parseObjectKey } from '../../keys/object-key.ts'
import { noFileIndex } from '../../records/file-index.ts'
import type { AnsweredPage } from '../../records/file-query.ts'
import type { FileRecord } from '../../records/file-record.ts'
import type { ObjectHead } from '../../storage/object.ts'
import { unquoted } from '../../storage/s3.ts'
import { groupBy, question, questionText, requireAnswers } from './query.ts'
import { renameFile } from './rename.ts'

const etag = z.optional(z.string().check(z.minLength(1), z.maxLength(255)))

const upToMaxFiles = <Of extends z.ZodMiniType>(of: Of) =>
  z.optional(z.array(of).check(z.minLength(1), z.maxLength(MAX_FILES)))

const deleteSchema = z
  .strictObject({
    keys: upToMaxFiles(z.string()),
    files: upToMaxFiles(z.strictObject({ key: z.string(), etag })),
    bucket,
  })
  .check(
    z.refine(({ keys, files }) => keys !== undefined || files !== undefined, {
      path: ['keys'],
      error: 'is missing',
    }),
    z.refine(({ keys = [], files = [] }) => keys.length + files.length <= MAX_FILES, {
      path: ['files'],
      error: `must have at most ${MAX_FILES} items together with keys`,
    }),
  )

const renameSchema = z.strictObject({ name: fileName, bucket })

const record = {
  key: z.string(),
  name: z.optional(fileName),
  etag,
}

const recordSchema = z.strictObject({ ...record, bucket })

const oneOfRecords = z.strictObject(record)

/** Each needs two requests to the bucket, unless its object is gone. Cloudflare's free plan allows 50 in all. */
const MAX_RECORDS = 20

/** Requests to the bucket for the files that one call deletes only with an ETag. */
export const REQUESTS = new Kept<number>()
export const DEFAULT_REQUESTS = 45

const listSchema = z.strictObject({
  prefix: z.optional(z.string()),
  limit: z.pipe(usually(digits, 100), z.int().check(z.minimum(1), z.maximum(MAX_KEYS))),
  cursor: z.optional(z.string()),
  urls: z.optional(downloadUse),
  bucket,
  ...question,
})

const statsSchema = z.strictObject({ prefix: z.optional(z.string()), groupBy, bucket })

const bucketSchema = z.strictObject({ bucket })

/** The index of what was uploaded. */
export const fileRoutes = newApp()
  .post('/files', validateJson(recordSchema), async (c) => {
    const { bucket: alias, ...request } = c.req.valid('json')
    const key = parseObjectKey(request.key)
    requireKey(c.get('principal'), 'files:upload', key)
    const bucket = await chooseOpenBucket(c, alias, key)
    const recorded = await recordObject(c, bucket, { ...request, key })
    if (mayReplace(c, key, recorded)) await purgeReplaced(c, bucket, [key])
    return created(c, recordBody(recorded))
  })
  .post('/files/batch', validateFiles(oneOfRecords, MAX_RECORDS, { bucket }), async (c) => {
    const { files, bucket: alias } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'files:upload')
    const bucket = await chooseOpenBucket(c, alias, null)
    const accepted = new Set<ObjectKey>()
    const replaced: ObjectKey[] = []
    const failures: unknown[] = []
    const recorded = await forEachFile(oneOfRecords, files, async (file) => {
      const key = parseObjectKey(file.key)
      requireKey(principal, 'files:upload', key)
      requireSpelling(bucket, key)
      if (accepted.has(key)) throw new ApiError('invalid_request', 'This key appears twice.')
      accepted.add(key)
      try {
        // The rate limit has counted the first one with the request.
        if (accepted.size > 1) await countPrincipal(c, principal)
        const one = await recordObject(c, bucket, { ...file, key }, keepsHead())
        if (mayReplace(c, key, one)) replaced.push(key)
        return recordBody(one)
      } catch (error) {
        failures.push(error)
        throw error
      }
    })
    warnOfFailures(c, 'recorded', failures)
    if (replaced.length > 0) await purgeReplaced(c, bucket, replaced)
    return json(c, { files: recorded })
  })
  .get('/files', validateQuery(listSchema), async (c) => {
    const { bucket: alias, limit, cursor, urls, prefix: asked, ...rest } = c.req.valid('query')
    const principal = c.get('principal')
    const prefix = listedPrefix(c, asked)
    if (urls !== undefined) requireScope(principal, 'files:read')
    const bucket = chooseBucket(c, alias, prefix)
    const text = questionText(rest)
    const index = fileIndexOf(c)
    const answers = text === undefined ? undefined : requireAnswers(index)
    const list = ['files', bucket.alias, prefix, text ?? '']
    const cursors = cursorsOf(c.get('settings'), list, z.string())
    const input = { bucket: bucket.alias, prefix, limit, cursor: await cursors.open(cursor) }
    const page: AnsweredPage = await (answers?.find({ ...input, ...rest }) ?? index.list(input))
    if (page.unreadable > 0) addWarning(c, `index entries unreadable: ${page.unreadable}`)
    const signer =
      urls && downloadSigner(await withCredentials(c, bucket), { use: urls }, new Date())
    return json(c, {
      files: signer ? await withUrls(c, bucket, page.records, signer) : page.records,
      folders: page.folders,
      ...(await cursors.seal(page.cursor)),
    })
  })
  .get('/stats', validateQuery(statsSchema), async (c) => {
    const { bucket: alias, prefix: asked, groupBy } = c.req.valid('query')
    const prefix = listedPrefix(c, asked)
    const bucket = chooseBucket(c, alias, prefix).alias
    const answers = requireAnswers(fileIndexOf(c))
    return json(c, await answers.stats({ bucket, prefix, groupBy }))
  })
  .get('/files/:key', validateQuery(bucketSchema), async (c) => {
    const key = keyParam(c)
    requireKey(c.get('principal'), 'files:read', key)
    const bucket = await chooseOpenBucket(c, c.req.valid('query').bucket, key)
    return json(c, await findFile(bucket, fileIndexOf(c), key, timeOf(c)))
  })
  .patch('/files/:key', validateJson(renameSchema), async (c) => {
    const { name, bucket: alias } = c.req.valid('json')
    const key = keyParam(c)
    const principal = c.get('principal')
    requireKey(principal, 'files:upload', key)
    const bucket = await chooseOpenBucket(c, alias, key)
    requireFileName(name)
    const owner = principal.scopes.includes('files:delete') ? null : principal.id
    return json(c, await renameFile(placeOf(c, bucket), key, name, owner))
  })
  .post('/files/delete', validateJson(deleteSchema, MAX_KEYS_BODY_BYTES), async (c) => {
    const { keys = [], files = [], bucket: alias } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'files:delete')
    const bucket = await chooseOpenBucket(c, alias, null)
    const accepted = new Map<ObjectKey, string | undefined>()
    const allowance = new Allowance(REQUESTS.of(c.env.instance) ?? DEFAULT_REQUESTS)
    const etags = [...keys.map(() => undefined), ...files.map(({ etag }) => etag)]
    const given = [...keys, ...files.map(({ key }) => key)]
    const checked = await forEachKey(bucket, given, async (key, i) => {
      requireKey(principal, 'files:delete', key)
      const etag = etags[i]
      if (accepted.has(key) && (etag !== undefined || accepted.get(key) !== undefined))
        throw new ApiError('invalid_request', 'This key appears twice.')
      if (etag !== undefined && !allowance.take(isNewObjectKey(key) ? 2 : 4)) throw isFull()
      accepted.set(key, etag)
      return { key }
    })
    const failures = await removeAll(
      c,
      bucket,
      Array.from(accepted, ([key, etag]) => ({ key, etag })),
    )
    warnOfFailures(c, 'deleted', [...failures.values()])
    const deleted = checked.map((one) => {
      const failure = failures.get(one.key)
      return failure === undefined ? one : refusedKey(one.key, failure)
    })
    return json(c, { deleted })
  })
  .delete('/files/:key', validateQuery(z.strictObject({ etag, bucket })), async (c) => {
    const key = keyParam(c)
    const { etag, bucket: alias } = c.req.valid('query')
    requireKey(c.get('principal'), 'files:delete', key)
    const bucket = await chooseOpenBucket(c, alias, key)
    const failures = await removeAll(c, bucket, [{ key, etag }])
    if (failures.has(key)) throw failures.get(key)
    return c.body(null, 204)
  })

const isFull = (): ApiError =>
  new ApiError('unavailable', 'This call had no time left for this file. Send it again.', {
    reason: 'storage',
    retryAfterSeconds: 1,
  })

/** Returns the prefix of a list. Throws `invalid_key`, and `forbidden` outside the caller's prefix. */
function listedPrefix(c: AppContext, asked: string | undefined): string {
  const principal = c.get('principal')
  const prefix = parseKeyStart(asked ?? principal.prefix)
  requireScope(principal, 'files:list')
  requirePrefix(principal, prefix)
  return prefix
}

/** Returns the records with their URLs. One that the app refuses has an `error` instead. */
const withUrls = (
  c: AppContext,
  bucket: ConfiguredBucket,
  records: readonly FileRecord[],
  { urlOf }: DownloadSigner,
) =>
  Promise.all(
    records.map(async (record) => {
      try {
        await askToDownload(c, bucket, record.key, 'url')
        return { ...record, url: await urlOf(record.key) }
      } catch (error) {
        return { ...record, error: itemError(error) }
      }
    }),
  )

/** Records the object that a caller names, if `isExpected` accepts it. Throws what `recordUpload` throws. */
function recordObject(
  c: AppContext,
  bucket: Bucket,
  {
    key,
    name = nameInKey(key),
    etag,
  }: Omit<z.output<typeof oneOfRecords>, 'key'> & { readonly key: ObjectKey },
  isExpected: (head: ObjectHead) => boolean = () => true,
): Promise<Recorded> {
  requireFileName(name)
  const principal = c.get('principal')
  const upload = {
    key,
    name,
    owner: principal.id,
    isExpected: (head: ObjectHead) =>
      (etag === undefined || unquoted(etag) === unquoted(head.etag)) && isExpected(head),
    claim: (head: ObjectHead | null) => claimOf(c, bucket, key, head),
  }
  return recordUpload(placeOf(c, bucket), upload)
}

/** Tells whether a link may show an earlier object. Without an index, nobody knows of any. */
const mayReplace = (c: AppContext, key: ObjectKey, { replaces }: Recorded): boolean =>
  replaces || (c.env.instance.fileIndex === noFileIndex && !isNewObjectKey(key))

/** Accepts only the first upload it sees: a replaced one is `file_replaced`, without requests. */
function keepsHead(): (head: ObjectHead) => boolean {
  let first: string | undefined
  return ({ etag, lastModified }) => {
    const seen = `${etag} ${lastModified.getTime()}`
    first ??= seen
    return first === seen
  }
}

/**
 * Returns what a caller who only names a key may record, or null if the object proves that the app
 * chose this key for an upload of theirs. Throws `forbidden` for another key that the Worker did not
 * make, unless the caller may choose keys, or record everything.
 */
async function claimOf(
  c: AppContext,
  bucket: Bucket,
  key: ObjectKey,
  head: ObjectHead | null,
): Promise<Claim | null> {
  const principal = c.get('principal')
  const { id: owner, scopes, limits } = principal
  const isNamed = isNewObjectKey(key)
  const isOnce = c.get('writeOnce') !== undefined
  const upload = { bucket: bucket.alias, key, owner }
  const isProven =
    (!isNamed || isOnce) && (await provesUpload(c.get('settings'), upload, head?.mark))
  if (isProven) return isOnce ? { ofOthers: false, limits: bucket } : null
  // The same for a missing object, so that nobody learns which keys have one.
  if (isOnce && (head !== null || !isNamed))
    throw new ApiError('forbidden', 'This object is not the one of your upload.')
  const ofOthers = scopes.includes('files:read') && scopes.includes('files:record')
  if (!ofOthers && !isNamed) requireScope(principal, 'keys:choose')
  // The limits of a bucket are for uploads. What is there already may exceed them.
  return { ofOthers, limits: ofOthers ? limits : bucket }
}
