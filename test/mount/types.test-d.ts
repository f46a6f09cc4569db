import { Hono } from 'hono'
import { createPresigner, defineSettings } from '../../src/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { ANN } from '../support/ann.ts'
import { settingsInput } from '../support/app.ts'

// Compiled but never run: each directive below is an error when its line compiles.

const settings = defineSettings(() => settingsInput())

createPresigner(settings, { authenticate: () => ({ ...ANN, expiresAt: new Date() }) })
// @ts-expect-error
createPresigner(settings, { authenticate: () => ({ ...ANN, buckets: ['files'] }) })
// @ts-expect-error
createPresigner(settings, { authenticate: async () => ({ ...ANN, maxBytes: 3 }) })
// @ts-expect-error
createPresigner(settings, { authenticate: () => ({ ...ANN, allowedTypes: ['image/*'] }) })
// @ts-expect-error
createPresigner(settings, { authenticate: () => ({ ...ANN, maxExpiresIn: 60 }) })
// @ts-expect-error
createPresigner(settings, { rateLimit: () => ({ limit: async () => ({ success: true }) }) })

/** An app of a plugin of the app's own, with variables of its own. */
const thumbnails = new Hono<{ Variables: { size: number } }>().get('/thumbnails/:key', (c) =>
  c.text(String(c.get('size'))),
)
createPresigner(settings, { plugins: [files(), { name: 'thumbnails', api: thumbnails }] })
// @ts-expect-error: a route that is added to a plugin would be in every other presigner too
files().api?.get('/files/:key/thumbnail', () => new Response())
// @ts-expect-error
createPresigner(settings, { plugins: [files] })
// @ts-expect-error
createPresigner(settings, { plugins: [{ name: 'thumbnails', routes: thumbnails }] })
