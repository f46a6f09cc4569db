import { Hono } from 'hono'
import { getCookie } from 'hono/cookie'
import { objectsEntrypoint } from '../../../src/cloudflare.ts'
import { createPresigner, defineSettings, type FileEvent } from '../../../src/index.ts'
import { memoryFileIndex } from '../../../src/testing.ts'
import { ANN } from '../../support/ann.ts'
import { everyPlugin } from '../../support/every-plugin.ts'

interface Bindings {
  readonly S3_ENDPOINT: string
}

const settings = defineSettings(({ S3_ENDPOINT: endpoint }: Bindings) => ({
  name: 'media',
  buckets: {
    files: {
      endpoint,
      region: 'us-east-1',
      bucket: 'files',
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    },
  },
  signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
}))

/** The requests to the presigner, and its responses. */
interface Seen {
  readonly request: string
  readonly hadCookie: boolean
  readonly status: number
}

const seen: Seen[] = []
const events: FileEvent[] = []
const index = memoryFileIndex()

const media = createPresigner(settings, {
  plugins: everyPlugin({
    files: { index: () => index },
    events: { onEvent: (event) => void events.push(event) },
  }),
  authenticate: (c) => (getCookie(c, 'session') === 'ann' ? ANN : null),
})

/** An app whose login cookie is sent by browsers to every port of this host. */
export default new Hono<{ Bindings: Bindings }>()
  .get('/login', (c) => c.html('<title>app</title>', 200, { 'Set-Cookie': 'session=ann; Path=/' }))
  .get('/seen', (c) => c.json({ seen: seen.splice(0), events: events.splice(0) }))
  .use('/media/*', async (c, next) => {
    await next()
    const { method, path } = c.req
    const hadCookie = getCookie(c, 'session') === 'ann'
    seen.push({ request: `${method} ${path}`, hadCookie, status: c.res.status })
  })
  .route('/media', media.app)

export class Objects extends objectsEntrypoint(media) {}
