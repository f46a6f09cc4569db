import { Profiler, StrictMode } from 'react'
import { createRoot, hydrateRoot, type Root } from 'react-dom/client'
import { Dropzone, type DropzoneLabels } from '../src/dropzone.tsx'
import { type Client, createClient } from '../src/index.ts'
import { PresignerProvider } from '../src/react.ts'
import type { DropzonePage } from './dropzone-page-api.ts'
import { userOptions } from './page-user.ts'

/** Every text. */
const ARABIC: DropzoneLabels = {
  choose: 'أفلت الملفات هنا أو اخترها',
  chooseFolder: 'أفلت مجلدًا هنا أو اختره',
  limit: (size) => `حتى ${size} لكل ملف.`,
  uploads: 'التحميلات',
  pause: 'إيقاف مؤقت',
  resume: 'استئناف',
  retry: 'أعد المحاولة',
  cancel: 'إلغاء',
  hide: 'إخفاء',
  hideUploaded: 'إخفاء الملفات المحمّلة',
  action: (action, fileName) => `${action}: ${fileName}`,
  waiting: 'في الانتظار',
  sending: 'جارٍ التحميل',
  paused: 'متوقف',
  uploaded: 'تم التحميل',
  uploading: (files) => `جارٍ تحميل ${files} من الملفات.`,
  summary: (uploaded, files, failed) => `تم تحميل ${uploaded} من ${files}، وفشل ${failed}.`,
  folder: 'لا يمكن تحميل المجلدات.',
  tooMany: (maxFiles) => `يمكنك إضافة ${maxFiles} ملفات على الأكثر.`,
  more: (files) => `لم تتم إضافة ${files} ملفات أخرى.`,
  error: () => 'تعذّر تحميل هذا الملف.',
}

let root: Root | undefined
let client: Client = createClient({ baseUrl: '' })
let uploaded: string[] = []
let paths: string[] = []
let renders = 0
const said: string[] = []
const recovered: string[] = []

const page: DropzonePage = {
  mount({ props, multipart, key, isArabic, html, again, otherClient, ...options }) {
    const element = document.getElementById('root')
    if (element === null) throw new Error('There is no #root.')
    if (!again) {
      page.unmount()
      uploaded = []
      paths = []
    }
    if (!again || otherClient) client = createClient({ ...options, ...userOptions(options) })
    document.documentElement.dir = isArabic ? 'rtl' : 'ltr'
    document.documentElement.lang = isArabic ? 'ar' : 'en'
    const app = (
      <StrictMode>
        <PresignerProvider client={client}>
          <Profiler id="zone" onRender={() => renders++}>
            <Dropzone
              {...props}
              fileOptions={(file) => {
                paths.push(file instanceof File ? file.webkitRelativePath : '')
                return key === undefined ? { multipart } : { key, overwrite: true }
              }}
              onUploaded={({ key }) => uploaded.push(key)}
              {...(isArabic && { labels: ARABIC, locale: 'ar' })}
            />
          </Profiler>
        </PresignerProvider>
      </StrictMode>
    )
    const onRecoverableError = (error: unknown) => recovered.push(String(error))
    if (html !== undefined) {
      element.innerHTML = html
      root = hydrateRoot(element, app, { onRecoverableError })
    } else {
      root ??= createRoot(element)
      root.render(app)
    }
  },
  unmount() {
    root?.unmount()
    root = undefined
  },
  endSession: () => client.end(),
  uploaded: () => uploaded,
  paths: () => paths,
  said: () => said,
  renders: () => renders,
  recovered: () => recovered,
}

// What a screen reader would say: each new text of the region.
new MutationObserver(() => {
  const text = document.querySelector('[role=status]')?.textContent ?? ''
  if (text !== (said.at(-1) ?? '')) said.push(text)
}).observe(document, { subtree: true, childList: true, characterData: true })

Object.assign(globalThis, { dropzonePage: page })
