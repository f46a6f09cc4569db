import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

// Imported without types, because their types exclude Node.
const CLIENT = join(import.meta.dirname, '../../client/src')
const { recordUploads, restartLostUploads, retryAfterOutages, uppyOptions } = await import(
  join(CLIENT, 'uppy.ts')
)
const { PresignerError } = await import(join(CLIENT, 'presigner-error.ts'))
const { default: UppyCore } = await import(import.meta.resolve('@uppy/core'))

interface Uppy {
  addFile(file: { name: string; data: Blob }): string
  addPreProcessor(processor: () => Promise<void>): void
  addUploader(uploader: () => Promise<void>): void
  destroy(): void
  emit(event: string, file: unknown, details: object): void
  getFile(fileId: string): { readonly error?: string | null }
  on(event: 'upload-error', listener: (file: unknown, error: Error) => void): void
  on(event: 'upload-retry', listener: () => void): void
  on(event: 'complete', listener: (result: { successful?: unknown[] }) => void): void
  retryUpload(fileId: string): Promise<unknown>
  setFileState(fileId: string, state: object): void
  upload(): Promise<unknown>
}

const PAUSE_MILLISECONDS = 5000
const outage = Object.assign(new Error('No response'), { code: 'NETWORK' })
const lost = Object.assign(new Error('NoSuchUpload'), { status: 404 })
const refused = Object.assign(new Error('AccessDenied'), { status: 403 })

describe("the client's functions for Uppy's core", () => {
  let uppy: Uppy
  let fileId: string
  /** The errors that an upload of the file ends with, in order. Without one, it succeeds. */
  let failures: Error[]
  /** What each upload of the file, and its listeners, reported. */
  let events: string[]
  let unhandled: unknown[]
  const onUnhandled = (reason: unknown) => unhandled.push(reason)
  const onStall = (error?: Error) => events.push(error ? `stall ${error.message}` : 'continue')

  beforeEach(() => {
    vi.useFakeTimers()
    process.on('unhandledRejection', onUnhandled)
    unhandled = []
    failures = []
    events = []
    uppy = new UppyCore({ logger: { debug() {}, warn() {}, error() {} } })
    fileId = uppy.addFile({ name: 'a.bin', data: new Blob(['abc']) })
    uppy.addUploader(async () => {
      const file = uppy.getFile(fileId)
      const failure = failures.shift()
      events.push('send')
      if (failure) uppy.emit('upload-error', file, failure)
      else uppy.emit('upload-success', file, { status: 200, body: {} })
    })
    uppy.on('upload-error', (_, { message }) => events.push(`error ${message}`))
    uppy.on('complete', ({ successful = [] }) => events.push(`complete ${successful.length}`))
  })
  afterEach(async () => {
    vi.unstubAllGlobals()
    vi.useRealTimers()
    await new Promise(setImmediate) // Node reports rejections before it.
    process.off('unhandledRejection', onUnhandled)
    uppy.destroy()
    expect(unhandled).toEqual([])
  })

  const pass = () => vi.advanceTimersByTimeAsync(20 * PAUSE_MILLISECONDS)
  const failInPreprocessor = () =>
    uppy.addPreProcessor(async () => {
      throw new Error('No thumbnail')
    })

  describe('retryAfterOutages', () => {
    const sendBytes = (bytesUploaded: number) =>
      uppy.emit('upload-progress', uppy.getFile(fileId), { bytesUploaded, bytesTotal: 3 })
    /** Uploads the file, whose attempts end with `errors`. Returns the function that ends this. */
    const begin = async (...errors: Error[]): Promise<() => void> => {
      const end = retryAfterOutages(uppy, { onStall, maxRetries })
      sendBytes(1)
      failures = errors
      await uppy.upload()
      return end
    }
    let maxRetries: number | undefined
    afterEach(() => {
      maxRetries = undefined
    })
    const attempts = () => events.filter((event) => event === 'send').length
    const failed = ['send', 'error No response', 'stall No response']

    it('retries five seconds after each error, until the bucket responds', async () => {
      await begin(outage, outage)
      await vi.advanceTimersByTimeAsync(PAUSE_MILLISECONDS - 1)
      expect(attempts()).toBe(1)
      await pass()
      expect(events).toEqual([...failed, 'complete 0', ...failed, 'send', 'complete 1'])
    })

    it('retries fifteen times', async () => {
      await begin(...Array<Error>(20).fill(outage))
      await pass()
      expect(attempts()).toBe(16)
      expect(events.at(-1)).toBe('continue')
    })

    it('retries as often as the page wants', async () => {
      maxRetries = 18
      await begin(...Array<Error>(30).fill(outage))
      await pass()
      expect(attempts()).toBe(19)
    })

    it.each([
      ['the Worker does not respond', 'network', 0],
      ['a proxy responds for the Worker', 'bad_answer', 502],
    ])('retries when %s, also before the first byte', async (_, code, status) => {
      retryAfterOutages(uppy, { onStall })
      failures = [Object.assign(new Error('No response'), { code, status })]
      await uppy.upload()
      await pass()
      expect(attempts()).toBe(2)
    })

    it.each([
      ['unreachable', 0],
      ['bad_answer', 404],
      ['internal', 500],
    ])('does not retry after %s with status %i', async (code, status) => {
      await begin(Object.assign(new Error('No response'), { code, status }))
      await pass()
      expect(attempts()).toBe(1)
    })

    it('retries nothing once it is off', async () => {
      const end = await begin(outage)
      end()
      await pass()
      expect(events).toEqual([...failed, 'complete 0'])
    })

    it.each([
      ['no bytes', 0],
      ['bytes', 1],
    ])('retries five seconds after a retry by the user sent %s and failed', async (_, sent) => {
      await begin(outage, outage)
      await vi.advanceTimersByTimeAsync(PAUSE_MILLISECONDS - 1)
      uppy.on('upload-retry', () => sendBytes(sent))
      await uppy.retryUpload(fileId)
      await vi.advanceTimersByTimeAsync(PAUSE_MILLISECONDS - 1)
      expect(attempts()).toBe(2)
      await pass()
      expect(attempts()).toBe(3)
    })

    it('retries nothing if the page has never sent a byte', async () => {
      retryAfterOutages(uppy, { onStall })
      failures = [outage]
      await uppy.upload()
      await pass()
      expect(events).toEqual(['send', 'error No response', 'complete 0'])
    })

    it('no longer waits when a retry ends with a different error', async () => {
      await begin(outage, refused)
      await pass()
      expect(events).toEqual([...failed, 'complete 0', 'send', 'error AccessDenied', 'continue'])
    })

    it('fails the file with the error of a retry that Uppy rejects', async () => {
      await begin(outage)
      failInPreprocessor()
      await pass()
      expect(events).toEqual([...failed, 'complete 0', 'error No thumbnail', 'continue'])
      expect(uppy.getFile(fileId).error).toBe('No thumbnail')
    })
  })

  describe('uppyOptions', () => {
    it('reports the end of a stall also when the request fails', async () => {
      vi.stubGlobal('navigator', { onLine: true })
      vi.stubGlobal('addEventListener', () => undefined)
      vi.stubGlobal('removeEventListener', () => undefined)
      const codes = ['network', 'forbidden']
      const request = async () => {
        throw new PresignerError(codes.shift(), 'No response')
      }
      const { signRequest } = uppyOptions({ request }, { onStall })
      const signed = expect(signRequest({ method: 'PUT', key: 'a' })).rejects.toThrow('No response')
      await pass()
      await signed
      expect(events).toEqual(['stall No response', 'continue'])
    })

    it('states the disposition and the encoding of a file', async () => {
      const bodies: unknown[] = []
      const request = async (_method: string, _path: string, { body }: { body: unknown }) => {
        bodies.push(body)
        return { url: 'https://bucket.example/a', key: 'uploads/a' }
      }
      const file = { id: '1', name: 'a.csv', type: 'text/csv', size: 4, meta: {} }
      const named = ({ name }: { name: string }) => `attachment; filename="${name}"`
      for (const contentDisposition of ['inline', named]) {
        const options = { contentDisposition, contentEncoding: 'gzip' }
        const { generateObjectKey, signRequest } = uppyOptions({ request }, options)
        await signRequest({ method: 'PUT', key: generateObjectKey(file) })
      }
      expect(bodies).toMatchObject([
        { contentDisposition: 'inline', contentEncoding: 'gzip' },
        { contentDisposition: 'attachment; filename="a.csv"', contentEncoding: 'gzip' },
      ])
    })
  })

  describe('recordUploads', () => {
    it('records a file again that is uploaded to the same key, and once for each upload', async () => {
      const recorded: unknown[] = []
      const client = {
        record: async (key: string, name: string) => ({ key, name, etag: `"${recorded.length}"` }),
      }
      recordUploads(uppy, client, { onRecord: (record: object) => recorded.push(record) })
      const succeed = () =>
        uppy.emit('upload-success', uppy.getFile(fileId), { status: 200, body: { key: 'me.png' } })
      uppy.addUploader(async () => {
        succeed()
      })
      await uppy.upload()
      expect(recorded).toMatchObject([{ etag: '"0"' }])
      succeed()
      await vi.advanceTimersByTimeAsync(0)
      expect(recorded).toMatchObject([{ etag: '"0"' }, { etag: '"1"' }])
    })
  })

  describe('restartLostUploads', () => {
    beforeEach(() => {
      failures = [lost]
      uppy.setFileState(fileId, { s3Multipart: { key: 'a.bin', uploadId: 'x' } })
    })

    it('uploads the file again', async () => {
      restartLostUploads(uppy)
      await uppy.upload()
      await pass()
      expect(events).toEqual(['send', 'error NoSuchUpload', 'complete 0', 'send'])
    })

    it('uploads nothing again once it is off', async () => {
      const end = restartLostUploads(uppy)
      await uppy.upload()
      end()
      await pass()
      expect(events).toEqual(['send', 'error NoSuchUpload', 'complete 0'])
    })

    it('fails the file with the error of an upload that Uppy rejects', async () => {
      restartLostUploads(uppy)
      await uppy.upload()
      failInPreprocessor()
      await pass()
      expect(events.slice(3)).toEqual(['error No thumbnail'])
      expect(uppy.getFile(fileId).error).toBe('No thumbnail')
    })
  })
})
