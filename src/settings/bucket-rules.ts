import { ALLOWED_TYPE } from '../access/limits.ts'
import type { Address, Bucket, BucketWith, SecondsByUse } from '../bucket/bucket.ts'
import { MAX_LINK_SECONDS, MAX_SIGNATURE_SECONDS, MAX_UPLOAD_SECONDS } from '../bucket/limits.ts'
import { keyPrefixError } from '../keys/object-key.ts'
import type { Context, Rule } from './rules.ts'
import * as r from './rules.ts'
import { type BucketHeaders, uploadHeadersRule } from './upload-headers-rule.ts'

type UrlUse = keyof SecondsByUse

/** The default lifetime of each use in seconds, and the longest one. */
const LIFETIMES: Readonly<Record<UrlUse, readonly [number, number]>> = {
  upload: [5 * 60, MAX_UPLOAD_SECONDS],
  view: [15 * 60, MAX_SIGNATURE_SECONDS],
  stream: [2 * 60 * 60, MAX_SIGNATURE_SECONDS],
  email: [48 * 60 * 60, MAX_SIGNATURE_SECONDS],
  link: [24 * 60 * 60, MAX_LINK_SECONDS],
}
const USES = Object.keys(LIFETIMES) as UrlUse[]

/** Accepts a lifetime for each use, as `rule` accepts it. */
const secondsRule = (rule: (use: UrlUse, usual: number, longest: number) => Rule<number>) => {
  const rules = USES.map((use) => [use, rule(use, ...LIFETIMES[use])])
  const seconds = r.table(Object.fromEntries(rules) as Record<UrlUse, Rule<number>>)
  return (value: unknown, context: Context) => seconds(value ?? {}, context)
}

/** Returns the maximum of a default. A link is valid for up to two of its lifetimes. */
const half = (use: UrlUse, max: number): number => (use === 'link' ? Math.floor(max / 2) : max)

function endpointError(value: string): string | null {
  if (!URL.canParse(value)) return 'must be a URL, such as https://s3.eu-central-1.amazonaws.com'
  const url = new URL(value)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return 'must start with https:// or http://'
  if (url.username !== '' || url.password !== '' || value.includes('?') || value.includes('#'))
    return 'must have no user name, password, query or fragment'
  if (!/^[A-Za-z0-9/_.~-]*$/.test(url.pathname))
    return 'must have a path of a-z, 0-9 and "/_.~-", or none'
  return null
}

/** The members that must be consistent for a bucket's address. */
interface Addressed {
  readonly addressing: 'path' | 'virtual'
  readonly endpoint: string
  readonly publicEndpoint?: string | undefined
  readonly bucket: string
}

/** Providers whose dashboards show URLs with the bucket name in the host. */
const PROVIDER =
  /\.(?:amazonaws|r2\.cloudflarestorage|backblazeb2|wasabisys|digitaloceanspaces)\.com(?:\.cn)?$/

/** Tells whether the endpoint contains the bucket name, as in the URLs that dashboards show. */
function holdsBucket(endpoint: string, bucket: string): boolean {
  const { hostname, pathname } = new URL(endpoint)
  const inHost = `${bucket.toLowerCase()}.`
  return (
    (PROVIDER.test(hostname) && pathname.replace(/\/$/, '').endsWith(`/${bucket}`)) ||
    (hostname.startsWith(inHost) && PROVIDER.test(hostname.slice(inHost.length)))
  )
}

function addressingError({ endpoint, publicEndpoint, ...bucket }: Addressed): string | null {
  return (
    endpointMismatch('endpoint', endpoint, bucket) ??
    (publicEndpoint ? endpointMismatch('publicEndpoint', publicEndpoint, bucket) : null)
  )
}

/** Returns why `endpoint`, the member called `name`, doesn't match the bucket, or null. */
function endpointMismatch(
  name: string,
  endpoint: string,
  { addressing, bucket }: Pick<Addressed, 'addressing' | 'bucket'>,
): string | null {
  const { protocol, host, hostname } = new URL(endpoint)
  if (holdsBucket(endpoint, bucket))
    return `has the bucket name in its ${name}. Remove it there, or files go into a folder with that name`
  if (bucket === 'my-bucket' && hostname.endsWith('.amazonaws.com'))
    return 'still has the placeholder "my-bucket". Replace it with the name of your bucket'
  if (addressing === 'path') return null
  if (!/^[a-z0-9-]+$/.test(bucket))
    return 'needs a bucket name of a-z, 0-9 and "-" for addressing "virtual". Use "path"'
  // A host such as "files.127.0.0.1" is invalid.
  return URL.canParse(`${protocol}//${bucket}.${host}`)
    ? null
    : `can't use addressing "virtual" with the host of its ${name}. Use "path"`
}

/** Returns why a default is invalid, or null. One above the maximum would be cut silently. */
function lifetimeError({
  maxExpiresIn,
  defaultExpiresIn,
}: Pick<Bucket, 'maxExpiresIn' | 'defaultExpiresIn'>): string | null {
  for (const use of USES) {
    const max = half(use, maxExpiresIn[use])
    const seconds = defaultExpiresIn[use]
    if (seconds > max && seconds !== LIFETIMES[use][0])
      return `needs a defaultExpiresIn.${use} of at most ${max}, ${use === 'link' ? 'half of ' : ''}maxExpiresIn.${use}`
  }
  return null
}

/** Hosts of Cloudflare R2 and Backblaze B2, which don't support POST policies. */
const WITHOUT_POST_UPLOADS = /\.(?:r2\.cloudflarestorage|backblazeb2)\.com(?::\d+)?$/i
/** Hosts of R2, which stores keys in Unicode NFC and supports conditions on PutObject. */
const R2 = /\.r2\.cloudflarestorage\.com\.?(?::\d+)?$/i
/** Hosts of AWS S3, which supports conditions on PutObject and CompleteMultipartUpload. */
const AWS = /\.amazonaws\.com(?:\.cn)?(?::\d+)?$/i

const NO_HEADERS: BucketHeaders = { uploadHeaders: null, requestHeaders: null }

function addressAt(endpoint: string, name: string, addressing: 'path' | 'virtual'): Address {
  const { protocol, host, pathname } = new URL(endpoint)
  const path = pathname.endsWith('/') ? pathname : `${pathname}/`
  return addressing === 'virtual'
    ? { origin: `${protocol}//${name}.${host}`, basePath: path }
    : { origin: `${protocol}//${host}`, basePath: `${path}${name}/` }
}

const bucketRule = <C>(alias: string, credentials: Rule<C>): Rule<BucketWith<C>> =>
  r.into(
    r.also(
      r.table({
        endpoint: r.text(endpointError),
        publicEndpoint: r.optional(r.text(endpointError)),
        region: r.matching(
          /^[a-z0-9-]{1,64}$/,
          'must be a region, such as "eu-central-1", or "auto"',
        ),
        bucket: r.matching(
          /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/,
          'must be the name of a bucket, such as "acme-files"',
        ),
        addressing: r.optional(r.oneOf('path', 'virtual'), 'path' as const),
        credentials,
        uploadCredentials: r.optional(credentials),
        upkeepCredentials: r.usedBy('upkeep', r.optional(credentials)),
        maxBytes: r.optional(r.whole(1, Number.MAX_SAFE_INTEGER), null),
        postUploads: r.usedBy('uppy', r.optional(r.flag)),
        normalizesKeys: r.optional(r.flag),
        conditionalPut: r.optional(r.flag),
        conditionalReplace: r.optional(r.flag),
        conditionalDelete: r.optional(r.flag, false),
        conditionalComplete: r.usedBy('multipart', r.optional(r.flag)),
        managedPrefixes: r.usedBy(
          'notifications() or upkeep',
          r.optional(r.list(r.text(keyPrefixError)), []),
        ),
        allowedTypes: r.optional(
          r.into(
            r.list(r.matching(ALLOWED_TYPE, 'must be a type such as "image/png" or "image/*"'), 1),
            (types) => types.map((type) => type.toLowerCase()),
          ),
          null,
        ),
        // Of at least two seconds, since a stable URL and a link use half of it.
        maxExpiresIn: secondsRule((_use, _usual, max) => r.optional(r.whole(2, max), max)),
        defaultExpiresIn: secondsRule((use, usual, max) =>
          r.optional(r.whole(1, half(use, max)), usual),
        ),
        uploadHeaders: r.optional(uploadHeadersRule, NO_HEADERS),
        edgeTtl: r.usedBy('links', r.optional(r.whole(0, MAX_LINK_SECONDS), 86_400)),
        imageQuality: r.usedBy('images', r.optional(r.whole(1, 100), 80)),
        crossOriginResourcePolicy: r.usedBy(
          'links',
          r.optional(r.oneOf('cross-origin', 'same-site', 'same-origin'), 'cross-origin' as const),
        ),
      }),
      (given) => addressingError(given) ?? lifetimeError(given),
    ),
    ({ endpoint, publicEndpoint, bucket: name, addressing, edgeTtl, ...given }): BucketWith<C> => {
      const { uploadHeaders: headers } = given
      const address = addressAt(endpoint, name, addressing)
      const publicAddress =
        publicEndpoint === undefined ? address : addressAt(publicEndpoint, name, addressing)
      // Both hosts belong to one server, so either can identify it.
      const is = (server: RegExp) =>
        server.test(address.origin) || server.test(publicAddress.origin)
      return {
        ...given,
        ...headers,
        ...address,
        alias,
        name,
        publicAddress,
        uploadCredentials: given.uploadCredentials ?? given.credentials,
        // S3 documents no form field for the headers of every request.
        postUploads:
          given.postUploads ?? (headers.requestHeaders === null && !is(WITHOUT_POST_UPLOADS)),
        normalizesKeys: given.normalizesKeys ?? is(R2),
        conditionalPut: given.conditionalPut ?? (is(AWS) || is(R2)),
        conditionalReplace: given.conditionalReplace ?? (is(AWS) || is(R2)),
        conditionalComplete: given.conditionalComplete ?? is(AWS),
        edgeTtlSeconds: edgeTtl,
      }
    },
  )

/** Accepts buckets by alias. The rule `credentials` checks their credentials. */
export const bucketsRule = <C>(credentials: Rule<C>): Rule<[BucketWith<C>, ...BucketWith<C>[]]> => {
  // JavaScript objects move numeric names to the front, which would change the order.
  const named = r.record((alias) =>
    /^(?!\d+$)[a-z0-9][a-z0-9-]{0,31}$/.test(alias)
      ? bucketRule(alias, credentials)
      : 'must be an alias such as "files": a-z, 0-9 and "-", and not a number',
  )
  return (value, context) => {
    const buckets = named(value, context)
    if (buckets === r.BROKEN) return r.BROKEN
    const [first, ...others] = Object.values(buckets)
    return first === undefined
      ? r.breaks(context, 'must name at least one bucket')
      : [first, ...others]
  }
}
