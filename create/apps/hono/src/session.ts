import { createMiddleware } from 'hono/factory'
import type { Vars } from './app-env.ts'

/** Sets the user who is logged in, or null. Replace it with your own login. */
export const whoIsIt = createMiddleware<{ Variables: Vars }>(async (c, next) => {
  if (new URL(c.req.url).hostname !== 'localhost')
    throw new Error('Replace the login in src/session.ts: everybody is the user "demo".')
  c.set('user', { id: 'demo' })
  await next()
})
