import { isStartedUpload, type StartedUpload } from './answers.ts'
import { sampleOf } from './file-bytes.ts'

const PREFIX = 'edge-presigner:'
/** Long enough for a page that is being left to let go of its lock. */
const LOCK_MILLISECONDS = 1000

/** What is kept of an upload that has begun. */
export type KeptUpload = StartedUpload & {
  /** `sampleOf` its file, unless an earlier version kept it. */
  readonly sample?: unknown
}

/**
 * A place in localStorage for one upload. Without such storage nothing is kept, and no upload
 * resumes.
 */
export interface ResumeSlot {
  /** `sampleOf` the file. */
  readonly sample: string
  load(): KeptUpload | undefined
  save(upload: StartedUpload): void
  clear(): void
}

/**
 * Calls `act` with the slot of `file`, which `identity`, any JSON, describes. The slot keeps nothing
 * for null, in a page without a secure context, and while another upload has it, in this tab or
 * another.
 */
export async function withResumeSlot<T>(
  identity: unknown,
  file: Blob,
  act: (slot: ResumeSlot) => Promise<T>,
): Promise<T> {
  const name = PREFIX + JSON.stringify(identity)
  const locks = identity === null ? undefined : navigator.locks
  const sample = locks ? await sampleOf(file) : ''
  let keeps = false
  const slot: ResumeSlot = {
    sample,
    load: () => use((storage) => read(storage, name)),
    save: ({ uploadId, key, partSize, expiresAt }) =>
      use((storage) => {
        for (const other of Object.keys(storage))
          if (other.startsWith(PREFIX) && !read(storage, other)) storage.removeItem(other)
        storage.setItem(name, JSON.stringify({ uploadId, key, partSize, expiresAt, sample }))
      }),
    clear: () => use((storage) => storage.removeItem(name)),
  }
  const begin = () => {
    keeps = true
    return act(slot)
  }
  try {
    const signal = AbortSignal.timeout(LOCK_MILLISECONDS)
    if (locks) return await locks.request(name, { signal }, begin)
  } catch (error) {
    if (keeps) throw error
  }
  return act(slot)

  /** Storage may be forbidden, full or hold something else: an upload works all the same. */
  function use<R>(act: (storage: Storage) => R): R | undefined {
    try {
      return keeps ? act(localStorage) : undefined
    } catch {
      return undefined
    }
  }
}

/** What is kept under `name`, if it has not expired. */
function read(storage: Storage, name: string): KeptUpload | undefined {
  const upload: unknown = JSON.parse(storage.getItem(name) ?? '0')
  return isStartedUpload(upload) && Date.parse(upload.expiresAt) > Date.now() ? upload : undefined
}
