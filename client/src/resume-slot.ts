import { type Check, isNumber, isObject, isOptional, isString } from './check.ts'
import { sampleOf } from './file-bytes.ts'
import { parse } from './json.ts'
import type { StartRequest } from './requests.ts'
import { isStartedUpload, type StartedUpload } from './responses.ts'

const PREFIX = 'edge-presigner:'
/** Long enough for a page that is closing to release its lock. */
const LOCK_MILLISECONDS = 1000
/**
 * On the last day of an upload id, the client drops the upload. The user probably won't return, and
 * after that day the upload can't be aborted.
 */
const LAST_DAY_MILLISECONDS = 86_400_000

/** Identifies an upload: the API's base URL, the file's date, and the options. */
export type UploadIdentity = readonly [string, number, StartRequest]

const isRequest = isObject<Pick<StartRequest, 'fileName' | 'bucket'>>({
  fileName: isString,
  bucket: isOptional(isString),
})
const isIdentity: Check<UploadIdentity> = (value): value is UploadIdentity =>
  Array.isArray(value) && isString(value[0]) && isNumber(value[1]) && isRequest(value[2])

/** Deletes the parts of an upload to this API. */
type Drop = (upload: StartedUpload, bucket: string | undefined) => void

/** What the slot keeps about an upload. */
export type KeptUpload = StartedUpload & {
  /** `sampleOf` its file. Missing if an earlier version saved it. */
  readonly sample?: unknown
}

/** An entry in localStorage for one upload. Without localStorage, uploads don't resume. */
export interface ResumeSlot {
  /** `sampleOf` the file. */
  readonly sample: string
  load(): KeptUpload | undefined
  /**
   * Saves `upload`. Removes abandoned uploads, and calls `drop` for those that the bucket may still
   * have.
   */
  save(upload: StartedUpload, drop: Drop): void
  clear(): void
}

/**
 * Calls `act` with the slot of `file`, which `identity` describes. The slot keeps nothing if
 * `identity` is null, if the page is not in a secure context, or while another upload uses it, in
 * this tab or another.
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
    save: (upload, drop) =>
      use((storage) => {
        sweep(storage, identity?.[0], drop)
        storage.setItem(name, JSON.stringify({ ...upload, sample }))
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

  /**
   * Runs `act` and ignores its errors. An upload also works if storage is blocked or full, or
   * contains something else.
   */
  function use<R>(act: (storage: Storage) => R): R | undefined {
    try {
      return keeps ? act(localStorage) : undefined
    } catch {
      return undefined
    }
  }
}

/** Returns the upload that is saved under `name`, unless it has expired. */
function read(storage: Storage, name: string): KeptUpload | undefined {
  const upload = parse(storage.getItem(name) ?? '')
  return isStartedUpload(upload) && Date.parse(upload.expiresAt) > Date.now() ? upload : undefined
}

/**
 * Removes expired uploads. Also removes and drops uploads to the API at `baseUrl` that are about to
 * expire, unless a tab works on them. Keeps what other code of the page saves, also if its name
 * starts with the same prefix.
 */
function sweep(storage: Storage, baseUrl: string | undefined, drop: Drop): void {
  for (const name of Object.keys(storage)) {
    const identity = name.startsWith(PREFIX) && parse(name.slice(PREFIX.length))
    if (!isIdentity(identity)) continue
    const upload = read(storage, name)
    if (!upload) {
      storage.removeItem(name)
      continue
    }
    const [base, , { bucket }] = identity
    if (base !== baseUrl || Date.parse(upload.expiresAt) > Date.now() + LAST_DAY_MILLISECONDS)
      continue
    void navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (!lock) return
      storage.removeItem(name)
      drop(upload, bucket)
    })
  }
}
