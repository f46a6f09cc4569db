import { env } from 'cloudflare:workers'
import type { Bucket } from '../../src/bucket/bucket.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { kvFileIndex } from '../../src/plugins/files/kv-file-index.ts'
import {
  type EndedUpload,
  type Finished,
  finishMultipart,
} from '../../src/plugins/multipart/finish.ts'
import type { UploadClaims } from '../../src/plugins/multipart/upload-id.ts'
import type { FileRecord } from '../../src/records/file-record.ts'
import type { Part } from '../../src/storage/multipart.ts'
import { placeIn } from './place.ts'
import { testBucket } from './test-bucket.ts'

/**
 * An upload of ten bytes in parts of six bytes. The first part has the ETag "e1", the second "e2".
 */
export const UPLOAD: UploadClaims = {
  bucket: 'files',
  key: parseObjectKey('uploads/a.mp4'),
  owner: 'key:ci',
  s3UploadId: 'id',
  name: 'My Film.mp4',
  size: 10,
  partSize: 6,
}

/** An upload of ten bytes whose size the client didn't declare. */
export const SIZELESS: UploadClaims = { ...UPLOAD, size: null, partSize: null }

export const part = (partNumber: number, etag = `"e${partNumber}"`): Part => ({ partNumber, etag })

export const BOTH = [part(1), part(2)]

/** The index in which `finish` records. */
export const index = kvFileIndex(env.FILE_INDEX)

/** Completes `upload` with `parts`, in a bucket with `changes` applied. */
export const finish = async (...args: Parameters<typeof finishAll>): Promise<FileRecord> =>
  (await finishAll(...args)).record

/** Completes `upload`, and returns the record together with what goes to the log. */
export const finishAll = (
  upload: EndedUpload,
  parts: readonly Part[] = BOTH,
  changes: Partial<Bucket> = {},
  name?: string,
): Promise<Finished> => finishMultipart(placeIn(testBucket(changes), index), upload, parts, name)

/** Returns the file's record in the index. */
export const recorded = (): Promise<FileRecord | null> => index.get('files', UPLOAD.key)
