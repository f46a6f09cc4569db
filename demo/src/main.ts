import '@uppy/core/css/style.min.css'
import '@uppy/dashboard/css/style.min.css'
import './style.css'
import './gallery.css'
import './viewer.css'
import './uppy.css'
import { createClient, type FileRecord } from '../../client/src/index.ts'
import { createAccessPanel } from './access-panel.ts'
import { wantsCredentials } from './error-text.ts'
import { createFileActions, DAY_SECONDS } from './file-actions.ts'
import { createFileMenu } from './file-menu.ts'
import { find } from './find.ts'
import { createGallery } from './gallery.ts'
import { createNotice } from './notice.ts'
import { acceptDrops } from './page-drop.ts'
import { createRights } from './rights.ts'
import { keptText } from './storage.ts'
import { createTheme } from './theme.ts'
import { createUploader } from './uploader.ts'
import { createViewer, type Viewer } from './viewer.ts'
import { filesInWords } from './words.ts'

const token = keptText(() => sessionStorage, 'token')
const client = createClient({ baseUrl: '', token: () => token.get() })
const notice = createNotice(find(document, '#notice', HTMLDivElement))
const access = createAccessPanel(token, showFiles)
const rights = createRights(client)

const report = (error: unknown) => {
  if (wantsCredentials(error)) access.ask(error)
  else notice.fail(error)
}

const gallery = createGallery({
  client,
  onOpen: (record) => viewer.open(record),
  onMenu: (tile, record) => menu.moveTo(tile, record),
  onPage(error) {
    if (error === undefined) access.settle()
    else if (wantsCredentials(error)) access.ask(error)
  },
  onCopy: (records) => actions.copyLinks(records, DAY_SECONDS),
  onDelete: (records) => actions.remove(records),
})
const actions = createFileActions({ client, notice, drop: gallery.drop, report })
const menu = createFileMenu(actions)
const viewer = createFileViewer()
const theme = createTheme((chosen) => uploader.setTheme(chosen))
const uploader = createUploader({
  client,
  target: find(document, '#uploader', HTMLDivElement),
  theme,
  onRecord: (record) => gallery.add(record).catch(report),
  onDone: (files) => notice.say(`${filesInWords(files)} uploaded.`),
  onError: report,
  onStall(error) {
    if (error) notice.fail(new Error(`${error.message}. The upload resumes automatically.`))
    else notice.say('The upload continues.')
  },
})
acceptDrops(uploader.add)
showFiles()

function showFiles(): void {
  void rights.reload()
  gallery.reload()
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
  return createViewer({
    gallery,
    actions: createFileActions({ client, notice: viewerNotice, drop, report: reportThere }),
    report: reportThere,
  })
}
