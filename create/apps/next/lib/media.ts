import { createPresigner, defineSettings, settingsFromEnv } from 'edge-presigner'
import { files } from 'edge-presigner/files'
import { links } from 'edge-presigner/links'
import { multipart } from 'edge-presigner/multipart'
import { sqliteFileIndex } from 'edge-presigner/sqlite'
import { currentUser } from './session'

const settings = defineSettings(settingsFromEnv(process.env))
const index = () => sqliteFileIndex(process.env.FILES_DB ?? '')

export const media = createPresigner(settings, {
  basePath: '/api/media',
  plugins: [files({ index }), links(), multipart()],
  async authenticate() {
    const user = await currentUser()
    return (
      user && {
        id: user.id,
        scopes: ['files:upload', 'files:read', 'files:list', 'files:delete', 'links:create'],
        prefix: `users/${encodeURIComponent(user.id)}/`,
      }
    )
  },
})
