import { ApiError } from '../errors/api-error.ts'
import { isNfc, type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import type { Bucket } from './bucket.ts'

/**
 * Refuses a second spelling of a key, in a bucket that stores keys in Unicode NFC. `key` is a key or
 * the start of keys. Throws `invalid_key`.
 */
export function requireSpelling({ normalizesKeys }: Bucket, key: string): void {
  if (normalizesKeys && !isNfc(key))
    throw new ApiError('invalid_key', 'This bucket accepts only keys in Unicode NFC.')
}

/**
 * The key under which `bucket` stores what `key` names: one for all spellings, so that an older link
 * has the same edge copy as a newer one, and loses it by the same delete.
 */
export const storedKey = ({ normalizesKeys }: Bucket, key: ObjectKey): ObjectKey =>
  normalizesKeys ? parseObjectKey(key.normalize()) : key
