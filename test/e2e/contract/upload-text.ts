import type { Upload } from '../api-client.ts'
import type { Context } from './context.ts'

interface TextUpload {
  readonly text?: string
  readonly fileName?: string
  readonly mimetype?: string
  readonly size?: number
  readonly directory?: string
  readonly bucket?: string
}

/** Uploads `text` as the Worker's response says. Throws when the server refuses it. */
export async function uploadText(
  { api }: Context,
  { text = 'some text', ...request }: TextUpload,
): Promise<Upload> {
  const upload = await api.uploadUrl({ fileName: 'a.txt', mimetype: 'text/plain', ...request })
  const { uploadUrl, method, headers } = upload
  const put = await fetch(uploadUrl, { method, headers, body: text })
  if (put.status !== 200) throw new Error(`PUT answered ${put.status}: ${await put.text()}`)
  return upload
}
