import { afterEach, describe, expect, it, vi } from 'vitest'
import { removeFiles } from '../../src/core/remove.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { noFileIndex } from '../../src/records/file-index.ts'
import { testRecord } from '../../src/testing/test-record.ts'
import { inWords } from '../support/errors.ts'
import { type MountOptions, mount } from '../support/mount.ts'
import { failNextPurge } from '../support/purge.ts'
import {
  type Answer,
  answer,
  type Operation,
  operations,
  scriptedBucket,
} from '../support/scripted-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

const KEY = 'team/a.txt'
const fail = async (): Promise<never> => {
  throw new TypeError('no disk')
}
const deleted: Answer = () =>
  new Response(`<DeleteResult><Deleted><Key>${KEY}</Key></Deleted></DeleteResult>`)
const BUCKET: Partial<Record<Operation, Answer>> = {
  DeleteObject: answer(204),
  DeleteObjects: deleted,
  HeadObject: answer(404),
}
const INDEX = { ...memoryFileIndex(), get: async () => null }

interface Body {
  readonly code: string
  readonly reason?: string
  readonly deleted?: boolean
}

/** Deletes a file alone and in a list, and returns both errors: in words, and `deleted`. */
async function errorsOf(options: MountOptions, bucket: typeof BUCKET = {}) {
  scriptedBucket({ ...BUCKET, ...bucket })
  const app = mount({ files: { index: () => INDEX }, ...options })
  const one = await app.fetch(`/media/files/${encodeURIComponent(KEY)}`, { method: 'DELETE' })
  const alone = await one.json<Body>()
  const many = await app.post('/media/files/delete', { keys: [KEY] })
  const [inList] = (await many.json<{ deleted: { error?: Body }[] }>()).deleted
  return [alone, inList?.error].map((error) => error && [inWords(error), error.deleted])
}

/** With an index that has the record. */
const RECORDED: MountOptions = {
  files: { index: () => ({ ...INDEX, get: async () => testRecord(KEY) }) },
}
const PURGED: MountOptions = { links: { entrypoint: 'Objects' } }

describe('a delete that has removed the object says so', () => {
  it.each<[string, string, MountOptions, typeof BUCKET?]>([
    ['the index', 'unavailable index', { files: { index: () => ({ ...INDEX, get: fail }) } }],
    ['the event', 'unavailable events', { ...RECORDED, events: { onEvent: fail } }],
    ['the next look at the bucket', 'storage_error', {}, { HeadObject: answer(500) }],
  ])('if %s fails', async (_, words, options, bucket) => {
    const errors = await errorsOf(options, bucket)
    expect(errors[0]).toEqual([expect.any(String), true])
    expect(errors).toEqual(Array(2).fill([words, true]))
  })

  it('if the purge fails', async () => {
    failNextPurge(new Error('rate limited')).mockRejectedValueOnce(new Error('rate limited'))
    expect(await errorsOf(PURGED)).toEqual(Array(2).fill(['unavailable purge', true]))
  })

  it('if something fails that nobody has foreseen', async () => {
    scriptedBucket(BUCKET)
    const removal = { index: noFileIndex, purge: async () => {}, announce: fail }
    const failures = await removeFiles(
      testBucket(),
      [{ key: parseObjectKey(KEY) }],
      removal,
      new Date(),
    )
    expect(failures.get(KEY)).toMatchObject({ code: 'internal', deleted: true })
  })
})

describe('a delete that has not removed the object, as far as it knows, does not say so', () => {
  it.each<[string, string, MountOptions, typeof BUCKET?]>([
    [
      'the bucket refuses',
      'storage_error',
      {},
      { DeleteObject: answer(403), DeleteObjects: answer(403) },
    ],
    [
      'its response is lost',
      'storage_error',
      {},
      { DeleteObject: answer(500), DeleteObjects: answer(500) },
    ],
    [
      'the bucket is busy',
      'unavailable storage',
      {},
      { DeleteObject: answer(503), DeleteObjects: answer(503) },
    ],
  ])('if %s', async (_, words, options, bucket) => {
    expect(await errorsOf(options, bucket)).toEqual(Array(2).fill([words, undefined]))
  })

  it('if the app refuses', async () => {
    const sent = scriptedBucket(BUCKET)
    const refuse = async () => {
      throw new TypeError('no')
    }
    const app = mount({ beforeDelete: refuse })
    const response = await app.fetch('/media/files/team%2Fa.txt', { method: 'DELETE' })
    expect(await response.json()).not.toHaveProperty('deleted')
    expect(operations(sent)).toEqual([])
  })
})
