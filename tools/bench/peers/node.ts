import { serve } from '@hono/node-server'
import { createPresigner, defineSettings } from '../../../src/index.ts'
import { apiKeys } from '../../../src/plugins/api-keys/index.ts'
import { files } from '../../../src/plugins/files/index.ts'
import { links } from '../../../src/plugins/links/index.ts'
import { tokens } from '../../../src/plugins/tokens/index.ts'
import { memoryFileIndex } from '../../../src/testing.ts'
import { settingsInput } from './settings.ts'

/** A presigner on Node, with the usual plugins and a rate limit that counts in memory. */
const { ACCESS_KEY_ID = '', SECRET_ACCESS_KEY = '', API_KEY_SHA256 = '' } = process.env
const env = { ACCESS_KEY_ID, SECRET_ACCESS_KEY, API_KEY_SHA256 }
const index = memoryFileIndex()
const counts = new Map<string, number>()
const scopes = ['files:upload', 'files:read'] as const
const keys = [{ id: 'bench', sha256: API_KEY_SHA256, scopes, prefix: '' }]

const presigner = createPresigner(defineSettings(settingsInput(env)), {
  plugins: [files({ index: () => index }), links(), tokens(), apiKeys({ keys })],
  rateLimiter: {
    async limit({ key }) {
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      return { success: count > 0 }
    },
  },
})

const fetch = (request: Request) => presigner.fetch(request, env)
serve({ fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => process.send?.({ port }))
