import type { AppContext, BearerKind, Identify } from './app-env.ts'

/** Tells whether the presigner itself makes these credentials. */
export const isOwn = (one: Identify): one is BearerKind => Object(one).isOwn === true

/** Returns the bearer credential in the Authorization header. */
export const bearerIn = (c: AppContext): string | undefined =>
  /^Bearer +(\S+)$/i.exec(c.req.header('Authorization') ?? '')?.[1]
