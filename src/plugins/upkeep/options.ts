import { isPrincipalId } from '../../access/principal.ts'
import { Kept } from '../../http/app-env.ts'
import { keyPrefixError, type ObjectKey } from '../../keys/object-key.ts'
import { aliasesRule } from '../../settings/access-rules.ts'
import type { Rule } from '../../settings/rules.ts'
import * as r from '../../settings/rules.ts'
import type { Settings } from '../../settings/settings.ts'
import { MODES, type Mode } from './state.ts'

/** What upkeep does (docs/import-and-repair.md#repair). */
export type UpkeepInput = UpkeepTerms & (Owned | Ownerless)

interface UpkeepTerms {
  /** Default: `report`, which changes nothing. */
  readonly mode?: Mode | undefined
  /** The plan of the Cloudflare account. Default: `free`. */
  readonly plan?: 'free' | 'paid' | undefined
  /** Aliases of the buckets to walk through. Default: all. */
  readonly buckets?: readonly string[] | undefined
}

interface Owned {
  /** Where the owner is in the keys of files that upkeep records: `users/{owner}/`. */
  readonly owner: string
  /** The owner's id in records, such as `app:{owner}`. Default: `{owner}`. */
  readonly ownerAs?: string | undefined
}

interface Ownerless {
  readonly owner?: undefined
  readonly ownerAs?: undefined
}

/**
 * Where the owner is in a key, such as `users/{owner}/`, and the owner's id in records, such as
 * `key:app/{owner}`. Null if nobody owns what is recorded.
 */
export type OwnerTemplate = { readonly owner: string; readonly ownerAs: string } | null

/** Checked options with their defaults. */
export interface UpkeepSettings {
  readonly mode: Mode
  readonly plan: 'free' | 'paid'
  readonly owner: OwnerTemplate
  /** Null for all. */
  readonly buckets: readonly string[] | null
}

const PLACEHOLDER = '{owner}'

/** Returns why `value` can't tell where the owner is in a key, or null. */
export function ownerError(value: string): string | null {
  const segments = value.split('/').filter((segment) => segment === PLACEHOLDER)
  const literal = value.replace(PLACEHOLDER, 'owner')
  if (segments.length !== 1 || /[{}]/.test(literal))
    return 'must have {owner} as exactly one of its segments, as in "users/{owner}/"'
  return keyPrefixError(literal)
}

/** Returns why `value` can't be the id of an owner in records, or null. */
export function ownerAsError(value: string): string | null {
  const literal = value.replace(PLACEHOLDER, 'owner')
  return value !== literal && !/[{}]/.test(literal) && isPrincipalId(literal)
    ? null
    : 'must be the id of a principal with {owner} in it, as in "app:{owner}"'
}

/** Returns a template of its two texts, or null without one. */
export const ownerTemplate = (
  owner: string | undefined,
  ownerAs: string | undefined,
): OwnerTemplate => (owner === undefined ? null : { owner, ownerAs: ownerAs ?? PLACEHOLDER })

/** Checks what upkeep does. `settings` have its buckets. */
export const upkeepRule = (settings: Pick<Settings, 'buckets'> | null): Rule<UpkeepSettings> =>
  r.into(
    r.also(
      r.table({
        mode: r.optional(r.oneOf(...MODES), 'report' as const),
        plan: r.optional(r.oneOf('free', 'paid'), 'free' as const),
        owner: r.optional(r.text(ownerError)),
        ownerAs: r.optional(r.text(ownerAsError)),
        buckets: aliasesRule(settings),
      }),
      ({ owner, ownerAs }) =>
        ownerAs !== undefined && owner === undefined ? 'needs owner for ownerAs' : null,
    ),
    ({ mode, plan, owner, ownerAs, buckets }) => ({
      mode,
      plan,
      owner: ownerTemplate(owner, ownerAs),
      buckets: buckets ?? null,
    }),
  )

/** What the plugin has read of its options. */
export const UPKEEP = new Kept<UpkeepSettings>()

/** What upkeep does without options. */
export const NO_OPTIONS: UpkeepSettings = {
  mode: 'report',
  plan: 'free',
  owner: null,
  buckets: null,
}

/**
 * Returns a function that finds the owner of a key: the segment at `{owner}` of the template, which matches
 * from the key's start. Null for a key that doesn't match, and for what may not be the id of an owner.
 */
export function ownerFinder(template: OwnerTemplate): (key: ObjectKey) => string | null {
  if (template === null) return () => null
  const [before = '', after = ''] = template.owner.split(PLACEHOLDER)
  return (key) => {
    if (!key.startsWith(before)) return null
    const rest = key.slice(before.length)
    const [segment = ''] = rest.split('/')
    if (!rest.slice(segment.length).startsWith(after)) return null
    const id = template.ownerAs.replaceAll(PLACEHOLDER, () => segment)
    return segment !== '' && isPrincipalId(id) ? id : null
  }
}
