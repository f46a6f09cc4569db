import type { Scope } from './scopes.ts'

/** One entry of `API_KEYS`: the digest of a key, and what the key allows. */
export interface ApiKey {
  readonly id: string
  /** 64 hexadecimal digits, in lower case; two such digests while the key is rotated. */
  readonly sha256: string | readonly string[]
  readonly scopes: readonly Scope[]
  /** Empty (everything), or ends with `/`. */
  readonly prefix: string
}

/** `JWT`: whose tokens are accepted, and what they allow. */
export interface JwtSettings {
  readonly issuer: string
  readonly audience: string | string[]
  readonly algorithms: string[]
  /** Where the issuer's keys are; this or `publicJwk`. */
  readonly jwksUrl?: string | undefined
  readonly publicJwk?:
    | { readonly kty: 'RSA' | 'EC' | 'OKP'; readonly [member: string]: unknown }
    | undefined
  /** Prefix of the principal, in which `{claim}` stands for a claim of the token. */
  readonly prefix: string
  /** What every token allows; this or `scopesClaim`. */
  readonly scopes?: readonly Scope[] | undefined
  readonly scopesClaim?: string | undefined
  /** Name of the header that holds the token. */
  readonly header: string
}

export interface SigningSecret {
  /**
   * Name of the instance, 1 to 32 of a-z, 0-9 and "-": instances that share a secret refuse each
   * other's signatures. Empty for the deployable Worker.
   */
  readonly name: string
  readonly kid: string
  readonly secret: string
}

/** What links, tokens, cursors and upload ids are signed with. */
export interface SigningSettings {
  /** The first signs, all verify. */
  readonly signingSecrets: readonly [SigningSecret, ...SigningSecret[]]
}
