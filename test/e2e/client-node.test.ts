import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { freePort } from '../../cli/ports.ts'

const MIB = 1024 ** 2

// Imported without types, because their types exclude Node.
const CLIENT = join(import.meta.dirname, '../../client/src')
const { createClient } = await import(join(CLIENT, 'index.ts'))
const { PresignerError } = await import(join(CLIENT, 'presigner-error.ts'))
const { createLine, withRetries } = await import(join(CLIENT, 'retry.ts'))
const { uppyOptions } = await import(join(CLIENT, 'uppy.ts'))
const { sampleOf } = await import(join(CLIENT, 'file-bytes.ts'))

describe('the client in Node', () => {
  let server: Server
  let baseUrl: string
  let credentials: (string | undefined)[] = []

  beforeAll(async () => {
    const port = await freePort()
    server = createServer((request, response) => {
      const { authorization }: IncomingHttpHeaders = request.headers
      credentials.push(authorization)
      response.setHeader('Content-Type', 'application/json')
      if (authorization === 'Bearer fresh') response.end('{"files":[]}')
      else
        response
          .writeHead(401)
          .end('{"code":"unauthenticated","message":"Valid credentials are required."}')
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    baseUrl = `http://127.0.0.1:${port}`
  })
  afterAll(() => server[Symbol.asyncDispose]())
  beforeEach(() => {
    credentials = []
  })

  it('explains that upload() needs a browser', async () => {
    const upload = createClient({ baseUrl }).upload(new Blob(['x']))
    await expect(upload).rejects.toMatchObject({
      code: 'browser_required',
      message: 'upload() needs a browser. Elsewhere, use edge-presigner-client/server.',
    })
    expect(credentials).toEqual([])
  })

  it('calls the token function again after a refusal, and sends the new token', async () => {
    const refused: (string | undefined)[] = []
    const client = createClient({
      baseUrl,
      token(stale?: string) {
        refused.push(stale)
        return stale === 'stale' ? 'fresh' : 'stale'
      },
    })
    expect(await client.list()).toEqual({ files: [] })
    expect(refused).toEqual([undefined, 'stale'])
    expect(credentials).toEqual(['Bearer stale', 'Bearer fresh'])
  })

  it.each([
    { title: 'the same token', token: () => 'stale', sent: ['Bearer stale'] },
    { title: 'a fixed token', token: 'stale', sent: ['Bearer stale'] },
    {
      title: 'another wrong token',
      token: (refused = '') => `${refused}x`,
      sent: ['Bearer x', 'Bearer xx'],
    },
  ])('sends no third request, and no second one with $title', async ({ token, sent }) => {
    const list = createClient({ baseUrl, token }).list()
    await expect(list).rejects.toMatchObject({ code: 'unauthenticated', status: 401 })
    expect(credentials).toEqual(sent)
  })

  it('names the setting to check when another server answers', async () => {
    await expect(createClient({ baseUrl, token: 'fresh' }).url('a')).rejects.toMatchObject({
      code: 'bad_answer',
      message: `Unexpected response to GET ${baseUrl}/files/a/url: 200. Check baseUrl.`,
    })
  })

  it('does not take the page of another server for a delete', async () => {
    const page = createServer((_, response) => response.end('<h1>Log in</h1>'))
    await using stack = new AsyncDisposableStack()
    stack.defer(() => page[Symbol.asyncDispose]())
    const port = await freePort()
    await once(page.listen(port, '127.0.0.1'), 'listening')
    const { remove } = createClient({ baseUrl: `http://127.0.0.1:${port}` })
    await expect(remove('a')).rejects.toMatchObject({ code: 'bad_answer', status: 200 })
  })

  it('names the settings to check when nothing answers', async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}`
    await expect(createClient({ baseUrl: nowhere }).list()).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining(`No response to GET ${nowhere}/files. Check baseUrl`),
    })
  })

  it('leaves out the codecs of a recording with Uppy, whose comma the API refuses', async () => {
    let contentType: unknown
    const request = async (_method: string, _path: string, { body }: { body: object }) => {
      contentType = Reflect.get(body, 'contentType')
      return { url: `${baseUrl}/put`, key: 'k' }
    }
    const session = { user: undefined, signal: new AbortController().signal }
    const file = { id: 'f', name: 'a.webm', type: '', size: 1, data: undefined, meta: {} }
    const { generateObjectKey, signRequest } = uppyOptions({ session: () => session, request })
    const signed = { method: 'PUT', key: generateObjectKey(file) }
    await signRequest({ ...signed, contentType: 'video/webm;codecs=vp8,opus' })
    expect(contentType).toBe('video/webm')
  })

  it('samples the first, the middle and the last MiB of a file', async () => {
    const bytes = new Uint8Array(7 * MIB)
    const sample = () => sampleOf(new Blob([bytes]))
    const before = await sample()
    for (const index of [0, MIB - 1, 3.5 * MIB, 4.5 * MIB - 1, 6 * MIB, 7 * MIB - 1]) {
      bytes[index] = 1
      expect(await sample()).not.toBe(before)
      bytes[index] = 0
    }
    expect(await sample()).toBe(before)
    expect(await sampleOf(new Blob(['short']))).not.toBe(await sampleOf(new Blob(['other'])))
  })
})

describe('a function for the user', () => {
  afterEach(() => vi.unstubAllGlobals())

  // @threat other-user-in-browser
  it.each([
    ['a function', () => 'ann'],
    ['a name', 'ann'],
  ])('of a page is refused while another is logged in, and then goes on: %s', async (_, user) => {
    let loggedIn = 'ann'
    const tags: (string | null)[] = []
    vi.stubGlobal('location', new URL('https://app.example.com/'))
    vi.stubGlobal('fetch', async (_url: string, { headers }: { headers: Headers }) => {
      const tag = headers.get('X-User-Tag')
      tags.push(tag)
      const isOther = tag !== null && tag !== loggedIn
      const body = isOther ? { code: 'user_changed', message: 'No.' } : { tag: loggedIn, files: [] }
      const answered = { 'X-User-Tag': loggedIn }
      return Response.json(body, { status: isOther ? 409 : 200, headers: answered })
    })
    const client = createClient({ baseUrl: 'https://files.example.com', user })
    const outcome = () => client.list().catch(({ code }: { code: string }) => code)
    expect(await outcome()).toMatchObject({ files: [] })
    loggedIn = 'bob'
    expect(await outcome()).toBe('user_changed')
    expect(await outcome()).toBe('user_changed')
    if (typeof user === 'function') {
      client.end()
      expect(await outcome()).toBe('user_changed')
    }
    loggedIn = 'ann'
    expect(await outcome()).toMatchObject({ files: [] })
    // Never the tag of the other one, and only the first request has none.
    expect(tags).toEqual([null, ...Array(tags.length - 1).fill('ann')])
  })

  // @threat other-user-in-browser
  it('stops what else is being sent when the API reports another user', async () => {
    vi.stubGlobal('fetch', async (url: string, { signal }: { signal: AbortSignal }) => {
      const { pathname } = new URL(url)
      const answered = { 'X-User-Tag': 'a' }
      if (pathname === '/limits') return Response.json({ tag: 'a' }, { headers: answered })
      if (pathname === '/files')
        return Response.json({ code: 'user_changed', message: 'No.' }, { status: 409 })
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    })
    const client = createClient({ baseUrl: 'https://files.example.com', user: 'ann' })
    const outcomes = await Promise.allSettled([client.stats(), client.list()])
    expect(outcomes).toMatchObject([
      { reason: { code: 'user_changed', status: 409 } },
      { reason: { code: 'user_changed', status: 409 } },
    ])
  })

  it('names nobody if it throws, and the client still ends', async () => {
    let isFailing = false
    vi.stubGlobal('location', new URL('https://app.example.com/'))
    const headers = { 'X-User-Tag': 'a' }
    vi.stubGlobal('fetch', async () => Response.json({ tag: 'a', files: [] }, { headers }))
    const user = () => {
      if (isFailing) throw new Error('no cookie')
      return 'ann'
    }
    const client = createClient({ baseUrl: 'https://files.example.com', user })
    const ends = vi.fn()
    client.onEnd(ends)
    await client.list()
    isFailing = true
    client.end()
    await Promise.resolve()
    expect(ends).toHaveBeenCalledOnce()
    await expect(client.list()).rejects.toMatchObject({ code: 'user_changed' })
  })
})

// @threat other-user-in-browser
describe('the tabs of a browser', () => {
  const storage = new Map<string, string>()
  let loggedIn = 'ann'
  let sent: string[] = []
  beforeEach(() => {
    storage.clear()
    loggedIn = 'ann'
    sent = []
    const known = {
      getItem: (key: string) => storage.get(key) ?? null,
      setItem: (key: string, value: string) => void storage.set(key, value),
    }
    const ownKeys = () => [...storage.keys()]
    const getOwnPropertyDescriptor = () => ({ enumerable: true, configurable: true })
    vi.stubGlobal('localStorage', new Proxy(known, { ownKeys, getOwnPropertyDescriptor }))
    vi.stubGlobal('location', new URL('https://app.example.com/'))
    vi.stubGlobal('origin', 'https://app.example.com')
    vi.stubGlobal('navigator', { onLine: true })
    vi.stubGlobal('fetch', async (url: string, request: RequestInit & { headers: Headers }) => {
      const { pathname } = new URL(url)
      const tag = request.headers.get('X-User-Tag')
      sent.push(`${pathname} of ${loggedIn}`)
      const answered = { 'X-User-Tag': `tag-${loggedIn}` }
      if (tag !== null && tag !== `tag-${loggedIn}`)
        return Response.json({ code: 'user_changed', message: 'No.' }, { status: 409 })
      const key = `${loggedIn}/1`
      const put = { uploadUrl: `https://bucket.example.com/${key}`, headers: {}, expiresIn: 900 }
      const expiresAt = '2030-01-01T00:00:00.000Z'
      const signed = { ...put, key, bucket: 'main', method: 'PUT', expiresAt }
      const body = { ...signed, tag: `tag-${loggedIn}`, files: [{ key }] }
      return Response.json(body, { headers: answered })
    })
  })
  afterEach(() => vi.unstubAllGlobals())

  /** Loads a page: before all requests of the test, or after those until now. */
  function load(user: string | (() => string | null), isNewer = false) {
    const timeOrigin = Date.now() + (isNewer ? 60_000 : -60_000)
    const client = createClient({ baseUrl: 'https://files.example.com', user })
    /** Asks as this page for its files, and returns the key of one or the code of the error. */
    return async (): Promise<string> => {
      vi.stubGlobal('performance', { timeOrigin, now: () => 0 })
      return client.request('GET', '/files').then(
        ({ files }: { files: { key: string }[] }) => files[0]?.key,
        ({ code }: { code: string }) => code,
      )
    }
  }

  it('refuse each page of a known user, until it is loaded again', async () => {
    const [first, second, third] = [load('ann'), load('ann'), load('ann')]
    expect(await first()).toBe('ann/1')
    loggedIn = 'bob'
    expect(await first()).toBe('user_changed')
    expect(await second()).toBe('user_changed')
    const reloaded = load('ann', true)
    // The name may have another tag now: the app knows.
    expect(await reloaded()).toBe('bob/1')
    expect(await third()).toBe('user_changed')
    expect(await second()).toBe('user_changed')
    loggedIn = 'ann'
    expect(await second()).toBe('ann/1')
    expect(await first()).toBe('ann/1')
  })

  it.each(['bobby', 'ann'])(
    'refuse each page of an unknown user as a known one, until it is loaded as %s',
    async (name) => {
      const bob = load('bob')
      const [first, second, third] = [load('ann'), load('ann'), load('ann')]
      loggedIn = 'bob'
      expect(await bob()).toBe('bob/1')
      for (const ann of [first, first, second, first, second])
        expect(await ann()).toBe('user_changed')
      expect(await bob()).toBe('bob/1')
      // With another name for the same person.
      expect(await load(name, true)()).toBe('bob/1')
      if (name === 'bobby') expect(await load('ann', true)()).toBe('user_changed')
      for (const ann of [first, second, third]) expect(await ann()).toBe('user_changed')
      expect(sent.filter((request) => request.startsWith('/files'))).toHaveLength(3)
      storage.clear()
      for (const ann of [first, second, third]) expect(await ann()).toBe('user_changed')
    },
  )

  it('refuse a page whose first answer comes after that of another one', async () => {
    const [first, second] = [load('ann'), load('ann')]
    const answer = fetch
    const begun = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    vi.stubGlobal('fetch', async (url: string, request: object) => {
      if (loggedIn === 'bob') {
        begun.resolve()
        await held.promise
      }
      return answer(url, request)
    })
    loggedIn = 'bob'
    const late = second()
    await begun.promise
    loggedIn = 'ann'
    expect(await first()).toBe('ann/1')
    loggedIn = 'bob'
    held.resolve()
    expect(await late).toBe('user_changed')
  })

  it('names the CORS header that a page has sent, also after it was loaded again', async () => {
    const baseUrl = 'https://cors.example.com'
    storage.set(`edge-presigner-user:${baseUrl}#ann`, 'tag-ann')
    vi.stubGlobal('fetch', async () => {
      throw new TypeError('Failed to fetch')
    })
    const list = createClient({ baseUrl, user: 'ann' }).list()
    await expect(list).rejects.toMatchObject({
      message: expect.stringMatching(/Check baseUrl.*\. Its CORS headers must allow X-User-Tag\.$/),
    })
  })

  describe('an upload', () => {
    let puts: string[] = []
    let isHeld = true
    let status = 200
    beforeEach(() => {
      puts = []
      isHeld = true
      status = 200
      vi.stubGlobal('addEventListener', () => undefined)
      vi.stubGlobal('removeEventListener', () => undefined)
      const Request = class {
        upload = {}
        status = 0
        onloadend = () => undefined
        open(_: string, url: string) {
          puts.push(url)
        }
        setRequestHeader() {}
        getResponseHeader = () => '"e"'
        getAllResponseHeaders = () => ''
        abort = () => this.onloadend()
        send() {
          if (isHeld) return
          this.status = status
          setTimeout(() => this.onloadend())
        }
      }
      vi.stubGlobal('XMLHttpRequest', Request)
    })

    async function pauseIn(user: string | (() => string | null)) {
      const client = createClient({ baseUrl: 'https://files.example.com', user })
      const handle = client.start(new File(['hello'], 'a.txt'), { multipart: false })
      await expect.poll(() => puts).toHaveLength(1)
      handle.pause()
      isHeld = false
      return { client, handle }
    }

    it('goes on after a pause when its user is back', async () => {
      const { client, handle } = await pauseIn('ann')
      loggedIn = 'bob'
      await expect(client.list()).rejects.toMatchObject({ code: 'user_changed' })
      loggedIn = 'ann'
      handle.resume()
      // The answer of this API is no record.
      await expect(handle.done).rejects.toMatchObject({ code: 'bad_answer' })
      expect(puts).toHaveLength(2)
      expect(sent.at(-1)).toBe('/files of ann')
    })

    it.each([null, 'bob'])('sends no bytes after a pause when the page names %s', async (name) => {
      let user: string | null = 'ann'
      const { handle } = await pauseIn(() => user)
      const before = sent.length
      user = name
      handle.resume()
      await expect(handle.done).rejects.toMatchObject({ code: 'user_changed', status: 0 })
      expect(puts).toHaveLength(1)
      expect(sent).toHaveLength(before)
    })

    it('sends its bytes not again after a log-out, at once', async () => {
      let user: string | null = 'ann'
      isHeld = false
      status = 503
      const client = createClient({ baseUrl: 'https://files.example.com', user: () => user })
      const { done } = client.start(new File(['hello'], 'a.txt'), { multipart: false })
      await expect.poll(() => puts).toHaveLength(1)
      user = null
      await expect(done).rejects.toMatchObject({ code: 'user_changed', status: 0 })
      expect(puts).toHaveLength(1)
    })
  })

  it('send nothing after the user has logged out while the token was fetched', async () => {
    let user: string | null = 'ann'
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<string>()
    const client = createClient({
      baseUrl: 'https://files.example.com',
      user: () => user,
      token() {
        asked.resolve()
        return answer.promise
      },
    })
    const list = client.list()
    await asked.promise
    user = null
    answer.resolve('token')
    await expect(list).rejects.toMatchObject({ code: 'user_changed', status: 0 })
    expect(sent).toEqual([])
  })
})

// @threat other-user-in-browser
describe('a call that needs several requests', () => {
  afterEach(() => vi.unstubAllGlobals())

  it.each([
    ['links', 1001],
    ['removeMany', 101],
  ])('ends when another user logs in: %s', async (method, count) => {
    let user = 'ann'
    const paths: string[] = []
    vi.stubGlobal('location', new URL('https://app.example.com/'))
    vi.stubGlobal('fetch', async (url: string) => {
      paths.push(new URL(url).pathname)
      if (paths.length === 2) user = 'bob'
      const body = { tag: 'a', links: [], deleted: [], expiresAt: '' }
      return Response.json(body, { headers: { 'X-User-Tag': 'a' } })
    })
    const client = createClient({ baseUrl: 'https://files.example.com', user: () => user })
    client.onEnd(() => paths.push('end'))
    const called = client[method](Array.from({ length: count }, (_, index) => `${index}`))
    await expect(called).rejects.toMatchObject({ code: 'user_changed' })
    expect(paths).toEqual(['/limits', method === 'links' ? '/links' : '/files/delete', 'end'])
  })
})

describe("the client's retries", () => {
  const page = new EventTarget()
  let tries = 0

  beforeEach(() => {
    vi.useFakeTimers()
    vi.stubGlobal('navigator', { onLine: true })
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
    vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page))
    tries = 0
  })
  afterEach(() => {
    vi.unstubAllGlobals()
    vi.useRealTimers()
  })

  /**
   * Fails with `code` at each attempt, after `secondsEach`. Returns a function for the seconds
   * until it gives up.
   */
  function fail(code: string, secondsEach = 0): () => number | undefined {
    const begun = Date.now()
    let seconds: number | undefined
    withRetries(new AbortController().signal, async () => {
      tries++
      await new Promise((resolve) => setTimeout(resolve, secondsEach * 1000))
      throw new PresignerError(code, 'No answer')
    }).catch(() => {
      seconds = (Date.now() - begun) / 1000
    })
    return () => seconds
  }
  it('end after one slow attempt when an origin has never answered', async () => {
    const seconds = fail('unreachable', 60)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(seconds()).toBe(60)
    expect(tries).toBe(1)
  })

  const setOnline = async (onLine: boolean): Promise<void> => {
    vi.stubGlobal('navigator', { onLine })
    if (onLine) page.dispatchEvent(new Event('online'))
    await vi.advanceTimersByTimeAsync(0)
  }

  it.each([
    { code: 'unreachable', inAll: 4, from: 1.7, to: 3.6 },
    { code: 'network', inAll: 11, from: 45, to: 91 },
    { code: 'forbidden', inAll: 1, from: 0, to: 0.1 },
  ])('make $inAll attempts after $code', async ({ code, inAll, from, to }) => {
    const seconds = fail(code)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(seconds()).toBeGreaterThanOrEqual(from)
    expect(seconds()).toBeLessThanOrEqual(to)
    expect(tries).toBe(inAll)
  })

  it('pause while the browser is offline, and start again with all attempts', async () => {
    const seconds = fail('network')
    await vi.advanceTimersByTimeAsync(10_000)
    expect(tries).toBeGreaterThan(3)
    await setOnline(false)
    await vi.advanceTimersByTimeAsync(3_600_000)
    const before = tries
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(tries).toBe(before)
    expect(seconds()).toBeUndefined()
    await setOnline(true)
    expect(tries).toBe(before + 1)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(tries).toBe(before + 11)
    expect(seconds()).toBeGreaterThan(7200)
  })

  it('continue as soon as the browser is online', async () => {
    fail('network')
    await vi.advanceTimersByTimeAsync(40_000)
    const before = tries
    await setOnline(true) // While it waits for up to 15 seconds.
    expect(tries).toBe(before + 1)
  })

  it('also wait before each attempt if an app throws the same error again', async () => {
    const error = new PresignerError('network', 'No answer')
    const ended = withRetries(new AbortController().signal, async () => {
      if (++tries > 100) throw new Error('without a pause')
      throw error
    })
    const failed = expect(ended).rejects.toBe(error)
    await vi.advanceTimersByTimeAsync(100_000)
    await failed
    expect(tries).toBe(11)
  })

  describe('of many uploads', () => {
    const line = () => createLine()
    /** Starts 100 requests that share `shared`, and returns how many have ended, and how. */
    const startMany = (shared: object, act: (index: number) => Promise<unknown>) => {
      const ended = { ok: 0, failed: 0 }
      for (let index = 0; index < 100; index++)
        withRetries(
          new AbortController().signal,
          () => {
            tries++
            return act(index)
          },
          undefined,
          shared,
        ).then(
          () => ended.ok++,
          () => ended.failed++,
        )
      return ended
    }
    const down = async () => {
      throw new PresignerError('network', 'No answer')
    }

    it('try one for all while nothing answers, and go on together', async () => {
      let isUp = false
      const ended = startMany(line(), async () => {
        if (!isUp) await down()
      })
      await vi.advanceTimersByTimeAsync(20_000)
      expect(tries).toBeGreaterThan(103)
      expect(tries).toBeLessThan(110)
      isUp = true
      await vi.advanceTimersByTimeAsync(15_000)
      expect(ended).toEqual({ ok: 100, failed: 0 })
      expect(tries).toBeLessThan(210)
    })

    it('give up together, and the next one tries again', async () => {
      const shared = line()
      const ended = startMany(shared, down)
      await vi.advanceTimersByTimeAsync(100_000)
      expect(ended).toEqual({ ok: 0, failed: 100 })
      expect(tries).toBe(110)
      const again = startMany(shared, async () => undefined)
      await vi.advanceTimersByTimeAsync(0)
      expect(again).toEqual({ ok: 100, failed: 0 })
    })

    it('are not held up by one that alone fails', async () => {
      const ended = startMany(line(), async (index) => {
        if (index === 0) await down()
      })
      await vi.advanceTimersByTimeAsync(2000)
      expect(ended).toEqual({ ok: 99, failed: 0 })
      await vi.advanceTimersByTimeAsync(100_000)
      expect(ended).toEqual({ ok: 99, failed: 1 })
    })

    it('wait as long as Retry-After says', async () => {
      const begun = Date.now()
      const ended = startMany(line(), async () => {
        if (Date.now() < begun + 60_000)
          throw new PresignerError('rate_limited', 'Slower', { status: 429, retryAfter: 60 })
      })
      await vi.advanceTimersByTimeAsync(59_000)
      expect(tries).toBe(100)
      await vi.advanceTimersByTimeAsync(2000)
      expect(ended).toEqual({ ok: 100, failed: 0 })
    })
  })
})
