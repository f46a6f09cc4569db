import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl, S3RequestPresigner } from '@aws-sdk/s3-request-presigner'
import { describe, expect, it } from 'vitest'
import { attachment } from '../../src/core/content-disposition.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { encodeKey } from '../../src/signing/object-url.ts'
import { presign } from '../../src/signing/presign.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const SIGNED_AT = new Date('2026-11-24T12:34:56Z')
const EXPIRES_IN = 900

interface Side {
  readonly addressing: 'path' | 'virtual'
  readonly region: string
  readonly sessionToken: string | null
}

const SIDES: Side[] = [
  { addressing: 'virtual', region: 'us-east-1', sessionToken: null },
  { addressing: 'path', region: 'eu-central-1', sessionToken: null },
  { addressing: 'path', region: 'auto', sessionToken: 'FwoGZXIvYXdzE//+==' },
  { addressing: 'virtual', region: 'ap-southeast-2', sessionToken: 'FwoGZXIvYXdzE//+==' },
]

const REQUEST_INPUT = { RequestPayer: 'requester', ExpectedBucketOwner: '111122223333' } as const
const REQUEST_HEADERS = {
  'x-amz-request-payer': 'requester',
  'x-amz-expected-bucket-owner': '111122223333',
}

const KEYS = [
  'photo.jpg',
  'a b+c&d=e?f#g%h.txt',
  "(it's) *new* ~ !.txt",
  '%2e%2e/%2F..%5c',
  'back\\slash\\..\\x',
  'a//b///c/',
  '/leading',
  '\u6f22\u5b57/\u{1f600}e\u0301\u202e.png',
  '\u00a0\u2028\ufeff',
]

const ours = ({ addressing, region, sessionToken }: Side) => ({
  bucket: testBucket(
    addressing === 'path'
      ? { origin: 'https://s3.example.com:8443', basePath: '/acme-files/', region }
      : { origin: 'https://acme-files.s3.example.com:8443', basePath: '/', region },
  ),
  credentials: { ...EXAMPLE_CREDENTIALS, sessionToken },
  signedAt: SIGNED_AT,
  signedSeconds: EXPIRES_IN,
})

const client = ({ addressing, region, sessionToken }: Side) =>
  new S3Client({
    region,
    endpoint: 'https://s3.example.com:8443',
    forcePathStyle: addressing === 'path',
    credentials: {
      accessKeyId: EXAMPLE_CREDENTIALS.accessKeyId,
      secretAccessKey: EXAMPLE_CREDENTIALS.secretAccessKey,
      ...(sessionToken === null ? {} : { sessionToken }),
    },
    // SingleFlight off the SDK's additions: a CRC32 of the empty body, and a query for checksums in the
    // response.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })

/** What the SDK always adds. Both sides sign it, so that the input is the same. */
const sdkQuery = (operation?: string) => ({
  'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD',
  ...(operation === undefined ? {} : { 'x-id': operation }),
})

/** The content of a URL, regardless of the order of its query. */
function contents(url: string) {
  const { origin, pathname, searchParams } = new URL(url)
  return { origin, pathname, query: Object.fromEntries([...searchParams].sort()) }
}

describe.each(SIDES)('presign and the AWS SDK, for $addressing addressing in $region,', (side) => {
  const options = { expiresIn: EXPIRES_IN, signingDate: SIGNED_AT }
  const sdk = client(side)

  it.each(KEYS)('sign a GET, HEAD and DELETE of %j alike', async (text) => {
    const named = { Bucket: 'acme-files', Key: text }
    const key = parseObjectKey(text)
    const theirs = [
      ['GET', 'GetObject', getSignedUrl(sdk, new GetObjectCommand(named), options)],
      ['HEAD', undefined, getSignedUrl(sdk, new HeadObjectCommand(named), options)],
      ['DELETE', 'DeleteObject', getSignedUrl(sdk, new DeleteObjectCommand(named), options)],
    ] as const
    for (const [method, operation, url] of theirs) {
      const query = sdkQuery(operation)
      expect(contents(await presign({ ...ours(side), method, key, query }))).toEqual(
        contents(await url),
      )
    }
  })

  it.each(['plain.pdf', 'My report (final).pdf', 'Größe + 100% "漢字" 😀.pdf'])(
    'sign a download as %j alike',
    async (name) => {
      const disposition = attachment(name)
      const command = new GetObjectCommand({
        Bucket: 'acme-files',
        Key: 'a.pdf',
        ResponseContentDisposition: disposition,
      })
      const url = await presign({
        ...ours(side),
        method: 'GET',
        key: parseObjectKey('a.pdf'),
        query: { ...sdkQuery('GetObject'), 'response-content-disposition': disposition },
      })
      expect(contents(url)).toEqual(contents(await getSignedUrl(sdk, command, options)))
    },
  )

  it('sign a PUT alike, with its type and length', async () => {
    const command = new PutObjectCommand({
      Bucket: 'acme-files',
      Key: 'a b/é.png',
      ContentType: 'image/png; charset=utf-8',
      ContentLength: 1234,
    })
    const signableHeaders = new Set(['content-type', 'content-length', 'host'])
    const url = await presign({
      ...ours(side),
      method: 'PUT',
      key: parseObjectKey('a b/é.png'),
      query: sdkQuery('PutObject'),
      headers: { 'Content-Type': 'image/png; charset=utf-8', 'Content-Length': '1234' },
    })
    const theirs = await getSignedUrl(sdk, command, { ...options, signableHeaders })
    expect(contents(url)).toEqual(contents(theirs))
    expect(contents(theirs).query['X-Amz-SignedHeaders']).toBe('content-length;content-type;host')
  })

  it('sign a PUT alike with every header that a bucket can require', async () => {
    const command = new PutObjectCommand({
      Bucket: 'acme-files',
      Key: 'a b/é.png',
      ContentType: 'image/png',
      ContentDisposition: 'attachment; filename="a b.png"',
      ContentEncoding: 'gzip',
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd',
      SSEKMSEncryptionContext: 'eyJ0ZWFtIjoid2ViIn0=',
      BucketKeyEnabled: true,
      StorageClass: 'STANDARD_IA',
      Tagging: 'team=web&cost-center=a%20b',
      ACL: 'bucket-owner-full-control',
      ...REQUEST_INPUT,
    })
    const { bucket, ...signing } = ours(side)
    const headers = {
      'Content-Type': 'image/png',
      'Content-Disposition': 'attachment; filename="a b.png"',
      'Content-Encoding': 'gzip',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id':
        'arn:aws:kms:eu-central-1:111122223333:key/1234abcd',
      'x-amz-server-side-encryption-context': 'eyJ0ZWFtIjoid2ViIn0=',
      'x-amz-server-side-encryption-bucket-key-enabled': 'true',
      'x-amz-storage-class': 'STANDARD_IA',
      'x-amz-tagging': 'team=web&cost-center=a%20b',
      'x-amz-acl': 'bucket-owner-full-control',
    }
    const names = Object.keys(headers).map((name) => name.toLowerCase())
    const theirs = await getSignedUrl(sdk, command, {
      ...options,
      signableHeaders: new Set(['host', ...names]),
      unhoistableHeaders: new Set(names),
    })
    const url = await presign({
      ...signing,
      bucket: { ...bucket, requestHeaders: REQUEST_HEADERS },
      method: 'PUT',
      key: parseObjectKey('a b/é.png'),
      query: sdkQuery('PutObject'),
      headers,
    })
    expect(contents(url)).toEqual(contents(theirs))
    expect(contents(url).query).toMatchObject(REQUEST_HEADERS)
  })

  it('sign the payer and the owner of every operation alike, in the query', async () => {
    const named = { Bucket: 'acme-files', Key: 'big.bin', ...REQUEST_INPUT }
    const part = { UploadId: 'id', PartNumber: 7 }
    const { bucket, ...signing } = ours(side)
    const theirs = [
      ['GET', { 'x-id': 'GetObject' }, getSignedUrl(sdk, new GetObjectCommand(named), options)],
      [
        'GET',
        { 'x-id': 'GetObject', versionId: 'v' },
        getSignedUrl(sdk, new GetObjectCommand({ ...named, VersionId: 'v' }), options),
      ],
      ['HEAD', {}, getSignedUrl(sdk, new HeadObjectCommand(named), options)],
      [
        'DELETE',
        { 'x-id': 'DeleteObject' },
        getSignedUrl(sdk, new DeleteObjectCommand(named), options),
      ],
      [
        'POST',
        { uploads: '' },
        getSignedUrl(sdk, new CreateMultipartUploadCommand(named), options),
      ],
      [
        'PUT',
        { 'x-id': 'UploadPart', uploadId: 'id', partNumber: '7' },
        getSignedUrl(sdk, new UploadPartCommand({ ...named, ...part }), options),
      ],
      [
        'GET',
        { 'x-id': 'ListParts', uploadId: 'id' },
        getSignedUrl(sdk, new ListPartsCommand({ ...named, UploadId: 'id' }), options),
      ],
      [
        'DELETE',
        { 'x-id': 'AbortMultipartUpload', uploadId: 'id' },
        getSignedUrl(sdk, new AbortMultipartUploadCommand({ ...named, UploadId: 'id' }), options),
      ],
    ] as const
    for (const [method, query, signed] of theirs) {
      const url = await presign({
        ...signing,
        bucket: { ...bucket, requestHeaders: REQUEST_HEADERS },
        method,
        key: parseObjectKey('big.bin'),
        query: { ...query, ...sdkQuery() },
      })
      expect(contents(url)).toEqual(contents(await signed))
      expect(contents(url).query).toMatchObject(REQUEST_HEADERS)
    }
  })

  it('sign the start and a part of a multipart upload alike', async () => {
    const named = { Bucket: 'acme-files', Key: 'big.bin' }
    const key = parseObjectKey('big.bin')
    const start = { ...ours(side), method: 'POST', key } as const
    expect(contents(await presign({ ...start, query: { ...sdkQuery(), uploads: '' } }))).toEqual(
      contents(await getSignedUrl(sdk, new CreateMultipartUploadCommand(named), options)),
    )

    const part = new UploadPartCommand({ ...named, UploadId: 'u+/= ~', PartNumber: 7 })
    const query = { ...sdkQuery('UploadPart'), uploadId: 'u+/= ~', partNumber: '7' }
    expect(contents(await presign({ ...start, method: 'PUT', query }))).toEqual(
      contents(await getSignedUrl(sdk, part, options)),
    )
  })

  it.each(['GET', 'HEAD', 'PUT', 'POST', 'DELETE'] as const)(
    'sign a bare %s with many headers alike',
    async (method) => {
      const headers = {
        'Content-Type': 'text/plain',
        'Cache-Control': 'private, max-age=60',
        'If-None-Match': '*',
        'x-amz-checksum-sha256': '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
        'x-amz-meta-note': 'two  spaces',
      }
      const input = { ...ours(side), method, key: parseObjectKey("it's/a b") } as const
      const { protocol, hostname, port } = new URL(input.bucket.origin)
      const presigner = new S3RequestPresigner(sdk.config)
      const presigned = await presigner.presign(
        {
          method,
          protocol,
          hostname,
          port: Number(port),
          path: input.bucket.basePath + encodeKey(input.key),
          query: { 'response-content-type': 'a b' },
          headers: { ...headers },
        },
        {
          ...options,
          signableHeaders: new Set(['content-type', 'cache-control']),
          unhoistableHeaders: new Set(['x-amz-checksum-sha256', 'x-amz-meta-note']),
        },
      )
      const query = {
        'response-content-type': 'a b',
        'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD',
      }
      const { searchParams } = new URL(await presign({ ...input, query, headers }))
      expect(Object.fromEntries(searchParams)).toEqual(presigned.query)
      expect(searchParams.get('X-Amz-SignedHeaders')).toBe(
        'cache-control;content-type;host;if-none-match;x-amz-checksum-sha256;x-amz-meta-note',
      )
    },
  )
})
