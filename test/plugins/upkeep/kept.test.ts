import { afterEach, describe, expect, it, vi } from 'vitest'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { jsonOf } from '../../support/app.ts'
import { testApiKey } from '../../support/credentials.ts'
import { LONG_AGO, listedBuckets } from '../../support/listed-bucket.ts'
import { recordOf, type UpkeepApp, upkeepApp } from '../../support/upkeep.ts'

const admin = await testApiKey('admin', ['index:write'])
const inside = await testApiKey('inside', ['index:write'], 'team/')
const runner = await testApiKey('runner', ['upkeep:read', 'upkeep:run'])

afterEach(() => {
  vi.unstubAllGlobals()
})

const [mine, theirs] = ['team/a.png', 'other/b.png']
const DAY = 86_400_000
const later = (days: number) => new Date(Date.now() + days * DAY).toISOString()

/** Returns an app whose index keeps records of these two files. */
async function appWith(
  objects: Parameters<typeof listedBuckets>[0],
  changes: Partial<FileRecord> = {},
): Promise<UpkeepApp> {
  listedBuckets(objects)
  const app = upkeepApp({ keys: [admin, inside, runner] })
  for (const key of [mine, theirs])
    await app.index.kept?.put({
      ...{ record: recordOf(key, changes), keptAt: LONG_AGO, expiresAt: later(30) },
    })
  return app
}

const restored = async (app: UpkeepApp, body: object, key = admin) =>
  (await jsonOf<{ records: unknown[] }>(await app.ask('POST /upkeep/restore', key, body))).records

const recordsIn = async ({ index }: UpkeepApp) =>
  (await index.list({ bucket: 'files', prefix: '', limit: 1000 })).records

const outcome = async (response: Promise<Response>) => {
  const answer = await response
  const { code } = answer.ok ? { code: '' } : await jsonOf<{ code: string }>(answer)
  return `${answer.status} ${code}`.trim()
}

describe('GET /upkeep/kept', () => {
  it('lists kept records below the prefix of the caller, page by page', async () => {
    const app = await appWith({})
    const list = async (query: string, key = admin) =>
      jsonOf<{ records: { key: string }[]; cursor?: string }>(
        await app.ask(`GET /upkeep/kept${query}`, key),
      )
    const first = await list('?limit=1')
    expect(first.records).toEqual([
      { ...recordOf(theirs), keptAt: LONG_AGO, expiresAt: expect.stringMatching(/Z$/) },
    ])
    const next = await list(`?limit=1&cursor=${first.cursor}`)
    expect(next.records.map(({ key }) => key)).toEqual([mine])
    expect((await list('', inside)).records.map(({ key }) => key)).toEqual([mine])
    // The cursor is that of another list.
    const foreign = app.ask(`GET /upkeep/kept?cursor=${first.cursor}`, inside)
    expect(await outcome(foreign)).toBe('400 invalid_cursor')
    expect(await outcome(app.ask('GET /upkeep/kept', runner))).toBe('403 forbidden')
  })

  it('leaves out what has expired, and shows what does not expire', async () => {
    const app = await appWith({})
    const record = recordOf(mine)
    await app.index.kept?.put({ record, keptAt: LONG_AGO, expiresAt: LONG_AGO })
    await app.index.kept?.put({ record: recordOf(theirs), keptAt: LONG_AGO, expiresAt: null })
    const { records } = await jsonOf<{ records: unknown[] }>(
      await app.ask('GET /upkeep/kept', admin),
    )
    expect(records).toMatchObject([{ key: theirs, expiresAt: null }])
  })

  it('is not supported by an index that keeps nothing', async () => {
    const { kept: _, ...index } = memoryFileIndex()
    const app = upkeepApp({ keys: [admin], index })
    for (const asked of [
      app.ask('GET /upkeep/kept', admin),
      app.ask('POST /upkeep/restore', admin, { keys: [mine] }),
    ])
      expect(await outcome(asked)).toBe('501 not_supported')
  })
})

describe('POST /upkeep/restore', () => {
  it('gives files their names and owners back, with the date of the object', async () => {
    const date = '2026-11-20T00:00:00.000Z'
    const objects = { one: { [mine]: { lastModified: date }, [theirs]: { lastModified: date } } }
    const app = await appWith(objects)
    expect(await restored(app, { keys: [mine, theirs] })).toEqual(
      [mine, theirs].map((key) => ({ key, outcome: 'restored' })),
    )
    expect(await recordsIn(app)).toEqual(
      [theirs, mine].map((key) => recordOf(key, { createdAt: date })),
    )
    expect(await restored(app, { keys: [mine] })).toEqual([{ key: mine, outcome: 'kept' }])
  })

  it('leaves files without their objects, and those with another object', async () => {
    const app = await appWith({ one: { [mine]: { etag: '"other"' } } })
    const keys = [mine, theirs, 'nobody.png']
    expect(await restored(app, { keys })).toEqual([
      { key: mine, outcome: 'different' },
      { key: theirs, outcome: 'gone' },
      { key: 'nobody.png', outcome: 'unknown' },
    ])
    expect(await recordsIn(app)).toEqual([])
  })

  // @threat owner-lost
  it('gives name and owner to an object of the same size with another ETag, only by order', async () => {
    const app = await appWith({ one: { [mine]: { etag: '"copy"' }, [theirs]: {} } }, { size: 6 })
    expect(await restored(app, { keys: [mine] })).toEqual([{ key: mine, outcome: 'different' }])
    expect(await restored(app, { keys: [mine], changed: true })).toEqual([
      { key: mine, outcome: 'restored' },
    ])
    expect(await recordsIn(app)).toEqual([recordOf(mine, { etag: '"copy"' })])
    const other = await appWith({ one: { [mine]: { etag: '"copy"' } } }, { size: 7 })
    expect(await restored(other, { keys: [mine], changed: true })).toEqual([
      { key: mine, outcome: 'different' },
    ])
  })

  it('replaces only a record that nobody has confirmed', async () => {
    const app = await appWith({ one: { [mine]: {}, [theirs]: {} } })
    const confirmed = recordOf(mine, { owner: 'app:bob', name: 'Mine.png' })
    await app.index.put(confirmed)
    await app.index.put(recordOf(theirs, { owner: null, name: 'b.png', status: 'found' }))
    expect(await restored(app, { keys: [mine, theirs] })).toEqual([
      { key: mine, outcome: 'kept' },
      { key: theirs, outcome: 'restored' },
    ])
    expect(await recordsIn(app)).toEqual([recordOf(theirs), confirmed])
  })

  // @threat kept-foreign
  it('restores only below the prefix of the caller, and keys that name an object', async () => {
    const app = await appWith({ one: { [mine]: {}, [theirs]: {} } })
    const keys = [theirs, mine, 'team/../other/b.png', 'team/\u0000', '', mine]
    expect(await restored(app, { keys }, inside)).toMatchObject([
      { key: theirs, error: { code: 'forbidden' } },
      { key: mine, outcome: 'restored' },
      { key: 'team/../other/b.png', error: { code: 'invalid_key' } },
      { key: 'team/\u0000', error: { code: 'invalid_key' } },
      { key: '', error: { code: 'invalid_key' } },
    ])
    expect((await recordsIn(app)).map(({ key }) => key)).toEqual([mine])
    const many = { keys: Array.from({ length: 21 }, (_, i) => `k${i}`) }
    expect(await outcome(app.ask('POST /upkeep/restore', admin, many))).toBe('400 invalid_request')
    expect(await outcome(app.ask('POST /upkeep/restore', runner, { keys }))).toBe('403 forbidden')
  })
})
