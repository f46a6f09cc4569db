import { reset } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { utf8 } from '../../../src/keys/encodings.ts'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import {
  directStatement,
  filesOf,
  foldersStatement,
  type Statement,
} from '../../../src/plugins/files/d1-find.ts'
import { COLUMNS, openDatabase, rowValues } from '../../../src/plugins/files/d1-schema.ts'
import { d1Answers, groupStatements, totalStatement } from '../../../src/plugins/files/d1-totals.ts'
import { foldName, wordsOf } from '../../../src/plugins/files/search-text.ts'
import { type FileQuery, GROUPS, SORTS } from '../../../src/records/file-query.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { testRecord } from '../../../src/testing/test-record.ts'
import { testDatabase } from '../../support/d1.ts'

const index = d1FileIndex(testDatabase)
const whole = d1Answers(openDatabase(testDatabase), testDatabase)
/** Takes every set of more than four rows for a large one, and ends each page after four rows. */
const walking = d1Answers(openDatabase(testDatabase), testDatabase, 4)
/** Takes a prefix with more than three rows for one that is searched by words. */
const searching = d1Answers(openDatabase(testDatabase), testDatabase, 79)

afterEach(reset)

/** Compares as SQLite and Workers KV do: by the bytes of UTF-8. */
function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [one, other] = [utf8(String(a)), utf8(String(b))]
  for (const [i, byte] of one.entries()) if (byte !== other[i]) return byte - (other[i] ?? -1)
  return one.length - other.length
}

const question = (changes: Partial<FileQuery>): FileQuery => ({
  bucket: 'files',
  prefix: '',
  limit: 3,
  ...changes,
})

/** What a question must find, by its definition. */
function expected(records: readonly FileRecord[], query: FileQuery): string[] {
  const words = query.q === undefined ? [] : wordsOf(query.q)
  const found = records.filter(
    (one) =>
      one.bucket === query.bucket &&
      one.key.startsWith(query.prefix) &&
      words.every((word) => wordsOf(one.name).some((own) => own.startsWith(word))) &&
      (query.owner === undefined || one.owner === query.owner) &&
      (query.type === undefined ||
        (query.type.endsWith('*')
          ? one.mimetype.startsWith(query.type.slice(0, -1))
          : one.mimetype === query.type)) &&
      (query.createdAfter === undefined || one.createdAt >= query.createdAfter) &&
      (query.createdBefore === undefined || one.createdAt < query.createdBefore) &&
      one.size >= (query.minSize ?? 0) &&
      one.size <= (query.maxSize ?? Infinity) &&
      (query.delimiter === undefined || !one.key.slice(query.prefix.length).includes('/')),
  )
  const sort = query.sort?.replace('-', '')
  const sortValue = (one: FileRecord) =>
    sort === 'name' ? foldName(one.name) : sort === 'size' ? one.size : sort ? one.createdAt : ''
  const sorted = found.toSorted(
    (a, b) => compare(sortValue(a), sortValue(b)) || compare(a.key, b.key),
  )
  return (query.sort?.startsWith('-') ? sorted.reverse() : sorted).map(({ key }) => key)
}

/** Reads all pages. */
async function all(answers: typeof whole, query: FileQuery) {
  const keys: string[] = []
  const folders: string[] = []
  for (let cursor: string | undefined, pages = 0; ; pages++) {
    const page = await answers.find({ ...query, ...(cursor === undefined ? {} : { cursor }) })
    keys.push(...page.records.map(({ key }) => key))
    folders.push(...(page.folders ?? []).map(({ prefix }) => prefix))
    expect(page.records.length + (page.folders?.length ?? 0)).toBeLessThanOrEqual(query.limit)
    cursor = page.cursor
    if (cursor === undefined) return { keys, folders }
    expect(pages).toBeLessThan(200)
  }
}

const NAMES = ['Invoice März.pdf', 'invoice 2.PDF', 'Ёлка.png', 'report main', 'an invoice-report']
const PREFIXES = ['', 'a/', 'a/b', 'a/b/', 'tenant/', '😀/', 'a/\u{10ffff}']

const RECORDS = Array.from({ length: 60 }, (_, i) => {
  const folder = ['', 'a/', 'a/b/', 'a/bc/', 'tenant/', 'a/b/c/', '😀/', 'a/\u{10ffff}/'][i % 8]
  return testRecord(`${folder}${(i * 7919) % 97}`, {
    name: NAMES[i % 5] ?? '',
    size: (i * 37) % 11,
    mimetype: ['image/png', 'image/jpeg', 'application/pdf', 'image0/x'][i % 4] ?? '',
    owner: [null, 'key:ann', 'key:bob'][i % 3] ?? null,
    createdAt: new Date(Date.UTC(2026, 0, 1 + ((i * 13) % 20))).toISOString(),
  })
})

const FILTERS: Partial<FileQuery>[] = [
  { sort: 'size' },
  { q: 'INVOICE' },
  { q: 'inv rep' },
  { q: 'in' },
  { q: 'марц' },
  { q: 'marz inv' },
  { owner: 'key:ann' },
  { owner: 'key:nobody' },
  { type: 'image/*' },
  { type: 'image/png' },
  { createdAfter: '2026-01-05T00:00:00.000Z', createdBefore: '2026-01-12T00:00:00.000Z' },
  { minSize: 3, maxSize: 7 },
  {
    q: 'inv',
    owner: 'key:ann',
    type: 'image/*',
    minSize: 1,
    createdAfter: '2026-01-03T00:00:00.000Z',
  },
]

describe('a question', () => {
  beforeEach(async () => {
    for (const record of [...RECORDS, testRecord('a/other', { bucket: 'other' })])
      await index.put(record)
  })

  it('finds what matches, once, in its order, over all pages, whether it sorts or walks', async () => {
    for (const [i, filter] of FILTERS.entries())
      for (const [j, sort] of [undefined, ...SORTS].entries())
        for (const prefix of ['', PREFIXES[1 + ((i + j) % (PREFIXES.length - 1))] ?? '']) {
          const query = question({ prefix, sort, ...filter })
          const keys = expected(RECORDS, query)
          const name = JSON.stringify({ prefix, sort, ...filter })
          expect.soft((await all(whole, { ...query, limit: 11 })).keys, name).toEqual(keys)
          if ((prefix === '') !== ((i + j) % 2 === 0)) continue
          expect.soft((await all(walking, query)).keys, `${name}, walking`).toEqual(keys)
          if (query.q !== undefined)
            expect.soft((await all(searching, query)).keys, `${name}, searching`).toEqual(keys)
        }
  })

  it('lists folders and then the files directly below a prefix', async () => {
    for (const prefix of PREFIXES)
      for (const sort of [undefined, 'size', '-name'] as const)
        for (const answers of [whole, walking]) {
          const query = question({ prefix, sort, delimiter: '/' })
          const folders = RECORDS.filter(({ key }) => key.startsWith(prefix)).flatMap(({ key }) => {
            const [name, ...rest] = key.slice(prefix.length).split('/')
            return rest.length === 0 ? [] : [`${prefix}${name}/`]
          })
          expect.soft(await all(answers, query), JSON.stringify(query)).toEqual({
            keys: expected(RECORDS, query),
            folders: [...new Set(folders)].toSorted(compare),
          })
        }
  })
})

describe('totals', () => {
  beforeEach(async () => {
    for (const record of [...RECORDS, testRecord('a/other', { bucket: 'other' })])
      await index.put(record)
  })

  it('are those of the files below a prefix, from the summary or from the rows', async () => {
    const deep = 'a/b/c/d/e/f/g/h/'
    const deeper = testRecord(`${deep}i/j`, { size: 5, owner: null })
    await index.put(deeper)
    const records = [...RECORDS, deeper]
    for (const prefix of [...PREFIXES, 'nothing/', 'tena', deep, 'a/b/c/d/e/f/g/'])
      for (const groupBy of [undefined, ...GROUPS]) {
        const own = records.filter(({ key }) => key.startsWith(prefix))
        const sums = new Map<string | null, { count: number; bytes: number }>()
        for (const one of own) {
          const [name, ...rest] = one.key.slice(prefix.length).split('/')
          if (groupBy === 'folder' && rest.length === 0) continue
          const value = {
            type: one.mimetype,
            owner: one.owner,
            day: one.createdAt.slice(0, 10),
            folder: `${prefix}${name}/`,
          }[groupBy ?? 'type']
          const { count, bytes } = sums.get(value) ?? { count: 0, bytes: 0 }
          sums.set(value, { count: count + 1, bytes: bytes + one.size })
        }
        const groups = [...sums].map(([value, total]) => ({ value, ...total }))
        groups.sort((a, b) =>
          groupBy === 'day'
            ? -compare(a.value ?? '', b.value ?? '')
            : b.bytes - a.bytes || compare(a.value ?? '', b.value ?? ''),
        )
        expect
          .soft(await whole.stats({ bucket: 'files', prefix, groupBy }), `${prefix} ${groupBy}`)
          .toEqual({
            count: own.length,
            bytes: own.reduce((sum, { size }) => sum + size, 0),
            ...(groupBy && { groups }),
          })
      }
  })
})

describe('a search', () => {
  it('finds words next to every symbol', async () => {
    // FTS5 has the characters of 2012. It takes later symbols for letters.
    const symbols = [...'🤖📸🏅🧾🫠₿⏺🍽', '\u2068', '\u061c', '\u{1f6dc}']
    for (const [i, symbol] of symbols.entries())
      await index.put(testRecord(`${10 + i}`, { name: `${symbol}report${symbol}march.pdf` }))
    for (const q of ['report', 'mar rep', '🤖 report', 'pdf'])
      expect
        .soft((await all(whole, question({ q }))).keys, q)
        .toEqual(symbols.map((_, i) => `${10 + i}`))
  })

  it('repeats no name that is cut in the middle of a character', async () => {
    const names = ['😀', '𐐀'].flatMap((one) => [one.repeat(600), `a${one.repeat(600)}`, one])
    for (const [i, name] of names.entries()) await index.put(testRecord(`${i}`, { name }))
    for (const sort of ['name', '-name'] as const)
      for (const answers of [whole, walking]) {
        const { keys } = await all(answers, question({ sort, limit: 1 }))
        expect.soft(keys.toSorted()).toEqual(names.map((_, i) => `${i}`))
      }
  })
})

describe('a type', () => {
  it('has any case, and parameters', async () => {
    for (const [i, mimetype] of [
      'text/plain',
      'Text/Plain; charset=UTF-8',
      'text/plainer',
      'text/plain-x',
      'TEXT/HTML;a=b',
      'image/png',
      '',
    ].entries())
      await index.put(testRecord(`${i}`, { mimetype }))
    const found = async (type: string) => (await all(whole, question({ type }))).keys
    expect(await found('text/plain')).toEqual(['0', '1'])
    expect(await found('TEXT/plain')).toEqual(['0', '1'])
    expect(await found('Text/*')).toEqual(['0', '1', '2', '3', '4'])
    expect(await found('text/html;a=b')).toEqual(['4'])
    expect(await found('text/plai_')).toEqual([])
    expect(await found('text/%')).toEqual([])
  })
})

describe('the rows that one page reads', () => {
  let read = 0
  const counting: D1Database = Object.assign(Object.create(testDatabase), {
    prepare: (sql: string) => testDatabase.prepare(sql),
    batch: async <T>(statements: D1PreparedStatement[]) => {
      const results = await testDatabase.batch<T>(statements)
      for (const { meta } of results) read += meta.rows_read
      return results
    },
  })
  const counted = d1FileIndex(counting)
  /** Returns how many rows each page has read. */
  const pagesOf = async (list: (cursor?: string) => Promise<{ cursor: string | undefined }>) => {
    const pages: number[] = []
    let cursor: string | undefined
    do {
      read = 0
      cursor = (await list(cursor)).cursor
      pages.push(read)
    } while (cursor !== undefined)
    return pages
  }

  beforeEach(async () => {
    await counted.list(question({}))
    const { run } = openDatabase(testDatabase)
    const records = Array.from({ length: 600 }, (_, i) =>
      testRecord(`${i < 20 ? 'small/' : i < 40 ? '' : `big/${i % 30}/`}${i}`, { size: i }),
    )
    const values = COLUMNS.split(', ').map((_, i) => `json_extract(value, '$[${i}]')`)
    await run([
      testDatabase
        .prepare(`INSERT INTO presigner_files (${COLUMNS}) SELECT ${values} FROM json_each(?)`)
        .bind(JSON.stringify(records.map(rowValues))),
    ])
  })

  it('are not those of the pages before it', async () => {
    for (const prefix of ['', 'big/']) {
      const query = question({ prefix, limit: 20 })
      const list = (changes: Partial<FileQuery>) => (cursor?: string) =>
        counted.answers?.find({ ...query, ...changes, ...(cursor && { cursor }) }) ??
        Promise.reject(new Error('no answers'))
      for (const [name, pages] of Object.entries({
        list: await pagesOf((cursor) => counted.list({ ...query, ...(cursor && { cursor }) })),
        type: await pagesOf(list({ type: 'image/*' })),
        owner: await pagesOf(list({ owner: 'key:admin' })),
      })) {
        expect.soft(pages.length, `${name} ${prefix}`).toBeGreaterThan(20)
        expect.soft(Math.max(...pages), `${name} ${prefix}`).toBeLessThan(100)
      }
    }
  })

  it('are those of the caller, whatever is asked', async () => {
    for (const filter of FILTERS)
      for (const sort of [undefined, ...SORTS]) {
        const query = question({ prefix: 'small/', sort, ...filter })
        const pages = await pagesOf(
          async (cursor) =>
            (await counted.answers?.find({ ...query, ...(cursor && { cursor }) })) ?? {
              cursor: undefined,
            },
        )
        expect.soft(Math.max(...pages), JSON.stringify(query)).toBeLessThan(150)
      }
  })

  it('are not those of everybody with this word', async () => {
    await testDatabase
      .prepare(`INSERT INTO presigner_words (presigner_words) VALUES ('delete-all')`)
      .run()
    const search = (prefix: string) => whole.find(question({ prefix, q: 'photo', limit: 100 }))
    expect((await search('')).records).toEqual([])
    expect((await search('small/')).records).toHaveLength(20)
  })

  it('are those of the folder that is shown, in any order', async () => {
    for (const sort of SORTS) {
      read = 0
      const page = await counted.answers?.find(question({ sort, limit: 100, delimiter: '/' }))
      expect.soft(page?.records.length).toBe(20)
      expect.soft(read, sort).toBeLessThan(200)
    }
  })
})

describe('the plan of a statement', () => {
  // Makes the tables.
  beforeEach(() => index.get('files', testRecord('a').key))

  const plan = async ({ sql, values }: Statement): Promise<string[]> => {
    const explained = testDatabase.prepare(`EXPLAIN QUERY PLAN ${sql}`).bind(...values)
    return (await explained.all<{ detail: string }>()).results.map(({ detail }) => detail)
  }

  it('reads the files only by an index, whatever is asked', async () => {
    for (const prefix of ['', 'a/b', 'a/'])
      for (const filter of [{}, ...FILTERS])
        for (const sort of [undefined, ...SORTS])
          for (const after of [undefined, [sort?.endsWith('size') ? 1 : 'a', 'a'] as const]) {
            const query = question({ prefix, sort, ...filter })
            const steps = await plan(filesOf(query, wordsOf(query.q ?? ''), after))
            const name = JSON.stringify({ prefix, ...filter, sort, after })
            for (const step of steps) expect.soft(step, name).not.toMatch(/^SCAN f\b(?!.*VIRTUAL)/)
          }
  })

  it('walks the index of an order from where the last page ended, and sorts nothing', async () => {
    for (const sort of SORTS) {
      const column = { createdAt: 'created_at', name: 'folded', size: 'size' }[
        sort.replace('-', '') as 'size'
      ]
      for (const after of [undefined, [1, 'a'] as const]) {
        const steps = await plan(filesOf(question({ sort }), [], after))
        const found = after ? `bucket=? AND (${column},key)` : 'bucket=?'
        expect
          .soft(steps.join('\n'))
          .toContain(`SEARCH f USING INDEX presigner_files_${column} (${found}`)
        expect.soft(steps.join('\n')).not.toContain('TEMP B-TREE')
      }
    }
    const bySize = await plan(
      filesOf(question({ sort: 'size', minSize: 1, maxSize: 9 }), [], [2, 'a']),
    )
    expect(bySize.join('\n')).toContain('(bucket=? AND (size,key)>(?,?) AND size<?)')
  })

  it('needs no sort for folders, their files and totals, and reads no table whole', async () => {
    const deep = 'a/b/c/d/e/f/g/h/'
    for (const prefix of ['', 'a/', 'a/b', deep]) {
      const statements = [
        foldersStatement(question({ prefix }), undefined),
        directStatement(question({ prefix }), undefined),
        totalStatement({ bucket: 'files', prefix }),
      ]
      for (const statement of statements) {
        const steps = (await plan(statement)).join('\n')
        // Of folders that nobody has counted, each page reads so many rows, and adds them up.
        const isCounted = statement !== statements[0] || prefix !== deep
        const pattern = isCounted ? /TEMP B-TREE|SCAN (f|presigner\w+)\b/ : /SCAN presigner\w+\b/
        expect.soft(steps, statement.sql).not.toMatch(pattern)
      }
      for (const groupBy of GROUPS)
        for (const statement of groupStatements({ bucket: 'files', prefix, groupBy }))
          expect
            .soft((await plan(statement)).join('\n'), statement.sql)
            .not.toMatch(/SCAN (f|presigner\w+)\b/)
    }
  })
})

it('reads at most so many rows for a page of folders that nobody has counted', async () => {
  const deep = `${'d/'.repeat(9)}`
  const sizes = { a: 1, b: 2, c: 9, d: 3, e: 1, f: 4 }
  const direct = [...'0123456789', 'b0', 'f0', 'z'].map((name) => `${deep}${name}`)
  for (const key of direct) await index.put(testRecord(key))
  for (const [name, count] of Object.entries(sizes))
    for (let i = 0; i < count; i++) await index.put(testRecord(`${deep}${name}/${i}/x`))
  const folders = Object.keys(sizes).map((name) => `${deep}${name}/`)
  for (const answers of [whole, walking])
    for (const limit of [1, 2, 100]) {
      const query = question({ prefix: deep, limit, delimiter: '/' })
      expect(await all(answers, query)).toEqual({ folders, keys: direct.toSorted(compare) })
    }
  // Of nine files, four are read.
  const cursor = JSON.stringify([`${deep}b/`])
  const query = question({ prefix: deep, limit: 100, delimiter: '/', cursor })
  expect(await walking.find(query)).toMatchObject({
    ...{ records: [], folders: [{ prefix: `${deep}c/`, count: 3 }] },
    cursor: JSON.stringify([`${deep}c/`]),
  })
  expect((await whole.find(query)).folders).toMatchObject(
    folders.slice(2).map((prefix, i) => ({ prefix, count: [9, 3, 1, 4][i] })),
  )
})

it('reads at most so many rows for the totals of what nobody has counted', async () => {
  const deep = `${'d/'.repeat(9)}`
  for (let i = 0; i < 5; i++) await index.put(testRecord(`${deep}x/${i}`))
  const queries = ['d/d', deep].flatMap((prefix) =>
    ([undefined, 'type', 'owner', 'day', 'folder'] as const).map((groupBy) => ({
      ...{ bucket: 'files', prefix, ...(groupBy && { groupBy }) },
    })),
  )
  for (const query of queries) {
    await expect(walking.stats(query)).rejects.toMatchObject({ code: 'invalid_request' })
    expect((await whole.stats(query)).count).toBe(5)
  }
  // Up to eight folders deep, every write counts.
  expect((await walking.stats({ bucket: 'files', prefix: 'd/' })).count).toBe(5)
})
