import { createPresigner, defineSettings } from '../../src/index.ts'
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
