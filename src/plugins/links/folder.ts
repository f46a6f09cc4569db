import * as z from 'zod/mini'
import { purpose } from '../../access/purpose-key.ts'
import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../../keys/object-key.ts'
import { encodeKey } from '../../signing/object-url.ts'
import type { LinkRefusal } from './refusal.ts'
import type { LinkVerdict } from './verify-link.ts'

const FOLDER = purpose('folder')

/**
 * What a folder link allows. A token with another member is refused: an older version of the Worker
 * would otherwise ignore a condition that it doesn't know.
 */
const claimsSchema = z.strictObject({
  bucket: z.string(),
  prefix: z.string(),
  exp: z.int(),
  restrictions: z.optional(z.string()),
})

/** Every object whose key starts with `prefix`, until a time in seconds since 1970. */
export interface FolderPolicy {
  /** Alias of the bucket. */
  readonly bucket: string
  /** Ends with `/`. */
  readonly prefix: ObjectKey
  readonly expires: number
  /** As in the query of a link. Undefined for everyone. */
  readonly restrictions?: string | undefined
}

/** Returns the path before the names in a folder, which ends with `/`: always the same text. */
export async function signFolder(
  { bucket, prefix, expires, restrictions }: FolderPolicy,
  { signingSecrets }: SigningSettings,
): Promise<string> {
  const claims = { bucket, prefix, exp: expires, restrictions }
  const token = await seal(signingSecrets, FOLDER, claims)
  return folderPath(token, prefix)
}

const folderPath = (token: string, key: ObjectKey): string => `/f/${token}/${encodeKey(key)}`

/**
 * Verifies a link to `key` below a folder and returns its policy. `path` has been parsed. Accepts one
 * spelling of it, except for characters that URL parsers and encoders treat differently: a page makes
 * this URL from the folder's and a relative address.
 */
export async function verifyInFolder(
  path: string,
  token: string,
  key: string,
  { signingSecrets }: SigningSettings,
  now: Date,
): Promise<LinkVerdict> {
  const refuse = (refusal: LinkRefusal): LinkVerdict => ({ ok: false, refusal })
  // Some servers remove an empty segment, or read a backslash as a slash. Unlike in other links, the
  // client chooses the key. One that ends with a slash is a folder.
  if (objectKeyError(key) !== null || /\\|\/(?:\/|$)/.test(key)) return refuse('link malformed')
  const objectKey = parseObjectKey(key)
  if (plain(folderPath(token, objectKey)) !== plain(path)) return refuse('link rewritten')
  const unsealed = await unseal(signingSecrets, FOLDER, token, now)
  if (!unsealed.ok) {
    const { failure } = unsealed
    return refuse(failure === 'secret unknown' ? 'link kid unknown' : `link ${failure}`)
  }
  const claims = claimsSchema.safeParse(unsealed.claims)
  if (!claims.success) return refuse('link malformed')
  const { bucket, prefix, exp: expires, restrictions } = claims.data
  if (!key.startsWith(prefix)) return refuse('link outside its folder')
  const policy = { bucket, key: objectKey, expires, restrictions, variant: null }
  return { ok: true, policy: { ...policy, delivery: 'stream', download: null } }
}

/**
 * Decodes the characters of ASCII that a URL parser leaves as they are in a path, and that
 * `encodeURIComponent` may encode (URL Standard, path percent-encode set; some parsers leave `^`).
 */
const plain = (path: string): string =>
  path.replace(/%(?:2[146-9ABC]|3[ABD]|40|5[BDE]|7C)/g, decodeURIComponent)
