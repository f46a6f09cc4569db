import type { Refusal } from '../../access/verdict.ts'
import { areEqual, sha256 } from '../../keys/encodings.ts'

/**
 * Returns why a server may not send notifications, or null if it may. Its secret is a Bearer token,
 * as MinIO sends it, or the password of Basic authentication, as Ceph RGW and EventBridge send it.
 * Compares only digests, in constant time, with each of `secrets`.
 */
export async function refuseSender(
  authorization: string | undefined,
  secrets: readonly string[],
): Promise<Refusal | null> {
  if (authorization === undefined) return 'no credentials'
  const [, scheme = '', value = ''] = /^(Bearer|Basic) +(\S+)$/i.exec(authorization) ?? []
  const given = scheme.toLowerCase() === 'basic' ? passwordIn(value) : value
  const digest = await sha256(given)
  const known = await Promise.all(secrets.map(sha256))
  const matches = known.filter((secret) => areEqual(digest, secret))
  return matches.length === 0 ? 'notification secret wrong' : null
}

/** Returns the password in `base64(user:password)` (RFC 7617), or empty text. */
function passwordIn(credentials: string): string {
  try {
    return /^[^:]*:(.*)$/s.exec(atob(credentials))?.[1] ?? ''
  } catch {
    return ''
  }
}
