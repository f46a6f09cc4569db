import { ApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import type { Item, ItemKind, Seen } from '../../state/item.ts'
import { type Remote, stateObject } from '../../state/object.ts'
import type { Restricted } from '../links/index.ts'

import type { Grants } from './cloudflare.ts'

/** Scopes of who creates a grant, also later, when somebody uses it. */
export const GRANT_SCOPES = ['grants:create', 'links:create', 'files:read'] as const

/** A grant as its object keeps it. Times are in milliseconds since 1970. */
export interface Grant extends Item {
  /** The file's name, and its bytes, when the grant was created. */
  readonly name: string
  readonly size: number
  readonly label: string | null
  /** Uses in all, or null for any number. */
  readonly uses: number | null
  readonly used: number
  /** Whether a GET takes a use. */
  readonly direct: boolean
  /** Name to save the file under, if the creator chose one. */
  readonly download: string | null
  /** As its creator wrote them. */
  readonly restrictions: Restricted | null
  readonly lastUsedAt: number | null
  /** Pages whose forms have taken a use lately. */
  readonly pages: readonly UsedPage[]
}

/** A page that somebody has opened, and when its form took a use. */
interface UsedPage {
  /** Random. */
  readonly id: string
  readonly at: number
}

export type GrantChanges = Partial<Pick<Grant, 'uses' | 'label' | 'deadline'>>

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

/** Returns the object of a grant, or of a list. */
export const grantObject = (c: AppContext, name: string, locationHint?: string): Remote<Grants> =>
  stateObject<Grants>(c, 'Grants', name, locationHint)

export const GRANTS: ItemKind<Seen<Grant>> = {
  object: grantObject,
  noun: 'grant',
  scopes: GRANT_SCOPES,
  // Its creator may still move the deadline.
  keptSeconds: 7 * 86_400,
  about: ({ id, label }) => ({ grant: { id, label } }),
  ended: (cause) =>
    new ApiError(
      'grant_ended',
      'It was used up, has expired or was revoked. Ask the sender for another one.',
      { cause },
    ),
}

/** Returns a grant as its owner sees it. `base` is the URL before the path of its page. */
export function showGrant(grant: Seen<Grant>, base: string) {
  const { id, secret, bucket, key, name, size, label, uses, deadline, wrongPasswords } = grant
  const { direct, download, restrictions, createdAt, lastUsedAt } = grant
  return {
    id,
    url: `${base}/g/${secret}`,
    bucket,
    key,
    name,
    size,
    label,
    uses,
    usesLeft: usesLeft(grant),
    deadline: new Date(deadline).toISOString(),
    hasPassword: grant.password !== null,
    wrongPasswords,
    direct,
    download,
    restrictions,
    createdAt: new Date(createdAt).toISOString(),
    lastUsedAt: lastUsedAt === null ? null : new Date(lastUsedAt).toISOString(),
  }
}
