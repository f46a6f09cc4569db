import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { listParts } from '../../src/storage/multipart.ts'
import {
  answer,
  listed,
  partXml,
  type Sent,
  s3Error,
  scriptedBucket,
} from '../support/scripted-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

const upload = { bucket: testBucket(), key: parseObjectKey('uploads/a.mp4'), s3UploadId: 'id' }
const list = () => listParts(upload, new Date('2026-11-24T12:00:00Z'))

/** The marker that each page was requested with. */
const markers = (sent: readonly Sent[]) =>
  sent.map(({ url }) => new URL(url).searchParams.get('part-number-marker'))

/** The page after part number `marker`, with parts of `size` bytes each. */
const page = (marker: number, count: number, size = 5) =>
  Array.from({ length: count }, (_, i) =>
    partXml(marker + i + 1, size, `&quot;e${marker + i + 1}&quot;`),
  )

afterEach(() => vi.unstubAllGlobals())

describe('a listed part', () => {
  it.each([
    ['escaped quotes', '&quot;abc&quot;'],
    ['plain quotes', '"abc"'],
    ['quotes as numeric references', '&#34;abc&#34;'],
    ['no quotes', 'abc'],
    ['CDATA', '<![CDATA["abc"]]>'],
  ])('has its ETag in quotes when the bucket writes %s', async (_, etag) => {
    scriptedBucket({ ListParts: listed([partXml(1, 5, etag)]) })
    expect(await list()).toEqual([
      { partNumber: 1, size: 5, etag: '"abc"', lastModified: '2026-11-24T12:00:00.000Z' },
    ])
  })

  it('may have no date, and may be empty', async () => {
    const part = '<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>0</Size></Part>'
    scriptedBucket({ ListParts: listed([part]) })
    expect(await list()).toEqual([{ partNumber: 1, size: 0, etag: '"e"', lastModified: '' }])
  })

  it.each([
    ['no number', partXml('', 5, 'e')],
    ['a number in words', partXml('one', 5, 'e')],
    ['a negative number', partXml('-1', 5, 'e')],
    ['no size', partXml(1, '', 'e')],
    ['half a byte', partXml(1, '0.5', 'e')],
    ['more bytes than a number holds', partXml(1, '9'.repeat(16), 'e')],
    ['an empty ETag', partXml(1, 5, '')],
    ['an endless ETag', partXml(1, 5, 'e'.repeat(256))],
    ['nothing at all', '<Part/>'],
  ])('is refused with %s', async (_, part) => {
    scriptedBucket({ ListParts: listed([partXml(1, 5, 'e'), part]) })
    await expect(list()).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket answered ListParts with a malformed part.',
    })
  })
})

describe('the pages of ListParts', () => {
  it('are joined in order, and each request starts where the last page ended', async () => {
    const sent = scriptedBucket({
      ListParts: [
        listed(page(0, 1000), 1000),
        listed(page(1000, 1000), 2000),
        listed(page(2000, 3)),
      ],
    })
    const parts = await list()
    expect(parts.map(({ partNumber }) => partNumber)).toEqual(
      Array.from({ length: 2003 }, (_, i) => i + 1),
    )
    expect(markers(sent)).toEqual(['0', '1000', '2000'])
  })

  it('may be short or empty before the last page', async () => {
    const sent = scriptedBucket({
      ListParts: [listed(page(0, 2), 2), listed([], 9), listed(page(9, 1))],
    })
    expect((await list()).map(({ partNumber }) => partNumber)).toEqual([1, 2, 10])
    expect(markers(sent)).toEqual(['0', '2', '9'])
  })

  it.each([
    [
      'without a marker',
      answer(200, '<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>'),
    ],
    ['with a marker that is not a number', listed([], 'next')],
    ['with a marker that leads to itself', listed([], 0)],
    ['with a marker that leads back', listed([], -1)],
  ])('are refused when one is truncated %s', async (_, failure) => {
    const sent = scriptedBucket({ ListParts: failure })
    await expect(list()).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket answered ListParts with pages that never end.',
    })
    expect(sent).toHaveLength(1)
  })

  it('are refused when the second leads back to the first', async () => {
    const sent = scriptedBucket({ ListParts: [listed(page(0, 5), 5), listed(page(0, 5), 5)] })
    await expect(list()).rejects.toMatchObject({ code: 'storage_error' })
    expect(sent).toHaveLength(2)
  })

  // @threat bucket-stalls
  it('are at most ten, whatever the bucket answers', async () => {
    let next = 0
    const sent = scriptedBucket({
      ListParts: (one) => {
        next += 1
        return listed([], next)(one)
      },
    })
    await expect(list()).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket answered ListParts with pages that never end.',
    })
    expect(sent).toHaveLength(10)
  })

  it('return all 10,000 parts in ten pages', async () => {
    const sent = scriptedBucket({
      ListParts: Array.from({ length: 10 }, (_, i) =>
        listed(page(i * 1000, 1000), i === 9 ? undefined : (i + 1) * 1000),
      ),
    })
    expect(await list()).toHaveLength(10_000)
    expect(sent).toHaveLength(10)
  })

  it('share one deadline of ten seconds', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const signals: (AbortSignal | null | undefined)[] = []
    vi.stubGlobal('fetch', async (_url: string, init: RequestInit) => {
      signals.push(init.signal)
      vi.advanceTimersByTime(4000)
      init.signal?.throwIfAborted()
      return new Response(
        `<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>${signals.length}</NextPartNumberMarker></ListPartsResult>`,
      )
    })
    await expect(list()).rejects.toMatchObject({ code: 'storage_error' })
    expect(signals).toHaveLength(3)
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })

  it('throw when one of them fails', async () => {
    scriptedBucket({ ListParts: [listed(page(0, 5), 5), s3Error(500, 'InternalError')] })
    await expect(list()).rejects.toMatchObject({ code: 'storage_error' })
  })
})
