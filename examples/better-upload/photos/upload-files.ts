import { type Client, type FileRecord, PresignerError } from 'edge-presigner-client'

export interface Uploaded {
  readonly files: FileRecord[]
  readonly failed: { readonly file: File; readonly message: string }[]
}

/** Uploads files. Doesn't throw if some of them fail. */
export async function uploadFiles(
  client: Client,
  files: Iterable<File>,
  { onProgress }: { onProgress?: (share: number) => void } = {},
): Promise<Uploaded> {
  const all = [...files]
  const total = all.reduce((sum, { size }) => sum + size, 0)
  const sent = new Map<File, number>()
  const result: Uploaded = { files: [], failed: [] }

  // The client sends a few at a time, and signs and records them together.
  const uploads = all.map(async (file) => {
    try {
      const record = await client.upload(file, {
        onProgress({ loaded }) {
          sent.set(file, loaded)
          const bytes = [...sent.values()].reduce((sum, each) => sum + each, 0)
          onProgress?.(total === 0 ? 1 : bytes / total)
        },
      })
      result.files.push(record)
    } catch (error) {
      const message = error instanceof PresignerError ? error.message : String(error)
      result.failed.push({ file, message })
    }
  })
  await Promise.all(uploads)
  return result
}
