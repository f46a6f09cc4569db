type SqlValue = string | number | null

/** A statement of SQLite or a part of one, with its values. */
export interface Sql {
  readonly text: string
  readonly values: readonly SqlValue[]
}

export type SqlRow = Readonly<Record<string, unknown>>

/** Runs statements in one transaction. Resolves with the rows of each. */
export type RunSql = (statements: readonly Sql[]) => Promise<readonly (readonly SqlRow[])[]>

/** Returns a statement. Values are bound, never part of the text. */
export const sql = (texts: TemplateStringsArray, ...parts: readonly (SqlValue | Sql)[]): Sql => ({
  text: texts.reduce((all, text, i) => {
    const part = parts[i - 1]
    return all + (typeof part === 'object' && part !== null ? part.text : '?') + text
  }),
  values: parts.flatMap((part) =>
    typeof part === 'object' && part !== null ? part.values : [part],
  ),
})

/** A prepared statement, as D1 has it. */
export interface SqlStatement {
  bind(...values: unknown[]): SqlStatement
}

export interface SqlResult<Row> {
  readonly results: Row[]
}

/** What an index needs of D1, without the types of Workers, which an app on Node lacks. */
export interface SqlDatabase {
  prepare(text: string): SqlStatement
  /** Runs statements in one transaction. */
  batch<Row>(statements: SqlStatement[]): Promise<SqlResult<Row>[]>
}
