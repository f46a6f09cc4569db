import { handleRequest, RejectUpload, type Router, route } from '@better-upload/server'
import { aws } from '@better-upload/server/clients'
import { Hono } from 'hono'

interface Env {
  ACCESS_KEY_ID: string
  SECRET_ACCESS_KEY: string
  API_KEY_SHA256: string
}

/** better-upload as in its guide for Hono, with an API key that is checked by its digest. */
const app = new Hono<{ Bindings: Env }>()

app.post('/upload', async (c) => {
  const token = c.req.header('Authorization')?.replace(/^Bearer /, '') ?? ''
  return handleRequest(c.req.raw, routerFor(c.env, token))
})

const routerFor = (env: Env, token: string): Router => ({
  client: clientFor(env),
  bucketName: 'acme-files',
  routes: {
    files: route({
      maxFileSize: 5 * 1024 ** 3,
      signedUrlExpiresIn: 300,
      async onBeforeUpload() {
        if (!(await isApiKey(token, env.API_KEY_SHA256))) throw new RejectUpload('Who are you?')
      },
    }),
  },
})

let client: ReturnType<typeof aws> | undefined

/** One client per isolate, in module scope as in the guide. It caches the derived signing key. */
function clientFor({ ACCESS_KEY_ID, SECRET_ACCESS_KEY }: Env): ReturnType<typeof aws> {
  client ??= aws({
    accessKeyId: ACCESS_KEY_ID,
    secretAccessKey: SECRET_ACCESS_KEY,
    region: 'us-east-1',
  })
  return client
}

async function isApiKey(token: string, sha256: string): Promise<boolean> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
  return crypto.subtle.timingSafeEqual(digest, Uint8Array.fromHex(sha256))
}

export default app
