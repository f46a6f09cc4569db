import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FileIndex } from '../../../src/index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { LONG_AGO, listedBuckets } from '../../support/listed-bucket.ts'
import { operations } from '../../support/scripted-bucket.ts'
import { stateStub } from '../../support/state-stub.ts'
import { bucketAt, newKey, recordOf, upkeepApp, withoutObjects } from '../../support/upkeep.ts'
import { walkState } from '../../support/walk-state.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

const NOW = new Date('2026-11-28T12:00:00Z')
const later = (minutes: number) => new Date(NOW.getTime() + minutes * 60_000)

const object = (name: string, alias: string) => stateStub('Upkeep', `${name}/walk ${alias}`)

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

describe('a run on the free plan', () => {
  it('takes a page of up to 40 objects, with at most 45 requests', async () => {
    const sent = listedBuckets({ one: objects(numbered(100)) })
    const app = upkeepApp({ name: 'free', settings: { mode: 'record' } })
    await app.run(NOW)
    expect(sent.length).toBeLessThanOrEqual(45)
    const seen = async () => (await object('free', 'files').status()).walk?.counts.objects ?? 0
    const first = await seen()
    // Each object that gets a record needs three requests.
    expect(first).toBeGreaterThan(10)
    expect(first).toBeLessThan(40)
    await app.run(later(60))
    expect(await seen()).toBeGreaterThan(first + 10)
  })

  it('takes 40 objects that need nothing', async () => {
    const sent = listedBuckets({ one: objects(numbered(100)) })
    const app = upkeepApp({ name: 'known' })
    for (const name of numbered(100)) await app.index.put(recordOf(newKey(name)))
    await app.run(NOW)
    expect(operations(sent)).toEqual(['ListObjectsV2'])
    expect(await object('known', 'files').status()).toMatchObject({
      walk: { phase: 'objects', counts: { objects: 40, records: 40 } },
    })
  })

  it('visits one bucket, and next time the one that waits longest', async () => {
    listedBuckets({ one: objects(['a.png']), two: objects(['b.png']), three: {} })
    const buckets = { a: bucketAt('one'), b: bucketAt('two'), c: bucketAt('three') }
    const app = upkeepApp({ name: 'rotates', buckets })
    const seen: string[] = []
    for (let i = 0; i < 4; i++) {
      await app.run(later(i))
      seen.push(app.lines.at(-1)?.message?.split(':')[0] ?? '')
    }
    expect(seen).toEqual(['a', 'b', 'c', 'a'])
  })
})

describe('a run on the paid plan', () => {
  it('goes on until each bucket is done, and starts no new pass within an hour', async () => {
    const sent = listedBuckets({ one: objects(numbered(120)), two: {} })
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const settings = { mode: 'record', plan: 'paid' } as const
    const app = upkeepApp({ name: 'paid', buckets, settings })
    await app.run(NOW)
    for (const alias of ['a', 'b'])
      expect(await object('paid', alias).status()).toMatchObject({
        walk: { last: { mode: 'record', counts: {} } },
      })
    expect(await namesIn(app.index, 'a')).toHaveLength(120)
    expect(app.lines[0]?.message).toMatch(/^a: done, objects 120, .*recorded 120.*; b: done$/)
    const { length } = sent
    await app.run(later(50))
    expect(sent).toHaveLength(length)
    expect(app.lines.at(-1)).toMatchObject({ status: 200, message: '' })
    await app.run(later(60))
    expect(sent.length).toBeGreaterThan(length)
  })
})

describe('the operations of the index', () => {
  /** Returns an index that counts what Cloudflare counts. To store a record, D1 runs two queries. */
  const countedIndex = (isD1: boolean) => {
    const index = isD1 ? memoryFileIndex() : memoryFileIndex()
    const counter = { used: 0 }
    const counted: FileIndex = {
      ...index,
      async get(...key) {
        counter.used += 1
        return index.get(...key)
      },
      async put(...change) {
        counter.used += isD1 ? 2 : 1
        return index.put(...change)
      },
      async remove(...key) {
        counter.used += 1
        return index.remove(...key)
      },
      async getMany(bucket, keys) {
        counter.used += isD1 ? 1 : Math.ceil(keys.length / 100)
        const found = await Promise.all(keys.map((key) => index.get(bucket, key)))
        return found.filter((record) => record !== null)
      },
      async list(input) {
        counter.used += 1
        return index.list(input)
      },
    }
    return { counter, counted }
  }

  it.each([
    ['d1-free', true, 'free', 50],
    ['kv-free', false, 'free', 50],
    ['d1-paid', true, 'paid', 1000],
    ['kv-paid', false, 'paid', 1000],
  ] as const)('stay below the limit of one run with %s', async (name, isD1, plan, limit) => {
    listedBuckets({ one: objects(numbered(plan === 'free' ? 40 : 350)) })
    const buckets = { a: bucketAt('one'), b: bucketAt('one'), c: bucketAt('one') }
    const { counter, counted } = countedIndex(isD1)
    const app = upkeepApp({ name, buckets, settings: { mode: 'record', plan }, index: counted })
    const used: number[] = []
    for (let i = 0; i < 30 && (await namesIn(app.index, 'a')).length < 20; i++) {
      counter.used = 0
      await app.run(later(60 * i))
      used.push(counter.used)
    }
    expect(Math.max(...used)).toBeLessThanOrEqual(limit)
    expect((await namesIn(app.index, 'a')).length).toBeGreaterThanOrEqual(20)
  })

  it('are enough for one change of a page, also with many aliases on the free plan', async () => {
    listedBuckets({ one: objects(numbered(3)) })
    const aliases = Array.from({ length: 25 }, (_, i) => [`b${i}`, bucketAt('one')])
    const settings = { mode: 'record' } as const
    const app = upkeepApp({ name: 'aliases', buckets: Object.fromEntries(aliases), settings })
    for (let i = 0; i < 2; i++) await app.run(later(60 * i))
    expect(await namesIn(app.index, 'b0')).toHaveLength(1)
  })
})

describe('a run', () => {
  it('logs one line, with counts and without keys', async () => {
    listedBuckets({ one: { ...objects(['a.png']), 'other/secret-plan.pdf': {} } })
    const app = upkeepApp({ settings: { mode: 'record' } })
    await app.index.put(recordOf(newKey('gone.png')))
    await app.run(NOW)
    expect(app.lines).toEqual([
      {
        ...{ method: 'SCHEDULED', route: 'upkeep', status: 200 },
        milliseconds: expect.any(Number),
        message: expect.stringMatching(/^files: \w+, .*objects 2.*recorded 1/),
      },
    ])
    expect(JSON.stringify(app.lines)).not.toMatch(/secret-plan|gone\.png|a\.png/)
  })

  it('changes nothing with the default mode', async () => {
    const sent = listedBuckets({ one: objects(['a.png']) })
    const app = upkeepApp()
    await app.index.put(recordOf(newKey('gone.png')))
    for (let i = 0; i < 5; i++) await app.run(later(60 * i))
    expect(await namesIn(app.index)).toEqual([newKey('gone.png')])
    expect(new Set(operations(sent))).not.toContain('DeleteObject')
    expect((await object('', 'files').status()).dropped).toBe(0)
  })

  it('goes on with the next bucket after an error in one', async () => {
    const buckets = { a: bucketAt('broken'), b: bucketAt('two') }
    listedBuckets({ two: objects(['b.png']) })
    const app = upkeepApp({ buckets, settings: { plan: 'paid', mode: 'record' } })
    await app.run(NOW)
    expect(await namesIn(app.index, 'b')).toEqual([newKey('b.png')])
    expect(app.lines.at(-1)).toMatchObject({
      ...{ status: 502, warning: 'upkeep failed: a, storage_error' },
      reason: expect.stringContaining('ListObjectsV2'),
    })
  })

  it('gives the next bucket its turn after an error on the free plan', async () => {
    const buckets = { a: bucketAt('broken'), b: bucketAt('two') }
    listedBuckets({ two: {} })
    const app = upkeepApp({ buckets, name: 'turns' })
    await app.run(NOW)
    await app.run(later(60))
    expect((await object('turns', 'b').status()).ranAt).toBeGreaterThan(0)
  })

  it('goes on with the next bucket if one has no access keys', async () => {
    const upkeepCredentials = async () => {
      throw new Error('no keys')
    }
    const buckets = { a: bucketAt('one', { upkeepCredentials }), b: bucketAt('two') }
    listedBuckets({ one: {}, two: objects(['b.png']) })
    const app = upkeepApp({ buckets, settings: { plan: 'paid', mode: 'record' } })
    await app.run(NOW)
    expect(await namesIn(app.index, 'b')).toEqual([newKey('b.png')])
    expect(app.lines.at(-1)?.warning).toMatch(/^upkeep failed: a, unavailable$/)
  })

  it('goes on with the next bucket if the object of one fails', async () => {
    listedBuckets({ one: {}, two: objects(['b.png']) })
    const getByName = (id: string) => {
      const stub = stateStub('Upkeep', id)
      const begin = () => Promise.reject(new Error('The storage is full.'))
      return id.endsWith('walk a') ? { status: () => stub.status(), begin } : stub
    }
    const app = upkeepApp({
      ...{ name: 'fails', buckets: { a: bucketAt('one'), b: bucketAt('two') } },
      settings: { plan: 'paid', mode: 'record' },
      context: () => Object.assign(withoutObjects(), { exports: { Upkeep: { getByName } } }),
    })
    await app.run(NOW)
    expect(await namesIn(app.index, 'b')).toEqual([newKey('b.png')])
    expect(app.lines.at(-1)?.warning).toBe('upkeep failed: a, unavailable')
  })

  it('leaves a bucket alone in which another run is', async () => {
    const sent = listedBuckets({ one: {} })
    const app = upkeepApp({ name: 'overlap' })
    const other = await object('overlap', 'files').begin(NOW.getTime())
    await app.run(later(1))
    expect(sent).toEqual([])
    expect(app.lines).toMatchObject([{ status: 200 }])
    await object('overlap', 'files').end(other?.token ?? '')
    await app.run(later(1))
    expect(sent.length).toBeGreaterThan(0)
  })

  it('ends its lease, so that the next one can begin at once', async () => {
    listedBuckets({})
    const app = upkeepApp({ name: 'ends' })
    await app.run(NOW)
    expect(await object('ends', 'files').begin(later(1).getTime())).not.toBeNull()
  })

  it('sends nothing to a bucket that the brake has stopped, and warns each time', async () => {
    const sent = listedBuckets({ one: objects(['a.png']) })
    const app = upkeepApp({ name: 'stopped', settings: { mode: 'record' } })
    const walk = object('stopped', 'files')
    const { token } = (await walk.begin(0)) ?? { token: '' }
    const stopped = { reason: 'shorter list', at: LONG_AGO } as const
    await walk.save(walkState({ stopped }), token, 0, false)
    await walk.end(token)
    for (const minutes of [0, 60]) {
      await app.run(later(minutes))
      expect(app.lines.at(-1)).toMatchObject({
        ...{ status: 200, warning: 'upkeep stopped: files, shorter list' },
      })
    }
    expect(sent).toEqual([])
  })

  it('takes no turn of the others for a bucket that the brake has stopped', async () => {
    listedBuckets({ one: {}, two: {} })
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const app = upkeepApp({ name: 'stopped-first', buckets })
    const walk = object('stopped-first', 'a')
    const { token } = (await walk.begin(0)) ?? { token: '' }
    const stopped = { reason: 'shorter list', at: LONG_AGO } as const
    await walk.save(walkState({ bucket: 'a', stopped }), token, 0, false)
    await walk.end(token)
    await app.run(NOW)
    expect((await object('stopped-first', 'b').status()).walk).not.toBeNull()
  })

  it('records nothing under another alias than the first one', async () => {
    listedBuckets({ one: objects(['new.png']) })
    const buckets = { a: bucketAt('one'), b: bucketAt('one') }
    const app = upkeepApp({ name: 'second', buckets, settings: { plan: 'paid', mode: 'record' } })
    await object('second', 'a').begin(NOW.getTime())
    await app.run(later(1))
    expect(app.lines.at(-1)?.message).toMatch(/b: done, objects 1, unmanaged 1/)
    expect(await namesIn(app.index, 'b')).toEqual([])
  })

  it('records an object of several aliases only under the first one', async () => {
    listedBuckets({ one: { ...objects(['new.png', 'known.png']) } })
    const buckets = { a: bucketAt('one'), b: bucketAt('one') }
    const app = upkeepApp({ buckets, settings: { plan: 'paid', mode: 'record' } })
    await app.index.put(recordOf(newKey('known.png'), { bucket: 'b' }))
    await app.run(NOW)
    expect(await namesIn(app.index, 'a')).toEqual([newKey('new.png')])
    expect(await namesIn(app.index, 'b')).toEqual([newKey('known.png')])
  })

  it('walks only through the buckets of the settings', async () => {
    listedBuckets({ one: {}, two: {} })
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const app = upkeepApp({ buckets, settings: { plan: 'paid', buckets: ['b'] } })
    await app.run(NOW)
    expect(app.lines.at(-1)?.message).toMatch(/^b: [^;]*$/)
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
      await app.run(NOW)
      const used = sent.map(({ headers, url }) =>
        /Credential=([A-Z]+)/.exec(headers.get('Authorization') ?? decodeURIComponent(url))?.at(1),
      )
      expect([...new Set(used)].toSorted()).toEqual(ids)
    }
  })

  it('is not possible without Durable Objects, and says what is missing', async () => {
    listedBuckets({ one: {} })
    const app = upkeepApp({ context: withoutObjects })
    await expect(app.scheduled()).rejects.toMatchObject({ code: 'misconfigured' })
    expect(app.lines).toMatchObject([{ status: 503, reason: expect.stringContaining('Upkeep') }])
  })

  it('fails with settings that are not valid, whose names are in the log', async () => {
    const app = upkeepApp({ settings: { mode: 'delete' as never } })
    await expect(app.scheduled()).rejects.toMatchObject({ code: 'misconfigured' })
    expect(app.lines).toMatchObject([{ status: 503, reason: expect.stringContaining('upkeep') }])
  })
})

describe('a record that was dropped', () => {
  it('is kept in the object', async () => {
    listedBuckets({ one: objects(['a.png', 'b.png']) })
    const app = upkeepApp({ name: 'drops', settings: { plan: 'paid', mode: 'record' } })
    const gone = recordOf(newKey('gone.png'))
    await app.index.put(gone)
    for (const minutes of [0, 60, 120, 180]) await app.run(later(minutes))
    expect(await namesIn(app.index)).not.toContain(gone.key)
    expect(await object('drops', 'files').droppedOf([gone.key])).toMatchObject([{ record: gone }])
  })
})
