import type { JwtSettings } from '../../access/settings.ts'
import type { LoadedSettings } from '../../settings/define.ts'
import type { Settings } from '../../settings/settings.ts'
import { importPublicKey } from './public-key.ts'

/**
 * Returns the settings after importing `publicJwk`, since only the import shows whether the key is
 * valid.
 */
export function withKeys<S extends Settings>(
  loaded: LoadedSettings<S>,
): LoadedSettings<S> | Promise<LoadedSettings<S>> {
  const jwt = loaded.ok ? loaded.settings.jwt : null
  return loaded.ok && jwt?.publicJwk !== undefined
    ? withKey(loaded, loaded.settings, jwt.publicJwk, jwt.algorithms)
    : loaded
}

async function withKey<S extends Settings>(
  loaded: LoadedSettings<S>,
  { jwtPath }: Settings,
  publicJwk: NonNullable<JwtSettings['publicJwk']>,
  algorithms: readonly string[],
): Promise<LoadedSettings<S>> {
  for (const name of algorithms) if (await importPublicKey(publicJwk, name)) return loaded
  const message = 'must be a valid public key. RSA keys need at least 2048 bits'
  return { ok: false, issues: [{ path: `${jwtPath}.publicJwk`, message }] }
}
