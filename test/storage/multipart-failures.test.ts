import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listParts,
} from '../../src/storage/multipart.ts'
import { coded } from '../support/errors.ts'
import {
  answer,
  type Operation,
  operations,
  s3Error,
  scriptedBucket,
} from '../support/scripted-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const bucket = testBucket()
const key = parseObjectKey('uploads/a.mp4')
const upload = { bucket, key, s3UploadId: 'id' }

/** Each operation, and how to call it. */
const CALLS = {
  CreateMultipartUpload: () => createMultipartUpload(bucket, key, {}, NOW),
  ListParts: () => listParts(upload, NOW),
  CompleteMultipartUpload: () =>
    completeMultipartUpload(upload, [{ partNumber: 1, etag: 'e' }], NOW),
  AbortMultipartUpload: () => abortMultipartUpload(upload, NOW),
} satisfies Partial<Record<Operation, () => Promise<unknown>>>
const ALL = Object.keys(CALLS) as (keyof typeof CALLS)[]

/** Returns what `operation` throws when the bucket answers its one request with `failure`. */
async function thrown(operation: keyof typeof CALLS, failure: ReturnType<typeof answer>) {
  const sent = scriptedBucket({ [operation]: failure })
  const error: unknown = await CALLS[operation]().then(
    (value) => ({ returned: value }),
    (reason: unknown) => reason,
  )
  expect(operations(sent)).toEqual([operation])
  return error
}

afterEach(() => vi.unstubAllGlobals())

describe.each(ALL)('%s', (operation) => {
  it.each([
    ['NotImplemented', s3Error(501, 'NotImplemented')],
    ['NotImplemented under 400', s3Error(400, 'NotImplemented')],
    ['NotImplemented under 200', s3Error(200, 'NotImplemented')],
    ['405', answer(405)],
    ['405 with an S3 error', s3Error(405, 'MethodNotAllowed')],
    ['501', answer(501, 'Not Implemented')],
  ])('throws not_supported when the server answers %s', async (_, failure) => {
    expect(await thrown(operation, failure)).toMatchObject({
      code: 'not_supported',
      message: `The server of this bucket does not support ${operation}.`,
    })
  })

  it.each([
    ['InternalError', s3Error(500, 'InternalError'), 'with InternalError'],
    ['InternalError under 200', s3Error(200, 'InternalError'), 'with InternalError'],
    ['NoSuchBucket', s3Error(404, 'NoSuchBucket'), 'with NoSuchBucket'],
    ['403 without a body', answer(403), 'with status 403'],
    ['an error without a code', answer(400, '<Error/>'), 'with status 400'],
    ['an Error under 200 without a code', answer(200, '<Error/>'), 'with status 200'],
    ['a redirect', answer(307, '', { Location: 'https://other.example/' }), 'with status 307'],
    ['a body that is not XML', answer(200, 'OK'), 'with status 200'],
    ['truncated XML', answer(200, '<Result><UploadId>'), 'with status 200'],
    ['white space only', answer(200, ' \n '), 'with status 200'],
    ['an entity bomb', answer(200, '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), 'with status 200'],
    ['another result', answer(200, '<CopyObjectResult/>'), 'with status 200'],
    ['an HTML page', answer(502, '<html><body>Bad gateway</body></html>'), 'with status 502'],
    ['an endless code', s3Error(500, 'x'.repeat(1000)), 'with status 500'],
    ['a code with spaces', s3Error(500, 'your key AKIA'), 'with status 500'],
  ])('throws storage_error for %s, without a retry', async (_, failure, text) => {
    expect(await thrown(operation, failure)).toMatchObject({
      code: 'storage_error',
      message: expect.stringContaining(`The bucket answered ${operation} ${text}`),
    })
  })

  it('throws storage_error when the connection breaks, before or during the response', async () => {
    const lost = new TypeError('Network connection lost.')
    const cut = () =>
      new Response(new ReadableStream({ pull: (controller) => controller.error(lost) }))
    for (const failure of [() => Promise.reject(lost), cut])
      expect(await thrown(operation, failure)).toMatchObject({
        code: 'storage_error',
        cause: { message: expect.stringContaining(operation), cause: lost },
      })
  })

  it.each([
    [403, 'RequestTimeTooSkewed', 'misconfigured clock'],
    [403, 'SignatureDoesNotMatch', 'misconfigured credentials'],
    [401, 'Unauthorized', 'misconfigured credentials'],
    [400, 'ExpiredToken', 'misconfigured expired'],
    [200, 'ExpiredToken', 'misconfigured expired'],
  ])('for %i %s, throws %s', async (status, s3Code, code) => {
    expect(await thrown(operation, s3Error(status, s3Code))).toMatchObject({
      ...coded(code),
      message: `The bucket answered ${operation} with ${s3Code}.`,
      cause: { message: `${operation} ${status} ${s3Code}` },
    })
  })

  it.each([
    ['503 SlowDown', s3Error(503, 'SlowDown'), '503 SlowDown'],
    ['SlowDown under 200', s3Error(200, 'SlowDown'), '200 SlowDown'],
    ['503 ServiceUnavailable', s3Error(503, 'ServiceUnavailable'), '503 ServiceUnavailable'],
    [
      '409 while somebody else writes the object',
      s3Error(409, 'ConditionalRequestConflict'),
      '409 ConditionalRequestConflict',
    ],
    ['429', answer(429), '429'],
    ['503 of a proxy', answer(503, '<html></html>'), '503'],
  ])('throws unavailable for %s, without a retry', async (_, failure, reason) => {
    expect(await thrown(operation, failure)).toMatchObject({
      code: 'unavailable',
      reason: 'storage',
      retryAfterSeconds: 5,
      cause: { message: `${operation} ${reason}` },
    })
  })

  it('names the operation, the status and the code of a failure in its cause', async () => {
    for (const [status, code] of [
      [403, 'InvalidAccessKeyId'],
      [404, 'NoSuchBucket'],
      [501, 'NotImplemented'],
      [403, 'AccessDenied'],
    ] as const)
      expect(await thrown(operation, s3Error(status, code))).toMatchObject({
        cause: { name: 'StorageFailure', message: `${operation} ${status} ${code}` },
      })
  })

  // @threat bucket-stalls
  it('cancels a response that stalls after its status, when the timeout ends', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const cancel = vi.fn()
    const outcome = thrown(operation, () => new Response(new ReadableStream({ cancel })))
    const seconds = operation === 'CompleteMultipartUpload' ? 120 : 10
    await vi.advanceTimersByTimeAsync(seconds * 1000 - 1)
    expect(cancel).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(await outcome).toMatchObject({
      code: 'storage_error',
      message: "The bucket's response ended early.",
      cause: { message: `${operation} 200` },
    })
    expect(cancel).toHaveBeenCalled()
    vi.useRealTimers()
  })

  it('gives up on an endless response', async () => {
    const endless = () =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(1024 ** 2).fill(32)),
        }),
      )
    expect(await thrown(operation, endless)).toMatchObject({
      code: 'storage_error',
      cause: { cause: { message: 'The response is too large.' } },
    })
  })
})

describe('upload credentials without all permissions', () => {
  it.each(['ListParts', 'AbortMultipartUpload'] as const)(
    'need no permission for %s',
    async (operation) => {
      expect(await thrown(operation, s3Error(403, 'AccessDenied'))).toMatchObject({
        code: 'not_supported',
        message: `The bucket's access key for uploads does not allow ${operation}.`,
      })
    },
  )

  it.each(['CreateMultipartUpload', 'CompleteMultipartUpload'] as const)(
    'need permission for %s',
    async (operation) => {
      expect(await thrown(operation, s3Error(403, 'AccessDenied'))).toMatchObject({
        code: 'storage_error',
        message: `The bucket answered ${operation} with AccessDenied.`,
      })
    },
  )
})

describe('an upload that the bucket does not have', () => {
  const unknown = [
    ['NoSuchUpload', s3Error(404, 'NoSuchUpload')],
    ['NoSuchUpload under 200', s3Error(200, 'NoSuchUpload')],
    ['NoSuchKey, as Ceph RGW does', s3Error(404, 'NoSuchKey')],
    ['404 without a body', answer(404)],
  ] as const

  it.each(unknown)('is not found when the bucket answers %s', async (_, failure) => {
    for (const operation of ['ListParts', 'CompleteMultipartUpload'] as const)
      expect(await thrown(operation, failure), operation).toMatchObject({
        code: 'upload_not_found',
      })
  })

  it.each(unknown)('counts as aborted when the bucket answers %s', async (_, failure) => {
    scriptedBucket({ AbortMultipartUpload: failure })
    await expect(CALLS.AbortMultipartUpload()).resolves.toBeUndefined()
  })

  it('is a storage_error when an upload starts', async () => {
    for (const failure of [answer(404), s3Error(404, 'NoSuchKey')])
      expect(await thrown('CreateMultipartUpload', failure)).toMatchObject({
        code: 'storage_error',
      })
  })
})

describe('parts that the bucket rejects', () => {
  it.each(['InvalidPart', 'InvalidPartOrder', 'EntityTooSmall'])(
    'are invalid_part for the code %s, whatever the status',
    async (code) => {
      for (const status of [200, 400])
        expect(await thrown('CompleteMultipartUpload', s3Error(status, code))).toMatchObject({
          code: 'invalid_part',
          message: `The bucket answered CompleteMultipartUpload with ${code}.`,
        })
    },
  )
})

it('waits two minutes for CompleteMultipartUpload, and ten seconds for the others', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const seconds: Record<string, number> = {}
  vi.stubGlobal('fetch', async (_url: string, init: RequestInit) => {
    let waited = 0
    for (; !init.signal?.aborted && waited < 200; waited++) vi.advanceTimersByTime(1000)
    seconds[Object.keys(seconds).length] = waited
    throw init.signal?.reason
  })
  for (const operation of ALL)
    await expect(CALLS[operation](), operation).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket did not respond.',
    })
  expect(Object.values(seconds)).toEqual([10, 10, 120, 10])
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})
