import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { S3Server } from '../../cli/s3-server.ts'
import { startR2 } from '../../tools/dev/r2.ts'
import { declareContract, type Gaps } from './contract.ts'
import { startLocalR2 } from './local-r2.ts'

/** The clock by which writes to a key are limited. It stands still. */
let milliseconds = Date.now()
const passSecond = () => {
  milliseconds += 1000
}

/** What wrangler's local R2 lacks, and Cloudflare documents for R2. */
const GAPS: Gaps = {
  'ListParts, which returns 501': [
    'multipart uploads > keeps nothing of a file that is larger than allowed',
    'multipart uploads > lists what the bucket has',
    'multipart uploads > refuses to complete without a part or with a wrong ETag, and keeps the parts',
    'multipart uploads > aborts, repeatedly if requested, and cannot complete afterwards',
    'multipart uploads > reports an upload that the bucket has removed',
    'parts of an upload, at the server itself > lists parts a page at a time, in the order of their numbers',
    'parts of an upload, at the server itself > lists and aborts only with a valid signature',
  ],
  'response-content-disposition, which it ignores': [
    'the flow of a file > makes the server answer download=plain.txt with that name',
    'the flow of a file > makes the server answer download=a "b" c; d.txt with that name',
    'the flow of a file > makes the server answer with a name in any script',
    'the flow of a file > serves a file that can run script as an attachment, unless inline=true',
    'links > leads to the bucket itself with delivery redirect',
  ],
  'Content-Encoding of an object: it compresses the bytes a second time': [
    'conditions of an upload > stores the disposition and the encoding that were signed',
  ],
}

describe("the built Worker with Cloudflare's local R2", () =>
  declareContract(
    (options) => startLocalR2(options, () => milliseconds),
    {
      unsigned: 400,
      expired: 403,
      otherDate: 400,
      unimplemented: 501,
      limitsWriter: false,
      checksClock: true,
      virtualHosts: false,
      keepsEmptySegments: true,
      normalizesKeys: true,
      conditionalPut: true,
      copiesObjects: true,
      takesForms: false,
      readsParts: true,
      passSecond,
    },
    GAPS,
  ))

const MIB = 1024 ** 2

/** What R2 documents and its emulator lacks, with the AWS SDK. */
describe('the simulated R2', () => {
  let directory: string
  let server: S3Server
  let s3: S3Client
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    const options = { port: 0, directory, corsOrigins: ['http://localhost:8787'] } as const
    server = await startR2(options, () => milliseconds)
    s3 = clientOf(server)
  })
  afterAll(async () => {
    s3.destroy()
    await server.close()
    await rm(directory, { recursive: true })
  })

  const put = (Key: string, more: Partial<PutObjectCommandInput> = {}) =>
    s3.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body: 'text', ...more }))
  const refusal = (status: number, name: string) => ({
    name,
    $metadata: { httpStatusCode: status },
  })

  it('treats two spellings of a key as one object', async () => {
    await put('e\u0301/e\u0301.txt', { Body: 'first' })
    const object = { Bucket: server.bucket, Key: '\u00e9/\u00e9.txt' }
    const { Body } = await s3.send(new GetObjectCommand(object))
    expect(await Body?.transformToString()).toBe('first')
  })

  it('accepts one write per second to a key', async () => {
    await put('often.txt')
    await expect(put('often.txt')).rejects.toMatchObject(refusal(429, 'TooManyRequests'))
    await put('another.txt')
    passSecond()
    await put('often.txt')
  })

  it('applies the conditions of an upload', async () => {
    const { ETag = '' } = await put('if.txt')
    const failed = refusal(412, 'PreconditionFailed')
    await expect(put('if.txt', { IfNoneMatch: '*' })).rejects.toMatchObject(failed)
    await expect(put('if.txt', { IfNoneMatch: ETag })).rejects.toMatchObject(failed)
    await expect(put('if.txt', { IfMatch: '"0"' })).rejects.toMatchObject(failed)
    await expect(put('none.txt', { IfMatch: '*' })).rejects.toMatchObject(failed)
    passSecond()
    await put('if.txt', { IfMatch: ETag })
    await put('new.txt', { IfNoneMatch: '*' })
  })

  it.each([
    { ChecksumSHA256: createHash('sha256').update('other').digest('base64') },
    { ChecksumCRC32: 'AAAAAA==' },
  ])('refuses a body that does not match %j', async (digest) => {
    await expect(put('digest.txt', digest)).rejects.toMatchObject(refusal(400, 'BadDigest'))
    const object = { Bucket: server.bucket, Key: 'digest.txt' }
    await expect(s3.send(new HeadObjectCommand(object))).rejects.toMatchObject(
      refusal(404, 'NotFound'),
    )
  })

  it('accepts a body that matches its digests', async () => {
    const ChecksumSHA256 = createHash('sha256').update('text').digest('base64')
    await put('matches.txt', { ChecksumSHA256 })
  })

  it('returns 401 without a signature, and 400 for an expired URL', async () => {
    const object = new GetObjectCommand({ Bucket: server.bucket, Key: 'a.txt' })
    const signingDate = new Date(Date.now() - 60_000)
    const url = await getSignedUrl(s3, object, { expiresIn: 1, signingDate })
    const [plain = ''] = url.split('?')
    expect([(await fetch(plain)).status, (await fetch(url)).status]).toEqual([401, 400])
  })

  it('refuses an upload with a form', async () => {
    const body = new FormData()
    body.set('key', 'form.txt')
    body.set('file', new Blob(['text']))
    const response = await fetch(`${server.endpoint}/${server.bucket}`, { method: 'POST', body })
    expect(response.status).toBe(501)
  })

  describe('a multipart upload', () => {
    const upload = async (sizes: readonly number[], more: { IfNoneMatch?: string } = {}) => {
      const object = { Bucket: server.bucket, Key: `parts-${sizes.join('-')}` }
      const { UploadId } = await s3.send(new CreateMultipartUploadCommand(object))
      const Parts = await Promise.all(
        sizes.map(async (size, index) => {
          const part = { ...object, UploadId, PartNumber: index + 1, Body: Buffer.alloc(size) }
          const { ETag } = await s3.send(new UploadPartCommand(part))
          return { ETag, PartNumber: index + 1 }
        }),
      )
      const complete = { ...object, ...more, UploadId, MultipartUpload: { Parts } }
      return s3.send(new CompleteMultipartUploadCommand(complete))
    }

    it.each([
      ['InvalidPart', [5 * MIB, 6 * MIB, 1]],
      ['InvalidPart', [5 * MIB, 5 * MIB + 1]],
      ['EntityTooSmall', [5 * MIB - 1, 1]],
    ])('is refused as %s for the sizes %j', async (code, sizes) => {
      await expect(upload(sizes)).rejects.toMatchObject(refusal(400, code))
    })

    it('accepts no conditions', async () => {
      const conditional = upload([1], { IfNoneMatch: '*' })
      await expect(conditional).rejects.toMatchObject(refusal(501, 'NotImplemented'))
    })
  })
})

/** Returns a client that doesn't retry refused requests. */
const clientOf = ({ endpoint, region, accessKeyId, secretAccessKey }: S3Server): S3Client =>
  new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
