import { reset } from 'cloudflare:test'
import { afterEach, expect, it } from 'vitest'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { testRecord } from '../../../src/testing/test-record.ts'
import { testDatabase as db } from '../../support/d1.ts'

const rows = async (sql: string) => (await db.prepare(sql).all()).results

/** Numbers from 0 to 1 that are the same for each run. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const KEYS = [
  'a',
  'a/b',
  'a/b/c.txt',
  'a//b',
  '/a',
  'a/',
  'ä/𝒳/é/😀.txt',
  `${'d/'.repeat(511)}x`,
  `${'😀'.repeat(255)}/x`,
  'a/\'%_"[]{}$\\/x',
  'A/B',
]
const NAMES = [
  '',
  'x',
  '\u0000',
  'Ä\u0000b',
  'İ',
  '\u{10ffff}',
  '"quoted" AND NOT',
  'ﷺ'.repeat(500),
]
const OWNERS = [null, '', '=', 'key:a', 'key:a\u0001', 'ann/😀', 'null']
const TYPES = ['', 'text/plain', 'TEXT/plain; charset=utf-8', "a'b"]

const STATUSES = [{}, { status: 'found' }] as const

/** The totals, counted from the rows. */
function recount(records: readonly FileRecord[]): Map<string, number[]> {
  const sums = new Map<string, number[]>()
  for (const { bucket, key, size, mimetype, owner, createdAt } of records) {
    const folders = ['']
    for (let i = key.indexOf('/'); i !== -1 && folders.length < 8; i = key.indexOf('/', i + 1))
      folders.push(key.slice(0, i + 1))
    for (const [i, folder] of folders.entries())
      for (const group of [
        ['folder', folders[i - 1] ?? '-'],
        ['type', mimetype],
        ['owner', owner === null ? '' : `=${owner}`],
        ['day', createdAt.slice(0, 10)],
      ]) {
        const name = JSON.stringify([bucket, folder, ...group])
        const [count = 0, bytes = 0] = sums.get(name) ?? []
        sums.set(name, [count + 1, bytes + size])
      }
  }
  return sums
}

async function totals(): Promise<Map<string, number[]>> {
  const all = await rows(
    `SELECT bucket, folder, 'folder' AS kind, parent AS value, count, bytes FROM presigner_folders
     UNION ALL SELECT bucket, folder, kind, value, count, bytes FROM presigner_totals`,
  )
  return new Map(
    all.map(({ bucket, folder, kind, value, count, bytes }) => [
      JSON.stringify([bucket, folder, kind, value]),
      [Number(count), Number(bytes)],
    ]),
  )
}

afterEach(reset)

// @threat record-wrong
it.each([1, 2, 3])(
  'does what the rules say, and never drifts from its rows: seed %i',
  async (seed) => {
    const random = randomFrom(seed)
    const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T
    const index = d1FileIndex(db)
    const model = memoryFileIndex()
    const any = () =>
      testRecord(pick(KEYS), {
        bucket: pick(['files', 'other']),
        name: pick(NAMES),
        owner: pick(OWNERS),
        mimetype: pick(TYPES),
        size: pick([0, 1, 5 * 2 ** 40]),
        etag: pick(['"1"', '"2"']),
        createdAt: `2026-11-${pick(['24', '25'])}T12:00:0${pick(['0', '1'])}.000Z`,
        ...pick(STATUSES),
      })
    for (let i = 0; i < 150; i++) {
      const record = any()
      const { bucket, key } = record
      const old = await model.get(bucket, key)
      const keeping = () =>
        pick([undefined, null, { record, keptAt: record.createdAt, expiresAt: null }])
      const operation = random()
      if (operation < 0.7) {
        const change = { over: pick([undefined, old, old, null, any()]), kept: keeping() }
        const stored = await index.put(record, change)
        expect(stored).toEqual(await model.put(record, change))
      } else {
        const change = { over: pick([undefined, old, old, null, record]), kept: keeping() }
        const isRemoved = await index.remove(bucket, key, change)
        expect(isRemoved).toBe(await model.remove(bucket, key, change))
      }
      expect(await index.kept?.get(bucket, key)).toEqual(await model.kept?.get(bucket, key))
      expect(await index.get(bucket, key)).toEqual(await model.get(bucket, key))
      if (i % 15 > 0) continue
      const records: FileRecord[] = []
      for (const alias of ['files', 'other'])
        records.push(...(await index.list({ bucket: alias, prefix: '', limit: 99 })).records)
      expect(await totals()).toEqual(recount(records))
      await db
        .prepare(
          `INSERT INTO presigner_words (presigner_words, rank) VALUES ('integrity-check', 1)`,
        )
        .run()
    }
  },
)
