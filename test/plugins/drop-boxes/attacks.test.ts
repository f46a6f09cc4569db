import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { completeMultipartUpload, listParts } from '../../../src/storage/multipart.ts'
import { headObject, putObject } from '../../../src/storage/object.ts'
import { ANN } from '../../support/ann.ts'
import {
  type Begun,
  completeParts,
  partUrl,
  type Started,
  startInParts,
} from '../../support/drop-box-parts.ts'
import {
  arrive,
  askToken,
  BUCKET,
  createBox,
  DAY,
  HOUR,
  inBox,
  inFuture,
  MINUTE,
  objectOf,
  outcome,
  passes,
  putTo,
  receivedIn,
  type Sender,
  visit,
} from '../../support/drop-boxes.ts'
import { mount } from '../../support/mount.ts'
import { testWorker } from '../../support/worker.ts'

const MIB = 1024 ** 2

const newStartId = (letter: string) => `${Date.now()}-${letter.repeat(22)}`

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** Returns S3's id of each upload in parts that the Worker begins from now on. */
function watchStarts(): string[] {
  const ids: string[] = []
  const real = globalThis.fetch
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const response = await real(input, init)
    const url = input instanceof Request ? input.url : String(input)
    if (/[?&]uploads(=|&|$)/.test(url) && response.ok) {
      const [, id] = /<UploadId>([^<]+)/.exec(await response.clone().text()) ?? []
      if (id !== undefined) ids.push(id)
    }
    return response
  })
  return ids
}

/** Returns the bytes of the parts that the bucket keeps of `ids`, which it doesn't list. */
async function keptBytes(key: string, ids: readonly string[]): Promise<number> {
  let bytes = 0
  for (const s3UploadId of ids) {
    const upload = { bucket: BUCKET, key: parseObjectKey(key), s3UploadId }
    const parts = await listParts(upload, new Date()).catch(() => [])
    for (const { size } of parts) bytes += size
  }
  return bytes
}

describe('uploads in parts of one key', () => {
  // @threat box-over-limit
  it('leave the bytes of one in the bucket, and none after an abort', async () => {
    const ids = watchStarts()
    const box = await createBox({ maxFiles: 2 })
    const sender = await visit(box)
    const startId = newStartId('a')
    let last = { key: '', uploadId: '' }
    for (let i = 0; i < 10; i++) {
      last = await startInParts(sender, 'hello', { startId })
      expect(await keptBytes(last.key, ids)).toBe(5)
    }
    expect(ids).toHaveLength(10)
    const path = `/multipart/${encodeURIComponent(last.uploadId)}?key=${encodeURIComponent(last.key)}`
    expect((await sender.fetch(path, { method: 'DELETE' })).status).toBe(204)
    expect(await keptBytes(last.key, ids)).toBe(0)
    expect((await objectOf(box).read())?.left).toEqual({ files: 2, bytes: 10_000 })
  })

  it.each([
    ['its reservation ends', (box: { id: string }) => passes(31 * MINUTE, box)],
    [
      'the box closes',
      async (box: { id: string }) => {
        await objectOf(box).end(Date.now())
        await passes(0, box)
      },
    ],
  ])('are gone when %s', async (_, act) => {
    const ids = watchStarts()
    const box = await createBox({ maxBytes: 9 * MIB, maxTotalBytes: 9 * MIB })
    const sender = await visit(box)
    const begun = await (await sender.begin(8 * MIB + 5)).json<Begun>()
    await fetch(await partUrl(sender, begun, 2), { method: 'PUT', body: 'hello' })
    expect(await keptBytes(begun.key, ids)).toBe(5)
    await act(box)
    expect(ids).toHaveLength(1)
    expect(await keptBytes(begun.key, ids)).toBe(0)
  })

  it('that are being aborted take no step, and another start takes their place', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const { key, uploadId, etag } = await startInParts(sender, 'hello')
    await objectOf(box).free(key, Date.now())
    const path = `/multipart/${encodeURIComponent(uploadId)}`
    const steps = [
      sender.post(`${path}/urls`, { key, partNumbers: [1] }),
      sender.fetch(`${path}?key=${encodeURIComponent(key)}`),
      completeParts(sender, { key, uploadId, etag }),
    ]
    for (const step of steps) expect(await outcome(await step)).toBe('409 upload_ended')
    const again = await startInParts(sender, 'hello')
    expect((await completeParts(sender, again)).status).toBe(201)
    await passes(2 * MINUTE, box)
    // Once they are gone, nothing is left to end.
    expect(await outcome(await completeParts(sender, { key, uploadId, etag }))).toBe(
      '404 upload_not_found',
    )
  })

  // @threat box-other-name
  it('of one network are not recorded under the name of another', async () => {
    const box = await createBox()
    const startId = newStartId('n')
    const ann = await visit(box, { ip: '203.0.113.1', sender: { name: 'Ann' } })
    const eve = await visit(box, { ip: '198.51.100.1', sender: { name: 'Eve' } })
    const begun = await startInParts(ann, 'hello', { startId })
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5, startId }
    expect(await outcome(await eve.post('/multipart', file))).toBe('409 upload_ended')
    expect((await completeParts(eve, begun)).status).toBe(201)
    expect(await receivedIn(box)).toMatchObject([{ sender: { name: 'Ann' } }])
    // Also after the reservation has ended, since a late upload may still be there.
    const late = newStartId('l')
    await ann.begin(5, { startId: late })
    await passes(31 * MINUTE, box)
    expect(await outcome(await eve.post('/multipart', { ...file, startId: late }))).toBe(
      '409 upload_ended',
    )
  })

  it('are refused a further start if the earlier one cannot be aborted, and keep the place', async () => {
    const box = await createBox({ maxFiles: 1 })
    const sender = await visit(box)
    const startId = newStartId('c')
    await startInParts(sender, 'hello', { startId })
    const real = globalThis.fetch
    const down = vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const { method } = new Request(input, init)
      return method === 'DELETE' ? new Response(null, { status: 500 }) : real(input, init)
    })
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5, startId }
    expect(await outcome(await sender.post('/multipart', file))).toMatch(/^50/)
    expect((await objectOf(box).read())?.left.files).toBe(0)
    down.mockRestore()
    // A client repeats its start.
    expect((await sender.post('/multipart', file)).status).toBe(200)
    await passes(31 * MINUTE, box)
    expect((await objectOf(box).read())?.left.files).toBe(1)
  })

  // @threat box-over-limit
  it('are counted if one of them completes while another start aborts it, which has the same size', async () => {
    const box = await createBox({ maxFiles: 2, maxTotalBytes: 2000, deadline: inFuture(5 * DAY) })
    const sender = await visit(box)
    const startId = newStartId('r')
    const started = await startInParts(sender, 'z'.repeat(1000), { startId })
    expect(await outcome(await sender.begin(1, { startId }))).toBe('409 upload_ended')
    // The abort takes longer than the complete.
    const real = globalThis.fetch
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const { method } = new Request(input, init)
      if (method === 'DELETE') await new Promise((resolve) => setTimeout(resolve, 300))
      return real(input, init)
    })
    const restart = sender.begin(1000, { startId })
    await new Promise((resolve) => setTimeout(resolve, 40))
    const answers = await Promise.all([completeParts(sender, started), restart])
    expect(await Promise.all(answers.map(outcome))).toEqual(['201', '409 object_exists'])
    await passes(10 * MINUTE, box)
    const read = await objectOf(box).read()
    expect(read).toMatchObject({ received: { files: 1, bytes: 1000 }, left: { bytes: 1000 } })
  })

  it('that have arrived get no more URLs, and what another start has begun is aborted', async () => {
    const ids = watchStarts()
    const box = await createBox()
    const sender = await visit(box)
    const startId = newStartId('k')
    const first = await startInParts(sender, 'hello', { startId })
    const { key } = await startInParts(sender, 'hello', { startId })
    const file = { key, etag: '"a"', size: 5, name: 'a', mimetype: 'text/plain', at: Date.now() }
    expect(await objectOf(box).settle(file, Date.now())).toMatchObject({ ok: true })
    const path = `/multipart/${encodeURIComponent(first.uploadId)}/urls`
    expect(await outcome(await sender.post(path, { key, partNumbers: [1] }))).toBe(
      '404 upload_not_found',
    )
    expect(await keptBytes(key, ids)).toBe(5)
    await passes(7 * MINUTE, box)
    expect(await keptBytes(key, ids)).toBe(0)
  })

  it('have parts whose size the box sets', async () => {
    const sender = await visit(await createBox({ maxBytes: 100 * MIB, maxTotalBytes: 100 * MIB }))
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 64 * MIB }
    expect(await outcome(await sender.post('/multipart', { ...file, partSize: 64 * MIB }))).toBe(
      '400 invalid_request',
    )
    const { partSize } = await (await sender.post('/multipart', file)).json<{ partSize: number }>()
    expect(partSize).toBeLessThanOrEqual(16 * MIB)
  })
})

describe('the most bytes in the bucket', () => {
  /** What a stranger does next. The number picks one of their uploads. */
  const step = fc.tuple(
    fc.constantFrom('start', 'begin', 'part', 'complete', 'abort', 'record', 'end', 'late'),
    fc.nat(3),
  )

  // @threat box-over-limit
  it('are those of docs/share.md, whatever a stranger does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 25 }), async (steps) => {
        const ids = watchStarts()
        const box = await createBox({ maxTotalBytes: 20, maxBytes: 10 })
        const senders = await Promise.all(
          [1, 2, 3, 4].map((i) => visit(box, { ip: `203.0.113.${i}` })),
        )
        const begun: (Begun & { readonly url: string })[] = []
        const started: Started[] = []
        const act = async (name: (typeof steps)[number][0], i: number, sender: Sender) => {
          const [open, whole] = [begun.at(-1 - i), started.at(-1 - i)]
          if (name === 'start' || name === 'begin') {
            const startId = newStartId('abcd'[i] ?? 'a')
            const answer = await sender.begin(7, name === 'start' ? { startId } : {})
            if (answer.status !== 200) return
            const upload = await answer.json<Begun>()
            begun.push({ ...upload, url: await partUrl(sender, upload) })
          } else if ((name === 'part' || name === 'late') && open !== undefined) {
            // Its URL is valid for 5 minutes, and may be used whenever, as often as anybody wants.
            const put = await fetch(open.url, { method: 'PUT', body: '1234567' })
            const etag = put.headers.get('ETag')
            if (put.ok && etag) started.push({ ...open, etag })
            const more = await fetch(open.url, { method: 'PUT', body: '12345678' })
            expect(more.ok).toBe(false)
          } else if (name === 'complete' && whole !== undefined) {
            await completeParts(sender, whole)
          } else if (name === 'abort' && open !== undefined) {
            const id = encodeURIComponent(open.uploadId)
            const path = `/multipart/${id}?key=${encodeURIComponent(open.key)}`
            await sender.fetch(path, { method: 'DELETE' })
          } else if (name === 'record' && open !== undefined)
            await sender.post('/files', { key: open.key })
          else if (name === 'end') await passes(31 * MINUTE, box)
        }
        for (const [name, i] of steps) {
          const sender = senders[i]
          if (sender !== undefined) await act(name, i, sender)
          let bytes = 0
          for (const key of new Set(begun.map((one) => one.key))) {
            const head = await headObject(BUCKET, parseObjectKey(key), new Date())
            bytes += (head?.size ?? 0) + (await keptBytes(key, ids))
          }
          expect(bytes).toBeLessThanOrEqual(20)
        }
        vi.restoreAllMocks()
      }),
      { numRuns: 3 },
    )
  })

  it('count an upload that completes while it is aborted', async () => {
    const box = await createBox({ maxFiles: 2 })
    const sender = await visit(box)
    const { key, uploadId, etag } = await startInParts(sender, 'hello')
    const id = (await inBox(box, (ledger) => ledger.upload(key)?.s3_upload)) ?? ''
    const upload = { bucket: BUCKET, key: parseObjectKey(key), s3UploadId: id }
    await completeMultipartUpload(upload, [{ partNumber: 1, etag }], new Date())
    const path = `/multipart/${encodeURIComponent(uploadId)}?key=${encodeURIComponent(key)}`
    await sender.fetch(path, { method: 'DELETE' })
    expect((await objectOf(box).read())?.left.files).toBe(1)
    await passes(2 * MINUTE, box)
    expect(await receivedIn(box)).toMatchObject([{ key }])
  })
})

describe('a reservation', () => {
  // @threat box-blocked
  it('is not renewed by steps, nor by less than a part, and once by the last bytes', async () => {
    const size = 16 * MIB + 1
    const box = await createBox({ maxFiles: 1, maxBytes: size, maxTotalBytes: size })
    const now = Date.now()
    const ask = { key: 'a', size, network: 'n', around: 'm', sender: null, country: null }
    await inBox(box, async (ledger) => {
      await ledger.reserve(ask, now)
      ledger.began('a', 'id')
      const endsIn = () => ((ledger.upload('a')?.ends ?? 0) - now) / MINUTE
      const first = endsIn()
      // 5 minutes, and what the slowest sender needs for 16 MiB.
      expect(first).toBeCloseTo(5 + 513 / 60, 3)
      // It asks the bucket only in the second half.
      expect(ledger.step('a', false, now + 6 * MINUTE)).toEqual({ ok: true, counts: false })
      expect(ledger.step('a', false, now + 7 * MINUTE)).toEqual({ ok: true, counts: true })
      const renewed = [1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 16 * MIB, size, size].map(
        (listed, i) => {
          ledger.renew('a', listed, now + (i + 1) * MINUTE)
          return Math.round(endsIn() - first)
        },
      )
      expect(renewed).toEqual([0, 0, 3, 3, 5, 5, 7, 7])
    })
  })

  // @threat box-blocked
  it('is renewed when the bucket lists a part more, and by no byte', async () => {
    const size = 8 * MIB + 1
    const box = await createBox({ maxFiles: 1, maxBytes: size, maxTotalBytes: size })
    const sender = await visit(box)
    const begun = await (await sender.begin(size)).json<Begun>()
    const endsOf = () => inBox(box, (ledger) => ledger.upload(begun.key)?.ends ?? 0)
    const first = await endsOf()
    await fetch(await partUrl(sender, begun, 2), { method: 'PUT', body: 'x' })
    vi.useFakeTimers({ toFake: ['Date'], now: first - MINUTE })
    const again = await visit(box)
    await partUrl(again, begun)
    expect(await endsOf()).toBe(first)
    const body = new Uint8Array(8 * MIB)
    expect((await fetch(await partUrl(again, begun), { method: 'PUT', body })).status).toBe(200)
    await partUrl(again, begun)
    expect(await endsOf()).toBeGreaterThan(first)
  })

  it('has one end, by the size, where the server lists no parts', async () => {
    const box = await createBox({ maxBytes: 64 * MIB, maxTotalBytes: 64 * MIB })
    const now = Date.now()
    await inBox(box, async (ledger) => {
      const ask = { key: 'a', size: 64 * MIB, network: 'n', around: 'm', sender: null }
      await ledger.reserve({ ...ask, country: null }, now)
      for (const later of [20, 30, 40]) ledger.renew('a', null, now + later * MINUTE)
      // 64 MiB at 32 KiB/s, and 15 minutes.
      expect(ledger.upload('a')?.ends).toBe(now + (2048 + 900) * 1000)
    })
  })

  // @threat box-blocked
  it('is earned once by the same bytes, however often its upload starts again', async () => {
    const box = await createBox({ maxFiles: 1 })
    const now = Date.now()
    const ask = { key: 'a', size: 1, network: 'n', around: 'm', sender: null, country: null }
    await inBox(box, async (ledger) => {
      for (const minute of [0, 2, 4, 6, 8]) {
        expect((await ledger.reserve(ask, now + minute * MINUTE)).ok).toBe(true)
        ledger.began('a', 'id')
        ledger.renew('a', 1, now + (minute + 1) * MINUTE)
      }
      expect(ledger.upload('a')?.ends).toBe(now + 6 * MINUTE + 1000)
    })
  })

  it('is not longer for a start that fails again and again', async () => {
    const box = await createBox({ maxFiles: 1 })
    const now = Date.now()
    const ask = { key: 'a', size: 5, network: 'n', around: 'm', sender: null, country: null }
    await inBox(box, async (ledger) => {
      for (const second of [0, 30, 60, 90]) {
        expect((await ledger.reserve(ask, now + second * 1000)).ok).toBe(true)
        await ledger.undo('a', now + second * 1000)
        expect(ledger.upload('a')?.ends).toBe(now + second * 1000 + MINUTE)
      }
      await ledger.reserve(ask, now + 2 * MINUTE)
      expect(ledger.upload('a')?.ends).toBe(now + 5 * MINUTE + 1000)
    })
  })

  it('that fills the box lets others wait', async () => {
    const box = await createBox({ maxFiles: 1 })
    await (await visit(box, { ip: '203.0.113.1' })).begin()
    const late = await (await visit(box, { ip: '203.0.113.2' })).begin()
    expect(late.headers.get('Retry-After')).toBe('60')
    expect(await outcome(late)).toBe('429 rate_limited')
  })
})

describe('a file', () => {
  // @threat box-swapped
  it('is written once: nothing that was signed changes it, and its events are few', async () => {
    const types: string[] = []
    const onEvent = async ({ type }: { readonly type: string }) => {
      types.push(type)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    const mounted = mount({ authenticate: () => ANN, events: { onEvent } })
    const box = await createBox({}, mounted, {}, '/media')
    const sender = await visit(box, {}, mounted, '/media')
    const begun = await (await sender.begin()).json<Begun>()
    const url = await partUrl(sender, begun)
    const { key } = begun
    await putTo(sender, begun, 'first')
    await arrive(box, key)
    // Its events take time, and all of these come meanwhile.
    const answers = await Promise.all(
      Array.from({ length: 30 }, async () => outcome(await sender.post('/files', { key }))),
    )
    expect(answers).toContain('201')
    expect(answers).toContain('409 object_exists')
    expect((await fetch(url, { method: 'PUT', body: 'again' })).status).toBe(404)
    expect(await outcome(await sender.record(begun.key))).toBe('409 object_exists')
    await passes(10 * MINUTE, box)
    expect(types.filter((type) => type === 'received')).toHaveLength(1)
    expect(types.filter((type) => type === 'recorded').length).toBeLessThanOrEqual(10)
    expect(types).not.toContain('replaced')
    const file = await fetchFrom(begun.key)
    expect(file).toBe('first')
  })

  it('has the mark of its upload, and its URLs end with the box', async () => {
    const box = await createBox({ deadline: inFuture(20_000) })
    const sender = await visit(box)
    const begun = await (await sender.begin()).json<Begun>()
    const url = new URL(await partUrl(sender, begun))
    const seconds = Number(url.searchParams.get('X-Amz-Expires'))
    expect(seconds).toBeLessThanOrEqual(20)
    expect(seconds).toBeGreaterThan(10)
    expect(url.searchParams.get('X-Amz-SignedHeaders')).toContain('content-length')
    await putTo(sender, begun, 'hello')
    await sender.record(begun.key)
    const head = await headObject(BUCKET, parseObjectKey(begun.key), new Date())
    expect(head?.mark).toMatch(/\.[\w-]{43}$/)
  })
})

it('a sender can not tell which other keys below the prefix have an object', async () => {
  const box = await createBox()
  const sender = await visit(box)
  const prefix = (await sender.put()).split('uploads/', 1).join()
  const own = `${prefix}private.txt`
  const bytes = { size: 2, bytes: new Blob(['hi']).stream() }
  await putObject(BUCKET, parseObjectKey(own), bytes, {}, new Date())
  const answers = await Promise.all(
    [own, `${prefix}missing.txt`].map(async (key) => {
      const { requestId: _, ...answer } = await (await sender.post('/files', { key })).json<{
        requestId: string
      }>()
      return answer
    }),
  )
  expect(answers[0]).toEqual(answers[1])
})

describe('after the deadline', () => {
  it('a sender who was in time records, and nobody begins', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const key = await sender.put()
    const parts = await startInParts(sender, 'world')
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + HOUR + MINUTE)
    const again = await visit(box)
    expect(await outcome(await again.begin())).toBe('410 drop_box_closed')
    const path = `/multipart/${encodeURIComponent(parts.uploadId)}/urls`
    expect(await outcome(await again.post(path, { key: parts.key, partNumbers: [1] }))).toBe(
      '410 drop_box_closed',
    )
    expect(await outcome(await again.record(key))).toBe('201')
    expect(await outcome(await completeParts(again, parts))).toBe('201')
    vi.setSystemTime(Date.now() + 30 * MINUTE)
    expect(await outcome(await askToken(box))).toBe('410 drop_box_closed')
  })

  // @threat box-late-upload
  it('nobody completes what took longer than the slowest sender needs', async () => {
    const box = await createBox({ maxBytes: 100 * MIB, maxTotalBytes: 100 * MIB })
    const sender = await visit(box)
    const parts = await startInParts(sender, 'hello')
    const deadline = Date.parse(box.deadline)
    await inBox(box, (ledger, { sql }) => {
      // 15 minutes and a second for its 5 bytes, although the largest file would have more.
      const step = (seconds: number) => ledger.step(parts.key, true, deadline + seconds * 1000)
      expect(step(900)).toMatchObject({ ok: true })
      expect(step(901)).toEqual({ ok: false, why: 'closed' })
      sql.exec('UPDATE uploads SET ends = ?', deadline + DAY)
    })
    vi.useFakeTimers({ toFake: ['Date'], now: deadline + 902_000 })
    const late = await visit(box)
    expect(await outcome(await completeParts(late, parts))).toBe('410 drop_box_closed')
    expect(await headObject(BUCKET, parseObjectKey(parts.key), new Date())).toBeNull()
  })
})

const fetchFrom = async (key: string): Promise<string> => {
  const response = await testWorker().fetch(`/files/${encodeURIComponent(key)}/url`)
  const { url } = await response.json<{ url: string }>()
  return (await fetch(url)).text()
}
