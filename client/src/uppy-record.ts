import type { Client } from './client.ts'
import { asError } from './presigner-error.ts'
import type { FileRecord } from './responses.ts'
import { withRetries } from './retry.ts'
import { nameOf, type UppyFile } from './uppy-file.ts'

/** What an uploader reports about an uploaded file. */
interface Response {
  readonly body?: Readonly<Record<string, unknown>>
}

interface UploadedFile extends UppyFile {
  readonly error?: string | null
  readonly response?: Response
}

type Listener = (file: UploadedFile | undefined, response: Response) => void

type Processor = (fileIds: string[]) => Promise<void>

/** The members of Uppy that are used here. */
export interface RecordingUppy {
  on(event: 'upload-success', listener: Listener): unknown
  off(event: 'upload-success', listener: Listener): unknown
  emit(
    event: 'upload-error',
    file: UploadedFile | undefined,
    error: Error,
    response: Response | undefined,
  ): void
  getFile(fileId: string): UploadedFile | undefined
  addPostProcessor(processor: Processor): void
  removePostProcessor(processor: Processor): unknown
}

export interface RecordOptions {
  /** Called for each recorded file. */
  readonly onRecord?: ((record: FileRecord, file: UppyFile) => void) | undefined
}

/**
 * Records each file as soon as it is uploaded, and delays Uppy's `complete` until then. A file that
 * can't be recorded counts as failed. A retry then records it without another upload. Returns a
 * function that stops this.
 */
export function recordUploads(
  uppy: RecordingUppy,
  client: Pick<Client, 'record'>,
  { onRecord }: RecordOptions = {},
): () => void {
  const records = new Map<string, Promise<FileRecord>>()

  /** Records `file`. If its upload `isKnown`, returns the record that was made or is being made. */
  function record(
    file: UppyFile,
    { body }: Response = {},
    isKnown = false,
  ): Promise<FileRecord> | undefined {
    const key = body?.key
    if (typeof key !== 'string') return undefined
    const known = isKnown && records.get(key)
    if (known) return known
    const made = withRetries(new AbortController().signal, () => client.record(key, nameOf(file)))
    records.set(key, made)
    made.then(
      (record) => onRecord?.(record, file),
      () => records.get(key) === made && records.delete(key),
    )
    return made
  }

  const listener: Listener = (file, response) => {
    if (file) record(file, response)
  }
  const processor: Processor = async (fileIds) => {
    for (const id of fileIds) {
      const file = uppy.getFile(id)
      if (!file || file.error) continue
      try {
        await record(file, file.response, true)
      } catch (error) {
        uppy.emit('upload-error', file, asError(error), file.response) // without the response, Uppy forgets the key
      }
    }
  }
  uppy.on('upload-success', listener)
  uppy.addPostProcessor(processor)
  return () => {
    uppy.off('upload-success', listener)
    uppy.removePostProcessor(processor)
  }
}
