import type { PasswordHash } from '../../access/password.ts'
import { StateObject } from '../../state/cloudflare.ts'
import {
  forgottenAt,
  type Grant,
  type GrantChanges,
  hasEnded,
  recentPages,
  type SeenGrant,
} from './grant.ts'

const KEY = 'grant'
/** Pages that are remembered. */
const MAX_PAGES = 500

/** A use, and when it was taken. It is a repeat for a page that has taken it before. */
export interface Use {
  readonly grant: Grant
  readonly at: number
  readonly isRepeat: boolean
}

/**
 * Remembers grants. Export it from your Worker. Each method decides without waiting for anything, so no
 * other request comes between what it reads and what it writes. What a method has written is stored
 * before its caller gets the result. `now` is in milliseconds since 1970.
 */
export class Grants extends StateObject {
  async create(grant: Grant): Promise<void> {
    this.ctx.storage.kv.put(KEY, grant)
    await this.ctx.storage.setAlarm(forgottenAt(grant))
  }

  /** Returns the grant, or null for an unknown or withdrawn one. Writes nothing. */
  async read(): Promise<SeenGrant | null> {
    const grant = this.ctx.storage.kv.get<Grant>(KEY)
    if (grant === undefined) return null
    if (grant.version === 1) return { ...grant, wrongPasswords: this.wrongPasswords() }
    throw new Error(`This Worker can't read grants of version ${grant.version}.`)
  }

  /**
   * Takes one use, or returns the one that `page` has taken within the last 24 hours. Returns null without
   * a use.
   */
  async take(now: number, page: string | null): Promise<Use | null> {
    const grant = this.ctx.storage.kv.get<Grant>(KEY)
    if (grant === undefined) return null
    const recent = recentPages(grant, now)
    const repeated = recent.find(({ id }) => id === page)
    if (repeated && now < grant.deadline) return { grant, at: repeated.at, isRepeat: true }
    if (hasEnded(grant, now)) return null
    const pages = page === null ? recent : [...recent, { id: page, at: now }].slice(-MAX_PAGES)
    const taken: Grant = { ...grant, used: grant.used + 1, lastUsedAt: now, pages }
    this.ctx.storage.kv.put(KEY, taken)
    return { grant: taken, at: now, isRepeat: false }
  }

  protected password(): PasswordHash | null {
    return this.ctx.storage.kv.get<Grant>(KEY)?.password ?? null
  }

  /** Returns the grant with `changes`, or null for an unknown or withdrawn one. */
  async change(changes: GrantChanges): Promise<SeenGrant | null> {
    const grant = this.ctx.storage.kv.get<Grant>(KEY)
    if (grant === undefined) return null
    const changed: Grant = { ...grant, ...changes }
    this.ctx.storage.kv.put(KEY, changed)
    await this.ctx.storage.setAlarm(forgottenAt(changed))
    return { ...changed, wrongPasswords: this.wrongPasswords() }
  }

  /** Ends the grant: from now on, it is unknown. */
  async withdraw(): Promise<void> {
    this.ctx.storage.kv.delete(KEY)
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
  }

  override async alarm(): Promise<void> {
    if (this.isList()) return super.alarm()
    const grant = this.ctx.storage.kv.get<Grant>(KEY)
    if (grant !== undefined && Date.now() < forgottenAt(grant))
      await this.ctx.storage.setAlarm(forgottenAt(grant))
    else await this.ctx.storage.deleteAll()
  }
}
