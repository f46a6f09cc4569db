import { createPresigner, defineSettings, settingsFromEnv } from 'edge-presigner'
import { kvFileIndex } from 'edge-presigner/cloudflare'
import { files } from 'edge-presigner/files'
import { images } from 'edge-presigner/images'
import { links } from 'edge-presigner/links'
import { multipart } from 'edge-presigner/multipart'
import type { Env, Vars } from './app-env.ts'

const settings = defineSettings((env: Env) => settingsFromEnv(env))
const resized = images({ binding: (env: Env) => env.IMAGES, sizes: [320, 1280] })

export const media = createPresigner<Env, Vars>(settings, {
  plugins: [
    files({ index: (env) => kvFileIndex(env.FILES) }),
    links({ images: resized }),
    multipart(),
  ],
  authenticate: ({ var: { user } }) =>
    user && {
      id: user.id,
      scopes: ['files:upload', 'files:read', 'files:list', 'files:delete', 'links:create'],
      prefix: `users/${encodeURIComponent(user.id)}/`,
    },
})
