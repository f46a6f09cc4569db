import { runInDurableObject } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import type { FileEvent } from '../../src/records/file-event.ts'
import { ANN } from '../support/ann.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import {
  arrive,
  askToken,
  createBox,
  DAY,
  type DropBox,
  HOUR,
  holdsOf,
  inBox,
  MINUTE,
  objectOf,
  outcome,
  passes,
  receivedIn,
  visit,
} from '../support/drop-boxes.ts'
import { type Grant, grantFor, putReport, submit, workerWith } from '../support/grants.ts'
import { putUnder } from '../support/links.ts'
import { mount } from '../support/mount.ts'
import { stateStub } from '../support/state-stub.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../support/worker.ts'

// What grants and drop boxes share.

const worker = testWorker()

afterEach(() => {
  vi.useRealTimers()
})

type Caller = Pick<TestWorker, 'fetch' | 'post'>

const jsonIn = async <T>(response: Response | Promise<Response>): Promise<T> =>
  (await response).json<T>()

describe('what a user of an API key has made', () => {
  /** A Worker with an API key, and the tokens of two of its users. */
  async function shop() {
    const { token, entry } = await testApiKey('app', SCOPES)
    const other = await testApiKey('other', SCOPES)
    const by = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [entry, other.entry] })
    const tokenOf = async (body: object) =>
      (await jsonIn<{ token: string }>(by.post('/tokens', body, bearer(token)))).token
    const asked = { scopes: SCOPES, expiresIn: 600 }
    const ann = await tokenOf({ ...asked, subject: 'ann' })
    const bob = await tokenOf({ ...asked, subject: 'bob' })
    return { by, key: token, other: other.token, ann, bob, plain: await tokenOf(asked) }
  }

  const KINDS = [
    ['grants', 'grants', (by: Caller, init: RequestInit) => grantFor({}, by, init)],
    ['drop-boxes', 'dropBoxes', (by: Caller, init: RequestInit) => createBox({}, by, init)],
  ] as const

  // @threat grant-of-others box-of-others
  it.each(KINDS)(
    'is listed, shown and ended by the key, and by no other: %s',
    async (path, plural, create) => {
      const { by, key, other, ann, bob, plain } = await shop()
      const { id } = await create(by, bearer(ann))
      const list = async (token: string, query = '') => {
        const response = await by.fetch(`/${path}${query}`, bearer(token))
        const body = await response.json<Record<string, { id: string }[]>>()
        return body[plural]?.map((item) => item.id) ?? `${response.status} ${body.code}`
      }
      expect(await list(key, '?subject=ann')).toEqual([id])
      expect(await list(ann, '?subject=ann')).toEqual([id])
      expect(await list(key)).toEqual([])
      expect(await list(key, '?subject=bob')).toEqual([])
      expect(await list(other, '?subject=ann')).toEqual([])
      for (const token of [bob, plain])
        expect(await list(token, '?subject=ann')).toBe('403 forbidden')
      const shown = (token: string) => by.fetch(`/${path}/${id}`, bearer(token))
      for (const token of [other, bob, plain]) {
        expect(await outcome(await shown(token))).toBe('404 not_found')
        const end = await by.fetch(`/${path}/${id}`, { method: 'DELETE', ...bearer(token) })
        expect(await outcome(end)).toBe('404 not_found')
      }
      expect((await shown(key)).status).toBe(200)
      const end = await by.fetch(`/${path}/${id}`, { method: 'DELETE', ...bearer(key) })
      expect(end.status).toBe(204)
      expect(await outcome(await shown(ann))).toBe('404 not_found')
      expect(await list(key, '?subject=ann')).toEqual([])
    },
  )
})

describe('wrong passwords', () => {
  /** An app that keeps its events. */
  function app() {
    const events: FileEvent[] = []
    const mounted = mount({
      authenticate: (c) => c.req.header('X-User') === 'ann' && ANN,
      events: { onEvent: (event) => void events.push(event) },
    })
    return { mounted, events }
  }
  const AS_ANN = { headers: { 'X-User': 'ann' } }
  const password = 'secret word'

  /** Guesses from 12 networks that have nothing in common. */
  async function guess(times: number, ask: (ip: string) => Promise<Response>) {
    for (let i = 0; i < times; i++)
      expect(await outcome(await ask(`${i + 1}.7.7.7`)), `guess ${i}`).toBe('403 password_wrong')
  }

  // @threat grant-password-guessed
  it('of a grant are counted, and told after 10', async () => {
    const { mounted, events } = app()
    const key = await putUnder('ann/guessed.txt', 'a report')
    const body = { key, password, label: 'Offer' }
    const grant = await grantFor(body, mounted, AS_ANN, '/media')
    const ask = (ip: string) => submit(grant.url, { password: 'guess', ip, country: 'NO' }, mounted)
    await guess(9, ask)
    expect(events).toEqual([])
    await guess(1, ask)
    await vi.waitFor(() => expect(events).toHaveLength(1))
    expect(events[0]).toMatchObject({
      ...{ type: 'guessed', wrongPasswords: 10, country: 'NO', principal: 'app:ann' },
      ...{ file: { bucket: 'files', key }, grant: { id: grant.id, label: 'Offer' } },
    })
    const own = await jsonIn<Grant>(mounted.fetch(`/media/grants/${grant.id}`, AS_ANN))
    expect(own.wrongPasswords).toBe(10)
  })

  // @threat box-password-guessing
  it('of a drop box are counted, and told after 10', async () => {
    const { mounted, events } = app()
    const box = await createBox({ password, title: 'Papers' }, mounted, AS_ANN, '/media')
    await guess(11, (ip) => askToken(box, { ip, password: 'guess' }, mounted))
    await vi.waitFor(() => expect(events).toHaveLength(1))
    expect(events[0]).toMatchObject({
      ...{ type: 'guessed', wrongPasswords: 10, principal: 'app:ann' },
      ...{ file: { key: box.prefix }, dropBox: { id: box.id, label: 'Papers' } },
    })
    const own = await mounted.fetch(`/media/drop-boxes/${box.id}`, AS_ANN)
    expect(await own.json()).toMatchObject({ wrongPasswords: 11 })
  })
})

describe('POST /files/delete-all', () => {
  interface Erased {
    readonly shares: number
    readonly deleted: number
    readonly failures: readonly { key: string; error: { code: string } }[]
    readonly cursor?: string
  }
  const soon = () => new Date(Date.now() + 5000).toISOString()

  /** Deletes everything below a prefix, call by call. */
  async function erase(prefix: string, more: object = {}, by: Caller = worker) {
    const body = { prefix, before: soon(), ...more }
    let [shares, calls, cursor]: [number, number, string | undefined] = [0, 0, undefined]
    const failures: Erased['failures'][number][] = []
    do {
      const answer: Erased = await jsonIn(by.post('/files/delete-all', { ...body, cursor }))
      expect(answer, JSON.stringify(answer)).toHaveProperty('shares')
      shares += answer.shares
      failures.push(...answer.failures)
      calls += 1
      cursor = answer.cursor
    } while (cursor !== undefined)
    return { shares, calls, failures }
  }
  let made = 0
  const person = () => `people/${Date.now()}-${made++}/`
  const boxOf = (prefix: string): Promise<DropBox> => createBox({ prefix })
  const grantOf = async (prefix: string, more: object = {}) =>
    grantFor({ key: await putUnder(`${prefix}a.txt`, 'a report'), ...more })

  // @threat delete-all-shares
  it("ends a person's boxes and grants, and nobody else's", async () => {
    const [ann, bob] = [person(), person()]
    const [box, grant] = [await boxOf(ann), await grantOf(ann, { label: 'For Ann' })]
    const [theirs, other] = [await boxOf(bob), await grantOf(bob)]
    const above = await boxOf('people/')
    const sender = await visit(box)
    expect(await erase(ann, { dryRun: true })).toMatchObject({ shares: 2 })
    expect(await outcome(await askToken(box))).toBe('200')
    expect(await erase(ann)).toMatchObject({ shares: 2, failures: [] })
    expect(await outcome(await askToken(box))).toBe('410 drop_box_closed')
    expect(await outcome(await sender.begin())).toBe('410 drop_box_closed')
    expect(await outcome(await worker.fetch(grant.url))).toBe('410 grant_ended')
    for (const url of [theirs.url, other.url, above.url])
      expect((await worker.fetch(url)).status, url).toBe(200)
    expect(await erase(ann)).toMatchObject({ shares: 0 })
    await worker.fetch(`/drop-boxes/${above.id}`, { method: 'DELETE' })
  })

  it('leaves what is newer than its date', async () => {
    const ann = person()
    const before = new Date(Date.now() - 5000).toISOString()
    const [box, grant] = [await boxOf(ann), await grantOf(ann)]
    expect(await erase(ann, { before })).toMatchObject({ shares: 0 })
    for (const { url } of [box, grant]) expect((await worker.fetch(url)).status).toBe(200)
  })

  // @threat delete-all-shares
  it('leaves no name, note, label or file of a sender, also of one who is still sending', async () => {
    const ann = person()
    const box = await createBox({ prefix: ann, message: 'Dear Ann' })
    const grant = await grantOf(ann, { label: 'Secret label' })
    const sender = await visit(box, { sender: { name: 'Zora', note: 'Hurston' } })
    await sender.send('early')
    // Its last look is done, so only the list of the box needs it.
    for (const wait of [10 * MINUTE, 2 * DAY]) await passes(wait, box)
    const key = await sender.put('later')
    expect(JSON.stringify(await receivedIn(box))).toContain('Zora')
    // A Worker has completed it, but not recorded it.
    await arrive(box, key)
    const below = { prefixes: [ann], before: Date.now() + 1000, dryRun: false }
    expect(await objectOf(box).erase(below, Date.now())).toBe(true)
    const early = { key, etag: '"a"', size: 5, name: 'a', mimetype: 'text/plain' }
    const settled = await objectOf(box).settle({ ...early, at: Date.now() - HOUR }, Date.now())
    expect(settled).toEqual({ ok: false, why: 'closed' })
    const rows = await inBox(box, (_, { sql }) => sql.exec('SELECT * FROM uploads').toArray())
    expect(JSON.stringify(rows)).not.toMatch(/Zora|Hurston/)
    expect(rows).toMatchObject([{ key }])
    const stored = await inBox(box, (_, { kv }) => JSON.stringify([...kv.list()]))
    expect(stored).not.toMatch(/Your documents|Dear Ann|Example GmbH/)
    expect(await erase(ann)).toMatchObject({ shares: 2, failures: [] })
    const kept = await runInDurableObject(stateStub('Grants', grant.id), (_, { storage }) => [
      ...storage.kv.list(),
    ])
    expect(kept).toEqual([])
    await passes(30 * MINUTE, box)
    expect((await worker.fetch(`/files/${encodeURIComponent(key)}/url`)).status).not.toBe(500)
    expect(await outcome(await worker.post('/files', { key, name: 'a' }))).toMatch(/^404/)
    // At last, the object has nothing.
    for (let i = 1; i <= 3; i++) await passes(i * DAY + DAY, box)
    const left = await runInDurableObject(objectOf(box), (_, { storage }) => [...storage.kv.list()])
    expect(left).toEqual([])
  })

  it('empties a box that its owner has closed just before', async () => {
    const ann = person()
    const box = await boxOf(ann)
    const sender = await visit(box, { sender: { name: 'Zora', note: 'Hurston' } })
    await sender.begin()
    await worker.fetch(`/drop-boxes/${box.id}`, { method: 'DELETE' })
    expect(await holdsOf(box)).toHaveLength(1)
    await erase(ann)
    const rows = await inBox(box, (_, { sql }) => sql.exec('SELECT * FROM uploads').toArray())
    expect(JSON.stringify(rows)).not.toMatch(/Zora|Hurston/)
  })

  it('pages through many, and reports those that it can not read', async () => {
    const ann = person()
    const key = await putUnder(`${ann}a.txt`, 'a report')
    const grants: Grant[] = []
    for (let i = 0; i < 130; i++) grants.push(await grantFor({ key }))
    const broken = grants[3]
    const partly = workerWith(({ name, method, call }) =>
      name === broken?.id && method === 'erase' ? Promise.reject(new Error('gone')) : call(),
    )
    const first = await erase(ann, {}, partly)
    expect(first.shares).toBe(129)
    expect(first.calls).toBeGreaterThan(1)
    expect(first.failures).toMatchObject([{ key: ann, error: { code: 'unavailable' } }])
    expect(await erase(ann)).toMatchObject({ shares: 1, failures: [] })
  })

  it('goes on if the only share of a page can not be read', async () => {
    const ann = person()
    const grant = await grantOf(ann)
    const broken = workerWith(({ name, method, call }) =>
      name === grant.id && method === 'erase' ? Promise.reject(new Error('gone')) : call(),
    )
    const { shares, failures } = await erase(ann, {}, broken)
    expect(shares).toBe(0)
    expect(failures).toMatchObject([{ key: ann, error: { code: 'unavailable' } }])
    // Its file is deleted nevertheless.
    const record = await worker.post('/files', { key: grant.key, name: 'a' })
    expect(record.status).toBe(404)
  })

  // @threat delete-all-shares
  it('finds what was made under another alias of the same bucket', async () => {
    const by = testWorker({ BUCKETS: { files: s3rverBucket(), other: s3rverBucket() } })
    const ann = person()
    const box = await createBox({ prefix: ann, bucket: 'other' }, by)
    expect((await erase(ann, { bucket: 'files' }, by)).shares).toBe(1)
    expect(await outcome(await askToken(box, {}, by))).toBe('410 drop_box_closed')
  })

  it('finds the place of a prefix in each Unicode form', async () => {
    for (const name of [`caf\u00e9-${Date.now()}/`, `cafe\u0301-${Date.now()}/`]) {
      const grant = await grantOf(name)
      expect(await erase(name)).toMatchObject({ shares: 1 })
      expect((await worker.fetch(grant.url)).status).toBe(410)
    }
  })
})

it('a grant of a file that is in no folder has no person', async () => {
  const grant = await grantFor({ key: await putReport() })
  expect((await worker.fetch(`/grants/${grant.id}`, { method: 'DELETE' })).status).toBe(204)
})
