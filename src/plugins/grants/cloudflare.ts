import { utf8 } from '../../keys/encodings.ts'
import { StateObject } from '../../state/cloudflare.ts'
import { Guesses } from '../../state/guesses.ts'
import { forgottenAt, type Grant, type GrantChanges, hasEnded } from './grant.ts'

const KEY = 'grant'

/** What the object says about a guess of its password. It doesn't check one that has to wait. */
export interface GuessVerdict {
  readonly isRight: boolean
  readonly waitSeconds: number
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
  async read(): Promise<Grant | null> {
    const grant = this.ctx.storage.kv.get<Grant>(KEY)
    if (grant === undefined) return null
    if (grant.version === 1) return grant
    throw new Error(`This Worker can't read grants of version ${grant.version}.`)
  }

  /** Takes one use. Returns the grant after it, or null without one. */
  async take(now: number): Promise<Grant | null> {
    const grant = this.ctx.storage.kv.get<Grant>(KEY)
    if (grant === undefined || hasEnded(grant, now)) return null
    const taken: Grant = { ...grant, used: grant.used + 1, lastUsedAt: now }
    this.ctx.storage.kv.put(KEY, taken)
    return taken
  }

  /** Checks the hash of a guess, and counts it for its network. */
  async guess(network: string, hash: string, now: number): Promise<GuessVerdict> {
    const { kv } = this.ctx.storage
    const kept = kv.get<Grant>(KEY)?.password
    if (!kept) return { isRight: false, waitSeconds: 0 }
    const guesses = new Guesses(kv)
    const waitSeconds = guesses.secondsLeft(network, now)
    if (waitSeconds > 0) return { isRight: false, waitSeconds }
    const isRight =
      hash.length === kept.hash.length && crypto.subtle.timingSafeEqual(utf8(hash), utf8(kept.hash))
    guesses.count(network, isRight, now)
    return { isRight, waitSeconds: 0 }
  }

  /** Returns the grant with `changes`, or null for an unknown or withdrawn one. */
  async change(changes: GrantChanges): Promise<Grant | null> {
    const grant = this.ctx.storage.kv.get<Grant>(KEY)
    if (grant === undefined) return null
    const changed: Grant = { ...grant, ...changes }
    this.ctx.storage.kv.put(KEY, changed)
    await this.ctx.storage.setAlarm(forgottenAt(changed))
    return changed
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
