import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { sdkClient } from './contract/context.ts'

const Bucket = 'files'

let directory = ''
let server: S3Server
let s3: S3Client

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const corsOrigins = ['http://localhost:8787'] as const
  server = await startS3rver({ port: 0, directory, corsOrigins })
  s3 = sdkClient(server, server)
})
afterAll(async () => {
  s3.destroy()
  await server.close()
  await rm(directory, { recursive: true })
})

async function begin(Key: string) {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))
  return { Bucket, Key, UploadId }
}
type Upload = Awaited<ReturnType<typeof begin>>

const put = async (upload: Upload, PartNumber: number, Body: string) => {
  const { ETag } = await s3.send(new UploadPartCommand({ ...upload, PartNumber, Body }))
  return { PartNumber, ETag }
}
const list = (upload: Upload) => s3.send(new ListPartsCommand(upload))
const complete = (upload: Upload, Parts: Awaited<ReturnType<typeof put>>[]) =>
  s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }))

/** Starts a PUT of ten bytes to a presigned URL, and disconnects after five. */
async function breakOff(url: string): Promise<void> {
  const { host, port, pathname, search } = new URL(url)
  const before = await filesOf()
  const socket = connect(Number(port), '127.0.0.1')
  socket.write(
    `PUT ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 10\r\n\r\nhello`,
  )
  await expect.poll(filesOf).not.toEqual(before) // The server has started to write.
  socket.destroy()
  await expect.poll(filesOf).toEqual(before)
}
/** Returns all files, without the folders. */
const filesOf = async () =>
  (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort()

// @threat dev-half-file
it('keeps nothing of a truncated part or object, and keeps the earlier one', async () => {
  const upload = await begin('broken.bin')
  const part = await put(upload, 1, 'whole')
  for (const PartNumber of [1, 2])
    await breakOff(await getSignedUrl(s3, new UploadPartCommand({ ...upload, PartNumber })))
  expect((await list(upload)).Parts).toMatchObject([{ ...part, Size: 5 }])
  await complete(upload, [part])
  await breakOff(await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: upload.Key })))
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: upload.Key }))
  expect(await Body?.transformToString()).toBe('whole')
})

it('finds an upload only by its key and id together', async () => {
  const upload = await begin('mine.bin')
  const part = await put(upload, 1, 'x')
  for (const wrong of [
    { ...upload, Key: 'other.bin' },
    { ...upload, UploadId: '0'.repeat(32) },
  ]) {
    const error = { name: 'NoSuchUpload', $metadata: { httpStatusCode: 404 } }
    await expect(list(wrong)).rejects.toMatchObject(error)
    await expect(put(wrong, 1, 'y')).rejects.toMatchObject(error)
    await expect(complete(wrong, [part])).rejects.toMatchObject(error)
    await expect(s3.send(new AbortMultipartUploadCommand(wrong))).rejects.toMatchObject(error)
  }
  expect((await list(upload)).Parts).toMatchObject([part])
})

it('refuses to complete with a wrong ETag, a missing part or parts out of order', async () => {
  const upload = await begin('wrong.bin')
  const [one, two] = [await put(upload, 1, 'x'), await put(upload, 2, 'y')]
  for (const [name, parts] of [
    ['InvalidPart', [{ ...one, ETag: two.ETag }]],
    ['InvalidPart', [one, { ...two, PartNumber: 3 }]],
    ['InvalidPartOrder', [two, one]],
    ['InvalidPartOrder', [one, one]],
  ] as const)
    await expect(complete(upload, [...parts])).rejects.toMatchObject({ name })
  await complete(upload, [one, two])
})

it('leaves nothing behind after an abort', async () => {
  const before = await filesOf()
  const upload = await begin('dropped.bin')
  await put(upload, 1, 'x')
  const { $metadata } = await s3.send(new AbortMultipartUploadCommand(upload))
  expect($metadata.httpStatusCode).toBe(204)
  expect(await filesOf()).toEqual(before)
})
