import { createPresigner, defineSettings } from 'edge-presigner'
import { kvFileIndex } from 'edge-presigner/cloudflare'
import { files } from 'edge-presigner/files'
import { images } from 'edge-presigner/images'
import { links } from 'edge-presigner/links'
import { multipart } from 'edge-presigner/multipart'
import { tokens } from 'edge-presigner/tokens'
import type { Env, Vars } from './app-env.ts'

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
export const media = createPresigner<Env, Vars>(settings, {
  plugins: [
    files({ index: (env) => kvFileIndex(env.FILES) }),
    links({ images: images({ binding: (env) => env.IMAGES, sizes: [320, 1280] }) }),
    multipart(),
    tokens(),
  ],
  authenticate: ({ var: { user } }) =>
    user && {
      id: user,
      scopes: ['files:upload', 'files:read', 'files:list', 'files:delete', 'links:create'],
      prefix: `users/${encodeURIComponent(user)}/`,
    },
})
