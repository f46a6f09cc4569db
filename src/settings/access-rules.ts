import { KEY_SCOPES, SCOPES, type Scope } from '../access/scopes.ts'
import type { Rule } from './rules.ts'
import * as r from './rules.ts'
import type { Settings } from './settings.ts'

/** Accepts what a credential other than an API key may do. */
export const scopesRule: Rule<Scope[]> = r.list(r.oneOf(...SCOPES), 1)

/** Accepts what an API key may do. */
export const keyScopesRule: Rule<Scope[]> = r.list(r.oneOf(...KEY_SCOPES), 1)

/** Accepts aliases of the buckets in `settings`, or any if these are invalid. */
export const aliasesRule = (
  settings: Pick<Settings, 'buckets'> | null,
): Rule<string[] | undefined> =>
  r.optional(
    r.list(
      r.also(r.notEmpty, (value) =>
        settings?.buckets.every(({ alias }) => alias !== value)
          ? 'must be the alias of a bucket'
          : null,
      ),
      1,
    ),
  )
