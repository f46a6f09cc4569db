import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { BOTH, finish, part, recorded, SIZELESS, UPLOAD } from '../../support/finish.ts'
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

const LIST = listed([partXml(1, 6, '&quot;e1&quot;'), partXml(2, 4, '&quot;e2&quot;')])
const MISSING = answer(404)

/** A bucket that lists both parts and accepts them. */
const good = { ListParts: LIST, CompleteMultipartUpload: completed, HeadObject: found(10) }
/** The same bucket before the upload is completed. */
const unfinished = { ...good, HeadObject: MISSING }

/** The numbers of the parts in a CompleteMultipartUpload body. */
const assembled = (body = '') => [...body.matchAll(/<PartNumber>(\d+)/g)].map(([, n]) => Number(n))

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

describe('a complete upload', () => {
  it('is recorded as it is in the bucket, with the name given at its start', async () => {
    const sent = scriptedBucket(good)
    const record = await finish(UPLOAD)
    expect(record).toEqual({
      key: UPLOAD.key,
      bucket: 'files',
      name: 'My Film.mp4',
      size: 10,
      mimetype: 'video/mp4',
      etag: '"abc-2"',
      owner: 'key:ci',
      createdAt: '2026-11-24T12:00:00.000Z',
    })
    expect(await recorded()).toEqual(record)
    expect(operations(sent)).toEqual([
      'ListParts',
      'CompleteMultipartUpload',
      'HeadObject',
      'HeadObject',
    ])
    expect(assembled(sent[1]?.body)).toEqual([1, 2])
  })

  it('is recorded with another name when one is given', async () => {
    scriptedBucket(good)
    expect(await finish(UPLOAD, BOTH, {}, 'other.mp4')).toMatchObject({ name: 'other.mp4' })
  })

  it('may have ETags with or without quotes, on either side', async () => {
    for (const etag of ['"e1"', 'e1', '""e1""'])
      for (const written of ['&quot;e1&quot;', 'e1']) {
        scriptedBucket({ ...good, ListParts: listed([partXml(1, 10, written)]) })
        await expect(finish(SIZELESS, [part(1, etag)]), etag + written).resolves.toBeDefined()
      }
  })

  it('may omit uploaded parts when the size was not declared', async () => {
    const sent = scriptedBucket(good)
    await finish(SIZELESS, [part(2)])
    expect(assembled(sent[1]?.body)).toEqual([2])
  })
})

describe('parts out of order are refused before the bucket assembles them:', () => {
  it.each([
    ['a repeated number', [part(1), part(1)], [1]],
    ['descending numbers', [part(2), part(1)], [1]],
    ['the same number everywhere', [part(5), part(5), part(5)], [1, 2]],
    ['number 0', [part(0), part(1)], [0]],
    ['a negative number', [part(-1), part(2)], [0]],
    ['number 10001', [part(1), part(10_001)], [1]],
  ])('%s', async (_, parts, at) => {
    const sent = scriptedBucket(unfinished)
    await expect(finish(SIZELESS, parts)).rejects.toMatchObject({
      code: 'invalid_part',
      message: 'The parts must be unique and in ascending order.',
      issues: at.map((index) => ({
        path: `parts.${index}.partNumber`,
        message: 'must be higher than the one before, and at most 10000',
      })),
    })
    expect(operations(sent)).toEqual([])
    expect(await recorded()).toBeNull()
  })

  it('except that the highest number is accepted', async () => {
    scriptedBucket({ ...good, ListParts: listed([partXml(10_000, 10, 'e10000')]) })
    await expect(finish(SIZELESS, [part(10_000)])).resolves.toMatchObject({ size: 10 })
  })
})

describe('parts that differ from those in the bucket are refused, each by its index:', () => {
  const wrongEtag = (index: number) => ({
    path: `parts.${index}.etag`,
    message: 'does not match the uploaded part',
  })
  const missing = (index: number) => ({
    path: `parts.${index}.partNumber`,
    message: 'was not uploaded',
  })

  it.each([
    ['a wrong ETag', [part(1), part(2, '"e1"')], [wrongEtag(1)]],
    ['an ETag in upper case', [part(1, '"E1"'), part(2)], [wrongEtag(0)]],
    ['two wrong ETags', [part(1, 'x'), part(2, 'y')], [wrongEtag(0), wrongEtag(1)]],
    ['a part that was not uploaded', [part(1), part(3)], [missing(1)]],
    ['both', [part(2, 'x'), part(7)], [wrongEtag(0), missing(1)]],
  ])('%s', async (_, parts, issues) => {
    const sent = scriptedBucket(unfinished)
    for (const upload of [UPLOAD, SIZELESS])
      await expect(finish(upload, parts)).rejects.toMatchObject({
        code: 'invalid_part',
        message: 'Some of these parts are missing or have another ETag.',
        issues,
      })
    expect(operations(sent)).not.toContain('CompleteMultipartUpload')
    expect(await recorded()).toBeNull()
  })
})

describe('a file of a known size', () => {
  it.each([
    ['one part of two', [part(1)]],
    ['three parts of two', [part(1), part(2), part(3)]],
  ])('is refused with %s', async (_, parts) => {
    const sent = scriptedBucket(unfinished)
    await expect(finish(UPLOAD, parts)).rejects.toMatchObject({
      code: 'invalid_part',
      message: 'This file has 2 parts.',
    })
    expect(operations(sent)).toEqual([])
  })

  it.each([
    [9, 5],
    [11, 3],
  ])('is refused when its parts have %i bytes', async (bytes, first) => {
    const parts = [partXml(1, first, 'e1'), partXml(2, bytes - first, 'e2')]
    const sent = scriptedBucket({ ...unfinished, ListParts: listed(parts) })
    await expect(finish(UPLOAD)).rejects.toMatchObject({
      code: 'size_mismatch',
      message: `The parts have ${bytes} bytes, but the file has 10.`,
    })
    expect(operations(sent)).toEqual(['ListParts', 'AbortMultipartUpload'])
    expect(await recorded()).toBeNull()
  })
})

it('does not complete the upload when ListParts fails', async () => {
  const sent = scriptedBucket({ ...unfinished, ListParts: s3Error(500, 'InternalError') })
  await expect(finish(UPLOAD)).rejects.toMatchObject({ code: 'storage_error' })
  expect(operations(sent)).toEqual(['ListParts', 'HeadObject', 'GetObject'])
})
