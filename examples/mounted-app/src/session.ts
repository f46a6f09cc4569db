import { Hono } from 'hono'
import { deleteCookie, getSignedCookie, setSignedCookie } from 'hono/cookie'
import { csrf } from 'hono/csrf'
import { createMiddleware } from 'hono/factory'
import { timingSafeEqual } from 'hono/utils/buffer'
import type { AppEnv } from './app-env.ts'

const COOKIE = 'session'

/** Reads the user from the session cookie. */
export const whoIsIt = createMiddleware<AppEnv>(async (c, next) => {
  const user = await getSignedCookie(c, c.env.SESSION_SECRET, COOKIE)
  c.set('user', user || null)
  await next()
})

/** The login of this example: any name, and one password. */
export const sessionRoutes = new Hono<AppEnv>()
  .use(csrf())
  .get('/', (c) => c.json({ user: c.var.user }))
  .post('/', async (c) => {
    const { user, password } = await c.req.json<{ user: unknown; password: unknown }>()
    if (!isName(user) || !(await timingSafeEqual(String(password), c.env.PASSWORD)))
      return c.json({ message: 'Wrong name or password.' }, 401)
    await setSignedCookie(c, COOKIE, user, c.env.SESSION_SECRET, {
      httpOnly: true,
      sameSite: 'Lax',
      secure: new URL(c.req.url).protocol === 'https:',
      path: '/',
      maxAge: 7 * 24 * 3600,
    })
    return c.json({ user })
  })
  .delete('/', (c) => {
    deleteCookie(c, COOKIE, { path: '/' })
    return c.json({ user: null })
  })

/** A name becomes a folder in the bucket. */
const isName = (value: unknown): value is string =>
  typeof value === 'string' && /^[a-z0-9-]{1,32}$/.test(value)
