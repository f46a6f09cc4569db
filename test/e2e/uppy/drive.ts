import { patternBytes } from '../pattern-bytes.ts'
import type { UppyPage, UppySettings, UppyState } from './page-api.ts'

interface DrivenFile {
  readonly progress?: { readonly bytesUploaded?: unknown }
  readonly error?: string | null
}

interface UploadedFile {
  readonly body?: Readonly<Record<string, unknown>>
  readonly uploadURL?: string
}

/** The part of Uppy's API that all versions share. */
export interface DrivenUppy {
  addFile(file: { name: string; type: string; data: File; meta: Record<string, unknown> }): unknown
  upload(): Promise<unknown>
  retryAll(): Promise<unknown>
  pauseAll(): void
  resumeAll(): void
  cancelAll(): void
  emit(event: 'restore-confirmed'): void
  getFiles(): readonly DrivenFile[]
  on(event: 's3-multipart:part-uploaded', listener: () => void): unknown
  on(event: 'upload-success', listener: (file: unknown, response: UploadedFile) => void): unknown
}

/** One version of Uppy. */
export interface Driver<Uppy extends DrivenUppy> {
  readonly create: (settings: UppySettings) => Uppy
  /** Uses the plugin that uploads. */
  readonly install: (uppy: Uppy, settings: UppySettings) => void
  /** Gives that plugin another endpoint. */
  readonly renew: (uppy: Uppy, settings: UppySettings) => void
}

/** Creates `globalThis.page` for one version. */
export function drive<Uppy extends DrivenUppy>({ create, install, renew }: Driver<Uppy>): void {
  let uppy: Uppy | undefined
  let chosen: UppySettings
  let partsUploaded = 0
  let success: UppyState['success'] = null
  let keys: string[] = []
  const page: UppyPage = {
    start(settings) {
      partsUploaded = 0
      success = null
      keys = []
      chosen = settings
      uppy = create(settings)
      install(uppy, settings)
      uppy.on('s3-multipart:part-uploaded', () => {
        partsUploaded += 1
      })
      uppy.on('upload-success', (_, { body, uploadURL = '' }) => {
        success = { key: String(body?.key ?? ''), uploadURL }
        keys.push(success.key)
      })
    },
    upload(names, type, size, meta = {}) {
      for (const name of names)
        uppy?.addFile({
          name,
          type,
          meta: { ...meta },
          data: new File([patternBytes(size)], name, { type }),
        })
      uppy?.upload().catch(() => undefined)
    },
    pause: () => uppy?.pauseAll(),
    resume: () => uppy?.resumeAll(),
    cancel: () => uppy?.cancelAll(),
    renew(endpoint) {
      if (uppy !== undefined) renew(uppy, { ...chosen, endpoint })
    },
    retry: () => void uppy?.retryAll().catch(() => undefined),
    confirmRestored: () => uppy?.emit('restore-confirmed'),
    state() {
      const files = uppy?.getFiles() ?? []
      return {
        bytesUploaded: Number(files[0]?.progress?.bytesUploaded ?? 0),
        partsUploaded,
        success,
        keys,
        error: files[0]?.error ?? null,
        files: files.length,
      }
    },
  }
  Object.assign(globalThis, { page })
}
