import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, it } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'

/*
 * The index must stay readable after a deploy. If a test here fails, lists lose the files that are
 * in it now: also read the old format (docs/maintainers/kv-schema.md).
 */

const KV_KEY = 'file:files:team-a/uploads/é b.jpg'
const METADATA = {
  name: 'Mein Foto.jpg',
  size: 123_456,
  mimetype: 'image/jpeg',
  etag: '"d41d8cd98f00b204e9800998ecf8427e"',
  owner: 'key:ci',
  createdAt: '2026-11-24T12:00:00.000Z',
}
const RECORD = { bucket: 'files', key: parseObjectKey('team-a/uploads/é b.jpg'), ...METADATA }
const index = kvFileIndex(env.FILE_INDEX)

afterEach(reset)

it('stores a record under the KV key and in the format of docs/maintainers/kv-schema.md', async () => {
  await index.put(RECORD)
  const { keys } = await env.FILE_INDEX.list()
  expect(keys).toEqual([{ name: KV_KEY, metadata: METADATA }])
  expect(await env.FILE_INDEX.get(KV_KEY)).toBe('')
})

// @threat deploy-invalidates
it.each([
  ['of a principal', METADATA],
  ['of nobody', { ...METADATA, owner: null, status: 'found' }],
])('still reads an entry %s', async (_, metadata) => {
  await env.FILE_INDEX.put(KV_KEY, '', { metadata })
  const record = { ...RECORD, ...metadata }
  expect(await index.get('files', RECORD.key)).toEqual(record)
  const { records } = await index.list({ bucket: 'files', prefix: 'team-a/', limit: 10 })
  expect(records).toEqual([record])
})
