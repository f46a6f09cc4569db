import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it } from 'vitest'
import {
  COLUMNS,
  folderTokens,
  openDatabase,
  rowValues,
  STEPS,
} from '../../../src/plugins/files/d1-schema.ts'
import { foldName } from '../../../src/plugins/files/search-text.ts'
import { testRecord } from '../../../src/testing/test-record.ts'
import { testDatabase as db } from '../../support/d1.ts'

const insert = (key: string, changes = {}) =>
  db
    .prepare(`INSERT INTO presigner_files (${COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`)
    .bind(...rowValues(testRecord(key, changes)))
const rows = async (sql: string) => (await db.prepare(sql).all()).results

afterEach(reset)

describe('the tables', () => {
  it('keep words and totals of what is inserted, changed and deleted', async () => {
    const { run } = openDatabase(db)
    await run([
      insert('a/é/c.txt', { size: 5, owner: null, name: 'Résumé\u0000 x.txt' }),
      insert('a/d.txt', { size: 7 }),
      insert('e.txt', { size: 1 }),
    ])
    const folders = 'SELECT parent, folder, count, bytes FROM presigner_folders ORDER BY folder'
    expect(await rows(folders)).toEqual([
      { parent: '-', folder: '', count: 3, bytes: 13 },
      { parent: '', folder: 'a/', count: 2, bytes: 12 },
      { parent: 'a/', folder: 'a/é/', count: 1, bytes: 5 },
    ])
    const totals = `SELECT folder, kind, value, count, bytes FROM presigner_totals WHERE folder = 'a/' ORDER BY kind, value`
    expect(await rows(totals)).toEqual([
      { folder: 'a/', kind: 'day', value: '2026-11-24', count: 2, bytes: 12 },
      { folder: 'a/', kind: 'owner', value: '', count: 1, bytes: 5 },
      { folder: 'a/', kind: 'owner', value: '=key:admin', count: 1, bytes: 7 },
      { folder: 'a/', kind: 'type', value: 'image/jpeg', count: 2, bytes: 12 },
    ])
    const token = folderTokens('files', 'a/é/').at(-1)
    const found = `SELECT rowid FROM presigner_words WHERE presigner_words MATCH 'folded : res* AND tokens : ${token}'`
    expect(await rows(found)).toHaveLength(1)

    await run([
      db.prepare(
        `UPDATE presigner_files SET size = 10, owner = 'a', folded = 'other' WHERE key = 'a/é/c.txt'`,
      ),
    ])
    expect(await rows(found)).toEqual([])
    expect(await rows(folders)).toMatchObject([{ bytes: 18 }, { bytes: 17 }, { bytes: 10 }])
    expect(await rows(totals)).toMatchObject([{}, { value: '=a' }, { value: '=key:admin' }, {}])

    await run([db.prepare('DELETE FROM presigner_files')])
    for (const table of ['presigner_folders', 'presigner_totals'])
      expect(await rows(`SELECT * FROM ${table}`)).toEqual([])
    await db
      .prepare(`INSERT INTO presigner_words (presigner_words) VALUES ('integrity-check')`)
      .run()
  })
})

it.each([
  ['day', 'created_at', '2026-11-25T00:00:00.000Z', '2026-11-25'],
  ['type', 'mimetype', 'text/plain', 'text/plain'],
  ['owner', 'owner', 'ann', '=ann'],
  ['owner', 'owner', null, ''],
])('moves a file to another %s when only its %s becomes %s', async (kind, column, value, total) => {
  await openDatabase(db).run([
    insert('a.txt', { size: 3 }),
    db.prepare(`UPDATE presigner_files SET ${column} = ?`).bind(value),
  ])
  expect(
    await rows(`SELECT value, count, bytes FROM presigner_totals WHERE kind = '${kind}'`),
  ).toEqual([{ value: total, count: 1, bytes: 3 }])
})

it('has the beginnings of words of one, two and three characters in an index', async () => {
  await openDatabase(db).run([insert('a')])
  const [table] = await rows(`SELECT sql FROM sqlite_master WHERE name = 'presigner_words'`)
  // Without it, a search reads all words that begin with the character, of every tenant.
  expect(table?.sql).toContain(`prefix='1 2 3'`)
})

it('has no CASE in a trigger, whose END some parsers of D1 take for the end of the trigger', () => {
  for (const sql of STEPS.flat())
    if (sql.startsWith('CREATE TRIGGER')) expect(sql).not.toMatch(/\bCASE\b/i)
})

it('folds case, accents and widths of a name', () => {
  expect(foldName('ÉCOLE Ｆｏｏ ﬁn.PDF')).toBe('ecole foo fin.pdf')
  expect(foldName('Straße SØREN Łódź Œuvre Æther.pdf')).toBe('strasse soren lodz oeuvre aether.pdf')
})

it('has spaces for symbols, also for half of one at the end, where it cuts', () => {
  expect(foldName('🤖Bericht\u2068x\u2069.pdf')).toBe(' bericht x .pdf')
  expect(foldName(`a${'😀'.repeat(600)}`)).toBe(`a${' '.repeat(512)}`)
  expect(foldName(`${'a'.repeat(1023)}𝟘𐐀`)).toBe(`${'a'.repeat(1023)}0`)
  expect(foldName(`${'a'.repeat(1023)}𐐀`)).toBe(`${'a'.repeat(1023)} `)
})

it('has the depth of a folder in its word, so that a deeper one never has the same', () => {
  expect(folderTokens('files', 'a/b/c.txt').map((token) => token.split('x').at(-1))).toEqual([
    '0',
    '1',
    '2',
  ])
})

it('has the same word for a folder above a key and above a prefix', () => {
  const tokens = folderTokens('files', 'a/b/c.txt')
  expect(tokens).toHaveLength(3)
  expect(new Set([...tokens, ...folderTokens('file', 's/a/')]).size).toBe(6)
  expect(folderTokens('files', 'a/b/')).toEqual(tokens)
  expect(folderTokens('files', 'a/b')).toEqual(tokens.slice(0, 2))
})
