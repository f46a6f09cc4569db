import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import { newObjectKey } from '../../../src/keys/new-key.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import type { ListInput } from '../../../src/records/file-index.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { testRecord } from '../../../src/testing/test-record.ts'

const COUNT = 1234
const START = Date.UTC(2026, 10, 24)
const index = kvFileIndex(env.FILE_INDEX)

/** One upload each second, oldest first. Every tenth one has a different prefix. */
const records = Array.from({ length: COUNT }, (_, i) => {
  const now = new Date(START + i * 1000)
  const prefix = i % 10 === 0 ? 'team-b/' : 'team-a/'
  const key = newObjectKey({ fileName: `Photo ${i}.jpg`, prefix, now })
  return testRecord(key, { name: `Photo ${i}.jpg`, size: i, createdAt: now.toISOString() })
})

const newestFirst = (prefix: string): FileRecord[] =>
  records.filter(({ key }) => key.startsWith(prefix)).reverse()

beforeAll(async () => {
  for (let i = 0; i < COUNT; i += 100)
    await Promise.all(records.slice(i, i + 100).map((record) => index.put(record)))
})

/** All pages, in order. */
async function pages(input: Omit<ListInput, 'cursor'>): Promise<FileRecord[][]> {
  const result: FileRecord[][] = []
  let cursor: string | undefined
  do {
    const page = await index.list({ ...input, ...(cursor === undefined ? {} : { cursor }) })
    expect(page.unreadable).toBe(0)
    result.push(page.records)
    cursor = page.cursor
  } while (cursor !== undefined)
  return result
}

describe('a list of more than a thousand files', () => {
  it.each([
    [1000, [1000, 110]],
    [500, [500, 500, 110]],
    [555, [555, 555]],
  ])('comes in pages of %i, newest first, without gaps or repeats', async (limit, lengths) => {
    const listed = await pages({ bucket: 'files', prefix: 'team-a/', limit })
    expect(listed.flat()).toEqual(newestFirst('team-a/'))
    // The last page may be empty.
    expect(listed.map((page) => page.length).filter((length) => length > 0)).toEqual(lengths)
  })

  it('is complete without a prefix: prefix by prefix, newest first in each', async () => {
    const listed = await pages({ bucket: 'files', prefix: '', limit: 1000 })
    expect(listed.map((page) => page.length)).toEqual([1000, 234])
    expect(listed.flat()).toEqual([...newestFirst('team-a/'), ...newestFirst('team-b/')])
  })
})
