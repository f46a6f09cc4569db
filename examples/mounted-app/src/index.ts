import { objectsEntrypoint } from 'edge-presigner/cloudflare'
import { Hono } from 'hono'
import type { AppEnv } from './app-env.ts'
import { media } from './media.ts'
import { sessionRoutes, whoIsIt } from './session.ts'

const app = new Hono<AppEnv>()
app.use(whoIsIt)
app.route('/session', sessionRoutes)
app.route('/media', media.app)

export default app

/** Keeps copies of linked files in Cloudflare's cache. */
export class Objects extends objectsEntrypoint(media) {}
