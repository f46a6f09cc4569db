import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FileIndex } from '../../../src/index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { LONG_AGO, listedBuckets } from '../../support/listed-bucket.ts'
import { operations } from '../../support/scripted-bucket.ts'
import {
  bucketAt,
  newKey,
  recordOf,
  type UpkeepApp,
  upkeepApp,
  withoutObjects,
} from '../../support/upkeep.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

const NOW = new Date('2026-11-28T12:00:00Z')
const later = (minutes: number) => new Date(NOW.getTime() + minutes * 60_000)

/** Returns a bucket's objects, with generated keys and without records. */
const objects = (names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [newKey(name), {}]))

const namesIn = async (index: FileIndex, bucket = 'files') => {
  const { records } = await index.list({ bucket, prefix: '', limit: 1000 })
  return records.map(({ key }) => key)
}

/** Numbered names, in the order of their bytes. */
const numbered = (count: number) =>
  Array.from({ length: count }, (_, i) => `${String(i).padStart(4, '0')}.png`)

/** Begins the passes that are due, and does their steps until so many minutes later. */
async function walked(app: UpkeepApp, minutes = 15, from = 0): Promise<void> {
  await app.run(later(from))
  for (let i = 0; i <= minutes; i++) await app.tick(later(from + i))
}

const logged = async (app: UpkeepApp, minutes: number) => {
  await app.run(later(minutes))
  return app.lines.at(-1)
}

describe('a step on the free plan', () => {
  it('takes a page of up to 40 objects, with at most 45 requests, and the next one ten minutes later', async () => {
    const sent = listedBuckets({ one: objects(numbered(100)) })
    const app = upkeepApp({ settings: { mode: 'record' } })
    await app.run(NOW)
    expect(sent).toEqual([])
    expect(await app.tick(NOW)).toBe(1)
    expect(sent.length).toBeLessThanOrEqual(45)
    const seen = async () => (await app.state())?.counts.objects ?? 0
    const first = await seen()
    // Each object that gets a record needs up to four requests, and six operations of the index.
    expect(first).toBeGreaterThanOrEqual(6)
    expect(first).toBeLessThan(40)
    expect(await app.tick(later(9))).toBe(0)
    expect(await app.tick(later(10))).toBe(1)
    expect(await seen()).toBeGreaterThanOrEqual(first + 6)
  })

  it('takes 40 objects that need nothing', async () => {
    const sent = listedBuckets({ one: objects(numbered(100)) })
    const app = upkeepApp()
    for (const name of numbered(100)) await app.index.put(recordOf(newKey(name)))
    await app.run(NOW)
    await app.tick(NOW)
    expect(operations(sent)).toEqual(['ListObjectsV2'])
    expect(await app.state()).toMatchObject({
      ...{ phase: 'objects', counts: { objects: 40, records: 40 } },
    })
  })

  it('makes longer pauses with more buckets, since limits of a day are for all', async () => {
    listedBuckets({ one: objects(numbered(100)), two: {} })
    const app = upkeepApp({ buckets: { a: bucketAt('one'), b: bucketAt('two') } })
    await app.run(NOW)
    await app.tick(NOW)
    expect((await app.state('a'))?.nextAt).toBe(later(20).getTime())
  })
})

describe('a pass on the paid plan', () => {
  it('makes no pauses, and the next one begins almost an hour after it', async () => {
    const sent = listedBuckets({ one: objects(numbered(120)), two: {} })
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const app = upkeepApp({ buckets, settings: { mode: 'record', plan: 'paid' } })
    await app.run(NOW)
    await app.tick(NOW)
    for (const alias of ['a', 'b'])
      expect(await app.state(alias)).toMatchObject({ phase: 'idle', last: { mode: 'record' } })
    expect(await namesIn(app.index, 'a')).toHaveLength(120)
    const { length } = sent
    expect((await logged(app, 50))?.message).toMatch(
      /^a: done, objects 120, .*recorded 120.*; b: done$/,
    )
    expect(await app.tick(later(50))).toBe(0)
    await app.run(later(60))
    await app.tick(later(60))
    expect(sent.length).toBeGreaterThan(length)
  })
})

describe('the operations of the index', () => {
  /** Returns an index that counts what Cloudflare counts. To store a record, D1 runs up to three queries. */
  const countedIndex = (isD1: boolean) => {
    const index = memoryFileIndex()
    const counter = { used: 0 }
    const count = (cost: number) => {
      counter.used += cost
    }
    const counted: FileIndex = {
      ...index,
      async get(...key) {
        count(1)
        return index.get(...key)
      },
      async put(...change) {
        count(3)
        return index.put(...change)
      },
      async remove(...key) {
        count(2)
        return index.remove(...key)
      },
      async getMany(bucket, keys) {
        count(isD1 ? 1 : Math.ceil(keys.length / 100))
        const found = await Promise.all(keys.map((key) => index.get(bucket, key)))
        return found.filter((record) => record !== null)
      },
      async list(input) {
        count(1)
        return index.list(input)
      },
      ...(index.kept && {
        kept: {
          ...index.kept,
          async get(...key: Parameters<typeof index.kept.get>) {
            count(1)
            return index.kept?.get(...key) ?? null
          },
        },
      }),
    }
    return { counter, counted }
  }

  it.each([
    ['d1 and free', true, 'free', 50],
    ['kv and free', false, 'free', 50],
    ['d1 and paid', true, 'paid', 1000],
    ['kv and paid', false, 'paid', 1000],
  ] as const)('stay below the limit of one step with %s', async (_, isD1, plan, limit) => {
    listedBuckets({ one: objects(numbered(plan === 'free' ? 40 : 350)) })
    const buckets = { a: bucketAt('one'), b: bucketAt('one'), c: bucketAt('one') }
    const { counter, counted } = countedIndex(isD1)
    const app = upkeepApp({ buckets, settings: { mode: 'record', plan }, index: counted })
    const used: number[] = []
    await app.run(NOW)
    for (let minutes = 0; minutes < 300; minutes += 5) {
      counter.used = 0
      if (await app.step(later(minutes), 'a')) used.push(counter.used)
    }
    expect(Math.max(...used)).toBeLessThanOrEqual(limit)
    expect((await namesIn(app.index, 'a')).length).toBeGreaterThanOrEqual(20)
  })

  it('are enough for one change of a page, also with many aliases on the free plan', async () => {
    listedBuckets({ one: objects(numbered(6)) })
    const aliases = Array.from({ length: 25 }, (_, i) => [`b${i}`, bucketAt('one')])
    const { counter, counted } = countedIndex(true)
    const app = upkeepApp({
      ...{ buckets: Object.fromEntries(aliases), settings: { mode: 'record' }, index: counted },
    })
    await app.run(NOW)
    await app.step(NOW, 'b0')
    expect((await namesIn(app.index, 'b0')).length).toBeGreaterThan(0)
    expect(counter.used).toBeLessThanOrEqual(50)
  })
})

describe('a Cron Trigger', () => {
  it('wakes the object of each bucket, which is named by presigner and bucket', async () => {
    const sent = listedBuckets({ one: {}, two: {} })
    const buckets = { a: bucketAt('one'), b: bucketAt('two'), c: bucketAt('one') }
    const app = upkeepApp({ name: 'wakes', buckets })
    await app.run(NOW)
    expect(app.woken).toEqual([
      'wakes/walk https://s3.example/one/',
      'wakes/walk https://s3.example/two/',
    ])
    expect(sent).toEqual([])
    await app.run(later(5))
    expect(app.woken).toHaveLength(4)
    expect(await app.state('a')).toMatchObject({ startedAt: NOW.toISOString() })
  })

  it('logs one line, with counts and without keys', async () => {
    listedBuckets({ one: { ...objects(['a.png', 'b.png']), 'other/secret-plan.pdf': {} } })
    const app = upkeepApp({ settings: { mode: 'record', plan: 'paid' } })
    await app.index.put(recordOf(newKey('gone.png')))
    await app.index.put(recordOf(newKey('b.png')))
    await walked(app)
    app.lines.length = 0
    await app.run(later(60))
    expect(app.lines).toEqual([
      {
        ...{ method: 'SCHEDULED', route: 'upkeep', status: 200 },
        milliseconds: expect.any(Number),
        message: expect.stringMatching(/^files: done, .*objects 3.*recorded 1.*dropped 1/),
      },
    ])
    expect(JSON.stringify(app.lines)).not.toMatch(/secret-plan|gone\.png|a\.png/)
  })

  it('changes nothing with the default mode, and no more than the mode that is set now', async () => {
    const sent = listedBuckets({ one: objects(['a.png', 'b.png']) })
    const index = memoryFileIndex()
    await index.put(recordOf(newKey('b.png')))
    const gone = recordOf(newKey('gone.png'))
    await index.put(gone)
    for (const mode of ['report', 'record'] as const) {
      const app = upkeepApp({ name: `mode-${mode}`, index, settings: { mode } })
      await app.run(NOW)
      const now = upkeepApp({ name: `mode-${mode}`, index })
      for (let i = 0; i < 60; i += 5) await now.tick(later(i))
      expect(await now.state()).toMatchObject({ phase: 'idle' })
    }
    expect((await namesIn(index)).toSorted()).toEqual([newKey('b.png'), gone.key])
    expect(new Set(operations(sent))).toEqual(new Set(['ListObjectsV2', 'ListMultipartUploads']))
  })

  it('goes on with the next bucket after an error in one, and warns of it', async () => {
    const upkeepCredentials = async () => {
      throw new Error('no keys')
    }
    const buckets = {
      ...{ a: bucketAt('broken'), b: bucketAt('locked', { upkeepCredentials }) },
      c: bucketAt('two'),
    }
    listedBuckets({ two: objects(['b.png']) })
    const app = upkeepApp({ buckets, settings: { plan: 'paid', mode: 'record' } })
    await walked(app, 2)
    expect(await namesIn(app.index, 'c')).toEqual([newKey('b.png')])
    expect(await logged(app, 3)).toMatchObject({
      status: 200,
      warning: 'upkeep failed: a, storage_error; upkeep failed: b, unavailable',
    })
  })

  it('goes on with the next bucket if the object of one fails', async () => {
    listedBuckets({ one: {}, two: {} })
    const woken: string[] = []
    const getByName = (id: string) => ({
      run: async (statements: readonly unknown[]) => {
        if (id.includes('/one/')) throw new Error('The storage is full.')
        return statements.map(() => [])
      },
      wake: async () => void woken.push(id),
    })
    const app = upkeepApp({
      ...{ name: 'fails', buckets: { a: bucketAt('one'), b: bucketAt('two') } },
      context: () => Object.assign(withoutObjects(), { exports: { Upkeep: { getByName } } }),
    })
    await app.run(NOW)
    expect(woken).toEqual(['fails/walk https://s3.example/two/'])
    expect(app.lines.at(-1)).toMatchObject({
      ...{ status: 503, warning: 'upkeep failed: a, unavailable' },
      reason: expect.stringContaining('full'),
    })
  })

  it('sends nothing to a bucket that the brake has stopped, and warns each time', async () => {
    const sent = listedBuckets({ one: {} })
    const app = upkeepApp({ settings: { mode: 'record', plan: 'paid' } })
    await app.index.put(recordOf(newKey('gone.png')))
    await walked(app)
    expect(await app.state()).toMatchObject({ stopped: { reason: 'empty list' } })
    const { length } = sent
    for (const minutes of [60, 120]) {
      expect(await logged(app, minutes)).toMatchObject({
        ...{ status: 200, warning: 'upkeep stopped: files, empty list' },
      })
      expect(await app.tick(later(minutes))).toBe(0)
    }
    expect(sent).toHaveLength(length)
  })

  it.each(['path', 'virtual'] as const)(
    'records an object of several aliases only under the first one: %s',
    async (addressing) => {
      listedBuckets({ one: { ...objects(['new.png', 'known.png']) } })
      const buckets = { a: bucketAt('one'), b: bucketAt('one', { addressing }) }
      const app = upkeepApp({ buckets, settings: { plan: 'paid', mode: 'record' } })
      await app.index.put(recordOf(newKey('known.png'), { bucket: 'b' }))
      await walked(app)
      expect(await namesIn(app.index, 'a')).toEqual([newKey('new.png')])
      expect(await namesIn(app.index, 'b')).toEqual([newKey('known.png')])
      expect((await app.state('b'))?.last?.counts).toMatchObject({ objects: 2, records: 1 })
    },
  )

  it('walks only through the buckets of the settings', async () => {
    listedBuckets({ one: {}, two: {} })
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const app = upkeepApp({ buckets, settings: { plan: 'paid', buckets: ['b'] } })
    await walked(app, 1)
    expect((await logged(app, 2))?.message).toMatch(/^b: [^;]*$/)
    expect(await app.state('a')).toBeUndefined()
  })

  it('uses the access keys of upkeep, or else those that read and write', async () => {
    const own = { accessKeyId: 'WALKER', secretAccessKey: 'secret' }
    for (const [changes, ids] of [
      [{}, ['READER', 'WRITER']],
      [{ upkeepCredentials: own }, ['WALKER']],
      [{ upkeepCredentials: async () => own }, ['WALKER']],
    ] as const) {
      const sent = listedBuckets({ one: objects(['a.png']) })
      const app = upkeepApp({
        buckets: { files: bucketAt('one', changes) },
        settings: { plan: 'paid' },
      })
      await walked(app, 1)
      const used = sent.map(({ headers, url }) =>
        /Credential=([A-Z]+)/.exec(headers.get('Authorization') ?? decodeURIComponent(url))?.at(1),
      )
      expect([...new Set(used)].toSorted()).toEqual(ids)
    }
  })

  it('needs Durable Objects, and says what is missing', async () => {
    listedBuckets({ one: {} })
    const app = upkeepApp({ context: withoutObjects })
    await app.scheduled()
    expect(app.lines).toMatchObject([
      { status: 503, code: 'misconfigured', reason: expect.stringContaining('Upkeep') },
    ])
  })

  it('fails with settings that are not valid, whose names are in the log', async () => {
    const app = upkeepApp({ settings: { mode: 'delete' as never } })
    await expect(app.scheduled()).rejects.toMatchObject({ code: 'misconfigured' })
    expect(app.lines).toMatchObject([{ status: 503, reason: expect.stringContaining('upkeep') }])
  })
})

// @threat owner-lost
it('a record that the walk removes keeps its name and owner for its object', async () => {
  const bucket = objects(['a.png', 'b.png'])
  listedBuckets({ one: bucket })
  const app = upkeepApp({ settings: { plan: 'paid', mode: 'record' } })
  const gone = recordOf(newKey('gone.png'))
  await app.index.put(gone)
  await app.index.put(recordOf(newKey('a.png')))
  await walked(app)
  expect(await namesIn(app.index)).not.toContain(gone.key)
  bucket[gone.key] = {}
  await walked(app, 15, 90)
  expect(await app.index.get('files', gone.key)).toEqual({ ...gone, createdAt: LONG_AGO })
})
