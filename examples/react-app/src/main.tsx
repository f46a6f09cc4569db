import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Files } from './files'
import { presigner } from './presigner'
import './style.css'

const root = document.getElementById('root')
if (root)
  createRoot(root).render(
    <StrictMode>
      <main>
        <h1>Files</h1>
        <Files client={presigner} />
      </main>
    </StrictMode>,
  )
