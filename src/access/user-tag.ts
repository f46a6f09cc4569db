import { base64url, utf8 } from '../keys/encodings.ts'
import type { Principal } from './principal.ts'
import { purpose, purposeKey } from './purpose-key.ts'
import type { SigningSecret } from './settings.ts'

const TAG_BYTES = 16
/** How many tags an isolate keeps for each secret. Then it starts over. */
const MAX_KEPT = 1000

const keptTags = new WeakMap<SigningSecret, Map<string, string>>()

/**
 * Returns the tag of a principal: a keyed hash of its id and prefix, since the users of tokens without
 * a subject share an id. It is no credential. A client compares it to notice another user. Returns a
 * promise only if the isolate doesn't know the tag.
 */
export function userTag(
  secret: SigningSecret,
  { id, prefix }: Pick<Principal, 'id' | 'prefix'>,
): string | Promise<string> {
  const user = JSON.stringify([id, prefix])
  return keptTags.get(secret)?.get(user) ?? computeTag(secret, user)
}

async function computeTag(secret: SigningSecret, user: string): Promise<string> {
  const key = await purposeKey(secret, purpose('user'))
  const hash = await crypto.subtle.sign('HMAC', key, utf8(user))
  const tag = base64url(new Uint8Array(hash, 0, TAG_BYTES))
  let kept = keptTags.get(secret)
  if (!kept || kept.size >= MAX_KEPT) {
    kept = new Map()
    keptTags.set(secret, kept)
  }
  kept.set(user, tag)
  return tag
}
