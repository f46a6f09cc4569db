import type { Bucket } from '../../src/bucket/bucket.ts'
import type { Announce, Place } from '../../src/core/reconcile.ts'
import type { FileIndex } from '../../src/records/file-index.ts'

/** Where a test reconciles keys. */
export const placeIn = (
  bucket: Bucket,
  index: FileIndex,
  now = new Date(),
  announce: Announce | null = null,
): Place => ({ bucket, index, announce, purge: null, now })
