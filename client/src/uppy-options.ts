import { isObject, isOptional, isString, isStringMap } from './check.ts'
import type { Client } from './client.ts'
import { sha256Of } from './file-bytes.ts'
import { PresignerError } from './index.ts'
import { withRetries } from './retry.ts'
import { nameOf, type UppyFile } from './uppy-file.ts'

export interface UppyOptions {
  /** Lets the bucket check the SHA-256 of files that go in one request. Reads them into memory. */
  readonly sha256?: boolean | undefined
  /** Folder of the keys below the prefix. */
  readonly directory?: string | ((file: UppyFile) => string | undefined) | undefined
  /**
   * Which fields of `file.meta` the bucket keeps: all but Uppy's own (`true`, unless given), those
   * with these names, or none. Only texts under a name of a-z, 0-9 and `-` are taken.
   */
  readonly metadata?: boolean | readonly string[] | undefined
  /** What the bucket answers as Cache-Control. */
  readonly cacheControl?: string | undefined
  /** Called with each error that a request waits out, and with `undefined` when it continues. */
  readonly onStall?: ((error?: PresignerError) => void) | undefined
}

/** What `@uppy/aws-s3` asks `signRequest` for: its `PresignableRequest`. */
export interface SignRequest {
  readonly method: 'PUT' | 'POST' | 'GET' | 'DELETE'
  readonly key: string
  readonly uploadId?: string | undefined
  readonly partNumber?: number | undefined
  readonly contentType?: string | undefined
  readonly expiresIn?: number | undefined
}

/** What it takes as an answer: its `PresignedResponse`. */
export interface SignedRequest {
  url: string
  key: string
  headers: Record<string, string>
}

/** Options of `@uppy/aws-s3` from 6.2 on. */
export interface UppySigner {
  generateObjectKey(file: UppyFile): string
  signRequest(request: SignRequest): Promise<SignedRequest>
}

const isSigned = isObject<{
  url: string
  key: string
  headers?: Record<string, string> | undefined
}>({ url: isString, key: isString, headers: isOptional(isStringMap) })

/** Fields of `meta` that Uppy itself makes. */
const OWN_FIELDS: readonly string[] = ['name', 'type']

/** A ListParts answer without parts. */
const NO_PARTS = 'data:application/xml,%3CListPartsResult/%3E'

/**
 * Options for `uppy.use(AwsS3, { ...uppyOptions(client) })`. Uppy doesn't tell `signRequest` which
 * file it is about, so the key that it proposes is the file's id; the Worker makes the real one.
 * Name, type, size, metadata and, if asked for, SHA-256 are signed.
 */
export function uppyOptions(
  client: Pick<Client, 'bucket' | 'request'>,
  options: UppyOptions = {},
): UppySigner {
  // Uppy holds a file as long as it uploads it.
  const files = new Map<string, WeakRef<UppyFile>>()
  let isStalled = false
  const stall = (error?: PresignerError) => {
    if (error || isStalled) options.onStall?.(error)
    isStalled = error !== undefined
  }
  return {
    generateObjectKey(file) {
      files.set(file.id, new WeakRef(file))
      return file.id
    },
    async signRequest(request) {
      const file = request.uploadId === undefined ? files.get(request.key)?.deref() : undefined
      const { bucket } = client
      const body = { ...request, ...(file && (await described(file, request, options))), bucket }
      const answer = await withRetries(
        new AbortController().signal,
        () => client.request('POST', '/s3/sign', { body }),
        stall,
      )
      if (!isSigned(answer)) throw new PresignerError('bad_answer', 'Not what /s3/sign answers')
      const { url, key, headers = {} } = answer
      const hidden = request.method === 'GET' && (await hidesParts(url))
      return { url: hidden ? NO_PARTS : url, key, headers }
    },
  }
}

/** What the Worker should know of a file when it signs the first request of an upload. */
async function described(
  file: UppyFile,
  { method, contentType = file.type || 'application/octet-stream' }: SignRequest,
  { sha256, directory, metadata = true, cacheControl }: UppyOptions,
): Promise<object> {
  const { data } = file
  return {
    contentType,
    fileName: nameOf(file),
    size: file.size ?? undefined,
    sha256: sha256 && method === 'PUT' && data instanceof Blob ? await sha256Of(data) : undefined,
    directory: typeof directory === 'function' ? directory(file) : directory,
    metadata: metadataOf(file, metadata),
    cacheControl,
  }
}

function metadataOf({ meta }: UppyFile, fields: boolean | readonly string[]): object | undefined {
  if (fields === false) return undefined
  const isWanted = (name: string) =>
    fields === true ? !OWN_FIELDS.includes(name) : fields.includes(name)
  const entries = Object.entries(meta).filter(
    ([name, value]) => /^[a-z0-9-]{1,64}$/.test(name) && isString(value) && isWanted(name),
  )
  return entries.length > 0 ? Object.fromEntries(entries) : undefined
}

/**
 * Whether the bucket doesn't say which parts it has (its server has no ListParts, or the signer's
 * key may not), and the page's Content-Security-Policy lets Uppy read `NO_PARTS`: it then goes on
 * with what it knows itself, or sends all parts again.
 */
async function hidesParts(url: string): Promise<boolean> {
  try {
    const { status } = await fetch(url)
    return [403, 405, 501].includes(status) && (await fetch(NO_PARTS)).ok
  } catch {
    return false
  }
}
