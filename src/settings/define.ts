import { fitsAlgorithm } from '../access/jwk-algorithm.ts'
import { SCOPES } from '../access/scopes.ts'
import type { ApiKey, JwtSettings, SigningSecret } from '../access/settings.ts'
import type { Bucket, Credentials } from '../bucket/bucket.ts'
import { MAX_LINK_SECONDS, MAX_SIGNATURE_SECONDS, MAX_UPLOAD_SECONDS } from '../bucket/limits.ts'
import { ApiError, asApiError, type Issue } from '../errors/api-error.ts'
import { keyPrefixFault } from '../keys/object-key.ts'
import {
  also,
  BROKEN,
  breaks,
  check,
  deepFreeze,
  entries,
  flag,
  into,
  list,
  matching,
  notEmpty,
  oneOf,
  optional,
  type Rule,
  table,
  text,
  whole,
} from './rules.ts'
import type { Settings } from './settings.ts'

/** An access key pair of a bucket. */
export interface CredentialsInput {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of temporary credentials. */
  readonly sessionToken?: string | undefined
  /** When temporary credentials end; no URL outlives them. */
  readonly expiresAt?: Date | undefined
}

/** One bucket; docs/configuration.md describes each member. */
export interface BucketInput {
  readonly endpoint: string
  readonly region: string
  /** The server's own name of the bucket. */
  readonly bucket: string
  readonly addressing?: 'path' | 'virtual' | undefined
  readonly credentials: CredentialsInput
  /** Signs uploads in place of `credentials`: a pair that can't read. */
  readonly uploadCredentials?: CredentialsInput | undefined
  /** Largest upload in bytes. */
  readonly maxBytes?: number | undefined
  readonly postUploads?: boolean | undefined
  readonly normalizesKeys?: boolean | undefined
  readonly conditionalComplete?: boolean | undefined
  /** `type/subtype` or `type/*`. */
  readonly allowedTypes?: readonly string[] | undefined
  /** Longest lifetime in seconds, by use. */
  readonly maxExpiresIn?: Partial<Bucket['maxExpiresIn']> | undefined
  /** Seconds that an edge copy may live; 0 keeps none. */
  readonly edgeTtl?: number | undefined
  readonly crossOriginResourcePolicy?: Bucket['crossOriginResourcePolicy'] | undefined
}

/** The settings of one instance, as you write them. */
export interface SettingsInput {
  /** Separates instances that share secrets: 1 to 32 of a-z, 0-9 and "-". */
  readonly name?: string | undefined
  /** By alias; the first is the default. */
  readonly buckets: Readonly<Record<string, BucketInput>>
  /** `kid:secret[,kid:secret]`: the first signs, all verify. */
  readonly signingSecrets: string
  readonly apiKeys?: readonly ApiKey[] | undefined
  readonly jwt?: (Omit<JwtSettings, 'header'> & Partial<JwtSettings>) | undefined
  readonly corsOrigins?: readonly string[] | undefined
  /** What comes before `/i/…` in a link, such as `https://app.example.com/media`. */
  readonly linkBase?: string | undefined
  /** Whether the host of `linkBase` is for links alone. */
  readonly linkHostOnly?: boolean | undefined
}

/** The settings for one environment. Throws ApiError `misconfigured` with the issues. */
export type SettingsFor<E> = (env: E) => Settings

export type LoadedSettings =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly issues: readonly Issue[] }

/**
 * Settings that follow from the environment alone. `read` runs once for each environment, and once
 * altogether if it takes none. Issues name paths, never values.
 */
export const defineSettings = <E = unknown>(read: (env: E) => SettingsInput): SettingsFor<E> => {
  const load = (env: E): LoadedSettings => loadWith(settingsRule, read(env))
  return keepFor(load, read.length === 0 ? 'once' : 'each')
}

/** What `rule` makes of `input`, frozen. */
export function loadWith(rule: Rule<Settings>, input: unknown): LoadedSettings {
  const checked = check(rule, input)
  return checked.ok ? { ok: true, settings: deepFreeze(checked.value) } : checked
}

/**
 * Keeps what `make` returns: for each environment, or for all of them if `make` takes none. Nothing
 * is kept where it throws.
 */
export function keepEach<E, T>(make: (env: E) => T, takesNone = make.length === 0): (env: E) => T {
  const kept = new WeakMap<object, { readonly value: T }>()
  const everyone = {}
  return (env) => {
    const owner = !takesNone && typeof env === 'object' && env !== null ? env : everyone
    const known = kept.get(owner) ?? { value: make(env) }
    kept.set(owner, known)
    return known.value
  }
}

/** Runs `load` once, or once for each environment, and throws the issues that it finds. */
export function keepFor<E>(
  load: (env: E) => LoadedSettings,
  times: 'each' | 'once' = 'each',
): SettingsFor<E> {
  const kept = keepEach(load, times === 'once')
  return (env) => {
    const loaded = kept(env)
    if (loaded.ok) return loaded.settings
    const { issues } = loaded
    const list = issues.map(({ path, message }) => `${path} ${message}`.trim()).join('; ')
    throw new ApiError('misconfigured', `The settings are not valid: ${list}.`, { issues })
  }
}

/** The settings for `env`, or the issues. */
export function loadedBy<E>(settingsFor: SettingsFor<E>, env: E): LoadedSettings {
  try {
    return { ok: true, settings: settingsFor(env) }
  } catch (error) {
    const known = asApiError(error)
    if (known?.code === 'misconfigured') return { ok: false, issues: known.issues }
    return {
      ok: false,
      issues: [{ path: 'settings', message: `could not be read: ${nameOf(error)}` }],
    }
  }
}

/** The name of an error, whose message may hold a secret. */
export const nameOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.name : typeof thrown

const keyPrefix = text(keyPrefixFault)
const scopes = list(oneOf(...SCOPES), 1)

function digestFault(value: string): string | null {
  if (value.startsWith('ep_'))
    return 'must be the digest of the key, not the key: `npm run keys -- create` writes it'
  return /^[0-9a-f]{64}$/.test(value)
    ? null
    : 'must be 64 hexadecimal digits, the SHA-256 of the key'
}

/** Digests of the API keys, never the keys. */
export const apiKeysRule: Rule<ApiKey[]> = also(
  list(
    table({
      id: matching(/^[a-z0-9-]{1,32}$/, 'must be 1 to 32 of a-z, 0-9 and "-"'),
      sha256: text(digestFault),
      scopes,
      prefix: keyPrefix,
    }),
  ),
  (keys) => {
    const ids = keys.map(({ id }) => id)
    const again = ids.findIndex((id, i) => ids.indexOf(id) < i)
    return again === -1
      ? null
      : `must not repeat an id, as ${ids.indexOf(ids[again] ?? '')} and ${again} do`
  },
)

type Secrets = Settings['signingSecrets']

/** kid:secret[,kid:secret], for an instance without a name. */
export const signingSecretsRule: Rule<Secrets> = (value, place) => {
  if (value === undefined) return breaks(place, 'is missing')
  const secrets: SigningSecret[] = []
  for (const entry of typeof value === 'string' ? value.split(',') : ['']) {
    const [, kid, secret] = /^([A-Za-z0-9-]{1,16}):([^,]{32,})$/.exec(entry.trim()) ?? []
    if (kid === undefined || secret === undefined)
      return breaks(
        place,
        'must be kid:secret[,kid:secret], each secret of at least 32 characters without ","',
      )
    if (secrets.some((other) => other.kid === kid)) return breaks(place, 'must not repeat a kid')
    secrets.push({ name: '', kid, secret })
  }
  const [first, ...others] = secrets
  return first === undefined ? BROKEN : [first, ...others]
}

/** Signature algorithms with a public key: a shared secret can't be confused with one of these. */
const JWT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

function jwksUrlFault(value: string): string | null {
  if (!URL.canParse(value)) return 'must be a URL'
  const { protocol, hostname } = new URL(value)
  if (protocol === 'https:' || hostname === 'localhost' || hostname === '127.0.0.1') return null
  return 'must start with https://'
}

/** A template is valid if it is a valid prefix whatever its `{claim}` holds. */
const prefixTemplateFault = (value: string): string | null =>
  keyPrefixFault(value.replace(/\{[^{}/]+\}/g, 'claim')) ??
  (/[{}]/.test(value.replace(/\{[^{}/]+\}/g, '')) ? 'must close each "{"' : null)

type PublicJwk = NonNullable<JwtSettings['publicJwk']>

const publicJwkRule: Rule<PublicJwk> = (value, place) => {
  const kty = table({ kty: oneOf('RSA', 'EC', 'OKP') }, 'open')(value, place)
  if (kty === BROKEN) return BROKEN
  const jwk: PublicJwk = { ...Object(value), ...kty }
  return 'd' in jwk ? breaks(place, 'must be the public key alone, without "d"') : jwk
}

const audienceRule: Rule<string | string[]> = (value, place) =>
  Array.isArray(value) ? list(notEmpty, 1)(value, place) : notEmpty(value, place)

/** Whose JWTs are accepted, and what they allow. */
export const jwtRule: Rule<JwtSettings> = also(
  table({
    issuer: notEmpty,
    audience: audienceRule,
    algorithms: list(oneOf(...JWT_ALGORITHMS), 1),
    jwksUrl: optional(text(jwksUrlFault)),
    publicJwk: optional(publicJwkRule),
    prefix: text(prefixTemplateFault),
    scopes: optional(scopes),
    scopesClaim: optional(notEmpty),
    header: optional(matching(/^[A-Za-z0-9-]+$/, 'must be the name of a header'), 'Authorization'),
  }),
  ({ jwksUrl, publicJwk, algorithms, ...jwt }) => {
    if ((jwksUrl === undefined) === (publicJwk === undefined))
      return 'needs either jwksUrl or publicJwk'
    if ((jwt.scopes === undefined) === (jwt.scopesClaim === undefined))
      return 'needs either scopes or scopesClaim'
    return publicJwk !== undefined && !algorithms.some((name) => fitsAlgorithm(publicJwk, name))
      ? 'needs a publicJwk whose kty, crv and alg fit one of its algorithms'
      : null
  },
)

/** One exact origin. */
export const originRule: Rule<string> = text((value) =>
  URL.canParse(value) && new URL(value).origin === value && !value.includes('*')
    ? null
    : 'must be an exact origin, such as https://app.example.com',
)

const linkBaseRule: Rule<string> = text((value) => {
  if (URL.canParse(value)) {
    const { protocol, origin, pathname } = new URL(value)
    const path = pathname === '/' ? '' : pathname
    const isPlain = /^(?:\/[A-Za-z0-9_.~%-]+)*$/.test(path)
    if (/^https?:$/.test(protocol) && origin + path === value && isPlain) return null
  }
  return 'must be an origin and a path without "/" at its end, such as https://app.example.com/media'
})

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

const instant: Rule<number> = (value, place) =>
  value instanceof Date && !Number.isNaN(value.getTime())
    ? value.getTime()
    : breaks(place, 'must be a valid Date')

const credentialsRule: Rule<Credentials> = table({
  accessKeyId: notEmpty,
  secretAccessKey: notEmpty,
  sessionToken: optional(notEmpty, null),
  expiresAt: optional(instant, Infinity),
})

const settingsRule: Rule<Settings> = also(
  into(
    table({
      name: optional(matching(/^[a-z0-9-]{0,32}$/, 'must be up to 32 of a-z, 0-9 and "-"'), ''),
      buckets: bucketsRule(credentialsRule),
      signingSecrets: signingSecretsRule,
      apiKeys: optional(apiKeysRule, []),
      jwt: optional(jwtRule, null),
      corsOrigins: optional(list(originRule), []),
      linkBase: optional(linkBaseRule, null),
      linkHostOnly: optional(flag, false),
    }),
    ({ name, signingSecrets: [first, ...others], ...given }): Settings => ({
      ...given,
      signingSecrets: [{ ...first, name }, ...others.map((secret) => ({ ...secret, name }))],
      openOnLocalhost: false,
    }),
  ),
  ({ linkBase, linkHostOnly }) =>
    linkHostOnly && linkBase === null ? 'linkHostOnly needs a linkBase' : null,
)
