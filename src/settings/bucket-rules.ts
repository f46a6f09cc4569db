import type { Bucket, Credentials } from '../bucket/bucket.ts'
import { MAX_LINK_SECONDS, MAX_SIGNATURE_SECONDS, MAX_UPLOAD_SECONDS } from '../bucket/limits.ts'
import {
  also,
  BROKEN,
  breaks,
  entries,
  flag,
  into,
  list,
  matching,
  oneOf,
  optional,
  type Rule,
  table,
  text,
  whole,
} from './rules.ts'

/** At least two seconds: a stable URL, and a link, live for half of it. */
const seconds = (max: number) => optional(whole(2, max), max)

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

/** Providers whose hosts may start with the name of a bucket, which their dashboards show so. */
const PROVIDER =
  /\.(?:amazonaws|r2\.cloudflarestorage|backblazeb2|wasabisys|digitaloceanspaces)\.com(?:\.cn)?$/

/** What a dashboard shows as the URL of a bucket is an endpoint and the name of the bucket. */
function endpointHoldsBucket({ endpoint, bucket }: Address): boolean {
  const { hostname, pathname } = new URL(endpoint)
  const inHost = `${bucket.toLowerCase()}.`
  return (
    (PROVIDER.test(hostname) && pathname.replace(/\/$/, '').endsWith(`/${bucket}`)) ||
    (hostname.startsWith(inHost) && PROVIDER.test(hostname.slice(inHost.length)))
  )
}

function addressingFault(address: Address): string | null {
  const { addressing, endpoint, bucket } = address
  if (endpointHoldsBucket(address))
    return 'names the bucket in its endpoint too: leave it out there, or files land in a folder of that name'
  if (bucket === 'my-bucket' && new URL(endpoint).hostname.endsWith('.amazonaws.com'))
    return 'still has the placeholder "my-bucket": put the name of your bucket there'
  if (addressing === 'path') return null
  if (!/^[a-z0-9-]+$/.test(bucket))
    return 'addressing "virtual" needs a bucket name of a-z, 0-9 and "-": use "path"'
  const { protocol, host } = new URL(endpoint)
  // No URL has a host such as "files.127.0.0.1".
  return URL.canParse(`${protocol}//${bucket}.${host}`)
    ? null
    : 'addressing "virtual" can\'t put this bucket in front of this host: use "path"'
}

/** Hosts of Cloudflare R2 and Backblaze B2, which know no POST policies. */
const WITHOUT_POST_UPLOADS = /\.(?:r2\.cloudflarestorage|backblazeb2)\.com(?::\d+)?$/i
/** Hosts of Cloudflare R2, which stores keys in Unicode NFC. */
const NORMALIZES_KEYS = /\.r2\.cloudflarestorage\.com\.?(?::\d+)?$/i
/** Hosts of AWS S3, which honours If-None-Match in CompleteMultipartUpload. */
const WITH_CONDITIONAL_COMPLETE = /\.amazonaws\.com(?:\.cn)?(?::\d+)?$/i

const ALLOWED_TYPE = /^[\w!#$&^.+-]+\/(\*|[\w!#$&^.+-]+)$/

const bucketRule = (alias: string, credentials: Rule<Credentials>): Rule<Bucket> =>
  into(
    also(
      table({
        endpoint: text(endpointFault),
        region: matching(/^[a-z0-9-]{1,64}$/, 'must be a region name, or "auto"'),
        bucket: matching(/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/, 'must be the name of a bucket'),
        addressing: optional(oneOf('path', 'virtual'), 'path' as const),
        credentials,
        uploadCredentials: optional(credentials),
        maxBytes: optional(whole(1, Number.MAX_SAFE_INTEGER), null),
        postUploads: optional(flag),
        normalizesKeys: optional(flag),
        conditionalComplete: optional(flag),
        allowedTypes: optional(
          into(list(matching(ALLOWED_TYPE, 'must be "type/subtype" or "type/*"'), 1), (types) =>
            types.map((type) => type.toLowerCase()),
          ),
          null,
        ),
        maxExpiresIn: (value, place) => maxExpiresInRule(value ?? {}, place),
        edgeTtl: optional(whole(0, MAX_LINK_SECONDS), 86_400),
        crossOriginResourcePolicy: optional(
          oneOf('cross-origin', 'same-site', 'same-origin'),
          'cross-origin' as const,
        ),
      }),
      addressingFault,
    ),
    ({ endpoint, bucket: name, addressing, edgeTtl, ...given }): Bucket => {
      const { protocol, host, pathname } = new URL(endpoint)
      const endpointPath = pathname.endsWith('/') ? pathname : `${pathname}/`
      const inHost = addressing === 'virtual'
      return {
        ...given,
        alias,
        name,
        origin: inHost ? `${protocol}//${name}.${host}` : `${protocol}//${host}`,
        basePath: inHost ? endpointPath : `${endpointPath}${name}/`,
        uploadCredentials: given.uploadCredentials ?? given.credentials,
        postUploads: given.postUploads ?? !WITHOUT_POST_UPLOADS.test(host),
        normalizesKeys: given.normalizesKeys ?? NORMALIZES_KEYS.test(host),
        conditionalComplete: given.conditionalComplete ?? WITH_CONDITIONAL_COMPLETE.test(host),
        edgeTtlSeconds: edgeTtl,
      }
    },
  )

const maxExpiresInRule = table({
  upload: seconds(MAX_UPLOAD_SECONDS),
  view: seconds(MAX_SIGNATURE_SECONDS),
  stream: seconds(MAX_SIGNATURE_SECONDS),
  email: seconds(MAX_SIGNATURE_SECONDS),
  link: seconds(MAX_LINK_SECONDS),
})

/** Buckets by alias, whose `credentials` are as that rule takes them. */
export const bucketsRule = (credentials: Rule<Credentials>): Rule<[Bucket, ...Bucket[]]> => {
  const named = entries<Bucket>(
    // Objects put names that are numbers first, whatever the order of the tables.
    (alias) =>
      /^(?!\d+$)[a-z0-9][a-z0-9-]{0,31}$/.test(alias)
        ? null
        : 'must be an alias of a-z, 0-9 and "-", and no number',
    (alias) => bucketRule(alias, credentials),
  )
  return (value, place) => {
    const buckets = named(value, place)
    if (buckets === BROKEN) return BROKEN
    const [first, ...others] = buckets
    return first === undefined ? breaks(place, 'must name at least one bucket') : [first, ...others]
  }
}
