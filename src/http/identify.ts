import type { AppContext, BearerKind, Identify } from './app-env.ts'

/** Tells whether the presigner itself makes these credentials. */
export const isOwn = (one: Identify): one is BearerKind => Object(one).isOwn === true

const BEARER = /^Bearer +\S+$/i

/** Returns the bearer credential in the Authorization header. */
export function bearerIn(c: AppContext): string | undefined {
  const given = c.req.header('Authorization') ?? ''
  return BEARER.test(given) ? given.slice(7).trim() : undefined
}
