import type { Credentials } from '../bucket/bucket.ts'
import { type CredentialSource, credentialSource } from '../bucket/credential-source.ts'
import { accessKey, breaks, check, notEmpty, optional, type Rule, table } from './rules.ts'

const instant: Rule<number> = (value, place) =>
  value instanceof Date && !Number.isNaN(value.getTime())
    ? value.getTime()
    : breaks(place, 'must be a valid Date')

const valuesRule: Rule<Credentials> = table({
  accessKeyId: accessKey,
  secretAccessKey: accessKey,
  sessionToken: optional(notEmpty, null),
  expiresAt: optional(instant, Infinity),
})

/** Buckets, environments and presigners with the same function share what it returns. */
const sources = new WeakMap<object, CredentialSource>()

/** Accepts an access key pair, or a function that resolves with one. */
export const credentialsRule: Rule<Credentials | CredentialSource> = (value, place) => {
  if (typeof value !== 'function') return valuesRule(value, place)
  const source =
    sources.get(value) ??
    credentialSource(async (signal) =>
      requireValues(await Reflect.apply(value, undefined, [{ signal }])),
    )
  sources.set(value, source)
  return source
}

/** Throws TypeError for what is not an access key pair. Its message contains no values. */
function requireValues(returned: unknown): Credentials {
  const checked = check(valuesRule, returned)
  const issues = checked.ok ? [] : [...checked.issues]
  if (checked.ok && checked.value.sessionToken !== null && checked.value.expiresAt === Infinity)
    issues.push({ path: 'expiresAt', message: 'is missing. Temporary credentials need it' })
  if (checked.ok && issues.length === 0) return checked.value
  const list = issues.map(({ path, message }) => `${path || 'it'} ${message}`).join('; ')
  throw new TypeError(`The function returned no valid credentials: ${list}.`)
}
