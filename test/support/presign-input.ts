import fc from 'fast-check'
import type { Bucket } from '../../src/bucket/bucket.ts'
import type { PresignInput } from '../../src/signing/presign.ts'
import { headerValue, hostileText } from './hostile.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from './test-bucket.ts'

const bucket: fc.Arbitrary<Bucket> = fc.constantFrom(
  testBucket(),
  testBucket({ origin: 'https://files.s3.example.com', basePath: '/store/v1/', region: 'auto' }),
  testBucket({ origin: 'https://s3.eu-central-1.wasabisys.com', basePath: '/files/' }),
  testBucket({ requestHeaders: { 'x-amz-request-payer': 'requester' } }),
  testBucket({ origin: 'http://127.0.0.1:9000', basePath: '/store/my.files/', region: 'garage' }),
)

const query = fc.dictionary(
  fc.constantFrom(
    'response-content-disposition',
    'response-content-type',
    'versionId',
    'uploadId',
    'partNumber',
    'uploads',
    'a b',
    'é+%',
  ),
  fc.oneof(hostileText, fc.constant('')),
)

const headers = fc.dictionary(
  fc.constantFrom(
    'Content-Type',
    'Content-Length',
    'Cache-Control',
    'If-None-Match',
    'Range',
    'Content-Disposition',
    'x-amz-checksum-sha256',
    'x-amz-server-side-encryption',
    'x-amz-meta-a',
    'x-amz-meta-b-c',
  ),
  headerValue,
)

/**
 * Everything about a presigned URL except its key: hostile queries, headers and tokens, any
 * instant, any bucket.
 */
export const signedInput = fc
  .record({
    bucket,
    method: fc.constantFrom<PresignInput['method'][]>('GET', 'HEAD', 'PUT', 'POST', 'DELETE'),
    query,
    headers,
    sessionToken: fc.oneof(fc.constant(null), hostileText),
    signedAt: fc.date({
      min: new Date('2013-01-01'),
      max: new Date('2099-12-31'),
      noInvalidDate: true,
    }),
    signedSeconds: fc.integer({ min: 1, max: 604_800 }),
  })
  .map(({ sessionToken, ...rest }) => ({
    ...rest,
    credentials: { ...EXAMPLE_CREDENTIALS, sessionToken },
  }))
