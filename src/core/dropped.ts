import { type AppContext, Kept } from '../http/app-env.ts'

/**
 * Forgets the records below `prefix` that were dropped from the index of a bucket, and whose objects are
 * older than `before`, in milliseconds since 1970. Resolves with their number.
 */
export type ForgetDropped = (
  c: AppContext,
  bucket: string,
  prefix: string,
  before: number,
) => Promise<number>

/** The plugin that keeps dropped records, if there is one. */
export const DROPPED = new Kept<ForgetDropped>()
