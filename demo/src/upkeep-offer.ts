import type { Client } from '../../client/src/index.ts'
import { pagePart } from './page-part.ts'
import type { Permissions } from './permissions.ts'

/** The section about upkeep, which loads only for those who may see it. */
export interface UpkeepOffer {
  /** Shows the section if the Worker answers these permissions. Without them, hides it. */
  offer(permissions?: Permissions): Promise<void>
}

export function createUpkeepOffer(client: Client): UpkeepOffer {
  let current: Permissions | undefined
  let isShown = false
  const part = pagePart(async () => {
    const { createUpkeepPart } = await import('./upkeep/upkeep-part.ts')
    return createUpkeepPart(() => look(current))
  })
  /** Any error means that there is nothing to show: no plugin, no Durable Objects, no right. */
  async function look(permissions?: Permissions): Promise<void> {
    const mayAsk = permissions?.scopes.includes('upkeep:read') && permissions.prefix === ''
    const answer: unknown = mayAsk
      ? await client.request('GET', '/upkeep').catch(() => undefined)
      : undefined
    // The user may have entered another token.
    if (current !== permissions || (answer === undefined && !isShown)) return
    isShown = answer !== undefined
    const { show } = await part()
    show(answer)
  }
  return {
    offer(permissions) {
      current = permissions
      return look(permissions).catch(() => undefined)
    },
  }
}
