import { describe, expect, it } from 'vitest'
import { bucketFetch } from '../../support/bucket.ts'
import { bearer } from '../../support/credentials.ts'
import { type Begun, completeParts, partUrl, startInParts } from '../../support/drop-box-parts.ts'
import {
  arrive,
  createBox,
  DAY,
  type DropBox,
  HOUR,
  holdsOf,
  inFuture,
  MINUTE,
  objectOf,
  outcome,
  passes,
  visit,
  workerWith,
} from '../../support/drop-boxes.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

const close = ({ id }: DropBox): Promise<Response> =>
  worker.fetch(`/drop-boxes/${id}`, { method: 'DELETE' })

const inBucket = async (key: string): Promise<boolean> =>
  (await bucketFetch(encodeURI(key), { method: 'HEAD' })).ok

describe('DELETE', () => {
  // @threat box-closed
  it('ends everything at once, and can be repeated', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const key = await sender.put()
    const started = await startInParts(sender, 'hello')
    expect((await close(box)).status).toBe(204)
    expect((await close(box)).status).toBe(204)
    for (const response of [
      await worker.fetch(box.url),
      await worker.post(`${box.url}/token`, {}),
      await sender.begin(),
      await sender.post('/multipart', { fileName: 'a', mimetype: 'text/plain', size: 1 }),
      await sender.record(key),
      await completeParts(sender, started),
      await sender.fetch('/limits'),
    ])
      expect(await outcome(response)).toBe('410 drop_box_closed')
    for (const path of ['', '/files'])
      expect(await outcome(await worker.fetch(`/drop-boxes/${box.id}${path}`))).toBe(
        '404 not_found',
      )
    const list = await (await worker.fetch('/drop-boxes?limit=100')).text()
    expect(list).not.toContain(box.id)
  })

  it('still lets a sender abort an upload in parts', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const { key, uploadId } = await startInParts(sender, 'hello')
    await close(box)
    const path = `/multipart/${encodeURIComponent(uploadId)}?key=${encodeURIComponent(key)}`
    expect((await sender.fetch(path, { method: 'DELETE' })).status).toBe(204)
    // But nothing of somebody else.
    const other = await startInParts(await visit(await createBox()), 'hello')
    const foreign = `/multipart/${encodeURIComponent(other.uploadId)}?key=${encodeURIComponent(other.key)}`
    expect(await outcome(await sender.fetch(foreign, { method: 'DELETE' }))).toBe(
      '400 invalid_upload_id',
    )
  })

  it('keeps what has arrived, and records it if nobody has', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const recorded = await sender.put()
    await sender.record(recorded)
    const forgotten = await sender.put()
    await arrive(box, forgotten)
    await new Promise((resolve) => setTimeout(resolve, 1100))
    await close(box)
    await passes(7 * MINUTE, box)
    for (const key of [recorded, forgotten]) {
      expect(await inBucket(key)).toBe(true)
      const file = await worker.fetch(`/files/${encodeURIComponent(key)}`)
      expect(await file.json()).toMatchObject({ owner: `drop-box:${box.id}` })
    }
  })

  // @threat box-closed
  it('keeps what was counted before, also if the clock of the bucket is ahead', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const key = await sender.put()
    expect((await sender.record(key)).status).toBe(201)
    await objectOf(box).end(Date.now() - 10_000)
    await passes(7 * MINUTE, box)
    expect(await inBucket(key)).toBe(true)
  })

  it('takes no part after it, and is gone in the end', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const begun = await (await sender.begin()).json<Begun>()
    const url = await partUrl(sender, begun)
    await close(box)
    await passes(0, box)
    expect((await fetch(url, { method: 'PUT', body: 'hello' })).status).toBe(404)
    await passes(2 * DAY, box)
    expect(await inBucket(begun.key)).toBe(false)
    expect(await objectOf(box).read()).toBeNull()
    expect(await holdsOf(box).catch(() => [])).toEqual([])
  })

  it('counts during a request: between the check of a token and the reservation', async () => {
    const box = await createBox()
    const { token } = await visit(box)
    const closing = workerWith({
      getByName: () =>
        new Proxy(objectOf(box), {
          get: (target, name) =>
            name === 'read'
              ? async () => {
                  const state = await target.read()
                  await close(box)
                  return state
                }
              : Reflect.get(target, name),
        }),
    })
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
    expect(await outcome(await closing.post('/multipart', file, bearer(token)))).toBe(
      '410 drop_box_closed',
    )
  })

  it('counts during a request: between the check of a token and the record', async () => {
    const box = await createBox()
    const key = await (await visit(box)).put()
    await arrive(box, key)
    await objectOf(box).end(Date.now(), true)
    const file = { key, etag: '"a"', size: 5, name: 'a', mimetype: 'text/plain', at: Date.now() }
    expect(await objectOf(box).settle(file, Date.now())).toEqual({ ok: false, why: 'closed' })
    await passes(0, box)
    expect(await inBucket(key)).toBe(false)
  })
})

it('closes at its deadline, but records what was reserved before', async () => {
  const box = await createBox({ deadline: inFuture(1500) })
  const sender = await visit(box)
  const key = await sender.put()
  await new Promise((resolve) => setTimeout(resolve, 1600))
  expect(await outcome(await sender.begin())).toMatch(
    /^4(?:01 unauthenticated|10 drop_box_closed)$/,
  )
  expect(await outcome(await worker.fetch(box.url))).toBe('410 drop_box_closed')
  await passes(HOUR, box)
  expect(await (await worker.fetch(`/drop-boxes/${box.id}/files`)).json()).toMatchObject({
    files: [{ key }],
  })
})
