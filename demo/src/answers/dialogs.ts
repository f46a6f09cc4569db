import './dialogs.css'
import type { Client, FileRecord } from '../../../client/src/index.ts'
import markup from './dialogs.html?raw'
import { showUsage } from './usage.ts'
import { saveZip } from './zip-dialog.ts'

/** What loads when the user first needs it. */
export interface AnswerDialogs {
  /** Shows how many bytes there are below `prefix`, by type, owner and day. */
  showUsage(prefix: string): void
  /** Saves these files in one ZIP. Resolves with what to say about it, or with undefined. */
  saveZip(records: readonly FileRecord[]): Promise<string | undefined>
}

/** Adds the dialogs to the page. Call it once. */
export function createAnswerDialogs(
  client: Client,
  report: (error: unknown) => void,
): AnswerDialogs {
  document.body.insertAdjacentHTML('beforeend', markup) // the page's own markup, with no text from users
  return {
    showUsage: (prefix) => showUsage(client, prefix, report),
    saveZip: (records) => saveZip(client, records),
  }
}
