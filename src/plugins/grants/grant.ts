import { mayUse } from '../../access/limits.ts'
import type { PasswordHash } from '../../access/password.ts'
import type { Principal } from '../../access/principal.ts'
import type { Scope } from '../../access/scopes.ts'
import type { StoredPrincipal } from '../../access/stored-principal.ts'
import type { Restricted } from '../../core/link.ts'

/** A grant as its object keeps it. Times are in milliseconds since 1970. */
export interface Grant {
  readonly version: 1
  readonly secret: string
  readonly minter: StoredPrincipal
  /** Alias of the bucket. */
  readonly bucket: string
  readonly key: string
  /** The file's name, and its bytes, when the grant was created. */
  readonly name: string
  readonly size: number
  readonly label: string | null
  /** Uses in all, or null for any number. */
  readonly uses: number | null
  readonly used: number
  readonly deadline: number
  readonly password: PasswordHash | null
  /** Whether a GET takes a use. */
  readonly direct: boolean
  /** Name to save the file under, if the creator chose one. */
  readonly download: string | null
  /** As its creator wrote them. */
  readonly restrictions: Restricted | null
  readonly createdAt: number
  readonly lastUsedAt: number | null
  /** Pages whose forms have taken a use lately. */
  readonly pages: readonly UsedPage[]
}

/** A grant, and how many guesses of its password were wrong. */
export type SeenGrant = Grant & { readonly wrongPasswords: number }

/** A page that somebody has opened, and when its form took a use. */
interface UsedPage {
  /** Random. */
  readonly id: string
  readonly at: number
}

export type GrantChanges = Partial<Pick<Grant, 'uses' | 'label' | 'deadline'>>

/** Scopes of a principal that creates grants, and of the one that a grant uses. */
export const GRANT_SCOPES: readonly Scope[] = ['grants:create', 'links:create', 'files:read']

/** How long a grant is kept after its deadline, which its creator may still move. */
const KEPT_MILLISECONDS = 7 * 86_400_000

/** Returns when the object of a grant forgets it. */
export const forgottenAt = ({ deadline }: Pick<Grant, 'deadline'>): number =>
  deadline + KEPT_MILLISECONDS

/** Returns how many uses are left, or null for any number. */
export const usesLeft = ({ uses, used }: Pick<Grant, 'uses' | 'used'>): number | null =>
  uses === null ? null : Math.max(0, uses - used)

/** Tells whether nobody can use a grant at `now`, in milliseconds since 1970. */
export const hasEnded = (grant: Pick<Grant, 'deadline' | 'uses' | 'used'>, now: number): boolean =>
  now >= grant.deadline || usesLeft(grant) === 0

/** How long a page that has taken a use may fetch its link again, so that a long download resumes. */
export const REPEAT_SECONDS = 86_400

/** Returns the pages that may fetch their links again. */
export const recentPages = ({ pages }: Pick<Grant, 'pages'>, now: number): readonly UsedPage[] =>
  pages.filter(({ at }) => now < at + REPEAT_SECONDS * 1000)

/**
 * Tells whether `principal` may see and change a grant: it has created it, and may still use its
 * bucket and its key. A token of the same principal may be narrower.
 */
export const mayManage = (
  { id, prefix, limits }: Principal,
  { minter, bucket, key }: Grant,
): boolean => id === minter.id && key.startsWith(prefix) && mayUse(limits, bucket)

/** Returns a grant as its creator sees it. `base` is the URL before `/g/`. */
export function grantBody(id: string, base: string, grant: Grant & Partial<SeenGrant>) {
  const { secret, bucket, key, name, size, label, uses, deadline, password } = grant
  const { direct, download, restrictions, createdAt, lastUsedAt } = grant
  return {
    ...{ id, url: `${base}/g/${secret}`, bucket, key, name, size, label, uses },
    usesLeft: usesLeft(grant),
    deadline: new Date(deadline).toISOString(),
    hasPassword: password !== null,
    wrongPasswords: grant.wrongPasswords ?? 0,
    ...{ direct, download, restrictions },
    createdAt: new Date(createdAt).toISOString(),
    lastUsedAt: lastUsedAt === null ? null : new Date(lastUsedAt).toISOString(),
  }
}
