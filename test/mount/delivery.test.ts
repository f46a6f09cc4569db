import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { Hono } from 'hono'
import { secureHeaders } from 'hono/secure-headers'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { ANN } from '../support/ann.ts'
import { jsonOf, ORIGIN, settingsInput } from '../support/app.ts'
import { bucketFetch } from '../support/bucket.ts'
import { captureLog } from '../support/capture-log.ts'
import { coded } from '../support/errors.ts'
import { requestsFor, textOf } from '../support/links.ts'
import { clientOf, type Mounted, mount } from '../support/mount.ts'
import { PATIENCE } from '../support/patience.ts'
import { testWorker } from '../support/worker.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** A bucket on one of the shared test servers. */
const bucketAt = (port: number) => ({
  ...Object.values(settingsInput().buckets)[0],
  endpoint: `http://127.0.0.1:${port}`,
})

const bucketsOf = () => {
  const { counting, faulty } = inject('testPorts')
  return {
    ...settingsInput().buckets,
    counted: bucketAt(counting),
    faulty: bucketAt(faulty),
  } as never
}

/** Puts an object directly into the bucket, and returns its key. */
async function put(name: string, type: string, body: BodyInit = 'content'): Promise<string> {
  const key = `mount/${crypto.randomUUID()}/${name}`
  await bucketFetch(key, { method: 'PUT', body, headers: { 'Content-Type': type } })
  return key
}

async function linkTo(app: Mounted, key: string, bucket = 'files', body: object = {}) {
  const path = `/media/files/${encodeURIComponent(key)}/link?bucket=${bucket}`
  return (await jsonOf<{ link: string }>(await app.post(path, body))).link
}

/** Returns how a browser handles the response to a link. */
async function shown(app: Mounted, key: string): Promise<string> {
  const { headers } = await app.fetch(await linkTo(app, key))
  const isSandboxed = headers.get('Content-Security-Policy') === "sandbox; default-src 'none'"
  const isAttachment = headers.get('Content-Disposition') === 'attachment'
  expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
  expect(isSandboxed).toBe(isAttachment)
  return isAttachment ? 'attachment' : 'inline'
}

const MEDIA = [
  ['a.png', 'image/png'],
  ['a.jpg', 'image/jpeg'],
  ['a.avif', 'image/avif'],
  ['a.mp3', 'audio/mpeg'],
  ['a.mp4', 'video/mp4'],
  ['a.ogg', 'AUDIO/OGG'],
] as const
const DOCUMENTS = [
  ['a.txt', 'text/plain'],
  ['a.txt', 'text/plain; charset=utf-8'],
  ['a.pdf', 'application/pdf'],
  ['a.woff2', 'font/woff2'],
] as const
const SCRIPTS = [
  ['a.html', 'text/html'],
  ['a.svg', 'image/svg+xml'],
  ['a.xml', 'text/xml'],
  ['a.html', 'image/png'],
  ['a.bin', 'application/octet-stream'],
] as const

it('shows a folder below the mount path', async () => {
  const app = mount()
  const key = await put('v/é 1.png', 'image/png')
  const prefix = key.replace(/v\/.*/, '')
  const made = await app.post('/media/links/folder', { prefix })
  const { base } = await jsonOf<{ base: string }>(made)
  expect(base).toMatch(new RegExp(`^${ORIGIN}/media/f/[\\w.-]+/${prefix}$`))
  const index = new URL('v/index.m3u8', base)
  expect(await textOf(await app.fetch(new URL('é 1.png', index).href))).toBe('content')
  expect((await app.fetch(new URL('../../v/é 1.png', index).href)).status).toBe(403)
})

describe('a link on the origin of an app', () => {
  it.each(MEDIA)('shows %s of type %s inline', async (name, type) => {
    expect(await shown(mount(), await put(name, type))).toBe('inline')
  })

  // @threat app-shows-upload
  it.each([...DOCUMENTS, ...SCRIPTS])('downloads %s of type %s', async (name, type) => {
    expect(await shown(mount(), await put(name, type))).toBe('attachment')
  })
})

describe('a page of an app', () => {
  // @threat app-shows-upload
  it.each([
    'text/javascript',
    'application/javascript; charset=utf-8',
    'text/css',
    'image/svg+xml',
    'text/html',
    'application/json',
  ])('cannot use an upload of type %s as a script or a stylesheet', async (type) => {
    const app = mount()
    const { headers } = await app.fetch(await linkTo(app, await put('a.bin', type)))
    expect(headers.get('Content-Type')).toBe('application/octet-stream')
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
  })

  it.each(DOCUMENTS)('gets the type of a document: %s, %s', async (name, type) => {
    const app = mount()
    const { headers } = await app.fetch(await linkTo(app, await put(name, type)))
    expect(headers.get('Content-Type')).toBe(type)
  })
})

describe('a link on its own host', () => {
  const settings = { linkBase: 'https://files.example/media', linkHostOnly: true }

  it.each([...MEDIA, ...DOCUMENTS])('shows %s of type %s inline', async (name, type) => {
    expect(await shown(mount({ settings }), await put(name, type))).toBe('inline')
  })

  it.each(SCRIPTS)('downloads %s of type %s', async (name, type) => {
    expect(await shown(mount({ settings }), await put(name, type))).toBe('attachment')
  })
})

describe('a link of the deployable Worker', () => {
  it.each(DOCUMENTS)('shows %s of type %s inline', async (name, type) => {
    const worker = testWorker()
    const key = await put(name, type)
    const path = `/files/${encodeURIComponent(key)}/link`
    const { link } = await jsonOf<{ link: string }>(await worker.post(path, {}))
    expect((await worker.fetch(link)).headers.get('Content-Disposition')).toBeNull()
  })
})

/** An app without an edge cache, like a Worker that exports no entrypoint for it. */
const direct = () => mount({ links: { entrypoint: null }, settings: { buckets: bucketsOf() } })

describe('without an entrypoint for objects', () => {
  it('/healthz reports no edge cache, and reports one with an entrypoint', async () => {
    const health = async (app: Mounted) => jsonOf(await app.fetch('/media/healthz'))
    expect(await health(direct())).toEqual({ status: 'ok', edgeCache: false })
    expect(await health(mount())).toMatchObject({ edgeCache: true })
  })

  it('a link reads from the bucket each time, and a delete has nothing to purge', async () => {
    const app = direct()
    const key = await put('a.png', 'image/png')
    const link = await linkTo(app, key, 'counted')
    for (const _ of [1, 2]) {
      const response = await app.fetch(link)
      expect(response.headers.get('Cache-Status')).toBe('edge-presigner; fwd=bypass')
      expect(await textOf(response)).toBe('content')
    }
    expect(await requestsFor(key)).toBe(2)
    const path = `/media/files/${encodeURIComponent(key)}?bucket=counted`
    expect((await app.fetch(path, { method: 'DELETE' })).status).toBe(204)
    expect((await app.fetch(link)).status).toBe(404)
  })

  it('nothing comes from the edge, unlike the second request with an entrypoint', async () => {
    const app = mount()
    const link = await linkTo(app, await put('a.png', 'image/png'))
    const statuses = []
    for (const _ of [1, 2]) {
      const response = await app.fetch(link)
      await textOf(response)
      statuses.push(response.headers.get('Cache-Status'))
    }
    expect(statuses).toEqual(['edge-presigner; fwd=uri-miss', 'edge-presigner; hit'])
  })

  it.each([
    ['bytes=0-2', 206, 'con', 'bytes 0-2/7'],
    ['bytes=4-', 206, 'ent', 'bytes 4-6/7'],
    ['bytes=9-', 416, '', null],
    ['bytes=0-1,3-4', 200, 'content', null],
  ])('a link answers the range %s with %s', async (range, status, body, contentRange) => {
    const app = direct()
    const key = await put('a.png', 'image/png')
    const link = await linkTo(app, key, 'counted')
    const response = await app.fetch(link, { headers: { Range: range } })
    expect(response.status).toBe(status)
    expect(response.headers.get('Content-Range')).toBe(contentRange)
    expect(await textOf(response)).toBe(body)
    // Only the part is fetched, because nothing caches the rest.
    expect(await requestsFor(key)).toBe(1)
  })

  it('a link answers HEAD and conditions', async () => {
    const app = direct()
    const link = await linkTo(app, await put('a.png', 'image/png'))
    const head = await app.fetch(link, { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect(head.headers.get('Content-Length')).toBe('7')
    expect(await head.text()).toBe('')
    const etag = head.headers.get('ETag') ?? ''
    expect(etag).toMatch(/^".+"$/)
    expect((await app.fetch(link, { headers: { 'If-None-Match': etag } })).status).toBe(304)
    expect((await app.fetch(link, { headers: { 'If-Match': '"x"' } })).status).toBe(412)
  })

  it.each([
    ['404/a.png', 404, 'object_not_found'],
    ['no-bucket/a.png', 502, 'storage_error'],
    ['busy/a.png', 503, 'unavailable storage'],
    ['500/a.png', 502, 'storage_error'],
  ])('a link answers the failure %s of the bucket with %s %s', async (key, status, code) => {
    const app = direct()
    const response = await app.fetch(await linkTo(app, key, 'faulty'))
    expect(response.status).toBe(status)
    expect(await jsonOf(response)).toMatchObject(coded(code))
  })

  it('a truncated body ends in an error, not as if it were complete', async () => {
    const app = direct()
    const response = await app.fetch(await linkTo(app, `cut/${crypto.randomUUID()}.png`, 'faulty'))
    expect(response.status).toBe(200)
    await expect(textOf(response)).rejects.toThrow()
  })

  // @threat delivery-cut
  it('is logged as cut, with the id of its request', async () => {
    const app = direct()
    const link = await linkTo(app, `cut/${crypto.randomUUID()}.png`, 'faulty')
    const lines = captureLog()
    const response = await app.fetch(link)
    await expect(textOf(response)).rejects.toThrow()
    const line = await vi.waitUntil(
      () => lines.find((text) => text.includes('delivery cut')),
      PATIENCE,
    )
    expect(JSON.parse(line)).toMatchObject({
      warning: 'delivery cut',
      requestId: response.headers.get('X-Request-Id'),
      bucket: 'faulty',
    })
    expect(app.lines.at(-1)).toMatchObject({ cache: 'edge-presigner; fwd=bypass' })
  })

  it('the request to the bucket ends when the client disconnects', async () => {
    const app = direct()
    const key = `endless/${crypto.randomUUID()}.png`
    const link = await linkTo(app, key, 'faulty')
    const host = `http://127.0.0.1:${inject('testPorts').faulty}`
    const isOpen = async () => {
      const path = encodeURIComponent(`/files/${key}`)
      return (await fetch(`${host}/.open?path=${path}`)).text()
    }
    const response = await app.fetch(link)
    const reader = response.body?.getReader()
    await reader?.read()
    expect(await isOpen()).toBe('true')
    await reader?.cancel()
    await expect.poll(isOpen).toBe('false')
  })

  it('an encoded object is sent as it is stored, even through middleware that rebuilds responses', async () => {
    const host = new Hono().use(secureHeaders()).use(async (c, next) => {
      void c.res
      await next()
    })
    const app = mount({ host, links: { entrypoint: null }, settings: { buckets: bucketsOf() } })
    const link = await linkTo(app, 'encoded:gzip/a.png', 'faulty')
    const response = await app.fetch(link, { headers: { 'Accept-Encoding': 'gzip' } })
    expect(response.headers.get('Content-Encoding')).toBe('gzip')
    const body = await new Response(response.body).arrayBuffer()
    expect(body.byteLength).toBe(Number(response.headers.get('Content-Length')))
    expect((await app.fetch(link)).status).toBe(406)
  })
})

describe('an app with its own entrypoint', () => {
  it('gets objects only from that entrypoint', async () => {
    const opened: string[] = []
    const Media = {
      async fetch(request: Request) {
        opened.push(new URL(request.url).pathname)
        const headers = { ETag: '"e"', 'Content-Type': 'image/png', 'CF-Cache-Status': 'HIT' }
        return new Response('from Media', { headers })
      },
      purge: async () => null,
    }
    const fetched = vi.fn()
    const host = new Hono()
    const app = mount({ host, links: { entrypoint: 'Media' } })
    const link = await linkTo(app, 'a.png')
    vi.stubGlobal('fetch', fetched)
    const context = Object.assign(createExecutionContext(), { exports: { Media } })
    const response = await host.fetch(new Request(link), {}, context)
    await waitOnExecutionContext(context)
    expect(await textOf(response)).toBe('from Media')
    expect(response.headers.get('Cache-Status')).toBe('edge-presigner; hit')
    expect(opened).toHaveLength(1)
    expect(fetched).not.toHaveBeenCalled()
  })
})

it('serves at the root of an origin by fetch, with or without an execution context', async () => {
  const { createPresigner, defineSettings } = await import('../../src/index.ts')
  const settings = defineSettings(() => settingsInput())
  for (const authenticate of [undefined, () => ANN]) {
    const presigner = createPresigner(settings, authenticate ? { authenticate } : {})
    const app = clientOf({
      fetch: (request, env = {}, context) => presigner.fetch(request, env, context),
    })
    expect((await app.fetch('/healthz')).status).toBe(200)
    const bare = await presigner.fetch(new Request(`${ORIGIN}/healthz`), {})
    expect(await jsonOf(bare)).toEqual({ status: 'ok', edgeCache: false })
    const files = await presigner.fetch(new Request(`${ORIGIN}/files/a/url`), {})
    expect(files.status).toBe(authenticate ? 200 : 401)
  }
})
