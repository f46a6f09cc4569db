import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { refuse } from '../../src/access/verdict.ts'
import { newApp } from '../../src/http/new-app.ts'
import { json } from '../../src/http/responses.ts'
import { createPresigner, defineSettings, type Plugin } from '../../src/index.ts'
import { apiKeys } from '../../src/plugins/api-keys/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { jwt } from '../../src/plugins/jwt/index.ts'
import { links } from '../../src/plugins/links/index.ts'
import { multipart } from '../../src/plugins/multipart/index.ts'
import { tokens } from '../../src/plugins/tokens/index.ts'
import { uppy } from '../../src/plugins/uppy/index.ts'
import { jsonOf, settingsInput, upload } from '../support/app.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { jwtVariable, testIssuer } from '../support/issuer.ts'
import { clientOf, mount } from '../support/mount.ts'

/** Returns the issues of a presigner with these plugins. */
async function issuesOf(plugins: readonly Plugin[]): Promise<unknown> {
  const health = await mount({ plugins }).fetch('/media/healthz')
  return (await jsonOf(health)).issues
}

const inPlugins = (message: string) => [{ path: 'plugins', message }]

const withRoutes = (name: string, api: NonNullable<Plugin['api']>): Plugin => ({ name, api })

describe('a presigner without plugins', () => {
  const app = mount({ plugins: [] })

  it('signs uploads and downloads, and tells limits and health', async () => {
    const key = await upload(app, '/media')
    for (const path of [`/files/${key}/url`, '/limits', '/healthz'])
      expect.soft((await app.fetch(`/media${path}`)).status, path).toBe(200)
    expect((await app.post('/media/files/urls', { keys: [key] })).status).toBe(200)
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
  const issuesWith = async (options: Parameters<typeof mount>[0]): Promise<unknown> =>
    (await jsonOf(await mount(options).fetch('/media/healthz'))).issues

  // @threat app-login-bypassed
  it.each([
    ['apiKeys', apiKeys],
    ['jwt', jwt],
  ])('are of the app or of a plugin, not of both: %s', async (name, plugin) => {
    expect(await issuesOf([plugin()])).toEqual(
      inPlugins(`must not have ${name}() next to authenticate`),
    )
    expect(await issuesWith({ ...nobody, plugins: [plugin()] })).toBeUndefined()
    expect(await issuesOf([tokens()])).toBeUndefined()
  })

  it('in the settings need their plugin, unless the app authenticates', async () => {
    const key = await testApiKey('ci', SCOPES)
    const settings = { apiKeys: [key.entry], jwt: jwtVariable(await testIssuer()) as never }
    const needed = ['apiKeys', 'jwt'].map((path) => ({
      path,
      message: `needs the plugin ${path}()`,
    }))
    expect(await issuesWith({ ...nobody, settings, plugins: [tokens()] })).toEqual(needed)
    expect(await issuesWith({ settings, plugins: [] })).toBeUndefined()
  })

  // @threat app-login-bypassed
  it('are refused without the plugin that knows their kind, also a token in the path', async () => {
    const key = await testApiKey('ci', SCOPES)
    const settings = { apiKeys: [key.entry] }
    const full = mount({ ...nobody, settings })
    const minted = await full.post('/media/tokens', { scopes: SCOPES }, bearer(key.token))
    const { token } = await jsonOf<{ token: string }>(minted)
    const without = mount({ ...nobody, settings, plugins: [files(), apiKeys()] })
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

  it.each([
    ['before', (own: Plugin) => [own, apiKeys(), tokens()]],
    ['after', (own: Plugin) => [apiKeys(), tokens(), own]],
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
      const app = mount({ ...nobody, settings: { apiKeys: [key.entry] }, plugins: list(own) })
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

describe('a list of plugins', () => {
  it('has each plugin once', async () => {
    expect(await issuesOf([files(), links(), files()])).toEqual(
      inPlugins('must not share a name: files, files'),
    )
    expect(await issuesOf([multipart(), uppy({ multipart: multipart() })])).toEqual(
      inPlugins('must not share a name: multipart, multipart'),
    )
  })

  it('may name a plugin that another one was given', async () => {
    const parts = multipart()
    expect(await issuesOf([parts, uppy({ multipart: parts })])).toBeUndefined()
  })

  it('registers a plugin that another one was given', async () => {
    const app = mount({ plugins: [uppy({ multipart: multipart() })] })
    const started = await app.post('/media/multipart', { fileName: 'a.png', mimetype: 'image/png' })
    expect(started.status).toBe(200)
  })

  it.each([
    ['the same path', '/links', newApp().post('/links', (c) => c.text(''))],
    [
      'a parameter with another name',
      '/files/:key',
      newApp().get('/files/:key', (c) => c.text('')),
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
      ],
    ])
      expect.soft(await issuesOf(list as never), JSON.stringify(list)).toEqual(inPlugins(message))
  })
})
