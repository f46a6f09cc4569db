import { type CryptoKey, importJWK, type JWK } from 'jose'

const MIN_RSA_BITS = 2048

/** The curve that an algorithm needs (RFC 7518, section 3.1; RFC 8037). The others need RSA. */
const CURVES: Readonly<Record<string, string>> = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
}

/** Whether `jwk` is a key for `algorithm`, judged by its `kty`, `crv` and `alg`. */
export function fitsAlgorithm({ kty, crv, alg = '' }: JWK, algorithm: string): boolean {
  if (alg !== '' && alg !== algorithm) return false
  const curve = CURVES[algorithm]
  if (curve === undefined) return kty === 'RSA'
  return crv === curve && kty === (curve === 'Ed25519' ? 'OKP' : 'EC')
}

const imported = new WeakMap<JWK, Map<string, CryptoKey>>()

/**
 * The key in `jwk` for `algorithm`, imported once an isolate, or null where it can't be used:
 * another type or curve, a member that is missing or malformed, a point that is not on its curve,
 * or RSA of less than 2048 bits.
 */
export async function importPublicKey(jwk: JWK, algorithm: string): Promise<CryptoKey | null> {
  if (!fitsAlgorithm(jwk, algorithm)) return null
  const keys = imported.get(jwk) ?? new Map<string, CryptoKey>()
  const known = keys.get(algorithm)
  if (known !== undefined) return known
  // WebCrypto and jose report an unusable key as DOMException, TypeError or JOSEError.
  const key = await importJWK(jwk, algorithm).catch(() => null)
  if (key === null || key instanceof Uint8Array || key.type !== 'public') return null
  const bits: unknown = Reflect.get(key.algorithm, 'modulusLength')
  if (typeof bits === 'number' && bits < MIN_RSA_BITS) return null
  imported.set(jwk, keys.set(algorithm, key))
  return key
}
