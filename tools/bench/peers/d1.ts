import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { COLUMNS, rowValues, STEPS } from '../../../src/plugins/files/d1-schema.ts'
import type { ListInput } from '../../../src/records/file-index.ts'
import type { FileQuery, StatsQuery } from '../../../src/records/file-query.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'

interface Env {
  readonly DB: D1Database
}

/** What tools/bench/d1.ts asks of this Worker. */
export type Ask =
  | { readonly fill: readonly [from: number, to: number] }
  | { readonly createIndexes: true }
  | { readonly list: ListInput }
  | { readonly find: FileQuery }
  | { readonly stats: StatsQuery }
  | { readonly put: number }
  | { readonly written: number }

/** Created again at the end, which is much faster. */
const INDEXES = STEPS.flat().filter((sql) => sql.startsWith('CREATE INDEX'))

/** The words of names. Every third name also has "invoice". */
const WORDS = Array.from({ length: 1000 }, (_, i) => `${'bcdfghklmn'[i % 10]}${i.toString(36)}word`)
const pick = (i: number, factor: number) => WORDS[(i * factor) % WORDS.length] ?? ''

/** Returns file `i`: ten are below `small/`, and every 10,000 of the others below their own folder. */
function record(i: number): FileRecord {
  const folder = i < 10 ? 'small/' : `tenant-${Math.floor(i / 10_000)}/`
  const subfolder = Math.floor((i % 10_000) / 1000)
  return {
    bucket: 'files',
    key: parseObjectKey(`${folder}uploads/${subfolder}/${String(i).padStart(20, '0')}.pdf`),
    name: `${i % 3 === 0 ? 'Invoice ' : ''}${pick(i, 7)} ${pick(i, 13)} ${i}.pdf`,
    size: (i * 7919) % 10_000_000,
    mimetype: ['image/png', 'image/jpeg', 'application/pdf', 'text/plain'][i % 4] ?? '',
    etag: '"9dd4e461268c8034f5c8564e155c67a6"',
    owner: `key:${i % 1000}`,
    createdAt: new Date(Date.UTC(2026, 0, 1) + ((i * 7919) % 300) * 86_400_000 + i).toISOString(),
  }
}

export default {
  async fetch(request, { DB }) {
    const ask = await request.json<Ask>()
    const index = d1FileIndex(DB)
    if ('list' in ask) return Response.json(await index.list(ask.list))
    if ('find' in ask) return Response.json(await index.answers?.find(ask.find))
    if ('stats' in ask) return Response.json(await index.answers?.stats(ask.stats))
    if ('put' in ask) return Response.json(await index.put(record(ask.put)))
    if ('written' in ask) {
      const row = rowValues(record(ask.written))
      const sql = `INSERT INTO presigner_files (${COLUMNS}) VALUES (${row.map(() => '?').join()})`
      const { meta } = await DB.prepare(sql)
        .bind(...row)
        .run()
      return Response.json(meta.rows_written)
    }
    if ('createIndexes' in ask) {
      for (const sql of INDEXES) await DB.prepare(sql).run()
      return Response.json(null)
    }
    const [from, to] = ask.fill
    if (from === 0) {
      await index.get('files', parseObjectKey('a'))
      for (const sql of INDEXES)
        await DB.prepare(sql.replace(/^CREATE (.*) ON .*$/, 'DROP $1')).run()
    }
    const rows = Array.from({ length: to - from }, (_, i) => rowValues(record(from + i)))
    const values = COLUMNS.split(', ').map((_, i) => `value ->> ${i}`)
    await DB.prepare(`INSERT INTO presigner_files (${COLUMNS}) SELECT ${values} FROM json_each(?)`)
      .bind(JSON.stringify(rows))
      .run()
    return Response.json(null)
  },
} satisfies ExportedHandler<Env>
