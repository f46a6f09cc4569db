import type { FileRecord } from './answers/files.ts'
import { isFileRecord } from './answers/files.ts'
import { isUploadUrl, type UploadUrl } from './answers/uploads.ts'
import type { Api } from './api.ts'
import type { RecordRequest, UploadUrlRequest } from './bodies.ts'
import { isAnything, isListOf, isObject } from './check.ts'
import { call, type Job, lineOf } from './job.ts'
import { oneEach } from './one-each.ts'
import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'
import { withRetries } from './retry.ts'
import { isFresh, type SignedPut } from './signed-put.ts'

/** Each item is checked when its file needs it. */
const isUploadUrls = isObject({ uploads: isListOf(isAnything) })
const isBatch = isObject({ files: isListOf(isAnything) })

/** How many files are signed in one request. */
const SIGNED_TOGETHER = 100
/** How many are recorded in one request: what Cloudflare's free plan allows, even with webhooks. */
const RECORDED_TOGETHER = 16
/** How long a file that is sent waits for others that are on their way, to be recorded together. */
const COLLECT_MILLISECONDS = 2000

export type SignedFile = SignedPut & { readonly key: string }

/** A file that will need a URL. */
export interface Unsigned {
  readonly job: Job
  readonly body: UploadUrlRequest
  /** Its URL from a request for several files; undefined if that request didn't sign it. */
  signing?: Promise<SignedFile | undefined> | undefined
}

interface Unrecorded {
  readonly job: Job
  readonly body: RecordRequest
  readonly stall: Stall
  record?: Promise<FileRecord>
}

/** What the uploads of one client wait for. */
interface Waiting {
  readonly unsigned: Set<Unsigned>
  readonly unrecorded: Set<Unrecorded>
  recording?: Promise<void> | undefined
  /** Files that are announced, and not sent yet. */
  readonly unsent: Set<Job>
  /** Called when one of these changes. */
  changed?: (() => void) | undefined
}

const waitingOf = oneEach<Api, Waiting>(() => ({
  unsigned: new Set(),
  unrecorded: new Set(),
  unsent: new Set(),
}))

/**
 * Announces a file, so that it can be signed together with others until its job is over. If that is
 * over already, throws its reason.
 */
export function announceFile(file: Unsigned, isSigned: boolean): void {
  const { job, body } = file
  job.signal.throwIfAborted()
  const waiting = waitingOf(job.api)
  const { unsigned, unsent } = waiting
  // For a chosen key, the Worker asks the bucket, which it may do only a few times in a request.
  if (body.key === undefined && !isSigned) unsigned.add(file)
  unsent.add(job)
  // Also aborts after an error.
  job.signal.addEventListener('abort', () => {
    unsigned.delete(file)
    unsent.delete(job)
    waiting.changed?.()
  })
}

/**
 * Signs a file, and with it up to 99 others that were announced. One that is refused asks again
 * alone, since only that response has a status and a Retry-After.
 */
export async function sign(file: Unsigned, stall: Stall): Promise<SignedFile> {
  const { body, job } = file
  const { api, request, signal } = job
  const { unsigned } = waitingOf(api)
  await undefined // so that a page can announce all of its files
  const files = unsigned.delete(file) ? [file, ...unsigned].slice(0, SIGNED_TOGETHER) : []
  for (const one of files) unsigned.delete(one)
  if (files.length > 1) {
    const together = { files: withoutBuckets(files), bucket: request.bucket }
    const asked = api(isUploadUrls, 'POST', '/files/upload-urls', { body: together, stall })
    const answer = asked.catch(unlessInternal({ uploads: [] }))
    for (const [index, one] of files.entries()) {
      one.signing = answer.then(({ uploads }) => {
        const upload = uploads[index]
        return isUploadUrl(upload) ? signedNow(upload) : undefined
      })
      one.signing.catch(() => {
        if (!one.job.signal.aborted) unsigned.add(one)
      })
    }
  }
  const { signing } = file
  file.signing = undefined
  const early = await signing
  if (isFresh(early)) return early
  return signedNow(await api(isUploadUrl, 'POST', '/files/upload-url', { body, signal, stall }))
}

const signedNow = (answer: UploadUrl): SignedFile => ({
  ...answer,
  url: answer.uploadUrl,
  signedAt: Date.now(),
})

/**
 * Returns `none` for an `internal` error, which one of the files may cause, for example in a function
 * of the app. Each file then asks alone.
 */
const unlessInternal =
  <T>(none: T) =>
  (error: unknown): T => {
    if (error instanceof PresignerError && error.code === 'internal') return none
    throw error
  }

const withoutBuckets = (files: readonly { readonly body: object }[]): object[] =>
  files.map(({ body }) => ({ ...body, bucket: undefined }))

/** Records a file. While one request is on its way, files wait for the next one. */
export async function record(job: Job, body: RecordRequest): Promise<FileRecord> {
  job.signal.throwIfAborted()
  const waiting = waitingOf(job.api)
  const file: Unrecorded = { job, body, stall: job.watch() }
  waiting.unsent.delete(job)
  waiting.unrecorded.add(file)
  waiting.changed?.()
  job.signal.addEventListener('abort', () => waiting.unrecorded.delete(file))
  while (waiting.unrecorded.has(file)) {
    waiting.recording ??= recordNext(waiting).finally(() => {
      waiting.recording = undefined
    })
    await waiting.recording
  }
  return file.record ?? recordAlone(file)
}

const recordAlone = ({ job, body }: Unrecorded, stall?: Stall): Promise<FileRecord> =>
  call(job, isFileRecord, 'POST', '/files', { body, stall })

/**
 * Records the files that wait, and resolves afterwards. A single file that has to wait
 * doesn't delay the others.
 */
async function recordNext(waiting: Waiting): Promise<void> {
  const { unrecorded } = waiting
  await collected(waiting)
  const files = [...unrecorded].slice(0, RECORDED_TOGETHER)
  for (const file of files) unrecorded.delete(file)
  const [first] = files
  if (!first) return
  if (files.length === 1)
    return new Promise((resolve) => {
      first.record = recordAlone(first, (error) => {
        first.stall(error)
        resolve()
      })
      first.record.catch(ignore).then(() => resolve())
    })
  const { api, request } = first.job
  const body = { files: withoutBuckets(files), bucket: request.bucket }
  const stallAll: Stall = (error) => {
    for (const { stall } of files) stall(error)
  }
  const canceled = new AbortController()
  const { signal } = canceled
  let left = files.length
  for (const { job } of files)
    job.signal.addEventListener('abort', () => --left || canceled.abort())
  const act = (stall: Stall) =>
    api(isBatch, 'POST', '/files/batch', { body, signal, stall }).catch(
      unlessInternal({ files: [] }),
    )
  const answer = withRetries(signal, act, stallAll, lineOf(api))
  for (const [index, file] of files.entries())
    file.record = answer.then((recorded) => {
      const one = recorded.files[index]
      return isFileRecord(one) ? one : recordAlone(file)
    })
  return answer.then(ignore, ignore)
}

/** Resolves when a request is full, or no other file is on its way, or one has waited for long. */
const collected = (waiting: Waiting): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, COLLECT_MILLISECONDS)
    waiting.changed = () => {
      if (waiting.unsent.size > 0 && waiting.unrecorded.size < RECORDED_TOGETHER) return
      clearTimeout(timer)
      resolve()
    }
    waiting.changed()
  })

const ignore = (): void => undefined
