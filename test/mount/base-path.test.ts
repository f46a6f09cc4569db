import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import {
  createPresigner,
  defineSettings,
  type LogLine,
  type PresignerOptions,
} from '../../src/index.ts'
import { memoryFileIndex } from '../../src/testing.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, ORIGIN, type SettingsChanges, settingsInput, upload } from '../support/app.ts'
import { testApiKey } from '../support/credentials.ts'
import { credentials, everyPlugin } from '../support/every-plugin.ts'
import { textOf } from '../support/links.ts'
import { clientOf, mount } from '../support/mount.ts'

const BASE = '/api/media'
const apiKey = await testApiKey('server', SCOPES)

/** A presigner without a host app, whose user is Ann, or who has the API key. */
function alone(
  { settings, ...options }: PresignerOptions & { settings?: SettingsChanges } = {},
  isAnn = true,
) {
  const lines: LogLine[] = []
  const presigner = createPresigner(
    defineSettings(() => settingsInput(settings)),
    {
      plugins: [
        ...everyPlugin({ files: { index: memoryFileIndex() } }),
        ...(isAnn ? [] : credentials({ apiKeys: { keys: [apiKey.entry] } })),
      ],
      log: (line) => void lines.push(line),
      basePath: BASE,
      ...(isAnn ? { authenticate: () => ANN } : {}),
      ...options,
    },
  )
  const client = clientOf({
    fetch(request, env = {}, context) {
      if (isAnn) return presigner.fetch(request, env, context)
      const headers = new Headers(request.headers)
      headers.set('Authorization', `Bearer ${apiKey.token}`)
      return presigner.fetch(new Request(request, { headers }), env, context)
    },
  })
  return { presigner, lines, ...client }
}

describe.each([
  ['the login of the app', true],
  ['API keys', false],
])('presigner.fetch with a base path and %s', (_, isAnn) => {
  it.each(['', BASE, '/a.b/c_d/-e1'])('has all routes below "%s"', async (base) => {
    const app = alone({ basePath: base }, isAnn)
    const key = await upload(app, base)
    const recorded = await app.post(`${base}/files`, { key, name: 'Cat.png' })
    const location = recorded.headers.get('Location') ?? ''
    expect(location).toBe(`${base}/files/${encodeURIComponent(key)}?bucket=files`)
    expect(await jsonOf(await app.fetch(location))).toMatchObject({ key, name: 'Cat.png' })

    const { link } = await jsonOf<{ link: string }>(await app.post(`${base}/files/${key}/link`, {}))
    expect(link).toMatch(`${ORIGIN}${base}/i/files/${encodeURIComponent(key)}?`)
    expect(await textOf(await app.fetch(link))).toBe('pixels')

    const request = { scopes: ['files:read', 'files:upload'] }
    const { token } = await jsonOf<{ token: string }>(await app.post(`${base}/tokens`, request))
    expect(await jsonOf(await app.fetch(`${base}/u/${token}/files/${key}`))).toMatchObject({ key })
    expect(await jsonOf(await app.fetch(`${base}/healthz?`))).toMatchObject({ status: 'ok' })
    expect(app.lines.map(({ route }) => route)).toContain('/files/:key/link')
  })

  it('answers 404 for every path outside of it', async () => {
    const app = alone({}, isAnn)
    for (const path of ['/healthz', '/limits', '/api/mediaX/healthz', '/api/mediX/healthz'])
      expect((await app.fetch(path)).status).toBe(404)
  })

  it('names an invalid base path', async () => {
    const health = await alone({ basePath: `${BASE}/` }, isAnn).fetch(`${BASE}/healthz`)
    expect(await jsonOf(health)).toMatchObject({ issues: [{ path: 'basePath' }] })
  })
})

describe('presigner.fetch with a base path', () => {
  it('has the base path in the URLs for forms of Uppy', async () => {
    const files = { ...Object.values(settingsInput().buckets)[0], postUploads: false }
    const app = alone({ settings: { buckets: { files: files as never } } })
    const uppy = await app.fetch(`${BASE}/s3/params?filename=a.png&type=image/png`)
    expect((await jsonOf(uppy)).url).toBe(`${ORIGIN}${BASE}/s3/form`)
  })

  it.each([
    ...['/', '/healthz', '/api', '/api/healthz', '/api/mediaX/healthz', '/api/media-2/healthz'],
    ...[
      '/api/medi%61/healthz',
      '/api%2Fmedia/healthz',
      '/API/media/healthz',
      '//api/media/healthz',
    ],
    ...[
      '/api//media/healthz',
      '/x/api/media/healthz',
      '/api/media%2Fhealthz',
      '/api/media;/healthz',
    ],
    ...['/healthz?/api/media/healthz', '/api/media/../healthz', '/api/media\\..\\healthz'],
  ])('answers 404 for %s, with a log line', async (path) => {
    const app = alone({ settings: { corsOrigins: ['https://page.example'] } })
    const preflight = {
      method: 'OPTIONS',
      headers: { Origin: 'https://page.example', 'Access-Control-Request-Method': 'GET' },
    }
    for (const init of [{}, { method: 'POST' }, preflight]) {
      const answer = await app.fetch(ORIGIN + path, init)
      expect(answer.status).toBe(404)
      expect(await jsonOf(answer)).toMatchObject({ code: 'not_found' })
      expect(app.lines.at(-1)).toMatchObject({ status: 404, code: 'not_found' })
    }
    expect(app.lines).toHaveLength(3)
  })

  it('has the root of its routes at the base path, and one slash behind it', async () => {
    const app = alone()
    for (const path of [BASE, `${BASE}/`, `${BASE}?a=b`, `${BASE}//healthz`, `${BASE}/healthz/`])
      expect((await app.fetch(path)).status).toBe(404)
    expect(app.lines.every(({ principal }) => principal !== undefined)).toBe(true)
  })

  // @threat link-two-spellings
  it('serves a link only below its own base path', async () => {
    const app = alone()
    const key = await upload(app, BASE)
    const { link } = await jsonOf<{ link: string }>(await app.post(`${BASE}/files/${key}/link`, {}))
    expect((await app.fetch(link)).status).toBe(200)
    for (const other of ['/api/mediX', '/api%2Fmed', '/api', '', '/api/media/', `${BASE}${BASE}`]) {
      const moved = await app.fetch(link.replace(BASE, other))
      expect([other, moved.status]).toEqual([other, 404])
    }
    const same = alone({ basePath: '/i' })
    // This is `GET /files/:key`, which has no such query.
    expect((await same.fetch(link.replace(BASE, ''))).status).toBe(400)
    expect((await same.fetch(link.replace(BASE, '/i'))).status).toBe(200)
  })

  it.each<[string, unknown]>([
    ...['/', 'api/media', '/api/media/', '//api', '/api//media', '/api/..', '/./api', '/a b'].map(
      (text): [string, unknown] => [text, text],
    ),
    ...[
      '/api/medi%61',
      '/é',
      '/a?b',
      '/a#b',
      '/a:b',
      '/.a',
      '/*',
      '\\api',
      'https://app.example/api',
    ].map((text): [string, unknown] => [text, text]),
    ['null', null],
    ['a number', 7],
  ])('names %s as an invalid base path wherever /healthz is asked for', async (_name, basePath) => {
    const app = alone({ basePath: basePath as string })
    for (const base of ['', BASE, '/api/media/']) {
      const health = await app.fetch(`${ORIGIN}${base}/healthz`)
      expect(health.status).toBe(503)
      const { issues } = await jsonOf(health)
      expect(issues).toEqual([{ path: 'basePath', message: expect.stringMatching(/^must be a /) }])
      expect((await app.fetch(`${ORIGIN}${base}/limits`)).status).toBe(503)
    }
    expect(app.lines.at(-1)?.reason).toContain('basePath')
  })

  it('has its links where linkBase says, and its routes below the base path', async () => {
    const linkBase = 'https://files.example/elsewhere'
    const app = alone({ settings: { linkBase } })
    const key = await upload(app, BASE)
    const { link } = await jsonOf<{ link: string }>(await app.post(`${BASE}/files/${key}/link`, {}))
    expect(link).toMatch(`${linkBase}/i/files/`)
    // A proxy puts the base path instead of the path that clients see.
    expect((await app.fetch(link)).status).toBe(404)
    expect(await textOf(await app.fetch(link.replace(linkBase, ORIGIN + BASE)))).toBe('pixels')
  })

  it('serves only links on the host of links, and moves links there', async () => {
    const linkBase = `https://files.example${BASE}`
    const app = alone({ settings: { linkBase, linkHostOnly: true } })
    const key = await upload(app, BASE)
    const { link } = await jsonOf<{ link: string }>(await app.post(`${BASE}/files/${key}/link`, {}))
    expect(await textOf(await app.fetch(link))).toBe('pixels')
    expect((await app.fetch(`${linkBase}/limits`)).status).toBe(404)
    const moved = await app.fetch(new URL(link).pathname + new URL(link).search, {
      redirect: 'manual',
    })
    expect([moved.status, moved.headers.get('Location')]).toEqual([308, link])
  })

  it('leaves the path of presigner.app to Hono, if that mounts it below one', async () => {
    const { presigner } = alone()
    const root = new Hono().route('/', presigner.app)
    expect((await root.request(`${BASE}/healthz`)).status).toBe(200)
    expect((await root.request('/healthz')).status).toBe(404)
    const host = new Hono().route('/media', presigner.app)
    const statusOf = async (path: string) => (await host.request(path)).status
    expect(await statusOf('/media/healthz')).toBe(200)
    expect(await statusOf(`/media${BASE}/healthz`)).toBe(404)
    expect(await statusOf(`${BASE}/healthz`)).toBe(404)
  })
})

it('an app that is mounted in Hono has no other routes with a base path', async () => {
  const [without, below] = [mount(), mount({ basePath: BASE })]
  for (const path of ['/media/healthz', '/media/limits', `/media${BASE}/healthz`, BASE, '/media'])
    expect((await below.fetch(path)).status).toBe((await without.fetch(path)).status)
})

describe('pages', () => {
  // @threat app-csrf
  it('of another origin change nothing below a base path with the login of the app', async () => {
    const app = alone({ settings: { corsOrigins: ['https://friend.example'] } })
    const statusFor = async (Origin: string) =>
      (await app.post(`${BASE}/files/a.png/link`, {}, { headers: { Origin } })).status
    expect(await statusFor('https://evil.example')).toBe(403)
    expect(await statusFor(ORIGIN)).toBe(200)
    expect(await statusFor('https://friend.example')).toBe(200)
  })

  it('of corsOrigins get an answer to their preflight', async () => {
    const app = alone({ settings: { corsOrigins: ['https://friend.example'] } })
    const preflight = await app.fetch(`${BASE}/files/upload-url`, {
      method: 'OPTIONS',
      headers: { Origin: 'https://friend.example', 'Access-Control-Request-Method': 'POST' },
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('Access-Control-Allow-Origin')).toBe('https://friend.example')
  })
})
