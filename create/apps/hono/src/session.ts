import { createMiddleware } from 'hono/factory'
import type { Vars } from './app-env.ts'

/** Sets the user who is logged in, or null. Replace it with your own login. */
export const whoIsIt = createMiddleware<{ Variables: Vars }>(async (c, next) => {
  c.set('user', { id: 'demo' })
  await next()
})
