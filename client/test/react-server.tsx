import { StrictMode } from 'react'
import { renderToString } from 'react-dom/server.browser'
import { createClient } from '../src/index.ts'
import { App } from './react-app.tsx'

/** Renders the app as a server does, without a DOM. */
export const html = (): string =>
  renderToString(
    <StrictMode>
      <App client={createClient({ baseUrl: 'http://localhost:9' })} />
    </StrictMode>,
  )
