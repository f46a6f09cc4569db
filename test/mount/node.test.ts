import { Hono } from 'hono'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { createPresigner, defineSettings, type FileEvent, type LogLine } from '../../src/index.ts'
import { events } from '../../src/plugins/events/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { links } from '../../src/plugins/links/index.ts'
import { upkeep } from '../../src/plugins/upkeep/index.ts'
import { memoryFileIndex } from '../../src/testing.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, ORIGIN, type SettingsChanges, settingsInput, upload } from '../support/app.ts'
import { inWords } from '../support/errors.ts'
import { everyPlugin } from '../support/every-plugin.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** A bucket on the faulty server. */
const faulty = () => ({
  ...Object.values(settingsInput().buckets)[0],
  endpoint: `http://127.0.0.1:${inject('testPorts').faulty}`,
})

/** What /healthz says of plugins that need Durable Objects. */
const NO_OBJECTS = ['drop boxes need Durable Objects', 'grants need Durable Objects']

/** A presigner in an app on a Node server, where each request has its own environment. */
function nodeApp(host = new Hono(), changes: SettingsChanges = {}) {
  const events: FileEvent[] = []
  const lines: LogLine[] = []
  const { app } = createPresigner(
    defineSettings(() =>
      settingsInput({
        buckets: { ...settingsInput().buckets, faulty: faulty() as never },
        linkBase: `${ORIGIN}/media`,
        ...changes,
      }),
    ),
    {
      plugins: everyPlugin({
        files: { index: () => index },
        events: {
          onEvent: (event, { waitUntil }) => {
            events.push(event)
            waitUntil(Promise.reject(new Error('nobody waits for this')))
          },
        },
      }),
      authenticate: (c) => (c.req.header('Cookie') === 'session=ann' ? ANN : null),
      log: (line) => void lines.push(line),
    },
  )
  const index = memoryFileIndex()
  host.route('/media', app)
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers)
    headers.set('Cookie', 'session=ann')
    const request = new Request(new URL(path, ORIGIN), { ...init, headers })
    return host.fetch(request, { incoming: {}, outgoing: {} })
  }
  const post = (path: string, body: unknown) =>
    ask(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
  const linkTo = async (key: string, bucket = 'files', body: object = {}) => {
    const path = `/media/files/${encodeURIComponent(key)}/link?bucket=${bucket}`
    return (await jsonOf<{ link: string }>(await post(path, body))).link
  }
  return { host, ask, post, linkTo, events, lines }
}

it('runs outside of Workers', () => {
  expect('IdentityTransformStream' in globalThis).toBe(false)
  expect(navigator.userAgent).toMatch(/^Node\.js/)
})

describe('a presigner in an app on Node', () => {
  it('accepts an upload, records, lists, delivers and deletes it', async () => {
    const app = nodeApp()
    expect(await jsonOf(await app.ask('/media/healthz'))).toEqual({
      status: 'ok',
      edgeCache: false,
      warnings: NO_OBJECTS,
    })
    const key = await upload(app, '/media', '0123456789')
    const recorded = await app.post('/media/files', { key, name: 'Cat.png' })
    expect(recorded.status).toBe(201)
    expect(recorded.headers.get('Location')).toMatch(/^\/media\/files\/uploads%2F/)
    expect(await jsonOf(await app.ask('/media/files?urls=view'))).toMatchObject({
      files: [{ key, size: 10, owner: 'app:ann', url: expect.stringContaining('X-Amz-Signature') }],
    })
    const { url } = await jsonOf<{ url: string }>(
      await app.ask(`/media/files/${encodeURIComponent(key)}/url`),
    )
    expect(await (await fetch(url)).text()).toBe('0123456789')

    const link = await app.linkTo(key)
    const whole = await app.ask(link)
    expect(whole.status).toBe(200)
    expect(whole.headers.get('Content-Length')).toBe('10')
    expect(whole.headers.get('Content-Type')).toBe('image/png')
    expect(await whole.text()).toBe('0123456789')
    const part = await app.ask(link, { headers: { Range: 'bytes=2-4' } })
    expect(part.status).toBe(206)
    expect(part.headers.get('Content-Range')).toBe('bytes 2-4/10')
    expect(await part.text()).toBe('234')
    expect((await app.ask(link, { headers: { Range: 'bytes=99-' } })).status).toBe(416)
    const head = await app.ask(link, { method: 'HEAD' })
    expect([head.status, head.headers.get('Content-Length'), await head.text()]).toEqual([
      200,
      '10',
      '',
    ])
    const etag = whole.headers.get('ETag') ?? ''
    expect((await app.ask(link, { headers: { 'If-None-Match': etag } })).status).toBe(304)

    const removed = await app.ask(`/media/files/${encodeURIComponent(key)}`, { method: 'DELETE' })
    expect(removed.status).toBe(204)
    expect((await app.ask(link)).status).toBe(404)
    expect(await jsonOf(await app.ask('/media/files'))).toEqual({ files: [] })
    expect(app.events.map(({ type }) => type)).toEqual(['recorded', 'deleted'])
    expect(app.lines.every(({ status }) => status < 500)).toBe(true)
  })

  // @threat link-restriction
  it('refuses every link with ips or countries, whatever address a client claims', async () => {
    const app = nodeApp()
    const key = await upload(app, '/media', 'pixels')
    const open = async (body: object) => {
      const link = await app.linkTo(key, 'files', body)
      const headers = { 'CF-Connecting-IP': '192.0.2.1', 'CF-IPCountry': 'DE' }
      const response = await app.ask(link, { headers })
      return response.ok ? response.text() : inWords(await jsonOf<{ code: string }>(response))
    }
    expect(await open({ ips: ['0.0.0.0/0', '::/0'] })).toBe('link_invalid address')
    expect(await open({ countries: ['DE'] })).toBe('link_invalid country')
    expect(await open({ notCountries: ['US'] })).toBe('link_invalid country')
    const hourAgo = new Date(Date.now() - 3_600_000).toISOString()
    expect(await open({ notBefore: hourAgo })).toBe('pixels')
    const purged = await app.post('/media/files/purge', { keys: [key] })
    expect(await jsonOf(purged)).toMatchObject({ code: 'not_supported' })
  })

  // @threat link-restriction
  it('opens links with ips for the address that addressOf finds in each request', async () => {
    interface Env {
      readonly incoming: { readonly socket: { readonly remoteAddress?: string } }
    }
    const settings = defineSettings<Env>(() => settingsInput({ linkBase: ORIGIN }))
    const presigner = createPresigner(settings, {
      plugins: [links({ addressOf: (_, env) => env.incoming.socket.remoteAddress ?? null })],
      authenticate: () => ANN,
    })
    const body = JSON.stringify({ ips: ['192.0.2.0/24', '2001:db8::/32'] })
    const headers = { 'Content-Type': 'application/json' }
    const asked = new Request(`${ORIGIN}/files/a.png/link`, { method: 'POST', headers, body })
    const { link } = await jsonOf<{ link: string }>(
      await presigner.fetch(asked, { incoming: { socket: {} } }),
    )
    const statusFrom = async (remoteAddress?: string) => {
      const socket = remoteAddress === undefined ? {} : { remoteAddress }
      const claims = { 'CF-Connecting-IP': '192.0.2.1', 'X-Forwarded-For': '192.0.2.1' }
      const request = new Request(link, { headers: claims })
      return (await presigner.fetch(request, { incoming: { socket } })).status
    }
    expect(await statusFrom('192.0.2.9')).toBe(404)
    expect(await statusFrom('::ffff:192.0.2.9')).toBe(404)
    expect(await statusFrom('2001:db8::9')).toBe(404)
    expect(await statusFrom('192.0.3.9')).toBe(403)
    expect(await statusFrom()).toBe(403)
  })

  it('supports multipart uploads, tokens and cursors', async () => {
    const app = nodeApp()
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
    const { key, uploadId } = await jsonOf(await app.post('/media/multipart', file))
    const path = `/media/multipart/${uploadId}`
    const { urls } = await jsonOf<{ urls: { url: string }[] }>(
      await app.post(`${path}/urls`, { key, partNumbers: [1] }),
    )
    const put = await fetch(urls[0]?.url ?? '', { method: 'PUT', body: 'hello' })
    const parts = [{ partNumber: 1, etag: put.headers.get('ETag') }]
    const completed = await app.post(`${path}/complete`, { key, parts })
    expect(await jsonOf(completed)).toMatchObject({ key, size: 5 })

    const other = await upload(app, '/media')
    await app.post('/media/files', { key: other, name: 'b.png' })
    const { token } = await jsonOf<{ token: string }>(
      await app.post('/media/tokens', { scopes: ['files:list'] }),
    )
    const first = await jsonOf(await app.ask(`/media/u/${token}/files?limit=1`))
    const next = await jsonOf(
      await app.ask(`/media/u/${token}/files?limit=1&cursor=${first.cursor}`),
    )
    const keys = [first, next].flatMap(({ files }) =>
      (files as { key: string }[]).map((f) => f.key),
    )
    expect(keys.toSorted()).toEqual([key, other].toSorted())
  })

  it('has no grants and drop boxes, which need Durable Objects, and says so', async () => {
    const app = nodeApp()
    const key = await upload(app, '/media', 'pixels')
    const deadline = new Date(Date.now() + 3_600_000).toISOString()
    const limits = { maxFiles: 1, maxBytes: 1, maxTotalBytes: 1 }
    const box = { prefix: `${ANN.prefix}inbox/`, deadline, from: 'Ann', title: 'Files', ...limits }
    const secret = 'A'.repeat(22)
    const answers = await Promise.all([
      app.post('/media/grants', { key, deadline }),
      app.ask('/media/grants'),
      app.ask(`/media/grants/${'0'.repeat(32)}`),
      app.ask(`/media/g/${secret}`),
      app.post('/media/drop-boxes', box),
      app.ask('/media/drop-boxes'),
      app.ask(`/media/d/${secret}`),
      app.post(`/media/d/${secret}/token`, {}),
    ])
    for (const answer of answers)
      expect(await jsonOf(answer)).toMatchObject({
        code: 'not_supported',
        message: expect.stringContaining('Durable Objects'),
      })
    expect(answers.map(({ status }) => status)).toEqual(Array(answers.length).fill(501))
  })

  it('logs that scheduled upkeep needs Durable Objects or an index in SQL', async () => {
    const lines: LogLine[] = []
    const presigner = createPresigner(
      defineSettings(() => settingsInput()),
      {
        plugins: [upkeep(), files({ index: memoryFileIndex() })],
        log: (line) => void lines.push(line),
      },
    )
    await presigner.scheduled({ scheduledTime: Date.now(), cron: '7 * * * *' }, {})
    const reason = expect.stringContaining('needs Durable Objects, which only Workers have')
    expect(lines).toMatchObject([
      { method: 'SCHEDULED', status: 501, code: 'not_supported', reason },
    ])
    const health = await presigner.fetch(new Request(`${ORIGIN}/healthz`), {})
    expect(await jsonOf(health)).not.toHaveProperty('warnings')
  })

  it('warns once that webhooks are not queued, not with each request', async () => {
    const secret = `whsec_${btoa('k'.repeat(32))}`
    const webhooks = [{ url: 'https://app.example.com/webhooks', secret }]
    for (const plugin of [events({ webhooks }), events({ webhooks: (_: unknown) => webhooks })]) {
      const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
      const { app } = createPresigner(
        defineSettings(() => settingsInput()),
        { plugins: [plugin], log: () => undefined },
      )
      for (let i = 0; i < 3; i++) {
        const health = await app.request('/healthz', {}, { incoming: {}, outgoing: {} })
        expect(await jsonOf(health)).toMatchObject({
          warnings: expect.arrayContaining(['webhooks are not queued']),
        })
      }
      expect(warn.mock.calls).toEqual([[expect.stringContaining('webhooks are not queued')]])
      warn.mockRestore()
    }
  })

  it('works in a host app with a different copy of Hono', async () => {
    const copy: string = '../../node_modules/hono/dist/cjs/index.js'
    const { Hono: OtherHono } = await import(copy)
    const other = new OtherHono()
    expect(other).not.toBeInstanceOf(Hono)
    const app = nodeApp(other)
    expect(await app.linkTo('a.png')).toMatch(`${ORIGIN}/media/i/files/a.png?`)
    expect((await app.ask('/media/nope')).status).toBe(404)
  })

  it('answers 401 without a session, and 404 for unknown routes', async () => {
    const { host, ask } = nodeApp()
    expect((await host.fetch(new Request(`${ORIGIN}/media/files`))).status).toBe(401)
    expect((await ask('/media/nope')).status).toBe(404)
    expect((await ask('/media/i/files/a.png')).status).toBe(403)
  })

  it.each([
    ['with its length', (text: string) => ({ body: text })],
    [
      'in pieces',
      (text: string) => ({
        body: new Blob([text.slice(0, 9), text.slice(9)]).stream(),
        duplex: 'half',
      }),
    ],
  ])('reads a body %s up to its limit', async (_, bodyOf) => {
    const { ask } = nodeApp()
    const status = async (bytes: number) => {
      const json = JSON.stringify({ scopes: ['files:read'] })
      const body = bodyOf(json + ' '.repeat(bytes - json.length))
      const headers = { 'Content-Type': 'application/json' }
      return (await ask('/media/tokens', { method: 'POST', headers, ...body })).status
    }
    expect([await status(200), await status(65_536), await status(65_537)]).toEqual([200, 200, 413])
  })

  it('counts all clients without credentials as one, whatever address they claim', async () => {
    const counted: string[] = []
    const limit = async ({ key }: { key: string }) => {
      counted.push(key)
      return { success: true }
    }
    const { app } = createPresigner(
      defineSettings(() => settingsInput()),
      { rateLimiter: () => ({ limit }), authenticate: () => null, log: () => undefined },
    )
    for (const address of ['192.0.2.1', '192.0.2.2'])
      await app.request('/files', { headers: { 'CF-Connecting-IP': address } })
    expect(counted).toEqual(['network unknown', 'network unknown'])
  })

  it('stops reading an endless body', async () => {
    const { ask } = nodeApp()
    const PIECE_BYTES = 1024 ** 2
    let pieces = 0
    let cancelled = false
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pieces += 1
        controller.enqueue(new Uint8Array(PIECE_BYTES).fill(0x20))
        if (pieces > 1000) controller.close()
      },
      cancel: () => {
        cancelled = true
      },
    })
    const headers = { 'Content-Type': 'application/json' }
    const init = { method: 'POST', headers, body, duplex: 'half' }
    expect((await ask('/media/tokens', init)).status).toBe(413)
    expect(cancelled).toBe(true)
    // The limit, and what it reads so that the client sees the response.
    expect(pieces).toBeLessThan(20)
  })

  it('refuses a body that the app has already read, and logs the reason', async () => {
    const { host, lines } = nodeApp()
    const request = new Request(`${ORIGIN}/media/tokens`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Cookie: 'session=ann' },
      body: '{}',
    })
    await request.text()
    expect((await host.fetch(request)).status).toBe(500)
    expect(lines[0]?.reason).toContain('The app read the body before the presigner.')
  })

  it('refuses a link to an encoded object, which fetch would decode', async () => {
    const app = nodeApp()
    const link = await app.linkTo('encoded:gzip/a.png', 'faulty')
    for (const method of ['GET', 'HEAD']) {
      const headers = { 'Accept-Encoding': 'gzip' }
      const response = await app.ask(link, { method, headers })
      expect(response.status, method).toBe(501)
      if (method === 'GET') expect(await jsonOf(response)).toMatchObject({ code: 'not_supported' })
    }
    const redirect = await app.linkTo('encoded:gzip/a.png', 'faulty', { delivery: 'redirect' })
    expect((await app.ask(redirect)).status).toBe(302)
    const plain = await app.linkTo('encoded:aws-chunked/a.png', 'faulty')
    const response = await app.ask(plain)
    expect(response.status).toBe(200)
    expect(response.headers.get('Content-Encoding')).toBeNull()
  })

  it('ends a body with an error when the bucket truncates it', async () => {
    const app = nodeApp()
    const response = await app.ask(await app.linkTo(`cut/${crypto.randomUUID()}.png`, 'faulty'))
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow()
  })

  it('ends the request to the bucket when the client disconnects', async () => {
    const app = nodeApp()
    const key = `endless/${crypto.randomUUID()}.png`
    const path = encodeURIComponent(`/files/${key}`)
    const host = `http://127.0.0.1:${inject('testPorts').faulty}`
    const isOpen = async () => (await fetch(`${host}/.open?path=${path}`)).text()
    const response = await app.ask(await app.linkTo(key, 'faulty'))
    const reader = response.body?.getReader()
    await reader?.read()
    expect(await isOpen()).toBe('true')
    await reader?.cancel()
    await expect.poll(isOpen).toBe('false')
  })
})

const HEADERS = {
  'Content-Type': 'video/mp4',
  'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
  ETag: '"e"',
}

describe('the bytes of a large object', () => {
  const CHUNK = 256 * 1024
  const CHUNKS = 1000

  it("are read at the client's speed, and never buffered", async () => {
    const app = nodeApp()
    const link = await app.linkTo('a.mp4')
    let sent = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1
        controller.enqueue(new Uint8Array(CHUNK))
        if (sent === CHUNKS) controller.close()
      },
    })
    const headers = { ...HEADERS, 'Content-Length': String(CHUNK * CHUNKS) }
    vi.stubGlobal('fetch', async () => new Response(body, { headers }))
    const reader = (await app.ask(link)).body?.getReader()
    let read = 0
    for (;;) {
      const { done } = (await reader?.read()) ?? { done: true }
      if (done) break
      read += 1
      if (read % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      // 256 MiB pass through, with only a few chunks in memory at any time.
      expect(sent - read).toBeLessThan(8)
    }
    expect(read).toBe(CHUNKS)
  })

  it('end in an error when the bucket stalls for 30 seconds', async () => {
    const app = nodeApp()
    const link = await app.linkTo('a.mp4')
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(3)),
    })
    const headers = { ...HEADERS, 'Content-Length': '9' }
    vi.stubGlobal('fetch', async () => new Response(body, { headers }))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const reader = (await app.ask(link)).body?.getReader()
    expect((await reader?.read())?.value?.byteLength).toBe(3)
    const rest = reader?.read()
    const failed = expect(rest).rejects.toThrow("The bucket's response ended early.")
    await vi.advanceTimersByTimeAsync(31_000)
    await failed
  })
})

describe('behind a server that puts its own host into request.url', () => {
  /** Sends a request as Next.js passes it on: only the header has the visitor's host. */
  const viaNext = (
    app: ReturnType<typeof nodeApp>,
    path: string,
    { headers, ...init }: RequestInit = {},
    host = 'app.example',
  ) =>
    app.ask(`https://localhost:3000${path}`, {
      ...init,
      headers: { Host: host, ...Object.fromEntries(new Headers(headers)) },
    })
  const json = (body: object, headers: object = {}): RequestInit => ({
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  const withoutForms = { ...Object.values(settingsInput().buckets)[0], postUploads: false }
  const buckets = { files: withoutForms as never }
  const params = '/media/s3/params?filename=a.png&type=image/png'

  // @threat link-elsewhere
  it('links and URLs for Uppy start with linkBase', async () => {
    const app = nodeApp(new Hono(), { buckets })
    const { link } = await jsonOf(await viaNext(app, '/media/files/a.png/link', json({})))
    expect(link).toMatch(`${ORIGIN}/media/i/files/a.png?`)
    const { links } = await jsonOf<{ links: { link: string }[] }>(
      await viaNext(app, '/media/links', json({ keys: ['a.png'] })),
    )
    expect(links[0]?.link).toBe(link)
    expect((await jsonOf(await viaNext(app, params))).url).toBe(`${ORIGIN}/media/s3/form`)
    expect(await jsonOf(await app.ask('/media/healthz'))).toHaveProperty('warnings', NO_OBJECTS)
  })

  // @threat link-elsewhere
  it('without linkBase, nothing leads to the server, and /healthz says so', async () => {
    const app = nodeApp(new Hono(), { buckets, linkBase: undefined })
    const answers = [
      await viaNext(app, '/media/files/a.png/link', json({})),
      await viaNext(app, '/media/links', json({ keys: ['a.png'] })),
      await viaNext(app, params),
    ]
    for (const answer of answers) {
      const text = await answer.text()
      expect(text).not.toContain('localhost')
      expect(JSON.parse(text)).toMatchObject({
        code: 'misconfigured',
        issues: [{ path: 'linkBase', message: expect.stringContaining('is missing.') }],
      })
    }
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503])
    expect(app.lines.at(-1)).toMatchObject({
      ...{ code: 'misconfigured', reason: 'linkBase' },
      message: expect.stringContaining('need the setting linkBase'),
    })
    expect(await jsonOf(await app.ask('/media/healthz'))).toMatchObject({
      status: 'ok',
      warnings: ['links need linkBase', ...NO_OBJECTS],
    })
    expect((await viaNext(app, '/media/files/a.png/url')).status).toBe(200)
  })

  // @threat app-csrf
  it('a page of the origin of linkBase is not foreign, and any other page is', async () => {
    const app = nodeApp()
    const statusFor = async (Origin: string) =>
      (await viaNext(app, '/media/files/a.png/link', json({}, { Origin }))).status
    expect(await statusFor(ORIGIN)).toBe(200)
    for (const origin of ['https://evil.example', ORIGIN.replace('https', 'http'), `${ORIGIN}:1`])
      expect(await statusFor(origin)).toBe(403)
    const without = nodeApp(new Hono(), { linkBase: undefined })
    const init = json({ fileName: 'a', mimetype: 'a/b' }, { Origin: ORIGIN })
    expect((await viaNext(without, '/media/files/upload-url', init)).status).toBe(403)
  })

  // @threat app-csrf link-runs-script
  it('a host that serves only links does so, and is not the page of the app', async () => {
    const app = nodeApp(new Hono(), {
      ...{ buckets, linkBase: 'https://files.example/media', linkHostOnly: true },
    })
    const key = await upload(app, '/media', 'pixels')
    const { link } = await jsonOf<{ link: string }>(
      await viaNext(app, `/media/files/${encodeURIComponent(key)}/link`, json({})),
    )
    expect(link).toMatch('https://files.example/media/i/files/')
    const path = link.slice('https://files.example'.length)
    const shown = await viaNext(app, path, {}, 'files.example')
    expect([shown.status, await shown.text()]).toEqual([200, 'pixels'])
    expect((await viaNext(app, params, {}, 'files.example')).status).toBe(404)
    expect((await viaNext(app, params, {}, 'files.example:3000')).status).toBe(404)
    const moved = await viaNext(app, path)
    expect([moved.status, moved.headers.get('Location')]).toEqual([308, link])
    expect((await jsonOf(await viaNext(app, params))).url).toBe(`${ORIGIN}/media/s3/form`)
    const from = async (Origin: string) =>
      (await viaNext(app, '/media/files/a.png/link', json({}, { Origin }))).status
    expect([await from(ORIGIN), await from('https://files.example')]).toEqual([200, 403])
    const odd = await viaNext(app, '/media/healthz', {}, 'a b/@')
    expect(odd.status).toBe(200)
  })
})
