import type { FileRecord } from './answers/files.ts'
import type { Client } from './client.ts'
import { asError } from './presigner-error.ts'
import { withRetries } from './retry.ts'
import { requireSession, type Session } from './session.ts'
import { nameOf, type UppyFile } from './uppy-options.ts'

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
  on(event: 'file-added', listener: (file: UppyFile) => void): unknown
  off(event: 'upload-success', listener: Listener): unknown
  off(event: 'file-added', listener: (file: UppyFile) => void): unknown
  cancelAll(): void
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
 * can't be recorded counts as failed. A retry then records it without another upload. At the end of the
 * user's session, cancels all uploads. Returns a function that stops this.
 */
export function recordUploads(
  uppy: RecordingUppy,
  client: Pick<Client, 'record' | 'session' | 'onEnd'>,
  { onRecord }: RecordOptions = {},
): () => void {
  const records = new Map<string, Promise<FileRecord>>()
  /** In which session each file was added, by its id. */
  const sessions = new Map<string, Session>()

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
    const session = sessions.get(file.id) ?? client.session('begin')
    const made = withRetries(session.signal, () => {
      requireSession(client, session)
      return client.record(key, nameOf(file))
    })
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
  const added = ({ id }: UppyFile) => void sessions.set(id, client.session('begin'))
  const stopEnds = client.onEnd(() => uppy.cancelAll())
  uppy.on('file-added', added)
  uppy.on('upload-success', listener)
  uppy.addPostProcessor(processor)
  return () => {
    stopEnds()
    uppy.off('file-added', added)
    uppy.off('upload-success', listener)
    uppy.removePostProcessor(processor)
  }
}
