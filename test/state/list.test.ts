import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Listed } from '../../src/state/cloudflare.ts'
import { listName, readItems } from '../../src/state/item-routes.ts'
import { unavailable } from '../support/errors.ts'
import { stateStub } from '../support/state-stub.ts'

afterEach(() => {
  vi.useRealTimers()
})

const DAY = 86_400_000
let count = 0

/** Returns a list of nobody else. */
const newList = () => stateStub('Grants', listName(`test:list-${count++}`))

describe('the list of a minter', () => {
  it('has the newest first, in pages without gaps or repeats, also at one time', async () => {
    const list = newList()
    const now = Date.now()
    const items = Array.from({ length: 25 }, (_, i) => ({ id: `id-${i}`, at: now + (i >> 2) }))
    for (const item of items) await list.list(item, now + DAY)
    const seen: string[] = []
    let next: Listed | null = null
    do {
      const page: { items: readonly Listed[]; next: Listed | null } = await list.listed(4, next)
      expect(page.items.length).toBeLessThanOrEqual(4)
      seen.push(...page.items.map(({ id }) => id))
      next = page.next
    } while (next !== null)
    const expected = items.toSorted((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1))
    expect(seen).toEqual(expected.map(({ id }) => id))
  })

  it('goes on behind an item that was removed', async () => {
    const list = newList()
    const now = Date.now()
    for (const id of ['a', 'b', 'c']) await list.list({ id, at: now }, now + DAY)
    const { next } = await list.listed(1, null)
    expect(next?.id).toBe('b')
    await list.unlist(['b'])
    expect((await list.listed(1, next)).items.map(({ id }) => id)).toEqual(['a'])
  })

  it('writes nothing when an unknown one is read', async () => {
    const list = newList()
    expect(await list.listed(10, null)).toEqual({ items: [], next: null })
    await list.unlist(['a'])
    const tables = await runInDurableObject(list, (_, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'listed'").toArray(),
    )
    expect(tables).toEqual([])
  })

  it('keeps an item to its latest end, in whatever order changes arrive', async () => {
    const list = newList()
    const now = Date.now()
    await list.list({ id: 'a', at: now }, now + 2 * DAY)
    await list.list({ id: 'a', at: now }, now + DAY)
    expect(await runInDurableObject(list, (_, { storage }) => storage.getAlarm())).toBe(
      now + 2 * DAY,
    )
  })

  it('reads only the rows of a page', async () => {
    const list = newList()
    const now = Date.now()
    await list.list({ id: 'a', at: now }, now + DAY)
    const plans = await runInDurableObject(list, async (grants, { storage }) => {
      const queries: [string, unknown[]][] = []
      const real = storage.sql.exec.bind(storage.sql)
      const exec = vi.spyOn(storage.sql, 'exec').mockImplementation((query, ...given) => {
        queries.push([query, given])
        return real(query, ...given)
      })
      await grants.listed(10, { id: 'a', at: now })
      exec.mockRestore()
      return queries
        .filter(([query]) => query.includes('ORDER BY'))
        .map(([query, given]) => real(`EXPLAIN QUERY PLAN ${query}`, ...given).toArray())
    })
    expect(plans).toEqual([
      [expect.objectContaining({ detail: expect.stringMatching(/^SEARCH .* listed_at/) })],
    ])
  })

  it('forgets what has ended, and in the end itself', async () => {
    const list = newList()
    const now = Date.now()
    await list.list({ id: 'old', at: 1 }, now - 1)
    await list.list({ id: 'new', at: 2 }, now + DAY)
    expect(await runDurableObjectAlarm(list)).toBe(true)
    expect((await list.listed(10, null)).items.map(({ id }) => id)).toEqual(['new'])
    vi.useFakeTimers({ toFake: ['Date'], now: now + DAY })
    expect(await runDurableObjectAlarm(list)).toBe(true)
    expect(await list.listed(10, null)).toEqual({ items: [], next: null })
    expect(await runInDurableObject(list, (_, { storage }) => storage.getAlarm())).toBeNull()
  })
})

describe('the items of a page', () => {
  const listed = ['a', 'b', 'c'].map((id) => ({ id, at: 0 }))
  const failing = (reason: 'state' | 'storage', ...ids: string[]) =>
    readItems(listed, async (id) => {
      if (ids.includes(id)) throw unavailable(reason, 'It failed.')
      return [id.toUpperCase()]
    })

  it('are those that can be read, with the ids of the others', async () => {
    expect(await failing('state')).toEqual({ items: ['A', 'B', 'C'], unavailable: [] })
    expect(await failing('state', 'b')).toEqual({ items: ['A', 'C'], unavailable: ['b'] })
    expect(await readItems([], async () => [])).toEqual({ items: [], unavailable: [] })
  })

  it('are an error if the request must end', async () => {
    await expect(failing('storage', 'b')).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'storage',
    })
  })
})
