import * as z from 'zod/mini'
import { askedLimits } from '../../access/asked-limits.ts'
import { requireScope, SUBJECT } from '../../access/principal.ts'
import { SCOPES } from '../../access/scopes.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson } from '../../http/validate.ts'
import { mintToken } from './token.ts'

const tokenSchema = z.strictObject({
  scopes: z.array(z.enum(SCOPES)).check(z.minLength(1)),
  prefix: z.optional(z.string()),
  expiresIn: z.optional(z.int()),
  subject: z.optional(
    z.string().check(z.regex(SUBJECT, 'must be 1 to 128 of A-Z, a-z, 0-9 and "._@:-"')),
  ),
  ...askedLimits,
  context: z.optional(z.unknown()),
})

/** Creates short-lived tokens with some of the caller's permissions. */
export const tokenRoutes = newApp().post('/tokens', validateJson(tokenSchema), async (c) => {
  const principal = c.get('principal')
  const settings = c.get('settings')
  requireScope(principal, 'tokens:create')
  const request = c.req.valid('json')
  const { token, expiresAt } = await mintToken(principal, request, settings, new Date())
  return json(c, { token, expiresAt: expiresAt.toISOString() })
})
