import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { utf8Length } from '../../../src/keys/encodings.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import { declareFileIndexContract } from '../../../src/testing/file-index-contract.ts'
import { testRecord } from '../../../src/testing/test-record.ts'
import { testDatabase } from '../../support/d1.ts'

const index = kvFileIndex(env.FILE_INDEX)
const all = { bucket: 'files', prefix: '', limit: 1000 }

afterEach(reset)

describe('the file index in Workers KV', () => {
  declareFileIndexContract({ beforeEach, expect, it }, () => index, ['kept', 'strayEntries'])

  it('cuts a long name to the space in KV, and returns what it stored', async () => {
    for (const name of ['a'.repeat(3000), '漢'.repeat(1000)]) {
      const stored = (await index.put(testRecord('a', { name }))) ?? testRecord('a')
      expect(name.startsWith(stored.name)).toBe(true)
      expect(stored.name.isWellFormed()).toBe(true)
      expect(await index.get('files', stored.key)).toEqual(stored)
      const { metadata } = await env.FILE_INDEX.getWithMetadata('file:files:a')
      const bytes = utf8Length(JSON.stringify(metadata))
      expect(bytes).toBeLessThanOrEqual(1024)
      expect(bytes).toBeGreaterThan(1024 - 6)
    }
  })
})

it.each([
  ['nothing', undefined],
  ['a D1 database', testDatabase],
])('refuses %s as a namespace', (_, value) => {
  expect(() => kvFileIndex(value as never)).toThrow(/needs a KV namespace/)
})

describe('a key at the limit of KV', () => {
  const room = 512 - 'file:files:'.length
  const longest = 'a'.repeat(room)

  it('is indexed up to 512 bytes with its bucket', async () => {
    for (const key of [longest, `${'漢'.repeat(Math.floor(room / 3))}`]) {
      const record = testRecord(key)
      await index.put(record)
      expect(await index.get('files', record.key)).toEqual(record)
      await index.remove('files', record.key)
      expect(await index.get('files', record.key)).toBeNull()
    }
  })

  it('is refused above that, counted in bytes, with an error that names the limit', async () => {
    for (const key of [`${longest}a`, '漢'.repeat(room / 2), 'a'.repeat(1024)])
      await expect(index.put(testRecord(key))).rejects.toMatchObject({
        code: 'key_not_indexable',
        message: expect.stringContaining(`at most ${room} bytes`),
      })
    expect((await index.list(all)).records).toEqual([])
  })

  it('is not found above that, by get, list and remove', async () => {
    const tooLong = parseObjectKey(`${longest}a`)
    expect(await index.get('files', tooLong)).toBeNull()
    expect(await index.remove('files', tooLong)).toBe(true)
    expect(await index.list({ ...all, prefix: tooLong })).toEqual({
      records: [],
      cursor: undefined,
      unreadable: 0,
    })
  })
})

describe('entries that are not records', () => {
  it('are counted, and hide no other record', async () => {
    const [first, last] = [testRecord('a'), testRecord('z')]
    await index.put(first)
    await index.put(last)
    await env.FILE_INDEX.put('file:files:b', '')
    await env.FILE_INDEX.put('file:files:c', '', { metadata: { name: 'c' } })
    await env.FILE_INDEX.put('file:files:d', '', { metadata: 'text' })
    const { key, bucket, ...members } = first
    const metadata = { v: 1, ...members }
    await env.FILE_INDEX.put('file:files:e/../x', '', { metadata })
    await env.FILE_INDEX.put('file:files:', '', { metadata })
    await env.FILE_INDEX.put('other:files:f', '', { metadata })

    expect(await index.list(all)).toEqual({
      records: [first, last],
      cursor: undefined,
      unreadable: 5,
    })
    expect(await index.get(bucket, parseObjectKey('c'))).toBeNull()
    expect(await index.get(bucket, key)).toEqual(first)
  })

  it('can fill a page without ending the list', async () => {
    await env.FILE_INDEX.put('file:files:a', '')
    const record = testRecord('b')
    await index.put(record)
    const page = await index.list({ ...all, limit: 1 })
    expect(page).toEqual({ records: [], cursor: expect.any(String), unreadable: 1 })
    const next = await index.list({ ...all, limit: 1, ...(page.cursor && { cursor: page.cursor }) })
    expect(next.records).toEqual([record])
  })
})

it('removes an entry that is no record, and no other one', async () => {
  const record = await index.put(testRecord('a'))
  await env.FILE_INDEX.put('file:files:b', '', { metadata: { name: 5 } })
  await env.FILE_INDEX.put('file:files:c', '')
  for (const key of ['a', 'b', 'c', 'd'].map(parseObjectKey)) {
    const known = await index.get('files', key)
    expect(await index.remove('files', key, { over: null })).toBe(known === null)
  }
  expect(await index.list(all)).toEqual({ records: [record], cursor: undefined, unreadable: 0 })
})

it('counts malformed entries, and those of other buckets, on every page', async () => {
  const { key: _, bucket: __, ...members } = testRecord('a')
  const metadata = { v: 1, ...members }
  const names = ['file:', 'file:files', 'file:files:a/../b', 'file:old:a', 'file:old:', 'other:b']
  for (const name of names) await env.FILE_INDEX.put(name, '', { metadata })
  await env.FILE_INDEX.put('file:files:c', '', { metadata: { ...metadata, status: 'other' } })
  await index.put(testRecord('d', { status: 'found' }))
  const list = vi.fn(async ({ cursor, ...options }: KVNamespaceListOptions) =>
    env.FILE_INDEX.list({ ...options, limit: 3, ...(cursor && { cursor }) }),
  )
  const small = kvFileIndex({ ...env.FILE_INDEX, list } as unknown as KVNamespace)
  const total = { old: 0, unreadable: 0, pages: 0 }
  let cursor: string | undefined
  do {
    const page = await small.strayEntries?.(['files'], cursor)
    total.old += page?.aliases.old ?? 0
    total.unreadable += page?.unreadable ?? 0
    total.pages += 1
    cursor = page?.cursor
  } while (cursor !== undefined)
  expect(total).toEqual({ old: 2, unreadable: 4, pages: 3 })
})

describe('what is kept in KV', () => {
  const record = testRecord('a')
  const keptAt = '2026-11-24T12:00:00.000Z'
  const recordKeys = async () => (await env.FILE_INDEX.list()).keys.map(({ name }) => name)

  // @threat owner-lost
  it('expires by itself, unless the bucket has an object of its size', async () => {
    const put = vi.fn(async () => {})
    const kv = kvFileIndex({ ...env.FILE_INDEX, put } as unknown as KVNamespace)
    await kv.kept?.put({ record, keptAt, expiresAt: '2026-12-24T12:00:00.000Z' })
    await kv.kept?.put({ record, keptAt, expiresAt: null })
    const { key: _, bucket: __, ...members } = record
    const metadata = { v: 1, ...members }
    const kept = Date.parse(keptAt) / 1000
    expect(put.mock.calls).toEqual([
      [
        'kept:files:a',
        '',
        { metadata: { ...metadata, kept, until: kept + 30 * 86_400 }, expirationTtl: 30 * 86_400 },
      ],
      ['kept:files:a', '', { metadata: { ...metadata, kept } }],
    ])
  })

  // @threat owner-lost
  it('is written before the record goes, and goes after it', async () => {
    await index.put(record)
    const seen: unknown[] = []
    const kv = kvFileIndex({
      getWithMetadata: (name: string) => env.FILE_INDEX.getWithMetadata(name),
      put: async (...given: Parameters<KVNamespace['put']>) => {
        await env.FILE_INDEX.put(...given)
        seen.push(await recordKeys())
      },
      delete: async (name: string) => {
        await env.FILE_INDEX.delete(name)
        seen.push(await recordKeys())
      },
    } as never)
    const kept = { record, keptAt, expiresAt: null }
    await kv.remove('files', record.key, { over: record, kept })
    await kv.put(record, { over: null, kept: null })
    const [both, one] = [
      ['file:files:a', 'kept:files:a'],
      ['kept:files:a', 'file:files:a'],
    ]
    expect(seen).toEqual([both, one?.slice(0, 1), both, ['file:files:a']])
  })
})

/** Local KV does not fail, so these tests simulate its errors. */
describe('an error of KV', () => {
  it('is unavailable with its cause, for every operation', async () => {
    const failure = new Error('KV PUT failed: 500 Internal Server Error')
    const fail = () => Promise.reject(failure)
    const broken = kvFileIndex({
      ...env.FILE_INDEX,
      getWithMetadata: fail,
      put: fail,
      delete: fail,
      list: fail,
    })
    const record = testRecord('a')
    for (const operation of [
      broken.get('files', record.key),
      broken.put(record),
      broken.remove('files', record.key),
      broken.list(all),
    ])
      await expect(operation).rejects.toMatchObject({
        code: 'unavailable',
        reason: 'index',
        cause: failure,
        retryAfterSeconds: 5,
      })
  })
})

describe('a second write of one key within a second', () => {
  const tooMany = new Error('KV PUT failed: 429 Too Many Requests')
  const record = testRecord('a')
  const TOO_SOON = { code: 'unavailable', reason: 'index', retryAfterSeconds: 1 }

  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('is repeated once, after that second', async () => {
    const written: string[] = []
    const refuseFirst = async (name: string) => {
      written.push(name)
      if (written.length % 2 === 1) throw tooMany
    }
    const busy = kvFileIndex({ ...env.FILE_INDEX, put: refuseFirst, delete: refuseFirst })
    for (const write of [() => busy.put(record), () => busy.remove('files', record.key)]) {
      written.length = 0
      const operation = write()
      await vi.advanceTimersByTimeAsync(1000)
      expect(written).toEqual(['file:files:a'])
      await vi.advanceTimersByTimeAsync(500)
      await operation
      expect(written).toEqual(['file:files:a', 'file:files:a'])
    }
  })

  it('is unavailable with Retry-After when KV refuses it again', async () => {
    const put = vi.fn(() => Promise.reject(tooMany))
    const busy = kvFileIndex({ ...env.FILE_INDEX, put })
    const refused = expect(busy.put(record)).rejects.toMatchObject(TOO_SOON)
    await vi.advanceTimersByTimeAsync(1500)
    await refused
    expect(put).toHaveBeenCalledTimes(2)
    // A provisional record is not written twice.
    await expect(busy.put({ ...record, owner: null })).rejects.toMatchObject(TOO_SOON)
    await expect(busy.put({ ...record, status: 'found' })).rejects.toMatchObject(TOO_SOON)
    expect(put).toHaveBeenCalledTimes(4)
  })

  // @threat record-disowned
  it.each([
    ['a put', (busy: FileIndex) => busy.put({ ...record, name: 'b' }, { over: record }), null],
    ['a removal', (busy: FileIndex) => busy.remove('files', record.key, { over: record }), false],
  ])('is not repeated over what that one has written: %s', async (_, write, result) => {
    await index.put(record)
    const other = { ...record, owner: 'key:bob' }
    const refuse = vi.fn(async () => {
      await index.put(other)
      throw tooMany
    })
    const getWithMetadata = (name: string) => env.FILE_INDEX.getWithMetadata(name)
    const busy = kvFileIndex({ getWithMetadata, put: refuse, delete: refuse } as never)
    const operation = write(busy)
    await vi.waitFor(() => expect(refuse).toHaveBeenCalled())
    await vi.advanceTimersByTimeAsync(1500)
    expect(await operation).toBe(result)
    expect(refuse).toHaveBeenCalledOnce()
    expect(await index.get('files', record.key)).toEqual(other)
  })
})
