import * as z from 'zod/mini'
import type { Bucket } from '../bucket/bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import { ApiError } from '../errors/api-error.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'

/** Limit of a body that holds a list of keys. */
export const MAX_KEYS_BODY_BYTES = 2 * 1024 ** 2

/** 1 to 1000 object keys, not parsed yet. */
export const keyList = z.array(z.string()).check(z.minLength(1), z.maxLength(1000))

/** What a client learns of a key that was refused, while the others were not. */
export interface RefusedKey {
  readonly key: string
  readonly error: { readonly code: string; readonly message: string }
}

/**
 * What `act` makes of each key, in the order asked; an ApiError stands in the place of the key that
 * it is about.
 */
export const forEachKey = <T>(
  bucket: Bucket,
  keys: readonly string[],
  act: (key: ObjectKey) => Promise<T>,
): Promise<(T | RefusedKey)[]> =>
  Promise.all(
    keys.map(async (key) => {
      try {
        requireSpelling(bucket, key)
        return await act(parseObjectKey(key))
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        return { key, error: { code: error.code, message: error.message } }
      }
    }),
  )
