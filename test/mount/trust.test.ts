import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { createPresigner, defineSettings, type Principal } from '../../src/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { kvFileIndex } from '../../src/plugins/files/kv-file-index.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { createSigner } from '../../src/signer.ts'
import { jsonOf, ORIGIN, settingsInput } from '../support/app.ts'
import { bucketFetch } from '../support/bucket.ts'
import { testApiKey } from '../support/credentials.ts'
import { everyPlugin } from '../support/every-plugin.ts'
import { clientOf, mount } from '../support/mount.ts'

const png = { fileName: 'a.png', mimetype: 'image/png' }

describe('presigner.fetch', () => {
  const settings = defineSettings(() => settingsInput({ linkBase: ORIGIN }))

  it.each([
    [{}, /^attachment/],
    [{ events: { onEvent: (): void => undefined } }, /^attachment/],
    [{ links: { ownsOrigin: true } }, /^null$/],
    [{ links: { ownsOrigin: true }, events: { onEvent: (): void => undefined } }, /^null$/],
  ])('shows a PDF inline only with ownsOrigin: %j', async (options, disposition) => {
    const key = `trust/${crypto.randomUUID()}.pdf`
    const headers = { 'Content-Type': 'application/pdf' }
    await bucketFetch(key, { method: 'PUT', body: '%PDF', headers })
    const { link } = await createSigner(settings, {}).link(key)
    const presigner = createPresigner(settings, {
      plugins: everyPlugin(options),
      log: () => undefined,
    })
    const app = { fetch: (request: Request) => presigner.fetch(request, {}) }
    const response = await clientOf(app).fetch(link)
    expect(response.status).toBe(200)
    expect(String(response.headers.get('Content-Disposition'))).toMatch(disposition)
    await response.body?.cancel()
  })
})

it('reports an entrypoint for objects that belongs to a different presigner', async () => {
  const [files] = Object.values(settingsInput().buckets)
  const app = mount({ settings: { buckets: { files: { ...files, edgeTtl: 7 } as never } } })
  const { link } = await jsonOf<{ link: string }>(await app.post('/media/files/a.png/link', {}))
  const response = await app.fetch(link)
  expect(response.status).toBe(503)
  expect(await jsonOf(response)).toMatchObject({
    code: 'misconfigured',
    message: expect.stringContaining('links({ entrypoint })'),
  })
})

it('reads a body that the app has wrapped in its own stream', async () => {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(JSON.stringify(png)))
      controller.close()
    },
  })
  const headers = { 'Content-Type': 'application/json' }
  const response = await mount().fetch('/media/files/upload-url', { method: 'POST', body, headers })
  expect(response.status).toBe(200)
})

it('answers with the code of an error from a different copy of this package', async () => {
  const list = () => {
    const members = { name: 'PresignerError', code: 'unavailable', reason: 'index', issues: [] }
    throw Object.assign(new Error('The database is down.'), members)
  }
  const app = mount({ files: { index: () => ({ ...memoryFileIndex(), list }) } })
  const response = await app.fetch('/media/files')
  expect(response.status).toBe(503)
  expect(await jsonOf(response)).toMatchObject({
    code: 'unavailable',
    reason: 'index',
    message: 'The database is down.',
  })
})

describe('a rate limiter', () => {
  it('that throws an error with a URL does not show the URL in the log', async () => {
    const limit = () => Promise.reject(new Error('GET https://redis.example/?token=SECRET'))
    const app = mount({ rateLimiter: () => ({ limit }) })
    expect((await app.post('/media/files/upload-url', png)).status).toBe(200)
    expect(app.lines[0]?.warning).toBe('rate limit not applied: Error: GET (URL)')
  })

  it('may return a value instead of a promise', async () => {
    const limit = () => ({ success: false })
    const app = mount({ rateLimiter: () => ({ limit }) as never })
    expect((await app.post('/media/files/upload-url', png)).status).toBe(429)
  })
})

it.each([
  ['files.index', (missing: never) => ({ files: { index: missing } })],
  ['rateLimiter', (missing: never) => ({ rateLimiter: missing })],
])('names %s in /healthz when its binding is missing', async (path, given) => {
  const missing = () => undefined
  const response = await mount(given(missing as never)).fetch('/media/healthz')
  expect(response.status).toBe(503)
  expect(await jsonOf(response)).toMatchObject({ issues: [{ path }] })
})

it('explains in /healthz how to bind a missing KV namespace for the file index', async () => {
  const app = mount({ files: { index: () => kvFileIndex(undefined as never) } })
  expect(await jsonOf(await app.fetch('/media/healthz'))).toMatchObject({
    message: 'The settings are not valid.',
    issues: [{ path: 'files.index', message: expect.stringContaining('[[kv_namespaces]]') }],
  })
})

it('names the invalid settings in the log line too', async () => {
  const app = mount({ settings: { signingSecrets: 'short', corsOrigins: ['*'] } })
  const response = await app.fetch('/media/files')
  expect(await jsonOf(response)).toMatchObject({
    code: 'misconfigured',
    message: 'The settings are not valid. /healthz names each one.',
  })
  expect(app.lines[0]).toMatchObject({ reason: 'signingSecrets, corsOrigins.0' })
})

it('names an invalid publicJwk by its path in the options of an app', async () => {
  const publicJwk = { kty: 'EC', crv: 'P-256', x: 'AQ', y: 'AQ' } as const
  const jwt = {
    ...{ issuer: 'i', audience: 'a', algorithms: ['ES256'], prefix: '', publicJwk },
    scopes: SCOPES,
  }
  const app = mount({ jwt: { accept: jwt }, authenticate: undefined as never })
  expect(await jsonOf(await app.fetch('/media/healthz'))).toMatchObject({
    issues: [{ path: 'jwt.accept.publicJwk' }],
  })
})

it('names the valid scopes, and which one from authenticate is unknown', async () => {
  const principal = { id: 'ann', scopes: ['upload'], prefix: '' }
  const app = mount({ authenticate: () => principal as never })
  expect((await app.post('/media/files/upload-url', png)).status).toBe(500)
  expect(app.lines[0]?.reason).toContain('scopes.0 must be one of files:upload')
})

// @threat app-changes
it.each(['app', 'token', 'key'])(
  'hands the app a frozen principal of kind %s, which no other user shares',
  async (kind) => {
    const changed: string[] = []
    const touch = (_: unknown, principal: Principal | null) => {
      if (principal === null) return
      const changes: Record<string, () => unknown> = {
        maxBytes: () => Object.assign(principal.limits, { maxBytes: 3 }),
        prefix: () => Object.assign(principal, { prefix: '' }),
        scopes: () => (principal.scopes as string[]).push('files:delete'),
        context: () => Object.assign(principal.context ?? Object.freeze({}), { order: 2 }),
      }
      for (const [name, change] of Object.entries(changes))
        try {
          change()
          changed.push(`${principal.kind} ${name}`)
        } catch {
          // A frozen object throws a TypeError.
        }
    }
    const key = await testApiKey('app', ['files:upload', 'files:delete', 'tokens:create'])
    const bearerOf = (credential: string) => ({ Authorization: `Bearer ${credential}` })
    const app = mount({
      ...(kind === 'app' ? {} : { authenticate: undefined as never }),
      apiKeys: { keys: [key.entry] },
      beforeUpload: (file, principal) => touch(file, principal) as undefined,
      beforeDelete: (file, principal) => touch(file, principal) as undefined,
    })
    const asked = { scopes: ['files:upload', 'files:delete'], context: { order: 1 } }
    const tokenFrom = async () =>
      (
        await jsonOf<{ token: string }>(
          await app.post('/media/tokens', asked, { headers: bearerOf(key.token) }),
        )
      ).token
    const headers = kind === 'app' ? {} : bearerOf(kind === 'key' ? key.token : await tokenFrom())
    const asks = async () => (await app.post('/media/files/upload-url', png, { headers })).status
    expect(await asks()).toBe(200)
    const path = '/media/files/frozen.png'
    expect((await app.fetch(path, { method: 'DELETE', headers })).status).toBe(204)
    expect(changed).toEqual([])
    const large = { ...png, size: 4 }
    expect((await mount().post('/media/files/upload-url', large)).status).toBe(200)
  },
)

// @threat app-changes
it('hands functions of the app and plugins a frozen file and change', async () => {
  const frozen: Record<string, boolean[]> = {}
  const see =
    (name: string) =>
    (...[given]: readonly [object, ...unknown[]]): undefined => {
      const seen = [given, ...Object.values(given)]
      frozen[name] = [...(frozen[name] ?? []), seen.every((one) => Object.isFrozen(one))]
    }
  const app = mount({
    beforeUpload: see('beforeUpload'),
    beforeDelete: see('beforeDelete'),
    beforeDownload: see('beforeDownload'),
    plugins: [
      files(),
      { name: 'mine', setup: () => ({ check: see('check'), reserve: see('reserve') }) },
    ],
  })
  const asked = { ...png, metadata: { camera: 'a' } }
  expect((await app.post('/media/files/upload-url', asked)).status).toBe(200)
  expect((await app.fetch('/media/files/frozen.png/url')).status).toBe(200)
  expect((await app.fetch('/media/files/frozen.png', { method: 'DELETE' })).status).toBe(204)
  expect(frozen).toEqual({
    ...{ beforeUpload: [true], beforeDelete: [true], beforeDownload: [true] },
    ...{ check: [true, true], reserve: [true, true] },
  })
})

// @threat app-changes
it('signs no metadata that beforeUpload has written into its file', async () => {
  const app = mount({
    beforeUpload: ({ metadata }) => void Object.assign(metadata ?? {}, { owner: 'a\nb' }),
  })
  const asked = { ...png, metadata: { camera: 'a' } }
  expect((await app.post('/media/files/upload-url', asked)).status).toBe(500)
  expect(app.lines[0]?.reason).toContain('TypeError')
})

// @threat app-limits
it('refuses a principal with an unknown member, and names it in the log', async () => {
  for (const limit of [{ buckets: ['files'] }, { maxBytes: 3 }, { limit: { maxBytes: 3 } }]) {
    const principal = { id: 'ann', scopes: SCOPES, prefix: '', ...limit }
    const app = mount({ authenticate: () => principal as never })
    const response = await app.post('/media/files/upload-url', png)
    expect(await jsonOf(response)).toMatchObject({ code: 'internal' })
    expect(app.lines[0]).toMatchObject({
      code: 'internal',
      reason: expect.stringContaining(
        `an invalid principal: has unknown members: "${Object.keys(limit)}"`,
      ),
    })
  }
})

// @threat app-limits
it.each(['authenticate', 'beforeUpload', 'beforeDelete', 'beforeDownload', 'log'])(
  'refuses an option that must be a function: %s',
  async (name) => {
    for (const wrong of [true, 'x', {}]) {
      const app = mount({ [name]: wrong } as object)
      expect(await jsonOf(await app.fetch('/media/healthz'))).toMatchObject({
        code: 'misconfigured',
        issues: [{ path: name, message: 'must be a function' }],
      })
    }
  },
)

// @threat app-limits
it.each(['beforeUpload', 'beforeDelete', 'beforeDownload'])(
  'does nothing if %s returns false, which is no answer',
  async (name) => {
    const app = mount({ [name]: () => false } as object)
    const answers = [
      app.post('/media/files/upload-url', png),
      app.fetch('/media/files/a.png', { method: 'DELETE' }),
      app.fetch('/media/files/a.png/url'),
    ]
    const statuses = (await Promise.all(answers)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 500)).toHaveLength(1)
  },
)

// @threat app-limits
it('refuses an unknown option, next to other issues, and names the known ones', async () => {
  const app = mount({ maxBytes: 3, Authenticate: () => null } as object)
  const health = await jsonOf(await app.fetch('/media/healthz'))
  expect(health).toMatchObject({
    code: 'misconfigured',
    issues: [
      {
        path: 'options',
        message: expect.stringMatching(
          /^has unknown members: maxBytes, Authenticate\. Known members: plugins, rateLimiter, .*appTimeoutSeconds$/,
        ),
      },
    ],
  })
  const refused = await app.post('/media/files/upload-url', png)
  expect(await jsonOf(refused)).toMatchObject({ code: 'misconfigured' })
  expect(app.lines.at(-1)).toMatchObject({ code: 'misconfigured', reason: 'options' })
  const both = mount({ maxBytes: 3, settings: { signingSecrets: 'short' } } as object)
  const { issues } = await jsonOf<{ issues: { path: string }[] }>(
    await both.fetch('/media/healthz'),
  )
  expect(issues.map(({ path }) => path)).toEqual(['signingSecrets', 'options'])
})

it.each([null, '2026-11-25T12:00:00Z', new Date('x')])(
  'refuses a session that expires at %s, and logs the reason',
  async (expiresAt) => {
    const principal = { id: 'ann', scopes: ['files:upload'], prefix: 'ann/', expiresAt }
    const app = mount({ authenticate: () => principal as never })
    expect((await app.post('/media/files/upload-url', png)).status).toBe(500)
    expect(app.lines[0]?.reason).toContain('expiresAt must be a valid Date')
  },
)

describe('beforeUpload that returns its input', () => {
  const echo = ({ directory, metadata }: { directory?: unknown; metadata?: unknown }) =>
    ({ directory, metadata }) as never

  it('does not turn an error of the client into an error of the app', async () => {
    const app = mount({ beforeUpload: echo })
    const bad = { ...png, directory: '..' }
    const refused = await app.post('/media/files/upload-url', bad)
    expect(refused.status).toBe(400)
    expect(await jsonOf(refused)).toMatchObject({ code: 'invalid_key' })
  })

  it('keeps the names that Uppy sends', async () => {
    const app = mount({ beforeUpload: echo })
    const query = 'filename=a.png&type=image/png&metadata[user_id]=7'
    const response = await app.fetch(`/media/s3/params?${query}`)
    expect(await jsonOf(response)).toMatchObject({ fields: { 'x-amz-meta-user_id': '7' } })
  })
})

it('takes a null function of the app as none, mounted or not', async () => {
  const none = { authenticate: null, beforeUpload: null, beforeDelete: null } as object
  const presigner = createPresigner(defineSettings(settingsInput()), { ...none, log: () => {} })
  const request = () => new Request('https://app.example/limits')
  expect((await presigner.fetch(request(), {})).status).toBe(401)
  expect((await presigner.app.fetch(request(), {})).status).toBe(401)
})
