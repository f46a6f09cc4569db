import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

// Imported without types, because their types exclude Node.
const CLIENT = join(import.meta.dirname, '../../client/src')
const { recordUploads, restartLostUploads, retryAfterOutages, uppyOptions } = await import(
  join(CLIENT, 'uppy.ts')
)
const { createClient, PresignerError } = await import(join(CLIENT, 'index.ts'))
const { default: UppyCore } = await import(import.meta.resolve('@uppy/core'))

interface Uppy {
  addFile(file: { name: string; data: Blob }): string
  addPreProcessor(processor: () => Promise<void>): void
  addUploader(uploader: () => Promise<void>): void
  destroy(): void
  cancelAll(): void
  emit(event: string, file: unknown, details: object): void
  getFile(fileId: string): { readonly error?: string | null }
  getFiles(): { readonly name: string }[]
  on(event: 'upload-error', listener: (file: unknown, error: Error) => void): void
  on(event: 'upload-retry', listener: () => void): void
  on(event: 'complete', listener: (result: { successful?: unknown[] }) => void): void
  retryUpload(fileId: string): Promise<unknown>
  setFileState(fileId: string, state: object): void
  upload(): Promise<unknown>
}

const PAUSE_MILLISECONDS = 5000
const RECORD = {
  ...{ bucket: 'files', name: 'a', size: 3, mimetype: 'a/b', etag: '"e"', owner: 'a' },
  createdAt: '2026-12-01T00:00:00.000Z',
}
const outage = Object.assign(new Error('No response'), { code: 'NETWORK' })
const lost = Object.assign(new Error('NoSuchUpload'), { status: 404 })
const session = { user: undefined, signal: new AbortController().signal }
/** A client that nobody logs out of. */
const nobodys = { session: () => session, onEnd: () => () => undefined }
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
      const { signRequest } = uppyOptions({ ...nobodys, request }, { onStall })
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
        const { generateObjectKey, signRequest } = uppyOptions({ ...nobodys, request }, options)
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
        ...nobodys,
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

  // @threat other-user-in-browser
  describe('people who log in and out on a page', () => {
    let user: string | null
    /** What the API was asked for, by whom. */
    let requests: string[]
    /** The real one, at an API that knows who is logged in. */
    const connect = () =>
      createClient({
        baseUrl: 'https://files.example.com',
        user: () => user,
        token: (_?: string, name?: string | null) => `${name}`,
      })

    beforeEach(() => {
      user = null
      requests = []
      vi.stubGlobal('location', new URL('https://app.example.com/'))
      vi.stubGlobal('navigator', { onLine: true })
      vi.stubGlobal('fetch', async (url: string, { headers }: { headers: Headers }) => {
        const { pathname } = new URL(url)
        requests.push(`${headers.get('Authorization')?.slice(7)} ${pathname}`)
        return Response.json(
          pathname === '/limits'
            ? { tag: headers.get('Authorization') }
            : pathname === '/s3/sign'
              ? { url: 'https://bucket.example/a', key: `real-${requests.length}` }
              : { ...RECORD, key: 'real' },
        )
      })
    })
    const CHANGES = [
      ['the client ends', true, 'bob'],
      ['it ends, and the same user is back', true, 'ann'],
      ['only the user changes', false, 'bob'],
    ] as const
    const outcome = (promise: Promise<unknown>) =>
      promise.then(
        () => 'ok',
        ({ code }) => code,
      )

    it('Uppy is empty at the end of each session, whenever it began', async () => {
      const client = connect()
      const use = async (name: string | null, act = () => {}) => {
        user = name
        await outcome(client.request('GET', '/stats'))
        act()
        uppy.addFile({ name: `${name}.bin`, data: new Blob(['abc']) })
        client.end()
        return uppy.getFiles().length
      }
      uppy.cancelAll()
      let stop = () => {}
      const record = () => {
        stop = recordUploads(uppy, client)
      }
      expect(await use(null, record)).toBe(1)
      for (const name of ['ann', 'bob', 'ann']) expect(await use(name)).toBe(0)
      stop()
      expect(await use('ann')).toBe(1)
      uppy.cancelAll()
      expect(await use('ann', record)).toBe(0)
      stop()
      expect(await use('ann')).toBe(1)
      uppy.cancelAll()
      record()
      expect(await use('bob', () => stop())).toBe(1)
    })

    it.each(CHANGES)(
      'nothing is signed for a file of an earlier session: %s',
      async (_, ends, next) => {
        const client = connect()
        const { generateObjectKey, signRequest } = uppyOptions(client)
        user = 'ann'
        const file = { id: 'a', name: 'a.bin', type: 'a/b', size: 4, meta: {} }
        const key = generateObjectKey(file)
        const sign = { method: 'POST', key }
        const { key: real } = await signRequest(sign)
        const sent = requests.length
        if (ends) client.end()
        user = next
        for (const request of [sign, { method: 'PUT', key: real, uploadId: 'x', partNumber: 1 }])
          expect(await outcome(signRequest(request))).toBe('user_changed')
        expect(requests).toHaveLength(sent)
        expect(await outcome(signRequest({ ...sign, key: generateObjectKey(file) }))).toBe('ok')
        const asked = next === 'ann' ? [] : [`${next} /limits`] // the page knows Ann's tag
        expect(requests.slice(sent)).toEqual([...asked, `${next} /s3/sign`])
      },
    )

    it.each(CHANGES)(
      'nothing is recorded for a file of an earlier session: %s',
      async (_, ends, next) => {
        const client = connect()
        user = 'ann'
        recordUploads(uppy, client)
        const id = uppy.addFile({ name: 'ann.bin', data: new Blob(['abc']) })
        const file = uppy.getFile(id)
        const succeed = () => uppy.emit('upload-success', file, { status: 200, body: { key: 'k' } })
        succeed()
        await pass()
        expect(requests).toEqual(['ann /limits', 'ann /files'])
        if (ends) client.end()
        user = next
        succeed()
        await pass()
        expect(requests).toHaveLength(2)
      },
    )
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

    it("uploads the file again if the upload is another user's", async () => {
      failures = [Object.assign(new Error('No.'), { code: 'forbidden' })]
      restartLostUploads(uppy)
      await uppy.upload()
      await pass()
      expect(events).toEqual(['send', 'error No.', 'complete 0', 'send'])
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
