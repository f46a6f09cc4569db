import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import { MAX_REPLACEABLE_SECONDS } from '../../../src/bucket/limits.ts'
import { ApiError } from '../../../src/errors/api-error.ts'
import { newObjectKey } from '../../../src/keys/new-key.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import type { Plugin } from '../../../src/plugin.ts'
import { events } from '../../../src/plugins/events/index.ts'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { files } from '../../../src/plugins/files/index.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { upkeep } from '../../../src/plugins/upkeep/index.ts'
import { userData } from '../../../src/plugins/user-data/index.ts'
import type { FileEvent } from '../../../src/records/file-event.ts'
import { type FileIndex, indexUnavailable, noFileIndex } from '../../../src/records/file-index.ts'
import { ANN } from '../../support/ann.ts'
import { settingsInput } from '../../support/app.ts'
import { testDatabase } from '../../support/d1.ts'
import { unavailable } from '../../support/errors.ts'
import { everyPlugin } from '../../support/every-plugin.ts'
import { type Mounted, type MountOptions, mount } from '../../support/mount.ts'
import { VersionedBucket } from '../../support/versioned-bucket.ts'

const OLD = new Date('2026-11-01T12:00:00Z')
const BEFORE = '2026-11-20T12:00:00Z'
const LATER = new Date('2026-11-20T12:00:01Z')

interface Answer {
  readonly shares: number
  readonly deleted: number
  readonly versions: number | null
  readonly uploads: number | null
  readonly records: number
  readonly unreadable: number
  readonly failures: readonly { key: string; error: { code: string; message: string } }[]
  readonly cursor?: string
  readonly repeatAfter: string
}

let bucket: VersionedBucket
let index: FileIndex

beforeEach(() => {
  bucket = new VersionedBucket(false)
  index = memoryFileIndex()
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

const record = (key: string, createdAt = OLD) =>
  index.put({
    ...{
      key: parseObjectKey(key),
      bucket: 'files',
      name: 'a.txt',
      size: 5,
      mimetype: 'text/plain',
    },
    ...{ etag: '"e"', owner: 'ann', createdAt: createdAt.toISOString() },
  })

/** Stores files below a prefix, with records. Returns their keys. */
async function store(count: number, prefix = 'users/alice/'): Promise<string[]> {
  const keys = Array.from({ length: count }, () =>
    newObjectKey({ fileName: 'a.txt', prefix, now: OLD }),
  )
  for (const key of keys) {
    bucket.put(key, OLD)
    await record(key)
  }
  return keys
}

/** Without links: their copies at the edge take most of a test's time. */
const mounted = (options: MountOptions = {}): Mounted => {
  const plugins = [
    files(options.files ?? { index }),
    userData(options.userData),
    ...(options.events ? [events(options.events)] : []),
  ]
  return mount({ plugins, ...options })
}

async function ask(app: Mounted, body: object = {}): Promise<{ status: number; body: Answer }> {
  const request = { prefix: 'users/alice/', before: BEFORE, ...body }
  const response = await app.post('/media/files/delete-all', request)
  return { status: response.status, body: await response.json<Answer>() }
}

/** Repeats the call until there is no cursor. Returns each answer. */
async function deleteAll(app: Mounted, body: object = {}): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let cursor: string | undefined; answers.length < 100; ) {
    const answer = await ask(app, { ...body, ...(cursor && { cursor }) })
    expect(answer.status).toBe(200)
    answers.push(answer.body)
    cursor = answer.body.cursor
    if (cursor === undefined) return answers
  }
  throw new Error('It never ends.')
}

const total = (answers: readonly Answer[], name: 'deleted' | 'versions' | 'uploads' | 'records') =>
  answers.reduce((sum, answer) => sum + (answer[name] ?? 0), 0)

const listed = async (prefix = ''): Promise<string[]> =>
  (await index.list({ bucket: 'files', prefix, limit: 1000 })).records.map(({ key }) => key)

describe.each([
  ['KV', () => kvFileIndex(env.FILE_INDEX)],
  ['D1', () => d1FileIndex(testDatabase)],
  ['memory', memoryFileIndex],
])('POST /files/delete-all with an index in %s', (_, createIndex) => {
  beforeEach(() => {
    index = createIndex()
  })

  it('deletes objects, records without an object and unfinished uploads below the prefix', async () => {
    await store(3)
    const [other = ''] = await store(1, 'users/alice2/')
    bucket.put('users/alice/chosen.txt', OLD)
    await record('users/alice/gone.txt')
    bucket.uploads.push(
      { key: 'users/alice/a.bin', id: 'u1', initiated: OLD },
      { key: 'users/alice2/a.bin', id: 'u2', initiated: OLD },
    )
    const [answer] = await deleteAll(mounted())
    expect(answer).toEqual({
      ...{
        shares: 0,
        deleted: 4,
        versions: 0,
        uploads: 1,
        records: 1,
        unreadable: 0,
        failures: [],
      },
      repeatAfter: expect.any(String),
    })
    expect(bucket.keys).toEqual([other])
    expect(await listed('users/')).toEqual([other])
    expect(bucket.uploads.map(({ id }) => id)).toEqual(['u2'])
  })
})

describe('POST /files/delete-all', () => {
  // @threat delete-all-wide
  it.each(['', 'users/al', 'users/alice'])('refuses the prefix %j', async (prefix) => {
    await store(1)
    const { status, body } = await ask(mounted(), { prefix })
    expect([status, body]).toMatchObject([
      400,
      { code: 'invalid_request', issues: [{ path: 'prefix' }] },
    ])
    expect(bucket.sent).toEqual([])
  })

  it('refuses an empty prefix also for a principal whose prefix it is', async () => {
    const app = mounted({ authenticate: () => ({ ...ANN, prefix: '' }) })
    expect((await ask(app, { prefix: '' })).status).toBe(400)
  })

  it('refuses a prefix outside that of the principal', async () => {
    const app = mounted({ authenticate: () => ({ ...ANN, prefix: 'users/bob/' }) })
    for (const prefix of ['users/alice/', 'users/'])
      expect((await ask(app, { prefix })).status).toBe(403)
  })

  it('refuses a date in the future, and accepts clocks that differ', async () => {
    const inMinutes = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString()
    expect((await ask(mounted(), { before: inMinutes(11) })).body).toMatchObject({
      issues: [{ path: 'before' }],
    })
    expect((await ask(mounted(), { before: inMinutes(9) })).status).toBe(200)
  })

  // @threat delete-all-late
  it('leaves what is not older than the date', async () => {
    const later = 'users/alice/later.txt'
    bucket.put(later, LATER)
    await record(later, LATER)
    await record('users/alice/gone-later.txt', LATER)
    bucket.put('users/alice/new.txt', LATER)
    await record('users/alice/new.txt') // of an earlier object
    bucket.uploads.push({ key: 'users/alice/a.bin', id: 'u1', initiated: LATER })
    const [answer] = await deleteAll(mounted())
    expect(answer).toMatchObject({ deleted: 0, uploads: 0, records: 0 })
    expect(bucket.keys).toEqual([later, 'users/alice/new.txt'])
    expect((await listed()).length).toBe(3)
    expect(bucket.uploads.length).toBe(1)
  })

  it('leaves an object of the same second, since a bucket may tell no more', async () => {
    bucket.put('users/alice/a.txt', new Date('2026-11-20T12:00:00Z'))
    await deleteAll(mounted(), { before: '2026-11-20T12:00:00.900Z' })
    expect(bucket.keys).toEqual(['users/alice/a.txt'])
  })

  it('tells when the last signed upload has expired', async () => {
    const start = Date.now()
    const { repeatAfter } = (await ask(mounted())).body
    const after = Date.parse(repeatAfter) - 1000 * MAX_REPLACEABLE_SECONDS
    expect(after).toBeGreaterThanOrEqual(start)
    expect(after).toBeLessThanOrEqual(Date.now())
  })

  // @threat delete-all-shares
  it('ends what every plugin shares, also after a change of their order between two calls', async () => {
    const left = new Map([
      ['one', 12],
      ['two', 12],
    ])
    const sharing = (name: string): Plugin => ({
      name,
      setup: () => ({
        async erase() {
          const rest = Math.max(0, (left.get(name) ?? 0) - 1)
          left.set(name, rest)
          return { ended: 1, hasFailed: false, next: rest > 0 ? { id: name, at: rest } : null }
        },
      }),
    })
    const [one, two] = [sharing('one'), sharing('two')]
    const appWith = (...plugins: Plugin[]) =>
      mount({ plugins: [files({ index }), userData(), ...plugins] })
    let answer = (await ask(appWith(one, two))).body
    while (left.get('two') === 12)
      answer = (await ask(appWith(one, two), { cursor: answer.cursor })).body
    expect([...left.values()]).toEqual([0, expect.any(Number)])
    await deleteAll(appWith(two, one), { cursor: answer.cursor })
    expect([...left.values()]).toEqual([0, 0])
  })

  it('deletes up to 100 in one call with 50 requests, and goes on with the cursor', async () => {
    await store(130)
    const app = mounted()
    const first = (await ask(app)).body
    expect(first).toMatchObject({ deleted: 100, cursor: expect.any(String) })
    expect(bucket.sent.length).toBeLessThanOrEqual(50)
    const rest = await deleteAll(app, { cursor: first.cursor })
    expect(total([first, ...rest], 'deleted')).toBe(130)
    expect([bucket.keys, await listed()]).toEqual([[], []])
  })

  it.each([
    ['chosen keys, which are looked at once more', [], true],
    ['keys that XML can not carry', [], true, ' '],
    ['a server without DeleteObjects', ['POST delete'], false],
    ['chosen keys on a server without DeleteObjects', ['POST delete'], true],
  ])('sends at most 50 requests a call with %s', async (_, lacks, areChosen, end = '') => {
    for (const operation of lacks) bucket.lacks.add(operation)
    if (!areChosen) await store(70)
    else await store(2)
    for (let i = 100; i < 150; i++) {
      bucket.put(`users/alice/z${i}.txt${end}`, OLD)
      await record(`users/alice/z${i}.txt${end}`)
      await record(`users/alice/z${i}.gone`)
    }
    const app = mounted()
    let cursor: string | undefined
    do {
      bucket.sent.length = 0
      const { body }: { body: Answer } = await ask(app, { ...(cursor && { cursor }) })
      expect(bucket.sent.length).toBeLessThanOrEqual(50)
      expect(body.failures).toEqual([])
      cursor = body.cursor
    } while (cursor !== undefined)
    expect([bucket.keys, await listed()]).toEqual([[], []])
  })

  it.each([1, 3])(
    'sends one request less for each of %s webhooks without a queue',
    async (count) => {
      await store(45)
      const events = {
        webhooks: Array.from({ length: count }, (_, i) => ({
          url: `https://hooks.example/${i}`,
          secret: `whsec_${btoa('x'.repeat(24))}`,
        })),
      }
      bucket.hooks = 'https://hooks.example'
      const { body } = await ask(mounted({ events }))
      expect(body).toMatchObject({ cursor: expect.any(String) })
      expect(body.deleted).toBeGreaterThanOrEqual(8)
      expect(bucket.sent.length).toBeLessThanOrEqual(50)
    },
  )

  it('goes on after keys that the app refuses, and reports and leaves them', async () => {
    const keys = await store(110)
    const beforeDelete = vi.fn(() => ({ refuse: 'On legal hold.' }))
    const answers = await deleteAll(mounted({ beforeDelete }))
    expect(new Set(answers.flatMap(({ failures }) => failures.map(({ key }) => key)))).toEqual(
      new Set(keys),
    )
    expect(answers[0]?.failures[0]?.error).toEqual({ code: 'forbidden', message: 'On legal hold.' })
    expect(total(answers, 'deleted')).toBe(0)
    expect(bucket.keys.length).toBe(110)
    expect((await listed()).length).toBe(110)
  })

  it('asks the plugins before it aborts an upload, as for an upload that its owner aborts', async () => {
    const keys = ['users/alice/1.bin', 'users/alice/2.bin']
    for (const key of keys) bucket.uploads.push({ key, id: key.slice(12, 13), initiated: OLD })
    const step = ({ type, key }: { type: string; key: string }) => {
      if (type === 'abort' && key === keys[0]) throw new ApiError('forbidden', 'No.')
    }
    const plugins = [files({ index }), userData(), { name: 'room', setup: () => ({ step }) }]
    expect(await deleteAll(mounted({ plugins }))).toMatchObject([
      { uploads: 1, failures: [{ key: keys[0], error: { code: 'forbidden' } }] },
    ])
    expect(bucket.uploads.map(({ id }) => id)).toEqual(['1'])
  })

  it('finds its place again in the list of uploads, after it has aborted the last one of a page', async () => {
    bucket.maxUploads = 3
    for (let i = 0; i < 8; i++)
      bucket.uploads.push({ key: `users/alice/${i}.bin`, id: `u${i}`, initiated: OLD })
    const beforeDelete = ({ key }: { key: string }) =>
      key === 'users/alice/1.bin' ? { refuse: 'No.' } : undefined
    expect(total(await deleteAll(mounted({ beforeDelete })), 'uploads')).toBe(7)
    expect(bucket.uploads.map(({ id }) => id)).toEqual(['u1'])
  })

  it('leaves only the files for which beforeDelete throws', async () => {
    for (const name of ['a', 'broken', 'c']) bucket.put(`users/alice/${name}`, OLD)
    const [key, id] = ['users/alice/broken', 'u1']
    bucket.uploads.push({ key, id, initiated: OLD }, { key: 'users/alice/d', id, initiated: OLD })
    const beforeDelete = ({ key }: { key: string }) => {
      if (key.endsWith('broken')) throw new TypeError('undefined is not a user')
    }
    const app = mounted({ beforeDelete })
    const [answer] = await deleteAll(app)
    expect(answer).toMatchObject({
      ...{ deleted: 2, uploads: 1 },
      failures: [{ key, error: { code: 'internal' } }],
    })
    expect(bucket.keys).toEqual([key])
    expect(app.lines.at(-1)?.warning).toContain('undefined is not a user')
  })

  it('asks the checks of plugins, and lets them reserve and undo, as for any delete', async () => {
    const [kept = '', gone = ''] = (await store(2)).sort()
    const done: string[] = []
    const plugin = {
      name: 'quota',
      setup: () => ({
        check: ({ key }: { key: string }) => {
          if (key === kept) throw new ApiError('forbidden', 'No.')
        },
        reserve: ({ key }: { key: string }) => void done.push(key),
      }),
    }
    const [answer] = await deleteAll(
      mounted({ plugins: [...everyPlugin({ files: { index } }), plugin] }),
    )
    expect(answer).toMatchObject({ deleted: 1, failures: [{ key: kept }] })
    expect(done).toEqual([gone])
    expect(bucket.keys).toEqual([kept])
  })

  it('announces each deleted file, and each record without an object', async () => {
    const [key = ''] = await store(1)
    await record('users/alice/gone.txt')
    const events: FileEvent[] = []
    const onEvent = (event: FileEvent) => void events.push(event)
    await deleteAll(mounted({ events: { onEvent } }))
    expect(events).toMatchObject(
      [key, 'users/alice/gone.txt'].map((one) => ({
        ...{ type: 'deleted', file: { bucket: 'files', key: one }, principal: 'app:ann' },
      })),
    )
  })

  it('counts one call as one request', async () => {
    await store(20)
    const limit = vi.fn(async (_: { key: string }) => ({ success: true }))
    expect((await ask(mounted({ rateLimiter: { limit } }))).body.deleted).toBe(20)
    expect(limit).toHaveBeenCalledTimes(1)
  })

  it('can be repeated without a cursor after it was killed', async () => {
    await store(120)
    const app = mounted()
    await ask(app)
    expect(total(await deleteAll(app), 'deleted')).toBe(20)
    expect([bucket.keys, await listed()]).toEqual([[], []])
  })

  it('finishes a file whose record could not be removed', async () => {
    const [key = ''] = await store(1)
    const failing = { ...index, remove: () => Promise.reject(new Error('down')) }
    const [failed] = await deleteAll(mounted({ files: { index: failing } }))
    expect(failed).toMatchObject({
      deleted: 0,
      failures: [{ key, error: { code: 'unavailable', reason: 'index' } }],
    })
    expect([bucket.keys, await listed()]).toEqual([[], [key]])
    expect((await deleteAll(mounted()))[0]).toMatchObject({ records: 1, failures: [] })
    expect(await listed()).toEqual([])
  })

  it('keeps what it has done if a list fails later, and throws if it has done nothing', async () => {
    await store(2)
    const app = mounted({
      files: { index: { ...index, list: () => Promise.reject(indexUnavailable('down')) } },
    })
    const { body } = await ask(app)
    expect(body).toMatchObject({ deleted: 2, cursor: expect.any(String) })
    expect(await ask(app, { cursor: body.cursor })).toMatchObject({
      ...{ status: 503, body: { code: 'unavailable', reason: 'index' } },
    })
  })

  it('works without an index', async () => {
    bucket.put('users/alice/a.txt', OLD)
    const [answer] = await deleteAll(mounted({ files: { index: noFileIndex } }))
    expect(answer).toMatchObject({ deleted: 1, records: 0, failures: [] })
  })

  it('tells what the bucket can not list', async () => {
    await store(1)
    bucket.lacks.add('GET uploads').add('GET versions')
    const [answer] = await deleteAll(mounted())
    expect(answer).toMatchObject({ deleted: 1, uploads: null, versions: null })
  })

  it('fails if the bucket can not list objects', async () => {
    bucket.lacks.add('GET list-type')
    const app = mounted()
    const first = (await ask(app)).body
    expect(first).toMatchObject({ deleted: 0, cursor: expect.any(String) })
    expect((await ask(app, { cursor: first.cursor })).status).toBeGreaterThanOrEqual(500)
  })

  it('counts objects and uploads whose keys no URL can name', async () => {
    bucket.put('users/alice/../bob.txt', OLD)
    for (const key of ['users/alice/\u0001', 'users/bob/\u0001'])
      bucket.uploads.push({ key, id: 'u1', initiated: OLD })
    const [answer] = await deleteAll(mounted())
    expect(answer).toMatchObject({ deleted: 0, unreadable: 2 })
  })

  it.each([true, false])(
    'changes nothing in a dry run, asks nobody, and counts what the next run deletes (DeleteObjects: %s)',
    async (hasMany) => {
      if (!hasMany) bucket.lacks.add('POST delete')
      await store(25)
      for (let i = 0; i < 25; i++) {
        bucket.put(`users/alice/${i}.txt`, OLD)
        await record(`users/alice/${i}.txt`)
        await record(`users/alice/${i}.gone`)
        bucket.uploads.push({ key: `users/alice/${i}.bin`, id: `u${i}`, initiated: OLD })
      }
      bucket.maxUploads = 10
      bucket.put('users/alice/later.txt', LATER)
      const beforeDelete = vi.fn(() => undefined)
      const onEvent = vi.fn(() => undefined)
      const app = mounted({ beforeDelete, events: { onEvent }, userData: { maxRequests: 20 } })
      const before = [[...bucket.versions], [...bucket.uploads], await listed()]
      const dry = await deleteAll(app, { dryRun: true })
      expect([bucket.versions, bucket.uploads, await listed()]).toEqual(before)
      expect(bucket.sent.filter((sent) => !/^(?:GET|HEAD)/.test(sent))).toEqual([])
      expect([beforeDelete, onEvent].map((told) => told.mock.calls.length)).toEqual([0, 0])
      const real = await deleteAll(app)
      for (const name of ['deleted', 'versions', 'uploads', 'records'] as const)
        expect.soft(total(dry, name), name).toBe(total(real, name))
      expect(total(real, 'deleted')).toBe(50)
    },
  )

  // @threat delete-all-cursor
  it.each(['bucket', 'prefix', 'before', 'principal', 'dryRun'])(
    'binds the cursor to its %s',
    async (what) => {
      for (let i = 0; i < 60; i++)
        bucket.uploads.push({ key: `users/alice/${i}.bin`, id: `u${i}`, initiated: OLD })
      const settings = settingsInput()
      const buckets = { ...settings.buckets, other: Object.values(settings.buckets ?? {})[0] }
      const two = { settings: { buckets } } as MountOptions
      const { cursor } = (await ask(mounted(two))).body
      const app = mounted({
        ...two,
        ...(what === 'principal' && { authenticate: () => ({ ...ANN, id: 'bob' }) }),
      })
      const other = {
        bucket: 'other',
        prefix: 'users/alice/uploads/',
        before: '2026-11-20T12:00:01Z',
        dryRun: true,
      }
      const changed = { cursor, ...(what in other && { [what]: Reflect.get(other, what) }) }
      bucket.sent.length = 0
      expect((await ask(app, changed)).body).toMatchObject({ code: 'invalid_cursor' })
      expect(bucket.sent).toEqual([])
    },
  )

  it('hides the uploads of others in its cursor', async () => {
    for (let i = 0; i < 60; i++)
      bucket.uploads.push({ key: `users/alice/${i}.bin`, id: `u${i}`, initiated: OLD })
    for (let i = 0; i < 2000; i++)
      bucket.uploads.push({ key: `secret-${i}.bin`, id: `s${i}`, initiated: OLD })
    const app = mounted()
    const { cursor = '' } = (await ask(app)).body
    expect(
      cursor
        .split('.')
        .map((part) => atob(part.replace(/-/g, '+').replace(/_/g, '/')))
        .join(),
    ).not.toContain('secret-')
    await deleteAll(app, { cursor })
    expect(bucket.uploads.length).toBe(2000)
  })

  it('goes on after uploads that a plugin refuses to abort', async () => {
    for (let i = 100; i < 180; i++)
      bucket.uploads.push({ key: `users/alice/${i}.bin`, id: `u${i}`, initiated: OLD })
    const beforeDelete = ({ key }: { key: string }) =>
      key < 'users/alice/160' ? { refuse: 'No.' } : undefined
    const answers = await deleteAll(mounted({ beforeDelete }))
    expect(total(answers, 'uploads')).toBe(20)
    expect(bucket.uploads.length).toBe(60)
  })

  // @threat delete-all-rest
  it('forgets the records that the index keeps, below the prefix and before the date', async () => {
    const decomposed = 'users/José😀/'.normalize('NFD')
    const others = ['users/José😀2/a.txt', 'users/José😀/later.txt']
    const erased = [`${decomposed}a.txt`, 'users/José😀/a.txt']
    for (const key of [...others, ...erased])
      await index.kept?.put({
        record: {
          ...{ key: parseObjectKey(key), bucket: 'files', name: 'Alice.txt', size: 5, etag: '"e"' },
          ...{ mimetype: 'text/plain', owner: 'alice' },
          createdAt: (key.includes('later') ? LATER : OLD).toISOString(),
        },
        ...{ keptAt: OLD.toISOString(), expiresAt: null },
      })
    const plugins = [files({ index }), userData()]
    const [name, one] = Object.entries(settingsInput().buckets ?? {})[0] ?? []
    const settings = { buckets: { [name ?? '']: { ...Object(one), normalizesKeys: true } } }
    const app = mounted({ plugins, settings })
    const kept = async () => {
      const page = await index.kept?.list({ bucket: 'files', prefix: '', limit: 10 })
      return page?.records.map(({ record }) => record.key)
    }
    await deleteAll(app, { prefix: 'users/José😀/', dryRun: true })
    expect(await kept()).toHaveLength(4)
    expect(await deleteAll(app, { prefix: 'users/José😀/' })).toMatchObject([{ records: 2 }])
    expect(await kept()).toEqual(others.toSorted())
  })

  // @threat owner-lost
  it('leaves what is kept of a file that the app refuses to delete, also if there are many', async () => {
    const keys = Array.from({ length: 60 }, (_, i) => `users/alice/${String(i).padStart(2, '0')}`)
    const [refused, gone] = [keys.slice(0, 55), keys.slice(55)]
    for (const key of keys)
      await index.kept?.put({
        record: {
          ...{ key: parseObjectKey(key), bucket: 'files', name: 'a', size: 5, etag: '"e"' },
          ...{ mimetype: 'text/plain', owner: 'alice', createdAt: OLD.toISOString() },
        },
        ...{ keptAt: OLD.toISOString(), expiresAt: null },
      })
    for (const key of refused) bucket.put(key, OLD)
    const beforeDelete = () => ({ refuse: 'No.' })
    expect(total(await deleteAll(mounted({ beforeDelete })), 'records')).toBe(gone.length)
    const page = await index.kept?.list({ bucket: 'files', prefix: '', limit: 100 })
    expect(page?.records.map(({ record }) => record.key)).toEqual(refused)
  })

  // @threat delete-all-late
  it('sends no DELETE for a record whose object is gone: somebody may upload it at that moment', async () => {
    await record('users/alice/gone')
    await deleteAll(mounted())
    expect(bucket.accessKeys.has('DELETE')).toBe(false)
    expect(await index.get('files', parseObjectKey('users/alice/gone'))).toBeNull()
  })

  // @threat delete-all-rest
  it('forgets the locks below the prefix, which have the keys, but none that is held', async () => {
    const bucketUrl = `${inject('s3Endpoint')}/files/`
    const [ended, later] = ['users/alice/ended', 'users/alice/later']
    const lock = async (keys: readonly string[], seconds: number) =>
      index.lock?.(bucketUrl, keys, seconds)
    const before = new Date(Date.now() - 60_000).toISOString()
    for (const [key, seconds] of [
      [ended, -90],
      [later, -30],
    ] as const)
      await (await lock([key], seconds))?.note(key, 'noted')
    const held = await lock(['users/alice/held'], 300)
    const journals = async () => [...((await lock([ended, later], -90))?.held.values() ?? [])]
    await deleteAll(mounted(), { before, dryRun: true })
    expect(await journals()).toEqual(['noted', 'noted'])
    await lock([later], -30)
    await deleteAll(mounted(), { before })
    expect(await journals()).toEqual([null, 'noted'])
    expect(await held?.note('users/alice/held', 'still held')).toBe(true)
  })

  // @threat delete-all-rest
  it('forgets them in several calls if there are many', async () => {
    for (let i = 0; i < 150; i++)
      await index.kept?.put({
        record: {
          ...{ key: parseObjectKey(`users/alice/${i}`), bucket: 'files', name: 'a', size: 5 },
          ...{ etag: '"e"', mimetype: 'text/plain', owner: 'alice', createdAt: OLD.toISOString() },
        },
        ...{ keptAt: OLD.toISOString(), expiresAt: null },
      })
    const answers = await deleteAll(mounted())
    expect(answers.length).toBeGreaterThan(1)
    expect(total(answers, 'records')).toBe(150)
  })

  it.each([true, false])(
    'lists uploads with the access key of upkeep, if there is one: %s',
    async (has) => {
      bucket.uploads.push({ key: 'users/alice/a.bin', id: 'u1', initiated: OLD })
      const [name, one] = Object.entries(settingsInput().buckets ?? {})[0] ?? []
      const upkeepCredentials = { accessKeyId: 'WALKER', secretAccessKey: 'secret' }
      const changed = { ...Object(one), ...(has && { upkeepCredentials }) }
      const plugins = [files({ index }), userData(), upkeep()]
      const app = mounted({ plugins, settings: { buckets: { [name ?? '']: changed } } })
      expect(await deleteAll(app)).toMatchObject([{ uploads: 1 }])
      expect(bucket.accessKeys.get('GET uploads') === 'WALKER').toBe(has)
      // It may only be allowed to list.
      expect(bucket.accessKeys.get('DELETE uploadId')).not.toBe('WALKER')
    },
  )

  it('finds records in a second spelling, where the bucket has one for both', async () => {
    const decomposed = 'users/José/'.normalize('NFD')
    bucket.put('users/José/a.txt', OLD)
    await record(`${decomposed}a.txt`)
    bucket.uploads.push({ key: `${decomposed}b.bin`, id: 'u1', initiated: OLD })
    const [name, one] = Object.entries(settingsInput().buckets ?? {})[0] ?? []
    const settings = { buckets: { [name ?? '']: { ...Object(one), normalizesKeys: true } } }
    const [answer] = await deleteAll(mounted({ settings }), { prefix: 'users/José/' })
    expect(answer).toMatchObject({ deleted: 1, records: 1, uploads: 1 })
    expect(await listed()).toEqual([])
  })

  it('leaves another spelling alone, where the bucket has it for other objects', async () => {
    const decomposed = 'users/José/'.normalize('NFD')
    bucket.put(`${decomposed}a.txt`, OLD)
    await record(`${decomposed}a.txt`)
    bucket.uploads.push({ key: `${decomposed}b.bin`, id: 'u1', initiated: OLD })
    const [answer] = await deleteAll(mounted(), { prefix: 'users/José/' })
    expect(answer).toMatchObject({ deleted: 0, records: 0, uploads: 0 })
  })
})

describe('POST /files/delete-all with versions', () => {
  beforeEach(() => {
    bucket = new VersionedBucket(true)
  })

  it('sends at most 50 requests for versions whose keys XML can not carry', async () => {
    for (let i = 100; i < 160; i++) bucket.delete(`users/alice/${i} `, OLD)
    bucket.put('users/alice/a.txt', OLD)
    bucket.put('users/alice/b.txt', OLD)
    const app = mounted()
    for (let cursor: string | undefined, calls = 0; calls < 9; calls++) {
      bucket.sent.length = 0
      cursor = (await ask(app, { ...(cursor && { cursor }) })).body.cursor
      expect(bucket.sent.length).toBeLessThanOrEqual(50)
      if (cursor === undefined) break
    }
    expect(bucket.versions).toEqual([])
  })

  // @threat delete-all-rest
  it('leaves no version and no delete marker', async () => {
    await store(3)
    for (let i = 0; i < 5; i++) bucket.put('users/alice/often.txt', OLD)
    bucket.put('users/alice2/a.txt', OLD)
    const [answer] = await deleteAll(mounted())
    // Three generated keys and a chosen one, with one delete marker each.
    expect(answer).toMatchObject({ deleted: 4, versions: 8 + 4, failures: [] })
    expect(bucket.versions.map(({ key }) => key)).toEqual(['users/alice2/a.txt'])
  })

  it('counts older versions and delete markers in a dry run, and leaves them', async () => {
    for (let i = 0; i < 130; i++) bucket.put('users/alice/often.txt', OLD)
    bucket.put('users/alice/gone.txt', OLD)
    bucket.delete('users/alice/gone.txt', OLD)
    const before = [...bucket.versions]
    const answers = await deleteAll(mounted(), { dryRun: true })
    expect([total(answers, 'deleted'), total(answers, 'versions')]).toEqual([1, 129 + 2])
    expect(bucket.versions).toEqual(before)
  })

  it('counts no delete marker in a dry run that still hides a later version', async () => {
    for (const [key, marked] of [
      ['hidden', true],
      ['shown', false],
    ] as const) {
      bucket.delete(`users/alice/${key}.txt`, OLD)
      bucket.put(`users/alice/${key}.txt`, OLD)
      bucket.put(`users/alice/${key}.txt`, LATER)
      if (marked) bucket.delete(`users/alice/${key}.txt`, LATER)
    }
    const dry = await deleteAll(mounted(), { dryRun: true })
    const real = await deleteAll(mounted())
    expect([total(dry, 'versions'), total(real, 'versions')]).toEqual([4, 4])
  })

  it('never shows an older version again while it deletes', async () => {
    for (let i = 0; i < 230; i++) bucket.put('users/alice/often.txt', OLD)
    const app = mounted()
    for (let cursor: string | undefined, calls = 0; calls < 20; calls++) {
      cursor = (await ask(app, { ...(cursor && { cursor }) })).body.cursor
      expect(bucket.keys).toEqual([])
      if (cursor === undefined) break
    }
    expect(bucket.versions).toEqual([])
  })

  it('keeps a delete marker whose versions are on the next page until they are gone', async () => {
    for (let i = 100; i < 199; i++) bucket.put(`users/alice/${i}.txt`, OLD)
    bucket.put('users/alice/locked.txt', OLD)
    bucket.locked.add('users/alice/locked.txt')
    for (let calls = 0; calls < 2; calls++) await deleteAll(mounted())
    expect(bucket.keys).toEqual([])
    expect(new Set(bucket.versions.map(({ key }) => key))).toEqual(
      new Set(['users/alice/locked.txt']),
    )
  })

  it('deletes delete markers on several pages, also the latest of a key between two', async () => {
    for (let i = 100; i < 230; i++)
      for (const at of [OLD, LATER]) bucket.delete(`users/alice/${i}.txt`, at)
    for (let i = 0; i < 120; i++) bucket.delete('users/alice/x.txt', OLD)
    const answers = await deleteAll(mounted())
    expect(total(answers, 'versions')).toBe(380)
    expect(bucket.versions).toEqual([])
  })

  it('keeps a delete marker whose only version is on the next page, and later', async () => {
    for (let i = 100; i < 199; i++) bucket.put(`users/alice/${i}.txt`, LATER)
    bucket.put('users/alice/a.txt', LATER)
    bucket.delete('users/alice/a.txt', LATER)
    bucket.put('users/alice/b.txt', LATER)
    await deleteAll(mounted())
    expect(bucket.keys).not.toContain('users/alice/a.txt')
    expect(bucket.versions.length).toBe(102)
  })

  it('keeps the last of a whole page of delete markers, since a version may follow', async () => {
    for (const name of ['a', 'b']) bucket.put(`users/bob/${name}.txt`, OLD)
    const app = mounted()
    // From now on, it knows that the server deletes many at once.
    await deleteAll(app, { prefix: 'users/bob/' })
    bucket.put('users/alice/a.txt', LATER)
    for (let i = 0; i < 100; i++) bucket.delete('users/alice/a.txt', LATER)
    await deleteAll(app)
    expect(bucket.keys).toEqual([])
    expect(bucket.versions.length).toBe(2)
  })

  it('purges the copies of old versions before it deletes them', async () => {
    bucket.put('users/alice/a.txt', OLD)
    bucket.delete('users/alice/a.txt', OLD)
    const purges: string[][] = []
    const purge = vi.fn(async (_: unknown, keys: readonly string[]) => {
      purges.push([...keys])
      if (purges.length === 1) throw unavailable('purge', 'Not purged.')
    })
    const source = { copySeconds: 0, keepsCopies: true, open: vi.fn(), purge }
    const plugin = { name: 'copies of links', setup: () => ({ objects: () => source }) }
    const app = mounted({ plugins: [files({ index }), userData(), plugin] } as MountOptions)
    const [failed] = await deleteAll(app)
    expect(failed).toMatchObject({
      ...{
        versions: 0,
        failures: [{ key: 'users/alice/a.txt', error: { code: 'unavailable', reason: 'purge' } }],
      },
    })
    expect(bucket.versions.length).toBe(2)
    expect(await deleteAll(app)).toMatchObject([{ versions: 2, failures: [] }])
    expect(purges).toEqual([['users/alice/a.txt'], ['users/alice/a.txt']])
  })

  it('keeps a version that is later than the date, and its markers', async () => {
    bucket.put('users/alice/a.txt', OLD)
    bucket.put('users/alice/a.txt', LATER)
    bucket.put('users/alice/b.txt', LATER)
    bucket.delete('users/alice/b.txt', LATER)
    const [answer] = await deleteAll(mounted())
    expect(answer).toMatchObject({ deleted: 0, versions: 1 })
    expect(bucket.keys).toEqual(['users/alice/a.txt'])
    expect(bucket.versions.length).toBe(3)
  })

  it('keeps the versions of a file that the app refuses', async () => {
    for (let i = 0; i < 3; i++) bucket.put('users/alice/a.txt', OLD)
    const [answer] = await deleteAll(mounted({ beforeDelete: () => ({ refuse: 'No.' }) }))
    expect(answer).toMatchObject({
      deleted: 0,
      versions: 0,
      failures: [{ key: 'users/alice/a.txt' }],
    })
    expect(bucket.versions.length).toBe(3)
  })

  it('keeps the present object of a file that could not be deleted', async () => {
    bucket.put('users/alice/a.txt', OLD)
    const reserve = () => {
      throw new ApiError('forbidden', 'No.')
    }
    const plugin = { name: 'quota', setup: () => ({ reserve }) }
    const app = mounted({ plugins: [...everyPlugin({ files: { index } }), plugin] })
    expect(await deleteAll(app)).toMatchObject([{ deleted: 0, versions: 0 }])
    expect(bucket.keys).toEqual(['users/alice/a.txt'])
  })

  it('reports locked versions, and goes on after them', async () => {
    for (let i = 0; i < 150; i++) bucket.put('users/alice/a.txt', OLD)
    bucket.put('users/alice/b.txt', OLD)
    bucket.locked.add('users/alice/a.txt')
    const answers = await deleteAll(mounted())
    expect(answers.flatMap(({ failures }) => failures)[0]).toMatchObject({
      ...{ key: 'users/alice/a.txt', error: { code: 'storage_error' } },
    })
    expect(bucket.keys).toEqual([])
    expect(new Set(bucket.versions.map(({ key }) => key))).toEqual(new Set(['users/alice/a.txt']))
  })
})
