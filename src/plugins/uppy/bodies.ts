import * as z from 'zod/mini'
import { MAX_PARTS } from '../../bucket/limits.ts'
import { fileName, metadataRecord, partNumber } from '../../http/fields.ts'

/** Body of `POST /s3/multipart`. */
export const startBody = z.object({
  filename: fileName,
  type: z.optional(z.nullable(z.string())),
  metadata: z.optional(z.nullable(metadataRecord(z.unknown()))),
  objectKey: z.optional(z.nullable(z.string())),
  overwrite: z.optional(z.nullable(z.boolean())),
})

/** Body of `POST /s3/multipart/:uploadId/complete`. */
export const completeBody = z.object({
  parts: z
    .array(
      z.object({
        PartNumber: partNumber(),
        ETag: z.string().check(z.minLength(1), z.maxLength(255)),
      }),
    )
    .check(z.minLength(1), z.maxLength(MAX_PARTS)),
})
