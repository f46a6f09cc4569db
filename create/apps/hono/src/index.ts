import { objectsEntrypoint } from 'edge-presigner/cloudflare'
import { Hono } from 'hono'
import type { Env, Vars } from './app-env.ts'
import { media } from './media.ts'
import { whoIsIt } from './session.ts'

const app = new Hono<{ Bindings: Env; Variables: Vars }>()
app.use(whoIsIt)
app.route('/api/media', media.app)

export default app

/** Keeps copies of linked files in Cloudflare's cache. */
export class Objects extends objectsEntrypoint(media) {}
