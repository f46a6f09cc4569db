import { afterEach, describe, expect, it, vi } from 'vitest'
import type { WalkState } from '../../../src/plugins/upkeep/state.ts'
import { jsonOf, ORIGIN } from '../../support/app.ts'
import { type TestApiKey, testApiKey } from '../../support/credentials.ts'
import { LONG_AGO, listedBuckets } from '../../support/listed-bucket.ts'
import { stateStub } from '../../support/state-stub.ts'
import {
  bucketAt,
  newKey,
  recordOf,
  type UpkeepApp,
  upkeepApp,
  withoutObjects,
} from '../../support/upkeep.ts'
import { walkState } from '../../support/walk-state.ts'

const admin = await testApiKey('admin', ['upkeep:read', 'upkeep:run', 'index:write'])
const inside = await testApiKey('inside', ['upkeep:read', 'upkeep:run', 'index:write'], 'team/')
const reader = await testApiKey('reader', ['upkeep:read', 'tokens:create'])
/** May use only the bucket "b". */
const ofB: TestApiKey = await testApiKey('of-b', ['upkeep:read', 'upkeep:run', 'index:write'])
const KEYS = [admin, inside, reader]
const KEYS_AND_B = [...KEYS, { ...ofB, entry: { ...ofB.entry, buckets: ['b'] } }]

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

interface Step {
  readonly cursor: string
  readonly isDone: boolean
  readonly phase: WalkState['phase']
  readonly counts: WalkState['counts']
  readonly toDrop: readonly { readonly key: string }[]
  readonly suspects: number
  readonly waitUntil?: string
}

const step = async (app: UpkeepApp, body: object = {}, key: TestApiKey = admin) => {
  const response = await app.ask('POST /upkeep/steps', key, body)
  if (response.status !== 200) throw new Error(await response.text())
  return jsonOf<Step>(response)
}

/** Does steps until a pass is done. Returns the last one. */
async function pass(app: UpkeepApp, body: object = {}, from?: string): Promise<Step> {
  let done: Step
  let cursor = from
  do {
    done = await step(app, { ...body, ...(cursor !== undefined && { cursor }) })
    cursor = done.cursor
  } while (!done.isDone)
  return done
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
    const none = { phase: null, startedAt: null, counts: null, stopped: null, last: null }
    expect(await status()).toEqual({
      ...{ mode: 'report', plan: 'free' },
      buckets: [{ bucket: 'files', ...none, suspects: 0, dropped: 0 }],
    })
    await app.run(new Date())
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

describe('POST /upkeep/steps', () => {
  it('walks through a bucket step by step, and changes nothing by default', async () => {
    listedBuckets({ one: { [newKey('a.png')]: {}, [newKey('b.png')]: {}, 'c.png': {} } })
    const app = upkeepApp({ keys: KEYS })
    const first = await step(app, { limit: 2 })
    expect(first).toMatchObject({
      ...{ bucket: 'files', buckets: ['files'], mode: 'report', phase: 'objects', isDone: false },
      ...{ failure: null, stopped: null, last: null, toDrop: [], counts: { objects: 2 } },
    })
    const last = await pass(app, { limit: 2 }, first.cursor)
    expect(last).toMatchObject({ isDone: true, counts: { objects: 3, unrecorded: 2, recorded: 0 } })
    expect(await recordsIn(app)).toEqual([])
  })

  it('records what has no record with mode record', async () => {
    listedBuckets({ one: { [newKey('a.png')]: {} } })
    const app = upkeepApp({ keys: KEYS, settings: { mode: 'record' } })
    expect(await pass(app, { mode: 'report' })).toMatchObject({ counts: { recorded: 0 } })
    expect(await pass(app)).toMatchObject({ counts: { recorded: 1 } })
    expect(await recordsIn(app)).toMatchObject([{ key: newKey('a.png'), name: 'a.png' }])
  })

  // @threat upkeep-exceeds
  it('may not do more than the settings allow', async () => {
    listedBuckets({ one: {}, two: {} })
    const modes = ['report', 'record'] as const
    for (const [i, mode] of modes.entries()) {
      const app = upkeepApp({ keys: KEYS, settings: { mode } })
      const asked = await Promise.all(
        modes.map((wanted) => outcome(app.ask('POST /upkeep/steps', admin, { mode: wanted }))),
      )
      expect(asked).toEqual(modes.map((_, j) => (j <= i ? '200' : '403 forbidden')))
    }
    // A bucket that upkeep leaves alone.
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const app = upkeepApp({ keys: KEYS, buckets, settings: { mode: 'record', buckets: ['a'] } })
    const other = { bucket: 'b', mode: 'record' }
    expect(await outcome(app.ask('POST /upkeep/steps', admin, other))).toBe('403 forbidden')
    expect(await step(app, { bucket: 'b' })).toMatchObject({ mode: 'report', buckets: ['a'] })
    // The default is the first bucket that upkeep doesn't leave alone.
    const second = upkeepApp({ keys: KEYS, buckets, settings: { mode: 'record', buckets: ['b'] } })
    expect(await step(second, {})).toMatchObject({ bucket: 'b', mode: 'record' })
  })

  it('imports what is below a prefix, also if the settings only report', async () => {
    const objects = { 'users/ann/a.png': {}, 'users/bob/b c.png': {}, 'other/c.png': {} }
    listedBuckets({ one: objects })
    const app = upkeepApp({ keys: KEYS })
    const given = { prefix: 'users/', owner: 'users/{owner}/', ownerAs: 'app:{owner}' }
    expect(await pass(app, { import: given, mode: 'report' })).toMatchObject({
      counts: { unrecorded: 2, recorded: 0 },
    })
    expect(await recordsIn(app)).toEqual([])
    expect(await pass(app, { import: given })).toMatchObject({ counts: { recorded: 2 } })
    expect(await recordsIn(app)).toMatchObject([
      { key: 'users/ann/a.png', owner: 'app:ann', status: 'found' },
      { key: 'users/bob/b c.png', owner: 'app:bob', status: 'found' },
    ])
  })

  it.each<readonly [string, object]>([
    ['a mode that is unknown', { mode: 'expire' }],
    ['a prefix that is no start of keys', { import: { prefix: '../a/' } }],
    ['a template without an owner', { import: { prefix: '', owner: 'users/' } }],
    ['an id of nobody', { import: { prefix: '', owner: '{owner}/', ownerAs: 'x' } }],
    ['an id without a template', { import: { prefix: '', ownerAs: 'app:{owner}' } }],
    ['an unknown member', { force: true }],
    ['a page of one object', { limit: 1 }],
    ['a page that is too long', { limit: 1001 }],
    ['another text as its cursor', { cursor: 'x' }],
  ])('refuses %s', async (_, body) => {
    const sent = listedBuckets({ one: {} })
    const app = upkeepApp({ keys: KEYS, settings: { mode: 'record' } })
    const { status } = await app.ask('POST /upkeep/steps', admin, body)
    expect(status).toBe(400)
    expect(sent).toEqual([])
  })

  // @threat upkeep-cursor
  it('refuses the cursor of another bucket, mode, import or presigner, and an old one', async () => {
    listedBuckets({ one: {}, two: {} })
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const make = () => upkeepApp({ keys: KEYS, buckets, settings: { mode: 'record' } })
    const [app, other] = [make(), make()]
    const { cursor } = await step(app, { bucket: 'a' })
    const imported = await step(app, { bucket: 'a', import: { prefix: 'x/' } })
    const ask = (body: object, by = app) =>
      outcome(by.ask('POST /upkeep/steps', admin, { bucket: 'a', cursor, ...body }))
    expect(await ask({})).toBe('200')
    expect(await ask({ mode: 'record' })).toBe('200')
    const wrong = await Promise.all([
      ask({ bucket: 'b' }),
      ask({ mode: 'report' }),
      ask({ import: { prefix: 'x/' } }),
      ask({ cursor: imported.cursor }),
      ask({ cursor: imported.cursor, import: { prefix: 'y/' } }),
      ask({ cursor: `${cursor.slice(0, -2)}AA` }),
      ask({}, other),
    ])
    expect(new Set(wrong)).toEqual(new Set(['400 invalid_cursor']))
    vi.useFakeTimers({ now: Date.now() + 91 * 86_400_000, toFake: ['Date'] })
    expect(await ask({})).toBe('400 invalid_cursor')
  })

  it('takes a cursor of 256 KiB in JSON, and no body of 400 KiB', async () => {
    listedBuckets({ one: {} })
    const app = upkeepApp({ keys: KEYS })
    const cursor = 'x'.repeat(Math.ceil((256 * 1024 * 4) / 3))
    expect(await outcome(app.ask('POST /upkeep/steps', admin, { cursor }))).toBe(
      '400 invalid_cursor',
    )
    const larger = { cursor: 'x'.repeat(400 * 1024) }
    expect(await outcome(app.ask('POST /upkeep/steps', admin, larger))).toBe('413 body_too_large')
  })

  // @threat upkeep-exceeds
  it('is only for keys without a prefix, and for their own buckets', async () => {
    listedBuckets({ one: {}, two: {} })
    const buckets = { a: bucketAt('one'), b: bucketAt('two') }
    const app = upkeepApp({ keys: KEYS_AND_B, buckets })
    const ask = (key: TestApiKey, body = {}) => outcome(app.ask('POST /upkeep/steps', key, body))
    expect(await ask(inside)).toBe('403 forbidden')
    expect(await ask(reader)).toBe('403 forbidden')
    expect(await ask(ofB, { bucket: 'a' })).toBe('403 forbidden')
    expect(await step(app, {}, ofB)).toMatchObject({ bucket: 'b', buckets: ['b'] })
  })

  it('answers what the bucket refuses, with a cursor to try again', async () => {
    listedBuckets({})
    const app = upkeepApp({ keys: KEYS })
    const first = await step(app)
    expect(first).toMatchObject({ failure: { code: 'storage_error' }, isDone: false })
    listedBuckets({ one: { [newKey('a.png')]: {} } })
    expect(await step(app, { cursor: first.cursor })).toMatchObject({
      ...{ failure: null, counts: { objects: 1 } },
    })
  })

  it('keeps dropped records in the object, or else answers them before it drops them', async () => {
    const gone = recordOf(newKey('gone.png'))
    for (const context of [undefined, withoutObjects]) {
      listedBuckets({ one: { [newKey('a.png')]: {} } })
      const name = `drop-${context === undefined}`
      const app = upkeepApp({
        ...{ keys: KEYS, name, settings: { mode: 'record' }, ...(context && { context }) },
      })
      await app.index.put(gone)
      vi.useFakeTimers({ now: Date.now(), toFake: ['Date'] })
      const first = await pass(app)
      expect(first).toMatchObject({ suspects: 1, waitUntil: expect.stringMatching(/Z$/) })
      vi.setSystemTime(Date.parse(first.waitUntil ?? '') + 1000)
      const answered: string[] = []
      let { cursor } = first
      for (let isDone = false; !isDone; ) {
        const next: Step = await step(app, { cursor })
        answered.push(...next.toDrop.map(({ key }) => key))
        if (next.toDrop.length > 0) expect(await recordsIn(app)).toContainEqual(gone)
        ;({ cursor, isDone } = next)
      }
      expect(answered).toEqual(context === undefined ? [] : [gone.key])
      expect((await recordsIn(app)).map(({ key }) => key)).not.toContain(gone.key)
      const kept = await stateStub('Upkeep', `${name}/walk files`).droppedOf([gone.key])
      expect(kept).toHaveLength(context === undefined ? 1 : 0)
      vi.useRealTimers()
    }
  })

  it('goes on with goOn after the brake has stopped it', async () => {
    listedBuckets({ one: { [newKey('a.png')]: {}, [newKey('b.png')]: {} } })
    const app = upkeepApp({ keys: KEYS, settings: { mode: 'record' } })
    const { cursor } = await pass(app)
    listedBuckets({ one: {} })
    const stopped = await step(app, { cursor })
    expect(stopped).toMatchObject({ stopped: { reason: expect.any(String) } })
    const again = await step(app, { cursor: stopped.cursor })
    expect(again).toMatchObject({ stopped: { reason: expect.any(String) } })
    expect(await step(app, { cursor: again.cursor, goOn: true })).toMatchObject({ stopped: null })
  })
})

describe('POST /upkeep/go-on', () => {
  it('lets the walk of the Cron Trigger go on', async () => {
    const app = upkeepApp({ keys: KEYS, name: 'go-on' })
    const walk = stateStub('Upkeep', 'go-on/walk files')
    const { token } = (await walk.begin(0)) ?? { token: '' }
    const stopped = { reason: 'another bucket', at: LONG_AGO } as const
    await walk.save(walkState({ stopped }), token, 0, false)
    for (const key of [inside, reader])
      expect(await outcome(app.ask('POST /upkeep/go-on', key, {}))).toBe('403 forbidden')
    expect(await walk.state()).toMatchObject({ stopped })
    const unknown = app.ask('POST /upkeep/go-on', admin, { bucket: 'other' })
    expect(await outcome(unknown)).toBe('404 unknown_bucket')
    expect(await outcome(app.ask('POST /upkeep/go-on', admin, { bucket: 'files' }))).toBe('204')
    expect(await walk.state()).toMatchObject({ stopped: null })
  })
})

describe('records that upkeep has dropped', () => {
  const [mine, theirs] = ['team/a.png', 'other/b.png']

  const appWith = async (name: string, objects: Parameters<typeof listedBuckets>[0]) => {
    listedBuckets(objects)
    const app = upkeepApp({ keys: KEYS, name })
    await stateStub('Upkeep', `${name}/walk files`).keep(
      [recordOf(mine), recordOf(theirs, { status: 'found' })],
      Date.parse(LONG_AGO) + 1000,
    )
    return app
  }

  it('are listed below the prefix of the caller, page by page', async () => {
    const app = await appWith('lists', {})
    const list = async (query: string, key = admin) =>
      jsonOf<{ records: { key: string }[]; cursor?: string }>(
        await app.ask(`GET /upkeep/dropped${query}`, key),
      )
    const first = await list('?limit=1')
    expect(first.records).toEqual([
      { ...recordOf(theirs, { status: 'found' }), droppedAt: '2026-01-01T00:00:01.000Z' },
    ])
    const next = await list(`?limit=1&cursor=${first.cursor}`)
    expect(next).toEqual({ records: [expect.objectContaining({ key: mine })] })
    expect((await list('', inside)).records.map(({ key }) => key)).toEqual([mine])
    // The cursor is that of another list.
    const foreign = app.ask(`GET /upkeep/dropped?cursor=${first.cursor}`, inside)
    expect(await outcome(foreign)).toBe('400 invalid_cursor')
    expect(await outcome(app.ask('GET /upkeep/dropped', reader))).toBe('403 forbidden')
  })

  it('are restored with their names and owners, and the date of the object', async () => {
    const date = '2026-11-20T00:00:00.000Z'
    const app = await appWith('restores', {
      one: { [mine]: { lastModified: date }, [theirs]: { lastModified: date } },
    })
    const asked = await app.ask('POST /upkeep/restore', admin, { keys: [mine, theirs] })
    expect(await jsonOf(asked)).toEqual({
      records: [mine, theirs].map((key) => ({ key, outcome: 'restored' })),
    })
    expect(await recordsIn(app)).toEqual([
      // What nobody has confirmed must not expire.
      recordOf(theirs, { createdAt: date, status: 'found' }),
      recordOf(mine, { createdAt: date }),
    ])
    const again = await app.ask('POST /upkeep/restore', admin, { keys: [mine] })
    expect(await jsonOf(again)).toEqual({ records: [{ key: mine, outcome: 'unknown' }] })
  })

  it('stay dropped without their objects, and next to the record of another upload', async () => {
    const app = await appWith('stays', { one: { [mine]: { etag: '"other"' } } })
    const keys = [mine, theirs, 'nobody.png']
    const asked = await app.ask('POST /upkeep/restore', admin, { keys })
    expect(await jsonOf(asked)).toEqual({
      records: [
        { key: mine, outcome: 'different' },
        { key: theirs, outcome: 'gone' },
        { key: 'nobody.png', outcome: 'unknown' },
      ],
    })
    expect(await recordsIn(app)).toEqual([])
    expect(await stateStub('Upkeep', 'stays/walk files').status()).toMatchObject({ dropped: 2 })
  })

  it('replace only a record that nobody has confirmed', async () => {
    const app = await appWith('keeps', { one: { [mine]: {}, [theirs]: {} } })
    const confirmed = recordOf(mine, { owner: 'app:bob', name: 'Mine.png' })
    await app.index.put(confirmed)
    await app.index.put(recordOf(theirs, { owner: null, name: 'b.png', status: 'found' }))
    const asked = await app.ask('POST /upkeep/restore', admin, { keys: [mine, theirs] })
    expect(await jsonOf(asked)).toEqual({
      records: [
        { key: mine, outcome: 'kept' },
        { key: theirs, outcome: 'restored' },
      ],
    })
    expect(await recordsIn(app)).toEqual([recordOf(theirs, { status: 'found' }), confirmed])
  })

  // @threat dropped-foreign
  it('are restored only below the prefix of the caller, and with keys that name an object', async () => {
    const app = await appWith('limits', { one: { [mine]: {}, [theirs]: {} } })
    const keys = [theirs, mine, 'team/../other/b.png', 'team/\u0000', '', mine]
    const asked = await app.ask('POST /upkeep/restore', inside, { keys })
    expect(await jsonOf(asked)).toMatchObject({
      records: [
        { key: mine, outcome: 'restored' },
        { key: theirs, error: { code: 'forbidden' } },
        { key: 'team/../other/b.png', error: { code: 'invalid_key' } },
        { key: 'team/\u0000', error: { code: 'invalid_key' } },
        { key: '', error: { code: 'invalid_key' } },
      ],
    })
    expect((await recordsIn(app)).map(({ key }) => key)).toEqual([mine])
    const many = { keys: Array.from({ length: 21 }, (_, i) => `k${i}`) }
    expect(await outcome(app.ask('POST /upkeep/restore', admin, many))).toBe('400 invalid_request')
  })
})

describe('the routes of upkeep', () => {
  const ROUTES: readonly (readonly [string, object?])[] = [
    ['GET /upkeep'],
    ['POST /upkeep/steps', {}],
    ['POST /upkeep/go-on', {}],
    ['GET /upkeep/dropped'],
    ['POST /upkeep/restore', { keys: [newKey('a.png')] }],
  ]

  it('are not on the host of links', async () => {
    const sent = listedBuckets({ one: {} })
    const app = upkeepApp({ keys: KEYS, more: { linkBase: ORIGIN, linkHostOnly: true } })
    for (const [route, body] of ROUTES)
      expect(await outcome(app.ask(route, admin, body)), route).toBe('404 not_found')
    expect(sent).toEqual([])
  })

  it('need Durable Objects, except for the steps', async () => {
    listedBuckets({ one: {} })
    const app = upkeepApp({ keys: KEYS, context: withoutObjects })
    const outcomes = await Promise.all(
      ROUTES.map(([route, body]) => outcome(app.ask(route, admin, body))),
    )
    const without = '503 misconfigured'
    expect(outcomes).toEqual([without, '200', without, without, without])
  })

  it('log no key', async () => {
    listedBuckets({ one: { [newKey('plan.png')]: {} } })
    const app = upkeepApp({ keys: KEYS })
    for (const [route, body] of ROUTES) await app.ask(route, admin, body)
    await app.ask('POST /upkeep/restore', admin, { keys: [newKey('plan.png')] })
    await app.ask('POST /upkeep/steps', admin, { import: { prefix: 'plan/' } })
    expect(app.lines).toHaveLength(7)
    expect(JSON.stringify(app.lines)).not.toContain('plan')
  })
})
