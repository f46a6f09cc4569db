import { downloadZip } from 'client-zip'
import { isEither, isListOf, isObject, isString } from '../../../client/src/check.ts'
import { type Client, type FileRecord, PresignerError } from '../../../client/src/index.ts'
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
  /** Called with why there is no ZIP. A browser doesn't tell this to code that reads the stream as a Blob. */
  readonly onFailure: (error: Error) => void
}

/**
 * Streams these files from the bucket into one ZIP. A file that the bucket refuses is left out, and a
 * text in the ZIP lists it. If a file ends early, so does the ZIP: the stream fails with its name. It
 * fails too if the API refuses to sign, which it would for every file.
 */
export function zipOf(options: ZipOptions): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { client, records, signal, onProgress } = options
  const names = uniqueNames(records.map(({ name }) => name))
  const urls = new Map<string, string | Error>()
  let expiresAt = 0
  let received = 0

  function fail(error: Error): never {
    options.onFailure(error)
    throw error
  }

  async function sign(some: readonly FileRecord[]): Promise<void> {
    const keys = some.map(({ key }) => key)
    const body = { keys, use: 'stream', bucket: client.bucket }
    const answer = await client.request('POST', '/files/urls', { body, signal, check: isSigned })
    expiresAt = Date.parse(answer.expiresAt)
    for (const each of answer.urls)
      urls.set(each.key, 'url' in each ? each.url : new Error(each.error.message))
  }

  async function request(key: string): Promise<Response> {
    const url = urls.get(key)
    if (typeof url !== 'string') throw url ?? new Error('It has no URL.')
    // Without the cache, which may have the response to an <img>, and that has no CORS headers.
    return fetch(url, { signal, cache: 'no-store', referrerPolicy: 'no-referrer' })
  }

  /** Asks the bucket. Throws if it has no such file. */
  async function open(index: number, record: FileRecord): Promise<Response> {
    if (!urls.has(record.key) || Date.now() > expiresAt - MARGIN_MILLISECONDS)
      await sign(records.slice(index, index + SIGNED_AT_ONCE))
    let response = await request(record.key)
    if (response.status === 403) {
      // The URL has expired, and this device's clock is late.
      await response.body?.cancel()
      await sign(records.slice(index, index + SIGNED_AT_ONCE))
      response = await request(record.key)
    }
    if (response.ok) return response
    await response.body?.cancel()
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
      fail(new Error(`“${name}” ended early, so there is no ZIP. Try again.`, { cause }))
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
        if (error instanceof PresignerError && !error.retryable) fail(error)
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
