import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import type { FileIndex } from '../../src/records/file-index.ts'
import { testRecord } from '../../src/testing/test-record.ts'
import { ANN } from '../support/ann.ts'
import { settingsInput } from '../support/app.ts'
import { inWords } from '../support/errors.ts'
import { FAKE_CLOCK, fakeSeconds } from '../support/fake-seconds.ts'
import { mount } from '../support/mount.ts'
import {
  CHOSEN_KEY_ROUTES,
  COPY_TARGET_ROUTES,
  ROUTES,
  requestTo,
} from '../support/protected-routes.ts'
import { hangNextPurge } from '../support/purge.ts'
import {
  type Answer,
  answer,
  completed,
  found,
  hanging,
  later,
  listed,
  partXml,
  scriptedBucket,
  started,
} from '../support/scripted-bucket.ts'
import { formRequest } from '../support/uppy.ts'

beforeEach(() => {
  vi.useFakeTimers(FAKE_CLOCK)
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

const SECRET = 'notifications-0123456789abcdef0123456789'
/** Just below the limit of every single call. */
const SLOW = 9900
const slow = () => new Promise<void>((resolve) => setTimeout(resolve, SLOW))
const never = () => new Promise<never>(() => {})
const deleted: Answer = ({ body }) => {
  const keys = [...body.matchAll(/<Key>(.*?)<\/Key>/g)].map(([, key]) => key)
  const entries = keys.map((key) => `<Deleted><Key>${key}</Key></Deleted>`)
  return new Response(`<DeleteResult>${entries.join('')}</DeleteResult>`)
}

/** What a working bucket answers. */
const BUCKET: Parameters<typeof scriptedBucket>[0] = {
  CreateMultipartUpload: started('s3-upload'),
  ListParts: listed([partXml(1, 5, '&quot;5d41402abc4b2a76b9719d911017c592&quot;')]),
  CompleteMultipartUpload: completed,
  AbortMultipartUpload: answer(204),
  HeadObject: found(5),
  GetObject: found(5),
  PutObject: answer(200, null, { ETag: '"abc-2"' }),
  DeleteObject: answer(204),
  DeleteObjects: deleted,
}
const slowBucket = () =>
  scriptedBucket(
    Object.fromEntries(
      Object.entries(BUCKET).map(([name, given]) => [name, later(SLOW, given as Answer)]),
    ),
  )

/** An index with `before` ahead of each operation. */
function slowIndex(before: () => Promise<unknown> = slow, index = memoryFileIndex()): FileIndex {
  return {
    get: (...key) => before().then(() => index.get(...key)),
    put: (record) => before().then(() => index.put(record)),
    remove: (...key) => before().then(() => index.remove(...key)),
    list: (input) => before().then(() => index.list(input)),
  }
}

/** A presigner without an edge cache, and with an index that doesn't remember. */
const mounted = (options: Parameters<typeof mount>[0] = {}) => {
  const index = slowIndex(async () => {})
  return mount({ links: { entrypoint: null }, files: { index: () => index }, ...options })
}

/** Starts an upload in parts to a chosen key, and returns its id. */
async function begin(app: ReturnType<typeof mount>, key: string): Promise<string> {
  const file = { key, overwrite: true, mimetype: 'text/plain', size: 5 }
  const begun = await app.post('/media/multipart', file)
  expect(begun.status).toBe(200)
  return (await begun.json<{ uploadId: string }>()).uploadId
}

const codesOf = async (response: Response, member: string) => {
  const body: Record<string, { error?: { code: string; reason?: string } }[]> =
    await response.json()
  return (body[member] ?? []).map(({ error }) => (error ? inWords(error) : 'ok'))
}
const counts = (codes: readonly string[]) =>
  codes.reduce<Record<string, number>>((sum, code) => {
    sum[code] = (sum[code] ?? 0) + 1
    return sum
  }, {})

describe('a request', () => {
  // @threat request-slow
  it('ends within 25 seconds on every route except a complete and copies, however slow everything is', async () => {
    const start = mounted()
    scriptedBucket(BUCKET)
    const key = 'team/a.txt'
    const uploadId = await begin(start, key)
    const step = await start.post('/media/s3/sign', { method: 'POST', key: 'a.txt' })
    const { url } = (await step.json()) as { url: string }
    const link = await start.post(`/media/files/${encodeURIComponent(key)}/link`, {})
    const { link: href } = (await link.json()) as { link: string }

    slowBucket()
    const index = slowIndex()
    const app = mounted({
      notifications: { secrets: SECRET },
      files: { index: () => index },
      authenticate: () => slow().then(() => ANN),
      beforeUpload: () => slow().then(() => undefined),
      events: { onEvent: slow },
    })
    const record = { eventName: 's3:ObjectCreated:Put', s3: { bucket: { name: 'files' } } }
    const object = { key: 'uploads%2Fybqr1sgp7a270ajfewde-first.txt' }
    const others = [
      ['POST /s3/uploads', url, { method: 'POST' }],
      ['GET /i/:bucket/:key', href, { headers: { Range: 'bytes=0-' } }],
      [
        'POST /notifications',
        '/media/notifications',
        {
          method: 'POST',
          headers: { Authorization: `Bearer ${SECRET}`, 'Content-Type': 'application/json' },
          body: JSON.stringify({ Records: [{ ...record, s3: { ...record.s3, object } }] }),
        },
      ],
    ] as const
    const routes = [...ROUTES, ...CHOSEN_KEY_ROUTES, ...COPY_TARGET_ROUTES].map((route) => {
      const [path, init] = requestTo(route, key, { uploadId })
      return [route.route, `/media${path}`, init] as const
    })
    let longest = 0
    for (const [name, path, init] of [...routes, ...others]) {
      // The bucket may copy or join a large object.
      if (/\/complete$|\/files\/(?:copy|move)/.test(name)) continue
      const [response, seconds] = await fakeSeconds(app.fetch(path, init))
      longest = Math.max(longest, seconds)
      expect.soft(seconds, name).toBeLessThanOrEqual(25)
      if (seconds === 25) expect.soft(await response.text(), name).toContain('"reason":"storage"')
      if (response.status === 503) expect.soft(response.headers.get('Retry-After'), name).toBe('5')
    }
    expect(longest).toBe(25)
  })

  it('has its deadline from the end of its body', async () => {
    scriptedBucket({ HeadObject: later(SLOW, found(5)) })
    const app = mounted({ events: { onEvent: never } })
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const body = (async () => {
      await new Promise((resolve) => setTimeout(resolve, 60_000))
      const writer = writable.getWriter()
      await writer.write(new TextEncoder().encode('{"key":"a.txt"}'))
      await writer.close()
    })()
    const request = app.fetch('/media/files', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: readable,
      duplex: 'half',
    } as RequestInit)
    const [response, seconds] = await fakeSeconds(request)
    await body
    expect(await response.json()).toMatchObject({ code: 'unavailable', reason: 'events' })
    expect(seconds).toBeCloseTo(60 + SLOW / 1000 + 10, 1)
  })

  it('leaves no timer behind', async () => {
    scriptedBucket(BUCKET)
    const app = mounted({
      events: { onEvent: async () => {} },
      beforeUpload: async () => undefined,
    })
    for (const [path, body] of [
      ['/media/files', { key: 'a.txt' }],
      ['/media/files/upload-url', { key: 'b.txt', overwrite: true, mimetype: 'text/plain' }],
      ['/media/files/delete', { keys: ['a.txt', 'b.txt'] }],
    ] as const)
      expect((await app.post(path, body)).status).toBeLessThan(300)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('to complete an upload, or with a form, may take longer', async () => {
    scriptedBucket(BUCKET)
    const { files } = settingsInput().buckets
    if (files === undefined) throw new Error('There is no bucket.')
    const settings = { buckets: { files: { ...files, postUploads: false } } }
    const app = mounted({ settings, events: { onEvent: slow } })
    const file = { fileName: 'long.txt', mimetype: 'text/plain', size: 5 }
    const started = await app.post('/media/multipart', file)
    const { key, uploadId } = (await started.json()) as { key: string; uploadId: string }
    const params = await app.fetch('/media/s3/params?filename=a.txt')
    const { url, fields } = (await params.json()) as {
      url: string
      fields: Record<string, string>
    }
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    form.append('file', new Blob(['hello']), 'a.txt')
    scriptedBucket({
      ...BUCKET,
      HeadObject: later(SLOW, found(5)),
      PutObject: later(40_000, answer(200, null, { ETag: '"abc-2"' })),
      CompleteMultipartUpload: later(100_000, completed),
    })
    const [posted, formSeconds] = await fakeSeconds(app.fetch(url, await formRequest(form)))
    expect([posted.status, formSeconds > 60]).toEqual([201, true])
    const parts = [{ partNumber: 1, etag: '"5d41402abc4b2a76b9719d911017c592"' }]
    const path = `/media/multipart/${encodeURIComponent(uploadId)}/complete`
    const [complete, seconds] = await fakeSeconds(app.post(path, { key, parts }))
    expect([complete.status, seconds > 110]).toEqual([201, true])
  })
})

describe('what the app is asked', () => {
  const upload = { fileName: 'a.txt', mimetype: 'text/plain' }
  const index: FileIndex = slowIndex(never)

  // @threat request-slow app-hangs
  it.each([
    ['authenticate', { authenticate: never }, '/media/files/urls', { keys: ['a.txt'] }, 'storage'],
    ['beforeUpload', { beforeUpload: never }, '/media/files/upload-url', upload, 'storage'],
    [
      'beforeDelete',
      { beforeDelete: never },
      '/media/files/delete',
      { keys: ['a.txt'] },
      'storage',
    ],
    ['onEvent', { events: { onEvent: never } }, '/media/files', { key: 'a.txt' }, 'events'],
    ['index', { files: { index: () => index } }, '/media/files', { key: 'a.txt' }, 'index'],
  ] as const)('has ten seconds, or as many as the app says: %s', async (...row) => {
    const [name, given, path, body, reason] = row
    for (const [options, limit] of [
      [{}, 10],
      [{ appTimeoutSeconds: 3 }, 3],
    ] as const) {
      scriptedBucket(BUCKET)
      const app = mounted({ ...given, ...options })
      const [response, seconds] = await fakeSeconds(app.post(path, body))
      expect(seconds).toBe(limit)
      expect(await response.text()).toContain(`"reason":"${reason}"`)
      if (reason !== 'storage' || name === 'beforeDelete') continue
      expect([response.status, response.headers.get('Retry-After')]).toEqual([503, '5'])
      expect(app.lines[0]?.reason).toBe(`storage: ${name} did not end in time`)
    }
  })

  // @threat request-slow
  it('has no more time than its request', async () => {
    scriptedBucket({ ...BUCKET, HeadObject: later(SLOW, found(5)) })
    const app = mounted({ events: { onEvent: never }, appTimeoutSeconds: 25 })
    const [response, seconds] = await fakeSeconds(app.post('/media/files', { key: 'a.txt' }))
    expect(seconds).toBe(25)
    expect(await response.json()).toMatchObject({ code: 'unavailable', reason: 'storage' })
  })

  it.each([0, 26, 1.5, Number.NaN, '10', 10n, null])('can not have %o seconds', async (seconds) => {
    const app = mounted({ appTimeoutSeconds: seconds as number })
    expect(await (await app.fetch('/media/healthz')).json()).toMatchObject({
      code: 'misconfigured',
      issues: [{ path: 'appTimeoutSeconds', message: 'must be a whole number from 1 to 25' }],
    })
  })
})

describe('a batch', () => {
  // @threat request-slow
  it('tells about which file the app did not answer in time', async () => {
    const app = mounted({
      beforeUpload: ({ fileName }) => (fileName === 'b.txt' ? never() : undefined),
    })
    const files = ['a.txt', 'b.txt', 'c.txt'].map((fileName) => ({
      fileName,
      mimetype: 'text/plain',
    }))
    const [response, seconds] = await fakeSeconds(app.post('/media/files/upload-urls', { files }))
    expect([response.status, seconds]).toEqual([200, 10])
    expect(await codesOf(response, 'uploads')).toEqual(['ok', 'unavailable storage', 'ok'])
  })

  // @threat request-slow
  it('of chosen keys tells which ones the bucket did not answer for in time', async () => {
    const sent = scriptedBucket({ HeadObject: hanging })
    const chosen = Array.from({ length: 99 }, (_, i) => ({
      key: `team/${i}.txt`,
      mimetype: 'text/plain',
    }))
    const files = [...chosen, { fileName: 'a.txt', mimetype: 'text/plain' }]
    const [response, seconds] = await fakeSeconds(
      mounted().post('/media/files/upload-urls', { files }),
    )
    expect([response.status, seconds]).toEqual([200, 25])
    const codes = await codesOf(response, 'uploads')
    expect(counts(codes)).toEqual({ storage_error: 12, 'unavailable storage': 87, ok: 1 })
    expect(sent).toHaveLength(18)
  })

  // @threat request-slow
  it('that records tells which files the bucket did not answer for in time', async () => {
    const sent = scriptedBucket({ HeadObject: hanging })
    const files = Array.from({ length: 20 }, (_, i) => ({ key: `team/${i}.txt` }))
    const [response, seconds] = await fakeSeconds(mounted().post('/media/files/batch', { files }))
    expect([response.status, seconds]).toEqual([200, 25])
    const codes = await codesOf(response, 'files')
    expect(counts(codes)).toEqual({ storage_error: 12, 'unavailable storage': 8 })
    expect(sent).toHaveLength(18)
  })

  // @threat request-slow
  it('that deletes tells which files are not done, and a repeat does the rest', async () => {
    const index = memoryFileIndex()
    const keys = Array.from({ length: 30 }, (_, i) => `team/${i}.txt`)
    for (const key of keys) await index.put(testRecord(key))
    scriptedBucket({ ...BUCKET, HeadObject: answer(404) })
    const half = slowIndex(slow, index)
    const app = mounted({ files: { index: () => ({ ...half, get: index.get }) } })
    const [response, seconds] = await fakeSeconds(app.post('/media/files/delete', { keys }))
    expect([response.status, seconds]).toEqual([200, 25])
    const codes = await codesOf(response, 'deleted')
    expect(counts(codes)).toEqual({ ok: 12, 'unavailable storage': 18 })
    const stay = keys.filter((_, i) => codes[i] !== 'ok')
    await vi.advanceTimersByTimeAsync(SLOW)
    const known = await Promise.all(keys.map((key) => index.get('files', parseObjectKey(key))))
    // Six were being removed at the deadline.
    expect(known.filter((one) => one !== null)).toHaveLength(12)
    const quick = mounted({ files: { index: () => index } })
    const again = await quick.post('/media/files/delete', { keys: stay })
    expect(counts(await codesOf(again, 'deleted'))).toEqual({ ok: 18 })
  })

  it('that deletes leaves time for the copies and the records', async () => {
    scriptedBucket({ DeleteObjects: hanging })
    const keys = ['a.txt', 'b.txt']
    const [response, seconds] = await fakeSeconds(mounted().post('/media/files/delete', { keys }))
    expect(seconds).toBe(20)
    expect(await codesOf(response, 'deleted')).toEqual(['storage_error', 'storage_error'])
  })

  it('that deletes one by one from a server that hangs ends in time', async () => {
    const sent = scriptedBucket({ DeleteObjects: answer(501), DeleteObject: hanging })
    const keys = Array.from({ length: 100 }, (_, i) => `team/${i}.txt`)
    const [response, seconds] = await fakeSeconds(mounted().post('/media/files/delete', { keys }))
    expect(seconds).toBe(25)
    const codes = counts(await codesOf(response, 'deleted'))
    expect(codes).toEqual({ storage_error: 12, 'unavailable storage': 88 })
    expect(sent).toHaveLength(19)
  })
})

describe('a purge that hangs', () => {
  // @threat request-slow
  it('is unavailable after ten seconds, with Retry-After', async () => {
    scriptedBucket({ ...BUCKET, HeadObject: answer(404) })
    const purge = hangNextPurge()
    const [response, seconds] = await fakeSeconds(
      mounted({ links: { entrypoint: 'Objects' } }).fetch('/media/files/a.txt', {
        method: 'DELETE',
      }),
    )
    expect(purge).toHaveBeenCalledTimes(1)
    expect(seconds).toBe(10)
    expect(await response.json()).toMatchObject({ code: 'unavailable', reason: 'purge' })
    expect(response.headers.get('Retry-After')).toBe('60')
  })
})
