import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

// Imported without types, because their types exclude Node.
const CLIENT = join(import.meta.dirname, '../../client/src')

interface Requests {
  request(method: string, path: string, request?: object): Promise<unknown>
  upload(file: File, options?: object): Promise<{ name: string }>
}
type Sharing = Requests &
  Record<(typeof LISTS)[number][0], (...args: unknown[]) => Promise<unknown>>
interface Visitor {
  readonly password?: string
  readonly sender?: { readonly name: string; readonly note?: string }
}
interface Box {
  readonly title: string
  readonly left: { readonly files: number; readonly bytes: number }
  readonly client: Requests
}
interface State {
  readonly status: string
  readonly access: string
  readonly accessError?: { readonly code: string; readonly message: string }
  readonly box?: Box
  readonly uploads: readonly {
    readonly id: number
    readonly status: string
    readonly error?: unknown
  }[]
}
interface Uploads {
  subscribe(listener: () => void): () => void
  getSnapshot(): State
  getServerSnapshot(): State
  open(visitor?: Visitor): Promise<boolean>
  add(files: File[]): unknown
  retry(): void
  pause(): void
  cancel(id?: number): void
  configure(options: object): void
}
let createClient: (options: object) => Requests
let withSharing: (client: Requests) => Sharing
let openDropBox: (url: string | URL, visitor?: Visitor) => Promise<Box>
let createDropBoxUploads: (url: string, options: object) => Uploads

const SECRET = 'Q2hyaXN0bWFzLXR5cGU_-A'
const URL_OF_BOX = `https://files.example.com/media/d/${SECRET}`
const ID = '0123456789abcdef0123456789abcdef'
const ITEM = {
  ...{ id: ID, url: 'https://files.example.com/g/s', bucket: 'files', key: 'a', name: 'a' },
  ...{
    size: 5,
    label: null,
    uses: 1,
    usesLeft: 1,
    hasPassword: false,
    wrongPasswords: 0,
    direct: false,
  },
  ...{ download: null, restrictions: null, lastUsedAt: null, prefix: 'in/', title: 'Papers' },
  ...{ message: null, from: 'A', allowedTypes: null, maxFiles: 5, maxBytes: 5, maxTotalBytes: 5 },
  ...{ deadline: 'x', createdAt: 'x', received: { files: 0, bytes: 0 }, mimetype: 'a/b' },
  ...{ receivedAt: 'x', sender: null, country: null },
}
const TERMS = {
  ...{ title: 'Papers', message: null, from: 'Example GmbH', allowedTypes: null, maxFiles: 5 },
  ...{ deadline: '2026-12-01T00:00:00.000Z', maxBytes: 100, maxTotalBytes: 500 },
  left: { files: 3, bytes: 200 },
}
const LISTS = [
  ['listGrants', [], '/grants', 'grants'],
  ['listDropBoxes', [], '/drop-boxes', 'dropBoxes'],
  ['listReceived', [ID], `/drop-boxes/${ID}/files`, 'files'],
] as const

interface Call {
  readonly path: string
  readonly method: string
  readonly body: Record<string, unknown>
  readonly bearer: string | null
  /** Of a user of the page. */
  readonly tag: string | null
}
let calls: Call[]
/** Answers a request, or returns undefined for the usual answer. */
let answer: (call: Call) => Response | Promise<Response> | undefined
let issued: number
const lifetime = 600_000

const refusal = (status: number, code: string, message = 'No.') =>
  Response.json({ code, message, requestId: 'r' }, { status })
const tokenAnswer = (more = {}) =>
  Response.json({
    ...{ token: `epd_${++issued}`, endpoint: 'https://files.example.com/media', bucket: 'inbox' },
    ...{ expiresAt: new Date(Date.now() + lifetime).toISOString(), ...TERMS, ...more },
  })

async function api(url: string, init: RequestInit): Promise<Response> {
  const { method = '', body, headers, signal } = init
  signal?.throwIfAborted()
  const given = new Headers(headers)
  const bearer = given.get('Authorization')
  const tag = given.get('X-User-Tag')
  const path = url.replace('https://files.example.com', '')
  const call = { path, method, body: JSON.parse(String(body ?? null)), bearer, tag }
  calls.push(call)
  const response = await answer(call)
  if (response) return response
  if (path.endsWith('/token')) return tokenAnswer()
  const expiresAt = new Date(Date.now() + 300_000).toISOString()
  const started = { uploadId: 'u', key: 'in/a', bucket: 'inbox', partSize: 1000, expiresAt }
  const urls = [{ partNumber: 1, url: 'https://bucket.example.com/in/a' }]
  const record = {
    ...{ key: 'in/a', bucket: 'inbox', name: 'a', size: 5, mimetype: 'a/b', etag: '"e"' },
    ...{ owner: null, createdAt: '2026-11-25T12:00:00.000Z' },
  }
  if (path.endsWith('/multipart')) return Response.json(started)
  return Response.json(path.endsWith('/urls') ? { urls, expiresIn: 300, expiresAt } : record)
}
const tokenCalls = () => calls.filter(({ path }) => path.endsWith('/token'))

let putsHang: boolean

/** Accepts each PUT to the bucket, or lets it hang. */
class FakeRequest {
  readonly upload = {}
  onloadend?: () => void
  status = 0
  readonly responseText = ''
  open(): void {}
  setRequestHeader(): void {}
  abort(): void {}
  getResponseHeader = () => '"e"'
  getAllResponseHeaders = () => ''
  send(): void {
    this.status = 200
    if (!putsHang) setTimeout(() => this.onloadend?.(), 20)
  }
}

/** Lets uploads in parts keep what they need to resume. Returns what they have kept. */
function stubStorage(): Map<string, string> {
  const stored = new Map<string, string>()
  vi.stubGlobal('localStorage', {
    getItem: (name: string) => stored.get(name) ?? null,
    setItem: (name: string, value: string) => stored.set(name, value),
    removeItem: (name: string) => stored.delete(name),
  })
  vi.stubGlobal('navigator', {
    onLine: true,
    locks: { request: (_: string, ...args: unknown[]) => (args.at(-1) as () => unknown)() },
  })
  return stored
}

beforeEach(async () => {
  vi.resetModules()
  createClient = (await import(join(CLIENT, 'index.ts'))).createClient
  ;({ openDropBox, withSharing } = await import(join(CLIENT, 'sharing.ts')))
  createDropBoxUploads = (await import(join(CLIENT, 'drop-box-uploads.ts'))).createDropBoxUploads
  vi.useFakeTimers({ now: new Date('2026-11-25T12:00:00Z') })
  const page = new EventTarget()
  vi.stubGlobal('navigator', { onLine: true })
  vi.stubGlobal('location', { href: 'https://app.example.com/send?box=1' })
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page))
  vi.stubGlobal('XMLHttpRequest', FakeRequest)
  vi.stubGlobal('fetch', api)
  calls = []
  answer = () => undefined
  issued = 0
  putsHang = false
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('withSharing', () => {
  const client = () =>
    withSharing(createClient({ baseUrl: 'https://files.example.com', token: 'ept_a' }))

  it.each(LISTS)('%s returns a page, and refuses items without a member', async (...row) => {
    const [method, args, path, name] = row
    const page = { [name]: [{ ...ITEM, newer: 1 }], cursor: 'next' }
    answer = () => Response.json(page)
    expect(await client()[method](...args, { limit: 2, cursor: 'c' })).toEqual(page)
    expect(calls).toMatchObject([{ method: 'GET', path: `${path}?limit=2&cursor=c` }])
    answer = () => Response.json({ [name]: [{ ...ITEM, bucket: undefined }] })
    await expect(client()[method](...args)).rejects.toMatchObject({ code: 'bad_answer' })
  })

  it('never repeats a request', async () => {
    answer = () => refusal(429, 'rate_limited')
    const grant = { body: { key: 'a' } }
    await expect(client().request('POST', '/grants', grant)).rejects.toMatchObject({ status: 429 })
    expect(calls).toHaveLength(1)
  })

  it('keeps the other methods, whose request can have a check', async () => {
    answer = () => Response.json({ n: 1 })
    expect(await client().request('GET', '/x')).toEqual({ n: 1 })
    const checked = client().request('GET', '/x', { check: () => false })
    await expect(checked).rejects.toMatchObject({ code: 'bad_answer', status: 200 })
  })
})

describe('openDropBox', () => {
  it('asks with what the visitor gave, and returns what the box says', async () => {
    const sender = { name: 'Ada', note: 'as promised' }
    const { client, ...box } = await openDropBox(`${URL_OF_BOX}/?x=1#top`, {
      password: 'open',
      sender,
    })
    expect(box).toEqual(TERMS)
    const token = `/media/d/${SECRET}/token`
    expect(calls).toEqual([
      { method: 'POST', path: token, body: { password: 'open', sender }, bearer: null, tag: null },
    ])
    await client.request('GET', '/limits')
    expect(calls.at(-1)).toMatchObject({ path: '/media/limits', bearer: 'Bearer epd_1' })
  })

  it('sends only what was given', async () => {
    await openDropBox(new URL(URL_OF_BOX))
    expect(calls[0]?.body).toEqual({})
  })

  it.each(Object.keys({ token: 1, expiresAt: 1, endpoint: 1, bucket: 1, ...TERMS }))(
    'refuses a response without %s',
    async (member) => {
      answer = () => tokenAnswer({ [member]: undefined })
      await expect(openDropBox(URL_OF_BOX)).rejects.toMatchObject({ code: 'bad_answer' })
    },
  )

  it('sends cookies only to the origin of the box, whatever its response says', async () => {
    const sent: unknown[] = []
    vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
      if (!url.endsWith('/token')) sent.push([new URL(url).origin, init.credentials])
      return api(url, init)
    })
    for (const origin of ['https://files.example.com', 'https://app.example.com']) {
      answer = () => tokenAnswer({ endpoint: `${origin}/media` })
      const { client } = await openDropBox(URL_OF_BOX)
      await client.request('GET', '/limits')
    }
    expect(sent).toEqual([
      ['https://files.example.com', 'same-origin'],
      ['https://app.example.com', 'omit'],
    ])
  })

  it('never has the secret in an error', async () => {
    const failures: (() => Response | Promise<Response>)[] = [
      () => Promise.reject(new TypeError('Failed to fetch')),
      () => new Response('<h1>Not found', { status: 404 }),
      () => Response.json({}),
      () => refusal(403, 'password_wrong'),
    ]
    for (const failure of failures) {
      answer = failure
      const error = await openDropBox(URL_OF_BOX).catch((thrown: Error) => thrown)
      expect(error).toBeInstanceOf(Error)
      expect(`${Object(error).message} ${Object(error).stack}`).not.toContain(SECRET)
    }
  })

  it.each([
    'https://files.example.com/',
    'https://files.example.com/d/',
    'https://files.example.com/g/abc',
    'https://files.example.com/d/abc/token',
    'https://[',
  ])('refuses %s without a request', async (url) => {
    const error = await openDropBox(url).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'invalid_options',
      message: 'url: not the URL of a drop box, such as https://files.example.com/d/…',
    })
    expect(calls).toEqual([])
  })

  describe('its token', () => {
    it('is renewed before it expires, once for all requests', async () => {
      const { client } = await openDropBox(URL_OF_BOX, { password: 'open' })
      vi.setSystemTime(Date.now() + lifetime - 61_000)
      await client.request('GET', '/limits')
      expect(tokenCalls()).toHaveLength(1)
      vi.setSystemTime(Date.now() + 2000)
      await Promise.all([1, 2, 3].map(() => client.request('GET', '/limits')))
      expect(tokenCalls()).toHaveLength(2)
      expect(tokenCalls()[1]?.body).toEqual({ password: 'open' })
      expect(calls.slice(-3).map(({ bearer }) => bearer)).toEqual(Array(3).fill('Bearer epd_2'))
    })

    it.each([-3600_000, 3600_000])(
      'is renewed when it is refused, if this clock is wrong by %i ms',
      async (wrong) => {
        answer = ({ path, bearer }) =>
          path.endsWith('/token')
            ? tokenAnswer({ expiresAt: new Date(Date.now() + lifetime - wrong).toISOString() })
            : bearer === `Bearer epd_${issued}` && issued > 1
              ? undefined
              : refusal(401, 'unauthenticated')
        const { client } = await openDropBox(URL_OF_BOX)
        await Promise.all([1, 2, 3].map(() => client.request('GET', '/limits')))
        await client.request('GET', '/limits')
        expect(tokenCalls()).toHaveLength(2)
      },
    )

    it('is not renewed again for a late refusal of an earlier one', async () => {
      const late = Promise.withResolvers<Response>()
      answer = ({ path, bearer }) =>
        path.endsWith('/token') || bearer !== 'Bearer epd_1'
          ? undefined
          : path.endsWith('/late')
            ? late.promise
            : refusal(401, 'unauthenticated')
      const { client } = await openDropBox(URL_OF_BOX)
      const waiting = client.request('GET', '/late')
      await client.request('GET', '/limits')
      late.resolve(refusal(401, 'unauthenticated'))
      await waiting
      expect(tokenCalls()).toHaveLength(2)
      expect(calls.at(-1)).toMatchObject({ path: '/media/late', bearer: 'Bearer epd_2' })
    })

    it('ends with the box', async () => {
      const { client } = await openDropBox(URL_OF_BOX)
      answer = ({ path }) =>
        path.endsWith('/token') ? refusal(410, 'drop_box_closed') : refusal(401, 'unauthenticated')
      await expect(client.upload(new File(['x'], 'a'))).rejects.toMatchObject({
        ...{ code: 'drop_box_closed', status: 410, retryable: false },
      })
    })
  })

  describe('its uploads', () => {
    /** Starts uploads of these sizes. Returns what has begun and ended, in order. */
    async function uploading(sizes: number[], signals: AbortSignal[] = []) {
      const { client } = await openDropBox(URL_OF_BOX)
      const events: string[] = []
      answer = ({ path, body }) => {
        if (path.endsWith('/multipart')) events.push(`+${Object(body).fileName}`)
        return undefined
      }
      const all = sizes.map((size, index) =>
        client
          .upload(new File(['x'.repeat(size)], `${index}`), { signal: signals[index] })
          .then(() => events.push(`-${index}`)),
      )
      const done = Promise.allSettled(all)
      await vi.advanceTimersByTimeAsync(10_000)
      return { events, outcomes: await done }
    }

    it('begin in turn, so that they never hold more than one sender may', async () => {
      const open = (events: string[]) => {
        let now = 0
        return Math.max(...events.map((event) => (event.startsWith('+') ? ++now : --now)))
      }
      // At most 3 of 5 files.
      const small = await uploading([1, 1, 1, 1, 1, 1])
      expect(small.events.filter((event) => event.startsWith('-'))).toHaveLength(6)
      expect(open(small.events)).toBe(3)
      // At most half of 500 bytes together, but one alone may be larger.
      const large = await uploading([200, 100, 10, 400])
      expect(large.events).toEqual(['+0', '-0', '+1', '+2', '-1', '-2', '+3', '-3'])
    })

    it('may be canceled while they wait', async () => {
      const abort = new AbortController()
      setTimeout(() => abort.abort(new Error('enough')), 1)
      const signals = [new AbortController().signal, abort.signal]
      const { events, outcomes } = await uploading([200, 100, 10], signals)
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      // The last one need not wait for the first any more.
      expect(events).toEqual(['+0', '+2', '-0', '-2'])
    })
  })

  it('keeps uploads to resume by the box, not by its secret', async () => {
    const stored = stubStorage()
    answer = ({ path, method }) =>
      method === 'POST' && path.endsWith('/multipart')
        ? Response.json({
            ...{ uploadId: 'u', key: 'in/a', bucket: 'inbox', partSize: 10 },
            expiresAt: '2026-12-02',
          })
        : path.includes('/multipart')
          ? refusal(500, 'misconfigured')
          : undefined
    const { client } = await openDropBox(URL_OF_BOX)
    const file = new File(['x'], 'a', { lastModified: 1 })
    await expect(client.upload(file, { multipart: true })).rejects.toMatchObject({ status: 500 })
    const [name = ''] = stored.keys()
    const id = createHash('sha256').update(SECRET).digest('hex').slice(0, 32)
    expect(name).toContain(`"https://files.example.com/media#${id}"`)
    expect(name).not.toContain(SECRET)
  })
})

describe('uploads to a drop box in a component', () => {
  const file = () => new File(['hello'], 'a.txt')
  const start = (options: object = {}) => {
    const uploads = createDropBoxUploads(URL_OF_BOX, options)
    const changed = vi.fn()
    const unsubscribe = uploads.subscribe(changed)
    return { uploads, changed, unsubscribe }
  }
  /** Waits until the box is open or not, and then for all uploads. */
  async function settle(uploads: Uploads): Promise<void> {
    await expect.poll(() => uploads.getSnapshot().access).not.toBe('opening')
    await vi.advanceTimersByTimeAsync(60_000)
  }

  it('open the box when somebody subscribes, once', async () => {
    const uploads = createDropBoxUploads(URL_OF_BOX, {})
    expect(uploads.getSnapshot()).toBe(uploads.getServerSnapshot())
    expect(uploads.getSnapshot()).toMatchObject({ access: 'opening', status: 'idle', uploads: [] })
    expect(calls).toEqual([])
    const changed = vi.fn()
    uploads.subscribe(changed)()
    uploads.subscribe(changed)
    await settle(uploads)
    expect(tokenCalls()).toHaveLength(1)
    expect(uploads.getSnapshot()).toMatchObject({ access: 'open', box: TERMS })
    expect(changed).toHaveBeenCalled()
    expect(uploads.getSnapshot()).toBe(uploads.getSnapshot())
  })

  it('do not open it again if the app has just done so', async () => {
    const uploads = createDropBoxUploads(URL_OF_BOX, {})
    void uploads.open({ password: 'open' })
    uploads.subscribe(() => undefined)
    await settle(uploads)
    expect(tokenCalls().map(({ body }) => body)).toEqual([{ password: 'open' }])
  })

  it('wait for the box, and count down what it still takes', async () => {
    const onUploaded = vi.fn()
    const { uploads } = start({ onUploaded })
    uploads.add([file(), file()])
    expect(uploads.getSnapshot()).toMatchObject({
      status: 'uploading',
      uploads: [{ status: 'waiting' }, { status: 'waiting' }],
    })
    await settle(uploads)
    expect(uploads.getSnapshot()).toMatchObject({
      ...{ status: 'done', access: 'open' },
      box: { left: { files: 1, bytes: 190 } },
    })
    expect(onUploaded).toHaveBeenCalledTimes(2)
  })

  it('ask for a password, and say only then that it was wrong', async () => {
    answer = ({ path, body }) =>
      path.endsWith('/token') && body.password !== 'right'
        ? refusal(403, 'password_wrong')
        : undefined
    const { uploads } = start()
    await settle(uploads)
    expect(uploads.getSnapshot()).toMatchObject({ access: 'password', accessError: undefined })
    expect(await uploads.open({ password: 'wrong' })).toBe(false)
    expect(uploads.getSnapshot()).toMatchObject({
      ...{ access: 'password', accessError: { code: 'password_wrong' } },
    })
    // A file doesn't try the wrong password again, which would count as another guess.
    uploads.add([file()])
    await settle(uploads)
    expect(uploads.getSnapshot().status).toBe('failed')
    expect(tokenCalls()).toHaveLength(2)
    await uploads.open({ sender: { name: 'Ada' } })
    expect(tokenCalls().at(-1)?.body).toEqual({ sender: { name: 'Ada' } })
    expect(await uploads.open({ password: 'right' })).toBe(true)
    uploads.retry()
    await settle(uploads)
    expect(uploads.getSnapshot()).toMatchObject({ access: 'open', status: 'done' })
  })

  it.each(['password_wrong', 'drop_box_closed'])(
    'ask a box once that is %s, also for many files',
    async (code) => {
      answer = () => refusal(403, code)
      const { uploads } = start()
      await settle(uploads)
      uploads.add(Array.from({ length: 300 }, file))
      await settle(uploads)
      expect(tokenCalls()).toHaveLength(1)
      const error = { code }
      expect(uploads.getSnapshot().uploads).toMatchObject(
        Array(300).fill({ status: 'failed', error }),
      )
    },
  )

  it('in parts leave none when they are canceled after a pause, also while others take turns', async () => {
    stubStorage()
    putsHang = true
    answer = ({ path, method }) => {
      const expiresAt = '2026-12-02T00:00:00.000Z'
      if (method === 'DELETE') return new Response(null, { status: 204 })
      if (path.endsWith('/urls'))
        return Response.json({
          urls: [{ partNumber: 1, url: 'https://bucket.example.com/p' }],
          ...{ expiresIn: 300, expiresAt },
        })
      return path.endsWith('/multipart')
        ? Response.json({ uploadId: 'u', key: 'in/a', bucket: 'inbox', partSize: 1000, expiresAt })
        : undefined
    }
    for (const isBusy of [false, true]) {
      calls = []
      const { uploads } = start({ fileOptions: { multipart: true } })
      await expect.poll(() => uploads.getSnapshot().access).toBe('open')
      uploads.add([new File(['x'.repeat(200)], 'a.bin', { lastModified: Number(isBusy) })])
      await expect.poll(() => calls.some(({ path }) => path.endsWith('/urls'))).toBe(true)
      uploads.pause()
      if (isBusy) {
        // More than the other half of the box.
        uploads.add([new File(['x'.repeat(400)], 'b.bin')])
        const begun = () => calls.filter(({ path }) => path.endsWith('/urls'))
        await expect.poll(() => begun().length).toBe(2)
      }
      uploads.cancel(uploads.getSnapshot().uploads[0]?.id)
      await expect.poll(() => calls.some(({ method }) => method === 'DELETE')).toBe(true)
    }
  })

  it('come from the sender that was given last', async () => {
    const { uploads } = start({ password: 'p' })
    await settle(uploads)
    const opened = uploads.open({ sender: { name: 'Ada' } })
    uploads.add([file()])
    await opened
    await settle(uploads)
    expect(tokenCalls().map(({ body }) => body)).toEqual([
      { password: 'p' },
      { password: 'p', sender: { name: 'Ada' } },
    ])
    expect(calls.at(-1)).toMatchObject({
      path: '/media/multipart/u/complete',
      bearer: 'Bearer epd_2',
    })
  })

  it('can open the box after an error, and report that it closed', async () => {
    answer = () => Promise.reject(new TypeError('Failed to fetch'))
    const onError = vi.fn()
    const { uploads } = start()
    uploads.configure({ onError })
    await settle(uploads)
    expect(uploads.getSnapshot()).toMatchObject({
      ...{ access: 'failed', accessError: { code: 'unreachable' }, box: undefined },
    })
    answer = () => undefined
    expect(await uploads.open()).toBe(true)
    expect(uploads.getSnapshot()).toMatchObject({ access: 'open', accessError: undefined })
    answer = ({ path }) =>
      path.endsWith('/multipart') ? refusal(410, 'drop_box_closed') : undefined
    uploads.add([file()])
    await settle(uploads)
    expect(uploads.getSnapshot()).toMatchObject({
      ...{ access: 'closed', accessError: { code: 'drop_box_closed' }, box: TERMS },
    })
    expect(onError).toHaveBeenCalledOnce()
  })

  it('ask once for all files if the box can not be opened, and again for the next ones', async () => {
    answer = () => Promise.reject(new TypeError('Failed to fetch'))
    const { uploads } = start()
    await settle(uploads)
    calls = []
    uploads.add(Array.from({ length: 30 }, file))
    await settle(uploads)
    expect(uploads.getSnapshot()).toMatchObject({ access: 'failed', status: 'failed' })
    expect(tokenCalls()).toHaveLength(1)
    uploads.retry()
    await settle(uploads)
    expect(tokenCalls()).toHaveLength(2)
    answer = () => undefined
    uploads.add([file()])
    uploads.retry()
    await settle(uploads)
    expect(uploads.getSnapshot()).toMatchObject({ access: 'open', status: 'done' })
    expect(tokenCalls()).toHaveLength(3)
  })

  it('ignore the result of an earlier try to open it', async () => {
    const { promise, resolve } = Promise.withResolvers<Response>()
    answer = () => (tokenCalls().length === 1 ? promise : undefined)
    const { uploads } = start()
    await uploads.open({ sender: { name: 'Ada' } })
    resolve(refusal(410, 'drop_box_closed'))
    await settle(uploads)
    expect(uploads.getSnapshot()).toMatchObject({ access: 'open', accessError: undefined })
  })
})
