import type { Client, FileRecord } from '../../client/src/index.ts'
import { find } from './find.ts'
import { pagePart } from './page-part.ts'
import type { Permissions } from './permissions.ts'
import type { Shares } from './shares/shares.ts'

/** Limited links and drop boxes. Their dialogs load when the user opens the first one. */
export interface Sharing {
  /**
   * Shows the buttons that `permissions` allow. Elements name what they need in `data-shares`. Without
   * `permissions`, hides them all.
   */
  offer(permissions?: Permissions): void
  /** Asks for the limits of a limited link to this file. */
  countUses(record: FileRecord): Promise<void>
}

const PARTS = [
  { name: 'grants', scopes: ['grants:create', 'links:create', 'files:read'] },
  { name: 'drop-boxes', scopes: ['drop-boxes:create', 'files:upload'] },
] as const

/** Connects the buttons to the page. */
export function createSharing(client: Client, report: (error: unknown) => void): Sharing {
  let current: Permissions | undefined
  let served: readonly string[] = []
  const shares = pagePart(async () => {
    const { createShares } = await import('./shares/shares.ts')
    return createShares(client, report)
  })
  let isOpening = false
  const onClick = (id: string, action: (dialogs: Shares) => Promise<void> | void) =>
    find(document, id, HTMLButtonElement).addEventListener('click', async () => {
      if (isOpening) return // a second click while the dialogs load
      isOpening = true
      try {
        await action(await shares())
      } catch (error) {
        report(error)
      } finally {
        isOpening = false
      }
    })
  onClick('#ask-button', async (dialogs) => {
    if (current !== undefined) await dialogs.askForFiles(current)
  })
  onClick('#live-button', (dialogs) =>
    dialogs.showLive({
      hasGrants: served.includes('grants'),
      hasBoxes: served.includes('drop-boxes'),
    }),
  )
  return {
    offer(permissions) {
      current = permissions
      served = PARTS.filter(({ scopes }) =>
        scopes.every((scope) => permissions?.scopes.includes(scope)),
      ).map(({ name }) => name)
      document.documentElement.dataset.shares = served.join(' ')
    },
    countUses: async (record) => (await shares()).countUses(record),
  }
}
