import type { Verdict } from '../access/verdict.ts'
import type { Settings } from '../settings/settings.ts'
import type { AppContext } from './app-env.ts'

/** What is known of a request that is asked who sends it. */
export interface Call {
  readonly c: AppContext
  readonly settings: Settings
  readonly now: Date
  /** To be called before a request to another server. */
  readonly beforeFetch: () => Promise<void>
}

/** Finds the principal of bearer credentials by how they start. */
export interface BearerKind {
  /** How they start. No other plugin gets one that starts like this. */
  readonly prefix: string
  /**
   * Whether the presigner itself made them. They may also be in the path, below `/u/`, and apply next
   * to the app's `authenticate`, which switches all other credentials off.
   */
  readonly isOwn?: true
  readonly verify: (credential: string, call: Call) => Verdict | Promise<Verdict>
}

/** Finds the principal of another credential, such as one in a header of its own. */
export interface OtherKind {
  /** Whether browsers add it by themselves. Foreign pages may not use it to change something. */
  readonly ambient?: true
  /** Returns undefined for a request without such a credential. */
  readonly find: (call: Call) => Verdict | Promise<Verdict> | undefined
}

export type Identify = BearerKind | OtherKind

/** Returns the bearer credential in the Authorization header. */
export const bearerIn = (c: AppContext): string | undefined =>
  /^Bearer +(\S+)$/i.exec(c.req.header('Authorization') ?? '')?.[1]
