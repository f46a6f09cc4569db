import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { presigner } from '../../../examples/everything/src/presigner.ts'
import { bucketUrl } from '../../../src/bucket/bucket-url.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import { objectName } from '../../../src/plugins/upkeep/driver.ts'
import { startPass, type WalkState } from '../../../src/plugins/upkeep/state.ts'
import { LEASE_SECONDS, WalkStore } from '../../../src/plugins/upkeep/store.ts'
import { requireSettings } from '../../../src/settings/define.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { stateStub } from '../../support/state-stub.ts'
import { baseVariables } from '../../support/worker.ts'

/*
 * The Worker's own class, woken by its own alarm. Its presigner has the settings of this environment.
 */

afterEach(() => void vi.restoreAllMocks())

const ORDER = { mode: 'report', import: null, isWaited: true } as const
const SUBJECT = { identity: '', instance: '' }

let identity: string
beforeAll(() => {
  const settings = requireSettings(presigner.instance(baseVariables() as never).settings)
  const [bucket] = settings.buckets
  if (bucket === undefined) throw new Error('There is no bucket.')
  identity = bucketUrl(bucket)
})

const object = (name: string) => stateStub('Upkeep', objectName(name))
const storeIn = (name: string) => new WalkStore(async (sql) => object(name).run(sql))
const alarmOf = (name: string) =>
  runInDurableObject(object(name), (_, { storage }) => storage.getAlarm())
const stateIn = async (name: string): Promise<WalkState | undefined> =>
  (await storeIn(name).states(['files'])).get('files')

it('does nothing unless it was woken', async () => {
  expect(await runDurableObjectAlarm(object('asleep'))).toBe(false)
  expect(await alarmOf('asleep')).toBe(null)
})

it('sets its alarm for the step that is due, and only if one is', async () => {
  await object('wakes').wake(SUBJECT)
  expect(await alarmOf('wakes')).toBe(null)
  const at = new Date(Date.now() + 3_600_000)
  await storeIn('wakes').begin('files', startPass(ORDER, '', at), false)
  await object('wakes').wake(SUBJECT)
  expect(await alarmOf('wakes')).toBe(at.getTime())
})

it('sets its alarm for the end of a lease while a step is at work', async () => {
  const store = storeIn('leased')
  await store.begin('files', startPass(ORDER, '', new Date(0)), false)
  const now = Date.now()
  await store.claim(['files'], now)
  await object('leased').wake(SUBJECT)
  expect(await alarmOf('leased')).toBe(now + 1000 * LEASE_SECONDS)
})

it('does a step of its bucket at each alarm, until the pass has ended', async () => {
  await bucketFetch('uploads/object-test.txt', { method: 'PUT', body: 'x' })
  await runInDurableObject(object(identity), (instance) =>
    Reflect.set(instance, 'env', baseVariables()),
  )
  await storeIn(identity).begin('files', startPass(ORDER, identity, new Date()), false)
  await object(identity).wake({ identity, instance: '' })
  await vi.waitFor(
    async () => expect(await stateIn(identity)).toMatchObject({ phase: 'idle' }),
    20_000,
  )
  const { last, failure } = (await stateIn(identity)) ?? {}
  expect(failure).toBe(null)
  expect(last?.counts.objects).toBeGreaterThan(0)
  await vi.waitFor(async () => expect(await alarmOf(identity)).toBe(null), 20_000)
})

// @threat upkeep-asleep
it('sets the next alarm before a step, so that it goes on if it is killed', async () => {
  const name = 'killed'
  await runInDurableObject(object(name), async (instance, { storage }) => {
    const before = Date.now()
    // What a step needs is missing from here on.
    Reflect.set(
      instance,
      'env',
      new Proxy(
        {},
        {
          get() {
            throw new Error('killed')
          },
        },
      ),
    )
    const setAlarm = vi.spyOn(storage, 'setAlarm')
    await storage.kv.put('subject', SUBJECT)
    vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    await instance.alarm?.()
    const waits = setAlarm.mock.calls.map(([at]) => (Number(at) - before) / 1000)
    expect(waits.map((wait) => Math.floor(wait / 60))).toEqual([2, 10])
    expect(waits[0]).toBeGreaterThanOrEqual(150)
    expect(await storage.getAlarm()).toBeGreaterThanOrEqual(before + 600_000)
  })
})

// @threat upkeep-asleep
describe('an alarm never throws', () => {
  it.each([
    ['without a presigner of its name', { identity: '', instance: 'other' }],
    ['without a subject', undefined],
  ])('%s, and comes again later', async (name, subject) => {
    const log = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    await runInDurableObject(object(name), async (instance, { storage }) => {
      if (subject) storage.kv.put('subject', subject)
      await instance.alarm?.()
      expect(await storage.getAlarm()).toBeGreaterThan(Date.now() + 500_000)
    })
    expect(JSON.parse(log.mock.calls[0]?.[0])).toMatchObject({ warning: 'upkeep failed' })
  })

  it('even if its storage does, which is logged', async () => {
    const log = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    await runInDurableObject(object('broken'), async (instance, { storage }) => {
      vi.spyOn(storage, 'setAlarm').mockRejectedValue(new Error('full'))
      await expect(instance.alarm?.()).resolves.toBeUndefined()
      await vi.waitFor(() => expect(log).toHaveBeenCalledTimes(2))
    })
  })
})

it('runs statements in one transaction', async () => {
  const store = storeIn('transaction')
  await store.begin('files', startPass(ORDER, '', new Date(0)), false)
  const claim = await store.claim(['files'], 0)
  if (claim === null) throw new Error('No step is due.')
  const wrong = { text: 'INSERT INTO missing VALUES (1)', values: [] }
  const change = { text: "DELETE FROM presigner_walks WHERE walk = 'files'", values: [] }
  await runInDurableObject(object('transaction'), (instance) =>
    expect(() => instance.run([change, wrong])).toThrow('missing'),
  )
  expect(await stateIn('transaction')).toEqual(claim.state)
})

it('has records of an index that may be late', () => {
  expect(kvFileIndex(env.FILE_INDEX).lagSeconds).toBeGreaterThan(0)
})
