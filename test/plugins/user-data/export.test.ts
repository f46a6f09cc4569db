import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { exportRecords, FORMATS } from '../../../src/plugins/user-data/export.ts'
import { type FileIndex, indexUnavailable, noFileIndex } from '../../../src/records/file-index.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { ANN } from '../../support/ann.ts'
import { testDatabase } from '../../support/d1.ts'
import { mount } from '../../support/mount.ts'

afterEach(async () => {
  vi.restoreAllMocks()
  await reset()
})

const record = (key: string, changes: Partial<FileRecord> = {}): FileRecord => ({
  ...{ key: parseObjectKey(key), bucket: 'files', name: 'a.txt', size: 5, mimetype: 'text/plain' },
  ...{ etag: '"e"', owner: 'ann', createdAt: '2026-11-24T12:00:00.000Z' },
  ...changes,
})

/** Workers warn about the text of a type that doesn't say so. */
const textOf = async (response: Response): Promise<string> =>
  new TextDecoder().decode(await response.arrayBuffer())

const exported = (query: string, index: FileIndex, principal: object = {}) =>
  mount({ files: { index }, authenticate: () => ({ ...ANN, ...principal }) }).fetch(
    `/media/export?${query}`,
  )

describe.each([
  ['KV', () => kvFileIndex(env.FILE_INDEX)],
  ['D1', () => d1FileIndex(testDatabase)],
  ['memory', memoryFileIndex],
])('GET /export from an index in %s', (_, createIndex) => {
  it('streams every record below the prefix, and their number at the end', async () => {
    const index = createIndex()
    const records = ['users/alice/1.txt', 'users/alice/a/2.txt'].map((key) => record(key))
    for (const one of [...records, record('users/alice2/3.txt')]) await index.put(one)
    const response = await exported('prefix=users/alice/', index)
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/x-ndjson',
      'content-disposition': 'attachment; filename="files.ndjson"',
      'cache-control': 'no-store',
    })
    const lines = (await textOf(response)).split('\n')
    expect(lines.pop()).toBe('')
    expect(lines.map((line) => JSON.parse(line))).toEqual([...records, { records: 2 }])
  })
})

describe('GET /export', () => {
  it('writes CSV with a byte order mark and a header line', async () => {
    const index = memoryFileIndex()
    await index.put(record('a/1.txt', { name: 'Grüße, "2".txt', owner: null }))
    const response = await exported('prefix=a/&format=csv', index)
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
    const bytes = new Uint8Array(await response.arrayBuffer())
    expect([...bytes.subarray(0, 3)]).toEqual([0xef, 0xbb, 0xbf])
    expect(new TextDecoder().decode(bytes)).toBe(
      'key,bucket,name,size,mimetype,etag,owner,createdAt,status\r\n' +
        'a/1.txt,files,"Grüße, ""2"".txt",5,text/plain,"""e""",,2026-11-24T12:00:00.000Z,\r\n',
    )
  })

  // @threat formula-injection
  it('writes no cell that a spreadsheet reads as a formula', async () => {
    const index = memoryFileIndex()
    await index.put(record('=a/1.txt', { name: '=HYPERLINK("https://evil.example")', owner: '@x' }))
    const text = await textOf(await exported('prefix=&format=csv', index))
    expect(text.split('\r\n')[1]).toBe(
      `'=a/1.txt,files,"'=HYPERLINK(""https://evil.example"")",5,text/plain,"""e""",'@x,2026-11-24T12:00:00.000Z,`,
    )
  })

  it('exports only what is below the prefix of the principal', async () => {
    const index = memoryFileIndex()
    await index.put(record('a/1.txt'))
    await index.put(record('b/1.txt'))
    expect((await exported('prefix=b/', index, { prefix: 'a/' })).status).toBe(403)
    const own = await textOf(await exported('', index, { prefix: 'a/' }))
    expect(own.trim().split('\n').length).toBe(2)
    expect(own).toContain('a/1.txt')
  })

  it('needs the scope files:list', async () => {
    const response = await exported('', memoryFileIndex(), { scopes: ['files:read'] })
    expect(response.status).toBe(403)
  })

  it('is 501 without an index, and an error of the index if the first page fails', async () => {
    expect((await exported('', noFileIndex)).status).toBe(501)
    const failing = { ...memoryFileIndex(), list: () => Promise.reject(indexUnavailable('down')) }
    expect((await exported('', failing)).status).toBe(503)
  })

  // @threat export-cut
  it('breaks off if the index fails in the middle, and logs it', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    const failing: FileIndex = {
      ...memoryFileIndex(),
      list: async ({ cursor }) => {
        if (cursor !== undefined) throw indexUnavailable('down')
        return { records: [record('a/1.txt')], cursor: 'next', unreadable: 0 }
      },
    }
    for (const format of ['ndjson', 'csv']) {
      const response = await exported(`format=${format}`, failing)
      expect(response.status).toBe(200)
      await expect(textOf(response)).rejects.toThrow()
    }
    expect(warn.mock.calls.flat().join()).toMatch(/"warning":"export cut".*"reason":/)
  })
})

/** An index of endless pages, which counts those that were asked for. */
function countingIndex(pages: number) {
  const asked: (string | undefined)[] = []
  const index: FileIndex = {
    ...memoryFileIndex(),
    list: async ({ cursor }) => {
      asked.push(cursor)
      const page = Number(cursor ?? 0) + 1
      return {
        records: page === 2 ? [] : [record(`a/${page}.txt`)],
        cursor: page < pages ? String(page) : undefined,
        unreadable: 1,
      }
    },
  }
  return { index, asked }
}

describe('exportRecords', () => {
  const list = { bucket: 'files', prefix: '' }

  it('asks for a page only when the reader wants it', async () => {
    const { index, asked } = countingIndex(1000)
    const unreadable = vi.fn()
    const stream = await exportRecords(index, list, FORMATS.ndjson, {
      unreadable,
      failure: vi.fn(),
    })
    expect(asked.length).toBe(1)
    const reader = stream.getReader()
    await reader.read()
    expect(asked.length).toBe(1)
    await reader.read()
    // The second page is empty.
    expect(asked).toEqual([undefined, '1', '2'])
    await reader.cancel()
    expect(asked.length).toBe(3)
    expect(unreadable).toHaveBeenCalledTimes(3)
  })

  it('counts what all pages have', async () => {
    const { index } = countingIndex(5)
    const ignored = { unreadable: vi.fn(), failure: vi.fn() }
    const stream = await exportRecords(index, list, FORMATS.ndjson, ignored)
    expect((await new Response(stream).text()).trim().split('\n').at(-1)).toBe('{"records":4}')
  })
})
