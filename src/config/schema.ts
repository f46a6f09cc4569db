import * as z from 'zod/mini'
import en from 'zod/v4/locales/en.js'
import { keyPrefixFault } from '../keys/object-key.ts'

z.config(en())

/** What a principal may be allowed to do. */
export const SCOPES = [
  'files:upload',
  'files:read',
  'files:list',
  'files:delete',
  'links:create',
  'tokens:create',
] as const

export type Scope = (typeof SCOPES)[number]

/** SigV4 refuses a presigned URL that lives longer: seven days. */
export const MAX_SIGNATURE_SECONDS = 604_800
/** The longest life of an upload URL. */
export const MAX_UPLOAD_SECONDS = 3600
/** The longest life of a link: a year. */
export const MAX_LINK_SECONDS = 31_536_000

/** Refuses what `fault` finds wrong, in the words that it returns. */
const sound = <T>(fault: (value: T) => string | null) =>
  z.check<T>((payload) => {
    const message = fault(payload.value)
    if (message !== null) payload.issues.push({ code: 'custom', input: payload.value, message })
  })

/** A variable that wrangler.toml gives as a table and an environment file as JSON text. */
const tableOrJson = <T extends z.ZodMiniType>(table: T) =>
  z.pipe(
    z.transform((value, context) => {
      if (typeof value !== 'string') return value
      try {
        return JSON.parse(value) as unknown
      } catch {
        context.issues.push({ code: 'custom', input: value, message: 'must be a table or JSON' })
        return z.NEVER
      }
    }),
    table,
  )

const seconds = (max: number) => z.optional(z.int().check(z.minimum(1), z.maximum(max)))
const keyPrefix = z.string().check(sound(keyPrefixFault))
const scopes = z.array(z.enum(SCOPES)).check(z.minLength(1))

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

const bucketSchema = z
  .strictObject({
    endpoint: z.string().check(sound(endpointFault)),
    region: z.string().check(z.regex(/^[a-z0-9-]{1,64}$/, 'must be a region name, or "auto"')),
    bucket: z
      .string()
      .check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/, 'must be the name of a bucket')),
    addressing: z._default(z.enum(['path', 'virtual']), 'path'),
    credentials: z.string().check(z.regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'must be a name in capitals')),
    uploadCredentials: z.optional(
      z.string().check(z.regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'must be a name in capitals')),
    ),
    maxBytes: z.optional(z.int().check(z.minimum(1))),
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

const bucketsSchema = z
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

const apiKeySchema = z.strictObject({
  id: z.string().check(z.regex(/^[a-z0-9-]{1,32}$/, 'must be 1 to 32 of a-z, 0-9 and "-"')),
  sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits')),
  scopes,
  prefix: keyPrefix,
})

/** `API_KEYS`: digests of the keys, never the keys. */
export const apiKeysSchema = z
  .array(apiKeySchema)
  .check(
    sound((keys) =>
      new Set(keys.map(({ id }) => id)).size < keys.length ? 'must not repeat an id' : null,
    ),
  )

const signingSecretsSchema = z.string().check(
  sound((value) => {
    const kids = value
      .split(',')
      .map((entry) => /^([A-Za-z0-9-]{1,16}):[^,]{32,}$/.exec(entry.trim())?.[1])
    if (kids.includes(undefined))
      return 'must be kid:secret[,kid:secret], each secret of at least 32 characters without ","'
    return new Set(kids).size < kids.length ? 'must not repeat a kid' : null
  }),
)

function originFault(value: string): string | null {
  if (URL.canParse(value) && new URL(value).origin === value && !value.includes('*')) return null
  return 'must be an exact origin, such as https://app.example.com'
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

/** A template is sound if it is a sound prefix whatever its `{claim}` holds. */
const prefixTemplateFault = (value: string): string | null =>
  keyPrefixFault(value.replace(/\{[^{}/]+\}/g, 'claim')) ??
  (/[{}]/.test(value.replace(/\{[^{}/]+\}/g, '')) ? 'must close each "{"' : null)

const jwtSchema = z
  .strictObject({
    issuer: z.string().check(z.minLength(1)),
    audience: z.union([
      z.string().check(z.minLength(1)),
      z.array(z.string()).check(z.minLength(1)),
    ]),
    algorithms: z.array(z.enum(JWT_ALGORITHMS)).check(z.minLength(1)),
    jwksUrl: z.optional(z.string().check(sound(jwksUrlFault))),
    publicJwk: z.optional(z.looseObject({ kty: z.enum(['RSA', 'EC', 'OKP']) })),
    prefix: z.string().check(sound(prefixTemplateFault)),
    scopes: z.optional(scopes),
    scopesClaim: z.optional(z.string().check(z.minLength(1))),
    header: z._default(
      z.string().check(z.regex(/^[A-Za-z0-9-]+$/, 'must be the name of a header')),
      'Authorization',
    ),
  })
  .check(
    sound((jwt) =>
      (jwt.jwksUrl === undefined) === (jwt.publicJwk === undefined)
        ? 'needs either jwksUrl or publicJwk'
        : null,
    ),
    sound((jwt) =>
      (jwt.scopes === undefined) === (jwt.scopesClaim === undefined)
        ? 'needs either scopes or scopesClaim'
        : null,
    ),
  )

const binding = (message: string) =>
  z.custom<object>((value) => typeof value === 'object' && value !== null, message)

/** The Worker's variables, secrets and bindings, but for the access keys of the buckets. */
export const environmentSchema = z.object({
  FILE_INDEX: binding('must be bound to a KV namespace'),
  RATE_LIMITER: binding('must be bound to a rate limit'),
  BUCKETS: tableOrJson(bucketsSchema),
  SIGNING_SECRETS: signingSecretsSchema,
  API_KEYS: z._default(tableOrJson(apiKeysSchema), []),
  CORS_ORIGINS: z._default(tableOrJson(z.array(z.string().check(sound(originFault)))), []),
  JWT: z.optional(tableOrJson(jwtSchema)),
  LINK_ORIGIN: z.optional(z.string().check(sound(originFault))),
  OPEN_ACCESS: z.optional(z.enum(['localhost'])),
})

/** Access keys of one `credentials` name: `S3` reads `S3_ACCESS_KEY_ID` and so on. */
export const credentialsSchema = z.object({
  ACCESS_KEY_ID: z.string().check(z.minLength(1)),
  SECRET_ACCESS_KEY: z.string().check(z.minLength(1)),
  SESSION_TOKEN: z.optional(z.string().check(z.minLength(1))),
  CREDENTIAL_EXPIRATION: z.optional(z.iso.datetime({ offset: true })),
})

export type BucketTable = z.infer<typeof bucketSchema>
export type ApiKey = z.infer<typeof apiKeySchema>
export type JwtSettings = z.infer<typeof jwtSchema>
