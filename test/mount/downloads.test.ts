import { describe, expect, it, vi } from 'vitest'
import {
  createPresigner,
  type DownloadAnswer,
  defineSettings,
  type SharedFile,
} from '../../src/index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, settingsInput } from '../support/app.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { credentials, everyPlugin } from '../support/every-plugin.ts'
import { putChosen } from '../support/links.ts'
import { clientOf, type Mounted, mount } from '../support/mount.ts'

const refuse = (): DownloadAnswer => ({ refuse: 'This file is in quarantine.' })
const REFUSAL = { code: 'forbidden', message: 'This file is in quarantine.' }

/** Every request that signs a URL or a link for one key. */
const SIGNS: Readonly<
  Record<string, readonly [SharedFile['kind'], (app: Mounted, key: string) => Promise<Response>]>
> = {
  'GET /files/:key/url': [
    'url',
    (app, key) => app.fetch(`/media/files/${encodeURIComponent(key)}/url`),
  ],
  'GET /files/:key/url, stable': [
    'url',
    (app, key) => app.fetch(`/media/files/${encodeURIComponent(key)}/url?stable=true`),
  ],
  'GET /files/:key/url, to save': [
    'url',
    (app, key) => app.fetch(`/media/files/${encodeURIComponent(key)}/url?download=a.png`),
  ],
  'POST /files/:key/link': [
    'link',
    (app, key) => app.post(`/media/files/${encodeURIComponent(key)}/link`, {}),
  ],
  'POST /files/:key/link, to redirect': [
    'link',
    (app, key) =>
      app.post(`/media/files/${encodeURIComponent(key)}/link`, { delivery: 'redirect' }),
  ],
}

describe('beforeDownload', () => {
  // @threat download-refused
  it('refuses the link to a folder', async () => {
    const beforeDownload = vi.fn(refuse)
    const app = mount({ beforeDownload })
    const response = await app.post('/media/links/folder', { prefix: 'film/' })
    expect(response.status).toBe(403)
    expect(await response.json()).toMatchObject(REFUSAL)
    const [file] = (beforeDownload.mock.calls as unknown[][])[0] ?? []
    expect(file).toEqual({ bucket: 'files', key: 'film/', kind: 'folder' })
  })

  // @threat download-refused
  it.each(['copy', 'move'])(
    'refuses a %s, which would be a file that it is not asked about',
    async (name) => {
      const key = await putChosen('embargo.png', 'pixels')
      const beforeDownload = vi.fn(refuse)
      const app = mount({ beforeDownload })
      const response = await app.post(`/media/files/${name}`, { from: key, to: 'mine.png' })
      expect(response.status).toBe(403)
      expect(await response.json()).toMatchObject(REFUSAL)
      const [file] = (beforeDownload.mock.calls as unknown[][])[0] ?? []
      expect(file).toEqual({ bucket: 'files', key, kind: 'copy' })
      expect((await mount().fetch(`/media/files/${encodeURIComponent(key)}`)).status).toBe(200)
      expect((await mount().fetch('/media/files/mine.png')).status).toBe(404)
    },
  )

  // @threat download-refused
  it('refuses each URL and link of one file before it is signed', async () => {
    for (const [name, [kind, ask]] of Object.entries(SIGNS)) {
      const beforeDownload = vi.fn(refuse)
      const response = await ask(mount({ beforeDownload }), 'a/é.png')
      expect.soft(response.status, name).toBe(403)
      const body = await response.text()
      expect.soft(JSON.parse(body), name).toMatchObject(REFUSAL)
      expect.soft(body, name).not.toMatch(/sig=|X-Amz-Signature/i)
      const file: SharedFile = { bucket: 'files', key: 'a/é.png', kind }
      const principal = expect.objectContaining({ id: 'app:ann' })
      const context = expect.objectContaining({ req: expect.anything() })
      expect.soft(beforeDownload.mock.calls, name).toEqual([[file, principal, context]])
    }
  })

  // @threat download-refused
  it('that refuses one file of many leaves the others', async () => {
    const beforeDownload = async ({ key }: SharedFile) => (key === 'b.png' ? refuse() : undefined)
    const app = mount({ beforeDownload })
    const keys = ['a.png', 'b.png', '../x']
    const expected = [
      { key: 'a.png' },
      { key: 'b.png', error: REFUSAL },
      { key: '../x', error: expect.objectContaining({ code: 'invalid_key' }) },
    ]
    const { urls } = await jsonOf<{ urls: object[] }>(await app.post('/media/files/urls', { keys }))
    expect(urls).toMatchObject([{ ...expected[0], url: expect.anything() }, ...expected.slice(1)])
    expect(urls[1]).not.toHaveProperty('url')
    const { links } = await jsonOf<{ links: object[] }>(await app.post('/media/links', { keys }))
    expect(links).toMatchObject([{ ...expected[0], link: expect.anything() }, ...expected.slice(1)])
    expect(links[1]).not.toHaveProperty('link')
  })

  // @threat download-refused
  it('that refuses a file of a list leaves its record without a URL', async () => {
    const key = await putChosen('listed.png', 'pixels')
    const beforeDownload = vi.fn(refuse)
    const app = mount({ beforeDownload })
    await app.post('/media/files', { key })
    const listed = async (query: string) =>
      (await jsonOf<{ files: object[] }>(await app.fetch(`/media/files?${query}`))).files
    expect(await listed('urls=view')).toEqual([expect.objectContaining({ key, error: REFUSAL })])
    expect((await listed('urls=view'))[0]).not.toHaveProperty('url')
    beforeDownload.mockClear()
    expect((await listed('limit=10'))[0]).not.toHaveProperty('error')
    expect(beforeDownload).not.toHaveBeenCalled()
  })

  it.each([undefined, null, {}])('that returns %j accepts', async (answer) => {
    const app = mount({ beforeDownload: () => answer as undefined })
    for (const [name, [, ask]] of Object.entries(SIGNS))
      expect.soft((await ask(app, 'a.png')).status, name).toBe(200)
  })

  // @threat download-refused
  it.each([false, 'no', new Error('no'), { refuse: '' }, { refuse: 1 }, { refused: 'yes' }])(
    'that returns %o is an error in the app: answers 500 and signs nothing',
    async (answer) => {
      const app = mount({ beforeDownload: () => answer as never })
      for (const [name, [, ask]] of Object.entries(SIGNS)) {
        expect.soft((await ask(app, 'a.png')).status, name).toBe(500)
        const reason = app.lines.at(-1)?.reason
        expect.soft(reason, name).toContain('beforeDownload returned an invalid value')
      }
      for (const path of ['/media/files/urls', '/media/links'])
        expect.soft((await app.post(path, { keys: ['a.png'] })).status, path).toBe(500)
    },
  )

  it('is not called for what the principal may not read, nor when a link is opened', async () => {
    const key = await putChosen('shown.png', 'pixels')
    const beforeDownload = vi.fn(() => undefined)
    const inside = mount({ beforeDownload, authenticate: () => ({ ...ANN, prefix: 'team-a/' }) })
    const uploader = mount({
      beforeDownload,
      authenticate: () => ({ ...ANN, scopes: ['files:upload'] }),
    })
    for (const [, ask] of Object.values(SIGNS))
      for (const app of [inside, uploader]) expect((await ask(app, key)).status).toBe(403)
    expect(beforeDownload).not.toHaveBeenCalled()

    const app = mount({ beforeDownload })
    const [, ask] = SIGNS['POST /files/:key/link'] ?? []
    const made = await ask?.(app, key)
    const { link } = await jsonOf<{ link: string }>(made ?? new Response('{}'))
    expect(beforeDownload).toHaveBeenCalledOnce()
    expect((await app.fetch(link)).status).toBe(200)
    expect(beforeDownload).toHaveBeenCalledOnce()
  })

  // @threat download-refused
  it('is not called for a page of another origin, also by a GET', async () => {
    const beforeDownload = vi.fn(() => undefined)
    const app = mount({ beforeDownload })
    const headers = { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }
    for (const path of ['/media/files/a.png/url', '/media/files/a.png/url?stable=true'])
      expect((await app.fetch(path, { headers })).status).toBe(403)
    expect(beforeDownload).not.toHaveBeenCalled()
  })

  it('is the only option that a presigner without a host app needs', async () => {
    const { entry, token } = await testApiKey('app', ['files:read'])
    const presigner = createPresigner(
      defineSettings(() => settingsInput()),
      {
        plugins: [...everyPlugin(), ...credentials({ apiKeys: { keys: [entry] } })],
        beforeDownload: refuse,
        log: () => undefined,
      },
    )
    const response = await clientOf(presigner).fetch('/files/a.png/url', bearer(token))
    expect(response.status).toBe(403)
    expect(await jsonOf(response)).toMatchObject(REFUSAL)
  })
})
