import type { Option, Plugin } from '../../plugin.ts'
import { API_KEY_PREFIX, verifyApiKey } from './api-key.ts'
import { type ApiKey, apiKeysRule } from './options.ts'

export interface ApiKeysOptions<B> {
  /** Digests of the keys, and what each may do (docs/configuration.md). */
  readonly keys: Option<readonly ApiKey[] | undefined, B>
}

/** API keys, as `Authorization: Bearer ep_…`. */
export const apiKeys = <B = unknown>(options: ApiKeysOptions<B>): Plugin<B> => ({
  name: 'apiKeys',
  setup(setup) {
    setup.only('apiKeys', options, ['keys'])
    const rule = apiKeysRule(setup.settings)
    const keys = setup.read('apiKeys.keys', options.keys, rule, 'API_KEYS') ?? []
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
