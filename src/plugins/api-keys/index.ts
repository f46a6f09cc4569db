import type { Plugin } from '../../plugin.ts'
import { API_KEY_PREFIX, verifyApiKey } from './api-key.ts'

/** The API keys in the settings, as `Authorization: Bearer ep_…`. */
export const apiKeys = (): Plugin => ({
  name: 'apiKeys',
  setup: () => ({
    identify: {
      prefix: API_KEY_PREFIX,
      verify: (apiKey, { settings }) => verifyApiKey(apiKey, settings.apiKeys),
    },
  }),
})
