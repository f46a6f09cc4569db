import { Hono } from 'hono'
import { createPresigner, defineSettings } from '../../../src/index.ts'
import { ANN } from '../../support/ann.ts'

interface Bindings {
  /** Returns an access key pair as JSON, like the service that hands out those of a role. */
  readonly CREDENTIALS_URL: string
}

/** Counts the environments, to see that the settings are read once. */
let environments = 0

const settings = defineSettings(({ CREDENTIALS_URL: url }: Bindings) => {
  environments += 1
  return {
    buckets: {
      files: {
        endpoint: 'http://127.0.0.1:9',
        region: 'us-east-1',
        bucket: 'files',
        credentials: async ({ signal }) => {
          const response = await fetch(url, { signal })
          const { accessKeyId, secretAccessKey, sessionToken, expiration } =
            await response.json<
              Record<'accessKeyId' | 'secretAccessKey' | 'sessionToken' | 'expiration', string>
            >()
          return { accessKeyId, secretAccessKey, sessionToken, expiresAt: new Date(expiration) }
        },
      },
    },
    signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
  }
})

const files = createPresigner(settings, { authenticate: () => ANN })

/** An app whose presigner fetches its credentials. */
export default new Hono<{ Bindings: Bindings }>()
  .get('/environments', (c) => c.json(environments))
  .route('/media', files.app)
