import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { SCOPES, type Scope } from '../../../src/access/scopes.ts'
import { jsonOf } from '../../support/app.ts'
import { captureLog } from '../../support/capture-log.ts'
import { bearer, type TestApiKey, testApiKey } from '../../support/credentials.ts'
import {
  currently,
  type Grant,
  grantFor,
  inFuture,
  outcome,
  putReport,
  submit,
  workerWith,
} from '../../support/grants.ts'
import { putUnder, textOf } from '../../support/links.ts'
import { stateStub } from '../../support/state-stub.ts'
import { type TestWorker, testWorker } from '../../support/worker.ts'

const worker = testWorker()
const DAY = 86_400_000

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const listWith = async (by: TestWorker, init: RequestInit = {}, query = '') => {
  const response = await by.fetch(`/grants${query}`, init)
  expect(response.status).toBe(200)
  return jsonOf<{ grants: Grant[]; cursor?: string }>(response)
}

/** Returns what is wrong with a request for a grant: the code, and the members. */
async function refusal(body: object): Promise<string[]> {
  const sent = { key: 'a.pdf', deadline: inFuture(), ...body }
  const response = await worker.post('/grants', sent)
  const { code, issues = [] } = await jsonOf<{ code: string; issues?: { path: string }[] }>(
    response,
  )
  return [`${response.status} ${code}`, ...issues.map(({ path }) => path)]
}

describe('a new grant', () => {
  it('says everything about itself', async () => {
    const key = await putReport()
    const deadline = inFuture(DAY)
    const grant = await grantFor({
      ...{
        key,
        deadline,
        uses: 3,
        password: 'open door',
        label: 'For you',
        download: 'Report.pdf',
      },
      restrictions: { countries: ['DE'], ips: ['192.0.2.0/24'] },
    })
    expect(grant).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
      url: expect.stringMatching(/^http:\/\/localhost:8787\/g\/[\w-]{22}$/),
      ...{ bucket: 'files', key, name: 'report.pdf', size: 8, label: 'For you' },
      ...{ uses: 3, usesLeft: 3, deadline, hasPassword: true, wrongPasswords: 0, direct: false },
      ...{ download: 'Report.pdf', lastUsedAt: null },
      restrictions: { countries: ['DE'], ips: ['192.0.2.0/24'] },
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    expect(await currently(grant)).toEqual(grant)
  })

  it('has usual values, a location, and the name in the index', async () => {
    const key = await putReport()
    await worker.post('/files', { key, name: 'Annual Report.pdf' })
    const response = await worker.post('/grants', { key, deadline: inFuture() })
    const grant = await jsonOf<Grant>(response)
    expect(response.headers.get('Location')).toBe(`/grants/${grant.id}`)
    expect(grant).toMatchObject({
      ...{ name: 'Annual Report.pdf', label: null, uses: null, usesLeft: null },
      ...{
        hasPassword: false,
        wrongPasswords: 0,
        direct: false,
        download: null,
        restrictions: null,
      },
    })
  })

  it.each([
    [{ key: 1 }, '400 invalid_request', 'key'],
    [{ key: '../a' }, '400 invalid_key'],
    [{ deadline: undefined }, '400 invalid_request', 'deadline'],
    [{ deadline: '2026-12-24' }, '400 invalid_request', 'deadline'],
    [{ deadline: '2020-01-01T00:00:00Z' }, '400 invalid_expiry'],
    [{ deadline: inFuture(367 * DAY) }, '400 invalid_expiry'],
    [{ uses: 0 }, '400 invalid_request', 'uses'],
    [{ uses: 1_000_001 }, '400 invalid_request', 'uses'],
    [{ uses: 1.5 }, '400 invalid_request', 'uses'],
    [{ uses: null }, '400 invalid_request', 'uses'],
    [{ password: '' }, '400 invalid_request', 'password'],
    [{ password: 'aaaaaaaa'.repeat(129) }, '400 invalid_request', 'password'],
    [{ password: 'open door\n' }, '400 invalid_request', 'password'],
    [{ password: 'aaaaaaaa', direct: true }, '400 invalid_request', 'password'],
    [{ label: '' }, '400 invalid_request', 'label'],
    [{ label: 'a'.repeat(201) }, '400 invalid_request', 'label'],
    [{ label: 'two\nlines' }, '400 invalid_request', 'label'],
    [{ label: 'two\u2028lines' }, '400 invalid_request', 'label'],
    [{ download: '' }, '400 invalid_request', 'download'],
    [{ download: '\ud800' }, '400 invalid_request', 'download'],
    [{ restrictions: { ips: [] } }, '400 invalid_request', 'restrictions.ips'],
    [{ restrictions: { until: 1 } }, '400 invalid_request', 'restrictions'],
    [
      { restrictions: { countries: ['DE'], notCountries: ['AT'] } },
      '400 invalid_request',
      'restrictions.notCountries',
    ],
    [{ expiresIn: 1 }, '400 invalid_request', ''],
    [{ bucket: 'nowhere' }, '404 unknown_bucket'],
    [{ key: 'grants/nobody-uploaded-this' }, '404 object_not_found'],
  ])('is refused with %j', async (body, ...expected) => {
    expect(await refusal(body)).toEqual(expected)
  })

  it('is created near the client', async () => {
    const hints: unknown[] = []
    const near = workerWith(({ call }) => call(), hints)
    const key = await putReport()
    await near.post('/grants', { key, deadline: inFuture() }, {
      cf: { continent: 'EU' },
    } as RequestInit)
    expect(hints).toEqual(['weur', 'weur', 'weur'])
  })

  it.each(['create', 'list'])('is removed again if %s fails after it has begun', async (step) => {
    const made: string[] = []
    const failing = workerWith(async ({ method, name, call }) => {
      if (method === 'create') made.push(name)
      const result = await call()
      if (method === step) throw new Error('the connection is gone')
      return result
    })
    captureLog()
    const key = await putReport()
    const response = failing.post('/grants', { key, deadline: inFuture() })
    expect(await outcome(response)).toBe('503 unavailable state')
    expect(made).toHaveLength(1)
    const kept = await runInDurableObject(stateStub('Grants', made[0] ?? ''), (_, { storage }) => [
      ...storage.kv.list(),
    ])
    expect(kept).toEqual([])
  })
})

describe('the list of grants', () => {
  it('has those of one principal, the newest first, in pages', async () => {
    const { token, entry } = await testApiKey('lists', SCOPES)
    const own = testWorker({ API_KEYS: [entry], OPEN_ACCESS: undefined })
    const init = bearer(token)
    const key = await putReport()
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.unshift((await grantFor({ key }, own, init)).id)
    const first = await listWith(own, init, '?limit=3')
    const second = await listWith(own, init, `?limit=3&cursor=${first.cursor}`)
    expect(second.cursor).toBeUndefined()
    const seen = [...first.grants, ...second.grants]
    expect(seen.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    const times = seen.map(({ createdAt }) => createdAt)
    expect(times).toEqual(times.toSorted().reverse())
    const all = await listWith(own, init)
    expect(all).toEqual({ grants: seen })
  })

  // @threat grant-of-others
  it('refuses the cursor of another principal, and one of another list', async () => {
    const one = await testApiKey('one', SCOPES)
    const two = await testApiKey('two', SCOPES)
    const own = testWorker({ API_KEYS: [one.entry, two.entry], OPEN_ACCESS: undefined })
    const key = await putReport()
    for (let i = 0; i < 2; i++) await grantFor({ key }, own, bearer(one.token))
    const { cursor } = await listWith(own, bearer(one.token), '?limit=1')
    expect(await outcome(own.fetch(`/grants?cursor=${cursor}`, bearer(two.token)))).toBe(
      '400 invalid_cursor',
    )
    expect(await outcome(own.fetch(`/files?cursor=${cursor}`, bearer(one.token)))).toBe(
      '400 invalid_cursor',
    )
    expect(await outcome(own.fetch('/grants?cursor=x', bearer(one.token)))).toBe(
      '400 invalid_cursor',
    )
    expect(await outcome(own.fetch('/grants?limit=101', bearer(one.token)))).toBe(
      '400 invalid_request',
    )
  })

  it('drops grants that no longer exist', async () => {
    const { token, entry } = await testApiKey('drops', SCOPES)
    const own = testWorker({ API_KEYS: [entry], OPEN_ACCESS: undefined })
    const key = await putReport()
    const kept = await grantFor({ key }, own, bearer(token))
    const gone = await grantFor({ key }, own, bearer(token))
    await stateStub('Grants', gone.id).end(Date.now())
    expect(await listWith(own, bearer(token))).toEqual({ grants: [kept] })
  })

  it('has pages for 10,000 grants of one minter, each once', async () => {
    const { token, entry } = await testApiKey('many', SCOPES)
    const own = testWorker({ API_KEYS: [entry], OPEN_ACCESS: undefined })
    const first = await grantFor({}, own, bearer(token))
    const last = await grantFor({ key: first.key }, own, bearer(token))
    const at = Date.parse(first.createdAt)
    const list = stateStub('Grants', 'list key:many')
    // Rows of grants that have been removed, between those of two that exist.
    await runInDurableObject(list, (_, { storage }) => {
      storage.sql.exec('UPDATE listed SET at = ? WHERE id = ?', at - 20_000, first.id)
      storage.sql.exec(
        `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9997)
         INSERT INTO listed SELECT printf('%032x', i), ? - i / 3, ? FROM n`,
        ...[at - 1, at + DAY],
      )
    })
    const seen: string[] = []
    let start = null
    let pages = 0
    do {
      const page: Awaited<ReturnType<typeof list.listed>> = await list.listed(100, start)
      seen.push(...page.items.map(({ id }) => id))
      start = page.next
      pages += 1
    } while (start !== null)
    expect(pages).toBe(100)
    expect(new Set(seen).size).toBe(10_000)
    const api: string[] = []
    let cursor: string | undefined
    for (pages = 0; pages === 0 || (cursor !== undefined && pages < 3); pages++) {
      const query: string = `?limit=100${cursor === undefined ? '' : `&cursor=${cursor}`}`
      const page = await listWith(own, bearer(token), query)
      api.push(...page.grants.map(({ id }) => id))
      cursor = page.cursor
    }
    expect(pages).toBe(3)
    expect(api).toEqual([last.id])
    expect(seen.at(-1)).toBe(first.id)
  })
})

describe('a change', () => {
  it('sets uses in all, label and deadline, and leaves the rest', async () => {
    const grant = await grantFor({ uses: 3, label: 'Old' })
    await submit(grant.url)
    const { lastUsedAt } = await currently(grant)
    expect(lastUsedAt).not.toBeNull()
    const change = async (body: object) =>
      jsonOf<Grant>(
        await worker.fetch(`/grants/${grant.id}`, {
          method: 'PATCH',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        }),
      )
    const used = { ...grant, usesLeft: 2, lastUsedAt }
    expect(await change({})).toEqual(used)
    expect(await change({ label: 'New' })).toEqual({ ...used, label: 'New' })
    expect(await change({ label: null })).toEqual({ ...used, label: null })
    expect(await change({ uses: 1 })).toEqual({ ...used, label: null, uses: 1, usesLeft: 0 })
    expect(await outcome(submit(grant.url))).toBe('410 grant_ended')
    expect(await change({ uses: 2 })).toMatchObject({ uses: 2, usesLeft: 1 })
    expect(await outcome(submit(grant.url))).toBe('303')
    expect(await change({ uses: null })).toMatchObject({ uses: null, usesLeft: null })
    expect(await outcome(submit(grant.url))).toBe('303')
    const deadline = inFuture(5 * DAY)
    expect(await change({ deadline })).toMatchObject({ deadline })
    expect(await change({ deadline: inFuture(-DAY) })).toMatchObject({ code: 'invalid_expiry' })
    expect(await change({ password: 'xxxxxxxx' })).toMatchObject({ code: 'invalid_request' })
  })

  it('to a later deadline keeps the grant longer, in its object and in the list', async () => {
    const { token, entry } = await testApiKey('longer', SCOPES)
    const own = testWorker({ API_KEYS: [entry], OPEN_ACCESS: undefined })
    const grant = await grantFor({ deadline: inFuture(DAY) }, own, bearer(token))
    const deadline = inFuture(30 * DAY)
    await own.fetch(`/grants/${grant.id}`, {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/json', ...Object(bearer(token).headers) },
      body: JSON.stringify({ deadline }),
    })
    const object = stateStub('Grants', grant.id)
    const list = stateStub('Grants', 'list key:longer')
    for (const one of [object, list]) {
      const alarm = await runInDurableObject(one, (_, { storage }) => storage.getAlarm())
      expect(alarm).toBe(Date.parse(deadline) + 7 * DAY)
    }
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 10 * DAY })
    for (const one of [object, list]) expect(await runDurableObjectAlarm(one)).toBe(true)
    vi.useRealTimers()
    expect((await listWith(own, bearer(token))).grants.map(({ id }) => id)).toEqual([grant.id])
  })

  it('never leaves a grant that the list forgets first', async () => {
    const grant = await grantFor()
    const change = (deadline: string, by: Pick<TestWorker, 'fetch'> = worker) =>
      by.fetch(`/grants/${grant.id}`, {
        method: 'PATCH',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ deadline }),
      })
    const daysInList = () =>
      runInDurableObject(stateStub('Grants', 'list localhost'), (_, { storage }) => {
        const [row] = storage.sql
          .exec<{ ends: number }>('SELECT ends FROM listed WHERE id = ?', grant.id)
          .toArray()
        return Math.round(((row?.ends ?? 0) - Date.now()) / DAY) - 7
      })
    const overtaken = workerWith(async ({ method, call }) => {
      if (method === 'list') await change(inFuture(30 * DAY))
      return call()
    })
    await change(inFuture(2 * DAY), overtaken)
    expect(await daysInList()).toBe(30)
    captureLog()
    const failing = workerWith(({ method, call }) =>
      method === 'list' ? Promise.reject(new Error('gone')) : call(),
    )
    const before = await currently(grant)
    expect(await outcome(change(inFuture(90 * DAY), failing))).toBe('503 unavailable state')
    expect(await currently(grant)).toEqual(before)
  })
})

describe('a withdrawn grant', () => {
  it('ends at once, and is forgotten with all that it kept', async () => {
    const grant = await grantFor({ password: 'aaaaaaaa' })
    await submit(grant.url, { password: 'bbbbbbbb' })
    const withdraw = () => worker.fetch(`/grants/${grant.id}`, { method: 'DELETE' })
    expect(await outcome(withdraw())).toBe('204')
    expect(await outcome(submit(grant.url, { password: 'aaaaaaaa' }))).toBe('410 grant_ended')
    expect(await outcome(worker.fetch(grant.url))).toBe('410 grant_ended')
    expect(await outcome(worker.fetch(`/grants/${grant.id}`))).toBe('404 not_found')
    expect(await outcome(withdraw())).toBe('204')
    const kept = await runInDurableObject(stateStub('Grants', grant.id), async (_, { storage }) => [
      ...storage.kv.list(),
      await storage.getAlarm(),
    ])
    expect(kept).toEqual([null])
    const { grants } = await listWith(worker, {}, '?limit=100')
    expect(grants.map(({ id }) => id)).not.toContain(grant.id)
  })

  it('can be withdrawn again after the list has failed', async () => {
    const { token, entry } = await testApiKey('again', SCOPES)
    const own = testWorker({ API_KEYS: [entry], OPEN_ACCESS: undefined })
    const grant = await grantFor({}, own, bearer(token))
    await stateStub('Grants', grant.id).end(Date.now())
    const rows = () => stateStub('Grants', 'list key:again').listed(10, null)
    expect((await rows()).items).toHaveLength(1)
    const init = { method: 'DELETE', ...bearer(token) }
    expect(await outcome(own.fetch(`/grants/${grant.id}`, init))).toBe('204')
    expect((await rows()).items).toEqual([])
  })
})

describe('a grant whose deadline has passed', () => {
  it('is shown to its creator for a week, and then removed by its alarm', async () => {
    const grant = await grantFor({ deadline: inFuture(DAY) })
    const object = stateStub('Grants', grant.id)
    const start = Date.now()
    vi.useFakeTimers({ toFake: ['Date'], now: start + DAY })
    expect(await outcome(submit(grant.url))).toBe('410 grant_ended')
    expect(await outcome(worker.fetch(grant.url))).toBe('410 grant_ended')
    expect((await currently(grant)).id).toBe(grant.id)
    vi.setSystemTime(start + 7 * DAY)
    expect(await runDurableObjectAlarm(object)).toBe(true)
    expect((await currently(grant)).id).toBe(grant.id)
    vi.setSystemTime(start + 8 * DAY)
    expect(await runDurableObjectAlarm(object)).toBe(true)
    expect(await outcome(worker.fetch(`/grants/${grant.id}`))).toBe('404 not_found')
    expect(await runInDurableObject(object, (_, { storage }) => storage.getAlarm())).toBeNull()
  })

  it('works to the last millisecond', async () => {
    const grant = await grantFor({ deadline: inFuture(DAY) })
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(grant.deadline) - 1 })
    expect(await outcome(submit(grant.url))).toBe('303')
    vi.setSystemTime(Date.parse(grant.deadline))
    expect(await outcome(submit(grant.url))).toBe('410 grant_ended')
  })
})

describe('the rights for grants', () => {
  let full: TestApiKey
  let team: TestApiKey
  let own: TestWorker
  const without = new Map<Scope, TestApiKey>()
  beforeAll(async () => {
    full = await testApiKey('full', SCOPES)
    team = await testApiKey('team', SCOPES, 'team/')
    for (const scope of ['grants:create', 'links:create', 'files:read'] as const) {
      const scopes = SCOPES.filter((other) => other !== scope)
      without.set(scope, await testApiKey(`no-${scope.replace(':', '-')}`, scopes))
    }
    const keys = [full, team, ...without.values()].map(({ entry }) => entry)
    own = testWorker({ API_KEYS: keys, OPEN_ACCESS: undefined })
  })

  // @threat grant-too-wide
  it('include those for a link, to create and to see one', async () => {
    const key = await putReport()
    const { id } = await grantFor({ key }, own, bearer(full.token))
    for (const [scope, { token }] of without) {
      const body = { key, deadline: inFuture() }
      const answers = [
        await own.post('/grants', body, bearer(token)),
        await own.fetch('/grants', bearer(token)),
        await own.fetch(`/grants/${id}`, bearer(token)),
      ]
      for (const answer of answers) {
        const { code, message } = await jsonOf(answer)
        expect([code, message]).toEqual(['forbidden', `This needs the scope ${scope}.`])
      }
    }
  })

  // @threat grant-too-wide
  it('are those of the caller: prefix, buckets and lifetime', async () => {
    const key = await putUnder(`team/${crypto.randomUUID()}/a.pdf`, 'a report')
    const other = await putReport()
    await grantFor({ key }, own, bearer(team.token))
    const refused = { key: other, deadline: inFuture() }
    expect(await outcome(own.post('/grants', refused, bearer(team.token)))).toBe('403 forbidden')
    const asked = { scopes: SCOPES, buckets: ['files'], maxExpiresIn: 60 }
    const minted = await own.post('/tokens', asked, bearer(full.token))
    const { token } = await jsonOf<{ token: string }>(minted)
    const send = (body: object) =>
      outcome(own.post('/grants', { key, deadline: inFuture(59_000), ...body }, bearer(token)))
    expect(await send({})).toBe('201')
    expect(await send({ deadline: inFuture(61_000) })).toBe('400 invalid_expiry')
    expect(await send({ bucket: 'photos' })).toBe('403 forbidden')
    const { grants } = await listWith(own, bearer(token))
    expect(grants.length).toBeGreaterThan(0)
  })

  // @threat grant-of-others
  it('to see, change and withdraw one belong to its creator', async () => {
    const grant = await grantFor({ uses: 1 }, own, bearer(full.token))
    const path = `/grants/${grant.id}`
    const headers = { ...Object(bearer(team.token).headers), 'Content-Type': 'application/json' }
    const foreign = [
      own.fetch(path, { headers }),
      own.fetch(path, { method: 'PATCH', headers, body: '{"uses":5}' }),
      own.fetch(path, { method: 'DELETE', headers }),
    ]
    for (const answer of foreign) expect(await outcome(answer)).toBe('404 not_found')
    expect((await listWith(own, bearer(team.token))).grants).not.toContainEqual(grant)
    expect(await currently(grant, own, bearer(full.token))).toEqual(grant)
  })

  // @threat grant-of-others
  it('of a narrower token of the same principal are narrower', async () => {
    const grant = await grantFor({}, own, bearer(full.token))
    for (const narrow of [{ prefix: 'elsewhere/' }, { buckets: ['photos'] }]) {
      const minted = await own.post('/tokens', { scopes: SCOPES, ...narrow }, bearer(full.token))
      const { token } = await jsonOf<{ token: string }>(minted)
      const path = `/grants/${grant.id}`
      expect(await outcome(own.fetch(path, bearer(token)))).toBe('404 not_found')
      expect(await outcome(own.fetch(path, { method: 'DELETE', ...bearer(token) }))).toBe(
        '404 not_found',
      )
      const { grants } = await listWith(own, bearer(token), '?limit=100')
      expect(grants.map(({ id }) => id)).not.toContain(grant.id)
    }
    expect(await textOf(await own.fetch(grant.url))).toContain('report.pdf')
  })

  // @threat grant-id-guessed
  it('need the public id: the secret one, an odd spelling or a list is none', async () => {
    const grant = await grantFor({}, own, bearer(full.token))
    const secret = grant.url.slice(grant.url.lastIndexOf('/') + 1)
    for (const id of [
      secret,
      grant.id.toUpperCase(),
      `${grant.id}0`,
      'list%20key:full',
      'x',
      '%00',
    ])
      for (const method of ['GET', 'DELETE'])
        expect
          .soft(await outcome(own.fetch(`/grants/${id}`, { method, ...bearer(full.token) })), id)
          .toBe('404 not_found')
    expect(await outcome(submit(grant.url.replace(secret, grant.id), {}, own))).toBe(
      '410 grant_ended',
    )
  })
})
