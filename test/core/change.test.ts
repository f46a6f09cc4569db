import { HTTPException } from 'hono/http-exception'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '../../src/errors/api-error.ts'
import type { Seams } from '../../src/http/app-env.ts'
import type { Check, Reserve } from '../../src/http/host.ts'
import { createPresigner, defineSettings, type Plugin } from '../../src/index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, settingsInput } from '../support/app.ts'
import { everyPlugin } from '../support/every-plugin.ts'
import { type Mounted, mount } from '../support/mount.ts'
import { PATIENCE } from '../support/patience.ts'
import {
  answer,
  found,
  operations,
  s3Error,
  scriptedBucket,
  started,
} from '../support/scripted-bucket.ts'
import { formRequest } from '../support/uppy.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

const png = { mimetype: 'image/png' }
const KEY = 'no-such-avatars/42.png'

type Start = (app: Mounted) => Promise<Response>

/** Every request that starts an upload, with a new key and with a chosen one. */
const STARTS: Readonly<Record<string, Start>> = {
  'POST /files/upload-url': (app) =>
    app.post('/media/files/upload-url', { ...png, fileName: '42.png' }),
  'POST /files/upload-url, chosen': (app) =>
    app.post('/media/files/upload-url', { ...png, key: KEY }),
  'POST /files/upload-urls': (app) =>
    app.post('/media/files/upload-urls', { files: [{ ...png, fileName: '42.png' }] }),
  'POST /multipart': (app) => app.post('/media/multipart', { ...png, fileName: '42.png', size: 5 }),
  'POST /multipart, chosen': (app) => app.post('/media/multipart', { ...png, key: KEY, size: 5 }),
  'GET /s3/params': (app) => app.fetch('/media/s3/params?filename=42.png&type=image/png'),
  'GET /s3/params, chosen': (app) =>
    app.fetch(`/media/s3/params?filename=42.png&type=image/png&objectKey=${KEY}`),
  'POST /s3/multipart': (app) =>
    app.post('/media/s3/multipart', { filename: '42.png', type: 'image/png' }),
  'POST /s3/multipart, chosen': (app) =>
    app.post('/media/s3/multipart', { filename: '42.png', type: 'image/png', objectKey: KEY }),
  'POST /s3/sign (create)': (app) => app.post('/media/s3/sign', { ...sign, method: 'POST' }),
  'POST /s3/sign (create), chosen': (app) =>
    app.post('/media/s3/sign', { ...sign, method: 'POST', objectKey: KEY }),
  'POST /s3/sign (put)': (app) => app.post('/media/s3/sign', { ...sign, method: 'PUT' }),
}
const sign = { key: '42.png', contentType: 'image/png' }

/** The code and the key in a response, of its only file if it is a list. */
async function outcomeOf(response: Response): Promise<{ code?: string; key?: string }> {
  const body = await jsonOf<Record<string, unknown>>(response)
  const uploads = body.uploads as [Record<string, unknown>] | undefined
  return (uploads?.[0].error ?? body.fields ?? uploads?.[0] ?? body) as object
}

const quotaOf = (name: string, seams: Partial<Pick<Seams, 'check' | 'reserve'>>): Plugin => ({
  name,
  setup: () => seams,
})

/** An app with plugins `one` and `two` that note what they do in `done`. */
function watched(
  { check, reserve, undo }: { check?: Check; reserve?: Reserve; undo?: () => void } = {},
  options: Parameters<typeof mount>[0] = {},
) {
  const done: string[] = []
  const plugin = (name: string) =>
    quotaOf(name, {
      check: async (change, by) => {
        done.push(`check ${name}`)
        if (name === 'two') await check?.(change, by)
      },
      reserve: async (change, by) => {
        if (name === 'two') await reserve?.(change, by)
        done.push(`reserve ${name}`)
        return () => {
          done.push(`undo ${name}`)
          if (name === 'two') undo?.()
        }
      },
    })
  const plugins = [plugin('one'), ...everyPlugin(), plugin('two')]
  return { app: mount({ plugins, ...options }), done }
}

const RESERVED = ['check one', 'check two', 'reserve one', 'reserve two']
const UNDONE = [...RESERVED, 'undo two', 'undo one']
const full = (): never => {
  throw new ApiError('file_too_large', 'Your storage is full.')
}
/** Fails in each dialect when it signs, after the app was asked. */
const unsignable = () => ({ metadata: { a: 'x'.repeat(2048) } })

describe('for each request that starts an upload, a plugin', () => {
  // @threat change-unchecked
  it('may refuse it, before anything is reserved or sent to the bucket', async () => {
    for (const [name, start] of Object.entries(STARTS)) {
      const sent = scriptedBucket({})
      const { app, done } = watched({ check: full })
      const { code } = await outcomeOf(await start(app))
      expect.soft(code, name).toBe('file_too_large')
      expect.soft(done, name).toEqual(['check one', 'check two'])
      expect.soft(operations(sent), name).toEqual([])
    }
  })

  it('gets the key, the file and its uploader, after the app was asked', async () => {
    for (const [name, start] of Object.entries(STARTS)) {
      scriptedBucket({ CreateMultipartUpload: started('id'), HeadObject: answer(404) })
      const check = vi.fn<Check>()
      const beforeUpload = vi.fn(() => {
        expect.soft(check, name).not.toHaveBeenCalled()
        return name.includes('chosen') ? undefined : { directory: 'anns' }
      })
      const { app, done } = watched(
        { check, reserve: (...given) => check(...given) },
        { beforeUpload },
      )
      const { key } = await outcomeOf(await start(app))
      const isChosen = name.includes('chosen')
      expect.soft(key, name).toMatch(isChosen ? KEY : /^uploads\/anns\/[^/]{20}-42\.png$/)
      const size = name.includes('POST /multipart') ? 5 : undefined
      const overwrite = isChosen ? { overwrite: false } : {}
      const change = { type: 'upload', bucket: 'files', key, ...png, size, ...overwrite }
      const by = { principal: expect.objectContaining({ id: 'app:ann' }) }
      expect.soft(check.mock.calls, name).toEqual([
        [change, by],
        [change, by],
      ])
      expect.soft(beforeUpload, name).toHaveBeenCalledOnce()
      expect.soft(done, name).toEqual(RESERVED)
    }
  })

  it('undoes what it reserved, the last one first, if the signing fails', async () => {
    for (const [name, start] of Object.entries(STARTS)) {
      scriptedBucket({ HeadObject: answer(404) })
      const { app, done } = watched({}, { beforeUpload: unsignable })
      expect.soft((await outcomeOf(await start(app))).code, name).toBe('invalid_request')
      expect.soft(done, name).toEqual(UNDONE)
    }
  })

  it.each(Object.entries(STARTS).filter(([name]) => /chosen|multipart/.test(name)))(
    'undoes what it reserved if the bucket refuses: %s',
    async (name, start) => {
      if (/create|upload-url/.test(name)) return // no request to this bucket
      scriptedBucket({
        HeadObject: name.includes('chosen') ? found(5) : answer(404),
        CreateMultipartUpload: s3Error(403, 'AccessDenied'),
      })
      const { app, done } = watched()
      expect((await start(app)).ok).toBe(false)
      expect(done).toEqual(UNDONE)
    },
  )
})

describe('a reservation', () => {
  const start = STARTS['POST /multipart'] as Start

  it('may refuse, and undoes the earlier ones', async () => {
    const sent = scriptedBucket({})
    const { app, done } = watched({ reserve: full })
    expect(await outcomeOf(await start(app))).toMatchObject({ code: 'file_too_large' })
    expect(done).toEqual(['check one', 'check two', 'reserve one', 'undo one'])
    expect(sent).toEqual([])
  })

  it('and a check may refuse with an HTTPException, and anything else is an error of its own', async () => {
    for (const step of ['check', 'reserve'] as const) {
      const refused = watched({
        [step]: () => Promise.reject(new HTTPException(402, { message: 'Pay first.' })),
      })
      const response = await start(refused.app)
      expect(response.status).toBe(402)
      expect(await jsonOf(response)).toMatchObject({ code: 'refused', message: 'Pay first.' })
      const broken = watched({ [step]: () => Promise.reject(new Error('canary')) })
      const failed = await start(broken.app)
      expect(failed.status).toBe(500)
      expect(await failed.text()).not.toContain('canary')
      expect(broken.app.lines[0]?.reason).toContain('canary')
      expect(broken.done.includes('undo one')).toBe(step === 'reserve')
    }
  })

  it('whose undo fails is a warning, and neither hides the error nor ends the other undos', async () => {
    scriptedBucket({ CreateMultipartUpload: s3Error(403, 'AccessDenied') })
    const undo = () => {
      throw new Error('no database')
    }
    const { app, done } = watched({ undo })
    expect((await start(app)).status).toBe(502)
    expect(done).toEqual(UNDONE)
    expect(app.lines[0]).toMatchObject({
      code: 'storage_error',
      warning: expect.stringMatching(/^reservation not undone: Error: no database/),
    })
  })

  it('has the same time as functions of the app, and one that is late is undone', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const sent = scriptedBucket({})
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const reserve = () => {
      queueMicrotask(() => {
        vi.advanceTimersByTime(1000)
        resolve()
      })
      return late
    }
    const { app, done } = watched({ reserve }, { appTimeoutSeconds: 1 })
    expect(await outcomeOf(await start(app))).toMatchObject({
      code: 'unavailable',
      reason: 'storage',
    })
    expect(app.lines[0]?.reason).toContain('reserve did not end in time')
    expect(done).toEqual(UNDONE)
    expect(sent).toEqual([])
  })

  it('is not made if a check takes longer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const check = () => {
      queueMicrotask(() => vi.advanceTimersByTime(1000))
      return new Promise<void>(() => {})
    }
    const { app, done } = watched({ check }, { appTimeoutSeconds: 1 })
    expect(await outcomeOf(await start(app))).toMatchObject({
      code: 'unavailable',
      reason: 'storage',
    })
    expect(app.lines[0]?.reason).toContain('check did not end in time')
    expect(done).toEqual(['check one', 'check two'])
  })

  it('is undone after the deadline of the request too', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    scriptedBucket({
      CreateMultipartUpload: (sent) => {
        vi.setSystemTime(Date.now() + 30_000)
        return s3Error(403, 'AccessDenied')(sent)
      },
    })
    const { app, done } = watched()
    expect((await start(app)).status).toBe(502)
    expect(done).toEqual(UNDONE)
    expect(app.lines[0]).not.toHaveProperty('warning', expect.anything())
  })

  it('has the same key for a repeat with the same startId', async () => {
    scriptedBucket({ CreateMultipartUpload: started('id') })
    const keys: string[] = []
    const { app } = watched({ reserve: ({ key }) => void keys.push(key) })
    const startId = `${Date.now()}-${crypto.randomUUID()}`
    for (const _ of [1, 2])
      await app.post('/media/multipart', { ...png, fileName: '42.png', size: 5, startId })
    expect(keys).toEqual([keys[0], keys[0]])
  })

  it('is made once for a step and for a form, when they are signed', async () => {
    const [files] = Object.values(settingsInput().buckets)
    if (files === undefined) throw new Error('There is a bucket.')
    scriptedBucket({
      CreateMultipartUpload: started('id'),
      HeadObject: found(5),
      PutObject: answer(200, null, { ETag: '"abc-2"' }),
    })
    const settings = { buckets: { files: { ...files, postUploads: false } } }
    const { app, done } = watched({}, { settings })
    const { url } = await jsonOf<{ url: string }>(
      await app.post('/media/s3/sign', { ...sign, method: 'POST' }),
    )
    expect((await app.fetch(url, { method: 'POST' })).status).toBe(200)
    expect(done).toEqual(RESERVED)
    const { url: formUrl, fields } = await jsonOf<{ url: string; fields: Record<string, string> }>(
      await app.fetch('/media/s3/params?filename=42.png&type=image/png'),
    )
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    form.append('file', new Blob(['hello']), '42.png')
    expect((await app.fetch(formUrl, await formRequest(form))).status).toBe(201)
    expect(done).toEqual([...RESERVED, ...RESERVED])
  })

  it('keeps the request running until it is undone, also if the client leaves', async () => {
    scriptedBucket({ CreateMultipartUpload: s3Error(403, 'AccessDenied') })
    const kept: Promise<unknown>[] = []
    const undo = vi.fn()
    const presigner = createPresigner(
      defineSettings(() => settingsInput()),
      {
        plugins: [...everyPlugin(), quotaOf('quota', { reserve: () => undo })],
        authenticate: () => ANN,
        log: () => undefined,
      },
    )
    const body = JSON.stringify({ ...png, fileName: '42.png', size: 5 })
    const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }
    const context = { waitUntil: (work: Promise<unknown>) => void kept.push(work) }
    void presigner.fetch(new Request('https://app.example/multipart', init), {}, context as never)
    await vi.waitFor(() => expect(kept).toHaveLength(1), PATIENCE)
    await kept[0]
    expect(undo).toHaveBeenCalledOnce()
  })
})

describe('a check or a reservation alone', () => {
  // @threat app-csrf
  it.each(['check', 'reserve'])('does nothing for a page of another origin: %s', async (step) => {
    const called = vi.fn()
    const app = mount({ plugins: [...everyPlugin(), quotaOf('quota', { [step]: called })] })
    const path = '/media/s3/params?filename=42.png'
    const ask = (Origin: string) => app.fetch(path, { headers: { Origin } })
    expect((await ask('https://evil.example')).status).toBe(403)
    expect(called).not.toHaveBeenCalled()
    expect((await ask('https://app.example')).status).toBe(200)
    expect(called).toHaveBeenCalledOnce()
  })
})

describe('for each file that is deleted, a plugin', () => {
  const remove = (app: Mounted, keys: readonly string[]) =>
    keys.length === 1
      ? app.fetch(`/media/files/${keys[0]}`, { method: 'DELETE' })
      : app.post('/media/files/delete', { keys })
  const deleted = answer(204)
  const ofKey =
    (step: (key: string) => void): Check =>
    ({ key, type }) => {
      expect(type).toBe('delete')
      step(key)
    }

  // @threat change-unchecked
  it('may refuse it, before any object is deleted', async () => {
    for (const keys of [['b'], ['a', 'b']]) {
      const reserved: string[] = []
      const check = vi.fn(ofKey((key) => key === 'b' && full()))
      const sent = scriptedBucket({
        DeleteObject: () => {
          expect(check).toHaveBeenCalledTimes(keys.length)
          return new Response(null, { status: 204 })
        },
        HeadObject: answer(404),
      })
      const { app } = watched({ check, reserve: ofKey((key) => reserved.push(key)) })
      const response = await remove(app, keys)
      expect(await response.text()).toContain('Your storage is full.')
      const gone = keys.filter((key) => key === 'a')
      expect(reserved).toEqual(gone)
      const urls = sent.filter(({ method }) => method === 'DELETE').map(({ url }) => new URL(url))
      expect(urls.map(({ pathname }) => pathname)).toEqual(gone.map((key) => `/files/${key}`))
      const by = { principal: expect.objectContaining({ id: 'app:ann' }) }
      for (const key of keys)
        expect(check).toHaveBeenCalledWith({ type: 'delete', bucket: 'files', key }, by)
    }
  })

  it('is asked after the app, and not about what the app refuses', async () => {
    scriptedBucket({})
    const { app, done } = watched({}, { beforeDelete: () => ({ refuse: 'In use.' }) })
    for (const keys of [['a'], ['a', 'b']])
      expect(await (await remove(app, keys)).text()).toContain('In use.')
    expect(done).toEqual([])
  })

  it('that fails to check or reserve one prevents all of them, and undoes the rest', async () => {
    for (const step of ['check', 'reserve'] as const) {
      const sent = scriptedBucket({})
      const fail: Check = async ({ key }) => {
        if (key === 'b') throw new Error('canary')
        await new Promise((resolve) => setTimeout(resolve))
      }
      const { app, done } = watched({ [step]: fail })
      expect((await remove(app, ['a', 'b', 'c'])).status).toBe(500)
      expect(sent).toEqual([])
      const count = (text: string) => done.filter((one) => one === text).length
      const [reservedOne, reservedTwo] = step === 'check' ? [0, 0] : [3, 2]
      expect(['reserve one', 'reserve two'].map(count)).toEqual([reservedOne, reservedTwo])
      expect(['undo one', 'undo two'].map(count)).toEqual([reservedOne, reservedTwo])
    }
  })

  it('that fails to reserve one undoes also what it reserves later', async () => {
    scriptedBucket({})
    const held = new Set<string>()
    const hold = (name: string, before: (key: string) => unknown) =>
      quotaOf(name, {
        reserve: async ({ key }) => {
          await before(key)
          held.add(`${name} ${key}`)
          return () => void held.delete(`${name} ${key}`)
        },
      })
    const slow = hold('one', (key) => key === 'c' && new Promise((resolve) => setTimeout(resolve)))
    const failing = hold('two', (key) => {
      if (key === 'b') throw new Error('canary')
    })
    const app = mount({ plugins: [...everyPlugin(), slow, failing] })
    expect((await remove(app, ['a', 'b', 'c'])).status).toBe(500)
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect([...held]).toEqual([])
  })

  it('may refuse to reserve one, which is undone, and the others are deleted', async () => {
    const sent = scriptedBucket({ DeleteObject: deleted, HeadObject: answer(404) })
    const { app, done } = watched({ reserve: ofKey((key) => key === 'b' && full()) })
    const response = await remove(app, ['a', 'b'])
    expect(await jsonOf(response)).toMatchObject({
      deleted: [{ key: 'a' }, { key: 'b', error: { code: 'file_too_large' } }],
    })
    expect(done.filter((one) => one.startsWith('undo'))).toEqual(['undo one'])
    expect(sent.filter(({ url }) => url.endsWith('/b'))).toEqual([])
  })

  it('undoes the reservation of each one that is not deleted', async () => {
    const undone: string[] = []
    const quota = quotaOf('quota', {
      reserve:
        ({ key }) =>
        () =>
          void undone.push(key),
    })
    const app = mount({ plugins: [...everyPlugin(), quota] })
    scriptedBucket({ DeleteObject: s3Error(403, 'AccessDenied') })
    expect((await remove(app, ['a'])).ok).toBe(false)
    expect(undone).toEqual(['a'])
    scriptedBucket({ DeleteObject: deleted, HeadObject: answer(404) })
    expect((await remove(app, ['a'])).status).toBe(204)
    expect(undone).toEqual(['a'])
    scriptedBucket({
      DeleteObjects: answer(
        200,
        '<DeleteResult><Error><Key>b</Key><Code>AccessDenied</Code></Error><Deleted><Key>a</Key></Deleted><Deleted><Key>c</Key></Deleted></DeleteResult>',
      ),
      HeadObject: answer(404),
    })
    expect((await remove(app, ['a', 'b', 'c'])).status).toBe(200)
    expect(undone).toEqual(['a', 'b'])
  })
})
