import { PresignerProvider } from 'edge-presigner-client/react'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Files } from './files'
import { presigner } from './presigner'
import './index.css'

const root = document.getElementById('root')
if (root)
  createRoot(root).render(
    <StrictMode>
      <PresignerProvider client={presigner}>
        <main>
          <h1>Files</h1>
          <Files />
          <button type="button" onClick={() => presigner.end()}>
            Log out
          </button>
        </main>
      </PresignerProvider>
    </StrictMode>,
  )
