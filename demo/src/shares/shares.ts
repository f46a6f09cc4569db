import './shares.css'
import type { Client, FileRecord } from '../../../client/src/index.ts'
import { withSharing } from '../../../client/src/sharing.ts'
import type { Permissions } from '../permissions.ts'
import { askForFiles } from './box-dialog.ts'
import { countUses } from './grant-dialog.ts'
import { type LiveParts, showLive } from './live-dialog.ts'
import markup from './shares.html?raw'

/** The dialogs for limited links and drop boxes. */
export interface Shares {
  /** Asks for the limits of a limited link to this file, and shows it. */
  countUses(record: FileRecord): Promise<void>
  /** Asks for a drop box, and shows its address. */
  askForFiles(permissions: Permissions): Promise<void>
  /** Shows what is live. */
  showLive(parts: LiveParts): void
}

/** Adds the dialogs to the page. Call it once. */
export function createShares(client: Client, report: (error: unknown) => void): Shares {
  const api = withSharing(client)
  document.body.insertAdjacentHTML('beforeend', markup) // the page's own markup, with no text from users
  return {
    countUses: (record) => countUses(api, record),
    askForFiles: (permissions) => askForFiles(api, permissions),
    showLive: (parts) => showLive(api, report, parts),
  }
}
