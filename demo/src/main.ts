import '@uppy/core/css/style.min.css'
import '@uppy/dashboard/css/style.min.css'
import './style.css'
import './gallery.css'
import './viewer.css'
import './uppy.css'
import { type Client, createClient, type FileRecord } from '../../client/src/index.ts'
import { createAccessPanel } from './access-panel.ts'
import { createAppDialog } from './app-dialog.ts'
import { createConnection } from './connection.ts'
import { isWithoutAnswer, wantsCredentials } from './error-text.ts'
import { createFileActions } from './file-actions.ts'
import { createFileMenu } from './file-menu.ts'
import { find } from './find.ts'
import { createGallery } from './gallery.ts'
import { isVisual } from './kind.ts'
import { DAY_SECONDS } from './link-lifetime.ts'
import { createNotice } from './notice.ts'
import { acceptDrops } from './page-drop.ts'
import { pagePart } from './page-part.ts'
import { createPermissionStates, loadPermissions } from './permissions.ts'
import { createSharing } from './sharing.ts'
import { keptText } from './storage.ts'
import { createTheme } from './theme.ts'
import { createUpkeepOffer } from './upkeep-offer.ts'
import { createUploader } from './uploader.ts'
import { createViewer, type Viewer } from './viewer.ts'
import { filesInWords } from './words.ts'

let isStarted = false
/** The scopes of the token. */
let may: readonly string[] = []
const token = keptText(() => sessionStorage, 'token')
const api = createClient({ baseUrl: '', token: () => token.get() })
const client: Client = {
  ...api,
  // A token that may not make links doesn't ask for any.
  links: async (keys, options) =>
    may.includes('links:create') ? api.links(keys, options) : { links: [], expiresAt: '' },
}
const notice = createNotice(find(document, '#notice', HTMLDivElement))
const access = createAccessPanel(token, notice, () => start())
const connection = createConnection(client, () => {
  if (!isStarted) start()
})
const appDialog = createAppDialog()
const states = createPermissionStates(() => start())

const report = (error: unknown, about?: string) => {
  if (wantsCredentials(error)) access.ask(error)
  else notice.fail(error, about)
}

const sharing = createSharing(client, report)
const upkeep = createUpkeepOffer(client)
const answerDialogs = pagePart(async () => {
  const { createAnswerDialogs } = await import('./answers/dialogs.ts')
  return createAnswerDialogs(client, report)
})
find(document, '#usage-button', HTMLButtonElement).addEventListener('click', async () => {
  try {
    ;(await answerDialogs()).showUsage(gallery.prefix)
  } catch (error) {
    report(error)
  }
})
const gallery = createGallery({
  client,
  onOpen: (record) => viewer.open(record),
  onMenu: (tile, record) => menu.moveTo(tile, record),
  onPage(error) {
    isStarted = error === undefined
    if (isWithoutAnswer(error)) connection.lose(error)
    else if (wantsCredentials(error)) access.ask(error)
  },
  onCopy: (records) => actions.copyLinks(records, DAY_SECONDS),
  onDelete: (records) => actions.remove(records),
  async onZip(records) {
    try {
      const said = await (await answerDialogs()).saveZip(records)
      if (said !== undefined) notice.say(said)
    } catch (error) {
      report(error)
    }
  },
})
const actions = createFileActions({
  client,
  notice,
  rename: gallery.rename,
  drop: gallery.drop,
  countUses: sharing.countUses,
  report,
})
const menu = createFileMenu(actions)
const viewer = createFileViewer()
const theme = createTheme((chosen) => uploader.setTheme(chosen))
const uploader = createUploader({
  client,
  target: find(document, '#uploader', HTMLDivElement),
  theme,
  onBatch(files) {
    if (!may.includes('files:list')) return
    const canShow = may.includes('links:create')
    gallery.reserve(
      files.map(({ id, type, size }) => ({
        id,
        isVisual: canShow && isVisual({ mimetype: type, size: size ?? 0 }),
      })),
    )
  },
  onLoss: gallery.release,
  onRecord(record, { id }) {
    if (may.includes('files:list')) gallery.add(record, id).catch(report)
  },
  onDone: (files) => notice.say(`${filesInWords(files)} uploaded.`),
  onError: report,
  onStall(error) {
    if (error === undefined) connection.restore()
    else connection.lose(error)
  },
})
acceptDrops((files) => {
  if (may.includes('files:upload')) uploader.add(files)
})

/** Shows what the token allows. */
async function start(): Promise<void> {
  const used = token.get()
  try {
    const permissions = await loadPermissions(client)
    if (used !== token.get()) return // the user has entered another one
    may = permissions.scopes
    isStarted = true
    states.allow(permissions, used === '')
    appDialog.setOpen(used === '')
    sharing.offer(permissions)
    void upkeep.offer(permissions)
    access.settle()
    uploader.limit(permissions)
    uploader.retry()
    if (may.includes('files:list')) gallery.reload(permissions)
  } catch (error) {
    if (used !== token.get()) return
    may = []
    states.refuse(error)
    sharing.offer()
    void upkeep.offer()
    appDialog.setOpen(false)
    if (wantsCredentials(error)) access.ask(error)
    else if (isWithoutAnswer(error)) connection.lose(error)
  }
}
/** The viewer has its own notice, because it covers the page's. */
function createFileViewer(): Viewer {
  const viewerNotice = createNotice(find(document, '#viewer-notice', HTMLDivElement))
  const reportThere = (error: unknown) => {
    if (!wantsCredentials(error)) return viewerNotice.fail(error)
    viewer.close()
    access.ask(error)
  }
  const drop = (records: readonly FileRecord[]) => {
    viewer.leave(records)
    gallery.drop(records)
  }
  const rename = (record: FileRecord) => {
    gallery.rename(record)
    viewer.rename(record)
  }
  return createViewer({
    gallery,
    actions: createFileActions({
      client,
      notice: viewerNotice,
      rename,
      drop,
      countUses: sharing.countUses,
      report: reportThere,
    }),
    report: reportThere,
  })
}

start()
