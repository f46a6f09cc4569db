import { patternBytes } from '../pattern-bytes.ts'
import type { UppyPage, UppySettings, UppyState } from './page-api.ts'

interface DrivenFile {
  readonly progress: { readonly bytesUploaded?: unknown }
  readonly error?: string | null
}

interface UploadedFile {
  readonly body?: Readonly<Record<string, unknown>>
  readonly uploadURL?: string
}

/** What is used of any version of Uppy. */
export interface DrivenUppy {
  addFile(file: { name: string; type: string; data: File }): unknown
  upload(): Promise<unknown>
  pauseAll(): void
  resumeAll(): void
  cancelAll(): void
  emit(event: 'restore-confirmed'): void
  getFiles(): readonly DrivenFile[]
  on(event: 's3-multipart:part-uploaded', listener: () => void): unknown
  on(event: 'upload-success', listener: (file: unknown, response: UploadedFile) => void): unknown
}

/** Makes `globalThis.page` of the Uppy that `create` makes. */
export function drive(create: (settings: UppySettings) => DrivenUppy): void {
  let uppy: DrivenUppy | undefined
  let partsUploaded = 0
  let success: UppyState['success'] = null
  const page: UppyPage = {
    start(settings) {
      partsUploaded = 0
      success = null
      uppy = create(settings)
      uppy.on('s3-multipart:part-uploaded', () => {
        partsUploaded += 1
      })
      uppy.on('upload-success', (_, { body, uploadURL = '' }) => {
        success = { key: String(body?.key), uploadURL }
      })
    },
    upload(name, type, size) {
      uppy?.addFile({ name, type, data: new File([patternBytes(size)], name, { type }) })
      uppy?.upload().catch(() => undefined)
    },
    pause: () => uppy?.pauseAll(),
    resume: () => uppy?.resumeAll(),
    cancel: () => uppy?.cancelAll(),
    confirmRestored: () => uppy?.emit('restore-confirmed'),
    state() {
      const files = uppy?.getFiles() ?? []
      return {
        bytesUploaded: Number(files[0]?.progress.bytesUploaded ?? 0),
        partsUploaded,
        success,
        error: files[0]?.error ?? null,
        files: files.length,
      }
    },
  }
  Object.assign(globalThis, { page })
}
