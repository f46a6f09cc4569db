import { type CryptoKey, createLocalJWKSet, type JWK } from 'jose'
import type { LoadedSettings } from '../../settings/define.ts'
import type { Settings } from '../../settings/settings.ts'
import { fitsAlgorithm, type JwtInput } from './options.ts'

const MIN_RSA_BITS = 2048

const imported = new WeakMap<JWK, Map<string, CryptoKey>>()

/**
 * Returns the key in `jwk` for `algorithm`, imported once per isolate. Returns null if the key is
 * unusable: another type or curve, a missing or malformed member, a point that is not on its curve,
 * or RSA with less than 2048 bits.
 */
export async function importPublicKey(jwk: JWK, algorithm: string): Promise<CryptoKey | null> {
  if (!fitsAlgorithm(jwk, algorithm)) return null
  const keys = imported.get(jwk) ?? new Map<string, CryptoKey>()
  const known = keys.get(algorithm)
  if (known !== undefined) return known
  const key = await importKey(jwk, algorithm)
  if (key === null) return null
  const bits: unknown = Reflect.get(key.algorithm, 'modulusLength')
  if (typeof bits === 'number' && bits < MIN_RSA_BITS) return null
  imported.set(jwk, keys.set(algorithm, key))
  return key
}

async function importKey({ alg: _alg, use: _use, ...jwk }: JWK, alg: string) {
  try {
    // Without `alg` and `use`, since the settings decide what a key is for.
    return await createLocalJWKSet({ keys: [jwk] })({ alg })
  } catch {
    // WebCrypto and jose report an unusable key as DOMException, TypeError or JOSEError.
    return null
  }
}

/**
 * Returns the settings, or an issue below `path` if `publicJwk` can't be imported: only that shows
 * whether a key is valid.
 */
export async function withKey<S extends Settings>(
  loaded: LoadedSettings<S>,
  { publicJwk, algorithms }: Pick<JwtInput, 'publicJwk' | 'algorithms'>,
  path: string,
): Promise<LoadedSettings<S>> {
  if (!loaded.ok || publicJwk === undefined) return loaded
  for (const name of algorithms) if (await importPublicKey(publicJwk, name)) return loaded
  const message = 'must be a valid public key. RSA keys need at least 2048 bits'
  return { ok: false, issues: [{ path: `${path}.publicJwk`, message }] }
}
