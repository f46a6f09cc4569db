import { StrictMode, useEffect } from 'react'
import { createRoot, hydrateRoot, type Root } from 'react-dom/client'
import { patternBytes } from '../../test/e2e/pattern-bytes.ts'
import { type Client, createClient } from '../src/index.ts'
import type { UseDropBoxResult, UseFilesResult, UseUploadResult } from '../src/react.ts'
import type { PageFile } from './page-api.ts'
import { userOptions } from './page-user.ts'
import { App, Box } from './react-app.tsx'
import type { PageMount, ReactPage } from './react-page-api.ts'

let root: Root | undefined
let client: Client = createClient({ baseUrl: '' })
let shown: readonly [UseUploadResult, UseFilesResult] | undefined
let shownBox: UseDropBoxResult | undefined
let firstActions: readonly unknown[] = []
let renders = 0
let uploaded: string[] = []
let failed: string[] = []
const recovered: string[] = []

const current = (): readonly [UseUploadResult, UseFilesResult] => {
  if (shown === undefined) throw new Error('Nothing is mounted.')
  return shown
}
const currentBox = (): UseDropBoxResult => {
  if (shownBox === undefined) throw new Error('No drop box is mounted.')
  return shownBox
}
const filesOf = (files: readonly PageFile[]): File[] =>
  files.map(
    ({ name, type, size, lastModified }) =>
      new File([patternBytes(size)], name, { type, lastModified }),
  )
const actions = (): readonly unknown[] =>
  current().flatMap((result) => Object.values(result).filter((each) => typeof each === 'function'))

function Page(props: PageMount) {
  const { prefix, q, limit, links, multipart, cancels, throws } = props
  useEffect(() => (cancels ? () => current()[0].cancel() : undefined), [cancels])
  return (
    <App
      client={props.clientInRender ? () => createClient(props) : client}
      uploadOptions={{
        fileOptions: { multipart },
        onUploaded({ key }) {
          uploaded.push(key)
          if (throws) throw new Error('thrown by the app')
        },
        onError: ({ message }) => failed.push(message),
      }}
      filesOptions={{ prefix, q, limit, links }}
      onRender={(...results) => {
        shown = results
        renders++
      }}
    />
  )
}

const page: ReactPage = {
  mount(options) {
    const element = document.getElementById('root')
    if (element === null) throw new Error('There is no #root.')
    const app = (
      <StrictMode>
        <Page {...options} />
      </StrictMode>
    )
    if (options.again) {
      root?.render(app)
      return
    }
    page.unmount()
    client = createClient({ ...options, ...userOptions(options) })
    uploaded = []
    failed = []
    renders = 0
    const onRecoverableError = (error: unknown) => recovered.push(String(error))
    if (options.html === undefined) {
      root = createRoot(element)
      root.render(app)
    } else {
      element.innerHTML = options.html
      root = hydrateRoot(element, app, { onRecoverableError })
    }
    firstActions = []
  },
  unmount() {
    root?.unmount()
    root = undefined
  },
  state() {
    const [{ uploads, loaded, total, progress, status }, { error, ...files }] = current()
    if (firstActions.length === 0) firstActions = actions()
    return JSON.parse(
      JSON.stringify({
        uploads: {
          ...{ loaded, total, progress, status },
          uploads: uploads.map((upload) => ({ ...upload, error: upload.error?.message ?? '' })),
        },
        files: { ...files, error: error?.message ?? '' },
        ...{ renders, uploaded, failed },
      }),
    )
  },
  hasSameActions: () => actions().every((action, index) => action === firstActions[index]),
  endSession: () => client.end(),
  add(files) {
    return current()[0]
      .add(filesOf(files))
      .map(({ id }) => id)
  },
  uploads: (action, id) => current()[0][action](id),
  files: (action, key = '') => current()[1][action](key),
  mountBox(url) {
    page.unmount()
    const element = document.getElementById('root')
    if (element === null) throw new Error('There is no #root.')
    root = createRoot(element)
    root.render(
      <StrictMode>
        <Box
          url={url}
          onRender={(box) => {
            shownBox = box
          }}
        />
      </StrictMode>,
    )
  },
  box() {
    const { uploads: _, accessError, ...state } = currentBox()
    return JSON.parse(JSON.stringify({ ...state, accessError: accessError?.message ?? '' }))
  },
  openBox: (visitor) => currentBox().open(visitor),
  addToBox: (files) => void currentBox().add(filesOf(files)),
  recovered: () => recovered,
}

Object.assign(globalThis, { reactPage: page })
