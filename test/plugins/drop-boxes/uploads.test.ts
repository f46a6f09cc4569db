import { describe, expect, it } from 'vitest'
import { type Begun, partUrl } from '../../support/drop-box-parts.ts'
import {
  askToken,
  createBox,
  currently,
  outcome,
  putTo,
  receivedIn,
  visit,
} from '../../support/drop-boxes.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

describe('a sender', () => {
  it('sends a file below the prefix of the box, which counts and lists it', async () => {
    const box = await createBox()
    const sender = await visit(box, {
      sender: { name: 'Ann', note: 'Both pages' },
      ip: '203.0.113.7',
      country: 'DE',
    })
    const file = { fileName: 'cv.txt', mimetype: 'text/plain', size: 5 }
    const begun = await sender.post('/multipart', file, 'DE')
    const signed = await begun.json<Begun>()
    expect(signed.key).toMatch(new RegExp(`^${box.prefix}uploads/`))
    const url = new URL(await partUrl(sender, signed))
    expect(Number(url.searchParams.get('X-Amz-Expires'))).toBeLessThanOrEqual(300)
    await putTo(sender, signed, 'hello')
    const recorded = await sender.record(signed.key, { name: 'cv.txt' })
    expect(await recorded.json()).toMatchObject({ key: signed.key, owner: `drop-box:${box.id}` })
    expect((await currently(box)).received).toEqual({ files: 1, bytes: 5 })
    expect(await receivedIn(box)).toEqual([
      {
        key: signed.key,
        bucket: 'files',
        name: 'cv.txt',
        size: 5,
        mimetype: 'text/plain',
        receivedAt: expect.any(String),
        sender: { name: 'Ann', note: 'Both pages' },
        country: 'DE',
      },
    ])
  })

  // @threat box-over-limit box-swapped
  it('gets no URL for a whole file, which could arrive at any time, and more than once', async () => {
    const sender = await visit(await createBox())
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
    for (const [path, body] of [
      ['/files/upload-url', file],
      ['/files/upload-urls', { files: [file] }],
    ] as const)
      expect(await outcome(await sender.post(path, body))).toBe('403 forbidden')
  })

  it('learns of the box from its token', async () => {
    const box = await createBox({ message: 'Line 1\nLine 2', allowedTypes: ['text/plain'] })
    const told = await (await askToken(box)).json<{ expiresAt: string; token: string }>()
    expect(told).toMatchObject({
      from: 'Example GmbH',
      title: 'Your documents',
      message: 'Line 1\nLine 2',
      endpoint: 'http://localhost:8787',
      bucket: 'files',
      maxFiles: 10,
      allowedTypes: ['text/plain'],
      left: { files: 10, bytes: 10_000 },
    })
    expect(Date.parse(told.expiresAt) - Date.now()).toBeLessThanOrEqual(600_000)
  })

  it('must state a size', async () => {
    const sender = await visit(await createBox())
    expect(await outcome(await sender.begin(undefined, { size: undefined }))).toBe(
      '400 size_required',
    )
  })

  it('is refused a larger file or another type', async () => {
    const sender = await visit(await createBox({ allowedTypes: ['text/*'] }))
    expect(await outcome(await sender.begin(1001))).toBe('413 file_too_large')
    const image = { fileName: 'a.png', mimetype: 'image/png' }
    expect(await outcome(await sender.begin(5, image))).toBe('400 mimetype_not_allowed')
  })

  it('counts a file once, however often it is recorded', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const key = await sender.put()
    expect((await sender.record(key)).status).toBe(201)
    const again = [sender.record(key), sender.post('/files', { key }), sender.record(key)]
    expect((await Promise.all(again)).map(({ status }) => status)).toEqual([201, 201, 201])
    expect((await currently(box)).received).toEqual({ files: 1, bytes: 5 })
  })
})

it('shows the page', async () => {
  const box = await createBox()
  const page = await worker.fetch(box.url)
  expect(page.status).toBe(200)
  expect(await page.text()).toContain('Your documents')
  expect(page.headers.get('Content-Security-Policy')).toContain("frame-ancestors 'none'")
})
