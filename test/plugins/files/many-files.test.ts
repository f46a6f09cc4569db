import { createExecutionContext, reset, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { presigner } from '../../../examples/everything/src/presigner.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { testRecord } from '../../../src/testing/test-record.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { captureLog } from '../../support/capture-log.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { failNextPurge } from '../../support/purge.ts'
import { scriptedBucket } from '../../support/scripted-bucket.ts'
import { testWorker } from '../../support/worker.ts'

afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  await reset()
})

const worker = testWorker()
const stored = async () => (await env.FILE_INDEX.list()).keys.map(({ name }) => name)

interface Uploads {
  readonly uploads: readonly {
    readonly key: string
    readonly uploadUrl: string
    readonly headers: Record<string, string>
    readonly expiresIn?: number
    readonly fileName?: string
    readonly error?: { readonly code: string }
  }[]
}

interface Deleted {
  readonly deleted: readonly { readonly key: string; readonly error?: { readonly code: string } }[]
}

const file = (fileName: string, more: object = {}) => ({
  fileName,
  mimetype: 'text/plain',
  ...more,
})

const signMany = async (files: readonly unknown[], more: object = {}): Promise<Uploads> => {
  const response = await worker.post('/files/upload-urls', { files, ...more })
  expect(response.status).toBe(200)
  return response.json()
}

/** Uploads and records files with these names, and returns their keys. */
async function uploadMany(...names: string[]): Promise<string[]> {
  const { uploads } = await signMany(names.map((name) => file(name)))
  await Promise.all(
    uploads.map(async ({ uploadUrl, headers, key }) => {
      const put = await fetch(uploadUrl, { method: 'PUT', headers, body: key })
      expect(put.status).toBe(200)
      expect((await worker.post('/files', { key, name: key })).status).toBe(201)
    }),
  )
  return uploads.map(({ key }) => key)
}

const removeMany = async (keys: readonly string[], init?: RequestInit): Promise<Deleted> => {
  const response = await worker.post('/files/delete', { keys }, init)
  expect(response.status).toBe(200)
  return response.json()
}

const pathOf = (key: string) => key.split('/').map(encodeURIComponent).join('/')
const exists = async (key: string) => (await bucketFetch(pathOf(key))).status === 200

describe('POST /files/upload-urls', () => {
  it('signs what POST /files/upload-url signs, in the same order', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-24T12:00:00Z'), toFake: ['Date'] })
    try {
      const conditions = {
        size: 5,
        directory: 'x/y',
        metadata: { author: 'Zoë' },
        cacheControl: 'no-cache',
        overwrite: false,
        sha256: 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
      }
      const files = [file('a.txt'), file('b.txt', conditions), file('a.txt')]
      const { uploads } = await signMany(files, { expiresIn: 60, bucket: 'files' })
      const singles = await Promise.all(
        files.map(async (one) =>
          (await worker.post('/files/upload-url', { ...one, expiresIn: 60 })).json<object>(),
        ),
      )
      const comparable = (uploads: readonly object[]) =>
        JSON.stringify(uploads)
          .replaceAll(/uploads\/((?:x\/y\/)?)[0-9a-z]{20}/g, 'uploads/$1ID')
          .replaceAll(/X-Amz-Signature=[0-9a-f]{64}/g, 'SIGNATURE')
      expect(comparable(uploads)).toBe(comparable(singles))
      expect(new Set(uploads.map(({ key }) => key)).size).toBe(3)
    } finally {
      vi.useRealTimers()
    }
  })

  it('gives new keys the order of the list, in which the index has the last one first', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-24T12:00:00Z'), toFake: ['Date'] })
    try {
      const files = Array.from({ length: 40 }, (_, index) => file(`${index}.txt`))
      const keys = (await signMany(files)).uploads.map(({ key }) => key)
      expect(keys.toSorted()).toEqual(keys.toReversed())
    } finally {
      vi.useRealTimers()
    }
  })

  it('returns URLs that work', async () => {
    const keys = await uploadMany('one.txt', 'two.txt')
    for (const key of keys) expect(await (await bucketFetch(pathOf(key))).text()).toBe(key)
  })

  it('returns an error for each file that the bucket or the schema refuses, and URLs for the rest', async () => {
    const { uploads } = await signMany([
      file('a.txt'),
      file('b.txt', { mimetype: 'no type' }),
      file('c.png', { mimetype: 'text/html' }),
      file('x'.repeat(2000)),
      file('', {}),
      file('d.txt', { unknown: 1 }),
      { mimetype: 'text/plain' },
      'not a file',
      null,
      file('z.txt'),
    ])
    expect(uploads.map(({ error }) => error?.code ?? null)).toEqual([
      null,
      'invalid_mimetype',
      'type_mismatch',
      ...Array(6).fill('invalid_request'),
      null,
    ])
    expect(uploads[1]).toEqual({
      fileName: 'b.txt',
      error: { code: 'invalid_mimetype', message: expect.any(String) },
    })
    expect(uploads[4]).toEqual({
      fileName: '',
      error: {
        code: 'invalid_request',
        message: 'The request is not valid.',
        issues: [{ path: 'fileName', message: 'must not be empty' }],
      },
    })
    expect(uploads[7]).toEqual({ error: expect.objectContaining({ code: 'invalid_request' }) })
  })

  it.each([
    [{ files: [] }, 'invalid_request'],
    [{ files: Array(101).fill(file('a.txt')) }, 'invalid_request'],
    [{ files: file('a.txt') }, 'invalid_request'],
    [{}, 'invalid_request'],
    [{ files: [file('a.txt')], expiresIn: 3601 }, 'invalid_expiry'],
    [{ files: [file('a.txt')], bucket: 'none' }, 'unknown_bucket'],
  ])('refuses the whole request %#', async (body, code) => {
    expect(await (await worker.post('/files/upload-urls', body)).json()).toMatchObject({ code })
  })

  it('signs 100 files', async () => {
    const { uploads } = await signMany(Array.from({ length: 100 }, (_, i) => file(`${i}.txt`)))
    expect(uploads.every(({ uploadUrl }) => URL.canParse(uploadUrl))).toBe(true)
    expect(uploads[37]?.key).toMatch(/-37\.txt$/)
  })

  it('creates keys under the prefix of the caller', async () => {
    const key = await testApiKey('app', ['files:upload'], 'team-a/')
    const guarded = testWorker({ API_KEYS: [key.entry], OPEN_ACCESS: undefined })
    const response = await guarded.post(
      '/files/upload-urls',
      { files: [file('a.txt')] },
      bearer(key.token),
    )
    const { uploads }: Uploads = await response.json()
    expect(uploads[0]?.key).toMatch(/^team-a\/uploads\//)
  })
})

describe('POST /files/batch', () => {
  const record = async (
    files: readonly unknown[],
    init?: RequestInit,
    through = worker,
  ): Promise<(Partial<FileRecord> & { error?: { code: string } })[]> => {
    const response = await through.post('/files/batch', { files }, init)
    expect(response.status).toBe(200)
    return (await response.json<{ files: FileRecord[] }>()).files
  }
  const codes = (files: readonly { readonly error?: { readonly code: string } }[]) =>
    files.map(({ error }) => error?.code ?? null)
  const store = async (...keys: string[]) => {
    for (const key of keys)
      expect((await bucketFetch(pathOf(key), { method: 'PUT', body: key })).status).toBe(200)
  }

  it('records what POST /files records, in the same order', async () => {
    const { uploads } = await signMany([file('a.txt'), file('b.txt')])
    const keys = uploads.map(({ key }) => key)
    await store(...keys)
    const [a, b] = await record(keys.map((key, i) => ({ key, name: `${i}` })))
    for (const [i, one] of [a, b].entries())
      expect(one).toEqual(
        await (await worker.post('/files', { key: keys[i], name: 'again' })).json(),
      )
    expect([a?.name, b?.name]).toEqual(['0', '1'])
    expect(await stored()).toHaveLength(2)
  })

  it('returns an error for each file that it refuses, and records the rest', async () => {
    await store('batch/a.txt', 'batch/b.txt')
    const files = await record([
      { key: 'batch/a.txt', etag: '"other"' },
      { key: 'batch/missing.txt' },
      { key: '../batch/b.txt' },
      { key: 'batch/b.txt', extra: 1 },
      { name: 'no key' },
      null,
      { key: 'batch/b.txt' },
      { key: 'batch/b.txt' },
    ])
    expect(codes(files)).toEqual([
      'file_replaced',
      'object_not_found',
      'invalid_key',
      ...['invalid_request', 'invalid_request', 'invalid_request'],
      null,
      'invalid_request',
    ])
    expect(files[0]).toMatchObject({ key: 'batch/a.txt' })
    expect(files[3]).toEqual({
      key: 'batch/b.txt',
      error: {
        code: 'invalid_request',
        message: expect.any(String),
        issues: [{ path: '', message: 'has unknown members: "extra"' }],
      },
    })
    expect(await stored()).toEqual(['file:files:batch/b.txt'])
  })

  it.each([
    [{ files: [] }, 'invalid_request'],
    [{ files: Array(21).fill({ key: 'a.txt' }) }, 'invalid_request'],
    [{ files: [{ key: 'a.txt' }], unknown: 1 }, 'invalid_request'],
    [{ files: [{ key: 'a.txt' }], bucket: 'none' }, 'unknown_bucket'],
  ])('refuses the whole request %#', async (body, code) => {
    expect(await (await worker.post('/files/batch', body)).json()).toMatchObject({ code })
  })

  // @threat foreign-key file-misattributed
  it('records nothing outside the prefix, of another owner or under a key that is not theirs', async () => {
    const [ann, bob] = [
      await testApiKey('ann', ['files:upload', 'keys:choose'], 'team-a/'),
      await testApiKey('bob', ['files:upload'], 'team-a/'),
    ]
    const guarded = testWorker({ API_KEYS: [ann.entry, bob.entry], OPEN_ACCESS: undefined })
    const hostile = ['team-a/../team-b/x.txt', 'team-a/\n.txt', 'team-a//../x', '/team-a/x', '']
    await store('team-a/x.txt', 'team-b/x.txt')
    const asked = ['team-a/x.txt', 'team-b/x.txt', ...hostile].map((key) => ({ key }))
    const byAnn = codes(await record(asked, bearer(ann.token), guarded))
    expect(byAnn.slice(0, 2)).toEqual([null, 'forbidden'])
    for (const code of byAnn.slice(2)) expect(code).toMatch(/^(invalid_key|forbidden)$/)
    expect(codes(await record(asked.slice(0, 1), bearer(bob.token), guarded))).toEqual([
      'forbidden',
    ])
    expect(await stored()).toEqual(['file:files:team-a/x.txt'])
  })

  it('sends at most two requests for each file to the bucket, and purges once', async () => {
    const purge = failNextPurge(new Error('unused'))
    purge.mockReset()
    purge.mockResolvedValue(null)
    const keys = Array.from({ length: 20 }, (_, i) => `batch/many-${i}.txt`)
    let date = 'Tue, 24 Nov 2026 12:00:00 GMT'
    const head = () =>
      new Response(null, {
        headers: { 'Content-Length': '5', ETag: `"${date}"`, 'Last-Modified': date },
      })
    const sent = scriptedBucket({ HeadObject: head })
    expect(codes(await record(keys.map((key) => ({ key }))))).toEqual(Array(20).fill(null))
    expect(sent).toHaveLength(40)
    expect(purge).not.toHaveBeenCalled()
    await reset() // a replaced object has a record
    await record(keys.slice(0, 2).map((key) => ({ key })))
    date = 'Tue, 24 Nov 2026 13:00:00 GMT'
    await record(keys.slice(0, 2).map((key) => ({ key })))
    expect(purge.mock.calls).toEqual([['files', keys.slice(0, 2)]])
  })

  // @threat record-wrong
  it('does not look again for an object that is replaced meanwhile', async () => {
    let count = 0
    const sent = scriptedBucket({
      HeadObject: () =>
        new Response(null, {
          headers: {
            'Content-Length': '5',
            ETag: '"same"',
            'Last-Modified': new Date(Date.UTC(2026, 10, 24, 12, 0, count++)).toUTCString(),
          },
        }),
    })
    const answered = record([{ key: 'batch/raced.txt' }])
    expect(codes(await answered)).toEqual(['file_replaced'])
    expect(sent).toHaveLength(2)
    const { value } = await env.FILE_INDEX.getWithMetadata('file:files:batch/raced.txt').then(
      ({ metadata }) => ({ value: JSON.stringify(metadata) }),
    )
    expect(value).toContain('12:00:01')
  })

  it('logs how many were not recorded, and why', async () => {
    const lines = captureLog()
    await record([{ key: 'batch/none-1.txt' }, { key: 'batch/none-2.txt' }, { key: '../x' }])
    expect(JSON.parse(lines.at(-1) ?? '').warning).toMatch(
      /^files not recorded: 2 object_not_found \(/,
    )
  })
})

describe('POST /files/delete', () => {
  it('deletes objects and their records', async () => {
    const keys = await uploadMany('a.txt', 'b.txt', 'c.txt', 'kept.txt')
    const kept = keys.pop() ?? ''
    expect(await removeMany(keys)).toEqual({ deleted: keys.map((key) => ({ key })) })
    for (const key of keys) expect(await exists(key)).toBe(false)
    expect(await exists(kept)).toBe(true)
    expect(await stored()).toEqual([`file:files:${kept}`])
  })

  it('counts missing objects as deleted, and a repeat changes nothing', async () => {
    const keys = ['missing/a.txt', 'missing/b.txt']
    const expected = { deleted: keys.map((key) => ({ key })) }
    expect(await removeMany(keys)).toEqual(expected)
    expect(await removeMany(keys)).toEqual(expected)
  })

  it('returns an error for each key that is invalid, and deletes the rest', async () => {
    const [a = '', b = ''] = await uploadMany('a.txt', 'b.txt')
    const { deleted } = await removeMany([a, '../secret', '', 'a\nb', b])
    expect(deleted.map(({ error }) => error?.code ?? null)).toEqual([
      null,
      'invalid_key',
      'invalid_key',
      'invalid_key',
      null,
    ])
    expect(deleted.map(({ key }) => key)).toEqual([a, '../secret', '', 'a\nb', b])
    expect(await stored()).toEqual([])
  })

  it('accepts the same key twice', async () => {
    const [a = '', b = ''] = await uploadMany('a.txt', 'b.txt')
    expect(await removeMany([a, b, a])).toEqual({
      deleted: [{ key: a }, { key: b }, { key: a }],
    })
    expect(await stored()).toEqual([])
  })

  // @threat foreign-key
  it('deletes nothing outside the prefix of the caller', async () => {
    const key = await testApiKey('app', ['files:delete'], 'team-a/')
    const guarded = testWorker({ API_KEYS: [key.entry], OPEN_ACCESS: undefined })
    for (const name of ['team-a/x.txt', 'team-a/y.txt', 'team-b/x.txt'])
      expect((await bucketFetch(name, { method: 'PUT', body: 'x' })).status).toBe(200)
    const response = await guarded.post(
      '/files/delete',
      { keys: ['team-a/x.txt', 'team-b/x.txt', 'team-a/../team-b/x.txt', 'team-a/y.txt'] },
      bearer(key.token),
    )
    const { deleted }: Deleted = await response.json()
    expect(deleted.map(({ error }) => error?.code ?? null)).toEqual([
      null,
      'forbidden',
      'invalid_key',
      null,
    ])
    expect(await exists('team-a/x.txt')).toBe(false)
    expect(await exists('team-b/x.txt')).toBe(true)
  })

  it('purges all edge copies in one call', async () => {
    const purge = failNextPurge(new Error('unused'))
    purge.mockReset()
    purge.mockResolvedValue(null)
    const keys = await uploadMany('a.txt', 'b.txt', 'c.txt')
    await removeMany(keys)
    expect(purge.mock.calls).toEqual([['files', keys]])
  })

  // @threat delete-unconfirmed
  it('keeps the records after a failed purge, and a repeat finishes', async () => {
    const keys = await uploadMany('a.txt', 'b.txt')
    failNextPurge(new Error('rate limited'))
    const { deleted } = await removeMany(keys)
    expect(deleted.map(({ error }) => error)).toMatchObject(
      Array(2).fill({ code: 'unavailable', reason: 'purge', deleted: true }),
    )
    for (const key of keys) expect(await exists(key)).toBe(false)
    expect(await stored()).toHaveLength(2)
    expect(await removeMany(keys)).toEqual({ deleted: keys.map((key) => ({ key })) })
    expect(await stored()).toEqual([])
  })

  describe('with a queue', () => {
    /** The messages that the queue has received. */
    const queued: { readonly body: unknown }[] = []
    const queue = {
      sendBatch: async (messages: readonly { readonly body: unknown }[]) => {
        queued.push(...messages)
      },
    }
    const queueing = testWorker({ EVENTS: queue })
    const remove = async (keys: readonly string[], through = queueing): Promise<Deleted> =>
      (await through.post('/files/delete', { keys })).json()

    /** Delivers what is queued to the Worker, and returns whether each message was acknowledged. */
    async function deliver(): Promise<boolean[]> {
      const context = createExecutionContext()
      const acknowledged: boolean[] = []
      const messages = queued.splice(0).map(({ body }, index) => ({
        body,
        attempts: 1,
        ack: () => {
          acknowledged[index] = true
        },
        retry: () => {
          acknowledged[index] = false
        },
      }))
      const variables = { ...env, EVENTS: queue } as unknown as Env
      await presigner.queue({ queue: 'edge-presigner-jobs', messages }, variables, context)
      await waitOnExecutionContext(context)
      return acknowledged
    }

    it('removes the records after a failed purge, which the queue repeats', async () => {
      const keys = await uploadMany('a.txt', 'b.txt')
      const purge = failNextPurge(new Error('rate limited'))
      expect(await remove(keys)).toEqual({ deleted: keys.map((key) => ({ key })) })
      expect(await stored()).toEqual([])
      expect(await deliver()).toEqual([true])
      expect(purge.mock.calls).toEqual([
        ['files', keys],
        ['files', keys],
      ])
    })

    it('leaves a job in the queue until its purge succeeds', async () => {
      const keys = await uploadMany('a.txt', 'b.txt')
      vi.spyOn(console, 'warn').mockReturnValue()
      failNextPurge(new Error('rate limited')).mockRejectedValueOnce(new Error('rate limited'))
      await remove(keys)
      expect(await deliver()).toEqual([false])
    })

    it('queues messages of at most 128 KB', async () => {
      const long = `${'"'.repeat(120)}/`.repeat(8)
      const keys = Array.from({ length: 100 }, (_, i) => `${long}${i}`)
      failNextPurge(new Error('rate limited'))
      expect((await remove(keys)).deleted.some(({ error }) => error)).toBe(false)
      const bodies = queued.splice(0).map(({ body }) => JSON.stringify(body))
      expect(Math.max(...bodies.map((body) => new TextEncoder().encode(body).length))).toBeLessThan(
        128_000,
      )
      const named = bodies.flatMap((body) => JSON.parse(body).keys)
      expect(named).toEqual(keys)
    })

    it('keeps the records if the queue fails too', async () => {
      const keys = await uploadMany('a.txt', 'b.txt')
      failNextPurge(new Error('rate limited'))
      const failing = testWorker({
        EVENTS: { sendBatch: () => Promise.reject(new Error('queue down')) },
      })
      const { deleted } = await remove(keys, failing)
      expect(deleted.map(({ error }) => error)).toMatchObject(
        Array(2).fill({ code: 'unavailable', reason: 'purge', deleted: true }),
      )
      expect(await stored()).toHaveLength(2)
    })
  })

  it('deletes the other records when one removal fails, and logs that', async () => {
    const [a = '', b = '', c = ''] = await uploadMany('a.txt', 'b.txt', 'c.txt')
    const log = vi.spyOn(console, 'log').mockReturnValue()
    const failing = testWorker({
      FILE_INDEX: new Proxy(env.FILE_INDEX, {
        get(kv, name) {
          if (name !== 'delete') return Reflect.get(kv, name).bind(kv)
          return (key: string) =>
            key.endsWith(b) ? Promise.reject(new Error('KV is down')) : kv.delete(key)
        },
      }),
    })
    const response = await failing.post('/files/delete', { keys: [a, b, c] })
    expect(await response.json()).toEqual({
      deleted: [
        { key: a },
        {
          key: b,
          error: {
            code: 'unavailable',
            reason: 'index',
            deleted: true,
            message: expect.any(String),
          },
        },
        { key: c },
      ],
    })
    expect(await stored()).toEqual([`file:files:${b}`])
    const line = JSON.parse(String(log.mock.calls.at(-1)?.[0]))
    expect(line.warning).toMatch(/^files not deleted: 1 unavailable \(.*KV is down/)
    expect(line.warning).not.toContain(b)
  })

  // @threat delete-unfinished
  it.each(['delete', 'getWithMetadata'])(
    'names each file whose record is left if %s of Workers KV is down, and a repeat removes them',
    async (operation) => {
      const keys = await uploadMany(...Array.from({ length: 8 }, (_, i) => `${i}.txt`))
      const chosen = 'no-such-avatars/1.png'
      const log = vi.spyOn(console, 'log').mockReturnValue()
      const failing = testWorker({
        FILE_INDEX: new Proxy(env.FILE_INDEX, {
          get(kv, name) {
            if (name !== operation) return Reflect.get(kv, name).bind(kv)
            return () => Promise.reject(new Error('KV is down'))
          },
        }),
      })
      const response = await failing.post('/files/delete', { keys: [...keys, chosen] })
      const error = {
        ...{ code: 'unavailable', reason: 'index', deleted: true },
        message:
          'The object was deleted, but the index failed and may have its record. Repeat the request with the ETag of that object, so that it deletes no later one.',
      }
      const left = [...keys, chosen].map((key) => ({ key, error }))
      expect(await response.json()).toEqual({ deleted: left })
      expect((await Promise.all(keys.map(exists))).some(Boolean)).toBe(false)
      expect(await stored()).toEqual(keys.map((key) => `file:files:${key}`).sort())
      const line = JSON.parse(String(log.mock.calls.at(-1)?.[0]))
      expect(line.warning).toMatch(/^files not deleted: 9 unavailable \(.*KV is down/)
      expect(await removeMany(keys)).toEqual({ deleted: keys.map((key) => ({ key })) })
      expect(await stored()).toEqual([])
    },
  )

  it.each([{ keys: [] }, { keys: Array(101).fill('a') }, { keys: 'a' }, { keys: [1] }, {}])(
    'refuses the whole request %#',
    async (body) => {
      const response = await worker.post('/files/delete', body)
      expect(await response.json()).toMatchObject({ code: 'invalid_request' })
    },
  )

  it('fits into the 50 subrequests of the free plan with 24 chosen keys', async () => {
    const names = Array.from({ length: 24 }, (_, i) => `free-plan/${i}.txt`)
    for (const name of names) await kvFileIndex(env.FILE_INDEX).put(testRecord(name))
    const sent = vi.spyOn(globalThis, 'fetch')
    expect(await removeMany(names)).toEqual({ deleted: names.map((key) => ({ key })) })
    expect(sent).toHaveBeenCalledTimes(49) // one DeleteObjects, and two looks for each key
  })

  it('deletes 100 files', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `hundred/${i}.txt`)
    await Promise.all(names.map((name) => bucketFetch(name, { method: 'PUT', body: name })))
    expect(await removeMany(names)).toEqual({ deleted: names.map((key) => ({ key })) })
    expect((await Promise.all(names.map(exists))).some(Boolean)).toBe(false)
  })

  // @threat delete-wrong-object
  it.each(['a&b\'"<c>]]>.txt', 'a%20+b.txt', '漢字😀.txt', ' space.txt', 'end .txt ', 'x\uFFFEy'])(
    'deletes the object under %j, and no other',
    async (name) => {
      const near = [name.trim(), `${name}x`].filter((other) => other !== name)
      const all = [name, 'plain.txt', ...near]
      for (const key of all)
        expect((await bucketFetch(pathOf(key), { method: 'PUT', body: 'x' })).status).toBe(200)
      expect(await removeMany([name, 'plain.txt'])).toEqual({
        deleted: [{ key: name }, { key: 'plain.txt' }],
      })
      expect(await Promise.all(all.map(exists))).toEqual([false, false, ...near.map(() => true)])
    },
  )
})

describe('PATCH /files/:key', () => {
  const rename = (key: string, body: unknown) =>
    worker.post(`/files/${encodeURIComponent(key)}`, body, { method: 'PATCH' })

  it('renames a file in the index', async () => {
    const [key = ''] = await uploadMany('a.txt')
    const before: FileRecord = await (await worker.fetch(`/files/${key}`)).json()
    const response = await rename(key, { name: 'Holiday.txt' })
    expect(response.status).toBe(200)
    const after = { ...before, name: 'Holiday.txt' }
    expect(await response.json()).toEqual(after)
    expect(await (await worker.fetch('/files')).json()).toEqual({ files: [after] })
  })

  it.each([{ name: '' }, { name: 'x'.repeat(2000) }, { name: 1 }, {}, { name: 'a', owner: 'b' }])(
    'refuses the body %#',
    async (body) => {
      expect(await (await rename('a.txt', body)).json()).toMatchObject({ code: 'invalid_request' })
    },
  )

  it('returns object_not_found for a file without a record', async () => {
    await bucketFetch('plain/a.txt', { method: 'PUT', body: 'x' })
    const response = await rename('plain/a.txt', { name: 'b.txt' })
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'object_not_found' })
  })
})
