/** The members of a JSON Web Key that describe its use (RFC 7517, section 4). */
export interface KeyKind {
  readonly kty?: unknown
  readonly crv?: unknown
  readonly alg?: unknown
}

/**
 * The curve that an algorithm needs (RFC 7518, section 3.1; RFC 8037). Other algorithms need RSA.
 */
const CURVES: Readonly<Record<string, string>> = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
}

/** Tells from its `kty`, `crv` and `alg` whether `jwk` is a key for `algorithm`. */
export function fitsAlgorithm({ kty, crv, alg = '' }: KeyKind, algorithm: string): boolean {
  if (alg !== '' && alg !== algorithm) return false
  const curve = CURVES[algorithm]
  if (curve === undefined) return kty === 'RSA'
  return crv === curve && kty === (curve === 'Ed25519' ? 'OKP' : 'EC')
}
