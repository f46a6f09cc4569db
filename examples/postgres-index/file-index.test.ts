import { declareFileIndexContract } from 'edge-presigner/testing'
import pg from 'pg'
import { beforeEach, describe, expect, it } from 'vitest'
import { postgresFileIndex } from './file-index.ts'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })

describe('the list of files in Postgres', () => {
  // The last argument names what the index has beyond the list: nothing.
  declareFileIndexContract({ beforeEach, expect, it }, async () => {
    await pool.query('TRUNCATE files')
    return postgresFileIndex(pool)
  }, [])
})
