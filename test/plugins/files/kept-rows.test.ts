import { reset } from 'cloudflare:test'
import { afterEach, expect, it } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { folderTokens } from '../../../src/plugins/files/d1-schema.ts'
import { testDatabase } from '../../support/d1.ts'

/*
 * The index must stay readable after a deploy. If a test here fails, searches and totals lose the files
 * that are in it now: add a step that rewrites their rows (docs/maintainers/d1-schema.md).
 */

const ROW = {
  bucket: 'files',
  key: 'team-a/uploads/é b.jpg',
  name: 'Mein Föto.JPG',
  size: 123_456,
  mimetype: 'image/jpeg',
  etag: '"d41d8cd98f00b204e9800998ecf8427e"',
  owner: 'key:ci',
  created_at: '2026-11-24T12:00:00.000Z',
  folded: 'mein foto.jpg',
  tokens: 'f149opl5xbkidy2x0 fjre940xu5nt51x1 fxl3yp6x32wa24x2',
  folders: '[0,7,15]',
}
const { created_at: createdAt, folded, tokens, folders, ...rest } = ROW
const RECORD = { ...rest, key: parseObjectKey(ROW.key), createdAt }
const index = d1FileIndex(testDatabase)

afterEach(reset)

it('stores a record in the columns of docs/maintainers/d1-schema.md', async () => {
  await index.put(RECORD)
  const { results } = await testDatabase.prepare('SELECT * FROM presigner_files').all()
  expect(results).toEqual([{ id: 1, ...ROW, status: null }])
})

// @threat deploy-invalidates
it('reads and counts a row as it is stored', async () => {
  await index.get('files', RECORD.key)
  const columns = Object.keys(ROW)
  await testDatabase
    .prepare(`INSERT INTO presigner_files (${columns}) VALUES (${columns.map(() => '?')})`)
    .bind(...Object.values(ROW))
    .run()
  expect(await index.get('files', RECORD.key)).toEqual(RECORD)
  const { results } = await testDatabase
    .prepare('SELECT folder, count, bytes FROM presigner_folders ORDER BY folder')
    .all()
  expect(results).toEqual(
    ['', 'team-a/', 'team-a/uploads/'].map((folder) => ({ folder, count: 1, bytes: 123_456 })),
  )
})

// @threat deploy-invalidates
it('has the same words for folders after each deploy', () => {
  expect(folderTokens('files', 'team-a/😀/x').join(' ')).toBe(
    'f149opl5xbkidy2x0 fjre940xu5nt51x1 fx262ryx1f4mv7ix2',
  )
})
