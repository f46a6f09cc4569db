import { isStartedUpload, type StartedUpload } from './answers.ts'

const PREFIX = 'edge-presigner:'

/** Names of the slots that a running upload of this page works with. */
const busy = new Set<string>()

/**
 * A place in localStorage for one upload. Without such storage nothing is kept, and no upload
 * resumes.
 */
export interface ResumeSlot {
  load(): StartedUpload | undefined
  save(upload: StartedUpload): void
  clear(): void
}

/**
 * Calls `act` with the slot of what `identity`, any JSON, describes; with one that keeps nothing
 * for null, or while that slot is busy.
 */
export async function withResumeSlot<T>(
  identity: unknown,
  act: (slot: ResumeSlot) => Promise<T>,
): Promise<T> {
  const name = PREFIX + JSON.stringify(identity)
  const keeps = identity !== null && !busy.has(name)
  if (keeps) busy.add(name)
  try {
    return await act({
      load: () => use((storage) => read(storage, name)),
      save: ({ uploadId, key, partSize, expiresAt }) =>
        use((storage) => {
          for (const other of Object.keys(storage))
            if (other.startsWith(PREFIX) && !read(storage, other)) storage.removeItem(other)
          storage.setItem(name, JSON.stringify({ uploadId, key, partSize, expiresAt }))
        }),
      clear: () => use((storage) => storage.removeItem(name)),
    })
  } finally {
    if (keeps) busy.delete(name)
  }

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
function read(storage: Storage, name: string): StartedUpload | undefined {
  const upload: unknown = JSON.parse(storage.getItem(name) ?? '0')
  return isStartedUpload(upload) && Date.parse(upload.expiresAt) > Date.now() ? upload : undefined
}
