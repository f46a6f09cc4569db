import * as z from 'zod/mini'
import { ALLOWED_TYPE } from './limits.ts'

/** Maximum number of buckets or types in one list. */
const MAX_ITEMS = 100

/** The limits that a token, or an app for its own user, may have. */
export const askedLimits = {
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
}
