import type { FileIndex, FileRecord } from 'edge-presigner'
import type { Pool } from 'pg'

/** Keeps the list of files in the table of schema.sql. `pool` is that of the package `pg`. */
export function postgresFileIndex(pool: Pick<Pool, 'query'>): FileIndex {
  const select = async (where: string, values: unknown[]): Promise<FileRecord[]> => {
    const { rows } = await pool.query(`SELECT record FROM files WHERE ${where}`, values)
    return rows.map(({ record }) => JSON.parse(record))
  }
  const change = async (text: string, values: unknown[]): Promise<boolean> =>
    (await pool.query(text, values)).rowCount !== 0

  return {
    async get(bucket, key) {
      const [record = null] = await select('bucket = $1 AND key = $2', [bucket, key])
      return record
    },
    getMany: (bucket, keys) => select('bucket = $1 AND key = ANY($2)', [bucket, keys]),

    /** `over` is the record that the caller has seen, or null for none: another one stays. */
    async put(record, { over } = {}) {
      const values = [record.bucket, record.key, textOf(record)]
      const insert = 'INSERT INTO files (bucket, key, record) VALUES ($1, $2, $3) ON CONFLICT'
      const isPut =
        over === undefined
          ? await change(`${insert} (bucket, key) DO UPDATE SET record = $3`, values)
          : over === null
            ? await change(`${insert} DO NOTHING`, values)
            : await change(
                'UPDATE files SET record = $3 WHERE bucket = $1 AND key = $2 AND record = $4',
                [...values, textOf(over)],
              )
      return isPut ? record : null
    },
    async remove(bucket, key, { over } = {}) {
      const where = 'bucket = $1 AND key = $2'
      if (over === null) return (await select(where, [bucket, key])).length === 0
      const seen = over ? [textOf(over)] : []
      const isRemoved = await change(
        `DELETE FROM files WHERE ${where}${over ? ' AND record = $3' : ''}`,
        [bucket, key, ...seen],
      )
      return isRemoved || over === undefined
    },

    async list({ bucket, prefix, limit, cursor = '' }) {
      const records = await select(
        `bucket = $1 AND key > $3 AND key >= $2 AND key <= $2 || repeat(chr(1114111), 256)
        AND starts_with(key, $2) ORDER BY key LIMIT $4`,
        [bucket, prefix, cursor, limit + 1],
      )
      const page = records.slice(0, limit)
      return {
        records: page,
        cursor: records.length > limit ? page.at(-1)?.key : undefined,
        unreadable: 0,
      }
    },
  }
}

/** Returns a record as text, in one order of its members, so that equal records are equal texts. */
const textOf = (record: FileRecord): string =>
  JSON.stringify(record, Object.keys(record).toSorted())
