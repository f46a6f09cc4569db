import { isStartedUpload, type StartedUpload } from './answers/uploads.ts'
import type { CompleteRequest, StartRequest } from './bodies.ts'
import { type Check, isListOf, isNumber, isObject, isOptional, isString } from './check.ts'
import { sampleOf } from './file-bytes.ts'
import { parse } from './json.ts'

const PREFIX = 'edge-presigner:'
/** Long enough for a closing page to release its lock, even on a busy machine. */
const LOCK_MILLISECONDS = 3000
/**
 * The lifetime of an upload id. On its last day, the client drops the upload. The user probably
 * won't return, and after that day the upload can't be aborted.
 */
const DAYS = 7
const DAY_MILLISECONDS = 86_400_000

/** Identifies an upload: the API's base URL, the file's date, and the options. */
export type UploadIdentity = readonly [string, number, StartRequest]

const isRequest = isObject<Pick<StartRequest, 'fileName' | 'bucket'>>({
  fileName: isString,
  bucket: isOptional(isString),
})
const isIdentity: Check<UploadIdentity> = (value): value is UploadIdentity =>
  Array.isArray(value) && isString(value[0]) && isNumber(value[1]) && isRequest(value[2])

/** Deletes the parts of an upload to this API. Then calls `done`. */
export type Drop = (upload: StartedUpload, bucket: string | undefined, done?: () => void) => void

/** What the slot keeps about an upload. */
export type KeptUpload = StartedUpload & {
  /** `sampleOf` its file. Missing if the upload was canceled, and the bucket may still have it. */
  readonly sample?: unknown
  /** With which it is being completed, or was. */
  readonly parts?: CompleteRequest['parts'] | undefined
}

const hasParts = isObject<Pick<KeptUpload, 'parts'>>({
  parts: isOptional(isListOf(isObject({ partNumber: isNumber, etag: isString }))),
})

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
  /** Keeps the parts with which `upload` is completed next. */
  complete(upload: StartedUpload, parts: CompleteRequest['parts']): void
  /** Keeps `upload` only to delete its parts. */
  cancel(upload: StartedUpload): void
  /** Removes `upload`, unless the slot already has another one. */
  clear(upload: StartedUpload): void
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
        sweep(storage, identity?.[0], upload, drop)
        write(storage, name, { ...upload, sample })
      }),
    complete: (upload, parts) =>
      use((storage) => write(storage, name, { ...upload, sample, parts })),
    cancel: (upload) => use((storage) => write(storage, name, { ...upload, sample: undefined })),
    clear: (upload) => use((storage) => remove(storage, name, upload)),
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

/** Returns the names of files whose uploads to the API at `baseUrl` can be resumed. */
export function keptNames(baseUrl: string): readonly string[] {
  try {
    return Object.keys(localStorage).flatMap((name) => {
      const identity = name.startsWith(PREFIX) && parse(name.slice(PREFIX.length))
      if (!isIdentity(identity) || identity[0] !== baseUrl) return []
      const { fileName } = identity[2]
      return fileName && read(localStorage, name)?.sample ? [fileName] : []
    })
  } catch {
    return []
  }
}

/** Returns the upload that is saved under `name`. Only the API knows whether it has expired. */
function read(storage: Storage, name: string): KeptUpload | undefined {
  const upload = parse(storage.getItem(name) ?? '')
  return isStartedUpload(upload) && hasParts(upload) ? upload : undefined
}

/** Saves `upload` under `name`. Without a sample, it can't be resumed. */
const write = (storage: Storage, name: string, upload: KeptUpload): void =>
  storage.setItem(name, JSON.stringify(upload))

function remove(storage: Storage, name: string, { uploadId }: StartedUpload): void {
  if (read(storage, name)?.uploadId === uploadId) storage.removeItem(name)
}

/**
 * Removes expired uploads. Drops uploads to the API at `baseUrl` that were canceled or are about to
 * expire, unless a tab works on them. Compares them with an upload that has `just` started, since
 * the clock of this machine may be wrong. Keeps what other code of the page saves, even under a name
 * with the same prefix.
 */
function sweep(
  storage: Storage,
  baseUrl: string | undefined,
  just: StartedUpload,
  drop: Drop,
): void {
  for (const name of Object.keys(storage)) {
    const identity = name.startsWith(PREFIX) && parse(name.slice(PREFIX.length))
    if (!isIdentity(identity)) continue
    const [base, , { bucket }] = identity
    const upload = read(storage, name)
    const days =
      (Date.parse(just.expiresAt) - Date.parse(upload?.expiresAt ?? '')) / DAY_MILLISECONDS
    if (!upload || !(days < DAYS)) storage.removeItem(name)
    else if (base === baseUrl && (!upload.sample || days > DAYS - 1))
      void navigator.locks.request(name, { ifAvailable: true }, (lock) => {
        if (!lock) return
        write(storage, name, { ...upload, sample: undefined })
        drop(upload, bucket, () => remove(storage, name, upload))
      })
  }
}
