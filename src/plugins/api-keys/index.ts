import type { Option, Plugin } from '../../plugin.ts'
import { API_KEY_PREFIX, verifyApiKey } from './api-key.ts'
import { type ApiKey, apiKeysRule } from './options.ts'

export interface ApiKeysOptions<B> {
  /** Digests of the keys, and what each may do (docs/configuration.md). */
  readonly keys: Option<readonly ApiKey[] | undefined, B>
}

/** API keys, as `Authorization: Bearer ep_…`. `path` is that of `keys` in issues: the Worker has its own. */
export const apiKeys = <B = unknown>(
  options: ApiKeysOptions<B>,
  path = 'apiKeys.keys',
): Plugin<B> => ({
  name: 'apiKeys',
  setup(setup) {
    setup.only('apiKeys', options, ['keys'])
    const keys = setup.read(path, options.keys, apiKeysRule(setup.settings)) ?? []
    return {
      identify: {
        prefix: API_KEY_PREFIX,
        isLocal: true,
        verify: (apiKey) => verifyApiKey(apiKey, keys),
      },
      minter: (id) => keys.find((key) => id === `key:${key.id}`),
    }
  },
})
