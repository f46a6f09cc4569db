import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import type { FileEvent } from '../../../src/index.ts'
import { ANN } from '../../support/ann.ts'
import { bearer } from '../../support/credentials.ts'
import {
  boxRequest,
  createBox,
  type DropBox,
  holdsOf,
  inBox,
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

  // @threat box-swapped
  it.each([
    ['a key', (prefix: string) => ({ key: `${prefix}from-app.txt` })],
    ['overwrite', () => ({ overwrite: true })],
  ])('takes no %s from beforeUpload', async (_, changes) => {
    const mounted = app({ beforeUpload: (_file, { prefix }) => changes(prefix) })
    const box = await createBox({}, mounted, AS_ANN, '/media')
    const sender = await visit(box, {}, mounted, '/media')
    expect(await outcome(await sender.begin())).toBe('500 internal')
    expect(mounted.lines.at(-1)?.reason).toMatch(/beforeUpload.*overwrite/)
    expect(await holdsOf(box)).toEqual([])
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
  it('that fails is sent later, and so is the event of the record', async () => {
    const mounted = app({}, () => {
      throw new Error('Queue is full.')
    })
    const box = await createBox({}, mounted, AS_ANN, '/media')
    const sender = await visit(box, {}, mounted, '/media')
    const key = await sender.put()
    expect(await outcome(await sender.record(key))).toBe('503 unavailable events')
    expect(mounted.lines.at(-1)?.warning).toMatch(/event not sent/)
    // It is counted. The next look records it.
    expect((await objectOf(box).read())?.received).toEqual({ files: 1, bytes: 5 })
    expect(await inBox(box, (ledger) => ledger.upload(key)?.told)).toBe(0)
    await passes(7 * MINUTE, box)
    const file = await testWorker().fetch(`/files/${encodeURIComponent(key)}`)
    expect(await file.json()).toMatchObject({ owner: `drop-box:${box.id}` })
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
