import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { objectKeyError, parseObjectKey } from '../../../src/keys/object-key.ts'
import { copyObject, copySourceOf } from '../../../src/plugins/copies/s3.ts'
import { hostileText } from '../../support/hostile.ts'
import { authorizationError } from '../../support/sigv4-authorization.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const ETAG = '"0123456789abcdef0123456789abcdef"'
const [FROM, TO] = [parseObjectKey('a.txt'), parseObjectKey('b.txt')]
const bucket = testBucket()
const source = { bucket, key: FROM, etag: ETAG }
const hostileKey = hostileText.filter((text) => objectKeyError(text) === null).map(parseObjectKey)

/** Answers each request like `status` and `text`. Returns what was sent. */
function answering(text: string, status = 200) {
  const sent: { method: string; url: string; headers: Headers; body: string }[] = []
  vi.stubGlobal('fetch', async (url: string, init: RequestInit = {}) => {
    sent.push({ method: init.method ?? '', url, headers: new Headers(init.headers), body: '' })
    return new Response(text, { status })
  })
  return sent
}

const DONE = `<CopyObjectResult><ETag>&quot;abc&quot;</ETag></CopyObjectResult>`
const copy = (isNew = true, target = bucket) =>
  copyObject(source, target, TO, { headers: {}, isNew }, NOW)

afterEach(() => vi.unstubAllGlobals())

// @threat copy-other-object
describe('the source of a copy', () => {
  it('is the requested object after a server has decoded it, for every hostile key', () => {
    fc.assert(
      fc.property(hostileKey, (key) => {
        const header = copySourceOf({ bucket, key })
        expect(header).toMatch(/^\/examplebucket\/[\w.~/%-]+$/)
        expect(decodeURIComponent(header)).toBe(`/examplebucket/${key}`)
        expect(new URL(header, 'https://s3.example').pathname).toBe(header)
      }),
    )
  })

  it('is signed together with its ETag, for every hostile key of both', async () => {
    const sent = answering(DONE)
    await fc.assert(
      fc.asyncProperty(hostileKey, hostileKey, async (key, to) => {
        sent.length = 0
        await copyObject({ ...source, key }, bucket, to, { headers: {}, isNew: false }, NOW)
        for (const one of sent) {
          const signed = { ...EXAMPLE_CREDENTIALS, region: 'us-east-1', now: NOW }
          expect(authorizationError(one, signed)).toBe(null)
          const names = /SignedHeaders=([^,]+)/.exec(one.headers.get('Authorization') ?? '')?.[1]
          expect(names?.split(';')).toEqual(
            expect.arrayContaining(['x-amz-copy-source', 'x-amz-copy-source-if-match']),
          )
          expect(decodeURIComponent(new URL(one.url).pathname)).toBe(`/${to}`)
          expect(one.headers.get('x-amz-copy-source-if-match')).toBe(ETAG)
        }
      }),
      { numRuns: 50 },
    )
  })
})

// @threat copy-other-object
it('is refused by S3 if the bucket of the source belongs to another account', async () => {
  const sent = answering(DONE)
  const requestHeaders = { 'x-amz-expected-bucket-owner': '111122223333' }
  const owned = { ...source, bucket: testBucket({ requestHeaders }) }
  await copyObject(owned, bucket, TO, { headers: {}, isNew: false }, NOW)
  await copyObject(source, bucket, TO, { headers: {}, isNew: false }, NOW)
  const owners = sent.map(({ headers }) => headers.get('x-amz-source-expected-bucket-owner'))
  expect(owners).toEqual(['111122223333', null])
})

describe('CopyObject', () => {
  it('is signed with the access key of the target that reads, not with that for uploads', async () => {
    const sent = answering(DONE)
    const writer = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'WRITER' }
    await copy(true, testBucket({ uploadCredentials: writer }))
    expect(sent[0]?.headers.get('Authorization')).toContain(EXAMPLE_CREDENTIALS.accessKeyId)
  })

  it.each([
    ['an error with status 200', 200, '<Error><Code>InternalError</Code></Error>', 'storage_error'],
    ['a busy server with status 200', 200, '<Error><Code>SlowDown</Code></Error>', 'storage_busy'],
    ['the page of a proxy', 200, '<html></html>', 'storage_error'],
    ['nothing', 200, '', 'storage_error'],
    ['another source', 412, '<Error><Code>PreconditionFailed</Code></Error>', 'object_exists'],
    ['a missing source', 404, '<Error><Code>NoSuchKey</Code></Error>', 'object_not_found'],
    ['a missing bucket', 404, '<Error><Code>NoSuchBucket</Code></Error>', 'storage_error'],
    ['a missing right', 403, '<Error><Code>AccessDenied</Code></Error>', 'not_supported'],
    ['an archive', 403, '<Error><Code>ObjectNotInActiveTierError</Code></Error>', 'not_supported'],
    ['an archive', 403, '<Error><Code>InvalidObjectState</Code></Error>', 'not_supported'],
    ['a missing operation', 501, '<Error><Code>NotImplemented</Code></Error>', 'not_supported'],
  ])('reports %s', async (_, status, text, code) => {
    answering(text, status)
    await expect(copy()).rejects.toMatchObject({ code })
  })

  it('reports a replaced source if it may replace the target', async () => {
    answering('<Error><Code>PreconditionFailed</Code></Error>', 412)
    await expect(copy(false)).rejects.toMatchObject({ code: 'file_replaced' })
  })

  it('has a condition on the target in the words of the server, where there is one', async () => {
    const sent = answering(DONE)
    await copy(true, testBucket({ conditionalPut: true }))
    await copy(
      true,
      testBucket({ conditionalPut: true, origin: 'https://a.r2.cloudflarestorage.com' }),
    )
    await copy(false, testBucket({ conditionalPut: true }))
    await copy(true)
    const names = ['if-none-match', 'cf-copy-destination-if-none-match']
    expect(sent.map(({ headers }) => names.map((name) => headers.get(name)))).toEqual([
      ['*', null],
      [null, '*'],
      [null, null],
      [null, null],
    ])
  })

  it('is sent without the condition to a server that has it only on PutObject', async () => {
    const conditions: (string | null)[] = []
    vi.stubGlobal('fetch', async (_: string, { headers }: RequestInit = {}) => {
      const condition = new Headers(headers).get('if-none-match')
      conditions.push(condition)
      return condition === null
        ? new Response(DONE)
        : new Response('<Error><Code>NotImplemented</Code></Error>', { status: 501 })
    })
    expect(await copy(true, testBucket({ conditionalPut: true }))).toBe('"abc"')
    expect(conditions).toEqual(['*', null])
  })
})
