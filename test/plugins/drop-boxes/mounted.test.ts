import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import type { FileEvent } from '../../../src/index.ts'
import { ANN } from '../../support/ann.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { bearer } from '../../support/credentials.ts'
import {
  boxRequest,
  createBox,
  DAY,
  type DropBox,
  holdsOf,
  MINUTE,
  objectOf,
  outcome,
  passes,
  visit,
} from '../../support/drop-boxes.ts'
import { type MountOptions, mount } from '../../support/mount.ts'
import { baseVariables, testWorker } from '../../support/worker.ts'

/** An app in which everybody with the header may act as Ann, and its events. */
function app(options: MountOptions = {}, onEvent?: (event: FileEvent) => unknown) {
  const events: FileEvent[] = []
  const mounted = mount({
    authenticate: (c) => c.req.header('X-User') === 'ann' && ANN,
    events: {
      onEvent: (event) => {
        events.push(event)
        return onEvent?.(event) as undefined
      },
    },
    ...options,
  })
  return { ...mounted, events }
}

const AS_ANN = { headers: { 'X-User': 'ann' } }

describe('in an app', () => {
  it('works next to authenticate, under its path', async () => {
    const mounted = app()
    const box = await createBox({}, mounted, AS_ANN, '/media')
    expect(box.url).toMatch(/^https:\/\/app\.example\/media\/d\/[\w-]{22}$/)
    expect((await mounted.fetch(box.url)).status).toBe(200)
    const sender = await visit(box, {}, mounted, '/media')
    expect((await sender.send()).status).toBe(201)
    expect(await outcome(await mounted.fetch('/media/limits'))).toBe('401 unauthenticated')
    const own = await mounted.fetch(`/media/drop-boxes/${box.id}`, AS_ANN)
    expect(await own.json()).toMatchObject({ received: { files: 1, bytes: 5 } })
  })

  it("asks the app's beforeUpload, which sees the box as its principal", async () => {
    const seen: unknown[] = []
    const mounted = app({
      beforeUpload: (file, principal) => {
        seen.push([principal.id, principal.prefix, file.size])
        return file.fileName === 'no.txt' ? { refuse: 'Not this one.' } : undefined
      },
    })
    const box = await createBox({ maxFiles: 1 }, mounted, AS_ANN, '/media')
    const sender = await visit(box, {}, mounted, '/media')
    expect(await outcome(await sender.begin(5, { fileName: 'no.txt' }))).toBe('403 forbidden')
    expect((await sender.send()).status).toBe(201)
    expect(seen).toEqual([
      [`drop-box:${box.id}`, box.prefix, 5],
      [`drop-box:${box.id}`, box.prefix, 5],
    ])
  })

  it('lets the app choose the key, which is reserved', async () => {
    const mounted = app({
      beforeUpload: (_file, { prefix }) => ({ key: `${prefix}from-app.txt`, overwrite: true }),
    })
    const box = await createBox({}, mounted, AS_ANN, '/media')
    const sender = await visit(box, {}, mounted, '/media')
    expect(await (await sender.send()).json()).toMatchObject({ key: `${box.prefix}from-app.txt` })
    const own = await mounted.fetch(`/media/drop-boxes/${box.id}`, AS_ANN)
    expect(await own.json()).toMatchObject({ received: { files: 1, bytes: 5 } })
  })
})

describe('a look at the bucket, of a key that the app chose', () => {
  const begin = async (changes: object = {}) => {
    const mounted = app({
      beforeUpload: (_file, { prefix }) => ({ key: `${prefix}from-app.txt`, overwrite: true }),
    })
    const box = await createBox(changes, mounted, AS_ANN, '/media')
    return {
      box,
      sender: await visit(box, {}, mounted, '/media'),
      key: `${box.prefix}from-app.txt`,
    }
  }
  const putOwn = (key: string, body: string) => bucketFetch(key, { method: 'PUT', body })
  const sizeOf = async (key: string) =>
    (await bucketFetch(key, { method: 'HEAD' })).headers.get('Content-Length')

  // @threat box-foreign-record
  it.each([4, 2000])('leaves an object of %i bytes alone that no sender uploaded', async (size) => {
    const { box, sender, key } = await begin()
    await putOwn(key, 'x'.repeat(size))
    expect((await sender.begin()).status).toBe(200)
    await passes(7 * MINUTE, box)
    expect(await sizeOf(key)).toBe(`${size}`)
    expect((await objectOf(box).state())?.received).toEqual({ files: 0, bytes: 0 })
    await passes(2 * DAY, box)
    expect(await sizeOf(key)).toBe(`${size}`)
    expect(await holdsOf(box)).toEqual([])
  })

  it('leaves what replaced the upload of a sender alone', async () => {
    const { box, sender, key } = await begin()
    expect((await sender.send()).status).toBe(201)
    await putOwn(key, 'x'.repeat(2000))
    await passes(7 * MINUTE, box)
    expect(await sizeOf(key)).toBe('2000')
    expect((await objectOf(box).state())?.received).toEqual({ files: 1, bytes: 5 })
  })

  it('leaves what replaced an upload over the limit alone', async () => {
    const { box, sender, key } = await begin()
    await sender.put()
    await putOwn(key, 'x'.repeat(2000))
    await objectOf(box).settle(
      { ...{ key, etag: '"a"', size: 2000, name: 'a', mimetype: 'text/plain' }, at: Date.now() },
      Date.now(),
    )
    await passes(0, box)
    // The object's own alarm may be at it.
    await expect.poll(() => holdsOf(box)).toEqual([])
    expect(await sizeOf(key)).toBe('2000')
  })

  it('deletes what replaced a counted file, if it is over the limit', async () => {
    const { box, sender, key } = await begin({ maxTotalBytes: 100 })
    expect((await sender.send()).status).toBe(201)
    expect(await outcome(await sender.begin(101))).toBe('409 drop_box_full')
    expect(await outcome(await sender.begin(100))).toBe('200')
    await objectOf(box).settle(
      { ...{ key, etag: '"a"', size: 101, name: 'a', mimetype: 'text/plain' }, at: Date.now() },
      Date.now(),
    )
    expect((await objectOf(box).state())?.received).toEqual({ files: 0, bytes: 0 })
    await passes(0, box)
    // The object's own alarm may be at it.
    await expect.poll(async () => (await bucketFetch(key, { method: 'HEAD' })).status).toBe(404)
  })

  it('counts what a sender uploaded but did not record', async () => {
    const { box, sender } = await begin()
    await sender.put()
    await passes(7 * MINUTE, box)
    expect((await objectOf(box).state())?.received).toEqual({ files: 1, bytes: 5 })
  })
})

describe('drop-box.received', () => {
  it('tells who asked, who sent, and what, and no address', async () => {
    const mounted = app()
    const box = await createBox({ title: 'Papers' }, mounted, AS_ANN, '/media')
    const visitor = { sender: { name: 'Bob', note: 'Hi' }, ip: '203.0.113.9' }
    const sender = await visit(box, visitor, mounted, '/media')
    const key = await sender.put()
    const record = await (await sender.record(key)).json()
    await sender.record(key)
    const received = mounted.events.filter(({ type }) => type === 'received')
    expect(received).toEqual([
      {
        type: 'received',
        timestamp: expect.any(String),
        file: record,
        dropBox: { id: box.id, label: 'Papers' },
        sender: { name: 'Bob', note: 'Hi' },
        country: null,
        principal: 'app:ann',
        subject: null,
        context: null,
      },
    ])
    const text = JSON.stringify(mounted.events)
    expect(text).not.toContain('203.0.113.9')
    expect(text).not.toContain(box.url.split('/').at(-1))
    expect(mounted.events.find(({ type }) => type === 'recorded')).toMatchObject({
      principal: `drop-box:${box.id}`,
    })
  })

  // @threat box-event-fails
  it('that fails never stops an upload, nor does the event of the record', async () => {
    const mounted = app({}, () => {
      throw new Error('Queue is full.')
    })
    const box = await createBox({}, mounted, AS_ANN, '/media')
    const sender = await visit(box, {}, mounted, '/media')
    const key = await sender.put()
    expect((await sender.record(key)).status).toBe(201)
    expect(mounted.lines.at(-1)?.warning).toMatch(/event not sent/)
    const file = await mounted.fetch(`/media/files/${encodeURIComponent(key)}`, AS_ANN)
    expect(await file.json()).toMatchObject({ owner: `drop-box:${box.id}` })
    const types = mounted.events.map(({ type }) => type)
    expect(types).toEqual(['received', 'recorded'])
    // The next look sends both again.
    const rows = await runInDurableObject(objectOf(box), (_, { storage }) =>
      storage.sql.exec('SELECT told, lost FROM received').toArray(),
    )
    expect(rows).toEqual([{ told: 0, lost: 1 }])
  })

  it('is sent once for a file that is recorded again', async () => {
    const mounted = app()
    const box = await createBox({}, mounted, AS_ANN, '/media')
    const sender = await visit(box, {}, mounted, '/media')
    const key = await sender.put()
    for (let i = 0; i < 3; i++) await sender.record(key)
    expect(mounted.events.filter(({ type }) => type === 'received')).toHaveLength(1)
  })

  it('that fails still stops the record of everybody else', async () => {
    const mounted = app({}, () => {
      throw new Error('Queue is full.')
    })
    const begun = await mounted.post(
      '/media/files/upload-url',
      { fileName: 'a.txt', mimetype: 'text/plain' },
      AS_ANN,
    )
    const { key, uploadUrl } = await begun.json<{ key: string; uploadUrl: string }>()
    await fetch(uploadUrl, {
      method: 'PUT',
      headers: { 'Content-Type': 'text/plain' },
      body: 'hello',
    })
    const recorded = await mounted.post('/media/files', { key }, AS_ANN)
    expect(await outcome(recorded)).toBe('503 unavailable events')
  })
})

describe('with LINK_ORIGIN', () => {
  const PAGES = 'https://img.example'
  const variables = { ...baseVariables(), LINK_ORIGIN: PAGES }
  const api = testWorker(variables)
  const pages = testWorker(variables, PAGES)

  // @threat box-link-host
  it('has its page and its API there, and nothing else', async () => {
    const box = await createBox({}, api)
    expect(box.url.startsWith(`${PAGES}/d/`)).toBe(true)
    const moved = await api.fetch(new URL(box.url).pathname, { redirect: 'manual' })
    expect([moved.status, moved.headers.get('Location')]).toEqual([308, box.url])
    expect((await pages.fetch(box.url)).status).toBe(200)
    const sender = await visit(box, {}, pages)
    expect((await sender.send()).status).toBe(201)
    expect(await outcome(await pages.post('/drop-boxes', boxRequest()))).toBe('404 not_found')
    const minted = await api.post('/tokens', { scopes: SCOPES })
    const { token } = await minted.json<{ token: string }>()
    expect(await outcome(await pages.fetch('/files', bearer(token)))).toBe('404 not_found')
    const both = await pages.fetch(`/u/${token}/files`, bearer(sender.token))
    expect(await outcome(both)).toBe('404 not_found')
  })
})

it('lists the boxes of one creator in pages, and only to them', async () => {
  const mounted = mount({
    authenticate: (c) => {
      const id = c.req.header('X-User')
      return id !== undefined && { ...ANN, id }
    },
  })
  const user = { headers: { 'X-User': crypto.randomUUID() } }
  const made: string[] = []
  for (let i = 0; i < 7; i++) made.unshift((await createBox({}, mounted, user, '/media')).id)
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const query = new URLSearchParams({ limit: '3', ...(cursor && { cursor }) })
    const page = await (await mounted.fetch(`/media/drop-boxes?${query}`, user)).json<{
      dropBoxes: DropBox[]
      cursor?: string
    }>()
    seen.push(...page.dropBoxes.map(({ id }) => id))
    cursor = page.cursor
    if (cursor !== undefined && page.dropBoxes[0]?.id === made[0]) {
      const other = { headers: { 'X-User': 'mallory' } }
      const path = `/media/drop-boxes?cursor=${cursor}`
      expect(await outcome(await mounted.fetch(path, other))).toBe('400 invalid_cursor')
      const files = `/media/drop-boxes/${made[0]}/files?cursor=${cursor}`
      expect(await outcome(await mounted.fetch(files, user))).toBe('400 invalid_cursor')
    }
  } while (cursor !== undefined)
  expect(seen.toSorted()).toEqual(made.toSorted())
})

it('lists what a box has received in pages', async () => {
  const worker = testWorker()
  const box = await createBox()
  const sender = await visit(box)
  const sent: string[] = []
  for (let i = 0; i < 5; i++) {
    const key = await sender.put()
    await sender.record(key)
    sent.unshift(key)
  }
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const query = new URLSearchParams({ limit: '2', ...(cursor && { cursor }) })
    const page = await (await worker.fetch(`/drop-boxes/${box.id}/files?${query}`)).json<{
      files: { key: string }[]
      cursor?: string
    }>()
    seen.push(...page.files.map(({ key }) => key))
    cursor = page.cursor
  } while (cursor !== undefined)
  expect(seen).toEqual(sent)
})
