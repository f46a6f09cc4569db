import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { SettingsInput } from '../../../src/index.ts'
import { ANN } from '../../support/ann.ts'
import { jsonOf, settingsInput } from '../../support/app.ts'
import { mount } from '../../support/mount.ts'
import { type StartedUpload, startUpload } from '../../support/parts.ts'
import { PATIENCE } from '../../support/patience.ts'
import {
  type Answer,
  answer,
  completed,
  found,
  listed,
  listedUploads,
  operations,
  partXml,
  s3Error,
  scriptedBucket,
  started,
} from '../../support/scripted-bucket.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

const worker = testWorker()
const MARK = 'x-amz-meta-edge-presigner-upload'
const MISSING = answer(404)
const LIST = listed([partXml(1, 5, 'e1')])
const newId = (time = Date.now()) => `${time}-${crypto.randomUUID()}`

const complete = ({ key, uploadId }: StartedUpload, by = worker) =>
  by.post(`/multipart/${uploadId}/complete`, { key, parts: [{ partNumber: 1, etag: 'e1' }] })

/** The HeadObject response for an object that the upload with `mark` made. */
const foundWith =
  (mark: string | null | undefined): Answer =>
  async (sent) => {
    const response = await found(5)(sent)
    response.headers.set(MARK, mark ?? '')
    return response
  }

/** A bucket with one upload, and its object when it is complete. Before, HeadObject is `absent`. */
function bucketWithOne(script: Parameters<typeof scriptedBucket>[0], absent = MISSING) {
  let mark: string | null = null
  let isComplete = false
  return scriptedBucket({
    CreateMultipartUpload(request) {
      mark = request.headers.get(MARK)
      return started('id')(request)
    },
    ListParts: [LIST, s3Error(404, 'NoSuchUpload')],
    CompleteMultipartUpload(request) {
      isComplete = true
      return completed(request)
    },
    HeadObject: (request) => (isComplete ? foundWith(mark) : absent)(request),
    ...script,
  })
}

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

describe('POST /multipart with a startId', () => {
  it('returns the same key for a repeat, and another one for another id or file name', async () => {
    const sent = scriptedBucket({ CreateMultipartUpload: [started('a'), started('b')] })
    const startId = newId()
    const [first, second] = [
      await startUpload(worker, { startId }),
      await startUpload(worker, { startId }),
    ]
    expect(second.key).toBe(first.key)
    expect(second.uploadId).not.toBe(first.uploadId)
    expect(first.key).toMatch(/^uploads\/[0-9a-z]{20}-a\.txt$/)
    expect(sent[1]?.headers.get(MARK)).not.toBe(sent[0]?.headers.get(MARK))
    const others = [{ startId: newId() }, { startId, fileName: 'b.txt' }, {}]
    for (const other of others) expect((await startUpload(worker, other)).key).not.toBe(first.key)
  })

  // @threat upload-repeated
  it('returns another key for another principal or bucket', async () => {
    scriptedBucket({ CreateMultipartUpload: started('a') })
    const [files] = Object.values(settingsInput().buckets)
    const app = mount({
      settings: { buckets: { files, videos: files } as SettingsInput['buckets'] },
      authenticate: (c) => ({ ...ANN, id: c.req.header('User') ?? 'ann', prefix: 'shared/' }),
    })
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5, startId: newId() }
    const keyFor = async (bucket: string, User: string) => {
      const response = await app.post(
        '/media/multipart',
        { ...file, bucket },
        { headers: { User } },
      )
      return (await jsonOf(response)).key
    }
    const first = await keyFor('files', 'ann')
    const others = [await keyFor('files', 'bob'), await keyFor('videos', 'ann')]
    expect(new Set([first, ...others]).size).toBe(3)
    expect(first).toMatch(/^shared\/uploads\//)
    expect(await keyFor('files', 'ann')).toBe(first)
  })

  it.each([-11, 11])('chooses the time itself for a clock %i minutes off', async (minutes) => {
    scriptedBucket({ CreateMultipartUpload: started('a') })
    const now = await startUpload(worker, { startId: newId() })
    const { key } = await startUpload(worker, { startId: newId(Date.now() + minutes * 60_000) })
    // The first six characters change every 32 seconds.
    const hour = (of: string) => of.slice('uploads/'.length, 'uploads/'.length + 5)
    expect(hour(key)).toBe(hour(now.key))
  })

  it.each(['x', '1700000000000', `${newId()}/`, `1${newId()}`, newId().slice(0, 29)])(
    'refuses the id %j',
    async (startId) => {
      const file = { fileName: 'a.txt', mimetype: 'text/plain', startId }
      const response = await worker.post('/multipart', file)
      expect(await response.json()).toMatchObject({ issues: [{ path: 'startId' }] })
    },
  )

  it('refuses it with a chosen key', async () => {
    const file = { key: 'a.txt', mimetype: 'text/plain', startId: newId() }
    const response = await worker.post('/multipart', file)
    expect(await response.json()).toMatchObject({ issues: [{ path: 'startId' }] })
  })
})

describe('the complete of an upload with a startId', () => {
  it('aborts the others under its key, and no other upload', async () => {
    const sent = bucketWithOne({
      ListMultipartUploads(request) {
        const key = new URL(request.url).searchParams.get('prefix') ?? ''
        return listedUploads({ key, id: 'first' }, { key: `${key}.bak`, id: 'other' })(request)
      },
      AbortMultipartUpload: answer(204),
    })
    const upload = await startUpload(worker, { startId: newId() })
    expect((await complete(upload)).status).toBe(201)
    await vi.waitFor(() => expect(operations(sent)).toContain('AbortMultipartUpload'), PATIENCE)
    const aborted = sent.filter(({ operation }) => operation === 'AbortMultipartUpload')
    expect(aborted.map(({ url }) => new URL(url).searchParams.get('uploadId'))).toEqual(['first'])
  })

  it('lists no uploads without a startId', async () => {
    const sent = scriptedBucket({
      CreateMultipartUpload: started('id'),
      ListParts: LIST,
      CompleteMultipartUpload: completed,
      HeadObject: found(5),
    })
    expect((await complete(await startUpload(worker))).status).toBe(201)
    expect(operations(sent)).not.toContain('ListMultipartUploads')
  })

  // @threat upload-repeated
  it.each([
    { conditionalComplete: false, expected: ['ListParts', 'HeadObject', 'HeadObject'] },
    {
      conditionalComplete: true,
      expected: ['ListParts', 'CompleteMultipartUpload', 'HeadObject'],
    },
  ])(
    'never replaces the object of another upload with the same id: %j',
    async ({ conditionalComplete, expected }) => {
      const bucket = { ...s3rverBucket(), conditionalComplete }
      const by = testWorker({ BUCKETS: { files: bucket } })
      const script = { CreateMultipartUpload: started('id'), ListParts: LIST }
      const sent = scriptedBucket({
        ...script,
        CompleteMultipartUpload: (request) =>
          request.headers.get('If-None-Match') === '*'
            ? s3Error(412, 'PreconditionFailed')(request)
            : completed(request),
        HeadObject: foundWith('the mark of another upload'),
      })
      const upload = await startUpload(by, { startId: newId() })
      sent.length = 0
      const response = await complete(upload, by)
      expect(response.status).toBe(409)
      expect(await response.json()).toMatchObject({ code: 'object_exists' })
      expect(operations(sent)).toEqual(expected)
      expect(await (await by.fetch('/files')).json()).toEqual({ files: [] })
    },
  )

  it('returns the record again when it is repeated', async () => {
    bucketWithOne({})
    const upload = await startUpload(worker, { startId: newId() })
    const first = await complete(upload)
    expect(first.status).toBe(201)
    const again = await complete(upload)
    expect(again.status).toBe(201)
    expect(await again.json()).toEqual(await first.json())
  })

  it('needs no right to list objects or uploads', async () => {
    bucketWithOne({ ListMultipartUploads: s3Error(403, 'AccessDenied') }, answer(403))
    expect((await complete(await startUpload(worker, { startId: newId() }))).status).toBe(201)
  })
})
