import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createServerClient, type ServerClient } from '../../client/src/server.ts'
import { coded } from '../support/errors.ts'

/** Retries take less than this, unless a response asks for more. */
const LONG = 100_000
const KEY = 'uploads/a.png'
const RECORD = {
  ...{ key: KEY, bucket: 'files', name: 'a.png', size: 5, mimetype: 'image/png', etag: '"e"' },
  ...{ owner: null, createdAt: '2026-11-25T12:00:00.000Z' },
}

interface Call {
  readonly method: string
  /** With its query, and without the base URL. */
  readonly path: string
  readonly body: unknown
  readonly init: RequestInit
  readonly at: number
}

type Answer = (call: Call) => Response | Error

let calls: Call[] = []

const clientOf = (answer: Answer, baseUrl = 'https://files.example.com'): ServerClient =>
  createServerClient({
    baseUrl,
    apiKey: 'ep_app_secret',
    async fetch(url, init) {
      const { method = '', body } = init
      const parsed = typeof body === 'string' ? JSON.parse(body) : null
      const path = url.replace(baseUrl, '')
      const call = { method, path, body: parsed, init, at: Date.now() }
      calls.push(call)
      const result = answer(call)
      if (result instanceof Error) throw result
      return result
    },
  })

const refusal = (status: number, code: string, headers = {}): Response =>
  Response.json({ ...coded(code), message: 'No.', requestId: 'r1' }, { status, headers })

const lost = (): Error => new TypeError('fetch failed')
const refusedConnection = (): Error =>
  new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) })

/** Lets the timeouts of requests use the clock of the test. */
const useFakeTimeouts = () =>
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((milliseconds) => {
    const controller = new AbortController()
    setTimeout(() => controller.abort(), milliseconds)
    return controller.signal
  })

/** A request without a response, until its signal aborts. */
const hanging = ({ signal }: RequestInit): Promise<Response> =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Runs all timers until `promise` settles. Resolves with its error. */
async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  const settled = promise.then(
    () => new Error('It succeeded.'),
    (error: unknown) => error,
  )
  await vi.advanceTimersByTimeAsync(LONG)
  return settled
}

beforeEach(() => {
  calls = []
  vi.useFakeTimers({ now: new Date('2026-11-25T12:00:00Z') })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

describe('a call that fails for a moment', () => {
  const all: [string, (client: ServerClient) => Promise<unknown>][] = [
    ['tokens.create', ({ tokens }) => tokens.create({ scopes: ['files:read'] })],
    ['uploadUrls', (client) => client.uploadUrls([{ fileName: 'a', mimetype: 'text/plain' }])],
    ['url', (client) => client.url(KEY)],
    ['urls', (client) => client.urls([KEY])],
    ['link', (client) => client.link(KEY)],
    ['links', (client) => client.links([KEY])],
    ['folderLink', (client) => client.folderLink('uploads/')],
    ['list', (client) => client.list().next()],
    ['listFolders', (client) => client.listFolders().next()],
    ['stats', (client) => client.stats()],
    ['objects', (client) => client.objects().next()],
    ['record', (client) => client.record(KEY, 'a.png')],
    ['rename', (client) => client.rename(KEY, 'a.png')],
    ['copy', (client) => client.copy(KEY, 'b.png')],
    ['move', (client) => client.move(KEY, 'b.png')],
    ['remove', (client) => client.remove(KEY)],
    ['removeMany', (client) => client.removeMany([KEY])],
    ['purge', (client) => client.purge([KEY])],
    ['upload', (client) => client.upload(new Uint8Array(1))],
  ]

  it.each(all)('is repeated: %s', async (_, call) => {
    for (const answer of [lost, () => refusal(502, 'storage_error')]) {
      calls = []
      const error = await errorOf(call(clientOf(answer)))
      expect(error).toMatchObject({ retryable: true })
      expect(calls).toHaveLength(7)
      expect((calls[6]?.at ?? 0) - (calls[0]?.at ?? 0)).toBeLessThan(31_000)
    }
  })

  it('is a start of parts, with an id for the same key', async () => {
    for (const answer of [lost, () => refusal(500, 'internal'), refusedConnection]) {
      calls = []
      const upload = clientOf(answer).upload(new Uint8Array(6 * 1024 ** 2), { partSize: 5_242_880 })
      expect(await errorOf(upload)).toMatchObject({ name: 'PresignerError' })
      expect(calls.map(({ path }) => path)).toEqual(Array(7).fill('/multipart'))
      expect(calls[0]?.body).toMatchObject({
        startId: expect.stringMatching(/^\d{13}-[0-9a-f-]{36}$/),
      })
      expect(calls[6]?.body).toEqual(calls[0]?.body)
    }
  })

  it('is no start of parts once its signal aborts, although that cancels no such request', async () => {
    const stop = new AbortController()
    const upload = clientOf(lost).upload(new Uint8Array(6 * 1024 ** 2), {
      partSize: 5_242_880,
      signal: stop.signal,
    })
    const ended = expect(upload).rejects.toThrow('enough')
    await vi.advanceTimersByTimeAsync(100)
    stop.abort(new Error('enough'))
    await ended
    await vi.advanceTimersByTimeAsync(LONG)
    expect(calls.map(({ path, init }) => [path, init.signal?.aborted])).toEqual([
      ['/multipart', false],
    ])
  })

  it('is deleted if its signal aborted while it started', async () => {
    const stop = new AbortController()
    const started = {
      ...{ uploadId: 'u', key: KEY, bucket: 'files' },
      ...{ partSize: 5_242_880, expiresAt: '2026-12-02' },
    }
    const uploads = clientOf(({ method }) => {
      if (method === 'DELETE') return new Response(null, { status: 204 })
      stop.abort(new Error('enough'))
      return Response.json(started)
    })
    const bytes = new Uint8Array(6 * 1024 ** 2)
    const upload = uploads.upload(bytes, { partSize: 5_242_880, signal: stop.signal })
    await expect(upload).rejects.toThrow('enough')
    expect(calls.map(({ method }) => method)).toEqual(['POST', 'DELETE'])
  })

  it.each([
    { what: 'a lost response', answer: lost, tries: 1 },
    { what: '500', answer: () => refusal(500, 'internal'), tries: 1 },
    { what: '502', answer: () => refusal(502, 'storage_error'), tries: 1 },
    { what: '429', answer: () => refusal(429, 'rate_limited'), tries: 7 },
    { what: '503', answer: () => refusal(503, 'unavailable storage'), tries: 7 },
    { what: 'a refused connection', answer: refusedConnection, tries: 7 },
  ])('is a new grant after $what: $tries tries', async ({ answer, tries }) => {
    const grant = clientOf(answer).createGrant(KEY, { deadline: '2026-12-01T00:00:00Z' })
    expect(await errorOf(grant)).toMatchObject({ name: 'PresignerError' })
    expect(calls.map(({ path }) => path)).toEqual(Array(tries).fill('/grants'))
  })

  it('succeeds as soon as one try does', async () => {
    const answers = [lost(), refusal(503, 'unavailable index'), Response.json(RECORD)]
    const recording = clientOf(() => answers[calls.length - 1] ?? lost()).record(KEY, 'a.png')
    await vi.advanceTimersByTimeAsync(LONG)
    expect(await recording).toEqual(RECORD)
    expect(calls).toHaveLength(3)
  })

  it.each([
    { header: '7', seconds: 7 },
    { header: 'Wed, 25 Nov 2026 12:00:30 GMT', seconds: 30 },
    { header: 'Wed, 25 Nov 2026 11:59:00 GMT', seconds: 0.25 },
    { header: '-5', seconds: 0.25 },
  ])('waits for $seconds seconds after Retry-After: $header', async ({ header, seconds }) => {
    const busy = () => refusal(503, 'unavailable storage', { 'Retry-After': header })
    const client = clientOf(() => (calls.length === 1 ? busy() : Response.json(RECORD)))
    const recording = client.record(KEY, 'a.png')
    await vi.advanceTimersByTimeAsync(LONG)
    await recording
    const [first, second] = calls
    const waited = (second?.at ?? 0) - (first?.at ?? 0)
    expect(waited).toBeGreaterThanOrEqual(seconds * 1000)
    expect(waited).toBeLessThan(seconds * 1000 + 1000)
  })

  it('leaves a wait of more than a minute to the caller', async () => {
    const limited = () => refusal(429, 'rate_limited', { 'Retry-After': '61' })
    expect(await errorOf(clientOf(limited).url(KEY))).toMatchObject({
      ...{ code: 'rate_limited', status: 429, requestId: 'r1', retryable: true, retryAfter: 61 },
    })
    expect(calls).toHaveLength(1)
  })

  it.each([
    [403, 'forbidden'],
    [404, 'object_not_found'],
    [501, 'not_supported'],
    [503, 'misconfigured'],
    [503, 'misconfigured expired'],
    [503, 'misconfigured credentials'],
    [503, 'misconfigured clock'],
  ])('is not repeated after %i %s', async (status, code) => {
    const error = await errorOf(clientOf(() => refusal(status, code)).url(KEY))
    expect(error).toMatchObject({ ...coded(code), status, retryable: false })
    expect(calls).toHaveLength(1)
  })

  it('ends with the reason of its signal, in a pause and before the first try', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const calling = clientOf(lost).url(KEY, { signal })
    const failed = expect(calling).rejects.toThrow('enough')
    await vi.advanceTimersByTimeAsync(600)
    const before = calls.length
    controller.abort(new Error('enough'))
    await failed
    await expect(clientOf(lost).url(KEY, { signal })).rejects.toThrow('enough')
    await vi.advanceTimersByTimeAsync(LONG)
    expect(calls).toHaveLength(before)
  })
})

describe('an index that answers', () => {
  it('is asked with every member, and for folders only until the first file', async () => {
    const folder = (prefix: string) => ({ prefix, count: 2, bytes: 10 })
    const pages = [
      { files: [], folders: [folder('a/')], cursor: 'c1' },
      { files: [RECORD], folders: [folder('b/')], cursor: 'c2' },
    ]
    const client = clientOf(() => Response.json(pages[calls.length - 1] ?? {}))
    const found = await collect(client.listFolders({ prefix: 'x/', pageSize: 2 }))
    expect(found).toEqual([folder('a/'), folder('b/')])
    expect(calls.map(({ path }) => path)).toEqual([
      '/files?prefix=x%2F&delimiter=%2F&limit=2',
      '/files?prefix=x%2F&delimiter=%2F&limit=2&cursor=c1',
    ])
    calls = []
    const listing = clientOf(() => Response.json({ files: [RECORD] }))
    await collect(listing.list({ q: 'a b', sort: '-size', type: 'image/*', minSize: 0 }))
    expect(calls[0]?.path).toBe('/files?q=a+b&sort=-size&type=image%2F*&minSize=0')
  })

  it('has totals, whose shape is checked', async () => {
    const stats = { count: 2, bytes: 10, groups: [{ value: null, count: 2, bytes: 10 }] }
    const client = clientOf(() => Response.json(stats))
    expect(await client.stats({ prefix: 'x/', groupBy: 'owner' })).toEqual(stats)
    expect(calls[0]?.path).toBe('/stats?prefix=x%2F&groupBy=owner')
    for (const wrong of [{ count: 2 }, { ...stats, groups: [{ count: 2, bytes: 1 }] }])
      expect(await errorOf(clientOf(() => Response.json(wrong)).stats())).toMatchObject({
        code: 'bad_answer',
      })
  })

  it('is not asked again if there is none', async () => {
    const error = await errorOf(clientOf(() => refusal(501, 'not_supported')).stats())
    expect(error).toMatchObject({ code: 'not_supported', retryable: false })
    expect(calls).toHaveLength(1)
  })
})

it('objects returns the pages of the bucket', async () => {
  const object = { key: 'a', size: 1, etag: '"e"', lastModified: '2026-11-25T12:00:00.000Z' }
  const pages = [
    { objects: [{ ...object, isRecorded: false }], folders: [{ prefix: 'b/' }], cursor: 'c' },
    { objects: [{ ...object, isRecorded: true }] },
  ]
  const client = clientOf(() => Response.json(pages[calls.length - 1] ?? {}))
  expect(await collect(client.objects({ delimiter: '/' }))).toEqual(pages)
  expect(calls.map(({ path }) => path)).toEqual([
    '/objects?delimiter=%2F',
    '/objects?delimiter=%2F&cursor=c',
  ])
})

it('an upload ends with the reason of its signal, even if its stream never confirms that it is canceled', async () => {
  const cancel = vi.fn(() => new Promise<void>(() => undefined))
  const controller = new AbortController()
  const upload = clientOf(lost).upload(new ReadableStream({ cancel }), {
    signal: controller.signal,
  })
  const failed = expect(Promise.race([upload, vi.advanceTimersByTimeAsync(LONG)])).rejects.toThrow(
    'enough',
  )
  controller.abort(new Error('enough'))
  await failed
  expect(cancel).toHaveBeenCalledOnce()
})

describe('a PUT to the bucket', () => {
  const signed = {
    ...{ uploadUrl: 'https://bucket.example.com/a', key: 'a', bucket: 'files', method: 'PUT' },
    ...{ headers: { 'If-None-Match': '*' }, expiresIn: 300, expiresAt: '2026-11-25T12:05:00.000Z' },
  }
  const client = clientOf(({ path }) =>
    Response.json(path === '/files' ? RECORD : path === '/files/upload-url' ? signed : {}),
  )
  afterEach(() => vi.unstubAllGlobals())

  it('has no API key, and says what it can not know when its own try may have made the object', async () => {
    const puts: RequestInit[] = []
    vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
      puts.push(init)
      if (puts.length === 1) throw lost()
      return new Response('<Code>PreconditionFailed</Code>', { status: 412 })
    })
    expect(await errorOf(client.upload(new Uint8Array(5), { key: 'a' }))).toMatchObject({
      ...{ code: 'bucket_refused', status: 412, retryable: false },
      message: expect.stringMatching(/It may be yours/),
    })
    const { headers } = signed
    // It would send the bytes to wherever the bucket says.
    expect(puts).toMatchObject(Array(2).fill({ headers, redirect: 'manual' }))
    expect(puts.map((put) => put.headers)).toEqual([headers, headers])
  })

  // @threat file-misattributed
  it('to a chosen key is recorded only if nobody has replaced it', async () => {
    vi.stubGlobal('fetch', async () => new Response(null, { headers: { ETag: '"e"' } }))
    const record = async (options: object) => {
      await client.upload(new Uint8Array(5), options)
      return calls.at(-1)?.body
    }
    // The Worker makes the name from the key.
    expect(await record({ key: 'a' })).toEqual({ key: 'a', etag: '"e"' })
    // An app may have chosen it.
    expect(await record({ fileName: 'a' })).toEqual({ key: 'a', name: 'a', etag: '"e"' })
    vi.stubGlobal('fetch', async () => new Response(null))
    expect(await record({ key: 'a' })).toEqual({ key: 'a' })
  })

  it('to a generated key needs no ETag to be recorded', async () => {
    vi.stubGlobal('fetch', async () => new Response(null, { headers: { ETag: '"e"' } }))
    const key = `team/uploads/${'y0'.repeat(10)}-a.png`
    const generating = clientOf(({ path }) =>
      Response.json(path === '/files' ? RECORD : { ...signed, key }),
    )
    await generating.upload(new Uint8Array(5), { fileName: 'a' })
    expect(calls.at(-1)?.body).toEqual({ key, name: 'a' })
  })

  // @threat replaced-unseen
  it.each([412, 409, 404])(
    'with ifMatch is precondition_failed when the bucket answers %i',
    async (status) => {
      vi.stubGlobal('fetch', async () => new Response('<Code>No</Code>', { status }))
      const headers = { 'If-Match': '"e"' }
      const matching = clientOf(() => Response.json({ ...signed, headers }))
      const options = { key: 'a', overwrite: true, ifMatch: '"e"' } as const
      const error = await errorOf(matching.upload(new Uint8Array(5), options))
      expect(error).toMatchObject({ code: 'precondition_failed', status, retryable: false })
      expect(calls[0]?.body).toMatchObject(options)
    },
  )

  it('waits as long as the Retry-After of the bucket says', async () => {
    const puts: number[] = []
    vi.stubGlobal('fetch', async () => {
      puts.push(Date.now())
      const slow = { status: 503, headers: { 'Retry-After': '20' } }
      return new Response(null, puts.length === 1 ? slow : { headers: { ETag: '"e"' } })
    })
    const uploading = client.upload(new Uint8Array(5))
    await vi.advanceTimersByTimeAsync(LONG)
    expect(await uploading).toEqual(RECORD)
    expect((puts[1] ?? 0) - (puts[0] ?? 0)).toBeGreaterThanOrEqual(20_000)
  })

  it('has a minute, and a second for each 50 kB', async () => {
    useFakeTimeouts()
    const puts: (Promise<Response> | Response)[] = []
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
      puts.push(puts.length === 0 ? hanging(init) : new Response(null))
      return puts.at(-1)
    })
    const uploading = client.upload(new Uint8Array(500_000))
    await vi.advanceTimersByTimeAsync(69_900)
    expect(puts).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1000)
    expect(puts).toHaveLength(2)
    await uploading
  })
})

it('an upload that failed ends after half a minute, even if nothing answers its abort', async () => {
  useFakeTimeouts()
  const { upload } = createServerClient({
    ...{ baseUrl: 'https://files.example.com', apiKey: 'ep_app_secret' },
    async fetch(url, init) {
      if (init.method === 'DELETE') return hanging(init)
      if (url.endsWith('/urls')) return refusal(403, 'forbidden')
      return Response.json({
        ...{ uploadId: 'u', key: KEY, bucket: 'files', partSize: 5_242_880, partCount: 2 },
        expiresAt: '2026-12-02T12:00:00.000Z',
      })
    },
  })
  const uploading = upload(new Uint8Array(6_000_000), { partSize: 5_242_880 })
  const begun = Date.now()
  const ended = uploading.catch((error: unknown) => ({ error, after: Date.now() - begun }))
  await vi.advanceTimersByTimeAsync(LONG)
  expect(await ended).toMatchObject({ error: { code: 'forbidden' }, after: 30_000 })
})

describe('a PUT with a URL that expires', () => {
  /** A bucket whose clock is ahead of the Worker's. It refuses expired URLs. */
  const bucketAhead = (seconds: number, status: number, lifetime = 300) => {
    const puts: number[] = []
    vi.stubGlobal('fetch', async (url: string) => {
      puts.push(Date.now())
      const now = workerNow() + seconds * 1000
      const headers = { Date: new Date(now).toUTCString(), ETag: '"e"' }
      const isOld = now >= Number(new URL(url).searchParams.get('from')) + lifetime * 1000
      return new Response(isOld ? '<Code>AccessDenied</Code>' : '', {
        ...{ status: isOld ? status : 200, headers },
      })
    })
    return puts
  }
  /** How far the clock of this machine is ahead of the Worker's. */
  let wrong = 0
  const workerNow = () => Date.now() - wrong
  const signing = (lifetime = 300) =>
    clientOf(({ path, body }) => {
      const now = workerNow()
      const expiresAt = new Date(now + lifetime * 1000).toISOString()
      const times = { expiresIn: lifetime, expiresAt }
      const url = `https://bucket.example.com/a?from=${now}`
      if (path === '/multipart')
        return Response.json({
          ...{ uploadId: 'u', key: 'a', bucket: 'files', partSize: 5_242_880, expiresAt },
        })
      if (path.endsWith('/urls'))
        return Response.json({
          ...times,
          urls: Object(body).partNumbers.map((partNumber: number) => ({ partNumber, url })),
        })
      if (path !== '/files/upload-url') return Response.json(RECORD)
      const signed = { uploadUrl: url, key: 'a', bucket: 'files', method: 'PUT', headers: {} }
      return Response.json({ ...signed, ...times })
    })
  afterEach(() => {
    wrong = 0
    vi.unstubAllGlobals()
  })

  // @threat retry-futile
  it.each([0, 3600_000, -3600_000])(
    'is sent once if the bucket is six minutes ahead, and this machine by %i ms',
    async (milliseconds) => {
      for (const status of [403, 400]) {
        calls = []
        wrong = milliseconds
        const puts = bucketAhead(360, status)
        const error = await errorOf(signing().upload(new Uint8Array(5)))
        expect(error).toMatchObject({
          code: 'misconfigured',
          reason: 'clock',
          status,
          retryable: false,
        })
        expect(String(error)).toMatch(
          /The bucket returned 40[03] AccessDenied\. Its clock is ahead: Wed, 25 Nov 2026/,
        )
        expect(puts).toHaveLength(1)
        expect(calls.map(({ path }) => path)).toEqual(['/files/upload-url'])
      }
    },
  )

  it('is sent again with a new URL if it was signed too long ago', async () => {
    const puts: string[] = []
    vi.stubGlobal('fetch', async (url: string) => {
      puts.push(url)
      if (puts.length === 1) {
        vi.setSystemTime(Date.now() + 400_000)
        const headers = { Date: new Date().toUTCString() }
        return new Response('<Code>AccessDenied</Code>', { status: 403, headers })
      }
      return new Response(null, { headers: { ETag: '"e"' } })
    })
    const uploading = signing().upload(new Uint8Array(5))
    await vi.advanceTimersByTimeAsync(LONG)
    expect(await uploading).toEqual(RECORD)
    expect(new Set(puts).size).toBe(2)
  })

  it.each([404, 412, 501])('names no clock for a %i, which has another reason', async (status) => {
    bucketAhead(360, status)
    const error = await errorOf(signing().upload(new Uint8Array(5)))
    expect(error).toMatchObject({ code: 'bucket_refused', status })
  })

  it('is never signed in a loop, even if each URL expires at once', async () => {
    const puts = bucketAhead(0, 403, 1)
    const uploading = signing(Number.MIN_VALUE).upload(new Uint8Array(11_000_000), {
      partSize: 5_242_880,
    })
    await vi.advanceTimersByTimeAsync(LONG)
    expect(await uploading).toEqual(RECORD)
    expect(puts).toHaveLength(3)
    expect(calls.filter(({ path }) => path.endsWith('/urls')).length).toBeLessThanOrEqual(3)
  })
})

describe('baseUrl and apiKey', () => {
  it.each([
    ['files.example.com', /has no https:\/\//],
    ['localhost:8787', /has no https:\/\//],
    ['', /has no https:\/\//],
    ['https://', /is not a URL/],
    ['https://me:secret@files.example.com', /a user, a query or a fragment/],
    ['https://files.example.com?x=1', /a user, a query or a fragment/],
    ['https://files.example.com#x', /a user, a query or a fragment/],
  ])('%j is refused', (baseUrl, message) => {
    expect(() => createServerClient({ baseUrl, apiKey: 'key' })).toThrow(
      expect.objectContaining({
        code: 'invalid_options',
        message: expect.stringMatching(message),
      }),
    )
  })

  it.each([
    ['', /^apiKey: missing\. Set it to .* Only a Worker on localhost needs none\.$/],
    [undefined, /^apiKey: missing\./],
    [1, /^apiKey: missing\./],
    ['key\n', /^apiKey: contains .* Copy it again\.$/],
    ['a b', /^apiKey: contains/],
    ['schlüssel', /^apiKey: contains/],
  ])('the key %j is refused', (apiKey, message) => {
    const options = Object({ baseUrl: 'https://files.example.com', apiKey })
    expect(() => createServerClient(options)).toThrow(
      expect.objectContaining({
        code: 'invalid_options',
        message: expect.stringMatching(message),
      }),
    )
  })

  it.each([
    'http://localhost:8787',
    'http://LOCALHOST:8787/media',
    'http://files.localhost:8787',
    'http://127.0.0.1:8787',
    'http://[::1]:8787',
    'http://host.docker.internal:8787',
  ])('a Worker on this machine needs no key: %s', async (baseUrl) => {
    for (const apiKey of [undefined, '']) {
      const sent: Headers[] = []
      const client = createServerClient({
        baseUrl,
        apiKey,
        async fetch(_, { headers }) {
          sent.push(new Headers(headers))
          return Response.json(RECORD)
        },
      })
      await client.record(KEY, 'a.png')
      expect(sent.map((headers) => headers.has('Authorization'))).toEqual([false])
    }
  })

  it.each(['https://localhost.example.com', 'https://notlocalhost', 'http://127.0.0.10'])(
    'any other host needs a key: %s',
    (baseUrl) => {
      expect(() => createServerClient({ baseUrl })).toThrow(/^apiKey: missing/)
    },
  )

  it('names the code of a connection that failed, and what to check', async () => {
    const answered = clientOf(refusedConnection).url(KEY)
    expect(await errorOf(answered)).toMatchObject({
      code: 'network',
      message:
        'No response to GET https://files.example.com/files/uploads%2Fa.png/url (ECONNREFUSED). Check baseUrl, and that the Worker runs.',
    })
  })

  it.each([
    [{ overwrite: true }, 'overwrite needs key.'],
    [{ partSize: 100 }, 'partSize must be at least 5242880.'],
  ])('refuses options of an upload also for a small file: %j', async (options, message) => {
    const uploading = clientOf(lost).upload(new Uint8Array(1), Object(options))
    await expect(uploading).rejects.toMatchObject({ code: 'invalid_options', message })
    expect(calls).toEqual([])
  })

  it('refuses a start whose parts would be empty', async () => {
    const times = { expiresAt: '2026-12-02' }
    const started = { uploadId: 'u', key: KEY, bucket: 'files', partSize: 0, ...times }
    const options = { partSize: 5_242_880 }
    const bytes = new Uint8Array(5_242_881)
    const error = await errorOf(clientOf(() => Response.json(started)).upload(bytes, options))
    expect(error).toMatchObject({ code: 'bad_answer', status: 200 })
    expect(calls.map(({ path }) => path)).toEqual(['/multipart'])
  })

  it('says how to upload a response', async () => {
    const uploading = clientOf(lost).upload(Object(new Response('a')))
    await expect(uploading).rejects.toThrow(/Pass response\.body\.$/)
  })

  it('names the base URL if another server answers', async () => {
    const page = () => new Response('<h1>Not found</h1>', { status: 404 })
    expect(await errorOf(clientOf(page).url(KEY))).toMatchObject({
      code: 'bad_answer',
      message:
        'Unexpected response to GET https://files.example.com/files/uploads%2Fa.png/url: 404. Check baseUrl. Is an edge-presigner there?',
    })
    const moved = () => new Response(null, { status: 301, headers: { Location: 'https://b/' } })
    expect(await errorOf(clientOf(moved).url(KEY))).toMatchObject({
      code: 'bad_answer',
      message: expect.stringMatching(/It redirects to https:\/\/b\/\.$/),
    })
  })

  it('does not take the page of another server for a delete', async () => {
    const { remove, withdrawGrant, closeDropBox } = clientOf(() => new Response('<h1>Log in</h1>'))
    for (const call of [remove, withdrawGrant, closeDropBox])
      expect(await errorOf(call('a'))).toMatchObject({ code: 'bad_answer', status: 200 })
  })

  it.each([
    ['/files', 'object_not_found'],
    ['/media', 'not_found'],
  ])('names the path %s that is too much, after %s', async (path, code) => {
    const baseUrl = `https://files.example.com${path}`
    const client = clientOf(() => refusal(404, code), baseUrl)
    expect(await errorOf(client.list().next())).toMatchObject({
      code,
      message: `No. Check baseUrl: ${baseUrl}. Is the API mounted at ${path}?`,
    })
  })

  // @threat server-key-leaks
  it('sends the key only to the base URL, and does not follow redirects', async () => {
    const client = clientOf(() => Response.json(RECORD), 'https://app.example.com/media/')
    await client.record(KEY, 'a.png')
    expect(calls[0]).toMatchObject({ path: 'files', init: { redirect: 'manual' } })
    expect(new Headers(calls[0]?.init.headers).get('Authorization')).toBe('Bearer ep_app_secret')
  })

  it('lists what is wrong with a request in the message', async () => {
    const issues = [{ path: 'limit', message: 'must be at most 1000' }]
    const wrong = () =>
      Response.json(
        { code: 'invalid_request', message: 'The request is not valid.', issues },
        { status: 400 },
      )
    const error = await errorOf(clientOf(wrong).list({ pageSize: 5000 }).next())
    expect(error).toMatchObject({
      issues,
      message: 'The request is not valid. limit must be at most 1000.',
    })
  })
})

describe('an export', () => {
  it('follows no redirect, to which it would send the key', async () => {
    const moved = () => new Response(null, { status: 307, headers: { Location: 'https://b/' } })
    const error = await errorOf(clientOf(moved).exportFiles())
    expect(error).toMatchObject({ code: 'bad_answer', status: 307 })
    expect(calls).toHaveLength(1)
    expect(calls[0]?.init.redirect).toBe('manual')
  })

  it('ends with the reason of its signal', async () => {
    const controller = new AbortController()
    const client = clientOf(() => {
      controller.abort(new Error('enough'))
      return lost()
    })
    const { signal } = controller
    expect(await errorOf(client.exportFiles({ signal }))).toEqual(new Error('enough'))
  })

  it('waits a minute for its response, and then as long as the body takes', async () => {
    const signals: (AbortSignal | null | undefined)[] = []
    const { exportFiles } = createServerClient({
      ...{ baseUrl: 'https://files.example.com', apiKey: 'ep_app_secret' },
      fetch(_, init) {
        signals.push(init.signal)
        return signals.length > 1 ? Promise.resolve(new Response('{}')) : hanging(init)
      },
    })
    const response = exportFiles()
    await vi.advanceTimersByTimeAsync(59_000)
    expect(signals).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(2000)
    await response
    await vi.advanceTimersByTimeAsync(LONG)
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, false])
  })
})

describe('a list', () => {
  const page = (names: string[], cursor?: string) =>
    Response.json({ files: names.map((name) => ({ ...RECORD, name })), cursor })
  const answer: Answer = ({ path }) =>
    new URLSearchParams(path.split('?')[1]).has('cursor') ? page(['c']) : page(['a', 'b'], 'next')

  it('goes through all pages', async () => {
    const names: string[] = []
    for await (const { name } of clientOf(answer).list({ prefix: 'x/', pageSize: 2, urls: 'view' }))
      names.push(name)
    expect(names).toEqual(['a', 'b', 'c'])
    expect(calls.map(({ path }) => path)).toEqual([
      '/files?prefix=x%2F&urls=view&limit=2',
      '/files?prefix=x%2F&urls=view&limit=2&cursor=next',
    ])
  })

  it('has what a page could not have, or fails', async () => {
    const grant = {
      ...{ id: 'g2', url: 'https://a/', bucket: 'files', key: KEY, name: 'a', size: 1, uses: null },
      ...{
        label: null,
        usesLeft: null,
        deadline: '2026-12-01T00:00:00Z',
        hasPassword: false,
        wrongPasswords: 0,
      },
      ...{ direct: false, download: null, restrictions: null, lastUsedAt: null },
      createdAt: '2026-11-25T12:00:00Z',
    }
    let ofOne = () => Response.json(grant)
    const grants = () =>
      clientOf(({ path }) =>
        path.startsWith('/grants/')
          ? ofOne()
          : Response.json({ grants: [{ ...grant, id: 'g1' }], unavailable: ['g2'] }),
      ).listGrants()
    expect((await collect(grants())).map(({ id }) => id)).toEqual(['g1', 'g2'])
    ofOne = () => refusal(503, 'unavailable state')
    expect(await errorOf(collect(grants()))).toMatchObject({ code: 'unavailable', reason: 'state' })
  })

  it('sends a request only when the loop needs it, and none after a break', async () => {
    const list = clientOf(answer).list()
    expect(calls).toHaveLength(0)
    for await (const { name } of list) if (name === 'b') break
    expect(calls).toHaveLength(1)
    expect(await list.next()).toEqual({ done: true, value: undefined })
    expect(calls).toHaveLength(1)
  })
})

describe('many files', () => {
  const keys = (count: number) => Array.from({ length: count }, (_, index) => `k${index}`)
  const expiresAt = (minute: number) => `2026-11-25T12:0${minute}:00.000Z`
  const sizes = () =>
    calls.map(({ body }) => Object(Object(body).keys ?? Object(body).files).length)
  const asked = (call: Call): string[] => Object(call.body).keys

  it('are deleted 100 at a time, in order', async () => {
    const client = clientOf((call) => Response.json({ deleted: Object(call.body).files }))
    const { deleted } = await client.removeMany(keys(250))
    expect(deleted.map(({ key }) => key)).toEqual(keys(250))
    expect(sizes()).toEqual([100, 100, 50])
  })

  it('are recorded 16 at a time', async () => {
    const refused = { key: 'k2', error: { code: 'object_not_found', message: 'No.' } }
    const client = clientOf(({ body }) =>
      Response.json({
        files: Object(body).files.map(({ key }: { key: string }) =>
          key === 'k2' ? refused : { ...RECORD, key },
        ),
      }),
    )
    const { files } = await client.recordMany(keys(20).map((key) => ({ key, name: key })))
    expect(files.map((file) => file.key)).toEqual(keys(20))
    expect(files[2]).toEqual(refused)
    expect(sizes()).toEqual([16, 4])
  })

  it('get upload URLs 100 at a time', async () => {
    const refused = { fileName: 'a', error: { code: 'invalid_key', message: 'No.' } }
    const client = clientOf(({ body }) =>
      Response.json({ uploads: Object(body).files.map(() => refused) }),
    )
    const files = keys(101).map((fileName) => ({ fileName, mimetype: 'text/plain' }))
    const { uploads } = await client.uploadUrls(files, { expiresIn: 60 })
    expect(uploads).toEqual(Array(101).fill(refused))
    expect(sizes()).toEqual([100, 1])
    expect(calls[0]?.body).toMatchObject({ expiresIn: 60 })
  })

  it('get URLs and links 1000 at a time, with the earliest expiry', async () => {
    const times = { expiresIn: 0, expiresAt: '' }
    const client = clientOf((call) => {
      const count = calls.length
      Object.assign(times, { expiresIn: 900 - count, expiresAt: expiresAt(9 - count) })
      const items = asked(call).map((key) => ({ key, url: 'https://a', link: 'https://a' }))
      return Response.json({ urls: items, links: items, ...times })
    })
    const urls = await client.urls(keys(1001), { use: 'view' })
    expect(urls).toMatchObject({ expiresIn: 898, expiresAt: expiresAt(7) })
    expect(urls.urls.map(({ key }) => key)).toEqual(keys(1001))
    expect((await client.links(keys(1001))).expiresAt).toBe(expiresAt(5))
    expect(sizes()).toEqual([1000, 1, 1000, 1])
  })

  it('may be none, without a request', async () => {
    const client = clientOf(lost)
    expect(await client.removeMany([])).toEqual({ deleted: [] })
    expect(await client.uploadUrls([])).toEqual({ uploads: [] })
    expect(await client.urls([])).toMatchObject({ urls: [], expiresIn: 0 })
    expect(await client.links([])).toMatchObject({ links: [] })
    expect(calls).toEqual([])
  })
})

it('refuses a stream that somebody has read, whose rest would count as the file', async () => {
  const client = clientOf(() => new Error('nothing is sent'))
  const read = new Response('hello').body ?? new ReadableStream()
  await read.getReader().read()
  const upload = client.upload(read)
  await expect(upload).rejects.toMatchObject({ code: 'invalid_options' })
  // As a request of Node after `express.raw()`.
  const nodes = { readableDidRead: true, async *[Symbol.asyncIterator]() {} }
  await expect(client.upload(nodes)).rejects.toThrow('The stream has been read')
  expect(calls).toEqual([])
})

it('does not repeat a delete whose object is deleted, since it would delete a later upload', async () => {
  const body = {
    code: 'unavailable',
    reason: 'index',
    message: 'No.',
    requestId: 'r',
    deleted: true,
  }
  const client = clientOf(() =>
    Response.json(body, { status: 503, headers: { 'Retry-After': '1' } }),
  )
  await expect(client.remove(KEY)).rejects.toMatchObject({ code: 'unavailable', deleted: true })
  await expect(client.move('a', 'b')).rejects.toMatchObject({ deleted: true })
  expect(calls).toHaveLength(2)
})

it('deletes files by their ETags, and lists with keys among them in their order', async () => {
  const client = clientOf(({ method }) =>
    method === 'DELETE' ? new Response(null, { status: 204 }) : Response.json({ deleted: [] }),
  )
  await client.remove(KEY, { etag: '"e"' })
  await client.removeMany(['a', { key: 'b', etag: '"e"' }])
  await client.removeMany(['a', 'b'])
  expect(calls.map(({ path, body }) => [path, body])).toEqual([
    ['/files/uploads%2Fa.png?etag=%22e%22', null],
    ['/files/delete', { files: [{ key: 'a' }, { key: 'b', etag: '"e"' }] }],
    ['/files/delete', { files: [{ key: 'a' }, { key: 'b' }] }],
  ])
})
