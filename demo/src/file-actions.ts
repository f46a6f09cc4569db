import type { Client, FileRecord } from '../../client/src/index.ts'
import { copyText } from './copy-text.ts'
import { confirmDelete } from './delete-dialog.ts'
import type { FileActions } from './file-menu.ts'
import type { Notice } from './notice.ts'
import { momentInWords } from './words.ts'

export interface ActionContext {
  readonly client: Client
  readonly notice: Notice
  /** Removes a deleted file from the page. */
  readonly drop: (record: FileRecord) => void
  readonly report: (error: unknown) => void
}

/** Returns what the menu of a file does. */
export function createFileActions({ client, notice, drop, report }: ActionContext): FileActions {
  return {
    async copyLink({ key, name }, expiresInSeconds) {
      const made = client.link(key, { expiresIn: expiresInSeconds })
      try {
        if (await copyText(made.then(({ link }) => link))) {
          const { expiresAt } = await made
          notice.say(
            `Link to ${name} copied. It works until ${momentInWords(new Date(expiresAt))}.`,
          )
        }
      } catch (error) {
        report(error)
      }
    },
    async download({ key, name }) {
      try {
        const { url } = await client.url(key, { download: name })
        const anchor = document.createElement('a')
        anchor.href = url
        anchor.rel = 'noreferrer'
        anchor.click() // The response is an attachment, so the page stays.
      } catch (error) {
        report(error)
      }
    },
    async remove(record) {
      if (!(await confirmDelete(record.name))) return
      try {
        await client.remove(record.key)
        drop(record)
        notice.say(`Deleted ${record.name}.`)
      } catch (error) {
        report(error)
      }
    },
  }
}
