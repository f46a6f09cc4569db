import { describe, expect, it } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { type PresignInput, presign } from '../../src/signing/presign.ts'
import { amzDate } from '../../src/signing/signature.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const SIGNED_AT = new Date('2013-05-24T00:00:00Z')
const SERVER = { ...EXAMPLE_CREDENTIALS, region: 'us-east-1', now: SIGNED_AT }

const input = (changes: Partial<PresignInput> = {}): PresignInput => ({
  bucket: testBucket(),
  credentials: EXAMPLE_CREDENTIALS,
  method: 'GET',
  key: parseObjectKey('test.txt'),
  signedAt: SIGNED_AT,
  signedSeconds: 86_400,
  ...changes,
})

/**
 * AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", its worked
 * example.
 */
describe("AWS's published example", () => {
  it('gets the published signature', async () => {
    const { searchParams } = new URL(await presign(input()))
    expect(Object.fromEntries(searchParams)).toEqual({
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request',
      'X-Amz-Date': '20130524T000000Z',
      'X-Amz-Expires': '86400',
      'X-Amz-SignedHeaders': 'host',
      'X-Amz-Signature': 'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    })
  })

  it('has the published canonical request and string to sign', async () => {
    expect(verifyPresigned({ method: 'GET', url: await presign(input()) }, SERVER)).toMatchObject({
      ok: true,
      path: '/test.txt',
      canonicalRequest: `GET
/test.txt
X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host
host:examplebucket.s3.amazonaws.com

host
UNSIGNED-PAYLOAD`,
      stringToSign: `AWS4-HMAC-SHA256
20130524T000000Z
20130524/us-east-1/s3/aws4_request
3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04`,
    })
  })
})

describe('presign', () => {
  it('signs every given header, including those that signers usually leave out', async () => {
    const headers = {
      'Content-Type': 'image/png',
      'Content-Length': '3',
      'Cache-Control': 'no-cache',
    }
    const url = await presign(input({ method: 'PUT', headers }))
    expect(new URL(url).searchParams.get('X-Amz-SignedHeaders')).toBe(
      'cache-control;content-length;content-type;host',
    )
    expect(verifyPresigned({ method: 'PUT', url, headers }, SERVER)).toMatchObject({ ok: true })
  })

  it('includes the session token in the signed query', async () => {
    const sessionToken = 'FwoGZXIvYXdzE+/=='
    const credentials = { ...EXAMPLE_CREDENTIALS, sessionToken }
    const url = await presign(input({ credentials }))
    expect(url).toContain('&X-Amz-Security-Token=FwoGZXIvYXdzE%2B%2F%3D%3D&')
    expect(verifyPresigned({ method: 'GET', url }, { ...SERVER, sessionToken }).ok).toBe(true)
  })

  it('signs with the given credentials, not with those of the bucket', async () => {
    const credentials = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'WRITER', secretAccessKey: 'other' }
    const url = await presign(input({ credentials }))
    expect(verifyPresigned({ method: 'GET', url }, SERVER)).toEqual({
      ok: false,
      reason: 'wrong credential',
    })
    expect(verifyPresigned({ method: 'GET', url }, { ...SERVER, ...credentials }).ok).toBe(true)
  })

  it('writes a space in the query as %20, never as +', async () => {
    const query = { 'response-content-disposition': 'attachment; filename="a b + c.pdf"' }
    const url = await presign(input({ query, key: parseObjectKey('a b + c.pdf') }))
    expect(url).not.toContain('+')
    expect(verifyPresigned({ method: 'GET', url }, SERVER)).toMatchObject({
      ok: true,
      path: '/a b + c.pdf',
      query,
    })
  })

  it("signs the port unless it is the scheme's default", async () => {
    const atPort = testBucket({ origin: 'http://127.0.0.1:9000', basePath: '/files/' })
    const url = await presign(input({ bucket: atPort }))
    expect(verifyPresigned({ method: 'GET', url }, SERVER)).toMatchObject({
      ok: true,
      host: '127.0.0.1:9000',
      path: '/files/test.txt',
    })
  })

  it('signs in whole seconds of UTC', () => {
    expect(amzDate(new Date('2026-03-01T00:59:59.999+01:00'))).toBe('20260228T235959Z')
  })

  it('accepts the shortest and the longest lifetime of SigV4', async () => {
    for (const signedSeconds of [1, 604_800]) {
      const { searchParams } = new URL(await presign(input({ signedSeconds })))
      expect(searchParams.get('X-Amz-Expires')).toBe(String(signedSeconds))
    }
  })

  it('refuses a lifetime that SigV4 does not allow', async () => {
    for (const signedSeconds of [0, -1, 604_801, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
      await expect(presign(input({ signedSeconds })), String(signedSeconds)).rejects.toThrow(
        RangeError,
      )
  })

  it('throws when an object would be outside its bucket', async () => {
    // Simulates a gap in the key rules: the type says "parsed", but the value was not parsed.
    const unparsed = '../other-bucket/secret' as PresignInput['key']
    const bucket = testBucket({ origin: 'https://s3.example.com', basePath: '/files/' })
    await expect(presign(input({ bucket, key: unparsed }))).rejects.toThrow(
      'does not name the requested object',
    )
  })
})
