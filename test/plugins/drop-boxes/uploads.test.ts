import { describe, expect, it } from 'vitest'
import { completeParts, startInParts } from '../../support/drop-box-parts.ts'
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
    const begun = await sender.post(
      '/files/upload-url',
      { fileName: 'cv.txt', mimetype: 'text/plain', size: 5 },
      'DE',
    )
    const signed = await begun.json<Parameters<typeof putTo>[0] & { expiresIn: number }>()
    expect(signed.expiresIn).toBeLessThanOrEqual(300)
    expect(signed.key).toMatch(new RegExp(`^${box.prefix}uploads/`))
    await putTo(signed, 'hello')
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

  it('sends a file in parts', async () => {
    const box = await createBox({ maxBytes: 20_000_000, maxTotalBytes: 20_000_000 })
    const sender = await visit(box)
    const started = await startInParts(sender, 'hello')
    expect((await completeParts(sender, started)).status).toBe(201)
    expect((await currently(box)).received).toEqual({ files: 1, bytes: 5 })
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
    const answers = await Promise.all([1, 2, 3].map(() => sender.record(key)))
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
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
