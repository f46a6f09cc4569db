import type { Scope } from '../../access/scopes.ts'
import { keyPrefixError } from '../../keys/object-key.ts'
import { aliasesRule, keyScopesRule } from '../../settings/access-rules.ts'
import type { Rule } from '../../settings/rules.ts'
import * as r from '../../settings/rules.ts'
import type { Settings } from '../../settings/settings.ts'

/** The digest of an API key, and what the key may do. */
export interface ApiKey {
  readonly id: string
  /** 64 hexadecimal digits in lower case, or two such digests during a rotation. */
  readonly sha256: string | readonly string[]
  readonly scopes: readonly Scope[]
  /** Empty (every key), or ends with `/`. */
  readonly prefix: string
  /** Aliases of the buckets that it may use. The first one is its default. Default: all buckets. */
  readonly buckets?: readonly string[] | undefined
}

function digestError(value: string): string | null {
  if (value.startsWith('ep_'))
    return 'must be the digest of the key, not the key. `npx edge-presigner keys create` writes it'
  return /^[0-9a-f]{64}$/.test(value)
    ? null
    : 'must be 64 hexadecimal digits, the SHA-256 of the key'
}

const digest = r.text(digestError)
const digests = r.oneOrMore(digest, ({ length }) =>
  length > 2 ? 'must have one or two digests' : null,
)

/** Accepts digests of API keys, never the keys. `settings` have their buckets. */
export const apiKeysRule = (settings: Pick<Settings, 'buckets'> | null): Rule<ApiKey[]> =>
  r.also(
    r.list(
      r.table({
        id: r.matching(/^[a-z0-9-]{1,32}$/, 'must be 1 to 32 of a-z, 0-9 and "-", such as "ci"'),
        sha256: digests,
        scopes: keyScopesRule,
        prefix: r.text(keyPrefixError),
        buckets: aliasesRule(settings),
      }),
    ),
    r.repeats('an id', ({ id }) => id),
  )
