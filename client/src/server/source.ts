import { bytesOf } from '../file-bytes.ts'
import { withoutCommas } from '../media-type.ts'
import { PresignerError } from '../presigner-error.ts'

export type Bytes = Uint8Array<ArrayBuffer>

/** Consecutive bytes, in blocks, since joining them would need another copy of all. */
export interface Piece {
  readonly size: number
  readonly blocks: readonly Bytes[]
}

/** Returns all bytes as one block. */
export function joined({ size, blocks }: Piece): Bytes {
  const [first] = blocks
  if (first?.length === size) return first
  const bytes = new Uint8Array(size)
  let at = 0
  for (const block of blocks) {
    bytes.set(block, at)
    at += block.length
  }
  return bytes
}

/** A part of a stream. A string is sent as UTF-8. */
export type Chunk = Uint8Array | string

/**
 * What can be uploaded: bytes (also a Buffer), a Blob or File, a stream of unknown length (of the
 * web or of Node, or any async iterable), or the path of a file.
 */
export type UploadSource =
  | string
  | ArrayBuffer
  | ArrayBufferView
  | Blob
  | ReadableStream<Uint8Array>
  | AsyncIterable<Chunk>

/** An open source of bytes. */
export interface Source {
  /** Bytes, or null if nobody knows. */
  readonly size: number | null
  readonly name?: string | undefined
  readonly mimetype?: string | undefined
  /**
   * Returns the next `bytes` bytes, and fewer only at the end. Throws what the source throws, and
   * PresignerError `file_changed`.
   */
  read(bytes: number): Promise<Piece>
  /** Releases the source, if it is open. Cancels a stream that hasn't ended, which may never answer. */
  close?(): Promise<void>
}

/** The members of `node:fs/promises` that are used here. Deno and Bun have them too. */
interface FileSystem {
  open(path: string): Promise<{
    stat(): Promise<{ size: number; mtimeMs: number; isFile(): boolean }>
    read(
      buffer: Bytes,
      offset: number,
      length: number,
      position: number,
    ): Promise<{ bytesRead: number }>
    close(): Promise<void>
  }>
}

const MAX_SHOWN_CHARACTERS = 100
/** Memory for the bytes of a stream is allocated in blocks, so that a short stream needs little. */
const BLOCK_BYTES = 256 * 1024

const invalid = (message: string, cause?: unknown): PresignerError =>
  new PresignerError('invalid_options', message, { cause })

/** Opens `source`. Throws PresignerError `invalid_options`, and what the file system throws. */
export async function openSource(source: UploadSource): Promise<Source> {
  if (typeof source === 'string') return openPath(source)
  if (source instanceof Blob) return openBlob(source)
  if (source instanceof ArrayBuffer) return openBytes(new Uint8Array(source))
  if (ArrayBuffer.isView(source)) {
    const { buffer, byteOffset, byteLength } = source
    return openBytes(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength))
  }
  if (typeof source === 'object' && source !== null) {
    if (wasRead(source))
      throw invalid(
        'The stream has been read, for example by express.raw(). Pass the bytes that it returned.',
      )
    if ('getReader' in source) return openStream(webChunks(source))
    if (Symbol.asyncIterator in source) return openStream(iterableChunks(source))
  }
  const hint = Object(source) instanceof Response ? ' Pass response.body.' : ''
  throw invalid(`upload() takes bytes, a Blob, a stream, an async iterable or a path.${hint}`)
}

/** Tells whether somebody has read from a stream, or reads it. Its rest would count as the file. */
function wasRead(source: object): boolean {
  if (!(source instanceof ReadableStream)) return Reflect.get(source, 'readableDidRead') === true
  try {
    // Throws for such a stream (Fetch, "extract a body"), and nothing else tells.
    return !new Response(source)
  } catch {
    return true
  }
}

function openBytes(bytes: Bytes): Source {
  return {
    size: bytes.length,
    read: inOrder(async (start, end) => bytes.subarray(start, end)),
  }
}

function openBlob(blob: Blob): Source {
  return {
    size: blob.size,
    // Bun's files have a path as their name.
    name: 'name' in blob ? baseName(String(blob.name)) : undefined,
    mimetype: withoutCommas(blob.type) || undefined,
    read: inOrder(async (start, end) => new Uint8Array(await bytesOf(blob.slice(start, end)))),
  }
}

function inOrder(readRange: (start: number, end: number) => Promise<Bytes>): Source['read'] {
  let at = 0
  return (bytes) => {
    const start = at
    at += bytes
    return readRange(start, at).then((block) => ({ size: block.length, blocks: [block] }))
  }
}

async function openPath(path: string): Promise<Source> {
  const { open } = await fileSystem()
  const file = await open(path).catch((cause: unknown) => {
    const code: unknown = cause instanceof Error ? Reflect.get(cause, 'code') : undefined
    if (code !== 'ENOENT' && code !== 'ENAMETOOLONG') throw cause
    const shown =
      path.length > MAX_SHOWN_CHARACTERS ? `${path.slice(0, MAX_SHOWN_CHARACTERS)}…` : path
    const message = `upload(${JSON.stringify(shown)}): no such file. To upload text, pass Buffer.from(text).`
    throw Object.assign(new Error(message, { cause }), { code })
  })
  try {
    const stats = await file.stat()
    if (!stats.isFile()) throw invalid(`${path} is not a file. Pass a stream.`)
    const { size, mtimeMs } = stats
    const changed = () => new PresignerError('file_changed', `${path} changed during its upload`)
    return {
      size,
      name: baseName(path),
      read: inOrder(async (start, end) => {
        const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start))
        for (let filled = 0; filled < bytes.length; ) {
          const left = bytes.length - filled
          const { bytesRead } = await file.read(bytes, filled, left, start + filled)
          if (bytesRead === 0) throw changed()
          filled += bytesRead
        }
        const now = await file.stat()
        if (now.size !== size || now.mtimeMs !== mtimeMs) throw changed()
        return bytes
      }),
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Loads it only for a path, since Workers have none. */
async function fileSystem(): Promise<FileSystem> {
  // A bundler for Workers must not look for the module.
  const name = 'node:fs/promises'
  try {
    return await import(/* @vite-ignore */ /* webpackIgnore: true */ name)
  } catch (cause) {
    throw invalid('A path needs a file system, and this runtime has none. Pass a stream.', cause)
  }
}

const baseName = (path: string): string => path.split(/[/\\]/).at(-1) ?? ''

interface Chunks {
  next(): Promise<{ readonly done?: boolean | undefined; readonly value?: unknown }>
  cancel(): Promise<unknown>
}

function webChunks(stream: ReadableStream<Uint8Array>): Chunks {
  const reader = stream.getReader()
  return { next: () => reader.read(), cancel: () => reader.cancel() }
}

function iterableChunks(source: AsyncIterable<Chunk>): Chunks {
  const iterator = source[Symbol.asyncIterator]()
  return {
    next: () => iterator.next(),
    async cancel() {
      // A generator returns only after its next value, for which a stream of Node may wait long.
      const destroy: unknown = Reflect.get(source, 'destroy')
      if (typeof destroy === 'function') destroy.call(source)
      else void iterator.return?.().catch(() => undefined)
    },
  }
}

function openStream(chunks: Chunks): Source {
  let rest: Uint8Array = new Uint8Array()
  let isDone = false
  return {
    size: null,
    async read(length) {
      const blocks: Bytes[] = []
      let room = new Uint8Array()
      let size = 0
      while (size < length) {
        if (rest.length === 0) {
          const { done, value } = isDone ? { done: true, value: undefined } : await chunks.next()
          if (done) {
            isDone = true
            break
          }
          rest = chunkBytes(value)
          continue
        }
        if (room.length === 0) {
          room = new Uint8Array(Math.min(BLOCK_BYTES, length - size))
          blocks.push(room)
        }
        // A copy, since the source may use its chunk again.
        const taken = rest.subarray(0, room.length)
        room.set(taken)
        room = room.subarray(taken.length)
        rest = rest.subarray(taken.length)
        size += taken.length
      }
      const last = blocks.pop()
      if (last) blocks.push(last.subarray(0, last.length - room.length))
      return { size, blocks }
    },
    async close() {
      if (!isDone) void chunks.cancel().catch(() => undefined)
    },
  }
}

function chunkBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk
  if (typeof chunk === 'string') return new TextEncoder().encode(chunk)
  throw invalid(`The stream must have chunks of bytes or strings, not ${typeof chunk}.`)
}
