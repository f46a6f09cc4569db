import type { ConfiguredBucket, SecondsByUse } from '../bucket/bucket.ts'
import { findBucket } from '../bucket/find-bucket.ts'
import { ApiError, type Issue } from '../errors/api-error.ts'

/** Limits of a principal beyond its scopes and prefix. Null means no limit. */
export interface Limits {
  /** Aliases of the buckets that it may use. The first one is its default. */
  readonly buckets: readonly string[] | null
  readonly maxBytes: number | null
  /** `type/subtype` or `type/*`, in lower case. */
  readonly allowedTypes: readonly string[] | null
  /** Maximum lifetime in seconds of every URL and link. */
  readonly maxExpiresIn: number | null
}

/** The limits of a principal without any. */
export const NO_LIMITS: Limits = /* @__PURE__ */ Object.freeze({
  buckets: null,
  maxBytes: null,
  allowedTypes: null,
  maxExpiresIn: null,
})

/** Returns the limits of a credential that only lists buckets. */
export const onlyBuckets = (buckets: readonly string[] | undefined): Limits =>
  buckets === undefined ? NO_LIMITS : { ...NO_LIMITS, buckets }

/** Narrowed buckets by the text of their limits, whose values repeat from token to token. */
const narrowed = new WeakMap<ConfiguredBucket, Map<string, ConfiguredBucket>>()
const MAX_NARROWED = 64

/**
 * Returns `bucket` narrowed to these limits, or `bucket` itself without any. Equal limits return
 * the same object, since what is derived for signing is kept by bucket.
 */
export function narrowBucket<B extends ConfiguredBucket>(
  bucket: B,
  limits: Omit<Limits, 'buckets'>,
): B {
  const { maxBytes, allowedTypes, maxExpiresIn } = limits
  if (maxBytes === null && allowedTypes === null && maxExpiresIn === null) return bucket
  const kept = narrowed.get(bucket) ?? new Map<string, ConfiguredBucket>()
  const name = JSON.stringify([maxBytes, allowedTypes, maxExpiresIn])
  const known = kept.get(name)
  if (known !== undefined) return known as B
  const copy: B = {
    ...bucket,
    maxBytes: smaller(bucket.maxBytes, maxBytes),
    allowedTypes: commonTypes(bucket.allowedTypes, allowedTypes),
    // A default above the maximum is shortened where it is used.
    maxExpiresIn: Object.fromEntries(
      Object.entries(bucket.maxExpiresIn).map(([use, max]) => [use, smaller(max, maxExpiresIn)]),
    ) as SecondsByUse,
  }
  if (kept.size >= MAX_NARROWED) kept.clear()
  narrowed.set(bucket, kept.set(name, copy))
  return copy
}

const smaller = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.min(a, b)

/** Returns the types that both lists allow. Of a type and its `type/*`, keeps the type. */
function commonTypes(a: readonly string[] | null, b: readonly string[] | null) {
  if (a === null || b === null) return a ?? b
  const common = [
    ...a.filter((type) => b.some((other) => coversType(other, type))),
    ...b.filter((type) => a.some((other) => coversType(other, type))),
  ]
  return [...new Set(common)]
}

/** A type, or all types of one kind. */
export const ALLOWED_TYPE = /^[\w!#$&^.+-]+\/(\*|[\w!#$&^.+-]+)$/

/** Tells whether `allowed` is `type`, or the `type/*` that contains it. */
export const coversType = (allowed: string, type: string): boolean =>
  allowed.endsWith('/*') ? type.startsWith(allowed.slice(0, -1)) : type === allowed

/** The limits that a token asks for. An undefined member keeps the caller's limit. */
export type AskedLimits = {
  readonly [Name in keyof Limits]?: NonNullable<Limits[Name]> | undefined
}

/**
 * Returns the caller's limits, replaced by those in `asked`. Throws `forbidden` with an issue for each
 * limit that is wider than the caller's in every bucket of the token.
 */
export function narrowLimits(
  caller: Limits,
  asked: AskedLimits,
  settings: { readonly buckets: readonly [ConfiguredBucket, ...ConfiguredBucket[]] },
): Limits {
  const { buckets, maxBytes, allowedTypes, maxExpiresIn } = asked
  const issues: Issue[] = []
  const refuse = (path: string, message: string) => issues.push({ path, message })

  for (const [i, alias] of (buckets ?? []).entries())
    if (!mayUse(caller, alias)) refuse(`buckets.${i}`, 'is a bucket that you may not use')
  if (issues.length > 0) throw tooWide(issues)
  for (const alias of buckets ?? []) findBucket(settings, alias)
  const seen = usableBuckets({ ...caller, buckets: buckets ?? caller.buckets }, settings)
  if (seen.length === 0)
    throw new ApiError('unknown_bucket', 'Your buckets are no longer configured.')

  const bytes = seen.map((bucket) => bucket.maxBytes ?? Infinity)
  const most = Math.max(...bytes)
  if (maxBytes !== undefined && maxBytes > most) refuse('maxBytes', `must be at most ${most}`)
  const types = seen.map((bucket) => bucket.allowedTypes)
  for (const [i, type] of (allowedTypes ?? []).entries())
    if (!types.some((list) => list === null || list.some((allowed) => coversType(allowed, type))))
      refuse(
        `allowedTypes.${i}`,
        `must be one of ${[...new Set(types.flatMap((list) => list ?? []))].join(', ')}`,
      )
  const longest = Math.max(...seen.flatMap((bucket) => Object.values(bucket.maxExpiresIn)))
  if (maxExpiresIn !== undefined && maxExpiresIn > longest)
    refuse('maxExpiresIn', `must be at most ${longest}`)
  if (issues.length > 0) throw tooWide(issues)

  return {
    buckets: buckets ?? caller.buckets,
    maxBytes: maxBytes ?? caller.maxBytes,
    allowedTypes: allowedTypes ?? caller.allowedTypes,
    maxExpiresIn: maxExpiresIn ?? caller.maxExpiresIn,
  }
}

const tooWide = (issues: readonly Issue[]): ApiError =>
  new ApiError('forbidden', "A token can't have more rights than its caller.", { issues })

/** Tells whether a principal with these limits may use the bucket called `alias`. */
export const mayUse = ({ buckets }: Pick<Limits, 'buckets'>, alias: string): boolean =>
  buckets === null || buckets.includes(alias)

/** Returns the existing buckets that these limits allow, narrowed to them, the default first. */
export const usableBuckets = (
  limits: Limits,
  { buckets }: { readonly buckets: readonly ConfiguredBucket[] },
): ConfiguredBucket[] =>
  (limits.buckets === null
    ? buckets
    : [...new Set(limits.buckets)].flatMap(
        (alias) => buckets.find((bucket) => bucket.alias === alias) ?? [],
      )
  ).map((bucket) => narrowBucket(bucket, limits))
