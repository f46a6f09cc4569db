import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { createPresigner, defineSettings } from '../../src/index.ts'
import { objectsEntrypoint } from '../../src/plugins/links/cloudflare.ts'
import { type ImagesOptions, images } from '../../src/plugins/links/images/index.ts'
import type { ImageResizer } from '../../src/plugins/links/images/variant.ts'
import { links } from '../../src/plugins/links/index.ts'
import type { LinksOptions } from '../../src/plugins/links/options.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, settingsInput, upload } from '../support/app.ts'
import { imageOf, twoColorPng } from '../support/images.ts'

/** The environments of the app and of its entrypoint. */
interface Place {
  readonly isEntrypoint: boolean
}

const presignerWith = (options: LinksOptions<Place>) =>
  createPresigner(
    defineSettings(() => settingsInput()),
    { plugins: [links(options)], authenticate: () => ANN, log: () => undefined },
  )

const sized = (binding: ImagesOptions<Place>['binding']) =>
  images({ binding, sizes: [{ width: 64, height: 10, fit: 'scale-down' }, 128] })

const bound = { images: sized(() => env.IMAGES) }

/** Mounts a presigner whose entrypoint may be that of another one. */
function mounted(options: LinksOptions<Place>, ofEntrypoint = options) {
  const presigner = presignerWith(options)
  const Objects = objectsEntrypoint(
    ofEntrypoint === options ? presigner : presignerWith(ofEntrypoint),
  )
  const host = new Hono<{ Bindings: Place }>().route('/media', presigner.app)
  const fetch = async (path: string, init?: RequestInit) => {
    const context = createExecutionContext()
    const objects = new Objects(context, { isEntrypoint: true })
    const stub = {
      fetch: (request: Request) => objects.fetch(request),
      purge: (alias: string, keys: readonly string[]) => objects.purge(alias, keys),
    }
    const request = new Request(new URL(path, 'https://app.example'), init)
    const response = await host.fetch(
      request,
      { isEntrypoint: false },
      Object.assign(context, { exports: { Objects: stub } }),
    )
    // The copy of an original waits for its reader, and so would the context.
    const { body } = response
    const answer = body === null ? response : new Response(await response.arrayBuffer(), response)
    await waitOnExecutionContext(context)
    return answer
  }
  const post = (path: string, body: unknown) =>
    fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
  const app = { fetch, post }
  return {
    ...app,
    async link(body: object) {
      const key = await upload(app, '/media', await twoColorPng(300, 200))
      return post(`/media/files/${encodeURIComponent(key)}/link`, body)
    },
  }
}

const opened = async (app: ReturnType<typeof mounted>, answer: Response) =>
  app.fetch((await jsonOf<{ link: string }>(answer)).link)

describe('a mounted presigner', () => {
  it('shows images in the sizes of its own plugin', async () => {
    const app = mounted(bound)
    expect(await jsonOf(await app.fetch('/media/healthz'))).toMatchObject({ images: true })
    const response = await opened(app, await app.link({ width: 64, format: 'png' }))
    expect(response.status).toBe(200)
    const { body } = new Response(await response.arrayBuffer())
    if (body === null) throw new Error('The response has no body.')
    expect(await env.IMAGES.info(body)).toMatchObject({ width: 15, height: 10 })
    const unknown = await app.link({ width: 320 })
    expect(await jsonOf(unknown)).toMatchObject({
      code: 'invalid_request',
      issues: [{ path: 'width', message: 'must be one of 64, 128' }],
    })
  })

  it.each<readonly [string, LinksOptions<Place>, readonly string[]]>([
    ['the plugin', {}, []],
    ['a binding', { images: sized(undefined) }, ['images are not resized']],
    ['a binding in this environment', { images: sized(() => null) }, ['images are not resized']],
  ])('makes no such links without %s, unless the original will do', async (_, given, warned) => {
    const app = mounted(given)
    const { images = false, warnings = [] } = await jsonOf(await app.fetch('/media/healthz'))
    expect([images, warnings]).toEqual([false, warned])
    expect((await app.link({ width: 64 })).status).toBe(400)
    const response = await opened(app, await app.link({ width: 64, fallback: 'original' }))
    expect(response.status).toBe(200)
    expect((await response.arrayBuffer()).byteLength).toBe((await twoColorPng(300, 200)).byteLength)
  })

  it('shows them next to a presigner of the same bucket that has no binding', async () => {
    const [bare, app] = [mounted({ images: sized(undefined) }), mounted(bound)]
    const key = await upload(app, '/media', await twoColorPng(300, 200))
    const body = { width: 64, format: 'png', fallback: 'original' }
    const lengthOf = async (one: typeof app) => {
      const answer = await one.post(`/media/files/${encodeURIComponent(key)}/link`, body)
      return (await opened(one, answer)).headers.get('Content-Length')
    }
    const original = `${(await twoColorPng(300, 200)).byteLength}`
    expect(await lengthOf(bare)).toBe(original)
    expect(await lengthOf(app)).not.toBe(original)
  })

  // @threat image-costs
  it('shows the format that Cloudflare makes instead of AVIF, by one call', async () => {
    const calls: string[] = []
    const webp = await imageOf('image/webp', 60, 40)
    const declining = (): ImageResizer => ({
      input: () => ({
        transform: () => ({
          async output({ format }) {
            calls.push(format)
            return { response: () => new Response(webp) }
          },
        }),
      }),
    })
    const app = mounted({ images: sized(declining) })
    const { link } = await jsonOf<{ link: string }>(await app.link({ width: 128 }))
    const seen = async (method: string, asked: HeadersInit = {}) => {
      const headers = { Accept: 'image/avif,image/webp,*/*', ...asked }
      const answer = await app.fetch(link, { method, headers })
      const names = ['Content-Type', 'Vary', 'ETag', 'Content-Length']
      const shown = names.map((name) => answer.headers.get(name))
      return { status: answer.status, shown, text: await answer.text() }
    }
    const first = await seen('GET')
    const [type, vary, etag, length] = first.shown
    expect([type, vary, length]).toEqual(['image/webp', 'Accept, Origin', `${webp.byteLength}`])
    expect(await seen('GET')).toEqual(first)
    expect(await seen('HEAD')).toEqual({ ...first, text: '' })
    const part = { status: 206, shown: [type, vary, etag, '4'], text: 'WEBP' }
    expect(await seen('GET', { Range: 'bytes=8-11' })).toEqual(part)
    expect(calls).toEqual(['image/avif'])
    // A client that accepts only one of the two never gets a copy of the other.
    for (const Accept of ['image/avif', 'image/webp'])
      await app.fetch(link, { headers: { Accept } })
    expect(calls).toEqual(['image/avif', 'image/png', 'image/webp'])
  })

  // @threat image-costs
  it('makes no such links without an edge cache, since each view would be a call', async () => {
    const app = mounted({ ...bound, entrypoint: null })
    const health = await jsonOf(await app.fetch('/media/healthz'))
    expect(health).toEqual({ status: 'ok', edgeCache: false })
    expect((await app.link({ width: 64 })).status).toBe(400)
  })

  it.each([
    ['the entrypoint of a presigner without it', bound, {}],
    [
      'an entrypoint whose environment lacks it',
      { images: sized(({ isEntrypoint }) => (isEntrypoint ? undefined : env.IMAGES)) },
      undefined,
    ],
  ])('answers 503 with %s', async (_, options, ofEntrypoint) => {
    const app = mounted(options, ofEntrypoint)
    const response = await opened(app, await app.link({ width: 64 }))
    expect([response.status, response.headers.get('Cache-Control')]).toEqual([503, 'no-store'])
    expect(await jsonOf(response)).toMatchObject({ code: 'misconfigured', reason: 'settings' })
    expect(response.headers.has('Retry-After')).toBe(false)
  })

  // @threat app-error-shown
  it.each([
    ['an error', new Error('canary')],
    ['no error', Object.create(null)],
  ])('answers for an entrypoint whose function throws %s', async (_, thrown) => {
    const images = sized(({ isEntrypoint }) => {
      if (isEntrypoint) throw thrown
      return env.IMAGES
    })
    const app = mounted({ images })
    const response = await opened(app, await app.link({ width: 64 }))
    expect(response.status).toBe(503)
    const { code, message } = await jsonOf<{ code: string; message: string }>(response)
    expect([code, message]).toEqual(['misconfigured', expect.not.stringContaining('canary')])
  })
})
