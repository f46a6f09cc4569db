import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { BOTH, finish, finishAll, part, recorded, SIZELESS, UPLOAD } from '../../support/finish.ts'
import {
  answer,
  completed,
  found,
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

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

describe('an upload that is completed twice', () => {
  it.each([
    ['lists parts', { ListParts: [LIST, NO_UPLOAD] }],
    ['does not list parts', { ListParts: NO_LIST }],
  ])('returns the same record when the bucket %s', async (_, lists) => {
    scriptedBucket({
      ...lists,
      CompleteMultipartUpload: [completed, NO_UPLOAD],
      HeadObject: found(10),
    })
    const first = await finish(UPLOAD)
    expect(await finish(UPLOAD, BOTH, {}, 'another name')).toEqual(first)
    expect(await recorded()).toEqual(first)
  })

  it('returns the same record when the second request names other parts', async () => {
    scriptedBucket({
      ListParts: [LIST, NO_UPLOAD],
      CompleteMultipartUpload: completed,
      HeadObject: found(10),
    })
    const first = await finish(SIZELESS)
    for (const parts of [[part(1)], [part(1, 'x')]])
      expect(await finish(SIZELESS, parts)).toEqual(first)
  })
})

describe('a complete that fails although the object exists', () => {
  it.each([
    ['an error under 200', s3Error(200, 'InternalError')],
    ['an error', s3Error(500, 'InternalError')],
    ['no such upload', NO_UPLOAD],
    ['a broken connection', () => Promise.reject(new TypeError('Network connection lost.'))],
    [
      'a response that breaks off',
      () =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.error(new TypeError('Network connection lost.')),
          }),
        ),
    ],
  ])('is still recorded after %s', async (_, failure) => {
    const sent = scriptedBucket({
      ListParts: LIST,
      CompleteMultipartUpload: failure,
      HeadObject: found(10),
    })
    expect(await finish(UPLOAD)).toMatchObject({ size: 10, name: 'My Film.mp4' })
    expect(operations(sent)).toEqual([
      'ListParts',
      'CompleteMultipartUpload',
      'HeadObject',
      'HeadObject',
      'HeadObject',
    ])
    expect(await recorded()).not.toBeNull()
  })
})

describe('a complete that fails without an object', () => {
  it.each([
    ['an error under 200', s3Error(200, 'InternalError'), 'storage_error'],
    ['an error', s3Error(500, 'InternalError'), 'storage_error'],
    ['a part that is too small', s3Error(400, 'EntityTooSmall'), 'invalid_part'],
    ['a missing part', s3Error(400, 'InvalidPart'), 'invalid_part'],
    ['no such upload', NO_UPLOAD, 'upload_not_found'],
    ['no such operation', s3Error(501, 'NotImplemented'), 'not_supported'],
  ])('reports the reason: %s', async (_, failure, code) => {
    scriptedBucket({ ListParts: NO_LIST, CompleteMultipartUpload: failure, HeadObject: MISSING })
    await expect(finish(UPLOAD)).rejects.toMatchObject({ code })
    expect(await recorded()).toBeNull()
  })

  it('reports the reason when the bucket also refuses to show the object', async () => {
    scriptedBucket({
      ListParts: NO_LIST,
      CompleteMultipartUpload: s3Error(400, 'InvalidPart'),
      HeadObject: answer(403),
    })
    await expect(finish(UPLOAD)).rejects.toMatchObject({ code: 'invalid_part' })
  })
})

it('throws upload_not_found after an abort', async () => {
  for (const upload of [UPLOAD, SIZELESS]) {
    scriptedBucket({ ListParts: NO_UPLOAD, HeadObject: MISSING })
    await expect(finish(upload)).rejects.toMatchObject({ code: 'upload_not_found' })
  }
  expect(await recorded()).toBeNull()
})

it('records nothing when the bucket reports success but has no object', async () => {
  scriptedBucket({ ListParts: LIST, CompleteMultipartUpload: completed, HeadObject: MISSING })
  await expect(finish(UPLOAD)).rejects.toMatchObject({ code: 'object_not_found' })
  expect(await recorded()).toBeNull()
})

it('checks no parts when the bucket does not list them', async () => {
  const sent = scriptedBucket({
    ListParts: NO_LIST,
    CompleteMultipartUpload: completed,
    HeadObject: found(10),
  })
  expect(await finish(UPLOAD, [part(1, 'x'), part(9, 'y')])).toMatchObject({ size: 10 })
  expect(operations(sent).slice(0, 2)).toEqual(['ListParts', 'CompleteMultipartUpload'])
})

describe('the warning for the log', () => {
  const good = { ListParts: LIST, CompleteMultipartUpload: completed, HeadObject: found(10) }

  it('is absent when everything succeeded', async () => {
    scriptedBucket(good)
    expect(await finishAll(UPLOAD)).toMatchObject({ warning: undefined })
  })

  it('reports a complete that failed although the object exists, with the reason', async () => {
    scriptedBucket({ ...good, CompleteMultipartUpload: s3Error(500, 'InternalError') })
    expect(await finishAll(UPLOAD)).toMatchObject({
      record: { size: 10 },
      warning:
        'complete failed although the object exists: PresignerError: The bucket answered CompleteMultipartUpload with InternalError.; StorageFailure: CompleteMultipartUpload 500 InternalError',
    })
  })

  it('reports parts that could not be checked because the bucket lacks ListParts', async () => {
    scriptedBucket({ ...good, ListParts: NO_LIST })
    expect(await finishAll(UPLOAD)).toMatchObject({
      record: { size: 10 },
      warning: 'parts and their size not checked: the bucket lacks ListParts',
    })
  })
})

// @threat upload-false-success
it('does not report success after a bug, even if the object exists', async () => {
  scriptedBucket({ ListParts: LIST, CompleteMultipartUpload: completed, HeadObject: found(10) })
  const broken = { partNumber: 1, etag: undefined as unknown as string }
  await expect(finish(SIZELESS, [broken])).rejects.toBeInstanceOf(TypeError)
  expect(await recorded()).toBeNull()
})
