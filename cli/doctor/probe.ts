import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Address, Bucket, Credentials } from '../../src/bucket/bucket.ts'
import { ApiError } from '../../src/errors/api-error.ts'
import { type ObjectKey, parseObjectKey } from '../../src/keys/object-key.ts'
import { copySourceOf } from '../../src/plugins/copies/s3.ts'
import { authorize } from '../../src/signing/authorization-header.ts'
import { objectUrl } from '../../src/signing/object-url.ts'
import { presign } from '../../src/signing/presign.ts'
import { awsSigner, spaced } from '../../src/signing/signature.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  type MultipartUpload,
} from '../../src/storage/multipart.ts'
import { s3CodeIn } from '../../src/storage/s3.ts'
import { StorageFailure } from '../../src/storage/storage-failure.ts'
import {
  type Answer,
  BUSY_MILLISECONDS,
  BUSY_TRIES,
  NoAnswer,
  type RequestOptions,
  type Requests,
} from './requests.ts'

/** The folder for everything that doctor writes. */
export const FOLDER = 'edge-presigner-doctor'
/** Lifetime of doctor's URLs in seconds. */
const SIGNED_SECONDS = 300

export interface ObjectOptions extends RequestOptions {
  readonly method?: 'GET' | 'PUT' | 'DELETE'
  readonly key: ObjectKey
  readonly credentials: Credentials
  readonly query?: Readonly<Record<string, string>>
  /** Headers that are signed and sent. Those of `headers` are only sent. */
  readonly signedHeaders?: Readonly<Record<string, string>>
}

export interface BucketOptions extends RequestOptions {
  readonly credentials: Credentials
  readonly query: Readonly<Record<string, string>>
  readonly body?: string
}

/** The objects and uploads that doctor could not remove. */
export interface Leftovers {
  readonly keys: readonly string[]
  readonly uploads: readonly string[]
  /** Status and S3's code of the last refusal. */
  readonly reason: string
}

/**
 * Sends requests to one bucket, with the Worker's own code for signatures. Records everything that it
 * writes, before it writes it.
 */
export class Probe {
  readonly bucket: Bucket
  #requests: Requests
  /** Versions by key; empty if the bucket has no versioning. */
  readonly #objects = new Map<ObjectKey, Set<string>>()
  readonly #uploads = new Set<MultipartUpload>()
  readonly #run = randomBytes(8).toString('hex')

  constructor(bucket: Bucket, requests: Requests) {
    this.bucket = bucket
    this.#requests = requests
  }

  /** The key of an object of this run. */
  key(name: string): ObjectKey {
    return parseObjectKey(`${FOLDER}/${this.#run}/${name}`)
  }

  /** Sends a request to a URL that is presigned as the Worker presigns URLs for clients. */
  async presigned({
    key,
    credentials,
    query,
    signedHeaders,
    ...options
  }: ObjectOptions): Promise<Answer> {
    const { method = 'GET' } = options
    const url = await presign({
      bucket: this.bucket,
      credentials,
      method,
      key,
      ...(query === undefined ? {} : { query }),
      ...(signedHeaders === undefined ? {} : { headers: signedHeaders }),
      signedAt: new Date(),
      signedSeconds: SIGNED_SECONDS,
    })
    if (method === 'PUT' && query === undefined) this.#remember(key)
    const headers = { ...signedHeaders, ...Object.fromEntries(new Headers(options.headers)) }
    const answer = await this.#requests.send(url, { ...options, headers })
    if (method === 'PUT' && query === undefined) this.#remember(key, answer)
    return answer
  }

  /** S3 PutObject, presigned and with the credentials for uploads. */
  put(
    name: string,
    body: string,
    headers: Readonly<Record<string, string>> = {},
    unsignedHeaders: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    return this.presigned({
      method: 'PUT',
      key: this.key(name),
      credentials: this.bucket.uploadCredentials,
      signedHeaders: { 'Content-Type': 'text/plain', ...this.bucket.uploadHeaders, ...headers },
      headers: unsignedHeaders,
      body,
    })
  }

  /** S3 GetObject, presigned. */
  get(name: string, credentials = this.bucket.credentials): Promise<Answer> {
    return this.presigned({ key: this.key(name), credentials })
  }

  /** S3 DeleteObject with `If-Match`, presigned. */
  async deleteMatching(name: string, etag: string): Promise<Answer> {
    const [key, { credentials }] = [this.key(name), this.bucket]
    const signedHeaders = { 'If-Match': etag }
    const answer = await this.presigned({ method: 'DELETE', key, credentials, signedHeaders })
    // In a bucket with versions, it leaves a delete marker.
    this.#remember(key, answer)
    return answer
  }

  /** S3 GetObject, as the Worker itself sends it. */
  async getAsWorker(name: string): Promise<Answer> {
    const { url, headers } = await authorize({
      bucket: this.bucket,
      credentials: this.bucket.credentials,
      method: 'GET',
      key: this.key(name),
      signedAt: new Date(),
    })
    return this.#requests.send(url, { headers })
  }

  /** S3 CopyObject within the bucket, as the Worker itself sends it. */
  async copyAsWorker(from: string, to: string): Promise<Answer> {
    const { bucket } = this
    const { credentials } = bucket
    const key = this.key(to)
    const source = copySourceOf({ bucket, key: this.key(from) })
    const { url, headers } = await authorize({
      ...{ bucket, credentials, method: 'PUT', key, signedAt: new Date() },
      headers: { ...bucket.uploadHeaders, 'x-amz-copy-source': source },
    })
    this.#remember(key)
    const answer = await this.#requests.send(url, { method: 'PUT', headers })
    this.#remember(key, answer)
    return answer
  }

  /**
   * Requests the object, or the bucket with `query`, without credentials. The default `address` is
   * the one for clients.
   */
  unsigned(
    key: ObjectKey | null,
    query: Readonly<Record<string, string>> = {},
    address: Address = this.bucket.publicAddress,
  ): Promise<Answer> {
    const url = key === null ? rootOf(address) : objectUrl(address, key)
    url.search = new URLSearchParams(query).toString()
    return this.#requests.send(url.href)
  }

  /** S3 PostObject: a form with `fields`, and a file after them. */
  async post(
    key: ObjectKey,
    fields: Readonly<Record<string, string>>,
    file: string,
  ): Promise<Answer> {
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    form.append('file', new Blob([file], { type: 'text/plain' }), 'file.txt')
    this.#remember(key)
    const { href } = rootOf(this.bucket.publicAddress)
    const answer = await this.#requests.send(href, { method: 'POST', body: form })
    this.#remember(key, answer)
    return answer
  }

  /** A preflight for the URL of an object (Fetch standard, "CORS-preflight fetch"). */
  preflight(key: ObjectKey, headers: Readonly<Record<string, string>>): Promise<Answer> {
    const { href } = objectUrl(this.bucket.publicAddress, key)
    return this.#requests.send(href, { method: 'OPTIONS', headers })
  }

  /** An operation on the bucket itself, with the signature in a header. */
  async ofBucket({ credentials, query, ...options }: BucketOptions): Promise<Answer> {
    const { method = 'GET', body } = options
    const url = rootOf(this.bucket)
    url.search = new URLSearchParams(query).toString()
    const digest = createHash('sha256').update(body ?? '')
    const signer = awsSigner({
      bucket: this.bucket,
      credentials,
      method,
      url: url.href,
      headers: {
        ...Object.fromEntries(new Headers(options.headers)),
        ...this.bucket.requestHeaders,
        'X-Amz-Content-Sha256': digest.digest('hex'),
      },
      signedAt: new Date(),
    })
    const signed = await signer.sign()
    return this.#requests.send(spaced(signed.url.href), {
      method,
      headers: signed.headers,
      ...(body === undefined ? {} : { body }),
    })
  }

  /** S3 CreateMultipartUpload. Throws the same errors as the Worker's code. */
  async startUpload(name: string): Promise<MultipartUpload> {
    const key = this.key(name)
    const headers = { 'Content-Type': 'text/plain', ...this.bucket.uploadHeaders }
    const s3UploadId = await createMultipartUpload(this.bucket, key, headers, new Date())
    const upload = { bucket: this.bucket, key, s3UploadId }
    this.#uploads.add(upload)
    return upload
  }

  /** S3 UploadPart, presigned. */
  putPart({ key, s3UploadId }: MultipartUpload, body: string): Promise<Answer> {
    return this.presigned({
      method: 'PUT',
      key,
      credentials: this.bucket.uploadCredentials,
      query: { partNumber: '1', uploadId: s3UploadId },
      body,
    })
  }

  /** S3 CompleteMultipartUpload of one part. Throws the same errors as the Worker's code. */
  async complete(upload: MultipartUpload, etag: string, conditional: boolean): Promise<void> {
    this.#remember(upload.key)
    const bucket = { ...this.bucket, conditionalComplete: conditional }
    const parts = [{ partNumber: 1, etag }]
    await whenNotBusy(() => completeMultipartUpload({ ...upload, bucket }, parts, new Date()))
    this.#uploads.delete(upload)
    const { key } = upload
    this.#remember(key, await this.presigned({ key, credentials: this.bucket.credentials }))
  }

  /** Records that `upload` no longer exists. */
  forget(upload: MultipartUpload): void {
    this.#uploads.delete(upload)
  }

  /** How much doctor has written and not removed yet. */
  get written(): { readonly objects: number; readonly uploads: number } {
    return { objects: this.#objects.size, uploads: this.#uploads.size }
  }

  /**
   * Deletes everything, with the access key that is allowed to. Uses `requests`, which continue after
   * Ctrl-C. Resolves with what is left, or null.
   */
  async cleanUp(requests: Requests): Promise<Leftovers | null> {
    this.#requests = requests
    let reason = ''
    for (const upload of this.#uploads)
      try {
        await this.#endUpload(upload)
        this.#uploads.delete(upload)
      } catch (error) {
        reason = reasonOf(error)
      }
    for (const [key, versions] of this.#objects) {
      const refusal = await this.#delete(key, versions)
      if (refusal === null) this.#objects.delete(key)
      else reason = refusal
    }
    if (this.#objects.size + this.#uploads.size === 0) return null
    const uploads = [...this.#uploads].map(({ key }) => key)
    return { keys: [...this.#objects.keys()], uploads, reason }
  }

  /**
   * Aborts an upload. If the server doesn't support AbortMultipartUpload, completes the upload and
   * deletes the object.
   */
  async #endUpload(upload: MultipartUpload): Promise<void> {
    try {
      await abortMultipartUpload(upload, new Date())
    } catch (error) {
      const etag = (await this.putPart(upload, 'doctor')).headers.get('etag')
      if (etag === null) throw error
      await this.complete(upload, etag, false)
    }
  }

  /** Deletes an object with its known versions. Returns null, or why it still exists. */
  async #delete(key: ObjectKey, versions: ReadonlySet<string>): Promise<string | null> {
    const { credentials, uploadCredentials } = this.bucket
    let refusal: string | null = null
    for (const pair of new Set([credentials, uploadCredentials])) {
      refusal = null
      for (const versionId of versions.size === 0 ? [null] : versions)
        refusal ??= await this.#deleteVersion(key, versionId, pair)
      if (refusal === null) return null
    }
    return refusal
  }

  async #deleteVersion(
    key: ObjectKey,
    versionId: string | null,
    credentials: Credentials,
  ): Promise<string | null> {
    const query = versionId === null ? {} : { query: { versionId } }
    try {
      const answer = await this.presigned({ method: 'DELETE', key, credentials, ...query })
      return [200, 204, 404].includes(answer.status) ? null : codeOf(answer)
    } catch (error) {
      return reasonOf(error)
    }
  }

  #remember(key: ObjectKey, answer?: Answer): void {
    const versions = this.#objects.get(key) ?? new Set()
    const version = answer?.headers.get('x-amz-version-id')
    if (version) versions.add(version)
    this.#objects.set(key, versions)
  }
}

const rootOf = ({ origin, basePath }: Address): URL => new URL(origin + basePath)

/** Runs an operation of the Worker's code, and repeats it while the bucket is busy. */
async function whenNotBusy(act: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1)
    try {
      return await act()
    } catch (error) {
      const isBusy = error instanceof ApiError && error.code === 'storage_busy'
      if (!isBusy || tries === BUSY_TRIES) throw error
      await delay(BUSY_MILLISECONDS)
    }
}

/** Status and S3's error code of a response: `403 AccessDenied`. */
export const codeOf = ({ status, text }: Answer): string =>
  [status, s3CodeIn(text) ?? []].flat().join(' ')

/** Returns the reason of an error of the Worker's code, as a status and a code if it has them. */
export function reasonOf(error: unknown): string {
  if (error instanceof NoAnswer) return error.message
  if (error instanceof ApiError) {
    const { cause } = error
    if (!(cause instanceof StorageFailure)) return error.message
    if (cause.status === null) return 'No response.'
    return [cause.status, cause.s3Code ?? []].flat().join(' ')
  }
  throw error
}
