import * as z from 'zod/mini'

/** Members of bodies and queries that several routes have in common. */

/** Alias of a bucket. */
export const bucket = z.optional(z.string())
/** Seconds. */
export const expiresIn = z.optional(z.int())
/** A whole number in a query. */
export const digits = z.pipe(
  z.string().check(z.regex(/^\d{1,9}$/, 'must be a whole number')),
  z.transform(Number),
)
export const fileName = z.string().check(z.minLength(1), z.maxLength(1024))
/**
 * A header's value that arrives as it was sent: printable ASCII without leading, trailing or double
 * spaces.
 */
export const cacheControl = z.optional(
  z
    .string()
    .check(
      z.maxLength(255),
      z.regex(/^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/, 'must be printable ASCII'),
    ),
)
/** SHA-256 of a file. */
export const sha256 = z.optional(
  z.string().check(z.regex(/^[A-Za-z0-9+/]{43}=$/, 'must be 32 bytes in base64')),
)
/** S3's user-defined metadata. */
export const metadata = z.optional(
  z.record(
    z.string().check(z.regex(/^[a-z0-9-]{1,64}$/, 'must be a name of a-z, 0-9 and "-"')),
    z.string().check(z.maxLength(2048)),
  ),
)
export const directory = z.optional(
  z.string().check(z.regex(/^[^/]+(?:\/[^/]+)*$/, 'must be segments with "/" between')),
)
export const partNumber = z.int().check(z.minimum(1), z.maximum(10_000))
