import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { defineSettings, type PresignerOptions } from '../../src/index.ts'
import { objectsEntrypoint } from '../../src/plugins/links/cloudflare.ts'
import type { ImageResizer } from '../../src/plugins/links/images/variant.ts'
import { jsonOf, settingsInput, upload } from '../support/app.ts'
import { imageOf, twoColorPng } from '../support/images.ts'
import { mount } from '../support/mount.ts'

const images = () => env.IMAGES
const input = settingsInput({ imageWidths: [{ width: 64, height: 10, fit: 'scale-down' }, 128] })

/** Mounts a presigner whose own entrypoint has, or lacks, the Images binding. */
function mounted(options: PresignerOptions, entrypoint: Parameters<typeof objectsEntrypoint>[1]) {
  const Objects = objectsEntrypoint(
    defineSettings(() => input),
    entrypoint,
  )
  const host = new Hono()
  mount({ host, settings: input, ...options })
  const fetch = async (path: string, init?: RequestInit) => {
    const context = createExecutionContext()
    const objects = new Objects(context, {})
    const stub = {
      fetch: (request: Request) => objects.fetch(request),
      purge: (alias: string, keys: readonly string[]) => objects.purge(alias, keys),
    }
    const request = new Request(new URL(path, 'https://app.example'), init)
    const response = await host.fetch(
      request,
      {},
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
  it('shows images in the sizes of its own settings', async () => {
    const app = mounted({ images }, { images })
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

  it('makes no such links without the option, unless the original will do', async () => {
    const app = mounted({}, {})
    expect(await jsonOf(await app.fetch('/media/healthz'))).toMatchObject({
      warnings: ['images are not resized'],
    })
    expect((await app.link({ width: 64 })).status).toBe(400)
    const response = await opened(app, await app.link({ width: 64, fallback: 'original' }))
    expect(response.status).toBe(200)
    expect((await response.arrayBuffer()).byteLength).toBe((await twoColorPng(300, 200)).byteLength)
  })

  // @threat image-costs
  it('shows the format that Cloudflare makes in place of AVIF, by one call', async () => {
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
    const app = mounted({ images }, { images: declining })
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
  it('makes no such links without an edge cache, since each view would be billed', async () => {
    const app = mounted({ images, objectsEntrypoint: null }, { images })
    const health = await jsonOf(await app.fetch('/media/healthz'))
    expect(health).toEqual({ status: 'ok', edgeCache: false })
    expect((await app.link({ width: 64 })).status).toBe(400)
  })

  it.each([
    ['the presigner alone', {}],
    ['an entrypoint whose environment lacks it', { images: () => undefined }],
  ])('answers 503 with the binding in %s', async (_, entrypoint) => {
    const app = mounted({ images }, entrypoint)
    const response = await opened(app, await app.link({ width: 64 }))
    expect([response.status, response.headers.get('Cache-Control')]).toEqual([503, 'no-store'])
    expect(await jsonOf(response)).toMatchObject({ code: 'image_unavailable' })
  })

  // @threat app-error-shown
  it.each([
    ['an error', new Error('canary')],
    ['no error', Object.create(null)],
  ])('answers for an entrypoint whose function throws %s', async (_, thrown) => {
    const images = () => {
      throw thrown
    }
    const app = mounted({ images: () => env.IMAGES }, { images })
    const response = await opened(app, await app.link({ width: 64 }))
    expect(response.status).toBe(500)
    const { code, message } = await jsonOf<{ code: string; message: string }>(response)
    expect([code, message]).toEqual(['internal', expect.not.stringContaining('canary')])
  })
})
