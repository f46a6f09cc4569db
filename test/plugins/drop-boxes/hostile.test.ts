import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { captureLog } from '../../support/capture-log.ts'
import {
  askToken,
  boxRequest,
  createBox,
  type DropBox,
  outcome,
  receivedIn,
  visit,
} from '../../support/drop-boxes.ts'
import { hostileText, maybeKey } from '../../support/hostile.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

const HTML = '<script>alert(1)</script><img src=x onerror=alert(1)>"\'&'

describe('text of others', () => {
  // @threat box-hostile-text
  it('is shown as text, and kept as it is', async () => {
    await fc.assert(
      fc.asyncProperty(hostileText, hostileText, hostileText, async (from, title, message) => {
        const request = boxRequest({ from, title: title + HTML, message: message + HTML })
        const response = await worker.post('/drop-boxes', request)
        expect([400, 201]).toContain(response.status)
        if (response.status !== 201) return
        const box = await response.json<DropBox>()
        expect(box).toMatchObject({ from, title: title + HTML, message: message + HTML })
        const page = await (await worker.fetch(box.url)).text()
        expect(page).not.toMatch(/<script>|<img|\u202e/)
      }),
      { numRuns: 30 },
    )
  })

  it('of a sender comes back as it is, or is refused', async () => {
    // A refused name leaves a reservation.
    let ip = 0
    const box = await createBox({ maxFiles: 1000, maxTotalBytes: 1_000_000 })
    await fc.assert(
      fc.asyncProperty(hostileText, hostileText, hostileText, async (name, note, file) => {
        const asked = await askToken(box, { sender: { name, note } })
        expect([400, 200]).toContain(asked.status)
        if (asked.status !== 200) return
        await asked.text()
        const sender = await visit(box, { sender: { name, note }, ip: `10.2.0.${ip++ % 250}` })
        const key = await sender.put()
        const recorded = await sender.record(key, { name: file })
        expect([400, 201]).toContain(recorded.status)
        if (recorded.status !== 201) return
        const [latest] = await receivedIn(box)
        expect(latest).toMatchObject({ key, name: file, sender: { name, note } })
      }),
      { numRuns: 20 },
    )
  })

  it.each([
    ['a long name', { name: 'a'.repeat(201) }],
    ['a name of two lines', { name: 'a\nb' }],
    ['more than 2 KB', { name: 'a'.repeat(48), note: 'b'.repeat(2001) }],
    ['more than 2 KB of UTF-8', { note: '\u6f22'.repeat(683) }],
    ['a note that is not Unicode', { note: '\ud800' }],
    ['control characters', { note: '\u0000' }],
    ['an unknown member', { name: 'a', mail: 'b' }],
  ])('is refused with %s', async (_name, sender) => {
    expect(await outcome(await askToken(await createBox(), { sender }))).toBe('400 invalid_request')
  })

  it('may have 2 KB', async () => {
    const sender = { name: 'a'.repeat(48), note: 'b'.repeat(2000) }
    expect((await askToken(await createBox(), { sender })).status).toBe(200)
  })
})

describe('a hostile key', () => {
  it('is never recorded outside of what the box has reserved', async () => {
    const box = await createBox()
    const sender = await visit(box)
    await fc.assert(
      fc.asyncProperty(maybeKey, fc.boolean(), async (key, inside) => {
        const response = await sender.post('/files', { key: inside ? box.prefix + key : key })
        // s3rver fails on some keys.
        expect([400, 403, 404, 502]).toContain(response.status)
      }),
      { numRuns: 60 },
    )
    expect(await receivedIn(box)).toEqual([])
  })

  it('does not make a file leave the prefix by its name or folder', async () => {
    const box = await createBox({ maxFiles: 1000, maxTotalBytes: 1_000_000 })
    let ip = 0
    await fc.assert(
      fc.asyncProperty(hostileText, fc.option(hostileText), async (fileName, directory) => {
        const sender = await visit(box, { ip: `10.1.0.${ip++ % 250}` })
        const response = await sender.begin(1, { fileName, ...(directory && { directory }) })
        // s3rver fails on some keys.
        expect([200, 400, 429, 502]).toContain(response.status)
        if (response.status !== 200) return
        const { key } = await response.json<{ key: string }>()
        expect(key.startsWith(`${box.prefix}uploads/`)).toBe(true)
      }),
      { numRuns: 40 },
    )
  })
})

// @threat box-id-leaks
it('puts no secret id, token, password, address, name or key into the log', async () => {
  const lines = captureLog()
  const box = await createBox({ password: 'canary-password', title: 'canary-title' })
  const secret = box.url.split('/').at(-1) ?? ''
  await worker.fetch(box.url)
  await worker.fetch(`${box.url}x`)
  await askToken(box, { password: 'canary-wrong', ip: '203.0.113.77' })
  const visitor = {
    password: 'canary-password',
    ip: '203.0.113.77',
    sender: { name: 'canary-name' },
  }
  const sender = await visit(box, visitor)
  const key = await sender.put()
  const recorded = await (await sender.record(key)).text()
  await sender.record(`${box.prefix}canary-key`)
  const received = JSON.stringify(await receivedIn(box))
  for (const text of [lines.join('\n'), recorded, received]) {
    expect(text).not.toContain(secret)
    expect(text).not.toContain('203.0.113.77')
    expect(text).not.toContain('epd_')
  }
  expect(lines.length).toBeGreaterThan(5)
  expect(lines.join('\n')).not.toMatch(/canary/)
  expect(lines.join('\n')).toContain(`drop-box:${box.id}`)
})
