import type { Client, FileRecord, Link, LinkOptions } from '../../client/src/index.ts'
import { copyText } from './copy-text.ts'
import { confirmDelete } from './delete-dialog.ts'
import { windowFor } from './link-lifetime.ts'
import type { Notice } from './notice.ts'
import { askForName } from './rename-dialog.ts'
import { askForLink } from './share-dialog.ts'
import { filesInWords, momentInWords, nameInText } from './words.ts'

/** How many files `POST /files/delete` accepts. */
const MAX_DELETES = 100
/** How many files `POST /links` accepts. */
const MAX_LINKS = 1000

export interface ActionContext {
  readonly client: Client
  readonly notice: Notice
  /** Shows the new name of a file. */
  readonly rename: (record: FileRecord) => void
  /** Removes deleted files from the page. */
  readonly drop: (records: readonly FileRecord[]) => void
  /** Asks for the limits of a limited link. */
  readonly countUses: (record: FileRecord) => Promise<void>
  readonly report: (error: unknown) => void
}

/** What a user can do with files. */
export interface FileActions {
  copyLinks(records: readonly FileRecord[], seconds: number): Promise<void>
  /** Asks for a start, countries and a name to save under, and copies such a link. */
  share(record: FileRecord): Promise<void>
  download(record: FileRecord): Promise<void>
  rename(record: FileRecord): Promise<void>
  remove(records: readonly FileRecord[]): Promise<void>
}

export function createFileActions(context: ActionContext): FileActions {
  const { client, notice, drop, report } = context
  const named = (records: readonly FileRecord[]): string =>
    records.length === 1 ? nameInText(records[0]?.name ?? '') : filesInWords(records.length)

  const reporting =
    <T extends unknown[]>(action: (...inputs: T) => Promise<void>) =>
    (...inputs: T): Promise<void> =>
      action(...inputs).catch(report)

  return {
    copyLinks: reporting(async (records, seconds) => {
      const expiresIn = windowFor(seconds, new Date())
      const made = linksTo(client, records, expiresIn)
      if (!(await copyText(made.then(({ links }) => links.join('\n'))))) return
      const until = momentInWords(new Date((await made).expiresAt))
      notice.say(
        records.length === 1
          ? `Link to ${named(records)} copied. It works until ${until}.`
          : `Links to ${named(records)} copied. They work until ${until}.`,
      )
    }),
    share: reporting(async (record) => {
      const create = (options: LinkOptions) => client.link(record.key, options)
      const copy = async (made: Promise<Link>) => {
        if (!(await copyText(made.then(({ link }) => link)))) return
        const until = momentInWords(new Date((await made).expiresAt))
        notice.say(`Link to ${nameInText(record.name)} copied. It works until ${until}.`)
      }
      await askForLink(record, create, copy, () => context.countUses(record).catch(report))
    }),
    download: reporting(async ({ key, name }) => {
      const { url } = await client.url(key, { download: name })
      const anchor = document.createElement('a')
      anchor.href = url
      anchor.rel = 'noreferrer'
      anchor.click() // The response is an attachment, so the page stays.
    }),
    rename: reporting(async (record) => {
      const renamed = await askForName(record, (name) => client.rename(record.key, name))
      if (renamed === undefined) return
      context.rename(renamed)
      notice.say(`Renamed to ${nameInText(renamed.name)}.`)
    }),
    remove: reporting(async (records) => {
      if (!(await confirmDelete(records))) return
      const refused: string[] = []
      for (let at = 0; at < records.length; at += MAX_DELETES) {
        const some = records.slice(at, at + MAX_DELETES)
        const { deleted } = await client.removeMany(some.map(({ key }) => key))
        const errorOf = new Map(deleted.map((each) => [each.key, 'error' in each && each.error]))
        drop(some.filter(({ key }) => !errorOf.get(key)))
        for (const { key, name } of some) {
          const error = errorOf.get(key)
          if (error) refused.push(`${nameInText(name)}: ${error.message}`)
        }
      }
      if (refused.length === 0) return notice.say(`Deleted ${named(records)}.`)
      throw new Error(`${filesInWords(refused.length)} not deleted. ${refused[0]}`)
    }),
  }
}

async function linksTo(client: Client, records: readonly FileRecord[], expiresIn: number) {
  const links: string[] = []
  let expiresAt = ''
  for (let at = 0; at < records.length; at += MAX_LINKS) {
    const keys = records.slice(at, at + MAX_LINKS).map(({ key }) => key)
    const answer = await client.links(keys, { expiresIn })
    expiresAt = answer.expiresAt
    for (const each of answer.links) {
      if ('error' in each) throw new Error(`${each.key}: ${each.error.message}`)
      links.push(each.link)
    }
  }
  return { links, expiresAt }
}
