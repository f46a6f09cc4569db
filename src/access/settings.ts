import type { Scope } from './scopes.ts'

/** One entry of `API_KEYS`: the digest of a key and its permissions. */
export interface ApiKey {
  readonly id: string
  /** 64 hexadecimal digits in lower case, or two such digests during a rotation. */
  readonly sha256: string | readonly string[]
  readonly scopes: readonly Scope[]
  /** Empty (every key), or ends with `/`. */
  readonly prefix: string
  /** Aliases of the buckets that it may use. The first one is its default. Default: all buckets. */
  readonly buckets?: readonly string[] | undefined
}

/** `JWT`: which issuer's tokens are accepted, and what they allow. */
export interface JwtSettings {
  readonly issuer: string
  readonly audience: string | string[]
  readonly algorithms: string[]
  /** URL of the issuer's keys. Set this or `publicJwk`. */
  readonly jwksUrl?: string | undefined
  readonly publicJwk?:
    | { readonly kty: 'RSA' | 'EC' | 'OKP'; readonly [member: string]: unknown }
    | undefined
  /** Prefix of the principal. `{claim}` is replaced by a claim of the token. */
  readonly prefix: string
  /** Scopes of every token. Set this or `scopesClaim`. */
  readonly scopes?: readonly Scope[] | undefined
  readonly scopesClaim?: string | undefined
  /** Aliases of the buckets that JWTs may use. The first one is their default. Default: all buckets. */
  readonly buckets?: readonly string[] | undefined
  readonly header: string
}

export interface SigningSecret {
  /**
   * Name of the instance: 1 to 32 of a-z, 0-9 and "-". Instances with different names refuse each
   * other's signatures, even with the same secret. Empty for the deployable Worker.
   */
  readonly name: string
  readonly kid: string
  readonly secret: string
}

/** The secrets that sign links, tokens, cursors and upload ids. */
export interface SigningSettings {
  /** The first one signs, and all of them verify. */
  readonly signingSecrets: readonly [SigningSecret, ...SigningSecret[]]
}
