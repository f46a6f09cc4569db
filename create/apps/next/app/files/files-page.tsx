'use client'

import { createClient } from 'edge-presigner-client'
import { PresignerProvider, useFiles, useUpload } from 'edge-presigner-client/react'
import { useState } from 'react'

/** A drop zone, and the files of one user. */
export function FilesPage({ user }: { user: string }) {
  const [presigner] = useState(() => createClient({ baseUrl: '/api/media', user }))
  return (
    <PresignerProvider client={presigner}>
      <Uploads />
      <FileList />
      <button type="button" onClick={() => presigner.end()}>
        Log out
      </button>
    </PresignerProvider>
  )
}

function Uploads() {
  const { uploads, add, dismiss } = useUpload()
  return (
    <>
      <input
        type="file"
        multiple
        aria-label="Upload files"
        onChange={({ currentTarget }) => add(currentTarget.files)}
      />
      {uploads.map(({ id, name, status, progress, error }) => (
        <p key={id}>
          {name} <progress value={progress} />
          {error && <span role="alert">{error.message}</span>}
          <button type="button" onClick={() => dismiss(id)}>
            {status === 'done' ? 'Hide' : 'Cancel'}
          </button>
        </p>
      ))}
    </>
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
