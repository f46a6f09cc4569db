import { areEqual, sha256 } from '../../keys/encodings.ts'
import { breaks, printedError, type Rule } from '../../settings/rules.ts'

/** Accepts secret[,secret], of characters that need no encoding in a header or a URL. */
export const notificationSecretsRule: Rule<string[]> = (value, place) => {
  const secrets = typeof value === 'string' ? value.split(',').map((secret) => secret.trim()) : []
  const areValid = secrets.every((secret) => /^[A-Za-z0-9._~-]{32,128}$/.test(secret))
  const printed = secrets.map(printedError).find((error) => error !== null)
  if (areValid && [1, 2].includes(secrets.length) && printed === undefined) return secrets
  const rule =
    'must be one or two secrets, separated by ",", each of 32 to 128 of a-z, 0-9 and "._~-"'
  return breaks(place, `${printed ?? rule}. Set it to the output of \`openssl rand -hex 32\`.`)
}

/** Why a server is refused, for the log. */
export const SECRET_WRONG = 'notification secret wrong'

/**
 * Returns why a server may not send notifications, or null. Its secret is a Bearer token (MinIO) or
 * a Basic password (Ceph RGW, EventBridge). Compares digests, in constant time, with each secret.
 */
export async function refuseSender(
  authorization: string | undefined,
  secrets: readonly string[],
): Promise<'no credentials' | typeof SECRET_WRONG | null> {
  if (authorization === undefined) return 'no credentials'
  const [, scheme = '', value = ''] = /^(Bearer|Basic) +(\S+)$/i.exec(authorization) ?? []
  const given = scheme.toLowerCase() === 'basic' ? passwordIn(value) : value
  const digest = await sha256(given)
  const known = await Promise.all(secrets.map(sha256))
  const matches = known.filter((secret) => areEqual(digest, secret))
  return matches.length === 0 ? SECRET_WRONG : null
}

/** Returns the password in `base64(user:password)` (RFC 7617), or empty text. */
function passwordIn(credentials: string): string {
  try {
    return /^[^:]*:(.*)$/s.exec(atob(credentials))?.[1] ?? ''
  } catch {
    return ''
  }
}
