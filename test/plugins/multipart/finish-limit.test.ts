import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { testRecord } from '../../../src/testing/test-record.ts'
import { BOTH, finish, index, recorded, SIZELESS, UPLOAD } from '../../support/finish.ts'
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

const tooLarge = { code: 'file_too_large', message: 'A file may have at most 9 bytes here.' }
const LIST = listed([partXml(1, 6, 'e1'), partXml(2, 4, 'e2')])
const MISSING = answer(404)
const NO_LIST = s3Error(405, 'MethodNotAllowed')

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

describe('a bucket that limits the size of a file, and lists parts,', () => {
  it('accepts a file within the limit', async () => {
    scriptedBucket({ ListParts: LIST, CompleteMultipartUpload: completed, HeadObject: found(10) })
    expect(await finish(SIZELESS, BOTH, { maxBytes: 10 })).toMatchObject({ size: 10 })
  })

  // @threat upload-too-large
  it('refuses one byte more before the parts are assembled, and deletes them', async () => {
    for (const AbortMultipartUpload of [answer(204), s3Error(403, 'AccessDenied')]) {
      const sent = scriptedBucket({ ListParts: LIST, HeadObject: MISSING, AbortMultipartUpload })
      await expect(finish(SIZELESS, BOTH, { maxBytes: 9 })).rejects.toMatchObject(tooLarge)
      expect(operations(sent)).toEqual(['ListParts', 'AbortMultipartUpload'])
    }
    expect(await recorded()).toBeNull()
  })

  it('counts the parts of all pages', async () => {
    scriptedBucket({
      ListParts: [listed([partXml(1, 6, 'e1')], 1), listed([partXml(2, 4, 'e2')])],
      HeadObject: MISSING,
    })
    await expect(finish(SIZELESS, BOTH, { maxBytes: 9 })).rejects.toMatchObject(tooLarge)
  })
})

it('refuses more than S3 accepts for one object, whatever the bucket', async () => {
  const parts = [partXml(1, 5 * 1024 ** 4, 'e1'), partXml(2, 1, 'e2')]
  scriptedBucket({ ListParts: listed(parts), HeadObject: MISSING })
  await expect(finish(SIZELESS)).rejects.toMatchObject({ code: 'file_too_large' })
})

describe('a bucket that limits the size of a file, and does not list parts,', () => {
  const script = { ListParts: NO_LIST, CompleteMultipartUpload: completed }

  it('keeps an object within the limit', async () => {
    const sent = scriptedBucket({ ...script, HeadObject: found(9) })
    expect(await finish(SIZELESS, BOTH, { maxBytes: 9 })).toMatchObject({ size: 9 })
    expect(operations(sent)).not.toContain('DeleteObject')
  })

  // @threat upload-too-large
  it.each([
    { parts: 'of any size', upload: SIZELESS },
    { parts: 'of the size from the Worker', upload: { ...SIZELESS, partSize: 6 } },
  ])('deletes an object with parts $parts that is larger, and records nothing', async (row) => {
    const sent = scriptedBucket({
      ...script,
      HeadObject: [found(10), MISSING],
      DeleteObject: answer(204),
    })
    await expect(finish(row.upload, BOTH, { maxBytes: 9 })).rejects.toMatchObject(tooLarge)
    expect(operations(sent).slice(0, 4)).toEqual([
      'ListParts',
      'CompleteMultipartUpload',
      'HeadObject',
      'DeleteObject',
    ])
    expect(await recorded()).toBeNull()
  })

  it('does not record an object that is too large, even when it cannot be deleted', async () => {
    scriptedBucket({
      ...script,
      HeadObject: found(10),
      DeleteObject: s3Error(503, 'SlowDown'),
    })
    await expect(finish(SIZELESS, BOTH, { maxBytes: 9 })).rejects.toBeDefined()
    expect(await recorded()).toBeNull()
  })

  // @threat upload-too-large chosen-upload-confused
  it('refuses an object that was there before, also with a record by a notification, and leaves it', async () => {
    const provisional = testRecord(UPLOAD.key, { etag: '"abc-2"', owner: null })
    const guess = testRecord(UPLOAD.key, { etag: '"abc-2"', status: 'found' })
    for (const known of [null, provisional, guess]) {
      if (known !== null) await index.put(known)
      const sent = scriptedBucket({
        ...script,
        CompleteMultipartUpload: s3Error(404, 'NoSuchUpload'),
        HeadObject: found(10),
        DeleteObject: answer(204),
      })
      await expect(finish(SIZELESS, BOTH, { maxBytes: 9 })).rejects.toMatchObject(tooLarge)
      expect(operations(sent)).not.toContain('DeleteObject')
      expect(await recorded()).toEqual(known)
    }
  })

  // @threat upload-too-large
  it('keeps a recorded object if the limit is lower now and the bucket completes it again', async () => {
    const sent = scriptedBucket({ ...script, HeadObject: found(10), DeleteObject: answer(204) })
    const first = await finish(SIZELESS, BOTH, { maxBytes: 10 })
    expect(await finish(SIZELESS, BOTH, { maxBytes: 9 })).toEqual(first)
    expect(operations(sent)).not.toContain('DeleteObject')
  })

  it('does not record an object that is too large, even when the first HeadObject fails', async () => {
    scriptedBucket({
      ...script,
      HeadObject: [answer(503), found(10)],
      DeleteObject: answer(204),
    })
    await expect(finish(SIZELESS, BOTH, { maxBytes: 9 })).rejects.toBeDefined()
    expect(await recorded()).toBeNull()
  })

  it('keeps an object of the declared size when the client chooses the part size', async () => {
    const sent = scriptedBucket({ ...script, HeadObject: found(10) })
    expect(await finish({ ...SIZELESS, size: 10 })).toMatchObject({ size: 10 })
    expect(operations(sent)).not.toContain('DeleteObject')
  })

  it('deletes an object of a different size than declared', async () => {
    const sent = scriptedBucket({
      ...script,
      HeadObject: [found(10), MISSING],
      DeleteObject: answer(204),
    })
    await expect(finish({ ...SIZELESS, size: 9 })).rejects.toMatchObject({ code: 'size_mismatch' })
    expect(operations(sent)).toContain('DeleteObject')
    expect(await recorded()).toBeNull()
  })

  it('does not check the size again when it was declared and signed', async () => {
    const sent = scriptedBucket({ ...script, HeadObject: found(10) })
    await finish(UPLOAD, BOTH, { maxBytes: 10 })
    expect(operations(sent)).toEqual([
      'ListParts',
      'CompleteMultipartUpload',
      'HeadObject',
      'HeadObject',
    ])
  })
})
