import { DatabaseSync } from 'node:sqlite'

/** Returns a database in memory with the interface of D1, as an app on Node may have it. */
export function nodeDatabase(): D1Database {
  const database = new DatabaseSync(':memory:')
  const prepare = (sql: string, values: readonly unknown[] = []) => ({
    bind: (...bound: unknown[]) => prepare(sql, bound),
    all: () => ({ results: database.prepare(sql).all(...values) }),
  })
  const batch = async (statements: readonly ReturnType<typeof prepare>[]) => {
    database.exec('BEGIN')
    try {
      const results = statements.map((statement) => statement.all())
      database.exec('COMMIT')
      return results
    } catch (error) {
      database.exec('ROLLBACK')
      throw error
    }
  }
  return { prepare, batch } as unknown as D1Database
}
