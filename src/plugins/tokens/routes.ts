import * as z from 'zod/mini'
import { ALLOWED_TYPE } from '../../access/limits.ts'
import { requireScope, SUBJECT } from '../../access/principal.ts'
import { SCOPES } from '../../access/scopes.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson } from '../../http/validate.ts'
import { mintToken } from './token.ts'

/** For lists of what a token may use. */
const MAX_ITEMS = 100

const tokenSchema = z.strictObject({
  scopes: z.array(z.enum(SCOPES)).check(z.minLength(1)),
  prefix: z.optional(z.string()),
  expiresIn: z.optional(z.int()),
  subject: z.optional(
    z.string().check(z.regex(SUBJECT, 'must be 1 to 128 of A-Z, a-z, 0-9 and "._@:-"')),
  ),
  buckets: z.optional(z.array(z.string()).check(z.minLength(1), z.maxLength(MAX_ITEMS))),
  maxBytes: z.optional(z.int().check(z.minimum(1))),
  allowedTypes: z.optional(
    z
      .array(
        z.pipe(
          z
            .string()
            .check(z.regex(ALLOWED_TYPE, 'must be a type such as "image/png" or "image/*"')),
          z.transform((type) => type.toLowerCase()),
        ),
      )
      .check(z.minLength(1), z.maxLength(MAX_ITEMS)),
  ),
  // A stable URL and a link use half of it.
  maxExpiresIn: z.optional(z.int().check(z.minimum(2))),
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
