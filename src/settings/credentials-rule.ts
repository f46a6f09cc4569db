import type { CredentialSource, Credentials } from '../bucket/bucket.ts'
import { credentialSource } from '../bucket/credential-source.ts'
import { accessKey, BROKEN, breaks, check, notEmpty, optional, type Rule, table } from './rules.ts'

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

/** Accepts an access key, or a function that resolves with one. */
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

const returnedRule: Rule<Credentials> = (value, place) => {
  const values = valuesRule(value, place)
  return values !== BROKEN && values.sessionToken !== null && values.expiresAt === Infinity
    ? breaks({ ...place, path: 'expiresAt' }, 'is missing. Temporary credentials need it')
    : values
}

/** Throws TypeError for what is not an access key. Its message contains no values. */
function requireValues(returned: unknown): Credentials {
  const checked = check(returnedRule, returned)
  if (checked.ok) return checked.value
  const list = checked.issues.map(({ path, message }) => `${path || 'it'} ${message}`).join('; ')
  throw new TypeError(`The function returned no valid credentials: ${list}.`)
}
