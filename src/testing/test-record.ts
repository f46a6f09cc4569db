import { parseObjectKey } from '../keys/object-key.ts'
import type { FileRecord } from '../records/file-record.ts'

/** Returns a record in bucket "files" with `changes` applied. */
export const testRecord = (key: string, changes: Partial<FileRecord> = {}): FileRecord => ({
  key: parseObjectKey(key),
  bucket: 'files',
  name: 'My photo.jpg',
  size: 123_456,
  mimetype: 'image/jpeg',
  etag: '"d41d8cd98f00b204e9800998ecf8427e"',
  owner: 'key:admin',
  createdAt: '2026-11-24T12:00:00.000Z',
  ...changes,
})
