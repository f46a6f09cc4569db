import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { completeMultipartUpload, listParts } from '../../../src/storage/multipart.ts'
import { headObject, putObject } from '../../../src/storage/object.ts'
import { ANN } from '../../support/ann.ts'
import { completeParts, startInParts } from '../../support/drop-box-parts.ts'
import {
  askToken,
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
  workerWith,
} from '../../support/drop-boxes.ts'
import { mount } from '../../support/mount.ts'
import { stateStub } from '../../support/state-stub.ts'
import { testBucket } from '../../support/test-bucket.ts'

const MIB = 1024 ** 2

type Signed = Parameters<typeof putTo>[0]

const S3RVER = {
  ...{ accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
  ...{ sessionToken: null, expiresAt: Number.POSITIVE_INFINITY },
}

const BUCKET = testBucket({
  ...{ origin: inject('s3Endpoint'), basePath: '/files/' },
  ...{ credentials: S3RVER, uploadCredentials: S3RVER },
})

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
    const box = await createBox()
    const { key } = await startInParts(await visit(box), 'hello')
    expect(await keptBytes(key, ids)).toBe(5)
    await act(box)
    expect(ids).toHaveLength(1)
    expect(await keptBytes(key, ids)).toBe(0)
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
    await startInParts(ann, 'hello', { startId: late })
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
    await passes(2 * MINUTE, box)
    expect((await objectOf(box).read())?.left.files).toBe(1)
    expect((await sender.post('/multipart', file)).status).toBe(200)
  })

  it('have parts whose size the box sets', async () => {
    const sender = await visit(await createBox({ maxBytes: 100 * MIB, maxTotalBytes: 100 * MIB }))
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 64 * MIB }
    expect(await outcome(await sender.post('/multipart', { ...file, partSize: 64 * MIB }))).toBe(
      '400 invalid_request',
    )
    const { partSize } = await (await sender.post('/multipart', file)).json<{ partSize: number }>()
    expect(partSize).toBeLessThanOrEqual(16 * MIB)
    // One request may arrive at any speed, so it is small.
    expect(await outcome(await sender.begin(33 * MIB))).toBe('413 file_too_large')
  })
})

describe('the most bytes in the bucket', () => {
  /** What a stranger does next. The number picks one of their uploads. */
  const step = fc.tuple(
    fc.constantFrom('put', 'send', 'start', 'part', 'complete', 'abort', 'record', 'end'),
    fc.nat(3),
  )

  // @threat box-over-limit
  it('are those of docs/drop-boxes.md, whatever a stranger does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 25 }), async (steps) => {
        const ids = watchStarts()
        const box = await createBox({ maxTotalBytes: 20, maxBytes: 10 })
        const senders = await Promise.all(
          [1, 2, 3, 4].map((i) => visit(box, { ip: `203.0.113.${i}` })),
        )
        const signed: Signed[] = []
        const started: { key: string; uploadId: string; etag: string }[] = []
        const keys = new Set<string>()
        const act = async (name: (typeof steps)[number][0], i: number, sender: Sender) => {
          const put = signed.at(-1 - i)
          const parts = started.at(-1 - i)
          if (name === 'put') {
            const response = await sender.begin(7)
            if (response.status === 200) signed.push(await response.json<Signed>())
          } else if (name === 'send' && put !== undefined) {
            const body = crypto.randomUUID().slice(0, 7)
            await fetch(put.uploadUrl, { method: 'PUT', headers: put.headers, body })
          } else if (name === 'start' || name === 'part') {
            const start = { startId: newStartId('abcd'[i] ?? 'a') }
            const upload = await startInParts(sender, '1234567', start).catch(() => undefined)
            if (upload !== undefined) started.push(upload)
          } else if (name === 'complete' && parts !== undefined) {
            await completeParts(sender, parts)
          } else if (name === 'abort' && parts !== undefined) {
            const id = encodeURIComponent(parts.uploadId)
            const path = `/multipart/${id}?key=${encodeURIComponent(parts.key)}`
            await sender.fetch(path, { method: 'DELETE' })
          } else if (name === 'record' && put !== undefined) await sender.record(put.key)
          else if (name === 'end') await passes(31 * MINUTE, box)
        }
        for (const [name, i] of steps) {
          const sender = senders[i]
          if (sender !== undefined) await act(name, i, sender)
          for (const { key } of [...signed, ...started]) keys.add(key)
          let [bytes, late] = [0, 0]
          for (const key of keys) {
            const head = await headObject(BUCKET, parseObjectKey(key), new Date())
            bytes += (head?.size ?? 0) + (await keptBytes(key, ids))
          }
          const states = await inBox(box, (ledger) =>
            [...keys].map((key) => ledger.upload(key)?.state),
          )
          late = states.filter((state) => state === 'late' || state === 'over').length
          expect(bytes).toBeLessThanOrEqual(20 + late * 10)
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
  it('is not renewed by steps, only by parts', async () => {
    const box = await createBox({ maxFiles: 1 })
    const sender = await visit(box)
    const start = { fileName: 'a.txt', mimetype: 'text/plain', size: 1000 }
    const started = await sender.post('/multipart', start)
    const { key, uploadId } = await started.json<{ key: string; uploadId: string }>()
    const path = `/multipart/${encodeURIComponent(uploadId)}/urls`
    const endsOf = () => inBox(box, (ledger) => ledger.upload(key)?.ends ?? 0)
    const first = await endsOf()
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + 8 * MINUTE)
    const fresh = await visit(box)
    const { urls } = await (await fresh.post(path, { key, partNumbers: [1] })).json<{
      urls: { url: string }[]
    }>()
    expect(await endsOf()).toBe(first)
    vi.useRealTimers()
    await inBox(box, (ledger) => ledger.renew(key, 0, first))
    expect(await endsOf()).toBe(first)
    expect(urls).toHaveLength(1)
    await passes(31 * MINUTE, box)
    expect((await objectOf(box).read())?.left.files).toBe(1)
    expect(await outcome(await sender.post(path, { key, partNumbers: [1] }))).toBe(
      '404 upload_not_found',
    )
  })

  it('is renewed when the bucket lists a part more', async () => {
    const box = await createBox({ maxFiles: 1 })
    const { key, uploadId } = await startInParts(await visit(box), 'hello')
    const endsOf = () => inBox(box, (ledger) => ledger.upload(key)?.ends ?? 0)
    const first = await endsOf()
    vi.useFakeTimers({ toFake: ['Date'] })
    const path = `/multipart/${encodeURIComponent(uploadId)}/urls`
    for (const after of [8, 20]) {
      vi.setSystemTime(first - (30 - after) * MINUTE)
      await (await visit(box)).post(path, { key, partNumbers: [1] })
    }
    // The second step found no new part.
    expect(await endsOf()).toBeGreaterThan(first)
    expect(await endsOf()).toBeLessThanOrEqual(first + 9 * MINUTE)
  })

  it('has one end, by the size, where the server lists no parts', async () => {
    const box = await createBox({ maxBytes: 64 * MIB, maxTotalBytes: 64 * MIB })
    const now = Date.now()
    await inBox(box, async (ledger) => {
      const ask = { key: 'a', size: 64 * MIB, inParts: true, network: 'n', sender: null }
      const huge = { ...ask, country: null }
      await ledger.reserve(huge, now)
      for (const later of [20, 30, 40]) ledger.renew('a', null, now + later * MINUTE)
      // 64 MiB at 32 KiB/s, and 15 minutes.
      expect(ledger.upload('a')?.ends).toBe(now + (2048 + 900) * 1000)
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

describe('a signed PUT', () => {
  // @threat box-swapped
  it('is told at most twice, and deleted if its bytes change again', async () => {
    const types: string[] = []
    const mounted = mount({
      authenticate: () => ANN,
      events: { onEvent: ({ type }) => void types.push(type) },
    })
    const box = await createBox({}, mounted, {}, '/media')
    const sender = await visit(box, {}, mounted, '/media')
    const signed = await (await sender.begin()).json<Signed>()
    const answers: string[] = []
    for (const content of ['first', 'again', 'third']) {
      await putTo(signed, content)
      answers.push(await outcome(await sender.record(signed.key)))
    }
    expect(answers).toEqual(['201', '201', '409 file_replaced'])
    const isGone = () => headObject(BUCKET, parseObjectKey(signed.key), new Date())
    await passes(0, box)
    await expect.poll(isGone).toBeNull()
    expect(types.filter((type) => type === 'received')).toHaveLength(2)
    expect(types.filter((type) => type === 'replaced')).toHaveLength(1)
    expect((await objectOf(box).read())?.received).toEqual({ files: 0, bytes: 0 })
  })

  it('has the mark of its upload, and can be sent only once where the server honours that', async () => {
    const conditional = workerWith(
      { getByName: (name) => stateStub('DropBoxes', name) },
      { BUCKETS: { files: { ...bucketTable(), conditionalPut: true } } },
    )
    const box = await createBox({}, conditional)
    const sender = await visit(box, {}, conditional)
    const { headers, uploadUrl } = await (await sender.begin()).json<Signed>()
    expect(headers).toMatchObject({
      'If-None-Match': '*',
      'x-amz-meta-edge-presigner-upload': expect.stringMatching(/^[\w-]{43}$/),
    })
    const signedHeaders = new URL(uploadUrl).searchParams.get('X-Amz-SignedHeaders')?.split(';')
    expect(signedHeaders).toEqual(
      expect.arrayContaining(['if-none-match', 'x-amz-meta-edge-presigner-upload']),
    )
  })

  it('ends with the box', async () => {
    const box = await createBox({ deadline: inFuture(20_000) })
    const sender = await visit(box)
    const { expiresIn } = await (await sender.begin()).json<{ expiresIn: number }>()
    expect(expiresIn).toBeLessThanOrEqual(20)
    expect(expiresIn).toBeGreaterThan(10)
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
      const { requestId: _, ...answer } = await (await sender.record(key)).json<{
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
  it('an object that comes later than the slowest sender is deleted', async () => {
    const box = await createBox({ deadline: inFuture(HOUR) })
    const sender = await visit(box)
    const { key } = await (await sender.begin()).json<Signed>()
    const file = { key, etag: '"a"', size: 5, name: 'a', mimetype: 'text/plain' }
    const deadline = Date.parse(box.deadline)
    const at = (seconds: number) =>
      objectOf(box).settle({ ...file, at: deadline + seconds * 1000 }, deadline + DAY)
    expect(await at(902)).toEqual({ ok: false, why: 'closed' })
    expect(await inBox(box, (ledger) => ledger.upload(key)?.state)).toBe('over')
    const other = await (await sender.begin()).json<Signed>()
    const inTime = { ...file, key: other.key, at: deadline + 900_000 }
    expect(await objectOf(box).settle(inTime, deadline + DAY)).toMatchObject({ ok: true })
    expect(await receivedIn(box)).toMatchObject([{ key: other.key }])
  })
})

const bucketTable = (): object => Object(Reflect.get(Object(Reflect.get(env, 'BUCKETS')), 'files'))
