import { createPresigner, defineSettings, settingsFromEnv } from 'edge-presigner'
import { kvFileIndex } from 'edge-presigner/cloudflare'
import { files } from 'edge-presigner/files'
import { images } from 'edge-presigner/images'
import { links } from 'edge-presigner/links'
import { multipart } from 'edge-presigner/multipart'
import { tokens } from 'edge-presigner/tokens'
import type { Env, Vars } from './app-env.ts'

const settings = defineSettings((env: Env) => ({ ...settingsFromEnv(env), name: 'media' }))

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
