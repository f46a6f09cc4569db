import type { DropBoxToken } from './answers/drop-box.ts'

/** When a token is replaced before it expires. */
const RENEWAL_MILLISECONDS = 60_000

/** A token of a drop box, with the other members of its response. */
type Token = Pick<DropBoxToken, 'token' | 'expiresAt'>

/**
 * Returns a function that resolves with a token that should be valid now, and that is not `refused`.
 * Asks for one at the first call, before it expires, and after the API has refused it. Asks once for
 * calls at the same time.
 */
export function createTokens<T extends Token>(
  ask: () => Promise<T>,
): (refused?: string) => Promise<T> {
  let held: T | undefined
  let renewAt = 0
  let renewal: Promise<T> | undefined
  async function renew(): Promise<T> {
    const answer = await ask()
    const lifetime = Date.parse(answer.expiresAt) - Date.now()
    // If the clock of this machine is wrong, the API refuses the token when it has expired.
    renewAt = lifetime > RENEWAL_MILLISECONDS ? Date.now() + lifetime - RENEWAL_MILLISECONDS : NaN
    held = answer
    return answer
  }
  return async function current(refused) {
    const isOver = refused === undefined ? Date.now() >= renewAt : refused === held?.token
    if (held && !isOver) return held
    renewal ??= renew().finally(() => {
      renewal = undefined
    })
    return renewal
  }
}
