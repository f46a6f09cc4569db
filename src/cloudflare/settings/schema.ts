import * as z from 'zod/mini'
import en from 'zod/v4/locales/en.js'
import { apiKeysSchema, jwtSchema, signingSecretsSchema } from './access-schema.ts'
import { bucketsSchema } from './bucket-schema.ts'
import { sound, tableOrJson } from './checks.ts'

z.config(en())

function originFault(value: string): string | null {
  if (URL.canParse(value) && new URL(value).origin === value && !value.includes('*')) return null
  return 'must be an exact origin, such as https://app.example.com'
}

const binding = (message: string) =>
  z.custom<object>((value) => typeof value === 'object' && value !== null, message)

/** The Worker's variables, secrets and bindings, but for the access keys of the buckets. */
export const environmentSchema = z.object({
  FILE_INDEX: binding('must be bound to a KV namespace'),
  RATE_LIMITER: binding('must be bound to a rate limit'),
  BUCKETS: tableOrJson(bucketsSchema),
  SIGNING_SECRETS: signingSecretsSchema,
  API_KEYS: z._default(tableOrJson(apiKeysSchema), []),
  CORS_ORIGINS: z._default(tableOrJson(z.array(z.string().check(sound(originFault)))), []),
  JWT: z.optional(tableOrJson(jwtSchema)),
  LINK_ORIGIN: z.optional(z.string().check(sound(originFault))),
  OPEN_ACCESS: z.optional(z.enum(['localhost'])),
})
