import { StateObject } from '../../state/cloudflare.ts'
import type { Seen } from '../../state/item.ts'
import { type Grant, type GrantChanges, hasEnded, recentPages } from './grant.ts'

/** Pages that are remembered. */
const MAX_PAGES = 500

/** A use, and when it was taken. It is a repeat for a page that has taken it before. */
export interface Use {
  readonly grant: Grant
  readonly at: number
  readonly isRepeat: boolean
}

/** Remembers grants. Export it from your Worker. What a method has written is stored before its caller gets the result. */
export class Grants extends StateObject<Grant> {
  /**
   * Takes one use, or returns the one that `page` has taken within the last 24 hours. Returns null without
   * a use.
   */
  async take(now: number, page: string | null): Promise<Use | null> {
    const grant = this.item()
    if (grant === null) return null
    const recent = recentPages(grant, now)
    const repeated = recent.find(({ id }) => id === page)
    if (repeated && now < grant.deadline) return { grant, at: repeated.at, isRepeat: true }
    if (hasEnded(grant, now)) return null
    const pages = page === null ? recent : [...recent, { id: page, at: now }].slice(-MAX_PAGES)
    const taken: Grant = { ...grant, used: grant.used + 1, lastUsedAt: now, pages }
    this.keep(taken)
    return { grant: taken, at: now, isRepeat: false }
  }

  /** Returns the grant with `changes`, or null for an unknown or revoked one. */
  async change(changes: GrantChanges): Promise<Seen<Grant> | null> {
    const grant = this.item()
    if (grant === null) return null
    const changed: Grant = { ...grant, ...changes }
    await this.create(changed)
    return { ...changed, wrongPasswords: this.wrongPasswords() }
  }
}
