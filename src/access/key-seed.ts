import { MAX_SKEW_SECONDS } from '../bucket/limits.ts'
import { utf8 } from '../keys/encodings.ts'
import type { NewKeyInput } from '../keys/new-key.ts'
import { purpose, purposeKey } from './purpose-key.ts'
import type { SigningSettings } from './settings.ts'

/** A client's own id of an upload: milliseconds since 1970, `-`, and random characters. */
export const START_ID = /^\d{13}-[\w-]{16,64}$/

/** What makes a key unique. */
export type KeySeed = Pick<NewKeyInput, 'now' | 'random'>

/**
 * Derives the seed of a key from `startId`, so that a repeated request gets the same key, unless
 * the client's clock is wrong. Its random part is an HMAC, so that nobody can choose a key or get
 * that of another principal.
 */
export async function keySeed(
  { signingSecrets }: SigningSettings,
  { bucket, owner }: { readonly bucket: string; readonly owner: string },
  startId: string,
  now: Date,
): Promise<KeySeed> {
  const time = Number(startId.slice(0, 13))
  const isClose = Math.abs(time - now.getTime()) <= MAX_SKEW_SECONDS * 1000
  const key = await purposeKey(signingSecrets[0], purpose('key'))
  const text = utf8(JSON.stringify([bucket, owner, startId]))
  const random = new Uint8Array(await crypto.subtle.sign('HMAC', key, text))
  return { now: isClose ? new Date(time) : now, random }
}
