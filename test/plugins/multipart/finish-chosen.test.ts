import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { UploadClaims } from '../../../src/plugins/multipart/upload-id.ts'
import { coded } from '../../support/errors.ts'
import { BOTH, finish, recorded, SIZELESS, UPLOAD } from '../../support/finish.ts'
import {
  answer,
  completed,
  listed,
  operations,
  partXml,
  s3Error,
  scriptedBucket,
} from '../../support/scripted-bucket.ts'

const LIST = listed([partXml(1, 6, 'e1'), partXml(2, 4, 'e2')])
const MISSING = answer(404)
const NO_LIST = s3Error(405, 'MethodNotAllowed')
const NO_UPLOAD = s3Error(404, 'NoSuchUpload')
const refusedByCondition = s3Error(412, 'PreconditionFailed')

/** The HeadObject response for an object that the upload with this mark has made. */
const madeBy = (mark: string | null, size = 10, etag = '"abc-2"') =>
  answer(200, null, {
    'Content-Length': String(size),
    'Content-Type': 'video/mp4',
    ETag: etag,
    'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
    ...(mark === null ? {} : { 'x-amz-meta-edge-presigner-upload': mark }),
  })
const OURS = madeBy('m1')
const OLDER = madeBy(null, 3, '"old"')

const FIRST: UploadClaims = { ...UPLOAD, mark: 'm1', overwrite: false }
const REPLACING: UploadClaims = { ...UPLOAD, mark: 'm1', overwrite: true }
const sizeless = ({ mark, overwrite }: UploadClaims): UploadClaims => ({
  ...SIZELESS,
  mark,
  overwrite,
})

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

describe('an upload to a chosen key that must not replace an object', () => {
  it('is complete when there is none', async () => {
    const sent = scriptedBucket({
      ListParts: LIST,
      CompleteMultipartUpload: completed,
      HeadObject: [MISSING, OURS],
      GetObject: s3Error(404, 'NoSuchKey'),
    })
    expect(await finish(FIRST)).toMatchObject({ size: 10 })
    expect(operations(sent).slice(0, 4)).toEqual([
      'ListParts',
      'HeadObject',
      'GetObject',
      'CompleteMultipartUpload',
    ])
  })

  it.each([
    ['an older one', OLDER],
    ['one of another upload in parts', madeBy('m2')],
  ])('is refused when there is %s', async (_, head) => {
    for (const lists of [LIST, NO_LIST]) {
      const sent = scriptedBucket({ ListParts: lists, HeadObject: head })
      await expect(finish(FIRST)).rejects.toMatchObject({ code: 'object_exists' })
      expect(operations(sent)).toEqual(['ListParts', 'HeadObject', 'HeadObject'])
    }
    expect(await recorded()).toBeNull()
  })

  it('is refused by the bucket itself where it supports the condition', async () => {
    const sent = scriptedBucket({
      ListParts: LIST,
      CompleteMultipartUpload: refusedByCondition,
      HeadObject: OLDER,
    })
    const conditional = { conditionalComplete: true }
    await expect(finish(FIRST, BOTH, conditional)).rejects.toMatchObject({ code: 'object_exists' })
    expect(operations(sent)).toEqual(['ListParts', 'CompleteMultipartUpload', 'HeadObject'])
    expect(sent[1]?.headers.get('If-None-Match')).toBe('*')
    expect(await recorded()).toBeNull()
  })

  it.each([
    [403, 'AccessDenied', 'not_supported'],
    [403, 'InvalidAccessKeyId', 'misconfigured credentials'],
    [403, 'RequestTimeTooSkewed', 'misconfigured clock'],
    [500, 'InternalError', 'storage_error'],
  ])(
    'is refused when the bucket answers HeadObject with %d %s: %s',
    async (status, s3Code, code) => {
      const refused = { HeadObject: answer(status), GetObject: s3Error(status, s3Code) }
      const sent = scriptedBucket({ ListParts: LIST, ...refused })
      await expect(finish(FIRST)).rejects.toMatchObject(coded(code))
      expect(operations(sent)).not.toContain('CompleteMultipartUpload')
    },
  )

  it.each([
    ['lists parts', NO_UPLOAD],
    ['does not list parts', NO_LIST],
  ])('returns its record again when the bucket %s', async (_, lists) => {
    scriptedBucket({ ListParts: lists, CompleteMultipartUpload: NO_UPLOAD, HeadObject: OURS })
    expect(await finish(FIRST)).toMatchObject({ size: 10 })
  })

  // @threat chosen-upload-confused
  it('does not take an object of another upload for its own after an abort', async () => {
    for (const upload of [FIRST, REPLACING, sizeless(FIRST), sizeless(REPLACING)]) {
      scriptedBucket({ ListParts: NO_UPLOAD, HeadObject: OLDER })
      await expect(finish(upload)).rejects.toMatchObject({ code: 'upload_not_found' })
    }
    expect(await recorded()).toBeNull()
  })
})

describe('an upload to a chosen key that may replace an object', () => {
  it('is recorded by a repeat although the limit is lower now, since its size was checked before', async () => {
    const sent = scriptedBucket({
      ListParts: NO_UPLOAD,
      CompleteMultipartUpload: NO_UPLOAD,
      HeadObject: OURS,
      DeleteObject: answer(204),
    })
    const repeat = finish(sizeless(REPLACING), BOTH, { maxBytes: 9 })
    expect(await repeat).toMatchObject({ size: 10 })
    expect(operations(sent)).not.toContain('DeleteObject')
  })

  it('replaces it, without a condition and without looking first', async () => {
    const sent = scriptedBucket({
      ListParts: LIST,
      CompleteMultipartUpload: completed,
      HeadObject: OURS,
    })
    expect(await finish(REPLACING, BOTH, { conditionalComplete: true })).toMatchObject({ size: 10 })
    expect(operations(sent).slice(0, 2)).toEqual(['ListParts', 'CompleteMultipartUpload'])
    expect(sent[1]?.headers.has('If-None-Match')).toBe(false)
  })

  it('reports a failure while the older object is still there', async () => {
    for (const failure of [s3Error(500, 'InternalError'), s3Error(400, 'EntityTooSmall')]) {
      scriptedBucket({ ListParts: LIST, CompleteMultipartUpload: failure, HeadObject: OLDER })
      await expect(finish(REPLACING)).rejects.toBeDefined()
    }
    expect(await recorded()).toBeNull()
  })

  it('is recorded when the response to its complete is lost', async () => {
    const CompleteMultipartUpload = s3Error(500, 'InternalError')
    scriptedBucket({ ListParts: LIST, CompleteMultipartUpload, HeadObject: OURS })
    expect(await finish(REPLACING)).toMatchObject({ etag: '"abc-2"' })
  })
})

describe('an upload that may replace only the object that the client has seen', () => {
  const MATCHING = { ...REPLACING, ifMatch: 'old' }
  const conditional = { conditionalReplace: true, conditionalComplete: true }
  const CHANGED = madeBy(null, 3, '"new"')

  // @threat replaced-unseen
  it('sends the condition where the bucket compares it, and does not look first', async () => {
    const script = { ListParts: LIST, CompleteMultipartUpload: completed, HeadObject: OURS }
    const sent = scriptedBucket(script)
    expect(await finish(MATCHING, BOTH, conditional)).toMatchObject({ size: 10 })
    expect(operations(sent).slice(0, 2)).toEqual(['ListParts', 'CompleteMultipartUpload'])
    expect(sent[1]?.headers.get('If-Match')).toBe('"old"')
    for (const missing of ['conditionalReplace', 'conditionalComplete']) {
      const looking = scriptedBucket({ ...script, HeadObject: [OLDER, OURS] })
      await finish(MATCHING, BOTH, { ...conditional, [missing]: false })
      const expected = ['ListParts', 'HeadObject', 'CompleteMultipartUpload']
      expect(operations(looking).slice(0, 3)).toEqual(expected)
      expect(looking[2]?.headers.has('If-Match')).toBe(false)
    }
  })

  // @threat replaced-unseen
  it.each([
    ['refuses the condition', refusedByCondition, CHANGED, '"new"'],
    ['has no object any more', s3Error(404, 'NoSuchKey'), MISSING, null],
  ])(
    'is precondition_failed with the present ETag when the bucket %s',
    async (_, no, head, etag) => {
      const GetObject = s3Error(404, 'NoSuchKey')
      scriptedBucket({ ListParts: LIST, CompleteMultipartUpload: no, HeadObject: head, GetObject })
      const failed = finish(MATCHING, BOTH, conditional)
      await expect(failed).rejects.toMatchObject({ code: 'precondition_failed', etag })
      expect(await recorded()).toBeNull()
    },
  )

  it('keeps the error when the bucket does not answer afterwards', async () => {
    const CompleteMultipartUpload = refusedByCondition
    scriptedBucket({ ListParts: LIST, CompleteMultipartUpload, HeadObject: answer(500) })
    const failed = finish(MATCHING, BOTH, conditional)
    await expect(failed).rejects.toMatchObject({ code: 'object_exists' })
  })

  it('is recorded when its complete is repeated, and the object has its own ETag', async () => {
    for (const changes of [conditional, {}]) {
      const CompleteMultipartUpload = NO_UPLOAD
      scriptedBucket({ ListParts: NO_LIST, CompleteMultipartUpload, HeadObject: OURS })
      expect(await finish(MATCHING, BOTH, changes)).toMatchObject({ etag: '"abc-2"' })
    }
  })
})

describe('the object of another upload is never deleted', () => {
  const script = { ListParts: NO_LIST, CompleteMultipartUpload: completed }

  // @threat chosen-upload-confused
  it('when a replacement is too large: its parts are counted before they replace anything', async () => {
    const AbortMultipartUpload = answer(204)
    const sent = scriptedBucket({ ListParts: LIST, HeadObject: OLDER, AbortMultipartUpload })
    await expect(finish(sizeless(REPLACING), BOTH, { maxBytes: 9 })).rejects.toMatchObject({
      code: 'file_too_large',
    })
    expect(operations(sent)).toEqual(['ListParts', 'AbortMultipartUpload'])
  })

  it.each([
    ['has a limit', sizeless(REPLACING), { maxBytes: 9 }],
    ['has no limit, but the client stated the size', { ...sizeless(REPLACING), size: 10 }, {}],
  ])('when the bucket lists no parts and %s', async (_, upload, changes) => {
    const sent = scriptedBucket({ ...script, HeadObject: OLDER })
    await expect(finish(upload, BOTH, changes)).rejects.toMatchObject({ code: 'not_supported' })
    expect(operations(sent)).toEqual(['ListParts', 'HeadObject'])
  })

  // @threat file-misattributed
  it('or recorded, when another upload has replaced an object that is too large', async () => {
    const sent = scriptedBucket({
      ...script,
      HeadObject: [MISSING, madeBy('m2', 10)],
      GetObject: s3Error(404, 'NoSuchKey'),
    })
    await expect(finish(sizeless(FIRST), BOTH, { maxBytes: 9 })).rejects.toMatchObject({
      code: 'file_replaced',
    })
    expect(operations(sent)).not.toContain('DeleteObject')
    expect(await recorded()).toBeNull()
  })

  // @threat chosen-upload-confused
  it('when it has the mark of the upload before the upload is complete', async () => {
    for (const upload of [FIRST, sizeless(FIRST)]) {
      const sent = scriptedBucket({ ...script, HeadObject: madeBy('m1', 10) })
      await finish(upload, BOTH, { maxBytes: 9 }).catch(({ code }: { code?: string }) =>
        expect(code).toBe('file_too_large'),
      )
      expect(operations(sent)).not.toContain('CompleteMultipartUpload')
      expect(operations(sent)).not.toContain('DeleteObject')
    }
  })

  it('but a first object that is too large is', async () => {
    const sent = scriptedBucket({
      ...script,
      HeadObject: [MISSING, madeBy('m1', 10)],
      GetObject: s3Error(404, 'NoSuchKey'),
      DeleteObject: answer(204),
    })
    await expect(finish(sizeless(FIRST), BOTH, { maxBytes: 9 })).rejects.toMatchObject({
      code: 'file_too_large',
    })
    expect(operations(sent)).toContain('DeleteObject')
    expect(await recorded()).toBeNull()
  })
})
