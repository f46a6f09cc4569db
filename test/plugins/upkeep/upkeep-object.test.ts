import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { stateStub } from '../../support/state-stub.ts'
import { recordOf } from '../../support/upkeep.ts'
import { walkState } from '../../support/walk-state.ts'

const NOW = Date.parse('2026-11-28T12:00:00Z')
const MINUTE = 60_000
const DAY = 86_400_000

const object = (name: string) => stateStub('Upkeep', `walk ${name}`)

const record = (key: string, etag = '"e1"') => recordOf(key, { etag })

describe('the lease of a walk', () => {
  it('keeps a second run away, until the first one ends', async () => {
    const walk = object('lease')
    const first = await walk.begin(NOW)
    expect(first).toMatchObject({ state: null })
    expect(await walk.begin(NOW + MINUTE)).toBeNull()
    await walk.end('another token')
    expect(await walk.begin(NOW + MINUTE)).toBeNull()
    await walk.end(first?.token ?? '')
    expect(await walk.begin(NOW + MINUTE)).not.toBeNull()
  })

  it('ends by itself two minutes after the last step', async () => {
    const walk = object('expiry')
    const { token } = (await walk.begin(NOW)) ?? { token: '' }
    expect(await walk.save(walkState(), token, NOW + MINUTE, false)).toBe(true)
    expect(await walk.begin(NOW + 3 * MINUTE - 1)).toBeNull()
    expect(await walk.begin(NOW + 3 * MINUTE)).not.toBeNull()
  })

  // @threat upkeep-runs-twice
  it('ignores the step of a run that has lost it', async () => {
    const walk = object('lost')
    const late = (await walk.begin(NOW)) ?? { token: '' }
    const next = (await walk.begin(NOW + 2 * MINUTE)) ?? { token: '' }
    expect(await walk.save(walkState({ after: 'b' }), next.token, NOW, false)).toBe(true)
    expect(await walk.save(walkState({ after: 'a' }), late.token, NOW, true)).toBe(false)
    expect(await walk.state()).toMatchObject({ after: 'b' })
    expect(await walk.status()).toMatchObject({ doneAt: 0 })
  })
})

describe('the state of a walk', () => {
  it('is what the last step has left, with the times of its runs and passes', async () => {
    const walk = object('state')
    expect(await walk.status()).toEqual({ walk: null, dropped: 0, ranAt: 0, doneAt: 0 })
    const { token } = (await walk.begin(NOW)) ?? { token: '' }
    await walk.save(walkState({ after: 'a/b.png' }), token, NOW + 1, true)
    await walk.save(walkState({ after: 'a/c.png', phase: 'uploads' }), token, NOW + 2, false)
    expect(await walk.status()).toMatchObject({
      walk: { phase: 'uploads', suspects: 0, stopped: null },
      ranAt: NOW,
      doneAt: NOW + 1,
    })
    expect(await walk.begin(NOW + DAY)).toMatchObject({ state: { after: 'a/c.png' } })
  })

  it('holds 256 KiB', async () => {
    const walk = object('large')
    const { token } = (await walk.begin(NOW)) ?? { token: '' }
    await walk.save(walkState({ announced: ['k'.repeat(256 * 1024)] }), token, NOW, false)
    expect((await walk.state())?.announced[0]).toHaveLength(256 * 1024)
  })

  it('of a later version stops this Worker', async () => {
    const walk = object('version')
    await runInDurableObject(walk, (_, { storage }) => {
      storage.kv.put('walk', { ...walkState(), version: 2 })
    })
    // A rejected call of a stub is also reported as unhandled.
    await runInDurableObject(walk, async (upkeep) => {
      await expect(upkeep.begin(NOW)).rejects.toThrow('version 2')
    })
  })

  it('goes on after the brake has stopped it', async () => {
    const walk = object('brake')
    const { token } = (await walk.begin(NOW)) ?? { token: '' }
    const stopped = { reason: 'empty list', at: '2026-11-28T11:00:00.000Z' } as const
    await walk.save(walkState({ stopped }), token, NOW, false)
    expect(await walk.status()).toMatchObject({ walk: { stopped } })
    await walk.goOn()
    expect(await walk.status()).toMatchObject({ walk: { stopped: null } })
  })
})

describe('records that were dropped', () => {
  it('are listed in the order of their keys, below a prefix, page by page', async () => {
    const walk = object('list')
    const keys = ['ä/1', 'a/2', 'a/1', 'ab/1', 'A/1', 'a%/1']
    await walk.keep([...keys.map((key) => record(key)), record('a/1', '"e2"')], NOW)
    const namesOf = (page: { items: readonly { record: FileRecord }[] }) =>
      page.items.map((item) => `${item.record.key} ${item.record.etag}`)
    const first = await walk.dropped('a/', 2, null)
    expect(namesOf(first)).toEqual(['a/1 "e1"', 'a/1 "e2"'])
    expect(first.items[0]).toEqual({ record: record('a/1'), at: NOW })
    expect(namesOf(await walk.dropped('a/', 2, first.next))).toEqual(['a/2 "e1"'])
    expect(await walk.dropped('a/', 3, null)).toMatchObject({ next: null })
    expect(namesOf(await walk.dropped('ä/', 2, null))).toEqual(['ä/1 "e1"'])
    expect((await walk.dropped('', 100, null)).items).toHaveLength(7)
    expect(await walk.status()).toMatchObject({ dropped: 7 })
  })

  it('are found by their keys, and forgotten one by one', async () => {
    const walk = object('find')
    await walk.keep([record('a', '"1"'), record('a', '"2"'), record('b')], NOW)
    expect(await walk.droppedOf(['a', "b' OR 1=1 --"])).toHaveLength(2)
    await walk.forget([{ key: 'a', etag: '"1"' }])
    expect(await walk.droppedOf(['a', 'b'])).toMatchObject([
      { record: { key: 'a', etag: '"2"' } },
      { record: { key: 'b' } },
    ])
  })

  it('of the same object are kept once, for 30 days from the last time', async () => {
    const walk = object('age')
    const now = Date.now()
    await walk.keep([record('old'), record('again')], now - 30 * DAY)
    await walk.keep([record('again'), record('young')], now - 29 * DAY)
    const alarm = () => runInDurableObject(walk, (_, { storage }) => storage.getAlarm())
    await runDurableObjectAlarm(walk)
    const { items } = await walk.dropped('', 10, null)
    expect(items.map((item) => item.record.key)).toEqual(['again', 'young'])
    expect(await alarm()).toBe(now + DAY)
  })

  it('leave the walk alone when they end', async () => {
    const walk = object('alone')
    const { token } = (await walk.begin(NOW)) ?? { token: '' }
    await walk.save(walkState({ after: 'a' }), token, NOW, false)
    await walk.keep([record('old')], Date.now() - 31 * DAY)
    await runDurableObjectAlarm(walk)
    expect(await walk.status()).toMatchObject({ dropped: 0 })
    expect(await walk.state()).toMatchObject({ after: 'a' })
    expect(await runInDurableObject(walk, (_, { storage }) => storage.getAlarm())).toBeNull()
  })
})
