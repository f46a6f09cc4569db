import { ApiError } from '../errors/api-error.ts'
import { isNfc, type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import type { ConfiguredBucket } from './bucket.ts'

/** Throws `invalid_key` for a second spelling of `key`, or of a start of keys, in Unicode. */
export function requireSpelling({ normalizesKeys }: ConfiguredBucket, key: string): void {
  if (normalizesKeys && !isNfc(key))
    throw new ApiError('invalid_key', 'This bucket accepts only keys in Unicode NFC.')
}

/**
 * Returns the key under which `bucket` stores the object. It is the same for all spellings, so that
 * old and new links share one edge copy, and one delete removes it.
 */
export const storedKey = ({ normalizesKeys }: ConfiguredBucket, key: ObjectKey): ObjectKey =>
  normalizesKeys ? parseObjectKey(key.normalize()) : key
