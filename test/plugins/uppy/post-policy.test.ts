import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { type PostPolicyInput, signPostPolicy } from '../../../src/plugins/uppy/post-policy.ts'
import { awsSigner, calculateSignature } from '../../../src/signing/signature.ts'
import { fromBase64, toBase64 } from '../../support/base64.ts'
import { hostileText } from '../../support/hostile.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../../support/test-bucket.ts'

const KEY = parseObjectKey('team-a/uploads/0-é.jpg')

const input = (changes: Partial<PostPolicyInput> = {}): PostPolicyInput => ({
  bucket: testBucket({ name: 'My.Bucket_1', region: 'eu-central-1' }),
  credentials: EXAMPLE_CREDENTIALS,
  key: KEY,
  fields: { success_action_status: '201', 'content-type': 'image/jpeg', 'x-amz-meta-name': 'é' },
  maxBytes: 5_368_709_120,
  signedAt: new Date('2026-11-24T12:34:56Z'),
  signedSeconds: 300,
  ...changes,
})

/** Reads the policy in `fields` as S3 does. */
function policyOf(fields: Record<string, string>): { expiration: string; conditions: unknown[] } {
  const bytes = fromBase64(fields.Policy ?? '')
  return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
}

/**
 * Follows AWS's "Authenticating Requests in Browser-Based Uploads Using POST", and shares no code
 * with `src/`.
 */
function signatureOf(policy: string, day: string, region: string, secret: string): string {
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Uint8Array>(
    (parent, part) => createHmac('sha256', parent).update(part).digest(),
    `AWS4${secret}`,
  )
  return createHmac('sha256', key).update(policy).digest('hex')
}

describe("AWS's example of a POST policy", () => {
  /**
   * "Example: Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)", whose lines
   * end with CR LF.
   */
  const policy = `{ "expiration": "2015-12-30T12:00:00.000Z",
  "conditions": [
    {"bucket": "sigv4examplebucket"},
    ["starts-with", "$key", "user/user1/"],
    {"acl": "public-read"},
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-uuid": "14365123651274"},
    {"x-amz-server-side-encryption": "AES256"},
    ["starts-with", "$x-amz-meta-tag", ""],

    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},
    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
    {"x-amz-date": "20151229T000000Z" }
  ]
}`.replaceAll('\n', '\r\n')
  const encoded = toBase64(new TextEncoder().encode(policy))
  const signature = '8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e'

  it('gets the published signature from the code that signs a form', async () => {
    const signer = awsSigner({
      bucket: testBucket({ name: 'sigv4examplebucket' }),
      credentials: EXAMPLE_CREDENTIALS,
      method: 'POST',
      url: 'http://sigv4examplebucket.s3.amazonaws.com/',
      signedAt: new Date('2015-12-29T00:00:00Z'),
    })
    expect(await calculateSignature(signer, encoded)).toBe(signature)
  })

  it('gets the published signature from the check in these tests', () => {
    const { secretAccessKey } = EXAMPLE_CREDENTIALS
    expect(signatureOf(encoded, '20151229', 'us-east-1', secretAccessKey)).toBe(signature)
  })
})

describe('the fields of a form', () => {
  it('are all the fields that S3 needs, in the order in which Companion sends them', async () => {
    const fields = await signPostPolicy(input())
    expect(Object.entries(fields)).toEqual([
      ['success_action_status', '201'],
      ['content-type', 'image/jpeg'],
      ['x-amz-meta-name', 'é'],
      ['bucket', 'My.Bucket_1'],
      ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
      ['X-Amz-Credential', 'AKIAIOSFODNN7EXAMPLE/20261124/eu-central-1/s3/aws4_request'],
      ['X-Amz-Date', '20261124T123456Z'],
      ['key', KEY],
      ['Policy', expect.stringMatching(/^[A-Za-z0-9+/]+=*$/)],
      ['X-Amz-Signature', expect.stringMatching(/^[0-9a-f]{64}$/)],
    ])
  })

  it('include the token and the access key of temporary credentials', async () => {
    const credentials = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'ASIA1', sessionToken: 'a/b+c=' }
    const fields = await signPostPolicy(input({ credentials }))
    expect(fields['X-Amz-Security-Token']).toBe('a/b+c=')
    expect(fields['X-Amz-Credential']).toMatch(/^ASIA1\//)
    expect(policyOf(fields).conditions).toContainEqual({ 'X-Amz-Security-Token': 'a/b+c=' })
  })
})

describe('the policy of a form', () => {
  it('expires with the signature, at a whole second', async () => {
    expect(policyOf(await signPostPolicy(input()))).toMatchObject({
      expiration: '2026-11-24T12:39:56Z',
    })
    const week = await signPostPolicy(input({ signedSeconds: 604_800 }))
    expect(policyOf(week)).toMatchObject({ expiration: '2026-12-01T12:34:56Z' })
  })

  it('limits the size of the file', async () => {
    for (const maxBytes of [1, 1000, 5_368_709_120])
      expect(policyOf(await signPostPolicy(input({ maxBytes }))).conditions).toContainEqual([
        'content-length-range',
        0,
        maxBytes,
      ])
  })

  // @threat form-changed
  it('fixes every field, so that none can be changed or added', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.stringMatching(/^x-amz-meta-[\w-]{1,20}$/), hostileText),
        async (metadata) => {
          const fields = await signPostPolicy(
            input({ fields: { 'content-type': 'a/b', ...metadata } }),
          )
          const { Policy, 'X-Amz-Signature': signature, ...conditioned } = fields
          const { conditions } = policyOf(fields)
          const exact = conditions.filter((condition) => !Array.isArray(condition))
          expect(Object.assign({}, ...exact)).toEqual(conditioned)
          expect(exact).toHaveLength(Object.keys(conditioned).length)
          expect(conditions.length - exact.length).toBe(1)
          for (const condition of exact) expect(Object.keys(condition as object)).toHaveLength(1)
        },
      ),
    )
  })

  it('is signed as a whole, with the secret, the day and the region', async () => {
    await fc.assert(
      fc.asyncProperty(
        hostileText,
        fc.date({ min: new Date('2013-01-01'), max: new Date('2099-12-31'), noInvalidDate: true }),
        fc.constantFrom('us-east-1', 'auto', 'garage'),
        async (value, signedAt, region) => {
          const bucket = testBucket({ region })
          const fields = await signPostPolicy(
            input({ bucket, signedAt, fields: { 'x-amz-meta-a': value } }),
          )
          const day = signedAt.toISOString().slice(0, 10).replaceAll('-', '')
          const { secretAccessKey } = EXAMPLE_CREDENTIALS
          expect(fields['X-Amz-Signature']).toBe(
            signatureOf(fields.Policy ?? '', day, region, secretAccessKey),
          )
        },
      ),
    )
  })

  it.each([0, -1, 1.5, 604_801, Number.NaN])(
    'refuses a lifetime of %s seconds',
    async (signedSeconds) => {
      await expect(signPostPolicy(input({ signedSeconds }))).rejects.toThrow(RangeError)
    },
  )
})

it('refuses a key in which S3 would insert the file name', async () => {
  const key = parseObjectKey('users/@{filename}/uploads/0-a.jpg'.replace('@', '$'))
  await expect(signPostPolicy(input({ key }))).rejects.toMatchObject({ code: 'invalid_key' })
})
