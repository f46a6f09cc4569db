import type { Context } from 'hono'
import { findBucket } from '../config/find-bucket.ts'
import type { Bucket } from '../config/load.ts'
import type { AppEnv } from './app-env.ts'

/**
 * The bucket that the request names, or the default one; the log learns of it. Throws
 * `unknown_bucket`.
 */
export function chooseBucket(c: Context<AppEnv>, alias: string | undefined): Bucket {
  const bucket = findBucket(c.get('config'), alias)
  c.set('bucket', bucket.alias)
  return bucket
}
