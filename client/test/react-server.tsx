import { StrictMode } from 'react'
import { renderToString } from 'react-dom/server.browser'
import { Dropzone } from '../src/dropzone.tsx'
import { createClient } from '../src/index.ts'
import { PresignerProvider } from '../src/react.ts'
import { App, Box } from './react-app.tsx'

/** Renders the app as a server does, without a DOM. */
export const html = (): string =>
  renderToString(
    <StrictMode>
      <App client={createClient({ baseUrl: 'http://localhost:9' })} />
    </StrictMode>,
  )

export const boxHtml = (): string => renderToString(<Box url="http://localhost:9/d/a" />)

export const dropzoneHtml = (): string =>
  renderToString(
    <PresignerProvider client={createClient({ baseUrl: 'http://localhost:9', user: () => 'ann' })}>
      <Dropzone />
    </PresignerProvider>,
  )
