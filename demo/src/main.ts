import '@uppy/core/css/style.min.css'
import '@uppy/dashboard/css/style.min.css'
import './style.css'
import './uppy.css'
import { createClient } from '../../client/src/index.ts'
import { createAccessPanel } from './access-panel.ts'
import { wantsCredentials } from './error-text.ts'
import { createFileActions } from './file-actions.ts'
import { createFileMenu } from './file-menu.ts'
import { find } from './find.ts'
import { createGallery } from './gallery.ts'
import { createNotice } from './notice.ts'
import { acceptDrops } from './page-drop.ts'
import { keptText } from './storage.ts'
import { createTheme } from './theme.ts'
import { createUploader } from './uploader.ts'
import { filesInWords } from './words.ts'

const token = keptText(() => sessionStorage, 'token')
const client = createClient({ baseUrl: '', token: () => token.get() })
const notice = createNotice(find(document, '#notice', HTMLDivElement))
const access = createAccessPanel(token, () => gallery.reload())

const report = (error: unknown) => {
  if (wantsCredentials(error)) access.ask(error)
  else notice.fail(error)
}

const gallery = createGallery({
  client,
  onMenu: (tile, record) => menu.moveTo(tile, record),
  onPage(error) {
    if (error === undefined) access.settle()
    else if (wantsCredentials(error)) access.ask(error)
  },
})
const drop = gallery.drop
const menu = createFileMenu(createFileActions({ client, notice, drop, report }))
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
gallery.reload()
