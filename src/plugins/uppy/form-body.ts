import { type ByteReader, readerOf } from '../../core/relay.ts'
import { ApiError } from '../../errors/api-error.ts'
import { fromClient } from '../../http/validate.ts'
import { utf8 } from '../../keys/encodings.ts'

/** A form that ends with its file, as in S3 PostObject. */
export interface UploadForm {
  /** The fields before the file, by name in lower case. */
  readonly fields: ReadonlyMap<string, string>
  readonly file: FileBytes
}

export interface FileBytes {
  readonly size: number
  /** Fails unless the form ends after `size` bytes. Only then does the last byte arrive. */
  readonly bytes: ReadableStream<Uint8Array>
}

type Bytes = Uint8Array<ArrayBuffer>

/** Most Cloudflare plans' limit. Other origins can't read Cloudflare's page for a larger form. */
export const MAX_FORM_BYTES = 100 * 1000 ** 2
const MAX_FIELDS_BYTES = 64 * 1024
const CHUNK_BYTES = 64 * 1024
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })
/** RFC 2046, 5.1.1. */
const BOUNDARY = /;\s*boundary=(?:"([^"]{1,70})"|([\w'()+,./:=?-]{1,70}))\s*(?:;|$)/i
const FIELD_NAME = /^content-disposition: *form-data *;(?:.*;)? *name="([^"]*)"/im

/** Reads the fields of a multipart/form-data body (RFC 7578), and returns its file as a stream. */
export async function readForm({ body, headers }: Request): Promise<UploadForm> {
  const contentType = headers.get('content-type') ?? ''
  const boundary = BOUNDARY.exec(contentType)
  if (!/^multipart\/form-data *;/i.test(contentType) || boundary === null)
    throw new ApiError('unsupported_media_type', 'Send the form as multipart/form-data.')
  const length = headers.get('content-length') ?? ''
  if (body === null || !/^\d{1,15}$/.test(length))
    throw new ApiError('size_required', 'Send the form with a Content-Length.')
  if (Number(length) > MAX_FORM_BYTES)
    throw new ApiError(
      'body_too_large',
      `A form may have at most ${MAX_FORM_BYTES} bytes. Upload a larger file in parts.`,
    )

  const delimiter = `--${boundary[1] ?? boundary[2]}`
  const reader = readerOf(body)
  let start: Bytes = new Uint8Array()
  // Each round parses from the start, so each one reads twice as much.
  for (let wanted = 1024; ; wanted *= 2) {
    const chunks = [start]
    let isWhole = false
    for (let length = start.length; length < wanted && !isWhole; ) {
      // Many small chunks would cost a view each.
      const room = wanted - length
      const view = new Uint8Array(reader.waits ? room : 0)
      const { done, value = new Uint8Array() } = await fromClient(reader.read(room, view))
      isWhole = done
      length += value.length
      chunks.push(value as Bytes)
    }
    start = joined(chunks)
    const head = readFields(start, delimiter)
    if (head !== null) {
      const { fields, fileAt } = head
      const end = utf8(`\r\n${delimiter}--\r\n`)
      const size = Number(length) - fileAt - end.length
      if (size < 0) throw malformed()
      const bytes = fileStream(reader, start.slice(fileAt), size, end)
      return { fields, file: { size, bytes } }
    }
    if (isWhole || wanted >= MAX_FIELDS_BYTES) throw malformed()
  }
}

/** Returns the fields before the file and its position, or null if it needs more bytes. */
function readFields(
  start: Uint8Array,
  delimiter: string,
): { readonly fields: Map<string, string>; readonly fileAt: number } | null {
  // One character per byte.
  const text = new TextDecoder('latin1').decode(start)
  const fields = new Map<string, string>()
  for (let at = 0; ; ) {
    const line = text.slice(at, at + delimiter.length + 2)
    if (line.length < delimiter.length + 2) return null
    if (line !== `${delimiter}\r\n`) throw malformed()
    const headersEnd = text.indexOf('\r\n\r\n', at)
    if (headersEnd === -1) return null
    const name = FIELD_NAME.exec(text.slice(at + line.length, headersEnd))?.[1]?.toLowerCase()
    const contentAt = headersEnd + 4
    if (name === 'file') return { fields, fileAt: contentAt }
    const contentEnd = text.indexOf(`\r\n${delimiter}`, contentAt)
    if (contentEnd === -1) return null
    if (name === undefined || fields.has(name)) throw malformed()
    fields.set(name, decoder.decode(start.subarray(contentAt, contentEnd)))
    at = contentEnd + 2
  }
}

/** Returns the next `size` bytes; `held` are read. Fails unless exactly `end` follows. */
function fileStream(reader: ByteReader, held: Bytes, size: number, end: Uint8Array) {
  const delimiter = end.subarray(0, -4)
  const skips = skipsOf(delimiter)
  // Each read costs CPU, independent of its size.
  const next = () => fromClient(reader.read(CHUNK_BYTES, new Uint8Array(CHUNK_BYTES)))
  let left = size
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      for (;;) {
        const isWhole = held.length >= left + end.length
        if (contains(held.subarray(0, left), delimiter, skips)) throw malformed()
        if (isWhole) {
          const rest = held.subarray(left)
          const isEnd = rest.length === end.length && end.every((byte, at) => rest[at] === byte)
          if (!isEnd || !(await next()).done) throw malformed()
          if (left > 0) controller.enqueue(held.subarray(0, left))
          controller.close()
          return
        }
        // The last bytes may be the start of a delimiter.
        const ready = Math.min(held.length - delimiter.length, left - 1)
        if (ready > 0) {
          controller.enqueue(held.subarray(0, ready))
          held = held.slice(ready)
          left -= ready
          return
        }
        const { done, value } = await next()
        if (done) throw malformed()
        held = joined([held, value])
      }
    },
    cancel: (reason) => reader.cancel(reason),
  })
}

/** How far a search for `part` may move on after each value of the last byte that it compared. */
function skipsOf(part: Uint8Array): Uint8Array {
  const skips = new Uint8Array(256).fill(part.length)
  for (const [index, byte] of part.subarray(0, -1).entries()) skips[byte] = part.length - 1 - index
  return skips
}

/** Tells whether `bytes` contain `part`. Boyer-Moore-Horspool: it compares few of the bytes. */
function contains(bytes: Uint8Array, part: Uint8Array, skips: Uint8Array): boolean {
  const last = part.length - 1
  for (let at = 0; at + last < bytes.length; ) {
    let index = last
    while (index >= 0 && bytes[at + index] === part[index]) index--
    if (index < 0) return true
    at += skips[bytes[at + last] ?? 0] ?? 1
  }
  return false
}

function joined(chunks: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}

const malformed = (): ApiError =>
  new ApiError('invalid_request', 'The form must end with its file, in a part named "file".')
