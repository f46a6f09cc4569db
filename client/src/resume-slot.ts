import { isStartedUpload, type StartedUpload } from './answers.ts'
import { sampleOf } from './file-bytes.ts'
import type { StartRequest } from './requests.ts'

const PREFIX = 'edge-presigner:'
/** Long enough for a page that is being left to let go of its lock. */
const LOCK_MILLISECONDS = 1000
/** The last day of an upload id: who has not come back by now won't, and later nobody can drop it. */
const LAST_DAY_MILLISECONDS = 86_400_000

/** What tells uploads apart: the API's base URL, the date of the file, and the options. */
export type UploadIdentity = readonly [string, number, StartRequest]

/** Drops the parts of an upload of this API. */
type Drop = (upload: StartedUpload, bucket: string | undefined) => void

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
  /** Keeps `upload`. Forgets abandoned ones, and calls `drop` for those that the bucket may have. */
  save(upload: StartedUpload, drop: Drop): void
  clear(): void
}

/**
 * Calls `act` with the slot of `file`, which `identity` describes. The slot keeps nothing for null,
 * in a page without a secure context, and while another upload has it, in this tab or another.
 */
export async function withResumeSlot<T>(
  identity: UploadIdentity | null,
  file: Blob,
  act: (slot: ResumeSlot) => Promise<T>,
): Promise<T> {
  const name = PREFIX + JSON.stringify(identity)
  const locks = identity ? navigator.locks : undefined
  const sample = locks ? await sampleOf(file) : ''
  let keeps = false
  const slot: ResumeSlot = {
    sample,
    load: () => use((storage) => read(storage, name)),
    save: ({ uploadId, key, partSize, expiresAt }, drop) =>
      use((storage) => {
        sweep(storage, identity?.[0], drop)
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

/**
 * Forgets uploads that have expired, and those of the API at `baseUrl` that are about to and that no
 * tab works on; these it drops.
 */
function sweep(storage: Storage, baseUrl: string | undefined, drop: Drop): void {
  for (const name of Object.keys(storage)) {
    if (!name.startsWith(PREFIX)) continue
    const upload = read(storage, name)
    if (!upload) {
      storage.removeItem(name)
      continue
    }
    const [base, , { bucket }] = JSON.parse(name.slice(PREFIX.length))
    if (base !== baseUrl || Date.parse(upload.expiresAt) > Date.now() + LAST_DAY_MILLISECONDS)
      continue
    void navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (!lock) return
      storage.removeItem(name)
      drop(upload, bucket)
    })
  }
}
