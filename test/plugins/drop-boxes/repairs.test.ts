import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { bucketFetch } from '../../support/bucket.ts'
import { completeParts, startInParts } from '../../support/drop-box-parts.ts'
import {
  createBox,
  currently,
  DAY,
  HOUR,
  holdsOf,
  inFuture,
  MINUTE,
  objectOf,
  outcome,
  passes,
  putTo,
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

  it('keeps one in parts for 30 minutes, and then aborts it', async () => {
    const box = await createBox({ maxFiles: 1 })
    const started = await startInParts(await visit(box), 'hello')
    await passes(20 * MINUTE, box)
    expect((await holdsOf(box)).map(({ state }) => state)).toEqual(['open'])
    await passes(31 * MINUTE, box)
    expect((await holdsOf(box)).map(({ state }) => state)).toEqual(['late'])
    expect(await outcome(await completeParts(await visit(box), started))).toBe(
      '404 upload_not_found',
    )
    expect((await currently(box)).received.files).toBe(0)
  })
})

describe('a file that lands late', () => {
  const begin = async (box: Awaited<ReturnType<typeof createBox>>, ip: string) => {
    const sender = await visit(box, { ip })
    return (await sender.begin()).json<Parameters<typeof putTo>[0]>()
  }

  it('is counted and recorded if it fits', async () => {
    const box = await createBox()
    const signed = await begin(box, '203.0.113.1')
    await passes(7 * MINUTE, box)
    const key = await putTo(signed, 'hello')
    await passes(8 * MINUTE, box)
    expect((await currently(box)).received.files).toBe(0)
    await passes(DAY + HOUR, box)
    expect(await receivedIn({ id: box.id })).toMatchObject([{ key }])
    expect((await recordOf(key)).status).toBe(200)
  })

  // @threat box-late-upload
  it('is deleted, with its provisional record, if it does not', async () => {
    const box = await createBox({ maxFiles: 1 })
    const signed = await begin(box, '203.0.113.1')
    await passes(7 * MINUTE, box)
    await (await visit(box, { ip: '203.0.113.2' })).send()
    const key = await putTo(signed, 'hello')
    await passes(DAY + HOUR, box)
    expect(await isInBucket(ofKey(key))).toBe(false)
    expect(await outcome(await recordOf(key))).toBe('404 object_not_found')
    expect((await currently(box)).received.files).toBe(1)
  })

  it('cannot be recorded over the limit, and is deleted', async () => {
    const box = await createBox({ maxFiles: 1 })
    const signed = await begin(box, '203.0.113.1')
    await passes(7 * MINUTE, box)
    const other = await visit(box, { ip: '203.0.113.2' })
    await other.send()
    const key = await putTo(signed, 'hello')
    expect(await outcome(await other.record(key))).toBe('409 drop_box_full')
    await passes(0, box)
    expect(await isInBucket(ofKey(key))).toBe(false)
    // It may come back: somebody looks once more.
    await putTo(signed, 'hello')
    await passes(DAY + HOUR, box)
    expect(await isInBucket(ofKey(key))).toBe(false)
  })

  it('is deleted although there is room again meanwhile, and never counted', async () => {
    const box = await createBox({ maxFiles: 2 })
    const signed = await begin(box, '203.0.113.1')
    await passes(7 * MINUTE, box)
    const other = await visit(box, { ip: '203.0.113.2' })
    const started = await startInParts(other, 'hello')
    await (await visit(box, { ip: '203.0.113.3' })).send()
    const key = await putTo(signed, 'hello')
    expect(await outcome(await other.record(key))).toBe('409 drop_box_full')
    const upload = `${encodeURIComponent(started.uploadId)}?key=${encodeURIComponent(started.key)}`
    expect((await other.fetch(`/multipart/${upload}`, { method: 'DELETE' })).status).toBe(204)
    // The box may have deleted it already.
    expect(await outcome(await other.record(key))).toMatch(
      /^409 drop_box_full$|^404 object_not_found$/,
    )
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
  expect(await outcome(await sender.record(key))).toBe('403 forbidden')
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
  expect(await outcome(await sender.record(key))).toBe('403 forbidden')
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
  const ask = {
    key: 'a',
    size: 1,
    inParts: false,
    network: 'n',
    sender: null,
    country: null,
  }
  expect(await object.reserve(ask, Date.now())).toEqual({ ok: false, why: 'closed' })
  expect(await object.step('a', true, Date.now())).toEqual({ ok: false, why: 'closed' })
  expect(await object.free('a', Date.now())).toBeNull()
  await object.undo('a', Date.now())
  await object.told('a', 'b')
  await object.end(Date.now())
  expect(await object.files(10, null)).toEqual({ files: [], next: null })
  const [tables, alarm] = await runInDurableObject(object, async (_, { storage }) => [
    storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '_cf%'").toArray(),
    await storage.getAlarm(),
  ])
  expect([tables, alarm]).toEqual([[], null])
})
