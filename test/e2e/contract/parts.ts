import {
  CreateMultipartUploadCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { expect, it } from 'vitest'
import type { Capabilities, Context } from './context.ts'

/** What the server itself does with an upload in parts, without the Worker. */
export function partRules(context: () => Context, { unsigned }: Capabilities): void {
  const begin = async (Key: string) => {
    const { s3, server } = context()
    const object = { Bucket: server.bucket, Key }
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(object))
    return { ...object, UploadId }
  }
  type Upload = Awaited<ReturnType<typeof begin>>

  const list = (upload: Upload, more = {}) =>
    context().s3.send(new ListPartsCommand({ ...upload, ...more }))

  it('lists parts a page at a time, in the order of their numbers', async () => {
    const upload = await begin('pages.bin')
    for (const number of [10, 2, 1, 9]) {
      const part = { ...upload, PartNumber: number, Body: 'x'.repeat(number) }
      await context().s3.send(new UploadPartCommand(part))
    }
    const first = await list(upload, { MaxParts: 3 })
    expect(first.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
      [1, 1],
      [2, 2],
      [9, 9],
    ])
    expect(first).toMatchObject({ IsTruncated: true, NextPartNumberMarker: '9', MaxParts: 3 })
    const second = await list(upload, { MaxParts: 3, PartNumberMarker: first.NextPartNumberMarker })
    expect(second.Parts).toMatchObject([{ PartNumber: 10, Size: 10 }])
    expect(second.IsTruncated).toBe(false)
  })

  it('lists and aborts only with a valid signature', async () => {
    const upload = await begin('guarded.bin')
    const { s3, server } = context()
    const { UploadId = '', Key, Bucket } = upload
    const query = new URLSearchParams({ uploadId: UploadId })
    const forged = new URL(await getSignedUrl(s3, new ListPartsCommand(upload)))
    forged.searchParams.set('X-Amz-Signature', '0'.repeat(64))
    for (const method of ['GET', 'DELETE']) {
      const without = await fetch(`${server.endpoint}/${Bucket}/${Key}?${query}`, { method })
      expect(without.status, method).toBe(unsigned)
      expect((await fetch(forged, { method })).status, method).toBe(403)
    }
    expect((await list(upload)).UploadId).toBe(UploadId)
  })
}
