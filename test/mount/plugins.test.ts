import { createExecutionContext, env } from 'cloudflare:test'
import { getCookie } from 'hono/cookie'
import { afterEach, describe, expect, it, vi } from 'vitest'
import * as z from 'zod/mini'
import type { Granted } from '../../src/access/minter.ts'
import type { Principal } from '../../src/access/principal.ts'
import { SCOPES } from '../../src/access/scopes.ts'
import { refuse, refuseAny } from '../../src/access/verdict.ts'
import { ApiError } from '../../src/errors/api-error.ts'
import type { Identify, Seams } from '../../src/http/app-env.ts'
import { principalOfApp } from '../../src/http/app-principal.ts'
import { extendDeadline, removeDeadline } from '../../src/http/deadline.ts'
import type { Settle, Step } from '../../src/http/host.ts'
import { newApp } from '../../src/http/new-app.ts'
import { json } from '../../src/http/responses.ts'
import { validateJson } from '../../src/http/validate.ts'
import { createPresigner, defineSettings, type Plugin } from '../../src/index.ts'
import { joinPlugins } from '../../src/join-plugins.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { apiKeys } from '../../src/plugins/api-keys/index.ts'
import { dropBoxes } from '../../src/plugins/drop-boxes/index.ts'
import { events } from '../../src/plugins/events/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { grants } from '../../src/plugins/grants/index.ts'
import { jwt } from '../../src/plugins/jwt/index.ts'
import { images } from '../../src/plugins/links/images/index.ts'
import { links } from '../../src/plugins/links/index.ts'
import { multipart } from '../../src/plugins/multipart/index.ts'
import { notifications } from '../../src/plugins/notifications/index.ts'
import { tokens } from '../../src/plugins/tokens/index.ts'
import { upkeep } from '../../src/plugins/upkeep/index.ts'
import { uppy } from '../../src/plugins/uppy/index.ts'
import type { QueueBatch } from '../../src/records/job.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, ORIGIN, settingsInput, upload } from '../support/app.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { environmentSettings } from '../support/environment-settings.ts'
import { credentials, everyPlugin } from '../support/every-plugin.ts'
import { FAKE_CLOCK, fakeSeconds } from '../support/fake-seconds.ts'
import { outcome } from '../support/grants.ts'
import { jwtVariable, testIssuer } from '../support/issuer.ts'
import { clientOf, type MountOptions, mount } from '../support/mount.ts'
import { baseVariables } from '../support/worker.ts'

/** Returns the issues of a presigner with these options. */
async function issuesWith(options: MountOptions): Promise<unknown> {
  const health = await mount(options).fetch('/media/healthz')
  return (await jsonOf(health)).issues
}

const issuesOf = (plugins: readonly Plugin[]): Promise<unknown> => issuesWith({ plugins })

const inPlugins = (message: string) => [{ path: 'plugins', message }]

const PNG = { fileName: 'a.png', mimetype: 'image/png' }

const withRoutes = (name: string, api: NonNullable<Plugin['api']>): Plugin => ({ name, api })

describe('a presigner without plugins', () => {
  const app = mount({ plugins: [] })

  it('signs uploads and downloads, and tells limits and health', async () => {
    const key = await upload(app, '/media')
    for (const path of [`/files/${key}/url`, '/limits', '/healthz'])
      expect.soft((await app.fetch(`/media${path}`)).status, path).toBe(200)
    expect((await app.post('/media/files/urls', { keys: [key] })).status).toBe(200)
  })

  it('says so in GET /limits, which names the plugins of every presigner', async () => {
    const pluginsOf = async (plugins: readonly Plugin[]) =>
      (await jsonOf(await mount({ plugins }).fetch('/media/limits'))).plugins
    expect(await pluginsOf([])).toEqual([])
    const sized = links({ images: images({ binding: undefined }) })
    expect(await pluginsOf([files(), { name: 'mine' }, sized])).toEqual([
      ...['files', 'mine', 'links', 'images'],
    ])
  })

  it.each([
    ['GET', '/files'],
    ['GET', '/files/a.png'],
    ['POST', '/files'],
    ['DELETE', '/files/a.png'],
    ['POST', '/files/a.png/link'],
    ['GET', '/i/files/a.png'],
    ['POST', '/multipart'],
    ['POST', '/s3/sign'],
    ['POST', '/tokens'],
    ['POST', '/notifications'],
  ])("has no other plugin's route: %s %s", async (method, path) => {
    const response = await app.fetch(`/media${path}`, { method })
    expect(response.status).toBe(404)
    expect(await jsonOf(response)).toMatchObject({ code: 'not_found' })
    expect(app.lines.at(-1)).toMatchObject({ code: 'not_found', status: 404 })
  })

  it('still asks who it is before it says that there is no such route', async () => {
    const { app: presigner } = createPresigner(
      defineSettings(() => settingsInput()),
      { authenticate: () => null, log: () => {} },
    )
    expect((await clientOf(presigner).fetch('/files')).status).toBe(401)
  })
})

describe('the order of plugins', () => {
  const own = withRoutes(
    'thumbnails',
    newApp().get('/files/:key/thumbnail', (c) => json(c, { thumbnail: c.req.param('key') })),
  )

  it.each([
    ['before', [own, files()]],
    ['after', [files(), own]],
  ])(
    "does not matter: a plugin's longer path comes first, also if it is %s",
    async (_, plugins) => {
      const app = mount({ plugins })
      const response = await app.fetch('/media/files/a/b.png/thumbnail')
      expect(await jsonOf(response)).toEqual({ thumbnail: 'a/b.png' })
      expect(await jsonOf(await app.fetch('/media/files/a.png/url'))).toHaveProperty('url')
    },
  )

  it.each([
    ['before', [own, files()]],
    ['after', [files(), own]],
  ])("keeps the core's own paths, also below a token: %s", async (_, plugins) => {
    const app = mount({ plugins: [...plugins, tokens()] })
    const minted = await app.post('/media/tokens', { scopes: ['files:read'] })
    const { token } = await jsonOf<{ token: string }>(minted)
    const response = await app.fetch(`/media/u/${token}/files/a.png/thumbnail`)
    expect(await jsonOf(response)).toEqual({ thumbnail: 'a.png' })
    expect((await app.fetch(`/media/u/${token}/files/a.png/url`)).status).toBe(200)
  })
})

describe('credentials', () => {
  const nobody = { authenticate: undefined as never }

  // @threat app-login-bypassed
  it.each([
    ['apiKeys', () => apiKeys({ keys: [] })],
    ['jwt', () => jwt({ accept: undefined })],
  ])('are of the app or of a plugin, not of both: %s', async (name, plugin) => {
    expect(await issuesOf([plugin()])).toEqual(
      inPlugins(`must not have ${name}() next to authenticate`),
    )
    expect(await issuesWith({ ...nobody, plugins: [plugin()] })).toBeUndefined()
    expect(await issuesOf([tokens()])).toBeUndefined()
  })

  // @threat app-login-bypassed
  it.each([false, undefined])('are not of the presigner with isOwn: %s', async (isOwn) => {
    const verify = () => ({ ok: true, principal: principalOfApp(ANN) }) as const
    const setup = () => ({ identify: { prefix: 'zz_', isOwn: isOwn as never, verify } })
    const own: Plugin = { name: 'own', setup }
    expect(await issuesOf([own])).toEqual(inPlugins('must not have own() next to authenticate'))
    const app = mount({ ...nobody, plugins: [own] })
    expect((await app.fetch('/media/limits', bearer('zz_1'))).status).toBe(200)
    expect((await app.fetch('/media/u/zz_1/limits')).status).toBe(401)
  })

  // @threat app-changes
  it('of a plugin that froze only the principal reach the app with frozen members', async () => {
    const seen: unknown[] = []
    const principal = { ...principalOfApp(ANN), limits: { ...principalOfApp(ANN).limits } }
    const verify = () => ({ ok: true, principal: Object.freeze(principal) }) as const
    const own: Plugin = { name: 'own', setup: () => ({ identify: { prefix: 'zz_', verify } }) }
    const beforeDownload = (_: unknown, { limits, scopes }: Principal) =>
      void seen.push(Object.isFrozen(limits), Object.isFrozen(scopes))
    const app = mount({ ...nobody, plugins: [own], beforeDownload })
    const key = `${ANN.prefix}a.txt`
    const asked = await app.fetch(`/media/files/${encodeURIComponent(key)}/url`, bearer('zz_1'))
    expect([asked.status, ...seen]).toEqual([200, true, true])
  })

  // @threat app-login-bypassed
  it('are refused without the plugin that knows their kind, also a token in the path', async () => {
    const key = await testApiKey('ci', SCOPES)
    const keys = [key.entry]
    const full = mount({ ...nobody, apiKeys: { keys } })
    const minted = await full.post('/media/tokens', { scopes: SCOPES }, bearer(key.token))
    const { token } = await jsonOf<{ token: string }>(minted)
    const without = mount({ ...nobody, plugins: [files(), apiKeys({ keys })] })
    for (const app of [full, without]) {
      const status = app === full ? 200 : 401
      expect((await app.fetch('/media/files/a/url', bearer(token))).status).toBe(status)
      expect((await app.fetch(`/media/u/${token}/files/a/url`)).status).toBe(status)
      expect((await app.fetch(`/media/u/${token}/files/a/url`, bearer(key.token))).status).toBe(
        status,
      )
    }
    expect(without.lines.at(-1)).toMatchObject({ reason: 'bearer credential of unknown kind' })
  })

  // @threat removed-key-works
  it("have made no token where no plugin knows them, also next to the app's login", async () => {
    const [key, issuer] = [await testApiKey('ci', SCOPES), await testIssuer()]
    const own = { apiKeys: { keys: [key.entry] }, jwt: { accept: jwtVariable(issuer) } }
    const full = mount({ ...nobody, ...own })
    for (const [id, credential] of [
      ['key:ci', key.token],
      ['jwt:alice', await issuer.sign()],
    ] as const) {
      const minted = await full.post('/media/tokens', { scopes: SCOPES }, bearer(credential))
      const { token } = await jsonOf<{ token: string }>(minted)
      expect((await full.fetch('/media/limits', bearer(token))).status).toBe(200)
      for (const options of [nobody, {}]) {
        const app = mount({ ...options, plugins: [tokens()] })
        expect((await app.fetch('/media/limits', bearer(token))).status).toBe(401)
        expect(app.lines.at(-1)?.reason).toBe(`token minter not configured: ${id}`)
      }
    }
  })

  it('of a plugin keep in their tokens what its minter still grants', async () => {
    let granted: Granted | null = { prefix: 'team-a/' }
    const own: Plugin = {
      name: 'tickets',
      setup: () => ({
        identify: {
          find: ({ c }) =>
            c.req.header('X-Ticket') === undefined
              ? undefined
              : { ok: true, principal: principalOfApp({ ...ANN, id: 'ticket', prefix: '' }) },
        },
        minter: (id) => (id === 'app:ticket' ? granted : undefined),
      }),
    }
    const app = mount({ ...nobody, plugins: [own, tokens()] })
    const request = { scopes: ['files:read'], prefix: 'team-a/' }
    const minted = await app.post('/media/tokens', request, { headers: { 'X-Ticket': '7' } })
    const { token } = await jsonOf<{ token: string }>(minted)
    const ask = async () => (await app.fetch('/media/files/team-a%2Fa/url', bearer(token))).status
    expect(await ask()).toBe(200)
    granted = { prefix: '', scopes: ['files:list'] }
    expect(await ask()).toBe(403)
    granted = null
    expect(await ask()).toBe(401)
  })

  // @threat removed-key-works
  it('of a user whose id has slashes have a minter that gets all of it', async () => {
    const asked: string[] = []
    const own: Plugin = {
      name: 'blocked',
      setup: () => ({ minter: (id) => (asked.push(id) > 2 ? null : undefined) }),
    }
    const app = mount({ authenticate: () => ({ ...ANN, id: 'org/ann' }), plugins: [own, tokens()] })
    const minted = await app.post('/media/tokens', { scopes: ['files:read'] })
    const { token } = await jsonOf<{ token: string }>(minted)
    const ask = async () => (await app.fetch('/media/limits', bearer(token))).status
    expect([await ask(), await ask(), await ask()]).toEqual([200, 200, 401])
    expect(asked).toEqual(Array(3).fill('app:org/ann'))
  })

  it.each([{}, { prefix: null }, { prefix: undefined }])(
    'of a user whose minter returns no prefix are refused: %j',
    async (granted) => {
      const own: Plugin = { name: 'odd', setup: () => ({ minter: () => granted as never }) }
      const ann = { ...ANN, prefix: 'undefined/' }
      const app = mount({ authenticate: () => ann, plugins: [own, tokens()] })
      const minted = await app.post('/media/tokens', { scopes: ['files:read'] })
      const { token } = await jsonOf<{ token: string }>(minted)
      expect((await app.fetch('/media/limits', bearer(token))).status).toBe(401)
    },
  )

  it.each([
    ['before', (own: Plugin, keys: Plugin) => [own, keys, tokens()]],
    ['after', (own: Plugin, keys: Plugin) => [keys, tokens(), own]],
  ])(
    'of an own kind are found by a plugin, and a refused one never is another: %s',
    async (_, list) => {
      const key = await testApiKey('ci', SCOPES)
      const asked: string[] = []
      const own: Plugin = {
        name: 'tickets',
        setup: () => ({
          identify: {
            find({ c }) {
              const ticket = c.req.header('X-Ticket')
              if (ticket === undefined) return undefined
              asked.push(ticket)
              return refuse('session expired')
            },
          },
        }),
      }
      const app = mount({ ...nobody, plugins: list(own, apiKeys({ keys: [key.entry] })) })
      const ask = async (headers: HeadersInit = {}) =>
        (await app.fetch('/media/limits', { headers })).status
      const ticket = { 'X-Ticket': '7' }
      expect(await ask(bearer(key.token).headers)).toBe(200)
      expect(await ask({ ...ticket, Authorization: `Bearer ${key.token}x` })).toBe(401)
      expect(asked).toEqual([])
      expect(await ask(ticket)).toBe(401)
      expect(asked).toEqual(['7'])
      expect(app.lines.at(-1)).toMatchObject({ reason: 'session expired' })
    },
  )
})

describe('the start of credentials', () => {
  const taking = (name: string, prefix: string): Plugin => ({
    name,
    setup: () => ({ identify: { prefix, verify: () => refuseAny('own key malformed') } }),
  })
  const issuesOfAll = async (plugins: readonly Plugin<object>[]): Promise<unknown> => {
    const settings = defineSettings(() => settingsInput())
    const app = clientOf(createPresigner(settings, { plugins, log: () => undefined }))
    return (await jsonOf(await app.fetch('/healthz'))).issues
  }

  it.each([
    ['ep', 'ep_'],
    ['ep_', 'ep_'],
    ['ep_', 'ep_x'],
    ['', 'ep_'],
  ])('is not that of another plugin, or the order would matter: "%s" and "%s"', async (a, b) => {
    const shared = inPlugins('must not share a prefix')
    expect(await issuesOfAll([taking('one', a), taking('two', b)])).toEqual(shared)
    expect(await issuesOfAll([taking('one', b), taking('two', a)])).toEqual(shared)
    expect(await issuesOfAll([taking('one', 'mine_'), ...credentials(), tokens()])).toBeUndefined()
  })
})

describe("a plugin's middleware", () => {
  const blocks = (routes: NonNullable<Plugin['api']>) =>
    mount({ plugins: [withRoutes('mine', routes)] })

  it('runs before a route behind it that names its parameter otherwise', async () => {
    const routes = newApp()
      .use('/mine/:a/*', (c) => Promise.resolve(c.text('blocked', 403)))
      .get('/mine/:b/x', (c) => c.text('open'))
    expect((await blocks(routes).fetch('/media/mine/1/x')).status).toBe(403)
  })

  it('goes on to its route, also if the app of the plugin has its own onError', async () => {
    const routes = newApp()
      .use('/mine/*', (_c, next) => next())
      .get('/mine/x', (c) => c.text('x'))
      .get('/mine/y', () => {
        throw new Error('broken')
      })
    routes.onError((_error, c) => c.text('theirs', 418))
    const app = blocks(routes)
    expect(await (await app.fetch('/media/mine/x')).text()).toBe('x')
    expect(await jsonOf(await app.fetch('/media/mine/y'))).toMatchObject({ code: 'internal' })
  })
})

describe("a plugin's response", () => {
  it('may be a fetched one, and has the headers of the API', async () => {
    const redirect = () => Response.redirect('https://other.example/')
    const plugin: Plugin = {
      name: 'mine',
      api: newApp().get('/mine/x', redirect),
      open: newApp().get('/mine/y', redirect),
    }
    const app = mount({ plugins: [plugin] })
    for (const path of ['/media/mine/x', '/media/mine/y']) {
      const { status, headers } = await app.fetch(path, { redirect: 'manual' })
      expect(status).toBe(302)
      expect(headers.get('Location')).toBe('https://other.example/')
      expect(headers.get('Cache-Control')).toBe('no-store')
      expect(headers.get('X-Request-Id')).toBe(app.lines.at(-1)?.requestId)
    }
  })
})

describe("a plugin's route that never answers", () => {
  afterEach(() => vi.useRealTimers())

  const never = () => new Promise<never>(() => undefined)
  const hanging = newApp()
    .get('/mine/route', never)
    .use('/mine/late/*', never)
    .get('/mine/late/route', (c) => c.text('late'))

  it.each(['/mine/open', '/mine/route', '/mine/late/route'])(
    'ends with the request: %s',
    async (path) => {
      vi.useFakeTimers(FAKE_CLOCK)
      const open = newApp().get('/mine/open', never)
      const app = mount({ plugins: [{ name: 'mine', open, api: hanging }] })
      const [response, seconds] = await fakeSeconds(app.fetch(`/media${path}`))
      expect([await outcome(response), seconds]).toEqual(['503 unavailable storage', 26])
      expect(vi.getTimerCount()).toBe(0)
    },
  )

  it('has no time limit while it reads a body by the API, and the whole time after that', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const reads = newApp().post('/mine/read', validateJson(z.strictObject({})), never)
    const app = mount({ plugins: [{ name: 'mine', api: reads }] })
    const body = new ReadableStream({
      async start(controller) {
        await new Promise((resolve) => setTimeout(resolve, 60_000))
        controller.enqueue(new TextEncoder().encode('{}'))
        controller.close()
      },
    })
    const headers = { 'Content-Type': 'application/json' }
    const sent = app.fetch('/media/mine/read', { method: 'POST', headers, body })
    const [response, seconds] = await fakeSeconds(sent)
    expect([await outcome(response), seconds]).toEqual(['503 unavailable storage', 86])
  })

  it('may have more time, or none', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const later = (seconds: number) => async () => {
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
      return new Response('done')
    }
    const slow = newApp()
      .get('/mine/more', (c) => {
        extendDeadline(c, 50)
        return later(45)()
      })
      .get('/mine/none', (c) => {
        removeDeadline(c)
        return later(100)()
      })
    const app = mount({ plugins: [{ name: 'mine', api: slow }] })
    for (const [path, seconds] of [
      ['/media/mine/more', 45],
      ['/media/mine/none', 100],
    ] as const) {
      const [response, took] = await fakeSeconds(app.fetch(path))
      expect([response.status, took]).toEqual([200, seconds])
    }
  })
})

describe('a list of plugins', () => {
  it('has each plugin once', async () => {
    expect(await issuesOf([files(), links(), files()])).toEqual(
      inPlugins('must have only one line "files(),"'),
    )
    expect(await issuesOf([multipart(), uppy(), multipart()])).toEqual(
      inPlugins('must have only one line "multipart(),"'),
    )
  })

  it.each<readonly [string, () => Plugin, readonly (() => Plugin)[]]>([
    ['uppy', uppy, [multipart]],
    ['grants', grants, [links]],
    ['dropBoxes', dropBoxes, [files, multipart]],
    ['notifications', notifications, [files]],
    ['upkeep', upkeep, [files]],
  ])('has what a plugin needs, at any place: %s()', async (name, create, needs) => {
    const needed = needs.map((one) => one())
    expect(await issuesOf([create()])).toEqual(
      needed.map(({ name: need }) => ({
        path: 'plugins',
        message: `must have ${need}(), which ${name}() needs. Add the line "${need}(),"`,
      })),
    )
    expect(await issuesOf([create(), ...needed])).toBeUndefined()
    expect(await issuesOf([...needed, create()])).toBeUndefined()
  })

  it('gives a plugin what it needs, and nothing else, in any order', async () => {
    const base = { name: 'base', text: 'given' }
    const got: unknown[] = []
    const mine: Plugin<unknown, { readonly base: typeof base }> = {
      name: 'mine',
      needs: ['base'],
      open: (needed) => newApp().get('/mine/open', (c) => c.text(needed.base.text)),
      api: ({ base: { text } }) => newApp().get('/mine/api', (c) => c.text(text)),
      setup(_setup, needed) {
        got.push(needed)
        return {}
      },
    }
    for (const plugins of [
      [mine, base, files()],
      [files(), base, mine],
    ]) {
      const app = mount({ plugins })
      for (const path of ['/media/mine/open', '/media/mine/api'])
        expect(await (await app.fetch(path)).text()).toBe('given')
      expect(got.pop()).toEqual({ base })
    }
  })

  it.each([
    ['the same path', '/links', newApp().post('/links', (c) => c.text(''))],
    [
      'a parameter with another name',
      '/files/:key',
      newApp().get('/files/:key', (c) => c.text('')),
    ],
    [
      'a parameter that takes one segment',
      '/files/:key',
      newApp().get('/files/:id', (c) => c.text('')),
    ],
    ['every method', '/links', newApp().all('/links', (c) => c.text(''))],
    ['a wildcard', '/files', newApp().use('/files/*', (_c, next) => next())],
  ])('has no two plugins for one path: %s', async (_, path, routes) => {
    expect(await issuesOf([files(), links(), withRoutes('mine', routes)])).toContainEqual({
      path: 'plugins',
      message: expect.stringMatching(`^must not share ${path}: \\w+, mine$`),
    })
  })

  it("has none for a path of the core's", async () => {
    const health = withRoutes(
      'mine',
      newApp().get('/healthz', (c) => c.text('')),
    )
    expect(await issuesOf([health])).toEqual(inPlugins('must not share /healthz: core, mine'))
  })

  it.each(['/files/:id/url', '/files/:id/:what', '/files/special/url', '/files/:key/url'])(
    'has none that would answer for the core, at another path: %s',
    async (path) => {
      const mine = withRoutes(
        'mine',
        newApp().get(path, (c) => c.text('taken')),
      )
      expect(await issuesOf([mine])).toEqual(
        inPlugins('must not share /files/:key/url: core, mine'),
      )
    },
  )

  it.each(['/files/:key/open', '/files/:key', '/files/:id/open', '/mine/:id/url'])(
    'may have a path next to those of the core: %s',
    async (path) => {
      const mine = withRoutes(
        'mine',
        newApp().get(path, (c) => c.text('')),
      )
      expect(await issuesOf([mine])).toBeUndefined()
    },
  )

  it.each(['/u/*', '/u/:x/*', '/u/:x/limits'])(
    "has none for the core's paths below a token: %s",
    async (path) => {
      const open = newApp().get(path, (c) => c.text('taken'))
      expect(await issuesOf([{ name: 'mine', open }])).toContainEqual({
        path: 'plugins',
        message: expect.stringMatching(/^must not share \/u\/:token\/[\w/:-]+: core, mine$/),
      })
    },
  )

  it('has no two plugins for a wildcard and a path behind it, however they name parameters', async () => {
    const one = withRoutes(
      'one',
      newApp().use('/mine/:a/*', (_c, next) => next()),
    )
    const two = withRoutes(
      'two',
      newApp().get('/mine/:b/x', (c) => c.text('')),
    )
    expect(await issuesOf([one, two])).toEqual(inPlugins('must not share /mine/:a/*: one, two'))
  })

  it.each(['/mine/:id?', '/mine/:id{[0-9]+}', '/mine/*/x', '/mine/**', '/mine*'])(
    'has no path that would match other requests than in Hono: %s',
    async (path) => {
      const mine = withRoutes(
        'mine',
        newApp().get(path, (c) => c.text('')),
      )
      expect(await issuesOf([mine])).toEqual(inPlugins(`must not have this kind of path: ${path}`))
    },
  )

  it('may have one path with two methods', async () => {
    const put = withRoutes(
      'mine',
      newApp().put('/files/:key', (c) => c.text('')),
    )
    expect(await issuesOf([files(), put])).toBeUndefined()
  })

  it('has only plugins', async () => {
    const message = 'must contain only plugins, such as files()'
    const mine = (members: object) => [{ name: 'mine', ...members }]
    for (const list of [
      ...[
        [files],
        [undefined],
        [null],
        ['files'],
        [{}],
        [[files()]],
        'files',
        {},
        new Set([files()]),
      ],
      ...[
        mine({ api: {} }),
        mine({ open: files }),
        mine({ api: null }),
        mine({ plugins: 'files' }),
        mine({ needs: 'files' }),
      ],
    ])
      expect.soft(await issuesOf(list as never), JSON.stringify(list)).toEqual(inPlugins(message))
  })
})

describe('a route of a plugin that is not there', () => {
  const routes = joinPlugins(everyPlugin()).plugins.flatMap(({ name, open, api }) =>
    [open, api].flatMap((app) =>
      (app?.routes ?? []).flatMap(({ method, path }) =>
        method === 'ALL' ? [] : [[name, method, path] as const],
      ),
    ),
  )

  it('names the plugin that it needs, for every route of the package', async () => {
    const bare = mount({ plugins: [tokens()] })
    const all = mount()
    const { token } = await jsonOf<{ token: string }>(
      await bare.post('/media/tokens', { scopes: ['files:read'], expiresIn: 60 }),
    )
    expect(routes.length).toBeGreaterThan(60)
    for (const [name, method, pattern] of routes) {
      if (name === 'tokens') continue
      const path = pattern.replace('/u/:token', '').replace(/:\w+/g, 'x')
      const body = method === 'GET' || method === 'HEAD' ? {} : { body: '{}' }
      for (const start of ['/media', `/media/u/${token}`]) {
        const response = await bare.fetch(start + path, { method, ...body })
        const { code, message } = await jsonOf(response)
        expect
          .soft([path, code, message])
          .toEqual([path, 'not_found', `This route needs the plugin ${name}().`])
      }
      const found = await all.fetch(`/media${path}`, { method, ...body })
      expect.soft(await found.text(), path).not.toContain('needs the plugin')
    }
  })

  it('needs credentials as any other', async () => {
    const app = mount({ plugins: [], authenticate: () => null })
    expect(await outcome(await app.fetch('/media/multipart', { method: 'POST' }))).toContain('401')
  })

  it.each(['/nothing', '/files/x/url/y', '/multiparty', '/'])(
    'is not one that nobody has: %s',
    async (path) => {
      const message = 'There is no such route.'
      const plugins = everyPlugin()
      expect(
        await jsonOf(await mount({ plugins }).fetch(`/media${path}`, { method: 'PUT' })),
      ).toMatchObject({ message })
    },
  )
})

describe('what only a missing plugin reads', () => {
  const needs = (path: string, plugin: string) => `plugin missing: ${path} needs ${plugin}()`
  const warningsWith = async (options: MountOptions): Promise<unknown> => {
    const health = await mount(options).fetch('/media/healthz')
    expect(health.status).toBe(200)
    return (await jsonOf(health)).warnings
  }
  const KEY = { accessKeyId: 'a', secretAccessKey: 'b' }
  const MEMBERS: readonly (readonly [string, unknown, string, readonly Plugin[]])[] = [
    ['edgeTtl', 60, 'links', [links()]],
    ['crossOriginResourcePolicy', 'same-site', 'links', [links()]],
    ['imageQuality', 70, 'images', [links({ images: images({ binding: undefined }) })]],
    ['postUploads', false, 'uppy', [uppy(), multipart()]],
    ['conditionalComplete', true, 'multipart', [multipart()]],
    ['managedPrefixes', ['own/'], 'notifications() or upkeep', [notifications(), files()]],
    ['upkeepCredentials', KEY, 'upkeep', [upkeep(), files()]],
  ]

  it.each(MEMBERS)(
    'is a warning: the member %s of a bucket',
    async (name, value, plugin, plugins) => {
      const [bucket] = Object.values(settingsInput().buckets)
      const settings = { buckets: { media: { ...bucket, [name]: value } } as never }
      const others = everyPlugin().filter(
        (one) => one.name !== plugin && !one.plugins?.length && !one.needs?.length,
      )
      expect(await warningsWith({ settings, plugins: others })).toEqual([
        needs(`buckets.media.${name}`, plugin),
      ])
      const more = await warningsWith({ settings, plugins })
      expect(more ?? []).not.toContainEqual(expect.stringContaining(name))
      expect((await mount({ settings, plugins: [] }).fetch('/media/limits')).status).toBe(200)
    },
  )

  it('is one warning for each setting', async () => {
    const [bucket] = Object.values(settingsInput().buckets)
    const buckets = { a: { ...bucket, edgeTtl: 1, imageQuality: 1 }, b: { ...bucket, edgeTtl: 1 } }
    expect(await warningsWith({ settings: { buckets: buckets as never }, plugins: [] })).toEqual([
      needs('buckets.a.edgeTtl', 'links'),
      needs('buckets.a.imageQuality', 'images'),
      needs('buckets.b.edgeTtl', 'links'),
    ])
  })

  it("is a warning: a variable of the Worker's", async () => {
    const secret = `whsec_${btoa('k'.repeat(32))}`
    const variables: Readonly<Record<string, readonly [unknown, string]>> = {
      API_KEYS: [[(await testApiKey('ci', SCOPES)).entry], 'apiKeys'],
      IMAGE_WIDTHS: [[64], 'images'],
      NOTIFICATION_SECRETS: ['0123456789abcdef0123456789abcdef', 'notifications'],
      WEBHOOKS: [[{ url: 'https://hooks.example/', secret }], 'events'],
      JWT: [jwtVariable(await testIssuer()), 'jwt'],
      UPKEEP: [{ mode: 'record' }, 'upkeep'],
    }
    const presigner = createPresigner(environmentSettings, { log: () => undefined })
    const app = clientOf(presigner, {
      ...baseVariables(),
      ...Object.fromEntries(Object.entries(variables).map(([name, [value]]) => [name, value])),
    })
    const { warnings } = await jsonOf<{ warnings: string[] }>(await app.fetch('/healthz'))
    const all = Object.entries(variables).map(([name, [, plugin]]) => needs(name, plugin))
    expect(warnings.toSorted()).toEqual(all.toSorted())
  })
})

describe('the options of a plugin', () => {
  const more = { sizes: undefined, Index: 1, on_event: 2 }

  it.each<readonly [string, Plugin, string]>([
    ['files', files(more as object), 'index, maxRequests'],
    ['events', events(more as object), 'onEvent, webhooks, queue, queueName'],
    ['links', links(more as object), 'images, entrypoint, ownsOrigin, addressOf'],
    [
      'images',
      links({ images: images({ binding: null, ...{ ...more, widths: 3 } }) }),
      'binding, sizes',
    ],
    ['notifications', notifications(more as object), 'secrets, queueName'],
    ['upkeep', upkeep(more as object), 'settings'],
  ])('have no unknown members: %s', async (name, plugin, known) => {
    // Members that are undefined count too.
    const unknown = name === 'images' ? 'Index, on_event, widths' : 'sizes, Index, on_event'
    const others = plugin.needs?.length ? [files()] : []
    expect(await issuesOf([plugin, ...others])).toEqual([
      { path: name, message: `has unknown members: ${unknown}. Known members: ${known}` },
    ])
  })

  it.each<readonly [string, Plugin, string]>([
    ['files.index', files({ index: {} as never }), 'must return an object with remove()'],
    ['files.index', files({ index: () => null as never }), 'must return an object with remove()'],
    // The namespace, without kvFileIndex.
    ['files.index', files({ index: () => env.FILE_INDEX as never }), 'must return an object'],
    ['links.ownsOrigin', links({ ownsOrigin: 'false' as never }), 'must be true or false'],
    ['events.queueName', events({ queueName: '' }), 'must not be empty'],
    ['notifications.queueName', notifications({ queueName: '' }), 'must not'],
    ['events.queue', events({ queue: 7 as never }), 'must return an object with sendBatch()'],
    ['events.webhooks', events({ webhooks: 'https://hooks.example' as never }), 'must be an array'],
    ['events.webhooks.0.url', events({ webhooks: [{ secret: 'x' }] as never }), 'is missing'],
    ['notifications.secrets', notifications({ secrets: 'short' }), 'must'],
    [
      'images.sizes.1',
      links({ images: images({ binding: null, sizes: () => [64, 0] }) }),
      'must be a whole number',
    ],
  ])('have their own path in issues: %s', async (path, plugin, message) => {
    const others = plugin.needs?.length ? [files()] : []
    const issues = (await issuesOf([plugin, ...others])) as { path: string; message: string }[]
    expect(issues.find((one) => one.path === path)?.message).toContain(message)
    expect(issues.every((one) => one.path.startsWith(path.split('.', 2).join('.')))).toBe(true)
  })
})

describe("a plugin's setup", () => {
  const having = (name: string, setup: NonNullable<Plugin['setup']>): Plugin => ({ name, setup })

  // @threat app-limits
  it.each([
    ['check', true, 'function'],
    ['step', 'no', 'function'],
    ['settle', {}, 'function'],
    ['reserve', 1, 'function'],
    ['after', {}, 'function'],
    ['identify', () => null, 'object'],
    ['queue', () => null, 'object'],
  ])('returns no %s of the wrong type', async (seam, wrong, kind) => {
    expect(await issuesOf([having('mine', () => ({ [seam]: wrong }))])).toContainEqual({
      path: `mine.setup.${seam}`,
      message: `must be a ${kind}`,
    })
  })

  // @threat app-limits
  it.each<[keyof Seams, (app: ReturnType<typeof mount>) => Promise<Response>]>([
    ['check', (app) => app.post('/media/files/upload-url', PNG)],
    ['check', (app) => app.fetch('/media/files/a.png', { method: 'DELETE' })],
    ['settle', async (app) => app.post('/media/files', { key: await upload(app, '/media') })],
    [
      'step',
      async (app) => {
        const body = { ...PNG, size: 10_000_000 }
        const { uploadId, key } = await jsonOf(await app.post('/media/multipart', body))
        const path = `/media/multipart/${uploadId}/urls`
        return app.post(path, { key, partNumbers: [1] })
      },
    ],
  ])('returns a %s that may not return false: that is 500 at once', async (seam, ask) => {
    const seams = { [seam]: () => false } as Partial<Seams>
    const app = mount({ plugins: [...everyPlugin(), having('mine', () => seams)] })
    expect(await outcome(await ask(app))).toBe('500 internal')
    expect(app.lines.at(-1)?.reason).toContain(`${seam} returned a value. To refuse, it throws`)
  })

  it.each([
    ['fileIndex', { fileIndex: memoryFileIndex() }],
    ['objects', { objects: () => ({}) as never }],
    ['enqueue', { enqueue: async () => undefined }],
  ])('returns a %s that no other plugin has', async (name, seam) => {
    const one = having('one', () => seam)
    expect(await issuesOf([one])).toBeUndefined()
    expect(await issuesOf([one, having('two', () => seam)])).toEqual(
      inPlugins(`must have only one ${name}`),
    )
  })

  it('returns no second index next to that of files', async () => {
    const index = () => memoryFileIndex()
    const own = having('own', () => ({ fileIndex: index() }))
    expect(await issuesOf([own, files({ index })])).toEqual(
      inPlugins('must have only one fileIndex'),
    )
    expect(await issuesOf([own, files()])).toBeUndefined()
  })

  it('that misspells a seam is an issue, since a check would let everything pass', async () => {
    const misspelt = having('mine', () => Object({ cheek: () => {} }))
    expect(await issuesOf([misspelt])).toEqual([
      {
        path: 'mine.setup',
        message: expect.stringMatching(/^has unknown members: cheek\. .*check/),
      },
    ])
  })

  // @threat change-unchecked
  it.each([
    ['an async setup', having('mine', (async () => ({ check: () => {} })) as never)],
    ['a function', having('mine', () => (() => ({})) as never)],
    ['a check outside of setup', Object({ name: 'mine', check: () => {} })],
  ])('whose check would be missed is an issue: %s', async (_, plugin) => {
    const others = plugin.needs?.length ? [files()] : []
    expect(await issuesOf([plugin, ...others])).toEqual([
      { path: 'mine', message: 'must return an object with its seams from setup' },
    ])
  })

  it('of images is in links, so images alone are no plugin', async () => {
    const alone = Object(images({ binding: undefined }))
    expect(await issuesOf([alone])).toEqual(inPlugins('must contain only plugins, such as files()'))
  })

  // @threat health-shows-secret
  it('that throws is an issue with its name and without its message', async () => {
    const app = mount({
      plugins: [
        having('mine', () => {
          throw new RangeError('canary')
        }),
        having('yours', (setup) => {
          setup.issue('yours.size', 'must be small')
          return {}
        }),
      ],
    })
    const health = await app.fetch('/media/healthz')
    expect(health.status).toBe(503)
    expect((await jsonOf(health)).issues).toEqual([
      { path: 'mine', message: 'could not be created: RangeError' },
      { path: 'yours.size', message: 'must be small' },
    ])
    expect((await app.fetch('/media/limits')).status).toBe(503)
    expect(app.lines.map(({ reason }) => reason)).toEqual(
      Array(2).fill(expect.stringMatching(/^mine, yours\.size; RangeError: canary/)),
    )
  })

  it('runs once for each environment, and again until it has no issue', async () => {
    const seen: unknown[] = []
    let isReady = false
    const { app } = createPresigner(
      defineSettings((_: { readonly tenant: string }) => settingsInput()),
      {
        authenticate: () => ANN,
        log: () => undefined,
        plugins: [
          {
            name: 'mine',
            setup({ env, settings, issue }) {
              seen.push([env.tenant, settings?.buckets.length])
              if (!isReady) issue('mine', 'is not ready')
              return {}
            },
          },
        ],
      },
    )
    const [a, b] = [clientOf(app, { tenant: 'a' }), clientOf(app, { tenant: 'b' })]
    expect((await a.fetch('/limits')).status).toBe(503)
    isReady = true
    for (const client of [a, a, b, b]) expect((await client.fetch('/limits')).status).toBe(200)
    expect(seen).toEqual([
      ['a', 1],
      ['a', 1],
      ['b', 1],
    ])
  })

  it('gets no settings if they are invalid', async () => {
    const setup = vi.fn<NonNullable<Plugin['setup']>>(() => ({}))
    await issuesWith({ settings: { signingSecrets: '' }, plugins: [having('mine', setup)] })
    expect(setup.mock.calls).toMatchObject([[{ settings: null }, {}]])
  })
})

describe('after', () => {
  const listening = (results: readonly unknown[]) => {
    const calls: string[] = []
    const index = memoryFileIndex()
    const plugins = results.map(
      (result, i): Plugin => ({
        name: `listener${i}`,
        setup: () => ({
          async after({ type, file }) {
            calls.push(`${i} begins`)
            await Promise.resolve()
            const stored = await index.get('files', parseObjectKey(file.key))
            calls.push(`${i} ${type} ${file.key}, stored: ${stored !== null}`)
            if (result instanceof Error) throw result
            return result as never
          },
        }),
      }),
    )
    return { calls, app: mount({ plugins: [...plugins, files({ index: () => index })] }) }
  }
  const record = async ({ app }: ReturnType<typeof listening>) => {
    const key = await upload(app, '/media')
    return { key, response: await app.post('/media/files', { key, name: 'a.png' }) }
  }

  it.each([
    [[{ id: 1 }, { id: 2 }], { id: 1 }],
    [[undefined, { id: 2 }], { id: 2 }],
    [[null, { id: 2 }], null],
    [[undefined, undefined], undefined],
  ])('of two plugins runs in order, and the first data counts: %j', async (results, data) => {
    const given = listening(results)
    const { key, response } = await record(given)
    expect(response.status).toBe(201)
    expect((await jsonOf(response)).data).toEqual(data)
    const line = (i: number) => [`${i} begins`, `${i} recorded ${key}, stored: false`]
    expect(given.calls).toEqual([...line(0), ...line(1)])
  })

  it('that throws stops the next one and the index, and a repeat calls both again', async () => {
    const given = listening([undefined, new Error('down'), undefined])
    const { key, response } = await record(given)
    expect(response.status).toBe(503)
    expect(await jsonOf(response)).toMatchObject({ code: 'unavailable', reason: 'events' })
    const line = (i: number) => [`${i} begins`, `${i} recorded ${key}, stored: false`]
    expect(given.calls.splice(0)).toEqual([...line(0), ...line(1)])
    expect((await given.app.post('/media/files', { key, name: 'a.png' })).status).toBe(503)
    expect(given.calls).toEqual([...line(0), ...line(1)])
  })

  it('that is late fails as one that throws, also where a request has no deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const after = () => {
      queueMicrotask(() => vi.advanceTimersByTime(1000))
      return new Promise<never>(() => {})
    }
    const presigner = createPresigner(defineSettings(settingsInput()), {
      plugins: [{ name: 'own', setup: () => ({ after }) }],
      appTimeoutSeconds: 1,
    })
    const told = presigner.instance({}).after?.({} as never, null, new Date(), {} as never)
    await expect(told).rejects.toMatchObject({ code: 'unavailable', reason: 'events' })
    vi.useRealTimers()
  })

  it('of a plugin of the app runs next to events', async () => {
    const onEvent = vi.fn(() => ({ data: 'of events' }))
    const after = vi.fn(async () => 'of the plugin')
    const own: Plugin = { name: 'own', setup: () => ({ after }) }
    for (const [list, data] of [
      [[own, events({ onEvent }), files()], 'of the plugin'],
      [[events({ onEvent }), own, files()], 'of events'],
    ] as const) {
      const app = mount({ plugins: list })
      const key = await upload(app, '/media')
      const recorded = await app.post('/media/files', { key, name: 'a.png' })
      expect(await jsonOf(recorded)).toMatchObject({ data })
    }
    expect([onEvent, after].map(({ mock }) => mock.calls.length)).toEqual([2, 2])
  })
})

describe('step and settle', () => {
  const FILE = { fileName: 'a.bin', mimetype: 'application/octet-stream', size: 3 }
  const refused = () => new ApiError('forbidden', 'Not now.')
  const asking = (seams: Partial<Seams>) => {
    const index = memoryFileIndex()
    const plugins = [
      { name: 'asking', setup: () => seams },
      files({ index: () => index }),
      multipart(),
    ]
    return { index, app: mount({ plugins }) }
  }

  // @threat change-unchecked
  it('are asked about each later step of an upload in parts, and may refuse it', async () => {
    const step = vi.fn<Step>()
    const { app } = asking({ step })
    const started = await app.post('/media/multipart', FILE)
    const { key, uploadId } = await jsonOf<{ key: string; uploadId: string }>(started)
    expect(step).not.toHaveBeenCalled()
    const path = `/media/multipart/${uploadId}`
    const query = `?key=${encodeURIComponent(key)}`
    const calls = [
      () => app.post(`${path}/urls`, { key, partNumbers: [1] }),
      () => app.fetch(path + query),
      () => app.post(`${path}/complete`, { key, parts: [{ partNumber: 1, etag: 'a' }] }),
      () => app.fetch(path + query, { method: 'DELETE' }),
    ]
    step.mockImplementation(() => {
      throw refused()
    })
    for (const call of calls) {
      const response = await call()
      expect(response.status).toBe(403)
      expect(await jsonOf(response)).toMatchObject({ code: 'forbidden', message: 'Not now.' })
    }
    const upload = { bucket: 'files', key, size: 3 }
    expect(step.mock.calls.map(([told]) => told)).toEqual([
      ...Array(3).fill({ type: 'parts', ...upload }),
      { type: 'abort', ...upload },
    ])
    expect(step.mock.calls[0]?.[1].principal).toMatchObject({ id: 'app:ann' })
    step.mockImplementation(() => undefined)
    expect((await calls[3]?.())?.status).toBe(204)
  })

  // @threat change-unchecked
  it('are asked about a record before the index and every listener, also for a repeat', async () => {
    const settle = vi.fn<Settle>(() => {
      throw refused()
    })
    const after = vi.fn()
    const { app, index } = asking({ settle, after })
    const key = await upload(app, '/media')
    const record = () => app.post('/media/files', { key, name: 'a.png' })
    expect((await record()).status).toBe(403)
    expect(after).not.toHaveBeenCalled()
    expect(await index.get('files', parseObjectKey(key))).toBeNull()
    settle.mockImplementation(() => undefined)
    for (let i = 0; i < 2; i++) expect((await record()).status).toBe(201)
    expect(settle.mock.calls.map(([{ type, file }]) => [type, file.key])).toEqual(
      Array(3).fill(['recorded', key]),
    )
    expect(after).toHaveBeenCalledTimes(2)
  })
})

describe('queue and scheduled', () => {
  const settings = defineSettings(() => settingsInput())
  const env = { tenant: 'a' }

  it('of a plugin of the app handle what they know', async () => {
    const done: unknown[] = []
    const own: Plugin = {
      name: 'mail',
      setup: () => ({
        queue: {
          name: 'mail',
          async handle(batch, instance, context) {
            await Promise.resolve()
            for (const message of batch.messages) message.ack()
            done.push([batch.queue, instance === presigner.instance(env), context === given])
          },
        },
      }),
    }
    const presigner = createPresigner(settings, { plugins: [events({}), own] })
    const given = createExecutionContext()
    const message = { body: 1, attempts: 1, ack: vi.fn(), retry: vi.fn() }
    const send = (queue: string) => presigner.queue({ queue, messages: [message] }, env, given)
    expect(await send('other')).toBe(false)
    expect(message.ack).not.toHaveBeenCalled()
    expect(await send('mail')).toBe(true)
    expect(message.ack).toHaveBeenCalledOnce()
    expect(done).toEqual([['mail', true, true]])
    const without = createPresigner(settings)
    expect(await without.queue({ queue: 'mail', messages: [message] }, env)).toBe(false)
    expect(message.ack).toHaveBeenCalledOnce()
  })

  /** A plugin whose queues are called like `name`. */
  const handling = (name: string, done: string[]): Plugin => {
    const handle = async (batch: QueueBatch) => void done.push(`${name} ${batch.queue}`)
    return { name, setup: () => ({ queue: { name, handle } }) }
  }

  it('of several plugins get the queues with the longest name that they know', async () => {
    const done: string[] = []
    const plugins = ['mail', 'mail-lists', 'ma'].map((name) => handling(name, done))
    const presigner = createPresigner(settings, { plugins })
    for (const queue of ['mail', 'mail-1', 'mail-lists-1', 'ma-1'])
      expect(await presigner.queue({ queue, messages: [] }, env)).toBe(true)
    expect(done).toEqual(['mail mail', 'mail mail-1', 'mail-lists mail-lists-1', 'ma ma-1'])
  })

  // @threat dead-letter-lost
  it('get no dead letters, which wait for a person', async () => {
    const done: string[] = []
    const plugins = [handling('mail', done), handling('half-dead', done)]
    const presigner = createPresigner(settings, { plugins })
    const handles = (queue: string) => presigner.queue({ queue, messages: [] }, env)
    for (const queue of ['mail-dead', 'mail-1-dead', 'half-dead-dead', 'orders-dead'])
      expect(await handles(queue)).toBe(false)
    expect(await handles('half-dead')).toBe(true)
    expect(done).toEqual(['half-dead half-dead'])
  })

  it('that fail are errors of the call', async () => {
    const failing = async () => {
      throw new Error('down')
    }
    const own: Plugin = {
      name: 'own',
      setup: () => ({ queue: { name: 'mail', handle: failing }, scheduled: failing }),
    }
    const presigner = createPresigner(settings, { plugins: [own] })
    await expect(presigner.queue({ queue: 'mail', messages: [] }, env)).rejects.toThrow('down')
    const event = { scheduledTime: 0, cron: '* * * * *' }
    await expect(presigner.scheduled(event, env)).rejects.toThrow('down')
  })

  it('keep a batch that may be for a plugin that could not be set up', async () => {
    const broken: Plugin = {
      name: 'mail',
      setup: () => {
        throw new Error('canary')
      },
    }
    const ack = vi.fn()
    const batch = (queue: string) => ({
      queue,
      messages: [{ body: {}, attempts: 1, ack, retry: vi.fn() }],
    })
    for (const options of [
      { plugins: [events({}), broken] },
      { plugins: [events({}), events({})] },
      { plugin: [broken] },
    ]) {
      const presigner = createPresigner(settings, options)
      await expect(presigner.queue(batch('mail'), env)).rejects.toThrow('The settings are not')
    }
    expect(ack).not.toHaveBeenCalled()
    // The queue of a plugin that has its options goes on.
    const presigner = createPresigner(settings, { plugins: [broken, events({})] })
    expect(await presigner.queue(batch('edge-presigner-jobs'), env)).toBe(true)
  })

  it('wait for every plugin, also if one fails', async () => {
    let isDone = false
    const slow: Plugin = {
      name: 'slow',
      setup: () => ({
        async scheduled() {
          await scheduler.wait(20)
          isDone = true
        },
      }),
    }
    const failing: Plugin = {
      name: 'failing',
      setup: () => ({
        scheduled() {
          throw new Error('down')
        },
      }),
    }
    const presigner = createPresigner(settings, { plugins: [failing, slow] })
    const event = { scheduledTime: 0, cron: '* * * * *' }
    await expect(presigner.scheduled(event, env)).rejects.toThrow('down')
    expect(isDone).toBe(true)
  })

  it('run each plugin that has something to do at a time', async () => {
    const ran: unknown[] = []
    const at = (name: string): Plugin => ({
      name,
      setup: () => ({
        async scheduled({ cron, scheduledTime }, instance, context) {
          const isOwn = instance === presigner.instance(env)
          ran.push([name, cron, scheduledTime, isOwn, context === given])
        },
      }),
    })
    const presigner = createPresigner(settings, { plugins: [at('one'), files(), at('two')] })
    const given = createExecutionContext()
    const event = { scheduledTime: 1_790_000_000_000, cron: '0 3 * * *' }
    expect(await presigner.scheduled(event, env, given)).toBe(true)
    expect(ran).toEqual(
      ['one', 'two'].map((name) => [name, '0 3 * * *', 1_790_000_000_000, true, true]),
    )
    const without = createPresigner(settings, { plugins: [files()] })
    expect(await without.scheduled(event, env)).toBe(false)
  })
})

describe('a credential', () => {
  afterEach(() => {
    vi.useRealTimers()
  })
  const never = () => new Promise<never>(() => {})
  const hanging: Readonly<Record<string, Partial<Seams>>> = {
    find: { identify: { find: never } },
    'find of a cookie': { identify: { ambient: true, find: never } },
    verify: { identify: { prefix: 'mine_', verify: never } },
    ready: { ready: never },
  }

  // @threat request-slow
  it.each(Object.entries(hanging))(
    'of a plugin that never answers ends with the request: %s',
    async (_, seams) => {
      vi.useFakeTimers(FAKE_CLOCK)
      const { fetch } = createPresigner(defineSettings(settingsInput()), {
        plugins: [{ name: 'mine', setup: () => seams }],
        log: () => undefined,
      })
      const request = new Request(`${ORIGIN}/limits`, bearer('mine_1'))
      const [response, seconds] = await fakeSeconds(fetch(request, {}))
      expect([await outcome(response), seconds]).toEqual(['503 unavailable storage', 25])
    },
  )
})

describe('an ambient credential', () => {
  const own = { Origin: ORIGIN, 'Sec-Fetch-Site': 'same-origin' }
  const foreign = { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }
  const Cookie = 'session=ann'
  const file = { fileName: 'a.png', mimetype: 'image/png' }

  function watched(isAsync = false) {
    const beforeUpload = vi.fn(() => undefined)
    const sessions: Plugin = {
      name: 'sessions',
      setup: () => ({
        identify: {
          ambient: true,
          find({ c }) {
            const session = getCookie(c, 'session')
            if (session === undefined) return undefined
            const verdict =
              session === 'ann'
                ? ({ ok: true, principal: principalOfApp(ANN) } as const)
                : refuse('session expired')
            if (session === 'broken') return Promise.reject(new Error('canary'))
            return isAsync ? Promise.resolve(verdict) : verdict
          },
        },
      }),
    }
    const app = mount({
      authenticate: undefined as never,
      beforeUpload,
      plugins: [sessions, apiKeys({ keys: [] }), tokens(), uppy(), multipart()],
    })
    return { app, beforeUpload }
  }

  // @threat app-csrf
  it.each([false, true])(
    'is refused from a page of another origin, as one of the app: async %s',
    async (isAsync) => {
      const { app, beforeUpload } = watched(isAsync)
      const post = async (from: object) =>
        app.post('/media/files/upload-url', file, { headers: { Cookie, ...from } })
      const refused = await post(foreign)
      expect(refused.status).toBe(403)
      expect(await jsonOf(refused)).toMatchObject({ code: 'forbidden' })
      expect(beforeUpload).not.toHaveBeenCalled()
      for (const from of [own, {}]) expect((await post(from)).status).toBe(200)
      expect(beforeUpload).toHaveBeenCalledTimes(2)
    },
  )

  // @threat app-csrf
  it.each([false, true])(
    'may read from every page, but not start an upload: async %s',
    async (isAsync) => {
      const { app, beforeUpload } = watched(isAsync)
      const get = async (path: string, from: object) =>
        (await app.fetch(`/media${path}`, { headers: { Cookie, ...from } })).status
      for (const from of [own, foreign, {}]) expect(await get('/limits', from)).toBe(200)
      expect(await get('/s3/params?filename=a.png', foreign)).toBe(403)
      expect(beforeUpload).not.toHaveBeenCalled()
      expect(await get('/s3/params?filename=a.png', own)).toBe(200)
      expect(beforeUpload).toHaveBeenCalledOnce()
    },
  )

  it('comes after one that a client sends on purpose, in any order of the plugins', async () => {
    const found = (id: string) => ({ ok: true, principal: principalOfApp({ ...ANN, id }) }) as const
    const plugins: Plugin[] = [
      { name: 'page', setup: () => ({ identify: { ambient: true, find: () => found('cookie') } }) },
      {
        name: 'own',
        setup: () => ({
          identify: { find: ({ c }) => (c.req.header('X-Key') ? found('key') : undefined) },
        }),
      },
    ]
    for (const list of [plugins, plugins.toReversed()]) {
      const app = mount({ plugins: list, authenticate: undefined as never })
      const headers = { ...foreign, 'X-Key': '1' }
      expect((await app.post('/media/files/upload-url', file, { headers })).status).toBe(200)
      expect((await app.fetch('/media/limits')).status).toBe(200)
      expect(app.lines.map(({ principal }) => principal)).toEqual(['app:key', 'app:cookie'])
    }
  })

  // @threat app-csrf
  it.each(['ambient', 'authenticate'])(
    'may open a WebSocket only for an own page: %s',
    async (login) => {
      const api = newApp().get('/mine/socket', () => {
        const { 0: webSocket, 1: server } = new WebSocketPair()
        server.accept()
        return new Response(null, { status: 101, webSocket })
      })
      const identify: Identify = {
        ambient: true,
        find: () => ({ ok: true, principal: principalOfApp(ANN) }),
      }
      const app = mount({
        ...(login === 'ambient' && { authenticate: undefined as never }),
        plugins: [{ name: 'mine', api, setup: () => (login === 'ambient' ? { identify } : {}) }],
      })
      const open = async (from: object) =>
        (await app.fetch('/media/mine/socket', { headers: { Upgrade: 'websocket', ...from } }))
          .status
      expect(await open(foreign)).toBe(403)
      expect(await open({ Origin: 'null' })).toBe(403)
      for (const from of [own, {}]) expect(await open(from)).toBe(101)
    },
  )

  it('does not touch a request with another credential, or with none', async () => {
    const { app } = watched()
    const { token } = await jsonOf<{ token: string }>(
      await app.post('/media/tokens', { scopes: ANN.scopes }, { headers: { Cookie } }),
    )
    const status = async (headers: HeadersInit) =>
      (await app.post('/media/files/upload-url', file, { headers })).status
    expect(await status({ ...foreign, Cookie, ...bearer(token).headers })).toBe(200)
    expect(await status(foreign)).toBe(401)
  })

  it('that fails is an error, whatever page sends it', async () => {
    const { app } = watched()
    for (const from of [own, foreign]) {
      const headers = { Cookie: 'session=broken', ...from }
      const response = await app.post('/media/files/upload-url', file, { headers })
      expect(await jsonOf(response)).toMatchObject({ code: 'internal' })
      expect(app.lines.at(-1)?.reason).toContain('canary')
    }
    const headers = { Cookie: 'session=old' }
    expect((await app.fetch('/media/limits', { headers })).status).toBe(401)
  })
})
