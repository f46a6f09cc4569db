import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
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
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { startR2 } from '../../tools/dev/r2.ts'
import { declareContract } from './contract.ts'

/** The clock of the simulated R2, by which it limits the writes to a key. It stands still. */
let milliseconds = Date.now()
const start = (options: S3ServerOptions) => startR2(options, () => milliseconds)
const passSecond = () => {
  milliseconds += 1000
}

describe('the built Worker with a simulated R2', () =>
  declareContract(start, {
    unsigned: 401,
    expired: 400,
    unimplemented: 501,
    limitsWriter: false,
    checksClock: false,
    virtualHosts: false,
    keepsEmptySegments: false,
    normalizesKeys: true,
    conditionalPut: true,
    copiesObjects: true,
    takesForms: false,
    readsParts: true,
    passSecond,
  }))

const MIB = 1024 ** 2

/** The rules that the contract's tests don't cover, with the AWS SDK. */
describe('the simulated R2', () => {
  let directory: string
  let server: S3Server
  let s3: S3Client
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    server = await start({ port: 0, directory, corsOrigins: ['http://localhost:8787'] })
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
    { ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' },
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
    const digests = {
      ContentMD5: createHash('md5').update('text').digest('base64'),
      ChecksumSHA256: createHash('sha256').update('text').digest('base64'),
    }
    await put('matches.txt', digests)
  })

  it.each<Partial<PutObjectCommandInput>>([
    { ACL: 'private' },
    { Tagging: 'a=b' },
    { ServerSideEncryption: 'aws:kms' },
    { ExpectedBucketOwner: '123456789012' },
  ])('does not support %j', async (input) => {
    await expect(put('plain.txt', input)).rejects.toMatchObject(refusal(501, 'NotImplemented'))
  })

  it('accepts metadata of 8,192 bytes, counted after decoding', async () => {
    const word = `=?UTF-8?B?${Buffer.from('é'.repeat(4000)).toString('base64')}?=`
    await put('metadata.txt', { Metadata: { a: word } })
    await expect(put('metadata.txt', { Metadata: { a: 'b'.repeat(8192) } })).rejects.toMatchObject(
      refusal(400, 'MetadataTooLarge'),
    )
  })

  it('accepts the regions auto and us-east-1', async () => {
    const inRegion = async (region: string) => {
      const client = clientOf({ ...server, region })
      return client
        .send(new PutObjectCommand({ Bucket: server.bucket, Key: `in-${region}`, Body: 'a' }))
        .finally(() => client.destroy())
    }
    await inRegion('us-east-1')
    await expect(inRegion('eu-west-1')).rejects.toMatchObject(refusal(400, 'InvalidRegionName'))
  })

  it('requires the length of a body', async () => {
    const command = new PutObjectCommand({ Bucket: server.bucket, Key: 'chunked.txt' })
    const url = await getSignedUrl(s3, command)
    const sent = request(url, { method: 'PUT', headers: { 'Transfer-Encoding': 'chunked' } })
    sent.end('text')
    const [{ statusCode }] = await once(sent, 'response')
    expect(statusCode).toBe(411)
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

    it('has the MD5 of MD5s as its ETag', async () => {
      const { ETag } = await upload([5 * MIB, 5 * MIB, 1])
      const md5 = (data: Buffer) => createHash('md5').update(data).digest()
      const parts = [5 * MIB, 5 * MIB, 1].map((size) => md5(Buffer.alloc(size)))
      expect(ETag).toBe(`"${md5(Buffer.concat(parts)).toString('hex')}-3"`)
      const object = { Bucket: server.bucket, Key: `parts-${5 * MIB}-${5 * MIB}-1` }
      expect((await s3.send(new HeadObjectCommand(object))).ETag).toBe(ETag)
    })

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
