import type { Bucket } from '../config/load.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { signingKey } from './derived-keys.ts'
import { assertNamesKey, objectPath } from './object-url.ts'
import { hex, type PresignTemplate, presignSigner, signHex, spaced } from './presign.ts'

/** Signs the URL of one object. */
export type Stamp = (key: ObjectKey) => Promise<string>

const MAX_STAMPS = 64
const PROBE = parseObjectKey('probe')
const encoder = new TextEncoder()
const stamps = new WeakMap<Bucket, Map<string, Promise<Stamp>>>()

/**
 * Signs many URLs that differ in the key alone, byte for byte as `presign` does, each for one digest and one HMAC.
 * Stamps are kept: within a second the next caller gets the same one.
 */
export function stampFor(template: PresignTemplate): Promise<Stamp> {
  const { bucket, credentials, method, query, headers, signedAt, signedSeconds } = template
  const kept = stamps.get(bucket) ?? new Map<string, Promise<Stamp>>()
  stamps.set(bucket, kept)
  const name = JSON.stringify([
    credentials.accessKeyId,
    method,
    query,
    headers,
    signedAt.getTime(),
    signedSeconds,
  ])
  const known = kept.get(name)
  if (known !== undefined) return known
  if (kept.size >= MAX_STAMPS) kept.clear()
  const stamp = createStamp(template)
  kept.set(name, stamp)
  return stamp
}

/** aws4fetch signs a probe key; of its canonical request (SigV4, "Create a canonical request") the path line is replaced. */
async function createStamp(template: PresignTemplate): Promise<Stamp> {
  const { bucket } = template
  const signer = presignSigner({ ...template, key: PROBE })
  const signature = await signer.signature()
  const canonical = await signer.canonicalString()
  const path = `\n${objectPath(bucket, PROBE)}\n`
  const at = canonical.indexOf(path)
  const head = canonical.slice(0, at + 1)
  const tail = canonical.slice(at + path.length - 1)
  const stringToSign = await signer.stringToSign()
  const scope = stringToSign.slice(0, stringToSign.lastIndexOf('\n') + 1)
  const query = `${spaced(signer.url.search)}&X-Amz-Signature=`
  const keyOfDay = await signingKey(signer)

  const sign = async (key: ObjectKey): Promise<string> => {
    const keyPath = objectPath(bucket, key)
    assertNamesKey(keyPath, bucket, key)
    const request = encoder.encode(head + keyPath + tail)
    const digest = hex(await crypto.subtle.digest('SHA-256', request))
    return bucket.origin + keyPath + query + (await signHex(keyOfDay, scope + digest))
  }
  if (at === -1 || !(await sign(PROBE)).endsWith(signature))
    throw new Error('aws4fetch builds its canonical request in another way than expected.')
  return sign
}
