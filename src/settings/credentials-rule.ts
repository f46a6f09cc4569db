import type { CredentialSource, Credentials } from '../bucket/bucket.ts'
import { credentialSource } from '../bucket/credential-source.ts'
import type { Rule } from './rules.ts'
import * as r from './rules.ts'

const instant: Rule<number> = (value, place) =>
  value instanceof Date && !Number.isNaN(value.getTime())
    ? value.getTime()
    : r.breaks(place, 'must be a valid Date')

const valuesRule: Rule<Credentials> = r.table({
  accessKeyId: r.accessKey,
  secretAccessKey: r.accessKey,
  sessionToken: r.optional(r.notEmpty, null),
  expiresAt: r.optional(instant, Infinity),
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
  return values !== r.BROKEN && values.sessionToken !== null && values.expiresAt === Infinity
    ? r.breaks({ ...place, path: 'expiresAt' }, 'is missing. Temporary credentials need it')
    : values
}

/** Throws TypeError for what is not an access key. Its message contains no values. */
function requireValues(returned: unknown): Credentials {
  const checked = r.check(returnedRule, returned)
  if (checked.ok) return checked.value
  const list = checked.issues.map(({ path, message }) => `${path || 'it'} ${message}`).join('; ')
  throw new TypeError(`The function returned no valid credentials: ${list}.`)
}
