import { createExecutionContext } from 'cloudflare:test'
import { Hono } from 'hono'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createPresigner, defineSettings, type FetchCredentials } from '../../src/index.ts'
import { objectsEntrypoint } from '../../src/plugins/links/cloudflare.ts'
import type { BucketInput } from '../../src/settings/input.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, settingsInput, upload } from '../support/app.ts'
import { everyPlugin } from '../support/every-plugin.ts'
import { mount } from '../support/mount.ts'
import { behindCaching } from '../support/objects-behind-caching.ts'
import { PATIENCE } from '../support/patience.ts'
import { answer, found, operations, scriptedBucket } from '../support/scripted-bucket.ts'

const READ = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

const withBucket = (changes: Partial<BucketInput>) => {
  const [files] = Object.values(settingsInput().buckets)
  if (files === undefined) throw new Error('There is one.')
  return { buckets: { files: { ...files, ...changes } } }
}

/** A function whose calls the test answers. */
function held() {
  const calls: PromiseWithResolvers<Awaited<ReturnType<FetchCredentials>>>[] = []
  const credentials: FetchCredentials = () => {
    const call = Promise.withResolvers<Awaited<ReturnType<FetchCredentials>>>()
    calls.push(call)
    return call.promise
  }
  return { calls, credentials }
}

/** Asks a presigner for a URL. The test decides whether it waits for the work that goes on. */
function asking(changes: Partial<BucketInput>) {
  const { app } = createPresigner(defineSettings(settingsInput(withBucket(changes))), {
    authenticate: () => ANN,
    log: () => {},
  })
  const kept: Promise<unknown>[] = []
  const context = {
    waitUntil: (work: Promise<unknown>) => void kept.push(work),
    passThroughOnException: () => {},
    props: {},
  }
  const host = new Hono().route('/media', app)
  const request = () => new Request('https://app.example/media/files/a.png/url')
  return { kept, ask: async () => host.fetch(request(), {}, context) }
}

const inAnHour = () => new Date(Date.now() + 3_600_000)
const failing: FetchCredentials = async () => {
  throw new Error('the role is gone')
}

describe('a presigner whose credentials are a function', () => {
  it('uploads, records, lists and deletes with what it returns', async () => {
    const credentials = vi.fn(async () => ({ ...READ, expiresAt: inAnHour() }))
    const app = mount({ settings: withBucket({ credentials }), links: { entrypoint: null } })
    const key = await upload(app, '/media')
    expect((await app.post('/media/files', { key, name: 'a.png' })).status).toBe(201)
    const list = await jsonOf<{ files: { url: string }[] }>(
      await app.fetch('/media/files?urls=view'),
    )
    expect(await (await fetch(list.files[0]?.url ?? '')).text()).toBe('pixels')
    const path = `/media/files/${encodeURIComponent(key)}`
    const { link } = await jsonOf<{ link: string }>(await app.post(`${path}/link`, {}))
    expect(await (await app.fetch(link)).text()).toBe('pixels')
    expect((await app.fetch(path, { method: 'DELETE' })).status).toBe(204)
    expect(credentials).toHaveBeenCalledOnce()
    expect(credentials).toHaveBeenCalledWith({ signal: expect.any(AbortSignal) })
  })

  // @threat url-too-long
  it('calls it once for many requests, and signs new URLs with new credentials', async () => {
    const { calls, credentials } = held()
    const { ask: send } = asking({ credentials })
    const ask = async () => new URL((await jsonOf<{ url: string }>(await send())).url)
    const all = Promise.all(Array.from({ length: 10 }, ask))
    await vi.waitFor(() => expect(calls).toHaveLength(1), PATIENCE)
    calls[0]?.resolve({ ...READ, sessionToken: 'one', expiresAt: inAnHour() })
    const tokenIn = (url: URL) => url.searchParams.get('X-Amz-Security-Token')
    expect((await all).map(tokenIn)).toEqual(Array(10).fill('one'))
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 50 * 60_000 })
    // No request waits for the renewal. A URL never outlives its credentials.
    const old = await ask()
    expect([tokenIn(old), calls.length]).toEqual(['one', 2])
    expect(Number(old.searchParams.get('X-Amz-Expires'))).toBeLessThanOrEqual(600)
    calls[1]?.resolve({ ...READ, sessionToken: 'two', expiresAt: inAnHour() })
    await vi.waitFor(async () => expect(tokenIn(await ask())).toBe('two'), PATIENCE)
    expect((await ask()).searchParams.get('X-Amz-Expires')).toBe('900')
    expect(calls).toHaveLength(2)
  })

  // @threat credentials-crowd
  it('goes on without the request that called it, if its client leaves', async () => {
    const { calls, credentials } = held()
    const { ask, kept } = asking({ credentials })
    void ask()
    await vi.waitFor(() => expect(calls).toHaveLength(1), PATIENCE)
    expect(kept).toHaveLength(1)
    calls[0]?.resolve({ ...READ, expiresAt: inAnHour() })
    // What the runtime keeps is enough: other requests find the credentials.
    await kept[0]
    expect((await ask()).status).toBe(200)
    expect(calls).toHaveLength(1)
  })

  it('answers unavailable, with the reason only in the log', async () => {
    const app = mount({ settings: withBucket({ credentials: failing }) })
    const response = await app.fetch('/media/files/a.png/url')
    expect(response.status).toBe(503)
    expect(response.headers.get('Retry-After')).toBe('10')
    const body = await response.text()
    expect(JSON.parse(body)).toMatchObject({ code: 'unavailable', reason: 'credentials_source' })
    expect(body).not.toContain('role')
    expect(app.lines.at(-1)).toMatchObject({
      code: 'unavailable',
      reason: 'credentials_source: Error: the role is gone',
    })
    // What needs no credentials of the bucket works.
    for (const path of ['healthz', 'limits', 'files'])
      expect((await app.fetch(`/media/${path}`)).status).toBe(200)
    expect((await app.post('/media/files/a.png/link', {})).status).toBe(200)
  })

  it.each([
    [{ accessKeyId: 'A' }, 'secretAccessKey is missing'],
    [null, 'it must be an object: { accessKeyId, secretAccessKey, sessionToken, expiresAt }'],
    [{ ...READ, expiration: new Date() }, 'it has unknown members: 1. Known members: '],
    [{ ...READ, expiresAt: 'tomorrow' }, 'expiresAt must be a valid Date'],
    [{ ...READ, sessionToken: 't' }, 'expiresAt is missing. Temporary credentials need it'],
  ])('refuses what is no access key: %j', async (returned, reason) => {
    const app = mount({ settings: withBucket({ credentials: async () => returned as never }) })
    expect((await app.fetch('/media/files/a.png/url')).status).toBe(503)
    expect(app.lines.at(-1)?.reason).toContain(
      `The function returned no valid credentials: ${reason}`,
    )
  })

  it('answers for one that throws before it returns a promise', async () => {
    const throwing = mount({
      settings: withBucket({
        credentials: () => {
          throw new Error('at once')
        },
      }),
    })
    expect((await throwing.fetch('/media/files/a.png/url')).status).toBe(503)
    expect(throwing.lines.at(-1)?.reason).toBe('credentials_source: Error: at once')
  })

  it('reads without the credentials for uploads, and uploads without those that read', async () => {
    const uploads = { fileName: 'a.png', mimetype: 'image/png' }
    const reader = mount({ settings: withBucket({ uploadCredentials: failing }) })
    expect((await reader.fetch('/media/files/a.png/url')).status).toBe(200)
    expect((await reader.post('/media/files/upload-url', uploads)).status).toBe(503)
    const writer = mount({
      settings: withBucket({ credentials: failing, uploadCredentials: READ }),
    })
    expect((await writer.fetch('/media/files/a.png/url')).status).toBe(503)
    expect((await writer.post('/media/files/upload-url', uploads)).status).toBe(200)
  })

  it('uses the write-only pair for uploads, in every dialect', async () => {
    const pairOf = (name: string) => async () => ({
      accessKeyId: name,
      secretAccessKey: 's',
      expiresAt: inAnHour(),
    })
    const app = mount({
      settings: withBucket({ credentials: pairOf('READ'), uploadCredentials: pairOf('WRITE') }),
    })
    const signed = async (response: Promise<Response>) =>
      [...(await (await response).text()).matchAll(/(READ|WRITE)(?:%2F|\/)2/g)].map(
        ([, name]) => name,
      )
    const file = { fileName: 'a.png', mimetype: 'image/png' }
    expect(await signed(app.fetch('/media/files/a.png/url'))).toEqual(['READ'])
    expect(await signed(app.post('/media/files/urls', { keys: ['a.png', 'b.png'] }))).toEqual([
      'READ',
      'READ',
    ])
    expect(await signed(app.post('/media/files/upload-url', file))).toEqual(['WRITE'])
    expect(await signed(app.post('/media/files/upload-urls', { files: [file] }))).toEqual(['WRITE'])
    expect(await signed(app.post('/media/s3/sign', { method: 'PUT', key: 'a.png' }))).toEqual([
      'WRITE',
    ])
    expect(await signed(app.fetch('/media/s3/params?filename=a.png&type=image/png'))).toEqual([
      'WRITE',
    ])
    const sent = scriptedBucket({ HeadObject: found(6), DeleteObject: answer(204) })
    await app.fetch('/media/files/a.png')
    await app.fetch('/media/files/a.png', { method: 'DELETE' })
    expect(operations(sent)).toEqual(['HeadObject', 'DeleteObject', 'HeadObject'])
    for (const { headers } of sent) expect(headers.get('Authorization')).toContain('=READ/')
  })
})

it('one function of two buckets and two presigners is called once', async () => {
  const credentials = vi.fn(async () => ({ ...READ, expiresAt: inAnHour() }))
  const { buckets } = withBucket({ credentials, uploadCredentials: credentials })
  const settings = { buckets: { ...buckets, others: { ...buckets.files } } }
  for (const app of [mount({ settings }), mount({ settings })])
    for (const bucket of ['files', 'others'])
      expect((await app.fetch(`/media/files/a.png/url?bucket=${bucket}`)).status).toBe(200)
  expect(credentials).toHaveBeenCalledOnce()
})

it('edge copies stay when the credentials change', async () => {
  let count = 0
  const credentials = async () => {
    count += 1
    return { ...READ, sessionToken: `token-${count}`, expiresAt: inAnHour() }
  }
  const settings = defineSettings(settingsInput(withBucket({ credentials })))
  const presigner = createPresigner(settings, {
    plugins: everyPlugin(),
    authenticate: () => ANN,
    log: () => {},
  })
  const objects = behindCaching(objectsEntrypoint(presigner), { variables: {} })
  const context = createExecutionContext()
  Reflect.set(context, 'exports', { Objects: objects })
  const host = new Hono().route('/media', presigner.app)
  const ask = (path: string, init?: RequestInit) =>
    host.fetch(new Request(new URL(path, 'https://app.example'), init), {}, context)
  const client = {
    post: async (path: string, body: unknown) =>
      ask(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      }),
  }
  const key = await upload(client, '/media')
  const { link } = await jsonOf<{ link: string }>(
    await client.post(`/media/files/${encodeURIComponent(key)}/link`, {}),
  )
  const show = async () => {
    const response = await ask(link)
    expect(await response.text()).toBe('pixels')
    await objects.done()
    return response.headers.get('Cache-Status')
  }
  expect(await show()).toContain('fwd=uri-miss')
  const before = count
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 50 * 60_000 })
  await ask(`/media/files/${encodeURIComponent(key)}/url`)
  await vi.waitFor(() => expect(count).toBe(before + 1), PATIENCE)
  expect(await show()).toContain('hit')
})
