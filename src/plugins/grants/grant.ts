import type { Item } from '../../state/list.ts'
import type { Restricted } from '../links/index.ts'

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
