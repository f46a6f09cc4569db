import { each, isObject, isOptional, isString, isStringMap } from './check.ts'
import type { Client } from './client.ts'
import { sha256Of } from './file-bytes.ts'
import { PresignerError } from './index.ts'
import { withoutCommas } from './media-type.ts'
import type { FileConditions } from './requests.ts'
import { withRetries } from './retry.ts'
import { requireSession, type Session } from './session.ts'

/** The members of Uppy's file that are used here. */
export interface UppyFile {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly size: number | null
  readonly data: Blob | { readonly size: number | null } | undefined
  readonly meta: Readonly<Record<string, unknown>>
}

/** Returns the name that the user sees and may have changed. */
export const nameOf = ({ name, meta }: UppyFile): string =>
  typeof meta.name === 'string' && meta.name !== '' ? meta.name : name

export interface UppyOptions extends Omit<FileConditions, 'metadata' | 'contentDisposition'> {
  /**
   * Makes the bucket verify the SHA-256 of files that go in one request. Reads them into memory.
   */
  readonly sha256?: boolean | undefined
  /** Folder of the keys, below the prefix. */
  readonly directory?: string | ((file: UppyFile) => string | undefined) | undefined
  /**
   * Which fields of `file.meta` the bucket stores: all except Uppy's own (`true`, the default), the
   * named ones, or none (`false`). Only strings are stored, and only if the name consists of a-z,
   * 0-9 and `-`.
   */
  readonly metadata?: boolean | readonly string[] | undefined
  /** The Content-Disposition header that the bucket returns (RFC 6266, in ASCII). */
  readonly contentDisposition?: string | ((file: UppyFile) => string | undefined) | undefined
  /**
   * Called with each error that a request waits for to pass, and with `undefined` when it continues
   * or fails.
   */
  readonly onStall?: ((error?: PresignerError) => void) | undefined
}

/** What `@uppy/aws-s3` passes to `signRequest`: its `PresignableRequest`. */
export interface SignRequest {
  readonly method: 'PUT' | 'POST' | 'GET' | 'DELETE'
  readonly key: string
  readonly uploadId?: string | undefined
  readonly partNumber?: number | undefined
  readonly contentType?: string | undefined
  readonly expiresIn?: number | undefined
}

/** What `@uppy/aws-s3` expects from `signRequest`: its `PresignedResponse`. */
export interface SignedRequest {
  url: string
  key: string
  headers: Record<string, string>
}

/** Options of `@uppy/aws-s3` 6.2 and later. */
export interface UppySigner {
  generateObjectKey(file: UppyFile): string
  signRequest(request: SignRequest): Promise<SignedRequest>
}

const isSigned = isObject({ ...each(isString, 'url', 'key'), headers: isOptional(isStringMap) })

/** Fields of `meta` that Uppy sets itself. */
const OWN_FIELDS: readonly string[] = ['name', 'type']

/** A ListParts response without parts. */
const NO_PARTS = 'data:application/xml,%3CListPartsResult/%3E'

/**
 * Returns options for `uppy.use(AwsS3, { ...uppyOptions(client) })`. Uppy doesn't tell
 * `signRequest` which file a request is for, so the proposed key is the file's id. The Worker
 * creates the real key. It signs the name, type, size, metadata and, if you ask for it, the
 * SHA-256.
 */
export function uppyOptions(
  client: Pick<Client, 'bucket' | 'request' | 'session'>,
  options: UppyOptions = {},
): UppySigner {
  // Uppy holds a reference to a file while it uploads it.
  const files = new Map<string, WeakRef<UppyFile>>()
  /** In which session each upload began, by its proposed and its real key. */
  const sessions = new Map<string, Session>()
  let isStalled = false
  const stall = (error?: PresignerError) => {
    if (error || isStalled) options.onStall?.(error)
    isStalled = error !== undefined
  }
  return {
    generateObjectKey(file) {
      files.set(file.id, new WeakRef(file))
      sessions.set(file.id, client.session('begin'))
      return file.id
    },
    async signRequest(request) {
      const file = request.uploadId === undefined ? files.get(request.key)?.deref() : undefined
      const { bucket } = client
      const session = sessions.get(request.key) ?? client.session('begin')
      const body = { ...request, ...(file && (await described(file, request, options))), bucket }
      const send = () => {
        requireSession(client, session)
        return client.request('POST', '/s3/sign', { body })
      }
      const answer = await withRetries(session.signal, send, stall).finally(() => stall())
      if (!isSigned(answer))
        throw new PresignerError('bad_answer', 'Unexpected response to /s3/sign')
      const { url, key, headers = {} } = answer
      sessions.set(key, session)
      const hidden = request.method === 'GET' && (await hidesParts(url))
      return { url: hidden ? NO_PARTS : url, key, headers }
    },
  }
}

/** Returns what the Worker needs about a file to sign the first request of an upload. */
async function described(
  file: UppyFile,
  { method, contentType = file.type || 'application/octet-stream' }: SignRequest,
  { sha256, directory, metadata = true, contentDisposition, onStall, ...headers }: UppyOptions,
): Promise<object> {
  const { data } = file
  return {
    ...headers,
    contentType: withoutCommas(contentType),
    fileName: nameOf(file),
    size: file.size ?? undefined,
    sha256: sha256 && method === 'PUT' && data instanceof Blob ? await sha256Of(data) : undefined,
    directory: valueFor(file, directory),
    metadata: metadataOf(file, metadata),
    contentDisposition: valueFor(file, contentDisposition),
  }
}

/** An option for one file: the same for all files, or a function. */
const valueFor = (file: UppyFile, option: UppyOptions['directory']): string | undefined =>
  typeof option === 'function' ? option(file) : option

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
 * Tells whether Uppy should read `NO_PARTS` instead of the bucket's list of parts. That is so if
 * the server has no ListParts or the signer's key may not call it, and the page's
 * Content-Security-Policy allows `NO_PARTS`. Uppy then continues with its own state, or sends all
 * parts again.
 */
async function hidesParts(url: string): Promise<boolean> {
  try {
    const { status } = await fetch(url)
    return [403, 405, 501].includes(status) && (await fetch(NO_PARTS)).ok
  } catch {
    return false
  }
}
