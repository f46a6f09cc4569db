import { invalidMember } from '../../errors/api-error.ts'
import type { FileAnswers, Group, Stats, StatsQuery } from '../../records/file-query.ts'
import type { SqlDatabase } from '../../records/sql.ts'
import {
  find,
  folderOf,
  hasCountedFolders,
  keysBelow,
  MAX_ROWS,
  Parameters,
  prepare,
  type Statement,
} from './d1-find.ts'
import { type Database, MAX_COUNTED_FOLDERS } from './d1-schema.ts'

const MAX_GROUPS = 1000

/** Returns what the D1 index answers beyond lists by prefix. `maxRows` is for tests. */
export const d1Answers = (
  database: Database,
  db: SqlDatabase,
  maxRows = MAX_ROWS,
): FileAnswers => ({
  find: (query) => find(database, db, query, maxRows),

  async stats(query) {
    const statements = [totalStatement(query, maxRows), ...groupStatements(query, maxRows)]
    const [total, groups] = await database.run(statements.map((one) => prepare(db, one)))
    const { count = 0, bytes = 0 } = (total?.results[0] ?? {}) as Partial<Stats>
    if (count > maxRows && !isCounted(query.prefix))
      throw invalidMember('prefix', `has more than ${maxRows} files: send one of its folders`)
    if (groups === undefined) return { count, bytes }
    return { count, bytes, groups: groups.results as unknown as Group[] }
  },
})

/** Tells whether the totals have this prefix. Others are counted from the rows. */
const isCounted = (prefix: string): boolean =>
  folderOf(prefix) === prefix && prefix.split('/').length <= MAX_COUNTED_FOLDERS

export function totalStatement(query: StatsQuery, maxRows = MAX_ROWS): Statement {
  const parameters = new Parameters()
  const { bucket, prefix } = query
  if (!isCounted(prefix))
    return {
      sql: `SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM ${firstRows(parameters, query, maxRows)}`,
      values: parameters.values,
    }
  const parent = prefix === '' ? '-' : folderOf(prefix.slice(0, -1))
  return {
    sql: `SELECT count, bytes FROM presigner_folders WHERE bucket = ${parameters.add(bucket)} AND parent = ${parameters.add(parent)} AND folder = ${parameters.add(prefix)}`,
    values: parameters.values,
  }
}

/** Returns the rows below a prefix, and one more than may be read. */
const firstRows = (parameters: Parameters, query: StatsQuery, maxRows: number): string =>
  `(SELECT * FROM presigner_files WHERE ${keysBelow(parameters, query)} LIMIT ${maxRows + 1})`

export function groupStatements(query: StatsQuery, maxRows = MAX_ROWS): Statement[] {
  const { bucket, prefix, groupBy } = query
  if (groupBy === undefined) return []
  const parameters = new Parameters()
  const order = groupBy === 'day' ? 'value DESC' : 'bytes DESC, value'
  const sums = 'count(*) AS count, sum(size) AS bytes'
  const statement = (sql: string): Statement[] => [
    { sql: `${sql} ORDER BY ${order} LIMIT ${MAX_GROUPS}`, values: parameters.values },
  ]
  if (groupBy === 'folder') {
    const parent = folderOf(prefix)
    if (hasCountedFolders(parent)) {
      const named = keysBelow(parameters, query, 'folder')
      return statement(
        `SELECT folder AS value, count, bytes FROM presigner_folders WHERE ${named} AND parent = ${parameters.add(parent)}`,
      )
    }
    const rest = `substr(key, ${parameters.add([...prefix].length + 1)})`
    return statement(
      `SELECT ${parameters.add(prefix)} || substr(${rest}, 1, instr(${rest}, '/')) AS value, ${sums} FROM ${firstRows(parameters, query, maxRows)} WHERE instr(${rest}, '/') > 0 GROUP BY 1`,
    )
  }
  if (isCounted(prefix))
    return statement(
      // The owner null is '', and another one has '=' in front.
      `SELECT ${groupBy === 'owner' ? "CASE value WHEN '' THEN NULL ELSE substr(value, 2) END AS value" : 'value'}, count, bytes FROM presigner_totals WHERE bucket = ${parameters.add(bucket)} AND folder = ${parameters.add(prefix)} AND kind = ${parameters.add(groupBy)}`,
    )
  const value = { type: 'mimetype', owner: 'owner', day: 'substr(created_at, 1, 10)' }[groupBy]
  return statement(
    `SELECT ${value} AS value, ${sums} FROM ${firstRows(parameters, query, maxRows)} GROUP BY 1`,
  )
}
