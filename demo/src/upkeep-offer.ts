import { type Client, PresignerError } from '../../client/src/index.ts'
import { pagePart } from './page-part.ts'
import type { Permissions } from './permissions.ts'

/** The section about upkeep, which loads only for those who may see it. */
export interface UpkeepOffer {
  /** Shows the section if the Worker answers these permissions. Without them, hides it. */
  offer(permissions?: Permissions): Promise<void>
}

export function createUpkeepOffer(client: Client): UpkeepOffer {
  let current: Permissions | undefined
  /** For whom it is shown. */
  let shown: Permissions | undefined
  const part = pagePart(async () => {
    const { createUpkeepPart } = await import('./upkeep/upkeep-part.ts')
    return createUpkeepPart(() => look(current))
  })
  /**
   * Resolves with whether it shows the current state. Most errors mean that there is nothing to show: no
   * plugin, no Durable Objects, no right. A temporary error leaves what this user already sees.
   */
  async function look(permissions?: Permissions): Promise<boolean> {
    const mayAsk = permissions?.scopes.includes('upkeep:read') && permissions.prefix === ''
    let answer: unknown
    try {
      if (mayAsk) answer = await client.request('GET', '/upkeep')
    } catch (error) {
      const passes = error instanceof PresignerError && error.retryable
      if (passes && shown === permissions) return false
    }
    // The user may have entered another token.
    if (current !== permissions || (answer === undefined && shown === undefined)) return true
    shown = answer === undefined ? undefined : permissions
    const { show } = await part()
    show(answer)
    return true
  }
  return {
    async offer(permissions) {
      current = permissions
      await look(permissions).catch(() => undefined)
    },
  }
}
