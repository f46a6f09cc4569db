import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { bucketFetch } from '../../support/bucket.ts'
import { type Begun, partUrl } from '../../support/drop-box-parts.ts'
import {
  arrive,
  createBox,
  currently,
  DAY,
  HOUR,
  holdsOf,
  inBox,
  inFuture,
  MINUTE,
  objectOf,
  outcome,
  passes,
  receivedIn,
  visit,
} from '../../support/drop-boxes.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

const recordOf = async (key: string): Promise<Response> =>
  worker.fetch(`/files/${encodeURIComponent(key)}`)

const isInBucket = async (key: string): Promise<boolean> =>
  (await bucketFetch(key, { method: 'HEAD' })).ok

const ofKey = (key: string): string => encodeURI(key)

describe('at the end of a reservation', () => {
  // @threat box-forgotten-upload
  it('counts and records what was uploaded but not recorded', async () => {
    const box = await createBox()
    const key = await (await visit(box, { sender: { name: 'Ann' } })).put()
    await passes(4 * MINUTE, box)
    expect((await currently(box)).received.files).toBe(0)
    await passes(7 * MINUTE, box)
    expect((await currently(box)).received).toEqual({ files: 1, bytes: 5 })
    expect(await receivedIn(box)).toMatchObject([{ key, sender: { name: 'Ann', note: '' } }])
    expect(await (await recordOf(key)).json()).toMatchObject({ owner: `drop-box:${box.id}` })
    // Its URL may have been used again: one more look.
    await passes(2 * DAY, box)
    expect(await holdsOf(box)).toEqual([])
  })

  it('records what was counted but not recorded', async () => {
    const box = await createBox()
    const key = await (await visit(box)).put()
    await arrive(box, key)
    const head = await bucketFetch(ofKey(key), { method: 'HEAD' })
    // What a Worker does that ends before it writes the record.
    const file = { key, etag: head.headers.get('ETag') ?? '', size: 5, mimetype: 'text/plain' }
    await objectOf(box).settle({ ...file, name: 'cv.txt', at: Date.now() }, Date.now())
    expect((await currently(box)).received.files).toBe(1)
    await passes(7 * MINUTE, box)
    expect((await currently(box)).received).toEqual({ files: 1, bytes: 5 })
    expect(await (await recordOf(key)).json()).toMatchObject({ owner: `drop-box:${box.id}` })
  })

  it('frees what was never uploaded', async () => {
    const box = await createBox({ maxFiles: 1 })
    const [ann, bob] = [
      await visit(box, { ip: '203.0.113.1' }),
      await visit(box, { ip: '203.0.113.2' }),
    ]
    expect((await ann.begin()).status).toBe(200)
    expect(await outcome(await bob.begin())).toBe('429 rate_limited')
    await passes(7 * MINUTE, box)
    expect((await bob.begin()).status).toBe(200)
  })

  it('aborts what lacks a part', async () => {
    const size = 8 * 1024 ** 2 + 5
    const box = await createBox({ maxFiles: 1, maxBytes: size, maxTotalBytes: size })
    const sender = await visit(box)
    const begun = await (await sender.begin(size)).json<Begun>()
    const put = await fetch(await partUrl(sender, begun, 2), { method: 'PUT', body: 'hello' })
    expect(put.status).toBe(200)
    await passes(9 * MINUTE, box)
    expect((await holdsOf(box)).map(({ state }) => state)).toEqual(['open'])
    await passes(10 * MINUTE, box)
    expect((await holdsOf(box)).map(({ state }) => state)).toEqual(['lost'])
    const late = await fetch(await partUrl(sender, begun, 2).catch(() => put.url), {
      ...{ method: 'PUT', body: 'hello' },
    })
    expect(late.status).toBe(404)
    expect((await currently(box)).received.files).toBe(0)
  })

  // @threat box-forgotten-upload
  it('completes what has arrived, also if a look has ended in the middle', async () => {
    const box = await createBox()
    const key = await (await visit(box)).put()
    const ends = await inBox(box, (ledger) => ledger.upload(key)?.ends ?? 0)
    // The object is killed after this.
    await inBox(box, (ledger) => ledger.due(5, ends))
    await passes(10 * MINUTE, box)
    expect(await receivedIn(box)).toMatchObject([{ key }])
  })

  it('lets a sender who completes during a look try again', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const key = await sender.put()
    const ends = await inBox(box, (ledger) => ledger.upload(key)?.ends ?? 0)
    await inBox(box, (ledger) => ledger.due(5, ends))
    const early = await sender.record(key)
    expect([early.status, early.headers.get('Retry-After')]).toEqual([429, '5'])
    await passes(10 * MINUTE, box)
    expect((await sender.record(key)).status).toBe(201)
    expect((await currently(box)).received.files).toBe(1)
  })

  it('never completes what its sender has canceled', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const key = await sender.put()
    await objectOf(box).free(key, Date.now())
    await passes(10 * MINUTE, box)
    expect((await currently(box)).received.files).toBe(0)
    expect(await isInBucket(ofKey(key))).toBe(false)
  })
})

describe('a file that arrives although its reservation is lost', () => {
  const lose = async (box: { id: string; url: string }) => {
    const key = await (await visit(box, { ip: '203.0.113.1' })).put()
    await arrive(box, key)
    await objectOf(box).free(key, Date.now())
    await objectOf(box).freed(key, Date.now())
    return key
  }

  it('is counted and recorded if it fits', async () => {
    const box = await createBox()
    const key = await lose(box)
    await passes(DAY + HOUR, box)
    expect(await receivedIn({ id: box.id })).toMatchObject([{ key }])
    expect((await recordOf(key)).status).toBe(200)
  })

  // @threat box-late-upload
  it('is deleted if it does not', async () => {
    const box = await createBox({ maxFiles: 1 })
    const key = await lose(box)
    await (await visit(box, { ip: '203.0.113.2' })).send()
    await passes(DAY + HOUR, box)
    expect(await isInBucket(ofKey(key))).toBe(false)
    expect(await outcome(await recordOf(key))).toBe('404 object_not_found')
    expect((await currently(box)).received.files).toBe(1)
  })

  it('cannot be recorded over the limit, and is deleted', async () => {
    const box = await createBox({ maxFiles: 1 })
    const key = await lose(box)
    const other = await visit(box, { ip: '203.0.113.2' })
    await other.send()
    expect(await outcome(await other.post('/files', { key }))).toBe('409 drop_box_full')
    await passes(0, box)
    expect(await isInBucket(ofKey(key))).toBe(false)
    expect((await currently(box)).received.files).toBe(1)
  })
})

it('counts no object that lacks the mark of its upload', async () => {
  const box = await createBox({ maxTotalBytes: 10 })
  const sender = await visit(box)
  const begun = await sender.begin(5)
  const { key } = await begun.json<{ key: string }>()
  await bucketFetch(ofKey(key), { method: 'PUT', body: 'hello' })
  expect(await outcome(await sender.post('/files', { key }))).toBe('403 forbidden')
  await passes(7 * MINUTE, box)
  expect((await currently(box)).received).toEqual({ files: 0, bytes: 0 })
  expect(await isInBucket(ofKey(key))).toBe(true)
})

// @threat box-foreign-record
it('leaves what the app has made of a file, also if its sender records it again', async () => {
  const box = await createBox({ maxTotalBytes: 10 })
  const sender = await visit(box)
  const { key } = await (await sender.send()).json<{ key: string }>()
  await bucketFetch(ofKey(key), { method: 'PUT', body: '12345678901' })
  expect(await outcome(await sender.post('/files', { key }))).toBe('403 forbidden')
  await passes(7 * MINUTE, box)
  expect(await isInBucket(ofKey(key))).toBe(true)
  expect((await currently(box)).received).toEqual({ files: 1, bytes: 5 })
})

it('is removed some time after its deadline, with its last look', async () => {
  const box = await createBox({ deadline: inFuture(HOUR) })
  await (await visit(box)).send()
  await passes(2 * HOUR, box)
  expect((await currently(box)).received.files).toBe(1)
  await passes(31 * DAY, box)
  expect(await outcome(await worker.fetch(`/drop-boxes/${box.id}`))).toBe('404 not_found')
  const tables = await runInDurableObject(objectOf(box), (_, { storage }) =>
    storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'uploads'").toArray(),
  )
  expect(tables).toEqual([])
})

it('writes nothing when somebody asks for a box that does not exist', async () => {
  const box = { id: 'f'.repeat(32) }
  const object = objectOf(box)
  expect(await object.read()).toBeNull()
  expect(await object.guess(['n'], 'a', Date.now())).toEqual({
    isRight: false,
    waitSeconds: 0,
    wrong: 0,
  })
  const ask = { key: 'a', size: 1, network: 'n', around: 'm', sender: null, country: null }
  expect(await object.reserve(ask, Date.now())).toEqual({ ok: false, why: 'closed' })
  expect(await object.step('a', true, Date.now())).toEqual({ ok: false, why: 'closed' })
  expect(await object.free('a', Date.now())).toBeNull()
  await object.undo('a', Date.now())
  await object.told('a')
  await object.renew('a', 1, Date.now())
  await object.freed('a', Date.now())
  expect(await object.began('a', 'b')).toBe(false)
  await object.end(Date.now())
  expect(await object.files(10, null)).toEqual({ files: [], next: null })
  const [tables, alarm] = await runInDurableObject(object, async (_, { storage }) => [
    storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '_cf%'").toArray(),
    await storage.getAlarm(),
  ])
  expect([tables, alarm]).toEqual([[], null])
})
