import type { Context } from 'hono'
import { uriEncode } from '../keys/uri-encode.ts'
import type { AppEnv } from './app-env.ts'

/** 201 with the record of a file, and where it is found. */
export function created<FileRecord extends { readonly key: string; readonly bucket: string }>(
  c: Context<AppEnv>,
  record: FileRecord,
) {
  c.header('Location', `/files/${uriEncode(record.key)}?bucket=${record.bucket}`)
  return c.json(record, 201)
}
