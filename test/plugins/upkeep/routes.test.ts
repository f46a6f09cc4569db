import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Counts, PassSummary, WalkState } from '../../../src/plugins/upkeep/state.ts'
import { jsonOf, ORIGIN } from '../../support/app.ts'
import { type TestApiKey, testApiKey } from '../../support/credentials.ts'
import { listedBuckets } from '../../support/listed-bucket.ts'
import {
  bucketAt,
  newKey,
  recordOf,
  type UpkeepApp,
  upkeepApp,
  withoutObjects,
} from '../../support/upkeep.ts'

const admin = await testApiKey('admin', ['upkeep:read', 'upkeep:run', 'index:write'])
const inside = await testApiKey('inside', ['upkeep:read', 'upkeep:run', 'index:write'], 'team/')
const reader = await testApiKey('reader', ['upkeep:read', 'tokens:create'])
/** May use only the bucket "b". */
const ofB: TestApiKey = await testApiKey('of-b', ['upkeep:read', 'upkeep:run', 'index:write'])
const KEYS = [admin, inside, reader]
const KEYS_AND_B = [...KEYS, { ...ofB, entry: { ...ofB.entry, buckets: ['b'] } }]

afterEach(() => {
  vi.unstubAllGlobals()
})

interface Status {
  readonly bucket: string
  readonly buckets: readonly string[]
  readonly mode: string
  readonly phase: WalkState['phase'] | null
  readonly startedAt: string
  readonly counts: Counts
  readonly collected: number
  readonly failing: number
  readonly stopped: WalkState['stopped']
  readonly failure: WalkState['failure']
  readonly last: PassSummary | null
  readonly nextAt: string | null
}

const order = async (app: UpkeepApp, body: object = {}, key: TestApiKey = admin) => {
  const response = await app.ask('POST /upkeep/walk', key, body)
  if (response.status !== 200) throw new Error(await response.text())
  return jsonOf<Status>(response)
}

/** Orders a pass, does its steps, and returns what the order answers then. Changes need ten minutes. */
async function pass(app: UpkeepApp, body: object = {}, minutes = 0): Promise<Status> {
  const { startedAt } = await order(app, body)
  for (let i = 0; i <= minutes; i += 5) await app.tick(new Date(Date.now() + i * 60_000))
  return order(app, { ...body, pass: startedAt })
}

const outcome = async (response: Promise<Response>) => {
  const answer = await response
  if (answer.ok) return `${answer.status}`
  const { code } = await jsonOf<{ code: string }>(answer)
  return `${answer.status} ${code}`
}

const recordsIn = async ({ index }: UpkeepApp) =>
  (await index.list({ bucket: 'files', prefix: '', limit: 1000 })).records

describe('GET /upkeep', () => {
  it('shows the settings, and each bucket, also before the first run', async () => {
    listedBuckets({ one: { [newKey('a.png')]: {} } })
    const app = upkeepApp({ keys: KEYS })
    const status = async () => jsonOf(await app.ask('GET /upkeep', reader))
    const none = { mode: null, phase: null, startedAt: null, counts: null, stopped: null }
    expect(await status()).toEqual({
      ...{ mode: 'report', plan: 'free' },
      buckets: [
        {
          ...{ bucket: 'files', ...none, last: null, failure: null, nextAt: null },
          ...{ collected: 0, failing: 0, failures: 0 },
        },
      ],
    })
    await app.run(new Date())
    await app.tick(new Date())
    expect(await status()).toMatchObject({
      buckets: [
        { bucket: 'files', counts: { objects: 1 }, startedAt: expect.stringMatching(/Z$/) },
      ],
    })
  })

  it('is not for a caller with a prefix, since it is about whole buckets', async () => {
    const app = upkeepApp({ keys: KEYS })
    expect(await outcome(app.ask('GET /upkeep', inside))).toBe('403 forbidden')
    const asked = await app.ask('POST /tokens', reader, {
      ...{ scopes: ['upkeep:read'], prefix: 'team/' },
    })
    const { token } = await jsonOf<{ token: string }>(asked)
    expect(await outcome(app.ask('GET /upkeep', { ...reader, token }))).toBe('403 forbidden')
  })

  it('shows only the buckets that the caller may use', async () => {
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const app = upkeepApp({ keys: KEYS_AND_B, buckets })
    expect(await jsonOf(await app.ask('GET /upkeep', ofB))).toMatchObject({
      buckets: [{ bucket: 'b' }],
    })
  })

  it('is not cached', async () => {
    const app = upkeepApp({ keys: KEYS })
    const { headers } = await app.ask('GET /upkeep', reader)
    expect(headers.get('Cache-Control')).toBe('no-store')
  })
})

describe('POST /upkeep/walk', () => {
  it('orders a pass, which the object of the bucket does, and shows its progress', async () => {
    const sent = listedBuckets({ one: { [newKey('a.png')]: {}, 'c.png': {} } })
    const app = upkeepApp({ keys: KEYS, name: 'ordered' })
    const first = await order(app)
    expect(first).toMatchObject({
      ...{ bucket: 'files', buckets: ['files'], mode: 'report', phase: 'objects' },
      ...{ stopped: null, failure: null, last: null, collected: 0, failing: 0 },
    })
    expect(app.woken).toEqual(['ordered/walk https://s3.example/one/'])
    expect(sent).toEqual([])
    // Somebody waits, so it makes no pauses.
    expect(await app.tick(new Date())).toBe(4)
    expect(await order(app, { pass: first.startedAt })).toMatchObject({
      ...{ phase: 'idle', startedAt: first.startedAt, nextAt: null },
      last: { startedAt: first.startedAt, counts: { objects: 2, unrecorded: 1, recorded: 0 } },
    })
    expect(await recordsIn(app)).toEqual([])
  })

  it('joins a pass with the same order, and begins no other one for who asks how far it is', async () => {
    listedBuckets({ one: {} })
    const app = upkeepApp({ keys: KEYS, settings: { mode: 'record' } })
    const started = async (body: object = {}) => (await order(app, body)).startedAt
    const first = await started()
    expect(await started()).toBe(first)
    expect(await started({ mode: 'record' })).toBe(first)
    await app.tick(new Date())
    expect(await started({ pass: first })).toBe(first)
    expect((await order(app, { pass: first })).phase).toBe('idle')
    const second = await started()
    expect(second).not.toBe(first)
    expect(await started({ restart: true })).not.toBe(second)
    expect((await order(app, { mode: 'report' })).mode).toBe('report')
  })

  it('records what has no record with mode record', async () => {
    listedBuckets({ one: { [newKey('a.png')]: {} } })
    const app = upkeepApp({ keys: KEYS, settings: { mode: 'record' } })
    expect((await pass(app, { mode: 'report' })).last?.counts.recorded).toBe(0)
    expect((await pass(app)).last?.counts.recorded).toBe(1)
    expect(await recordsIn(app)).toMatchObject([{ key: newKey('a.png'), name: 'a.png' }])
  })

  // @threat upkeep-exceeds
  it('may not do more than the settings allow', async () => {
    listedBuckets({ one: {}, two: {} })
    const modes = ['report', 'record'] as const
    for (const [i, mode] of modes.entries()) {
      const app = upkeepApp({ keys: KEYS, settings: { mode } })
      const asked = await Promise.all(
        modes.map((wanted) => outcome(app.ask('POST /upkeep/walk', admin, { mode: wanted }))),
      )
      expect(asked).toEqual(modes.map((_, j) => (j <= i ? '200' : '403 forbidden')))
    }
    // A bucket that upkeep leaves alone.
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const app = upkeepApp({ keys: KEYS, buckets, settings: { mode: 'record', buckets: ['a'] } })
    const other = { bucket: 'b', mode: 'record' }
    expect(await outcome(app.ask('POST /upkeep/walk', admin, other))).toBe('403 forbidden')
    expect(await order(app, { bucket: 'b' })).toMatchObject({ mode: 'report', buckets: ['a'] })
    // The default is the first bucket that upkeep doesn't leave alone.
    const second = upkeepApp({ keys: KEYS, buckets, settings: { mode: 'record', buckets: ['b'] } })
    expect(await order(second)).toMatchObject({ bucket: 'b', mode: 'record' })
  })

  it('imports what is below a prefix, also if the settings only report, next to another walk', async () => {
    const objects = { 'users/ann/a.png': {}, 'users/bob/b c.png': {}, 'other/c.png': {} }
    listedBuckets({ one: objects })
    const app = upkeepApp({ keys: KEYS })
    const given = { prefix: 'users/', owner: 'users/{owner}/', ownerAs: 'app:{owner}' }
    const walk = await order(app)
    expect((await pass(app, { import: given, mode: 'report' })).last?.counts).toMatchObject({
      ...{ unrecorded: 2, recorded: 0 },
    })
    expect(await recordsIn(app)).toEqual([])
    expect((await pass(app, { import: given })).last?.counts.recorded).toBe(2)
    expect(await recordsIn(app)).toMatchObject([
      { key: 'users/ann/a.png', owner: 'app:ann', status: 'found' },
      { key: 'users/bob/b c.png', owner: 'app:bob', status: 'found' },
    ])
    expect((await order(app, { pass: walk.startedAt })).startedAt).toBe(walk.startedAt)
  })

  it.each<readonly [string, object]>([
    ['a mode that is unknown', { mode: 'expire' }],
    ['a prefix that is no start of keys', { import: { prefix: '../a/' } }],
    ['a template without an owner', { import: { prefix: '', owner: 'users/' } }],
    ['an id of nobody', { import: { prefix: '', owner: '{owner}/', ownerAs: 'x' } }],
    ['an id without a template', { import: { prefix: '', ownerAs: 'app:{owner}' } }],
    ['an unknown member', { force: true }],
  ])('refuses %s', async (_, body) => {
    const app = upkeepApp({ keys: KEYS, settings: { mode: 'record' } })
    const { status } = await app.ask('POST /upkeep/walk', admin, body)
    expect(status).toBe(400)
    expect(app.woken).toEqual([])
  })

  // @threat upkeep-exceeds
  it('is only for keys without a prefix, and for their own buckets', async () => {
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const app = upkeepApp({ keys: KEYS_AND_B, buckets })
    const ask = (key: TestApiKey, body = {}) => outcome(app.ask('POST /upkeep/walk', key, body))
    expect(await ask(inside)).toBe('403 forbidden')
    expect(await ask(reader)).toBe('403 forbidden')
    expect(await ask(ofB, { bucket: 'a' })).toBe('403 forbidden')
    expect(await order(app, {}, ofB)).toMatchObject({ bucket: 'b', buckets: ['b'] })
  })

  it('shows what fails, and when the walk tries again', async () => {
    listedBuckets({})
    const app = upkeepApp({ keys: KEYS })
    const { startedAt, ...status } = await pass(app)
    expect(status).toMatchObject({
      ...{ phase: 'objects', failure: { code: 'storage_error', message: expect.any(String) } },
      nextAt: expect.stringMatching(/Z$/),
    })
    listedBuckets({ one: { [newKey('a.png')]: {} } })
    await app.tick(new Date(Date.parse(status.nextAt ?? '')))
    expect(await order(app, { pass: startedAt })).toMatchObject({
      last: { counts: { objects: 1 } },
    })
  })
})

describe('POST /upkeep/go-on', () => {
  it('lets a walk act that the brake has stopped', async () => {
    listedBuckets({ one: {} })
    const app = upkeepApp({ keys: KEYS, settings: { mode: 'record' } })
    await app.index.put(recordOf(newKey('gone.png')))
    const stopped = await pass(app)
    expect(stopped).toMatchObject({ stopped: { reason: 'empty list' }, collected: 1 })
    // The same order neither begins another pass nor lets this one go on.
    expect(await order(app)).toEqual(stopped)
    for (const key of [inside, reader])
      expect(await outcome(app.ask('POST /upkeep/go-on', key, {}))).toBe('403 forbidden')
    expect(await order(app)).toEqual(stopped)
    const unknown = app.ask('POST /upkeep/go-on', admin, { bucket: 'other' })
    expect(await outcome(unknown)).toBe('404 unknown_bucket')
    app.woken.length = 0
    expect(await outcome(app.ask('POST /upkeep/go-on', admin, { bucket: 'files' }))).toBe('204')
    expect(app.woken).toHaveLength(1)
    expect(await order(app)).toMatchObject({ stopped: null, phase: 'acting' })
    await app.tick(new Date(Date.now() + 700_000))
    await app.tick(new Date(Date.now() + 700_000))
    expect(await recordsIn(app)).toEqual([])
  })

  it('is still possible after a report, which can be repeated', async () => {
    listedBuckets({ one: {} })
    const app = upkeepApp({ keys: KEYS, settings: { mode: 'record', plan: 'paid' } })
    await app.index.put(recordOf(newKey('gone.png')))
    await pass(app)
    const first = await pass(app, { mode: 'report' })
    expect(first).toMatchObject({
      phase: 'idle',
      mode: 'report',
      stopped: { reason: 'empty list' },
    })
    vi.setSystemTime(Date.now() + 1000)
    const second = await pass(app, { mode: 'report' })
    vi.useRealTimers()
    expect(second.startedAt).not.toBe(first.startedAt)
    expect(await outcome(app.ask('POST /upkeep/go-on', admin, { bucket: 'files' }))).toBe('204')
    expect(await app.state()).toMatchObject({ order: { mode: 'record' }, stopped: null })
  })

  it('does nothing for a walk that has not stopped', async () => {
    const app = upkeepApp({ keys: KEYS })
    expect(await outcome(app.ask('POST /upkeep/go-on', admin, {}))).toBe('204')
    expect(await app.state()).toBeUndefined()
    expect(app.woken).toEqual([])
  })
})

describe('the routes of upkeep', () => {
  const key = newKey('plan.png')
  const ROUTES: readonly (readonly [route: string, body?: object])[] = [
    ['GET /upkeep'],
    ['POST /upkeep/walk', {}],
    ['POST /upkeep/go-on', {}],
    ['GET /upkeep/orphans'],
    ['POST /upkeep/orphans/delete', { prefix: 'plan/', olderThanDays: 30 }],
    ['GET /upkeep/kept'],
    ['POST /upkeep/restore', { keys: [key] }],
  ]

  it('are not on the host of links', async () => {
    const app = upkeepApp({ keys: KEYS, more: { linkBase: ORIGIN, linkHostOnly: true } })
    for (const [route, body] of ROUTES)
      expect(await outcome(app.ask(route, admin, body)), route).toBe('404 not_found')
    expect(app.woken).toEqual([])
  })

  it('need Durable Objects, except for the kept records', async () => {
    listedBuckets({ one: {} })
    const app = upkeepApp({ keys: KEYS, context: withoutObjects })
    const outcomes = await Promise.all(
      ROUTES.map(([route, body]) => outcome(app.ask(route, admin, body))),
    )
    const without = '503 misconfigured'
    expect(outcomes).toEqual([...Array.from({ length: 5 }, () => without), '200', '200'])
  })

  it('log no key', async () => {
    listedBuckets({ one: { [key]: {} } })
    const app = upkeepApp({ keys: KEYS })
    for (const [route, body] of ROUTES) await app.ask(route, admin, body)
    await app.ask('POST /upkeep/walk', admin, { import: { prefix: 'plan/' } })
    expect(app.lines).toHaveLength(8)
    expect(JSON.stringify(app.lines)).not.toContain('plan')
  })
})
