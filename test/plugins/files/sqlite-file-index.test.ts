import { expect, it } from 'vitest'
import { sqliteFileIndex } from '../../../src/sqlite.ts'

// test/mount/node-sqlite.test.ts has what it does on Node.
it('says that a Worker has no SQLite in a file', () => {
  expect(() => sqliteFileIndex('files.db')).toThrow('needs Node 22.16 or newer.')
})
