'use client'

import { createClient } from 'edge-presigner-client'
import { Dropzone } from 'edge-presigner-client/dropzone'
import { PresignerProvider, useFiles } from 'edge-presigner-client/react'
import { useState } from 'react'
import 'edge-presigner-client/dropzone.css'

/** A drop zone, and the files of one user. */
export function FilesPage({ user }: { user: string }) {
  const [presigner] = useState(() => createClient({ baseUrl: '/api/media', user }))
  return (
    <PresignerProvider client={presigner}>
      <Dropzone />
      <FileList />
      <button type="button" onClick={() => presigner.end()}>
        Log out
      </button>
    </PresignerProvider>
  )
}

function FileList() {
  const { files, error, remove } = useFiles({ links: true, limit: 50 })
  return (
    <>
      {error && <p role="alert">{error.message}</p>}
      <ul aria-label="Files">
        {files.map(({ key, name, mimetype, link }) => (
          <li key={key}>
            <a href={link}>
              {mimetype.startsWith('image/') ? <img src={link} alt={name} width={160} /> : name}
            </a>
            <button type="button" aria-label={`Delete ${name}`} onClick={() => remove(key)}>
              Delete
            </button>
          </li>
        ))}
      </ul>
    </>
  )
}
