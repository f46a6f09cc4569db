import * as z from 'zod/mini'
import { MAX_LINK_SECONDS, MAX_SIGNATURE_SECONDS, MAX_UPLOAD_SECONDS } from '../../bucket/limits.ts'
import { sound } from './checks.ts'

/** At least two seconds: a stable URL, and a link, live for half of it. */
const seconds = (max: number) => z.optional(z.int().check(z.minimum(2), z.maximum(max)))

function endpointFault(value: string): string | null {
  if (!URL.canParse(value)) return 'must be a URL'
  const url = new URL(value)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return 'must start with https:// or http://'
  if (url.username !== '' || url.password !== '' || value.includes('?') || value.includes('#'))
    return 'must have no user name, password, query or fragment'
  if (!/^[A-Za-z0-9/_.~-]*$/.test(url.pathname)) return 'must have a plain path or none'
  return null
}

interface Address {
  readonly addressing: 'path' | 'virtual'
  readonly endpoint: string
  readonly bucket: string
}

function addressingFault({ addressing, endpoint, bucket }: Address): string | null {
  if (addressing === 'path') return null
  if (!/^[a-z0-9-]+$/.test(bucket))
    return 'addressing "virtual" needs a bucket name of a-z, 0-9 and "-": use "path"'
  if (!URL.canParse(endpoint)) return null
  const { protocol, host } = new URL(endpoint)
  // No URL has a host such as "files.127.0.0.1".
  return URL.canParse(`${protocol}//${bucket}.${host}`)
    ? null
    : 'addressing "virtual" can\'t put this bucket in front of this host: use "path"'
}

/**
 * A name, never the access key id itself, which an issue about a missing secret would then show.
 */
const credentialsName = z
  .string()
  .check(
    z.regex(/^(?!(?:AKIA|ASIA)[A-Z0-9]{12,})[A-Z][A-Z0-9_]{0,63}$/, 'must be a name in capitals'),
  )

const bucketSchema = z
  .strictObject({
    endpoint: z.string().check(sound(endpointFault)),
    region: z.string().check(z.regex(/^[a-z0-9-]{1,64}$/, 'must be a region name, or "auto"')),
    bucket: z
      .string()
      .check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/, 'must be the name of a bucket')),
    addressing: z._default(z.enum(['path', 'virtual']), 'path'),
    credentials: credentialsName,
    uploadCredentials: z.optional(credentialsName),
    maxBytes: z.optional(z.int().check(z.minimum(1))),
    postUploads: z.optional(z.boolean()),
    normalizesKeys: z.optional(z.boolean()),
    conditionalComplete: z.optional(z.boolean()),
    allowedTypes: z.optional(
      z
        .array(
          z
            .string()
            .check(
              z.regex(/^[\w!#$&^.+-]+\/(\*|[\w!#$&^.+-]+)$/, 'must be "type/subtype" or "type/*"'),
            ),
        )
        .check(z.minLength(1)),
    ),
    maxExpiresIn: z.optional(
      z.strictObject({
        upload: seconds(MAX_UPLOAD_SECONDS),
        view: seconds(MAX_SIGNATURE_SECONDS),
        stream: seconds(MAX_SIGNATURE_SECONDS),
        email: seconds(MAX_SIGNATURE_SECONDS),
        link: seconds(MAX_LINK_SECONDS),
      }),
    ),
    edgeTtl: z._default(z.int().check(z.minimum(0), z.maximum(MAX_LINK_SECONDS)), 86_400),
    crossOriginResourcePolicy: z._default(
      z.enum(['cross-origin', 'same-site', 'same-origin']),
      'cross-origin',
    ),
  })
  .check(sound(addressingFault))

/** `BUCKETS`: tables by alias. */
export const bucketsSchema = z
  .record(
    // Objects put names that are numbers first, whatever the order of the tables.
    z
      .string()
      .check(
        z.regex(
          /^(?!\d+$)[a-z0-9][a-z0-9-]{0,31}$/,
          'must be an alias of a-z, 0-9 and "-", and no number',
        ),
      ),
    bucketSchema,
  )
  .check(
    sound((buckets) =>
      Object.keys(buckets).length === 0 ? 'must name at least one bucket' : null,
    ),
  )

/** Access keys of one `credentials` name: `S3` reads `S3_ACCESS_KEY_ID` and so on. */
export const credentialsSchema = z.object({
  ACCESS_KEY_ID: z.string().check(z.minLength(1)),
  SECRET_ACCESS_KEY: z.string().check(z.minLength(1)),
  SESSION_TOKEN: z.optional(z.string().check(z.minLength(1))),
  CREDENTIAL_EXPIRATION: z.optional(z.iso.datetime({ offset: true })),
})

export type BucketTable = z.infer<typeof bucketSchema>
