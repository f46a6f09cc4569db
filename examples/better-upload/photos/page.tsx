'use client'

import type { LinkOptions } from 'edge-presigner-client'
import { type ChangeEvent, useState } from 'react'
import { images } from './images'
import { uploadFiles } from './upload-files'

// Pictures of 320 and 1280 pixels. On Node, which can't resize, the original.
const LINK: LinkOptions = { widths: [320, 1280], fallback: 'original' }

export default function Photos() {
  const [share, setShare] = useState<number>()
  const [photos, setPhotos] = useState<{ name: string; link: string; srcset?: string }[]>([])
  const [message, setMessage] = useState('')

  async function onChange({ currentTarget }: ChangeEvent<HTMLInputElement>) {
    const chosen = currentTarget.files ?? []
    const { files, failed } = await uploadFiles(images, chosen, { onProgress: setShare })
    setShare(undefined)
    setMessage(failed.map(({ file, message }) => `${file.name}: ${message}`).join(' '))
    const linked = files.map(async ({ key, name }) => ({ name, ...(await images.link(key, LINK)) }))
    setPhotos([...(await Promise.all(linked)), ...photos])
  }

  function logOut() {
    images.end()
    setPhotos([])
  }

  return (
    <main>
      <input type="file" accept="image/*" multiple aria-label="Photos" onChange={onChange} />
      <button type="button" onClick={logOut}>
        Log out
      </button>
      {share !== undefined && <progress aria-label="Upload" value={share} />}
      <p role="alert">{message}</p>
      {photos.map(({ name, link, srcset }) => (
        <a key={link} href={link}>
          <img srcSet={srcset} sizes="160px" src={link} alt={name} width={160} />
        </a>
      ))}
    </main>
  )
}
