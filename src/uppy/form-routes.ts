import { openFormPolicy } from '../access/form-policy.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { configure } from '../http/admit.ts'
import type { AppContext } from '../http/app-env.ts'
import { chooseBucket } from '../http/choose-bucket.ts'
import { newApp } from '../http/new-app.ts'
import { countRequest } from '../http/rate-limit.ts'
import { tellRecorded } from '../http/uploads.ts'
import { checkUrl } from '../http/validate.ts'
import { parseObjectKey } from '../keys/object-key.ts'
import { objectUrl } from '../signing/object-url.ts'
import { putObject } from '../storage/object.ts'
import { escapeXml } from '../storage/xml.ts'
import { recordUpload } from '../uploads/record.ts'
import { metadataHeaders } from '../uploads/signed-headers.ts'
import { requireBytes } from '../uploads/size-limit.ts'
import { uppyDialect } from './dialect.ts'
import { readForm } from './form-body.ts'

const PATH = '/s3/form'
const METADATA = 'x-amz-meta-'

type Fields = Readonly<Record<string, string>>

/** Returns the URL that accepts forms for a bucket whose server doesn't support them. */
export const formUrl = (c: AppContext): string =>
  new URL(c.req.url).origin + c.env.host.mountPath + PATH

/**
 * S3 PostObject for a bucket whose server lacks it. The file passes through the Worker and is
 * recorded. The policy in the form is the credential. The response is the same as S3's.
 */
export const formRoutes = newApp()
  .use(PATH, uppyDialect)
  .post(PATH, async (c) => {
    checkUrl(c.req.url)
    const settings = await configure(c)
    const now = new Date()
    const { fields, file } = await readForm(c.req.raw)
    const policy = await openFormPolicy(settings, fields.get('policy') ?? '', now)
    const owner = { id: policy.owner, scopes: [], prefix: '', expiresAt: now.getTime() }
    c.set('principal', owner)
    await countRequest(c, `principal ${owner.id}`)
    requireFields(fields, policy.fields)
    const key = parseObjectKey(policy.fields.key)
    const bucket = chooseBucket(c, policy.bucket, key)
    requireBytes(file.size, bucket, policy.maxBytes)

    const etag = await putObject(bucket, key, file, objectHeaders(policy.fields), now)
    const request = { key, name: policy.name, owner: owner.id }
    await tellRecorded(c, await recordUpload(bucket, c.env.instance.fileIndex, request, now))
    const location = objectUrl(bucket.publicAddress, key).href
    return new Response(postResponse(bucket, key, location, etag), {
      status: 201,
      headers: { 'Content-Type': 'application/xml', ETag: etag, Location: location },
    })
  })

/**
 * Throws `forbidden` unless `fields` are exactly the fields of the policy, and the policy itself.
 */
function requireFields(fields: ReadonlyMap<string, string>, allowed: Fields): void {
  for (const [name, value] of Object.entries(allowed))
    if (fields.get(name) !== value) throw mismatch(name)
  for (const name of fields.keys())
    if (name !== 'policy' && !Object.hasOwn(allowed, name)) throw mismatch(name)
}

const mismatch = (field: string): ApiError =>
  new ApiError('forbidden', 'A field of the form differs from its policy.', {
    issues: [{ path: field.slice(0, 64), message: 'must be sent as it was returned' }],
  })

/** Returns the headers of the object from the fields of a form. */
function objectHeaders(fields: Fields): Record<string, string> {
  const type = fields['content-type']
  const metadata = Object.entries(fields).flatMap(([name, value]) =>
    name.startsWith(METADATA) ? [[name.slice(METADATA.length), value]] : [],
  )
  return {
    ...(type === undefined ? {} : { 'Content-Type': type }),
    ...metadataHeaders(Object.fromEntries(metadata)),
  }
}

const postResponse = ({ name }: Bucket, key: string, location: string, etag: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>
<PostResponse><Location>${escapeXml(location)}</Location><Bucket>${escapeXml(name)}</Bucket><Key>${escapeXml(key)}</Key><ETag>${escapeXml(etag)}</ETag></PostResponse>`
