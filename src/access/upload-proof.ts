import { base64url, fromBase64url, utf8 } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { isSignature, purpose, purposeKey } from './purpose-key.ts'
import type { SigningSettings } from './settings.ts'

const PROOF = purpose('proof')

/** An upload under a key that the app chose. */
interface ProvenUpload {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly key: ObjectKey
  /** Id of the principal. */
  readonly owner: string
}

const textOf = ({ bucket, key, owner }: ProvenUpload) => utf8(JSON.stringify([bucket, key, owner]))

/**
 * Returns text for the metadata of the object. It proves later, without any state, that the presigner
 * signed an upload of `owner` to `key`: no client can set that metadata.
 */
export async function uploadProof(
  { signingSecrets }: SigningSettings,
  upload: ProvenUpload,
): Promise<string> {
  const key = await purposeKey(signingSecrets[0], PROOF)
  const signature = await crypto.subtle.sign('HMAC', key, textOf(upload))
  return base64url(new Uint8Array(signature))
}

/** Tells whether the `mark` of an object ends with the proof of `upload`. */
export async function provesUpload(
  { signingSecrets }: SigningSettings,
  upload: ProvenUpload,
  mark = '',
): Promise<boolean> {
  const proof = mark.split('.').at(-1) ?? ''
  if (!isSignature(proof)) return false
  for (const secret of signingSecrets) {
    const key = await purposeKey(secret, PROOF)
    if (await crypto.subtle.verify('HMAC', key, fromBase64url(proof), textOf(upload))) return true
  }
  return false
}
