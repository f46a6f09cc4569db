import { afterEach, describe, expect, it, vi } from 'vitest'
import { NO_LIMITS, narrowBucket } from '../../src/access/limits.ts'
import { type ObjectKey, parseObjectKey } from '../../src/keys/object-key.ts'
import { deleteObject, headObject, putObject } from '../../src/storage/object.ts'
import { mayHaveHappened } from '../../src/storage/storage-failure.ts'
import { coded } from '../support/errors.ts'
import { answer, operations, s3Error, scriptedBucket } from '../support/scripted-bucket.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const KEY = parseObjectKey('a b/é.png')
const HEADERS = {
  'Content-Length': '5',
  'Content-Type': 'image/png',
  ETag: '"abc"',
  'Last-Modified': 'Tue, 24 Nov 2026 11:00:00 GMT',
}

/** Answers every request with the same response, which a real server can't be made to send. */
function answering(status: number, headers: Record<string, string> = {}) {
  const fake = vi.fn<typeof fetch>(async () => new Response(null, { status, headers }))
  vi.stubGlobal('fetch', fake)
  return fake
}

const without = (name: keyof typeof HEADERS): Record<string, string> => {
  const { [name]: _, ...others } = HEADERS
  return others
}

const head = () => headObject(testBucket(), KEY, NOW)
const remove = () => deleteObject(testBucket(), KEY, NOW)

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

describe('headObject', () => {
  it('sends one signed HEAD, bypasses every cache, and follows no redirect', async () => {
    const fake = answering(200, HEADERS)
    await head()
    expect(fake).toHaveBeenCalledTimes(1)
    const [url, init] = fake.mock.calls[0] ?? []
    expect(String(url)).toBe('https://examplebucket.s3.amazonaws.com/a%20b/%C3%A9.png')
    expect(init).toMatchObject({
      method: 'HEAD',
      cache: 'no-store',
      redirect: 'manual',
      signal: expect.any(AbortSignal),
    })
    const headers = new Headers(init?.headers)
    expect(headers.get('Authorization')).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE\/20261124\/us-east-1\/s3\/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=[0-9a-f]{64}$/,
    )
    expect(headers.get('X-Amz-Date')).toBe('20261124T120000Z')
    expect(headers.get('X-Amz-Security-Token')).toBeNull()
  })

  it('sends the session token of temporary credentials', async () => {
    const fake = answering(200, HEADERS)
    const credentials = { ...EXAMPLE_CREDENTIALS, sessionToken: 'token' }
    await headObject(testBucket({ credentials }), KEY, NOW)
    const headers = new Headers(fake.mock.calls[0]?.[1]?.headers)
    expect(headers.get('X-Amz-Security-Token')).toBe('token')
    expect(headers.get('Authorization')).toContain('x-amz-security-token')
  })

  it('reads size, type, ETag and date', async () => {
    answering(200, HEADERS)
    expect(await head()).toEqual({
      size: 5,
      mimetype: 'image/png',
      etag: '"abc"',
      lastModified: new Date('2026-11-24T11:00:00Z'),
    })
  })

  it('treats an object without a type as application/octet-stream', async () => {
    answering(200, without('Content-Type'))
    expect(await head()).toMatchObject({ mimetype: 'application/octet-stream' })
  })

  it.each([301, 302, 307, 405, 500, 502, 504, 204, 206])(
    'throws storage_error for the status %i, without a retry',
    async (status) => {
      const fake = answering(status, { ...HEADERS, Location: 'https://other.example/' })
      await expect(head()).rejects.toMatchObject({
        code: 'storage_error',
        message: expect.stringContaining(`HeadObject with status ${status}`),
      })
      expect(fake).toHaveBeenCalledTimes(1)
    },
  )

  it.each([
    ['no ETag', without('ETag')],
    ['an empty ETag', { ...HEADERS, ETag: '' }],
    ['an endless ETag', { ...HEADERS, ETag: `"${'a'.repeat(128)}"` }],
    ['no length', without('Content-Length')],
    ['a length that is not a number', { ...HEADERS, 'Content-Length': 'five' }],
    ['a negative length', { ...HEADERS, 'Content-Length': '-5' }],
    ['a length that no number can hold', { ...HEADERS, 'Content-Length': '9'.repeat(16) }],
    ['no date', without('Last-Modified')],
    ['a malformed date', { ...HEADERS, 'Last-Modified': 'yesterday' }],
    ['an endless type', { ...HEADERS, 'Content-Type': `image/${'a'.repeat(255)}` }],
  ])('throws storage_error for a response with %s', async (_, headers) => {
    answering(200, headers)
    await expect(head()).rejects.toMatchObject({
      code: 'storage_error',
      message: expect.stringContaining('lacks headers'),
    })
  })

  it('sends one request when the connection breaks', async () => {
    const failure = new TypeError('Network connection lost.')
    const fake = vi.fn<typeof fetch>(() => Promise.reject(failure))
    vi.stubGlobal('fetch', fake)
    await expect(head()).rejects.toMatchObject({
      code: 'storage_error',
      cause: { message: 'HeadObject no response', cause: failure },
    })
    expect(fake).toHaveBeenCalledTimes(1)
  })
})

describe('headObject after a 404', () => {
  /** Answers HEAD with 404, and GET with what `get` returns. */
  const lacking = (get: () => Response | Promise<Response>) => {
    const fake = vi.fn<typeof fetch>(async (_, init) =>
      init?.method === 'HEAD' ? new Response(null, { status: 404 }) : get(),
    )
    vi.stubGlobal('fetch', fake)
    return fake
  }

  // @threat bucket-missing
  it('throws storage_error when a GET of one byte reports that the bucket is missing', async () => {
    const fake = lacking(
      () => new Response('<Error><Code>NoSuchBucket</Code></Error>', { status: 404 }),
    )
    await expect(head()).rejects.toMatchObject({
      code: 'storage_error',
      cause: { message: 'HeadObject 404 NoSuchBucket', status: 404 },
    })
    expect(fake).toHaveBeenCalledTimes(2)
    const sent = fake.mock.calls[1]?.[1]
    expect(sent?.method).toBe('GET')
    expect(new Headers(sent?.headers).get('Range')).toBe('bytes=0-0')
  })

  it.each([
    ['no object', () => new Response('<Error><Code>NoSuchKey</Code></Error>', { status: 404 })],
    ['an object that was just created', () => new Response('x', { status: 206 })],
    ['a refusal', () => new Response('<Error><Code>SlowDown</Code></Error>', { status: 503 })],
    ['no response', () => Promise.reject(new TypeError('Network connection lost.'))],
  ])('finds nothing when that GET gets %s', async (_, get) => {
    lacking(get)
    expect(await head()).toBeNull()
  })

  it('takes at most ten seconds, including that GET', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const cancel = vi.fn()
    lacking(() => new Response(new ReadableStream({ cancel }), { status: 404 }))
    const found = head()
    await vi.advanceTimersByTimeAsync(9_999)
    expect(cancel).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(await found).toBeNull()
    vi.useRealTimers()
  })
})

describe('headObject after a refusal', () => {
  const NO_CODE = answer(403)

  // @threat retry-futile
  it.each([
    [403, 'RequestTimeTooSkewed', 'misconfigured clock'],
    [400, 'ExpiredRequest', 'misconfigured clock'],
    [403, 'InvalidAccessKeyId', 'misconfigured credentials'],
    [403, 'SignatureDoesNotMatch', 'misconfigured credentials'],
    [400, 'InvalidToken', 'misconfigured credentials'],
    [403, 'InvalidTokenId', 'misconfigured credentials'],
    [403, 'InvalidSecurity', 'misconfigured credentials'],
    [403, 'AuthFailure', 'misconfigured credentials'],
    [401, 'Unauthorized', 'misconfigured credentials'],
    [400, 'ExpiredToken', 'misconfigured expired'],
    [400, 'TokenRefreshRequired', 'misconfigured expired'],
    [403, 'AccessDenied', 'storage_error'],
    [403, 'constructor', 'storage_error'],
  ])(
    'reads the code of the %i with one GET of one byte: %s is %s',
    async (status, s3Code, code) => {
      const sent = scriptedBucket({
        HeadObject: answer(status),
        GetObject: s3Error(status, s3Code),
      })
      await expect(head()).rejects.toMatchObject({
        ...coded(code),
        message: `The bucket answered HeadObject with ${s3Code}.`,
        cause: { message: `HeadObject ${status} ${s3Code}` },
      })
      expect(operations(sent)).toEqual(['HeadObject', 'GetObject'])
      expect(sent[1]?.headers.get('Range')).toBe('bytes=0-0')
    },
  )

  it.each([
    ['no code', NO_CODE],
    ['another status', s3Error(400, 'ExpiredToken')],
    ['the object', answer(206, 'x')],
    ['no response', () => Promise.reject(new TypeError('Network connection lost.'))],
  ])('is a storage_error if that GET gets %s', async (_, get) => {
    scriptedBucket({ HeadObject: answer(403), GetObject: get })
    await expect(head()).rejects.toMatchObject({
      code: 'storage_error',
      cause: { message: 'HeadObject 403' },
    })
  })

  it('has no meaning from the message of an error or from below its root', async () => {
    const texts = [
      '<Error><Message>&lt;Code&gt;ExpiredToken&lt;/Code&gt;</Message></Error>',
      '<html><Error><Code>ExpiredToken</Code></Error></html>',
      '<Errors><Code>ExpiredToken</Code></Errors>',
      '<Error><Code>Expired Token</Code></Error>',
      '<Error><Code>ExpiredToken',
    ]
    for (const text of texts) {
      scriptedBucket({ HeadObject: answer(403), GetObject: answer(403, text) })
      await expect(head(), text).rejects.toMatchObject({ cause: { message: 'HeadObject 403' } })
    }
  })
})

describe('the clock of a bucket', () => {
  const dated = (seconds: number) =>
    new Date(NOW.getTime() + seconds * 1000).toUTCString().replace('UTC', 'GMT')
  const warnings = () => {
    const lines: unknown[] = []
    vi.spyOn(console, 'warn').mockImplementation((line: string) => lines.push(JSON.parse(line)))
    return lines
  }

  it('is reported once if it is ahead, also when the bucket refuses', async () => {
    for (const status of [200, 403]) {
      const lines = warnings()
      answering(status, { ...HEADERS, Date: dated(360) })
      const bucket = testBucket()
      const narrow = narrowBucket(bucket, { ...NO_LIMITS, maxBytes: 1 })
      expect(narrow).not.toBe(bucket)
      for (const one of [bucket, bucket, narrow])
        await headObject(one, KEY, NOW).catch(() => undefined)
      expect(lines).toEqual([
        { warning: 'clock of the bucket ahead', bucket: 'files', seconds: 360 },
      ])
    }
  })

  it.each([
    ['a slow response', dated(170)],
    ['a cached response', dated(-86_400)],
    ['a malformed date', 'tomorrow'],
    ['no date', undefined],
  ])('is not reported for %s', async (_, date) => {
    const lines = warnings()
    answering(200, date === undefined ? HEADERS : { ...HEADERS, Date: date })
    await head()
    expect(lines).toEqual([])
  })

  it('is not reported for the upload of an object, which may take longer', async () => {
    const lines = warnings()
    answering(200, { ETag: '"e"', Date: dated(3600) })
    const bytes = new Response('12345').body ?? expect.fail()
    await putObject(testBucket(), KEY, { size: 5, bytes }, {}, NOW)
    expect(lines).toEqual([])
  })
})

describe('a bucket that does not answer', () => {
  afterEach(() => vi.useRealTimers())

  it.each([
    ['HEAD', head],
    ['DELETE', remove],
  ])('times out after ten seconds, for %s', async (_, send) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const abortedAfter: (boolean | undefined)[] = []
    const fake = vi.fn<typeof fetch>((_url, init) => {
      for (const milliseconds of [9_999, 1]) {
        vi.advanceTimersByTime(milliseconds)
        abortedAfter.push(init?.signal?.aborted)
      }
      return Promise.reject(init?.signal?.reason)
    })
    vi.stubGlobal('fetch', fake)
    await expect(send()).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket did not respond.',
    })
    expect(abortedAfter).toEqual([false, true])
    expect(fake).toHaveBeenCalledTimes(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('leaves no timer behind after it answers', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    answering(200, HEADERS)
    await head()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('deleteObject', () => {
  it('sends one signed DELETE, bypasses every cache, and follows no redirect', async () => {
    const fake = answering(204)
    await remove()
    expect(fake).toHaveBeenCalledTimes(1)
    expect(fake.mock.calls[0]?.[1]).toMatchObject({
      method: 'DELETE',
      cache: 'no-store',
      redirect: 'manual',
    })
  })

  /** Answers every request with this status and body. */
  const saying = (status: number, body: string | null) => {
    const fake = vi.fn<typeof fetch>(async () => new Response(body, { status }))
    vi.stubGlobal('fetch', fake)
    return fake
  }
  const failed = () => remove().then(() => null, Object)

  it.each([
    [204, null],
    [200, null],
    [404, '<Error><Code>NoSuchKey</Code></Error>'],
  ])('accepts the status %i with the body %j', async (status, body) => {
    saying(status, body)
    await expect(remove()).resolves.toBeUndefined()
  })

  // @threat delete-unconfirmed
  it.each([
    [200, '<Error><Code>InternalError</Code></Error>', 'with InternalError'],
    [200, '<html>Sign in</html>', 'with status 200'],
    [200, ' ', 'with status 200'],
    [202, null, 'with status 202'],
    [206, null, 'with status 206'],
    [404, '<Error><Code>NoSuchBucket</Code></Error>', 'with NoSuchBucket'],
    [404, '<html>Not found</html>', 'with status 404'],
    [404, null, 'with status 404'],
  ])('does not accept the status %i with the body %j', async (status, body, how) => {
    const fake = saying(status, body)
    expect(await failed()).toMatchObject({
      code: 'storage_error',
      message: `The bucket answered DeleteObject ${how}.`,
    })
    expect(fake).toHaveBeenCalledTimes(1)
  })

  it.each([301, 307, 403, 409, 500])(
    'throws storage_error for the status %i, without a retry',
    async (status) => {
      const fake = answering(status, { Location: 'https://other.example/' })
      await expect(remove()).rejects.toMatchObject({
        code: 'storage_error',
        message: expect.stringContaining(`DeleteObject with status ${status}`),
      })
      expect(fake).toHaveBeenCalledTimes(1)
    },
  )

  it('distinguishes a refusal from an unknown outcome', async () => {
    for (const status of [301, 307, 400, 403, 404, 405, 409, 429]) {
      saying(status, '')
      expect(mayHaveHappened(await failed()), String(status)).toBe(false)
    }
    for (const status of [200, 202, 500, 502, 503, 504]) {
      saying(status, '<html></html>')
      expect(mayHaveHappened(await failed()), String(status)).toBe(true)
    }
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Network connection lost.')))
    expect(mayHaveHappened(await failed())).toBe(true)
    expect(mayHaveHappened(new Error('of ours'))).toBe(false)
  })

  // @threat bucket-stalls
  it('gives up on a response whose body stalls, after ten seconds', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const cancel = vi.fn()
    vi.stubGlobal('fetch', async () => new Response(new ReadableStream({ cancel })))
    const outcome = failed()
    await vi.advanceTimersByTimeAsync(9_999)
    expect(cancel).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    const error = await outcome
    expect(error).toMatchObject({ code: 'storage_error', cause: { message: 'DeleteObject 200' } })
    expect(mayHaveHappened(error)).toBe(true)
    expect(cancel).toHaveBeenCalled()
    vi.useRealTimers()
  })
})

describe('a busy bucket', () => {
  // @threat bucket-busy
  it.each([
    [503, '7', 7],
    [429, '7', 7],
    [503, undefined, 5],
    [503, '0', 5],
    [503, '86400', 3600],
    [503, '-1', 5],
    [503, '1.5', 5],
    [503, 'Wed, 25 Nov 2020 12:00:00 GMT', 5],
    [503, 'Wed, 25 Nov 2099 12:00:00 GMT', 3600],
    [503, 'soon', 5],
    [503, '9'.repeat(400), 5],
  ])(
    'is unavailable for %i, and its Retry-After %j means %i seconds',
    async (status, value, seconds) => {
      for (const send of [head, remove]) {
        const fake = answering(status, value === undefined ? {} : { 'Retry-After': value })
        await expect(send()).rejects.toMatchObject({
          code: 'unavailable',
          reason: 'storage',
          message: 'The bucket is busy. Try again later.',
          retryAfterSeconds: seconds,
        })
        expect(fake).toHaveBeenCalledTimes(1)
      }
    },
  )
})

it.each(['../other/secret.txt', 'a/./b.txt', 'a/../../other/b.txt'])(
  'sends nothing for the key %j, even when it passes the key rules',
  async (key) => {
    const fake = answering(200, HEADERS)
    const bucket = testBucket({ origin: 'https://s3.example.com', basePath: '/files/' })
    for (const send of [headObject, deleteObject])
      await expect(send(bucket, key as ObjectKey, NOW)).rejects.toThrow(
        'does not name the requested object',
      )
    expect(fake).not.toHaveBeenCalled()
  },
)
