import { type Client, type FileRecord, PresignerError } from '../../client/src/index.ts'
import { find } from './find.ts'
import { pagePart } from './page-part.ts'
import type { Permissions } from './permissions.ts'
import type { Shares } from './shares/shares.ts'

/** Links that count, and drop boxes. Their dialogs load when the user opens the first one. */
export interface Sharing {
  /**
   * Shows the buttons that `permissions` allow, if the Worker has these plugins. Elements name what they
   * need in `data-shares`. Without `permissions`, hides them all.
   */
  offer(permissions?: Permissions): Promise<void>
  /** Asks for a link to this file that counts. */
  countUses(record: FileRecord): Promise<void>
}

const PARTS = [
  { name: 'grants', path: '/grants', scopes: ['grants:create', 'links:create', 'files:read'] },
  { name: 'drop-boxes', path: '/drop-boxes', scopes: ['drop-boxes:create', 'files:upload'] },
] as const

/** The codes without the plugin, without Durable Objects, and for a credential that may not use them. */
const ABSENT: readonly string[] = ['not_found', 'not_supported', 'misconfigured', 'forbidden']

/** Connects the buttons to the page. */
export function createSharing(client: Client, report: (error: unknown) => void): Sharing {
  let current: Permissions | undefined
  let served: readonly string[] = []
  const shares = pagePart(async () => {
    const { createShares } = await import('./shares/shares.ts')
    return createShares(client, report)
  })
  const show = (names: readonly string[]) => {
    served = names
    document.documentElement.dataset.shares = names.join(' ')
  }
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
    async offer(permissions) {
      current = permissions
      show([])
      if (permissions === undefined) return
      const parts = PARTS.filter(({ scopes }) =>
        scopes.every((scope) => permissions.scopes.includes(scope)),
      )
      const names = await Promise.all(
        parts.map(async ({ name, path }) => ((await isServed(client, path)) ? [name] : [])),
      )
      if (current === permissions) show(names.flat()) // the user may have entered another token
    },
    countUses: async (record) => (await shares()).countUses(record),
  }
}

/** Tells whether the Worker has the plugin with this path. Its dialogs tell about any other error. */
async function isServed(client: Client, path: string): Promise<boolean> {
  try {
    await client.request('GET', path, { query: { limit: 1 } })
    return true
  } catch (error) {
    return !(error instanceof PresignerError && ABSENT.includes(error.code))
  }
}
