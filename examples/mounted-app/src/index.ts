import { createPresigner, defineSettings } from 'edge-presigner'
import { kvFileIndex, objectsEntrypoint } from 'edge-presigner/cloudflare'
import { files } from 'edge-presigner/files'
import { links } from 'edge-presigner/links'
import { multipart } from 'edge-presigner/multipart'
import { tokens } from 'edge-presigner/tokens'
import { Hono } from 'hono'
import type { AppEnv, Env } from './app-env.ts'
import { sessionRoutes, whoIsIt } from './session.ts'

const settings = defineSettings((env: Env) => ({
  name: 'media',
  buckets: {
    files: {
      endpoint: env.S3_ENDPOINT,
      region: env.S3_REGION,
      bucket: env.S3_BUCKET,
      credentials: {
        accessKeyId: env.S3_ACCESS_KEY_ID,
        secretAccessKey: env.S3_SECRET_ACCESS_KEY,
      },
      // A second access key that can only write. Cloudflare R2 has none: remove these lines.
      uploadCredentials: {
        accessKeyId: env.S3_WRITE_ACCESS_KEY_ID,
        secretAccessKey: env.S3_WRITE_SECRET_ACCESS_KEY,
      },
    },
  },
  signingSecrets: env.SIGNING_SECRETS,
}))

/** Each user has their own folder, and can do everything there. */
const media = createPresigner<AppEnv>(settings, {
  plugins: [files(), links(), multipart(), tokens()],
  fileIndex: (env) => kvFileIndex(env.FILES),
  authenticate: ({ var: { user } }) =>
    user && {
      id: user,
      scopes: ['files:upload', 'files:read', 'files:list', 'files:delete', 'links:create'],
      prefix: `users/${encodeURIComponent(user)}/`,
    },
})

const app = new Hono<AppEnv>()
app.use(whoIsIt)
app.route('/session', sessionRoutes)
app.route('/media', media.app)

export default app

/** Keeps copies of linked files in Cloudflare's cache. */
export class Objects extends objectsEntrypoint(settings) {}
