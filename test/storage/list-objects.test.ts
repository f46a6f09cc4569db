import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { listObjects, type ObjectsQuery } from '../../src/storage/list-objects.ts'
import { bucketFetch } from '../support/bucket.ts'
import { coded } from '../support/errors.ts'
import { type Answer, answer, s3Error, scriptedBucket } from '../support/scripted-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-28T12:00:00Z')
const list = (query: Partial<ObjectsQuery> = {}) =>
  listObjects(testBucket(), { prefix: '', limit: 3, ...query }, NOW)

const entry = (
  key: string,
  size = '5',
  etag = '&quot;e&quot;',
  date = '2026-11-28T11:00:00.000Z',
) =>
  `<Contents><Key>${key}</Key><LastModified>${date}</LastModified><ETag>${etag}</ETag><Size>${size}</Size></Contents>`
const folder = (prefix: string) => `<CommonPrefixes><Prefix>${prefix}</Prefix></CommonPrefixes>`
const page = (...parts: readonly string[]): Answer =>
  answer(200, `<ListBucketResult>${parts.join('')}</ListBucketResult>`)
const more = (token: string) =>
  `<IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken>`
const URL_ENCODED = '<EncodingType>url</EncodingType>'

afterEach(() => vi.unstubAllGlobals())

describe('a page of ListObjectsV2', () => {
  it('asks for encoded keys below a prefix, with the access key for reads', async () => {
    const sent = scriptedBucket({ ListObjectsV2: page() })
    const none = { objects: [], folders: [], next: undefined, unreadable: 0, last: undefined }
    expect(await list({ prefix: 'a b/', delimiter: '/', token: 't+1=' })).toEqual(none)
    const { searchParams } = new URL(sent[0]?.url ?? '')
    expect(Object.fromEntries(searchParams)).toMatchObject({
      ...{ 'list-type': '2', 'encoding-type': 'url', 'max-keys': '3' },
      ...{ prefix: 'a b/', delimiter: '/', 'continuation-token': 't+1=' },
    })
    expect(sent[0]?.headers.get('Authorization')).toContain('AKIAIOSFODNN7EXAMPLE')
  })

  it('decodes keys if the server says that they are encoded', async () => {
    const keys = ['a+b%2Bc%2Fd.txt', '%C3%A9%20%26.txt']
    scriptedBucket({ ListObjectsV2: page(URL_ENCODED, ...keys.map((key) => entry(key))) })
    const { objects } = await list()
    expect(objects.map(({ key }) => key)).toEqual(['a b+c/d.txt', 'é &.txt'])
    scriptedBucket({ ListObjectsV2: page(entry('a+b%20.txt')) })
    expect((await list()).objects).toEqual([
      { key: 'a+b%20.txt', size: 5, etag: '"e"', lastModified: '2026-11-28T11:00:00.000Z' },
    ])
  })

  // @threat objects-outside
  it('leaves out keys outside the prefix, and those that no URL can name', async () => {
    const entries = [entry('b/a.txt'), entry('a/%00.txt'), entry('a/../b/a.txt')]
    scriptedBucket({ ListObjectsV2: page(URL_ENCODED, ...entries) })
    expect(await list({ prefix: 'a/' })).toMatchObject({ objects: [], unreadable: 3 })
    scriptedBucket({ ListObjectsV2: page(URL_ENCODED, entry('a/%E0%A4.txt'), entry('a/b.txt')) })
    const some = await list({ prefix: 'a/' })
    expect(some).toMatchObject({ objects: [{ key: 'a/b.txt' }], unreadable: 1 })
    scriptedBucket({ ListObjectsV2: page(folder('b/c/'), folder('a/c'), folder('a/d/')) })
    const folders = await list({ prefix: 'a/', delimiter: '/' })
    expect(folders).toMatchObject({ folders: ['a/d/'], unreadable: 2 })
  })

  it('has the token of the next page', async () => {
    scriptedBucket({ ListObjectsV2: page(entry('a'), more('next')) })
    expect((await list({ token: 'this' })).next).toBe('next')
    scriptedBucket({ ListObjectsV2: page(entry('a'), more('next').replace('true', 'false')) })
    expect((await list()).next).toBeUndefined()
  })

  it('starts after a key, unless it goes on with a token', async () => {
    const sent = scriptedBucket({ ListObjectsV2: page(entry('a b'), entry('b/\ufffd'), more('t')) })
    const { objects, last } = await list({ after: 'a +' })
    expect(objects.map(({ key }) => key)).toEqual(['a b', 'b/\ufffd'])
    expect(last).toBe('b/\ufffd')
    await list({ after: 'a +', token: 'this' })
    const asked = sent.map(({ url }) => new URL(url).searchParams)
    expect(asked.map((query) => query.get('start-after'))).toEqual(['a +', null])
    expect(asked.map((query) => query.get('continuation-token'))).toEqual([null, 'this'])
  })

  it('has its last key also if no URL can name that', async () => {
    const entries = [entry('a'), entry('b%00'), folder('c/')]
    scriptedBucket({ ListObjectsV2: page(URL_ENCODED, ...entries) })
    expect(await list()).toMatchObject({ objects: [{ key: 'a' }], last: 'b\u0000' })
  })

  it('leaves out the key itself, and keeps the folder that has it', async () => {
    const keys = ['b\ufffd', 'b😀', 'c']
    scriptedBucket({ ListObjectsV2: page(...keys.map((key) => entry(key))) })
    const later = await list({ after: 'b\ufffd' })
    expect(later).toMatchObject({ objects: [{ key: 'b😀' }, { key: 'c' }], unreadable: 1 })
    scriptedBucket({ ListObjectsV2: page(folder('b/'), folder('c/')) })
    const folders = await list({ after: 'b/x', delimiter: '/' })
    expect(folders).toMatchObject({ folders: ['b/', 'c/'], unreadable: 0 })
  })

  // @threat objects-lie
  it.each([
    ['an object', page(entry('b\ufffd'), entry('c'))],
    ['a folder', page(folder('a/'), folder('c/'))],
    ['a key that no URL can name', page(URL_ENCODED, entry('a%00'))],
  ])('is refused if the server ignores where to start, with %s', async (_, given) => {
    scriptedBucket({ ListObjectsV2: given })
    await expect(list({ after: 'b😀', delimiter: '/' })).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket answered ListObjectsV2 with keys that are not after start-after.',
    })
  })

  // @threat objects-lie
  it.each([
    ['pages that never end', page(entry('a'), more('this'))],
    ['pages that never end', page(entry('a'), '<IsTruncated>true</IsTruncated>')],
    ['pages that never end', page(entry('a'), more('t'.repeat(4097)))],
    ['more than was asked for', page(...['a', 'b', 'c', 'd'].map((key) => entry(key)))],
    ['a malformed object', page(entry('a', '-1'))],
    ['a malformed object', page(entry('a', '5', ''))],
    ['a malformed object', page(entry('a', '5', 'e', 'yesterday'))],
    ['a malformed object', page('<Contents><Key>a</Key></Contents>')],
  ])('is refused with %s', async (how, given) => {
    scriptedBucket({ ListObjectsV2: given })
    await expect(list({ token: 'this' })).rejects.toMatchObject({
      code: 'storage_error',
      message: `The bucket answered ListObjectsV2 with ${how}.`,
    })
  })

  it.each([
    ['another document', answer(200, '<ListPartsResult/>'), 'storage_error'],
    ['no XML', answer(200, '{"keys": []}'), 'storage_error'],
    ['a body that is too large', answer(200, 'x'.repeat(5 * 1024 ** 2)), 'storage_error'],
    ['a redirect', answer(301, ''), 'storage_error'],
    ['no right to list', s3Error(403, 'AccessDenied'), 'not_supported'],
    ['a wrong access key', s3Error(403, 'InvalidAccessKeyId'), 'misconfigured credentials'],
    ['SlowDown', s3Error(503, 'SlowDown'), 'unavailable storage'],
  ])('is an error for %s', async (_, given, code) => {
    scriptedBucket({ ListObjectsV2: given })
    await expect(list()).rejects.toMatchObject(coded(code))
  })
})

describe('the bucket on this machine', () => {
  const names = ['a', 'a b', 'a!', 'a.txt', 'a/b', 'a/b.txt', 'a/b/c', 'a0', 'b/\ufffd', 'b/😀']
  const inOrder = names.map((name) => `ordered/${name}`)
  const pageAfter = async (after: string, limit: number): Promise<string[]> => {
    const bucket = testBucket({
      ...{ origin: inject('s3Endpoint'), basePath: '/files/', name: 'files' },
      credentials: {
        ...{ accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
        ...{ sessionToken: null, expiresAt: Number.POSITIVE_INFINITY },
      },
    })
    const { objects } = await listObjects(bucket, { prefix: 'ordered/', limit, after }, new Date())
    return objects.map(({ key }) => key)
  }

  it('lists in the order of the bytes of the keys, and starts after any of them', async () => {
    for (const key of inOrder.toReversed()) await bucketFetch(key, { method: 'PUT', body: 'x' })
    expect(await pageAfter('', 1000)).toEqual(inOrder)
    for (const [i, after] of inOrder.entries())
      expect(await pageAfter(after, 1000), after).toEqual(inOrder.slice(i + 1))
    const found: string[] = []
    for (let page = await pageAfter('', 3); page.length > 0; ) {
      found.push(...page)
      page = await pageAfter(found.at(-1) ?? '', 3)
    }
    expect(found).toEqual(inOrder)
    for (const key of inOrder) await bucketFetch(key, { method: 'DELETE' })
  })
})
