import type { AppContext, BearerKind, Identify } from './app-env.ts'

/** Tells whether the presigner itself makes these credentials. */
export const isOwn = (one: Identify): one is BearerKind => Object(one).isOwn === true

/** Without a list of matches, since nearly every request has such a header. */
const bearerOf = (authorization: string): string | undefined =>
  /^Bearer +\S+$/i.test(authorization)
    ? authorization.slice(authorization.lastIndexOf(' ') + 1)
    : undefined

/** Returns the bearer credential in the Authorization header. */
export const bearerIn = (c: AppContext): string | undefined =>
  bearerOf(c.req.header('Authorization') ?? '')
