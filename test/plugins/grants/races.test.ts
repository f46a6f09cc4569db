import { runInDurableObject } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { newSecretId } from '../../../src/state/item.ts'
import { jsonOf } from '../../support/app.ts'
import { captureLog } from '../../support/capture-log.ts'
import {
  currently,
  type Grant,
  grantFor,
  inFuture,
  outcome,
  putReport,
  submit,
  visit,
  workerWith,
} from '../../support/grants.ts'
import { stateStub } from '../../support/state-stub.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** Returns how often each outcome occurred. */
async function tally(answers: readonly Promise<Response>[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const one of await Promise.all(answers.map(outcome))) counts[one] = (counts[one] ?? 0) + 1
  return counts
}

const times = <T>(count: number, act: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => act(i))

const patch = (grant: Grant, body: object) =>
  worker.fetch(`/grants/${grant.id}`, {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })

describe('many visitors at once', () => {
  // @threat grant-used-twice
  it('get exactly one link of a grant with one use', async () => {
    const grant = await grantFor({ uses: 1 })
    expect(await tally(times(200, () => submit(grant.url)))).toEqual({
      '303': 1,
      '410 grant_ended': 199,
    })
    expect((await currently(grant)).usesLeft).toBe(0)
  })

  // @threat grant-used-twice
  it('get exactly as many links as a direct grant has uses', async () => {
    const grant = await grantFor({ uses: 50, direct: true })
    expect(await tally(times(80, () => visit(grant.url)))).toEqual({
      '302': 50,
      '410 grant_ended': 30,
    })
  })

  // @threat grant-used-twice
  it('get no more links than a change allows at any time', async () => {
    const grant = await grantFor({ uses: 10 })
    const answers = times(60, (i) =>
      i % 3 === 0 ? patch(grant, { uses: i < 30 ? 5 : 20, label: `${i}` }) : submit(grant.url),
    )
    const counts = await tally(answers)
    expect(counts['200']).toBe(20)
    const { uses, usesLeft } = await currently(grant)
    expect(counts['303']).toBeLessThanOrEqual(20)
    // No change forgot a use.
    expect(usesLeft).toBe(Math.max(0, (uses ?? 0) - (counts['303'] ?? 0)))
    await patch(grant, { uses: 25 })
    await tally(times(40, () => submit(grant.url)))
    expect((await currently(grant)).usesLeft).toBe(0)
    const used = await runInDurableObject(
      stateStub('Grants', grant.id),
      (_, { storage }) => storage.kv.get<{ used: number }>('item')?.used,
    )
    expect(used).toBe(25)
  })

  it('get nothing of a grant that is withdrawn meanwhile', async () => {
    const grant = await grantFor({ uses: 100 })
    const withdrawing = worker.fetch(`/grants/${grant.id}`, { method: 'DELETE' })
    await withdrawing
    expect(await tally(times(20, () => submit(grant.url)))).toEqual({ '410 grant_ended': 20 })
  })
})

describe('between the look and the use', () => {
  const changedBefore = (change: (grant: Grant) => Promise<unknown>) => (grant: Grant) =>
    workerWith(async ({ method, call }) => {
      if (method === 'take') await change(grant)
      return call()
    })

  // @threat grant-withdrawn
  it.each([
    ['withdrawn', changedBefore(({ id }) => worker.fetch(`/grants/${id}`, { method: 'DELETE' }))],
    ['used by another visitor', changedBefore(({ url }) => submit(url))],
    [
      'changed to fewer uses',
      changedBefore(async (grant) => {
        await submit(grant.url)
        await patch(grant, { uses: 1 })
      }),
    ],
  ])('a grant that is %s dispenses nothing', async (name, racing) => {
    const grant = await grantFor({ uses: name.startsWith('changed') ? 2 : 1 })
    expect(await outcome(submit(grant.url, {}, racing(grant)))).toBe('410 grant_ended')
  })

  it('a repeat at the deadline gets no link', async () => {
    const grant = await grantFor({ uses: 2 })
    const page = newSecretId()
    expect(await outcome(submit(grant.url, { page }))).toBe('303')
    const end = Date.parse(grant.deadline)
    const isRepeated = await runInDurableObject(stateStub('Grants', grant.id), async (object) => [
      (await object.take(end - 1, page))?.isRepeat,
      (await object.take(end, page))?.isRepeat,
    ])
    expect(isRepeated).toEqual([true, undefined])
  })

  it('a change by PATCH of a withdrawn grant brings nothing back', async () => {
    const grant = await grantFor()
    const racing = workerWith(async ({ method, call }) => {
      if (method === 'change') await worker.fetch(`/grants/${grant.id}`, { method: 'DELETE' })
      return call()
    })
    const init = {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ deadline: inFuture(7_200_000) }),
    }
    expect(await outcome(racing.fetch(`/grants/${grant.id}`, init))).toBe('404 not_found')
    expect(await outcome(submit(grant.url))).toBe('410 grant_ended')
  })

  it('a look at an object writes nothing', async () => {
    const object = stateStub('Grants', 'f'.repeat(32))
    await worker.fetch(`/grants/${'f'.repeat(32)}`)
    await worker.fetch(`/grants/${'f'.repeat(32)}`, { method: 'DELETE' })
    const tables = await runInDurableObject(object, async (grants, { storage }) => {
      await grants.read()
      await grants.guess(['network'], 'hash', Date.now())
      await grants.take(Date.now(), null)
      await grants.change({ label: 'x' })
      return storage.sql.exec('SELECT name FROM sqlite_master').toArray()
    })
    expect(tables).toEqual([])
  })
})

describe('guesses of a password', () => {
  // @threat grant-password-guessed
  it('at once from one network are limited as if they came one after another', async () => {
    const grant = await grantFor({ password: 'open door' })
    // The wait for the next guess must not pass on a slow machine.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
    const from = (ip: string) => times(30, (i) => submit(grant.url, { password: `${i}`, ip }))
    expect(await tally(from('192.0.2.1'))).toEqual({
      '403 password_wrong': 4,
      '429 rate_limited': 26,
    })
  })

  // @threat grant-password-guessed
  it('at once from many networks are limited for each, and lock out nobody else', async () => {
    const grant = await grantFor({ password: 'open door' })
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
    const answers = times(50, (network) =>
      times(10, (i) =>
        submit(grant.url, { password: `${network} ${i}`, ip: `2001:db8:${network}:1::${i + 1}` }),
      ),
    ).flat()
    expect(await tally(answers)).toEqual({
      '403 password_wrong': 50 * 4,
      '429 rate_limited': 50 * 6,
    })
    const recipient = { password: 'open door', ip: '198.51.100.7' }
    expect(await outcome(submit(grant.url, recipient))).toBe('303')
  })

  // @threat grant-password-guessed
  it('are not checked while a network has to wait, also the right one', async () => {
    const grant = await grantFor({ password: 'open door', uses: 1, deadline: inFuture(86_400_000) })
    const ip = '192.0.2.1'
    for (let i = 0; i < 4; i++) await submit(grant.url, { password: 'xxxxxxxx', ip })
    const late = await submit(grant.url, { password: 'open door', ip })
    expect([late.status, late.headers.get('Retry-After')]).toEqual([429, '1'])
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 1000 })
    expect(await outcome(submit(grant.url, { password: 'xxxxxxxx', ip }))).toBe(
      '403 password_wrong',
    )
    const later = await submit(grant.url, { password: 'open door', ip })
    expect([later.status, later.headers.get('Retry-After')]).toEqual([429, '2'])
    vi.setSystemTime(Date.now() + 2000)
    expect(await outcome(submit(grant.url, { password: 'open door', ip }))).toBe('303')
  })

  it('keep no address', async () => {
    const grant = await grantFor({ password: 'open door' })
    await submit(grant.url, { password: 'xxxxxxxx', ip: '192.0.2.1' })
    const kept = await runInDurableObject(stateStub('Grants', grant.id), (_, { storage }) => [
      ...storage.kv.list<object>(),
      ...storage.sql.exec('SELECT * FROM guesses').toArray(),
    ])
    const text = JSON.stringify(kept)
    expect(text.match(/\{"network":"[\w-]{16}"/g)).toHaveLength(3)
    expect(text).not.toMatch(/192\.0\.2|open door/)
    expect((await currently(grant)).wrongPasswords).toBe(1)
  })
})

describe('an object that', () => {
  const failures: [string, () => unknown][] = [
    [
      'fails',
      () => {
        throw new Error('internal error; reference = abc')
      },
    ],
    [
      'is overloaded',
      () => {
        throw Object.assign(new Error('Durable Object is overloaded.'), { overloaded: true })
      },
    ],
    ['hangs', () => new Promise(() => {})],
  ]

  // @threat grant-object-fails
  it.each(failures)('%s serves nothing, and the log says why', async (name, fail) => {
    const grant = await grantFor({ uses: 5, password: 'open door', label: 'For you' })
    const secret = grant.url.slice(-22)
    for (const failing of ['read', 'guess', 'take']) {
      const lines = captureLog()
      shortenCalls()
      const by = workerWith(({ method, call }) => (method === failing ? fail() : call()))
      const response = await submit(grant.url, { password: 'open door' }, by)
      expect(response.status, failing).toBe(503)
      expect(response.headers.get('Retry-After')).toBe('5')
      expect(response.headers.get('Location')).toBeNull()
      expect(await response.json()).toMatchObject({ code: 'unavailable', reason: 'state' })
      const [line = '{}'] = lines.filter((text) => text.includes('"requestId"'))
      expect(JSON.parse(line)).toMatchObject({
        ...{ route: '/g/:secret', status: 503, code: 'unavailable', reason: 'state' },
        reason: expect.stringMatching(
          { fails: /internal error/, 'is overloaded': /overloaded/, hangs: /No response in time/ }[
            name
          ] ?? /^$/,
        ),
      })
      expect(lines.join()).not.toContain(secret)
      vi.restoreAllMocks()
    }
    expect((await currently(grant)).usesLeft).toBe(5)
  })

  /** Half a second instead of the five seconds that a call of an object may take. */
  function shortenCalls(): void {
    const later = setTimeout
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((act: () => void, wait: number) =>
      later(act, wait === 5000 ? 500 : wait)) as typeof setTimeout)
  }

  // @threat grant-used-twice
  it('took a use whose Worker ended before its response never gives it again', async () => {
    const grant = await grantFor({ uses: 1 })
    captureLog()
    const ended = workerWith(async ({ method, call }) => {
      const result = await call()
      if (method === 'take') throw new Error('The Worker was killed.')
      return result
    })
    expect(await outcome(submit(grant.url, {}, ended))).toBe('503 unavailable state')
    expect((await currently(grant)).usesLeft).toBe(0)
    expect(await outcome(submit(grant.url))).toBe('410 grant_ended')
  })

  it('that fails hides no other grant of a list', async () => {
    captureLog()
    const [first, broken, last] = [await grantFor({}), await grantFor({}), await grantFor({})]
    const partly = workerWith(({ method, name, call }) => {
      if (method === 'read' && name === broken.id) throw new Error('gone')
      return call()
    })
    const page = await jsonOf<{ grants: { id: string }[]; unavailable?: string[] }>(
      await partly.fetch('/grants?limit=3'),
    )
    expect(page.grants.map(({ id }) => id)).toEqual([last.id, first.id])
    expect(page.unavailable).toEqual([broken.id])
    expect(await jsonOf(await worker.fetch('/grants?limit=3'))).not.toHaveProperty('unavailable')
  })

  it('fails answers no request of its creator', async () => {
    captureLog()
    const by = workerWith(() => {
      throw new Error('gone')
    })
    const key = await putReport()
    for (const answer of [
      by.post('/grants', { key, deadline: inFuture() }),
      by.fetch('/grants'),
      by.fetch(`/grants/${'a'.repeat(32)}`),
      by.fetch(`/grants/${'a'.repeat(32)}`, { method: 'DELETE' }),
    ])
      expect(await outcome(answer)).toBe('503 unavailable state')
  })
})

// @threat grant-leaked
it('neither the log nor a header has the secret of a grant', async () => {
  const lines = captureLog()
  const grant = await grantFor({ uses: 1, password: 'open door' })
  const secret = grant.url.slice(-22)
  const answers = [
    await visit(grant.url),
    await visit(grant.url, { headers: { Accept: 'text/html' } }),
    await submit(grant.url, { password: 'wrong' }),
    await submit(grant.url, { password: 'open door' }),
    await submit(grant.url, { password: 'open door' }),
    await visit(grant.url, { method: 'PUT' }),
    await visit(`${grant.url}/x`),
  ]
  for (const { headers } of answers) expect(JSON.stringify([...headers])).not.toContain(secret)
  expect(lines.length).toBeGreaterThanOrEqual(answers.length)
  expect(lines.join()).not.toContain(secret)
})
