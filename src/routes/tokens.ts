import * as z from 'zod/mini'
import { requireScope } from '../access/principal.ts'
import { SCOPES } from '../access/scopes.ts'
import { mintToken } from '../access/token.ts'
import { newApp } from '../http/new-app.ts'
import { json } from '../http/responses.ts'
import { validateJson } from '../http/validate.ts'

const tokenSchema = z.strictObject({
  scopes: z.array(z.enum(SCOPES)).check(z.minLength(1)),
  prefix: z.optional(z.string()),
  expiresIn: z.optional(z.int()),
})

/** Creates short-lived tokens with some of the caller's permissions. */
export const tokenRoutes = newApp().post('/tokens', validateJson(tokenSchema), async (c) => {
  const principal = c.get('principal')
  const settings = c.get('settings')
  requireScope(principal, 'tokens:create')
  const { token, expiresAt } = await mintToken(principal, c.req.valid('json'), settings, new Date())
  return json(c, { token, expiresAt: expiresAt.toISOString() })
})
