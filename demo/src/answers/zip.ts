import { downloadZip } from 'client-zip'
import { isEither, isListOf, isObject, isString } from '../../../client/src/check.ts'
import type { Client, FileRecord } from '../../../client/src/index.ts'
import { uniqueNames } from './zip-names.ts'

/** How many files one request signs. */
const SIGNED_AT_ONCE = 50
/** A URL is not used in its last minute. */
const MARGIN_MILLISECONDS = 60_000

const isSigned = isObject({
  urls: isListOf(
    isEither(
      isObject({ key: isString, url: isString }),
      isObject({ key: isString, error: isObject({ message: isString }) }),
    ),
  ),
  expiresAt: isString,
})

export interface ZipOptions {
  readonly client: Client
  readonly records: readonly FileRecord[]
  readonly signal: AbortSignal
  /** Called when a file begins, and with the bytes of all files that have arrived. */
  readonly onProgress: (name: string, files: number, bytes: number) => void
  /** Called for a file that the ZIP lacks. */
  readonly onMissing: (name: string, reason: string) => void
}

/**
 * Streams these files from the bucket into one ZIP. A file that the bucket refuses is left out, and a
 * text in the ZIP lists it. If a file ends early, so does the ZIP: the stream fails with its name.
 */
export function zipOf(options: ZipOptions): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { client, records, signal, onProgress } = options
  const names = uniqueNames(records.map(({ name }) => name))
  const urls = new Map<string, string | Error>()
  let expiresAt = 0
  let received = 0

  async function sign(some: readonly FileRecord[]): Promise<void> {
    const keys = some.map(({ key }) => key)
    const body = { keys, use: 'stream', bucket: client.bucket }
    const answer = await client.request('POST', '/files/urls', { body, signal, check: isSigned })
    expiresAt = Date.parse(answer.expiresAt)
    for (const each of answer.urls)
      urls.set(each.key, 'url' in each ? each.url : new Error(each.error.message))
  }

  /** Asks the bucket. Throws if it has no such file. */
  async function open(index: number, record: FileRecord): Promise<Response> {
    if (!urls.has(record.key) || Date.now() > expiresAt - MARGIN_MILLISECONDS)
      await sign(records.slice(index, index + SIGNED_AT_ONCE))
    const url = urls.get(record.key)
    if (typeof url !== 'string') throw url ?? new Error('It has no URL.')
    // Without the cache, which may have the response to an <img>, and that has no CORS headers.
    const response = await fetch(url, { signal, cache: 'no-store', referrerPolicy: 'no-referrer' })
    if (response.ok) return response
    throw new Error(response.status === 404 ? 'It was deleted.' : `Status ${response.status}.`)
  }

  async function* bytesOf({ body }: Response, name: string, index: number) {
    try {
      for await (const chunk of chunksOf(body)) {
        received += chunk.length
        onProgress(name, index, received)
        yield chunk
      }
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      throw new Error(`“${name}” ended early, so there is no ZIP. Try again.`, { cause })
    }
  }

  async function* entries() {
    const missing: string[] = []
    for (const [index, record] of records.entries()) {
      const name = names[index] ?? record.name
      onProgress(name, index, received)
      let response: Response
      try {
        response = await open(index, record)
      } catch (error) {
        if (signal.aborted) throw signal.reason
        const reason = error instanceof Error ? error.message : String(error)
        missing.push(`${name}: ${reason}`)
        options.onMissing(name, reason)
        continue
      }
      const lastModified = new Date(record.createdAt)
      yield { name, lastModified, input: bytesOf(response, name, index), size: record.size }
    }
    onProgress('', records.length, received)
    if (missing.length === 0) return
    const [name = 'missing.txt'] = uniqueNames(['Missing files.txt'], names)
    yield { name, lastModified: new Date(), input: `${missing.join('\n')}\n` }
  }

  const { body } = downloadZip(entries(), { buffersAreUTF8: true })
  if (body === null) throw new Error('There is no ZIP.')
  return body
}

/** Reads a body chunk by chunk, since not every browser iterates over a stream. */
async function* chunksOf(body: ReadableStream<Uint8Array<ArrayBuffer>> | null) {
  const reader = body?.getReader()
  try {
    for (;;) {
      const read = await reader?.read()
      if (read?.value === undefined) return
      yield read.value
    }
  } finally {
    await reader?.cancel().catch(() => {})
  }
}
