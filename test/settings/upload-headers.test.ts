import { describe, expect, it } from 'vitest'
import type { Bucket } from '../../src/bucket/bucket.ts'
import { defineSettings } from '../../src/settings/define.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { fullVariables } from './variables.ts'

function load(uploadHeaders: unknown, changes: Record<string, unknown> = {}) {
  const variables = fullVariables()
  variables.BUCKETS.files = { ...variables.BUCKETS.files, uploadHeaders, ...changes }
  return loadEnvironment(variables)
}

function bucketOf(uploadHeaders: unknown, changes: Record<string, unknown> = {}): Bucket {
  const loaded = load(uploadHeaders, changes)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
  return loaded.settings.buckets[0]
}

/** Returns the issues, with their paths below `uploadHeaders`. */
function issuesOf(uploadHeaders: unknown): string[] {
  const loaded = load(uploadHeaders)
  if (loaded.ok) throw new Error('These headers must not load.')
  return loaded.issues.map(({ path, message }) => {
    expect(path).toMatch(/^BUCKETS\.files\.uploadHeaders/)
    return `${path.slice('BUCKETS.files.uploadHeaders'.length)} ${message}`
  })
}

const SSE = 'x-amz-server-side-encryption'
const KEY_ARN = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
const FULL = {
  [SSE]: 'aws:kms',
  [`${SSE}-aws-kms-key-id`]: KEY_ARN,
  [`${SSE}-context`]: btoa('{"team":"web"}'),
  [`${SSE}-bucket-key-enabled`]: 'true',
  'x-amz-storage-class': 'INTELLIGENT_TIERING',
  'x-amz-tagging': 'team=web&cost%20center=a%2Bb&empty=',
  'x-amz-acl': 'bucket-owner-full-control',
}
const EVERY_REQUEST = {
  'x-amz-request-payer': 'requester',
  'x-amz-expected-bucket-owner': '111122223333',
}

describe('uploadHeaders', () => {
  it('are the headers of uploads, and two that every request carries', () => {
    const { uploadHeaders, requestHeaders } = bucketOf({ ...FULL, ...EVERY_REQUEST })
    expect(uploadHeaders).toEqual(FULL)
    expect(requestHeaders).toEqual(EVERY_REQUEST)
  })

  it('are null without an entry, so that other buckets do no work for them', () => {
    for (const none of [undefined, {}])
      expect(bucketOf(none)).toMatchObject({ uploadHeaders: null, requestHeaders: null })
    expect(bucketOf({ 'x-amz-acl': 'private' }).requestHeaders).toBeNull()
    expect(bucketOf(EVERY_REQUEST).uploadHeaders).toBeNull()
  })

  it('are the same in code', () => {
    const credentials = { accessKeyId: 'id', secretAccessKey: 'secret' }
    const settings = defineSettings(() => ({
      buckets: {
        files: {
          endpoint: 'https://s3.eu-central-1.amazonaws.com',
          region: 'eu-central-1',
          bucket: 'acme-files',
          credentials,
          uploadHeaders: {
            'x-amz-server-side-encryption': 'AES256',
            'x-amz-acl': undefined,
            'x-amz-request-payer': 'requester',
            'x-amz-expected-bucket-owner': '111122223333',
          },
        },
      },
      signingSecrets: `k1:${'s'.repeat(32)}`,
    }))({})
    expect(settings.buckets[0].uploadHeaders).toStrictEqual({ [SSE]: 'AES256' })
    expect(settings.buckets[0].requestHeaders).toEqual(EVERY_REQUEST)
  })

  it('send forms through the presigner if every request must carry a header, unless a bucket says otherwise', () => {
    expect(bucketOf(FULL).postUploads).toBe(true)
    expect(bucketOf(EVERY_REQUEST).postUploads).toBe(false)
    expect(bucketOf(EVERY_REQUEST, { postUploads: true }).postUploads).toBe(true)
  })

  it.each([
    { [SSE]: 'AES256' },
    { [SSE]: 'aws:kms' },
    { [SSE]: 'aws:kms:dsse', [`${SSE}-aws-kms-key-id`]: 'alias/files' },
    { [SSE]: 'aws:kms', [`${SSE}-bucket-key-enabled`]: 'false' },
    { 'x-amz-acl': 'private' },
    { 'x-amz-tagging': Array.from({ length: 10 }, (_, i) => `tag${i}=x`).join('&') },
    { 'x-amz-tagging': `${'é'.repeat(128).replaceAll('é', '%C3%A9')}=${'v'.repeat(256)}` },
    { 'x-amz-tagging': 'path=a/b:c@d' },
  ])('accept %j', (headers) => {
    expect(bucketOf(headers).uploadHeaders).toEqual(headers)
  })
})

describe('uploadHeaders refuse', () => {
  it.each([
    ['a header that is not in the list', 'x-amz-website-redirect-location'],
    ['a header that would copy an object', 'x-amz-copy-source'],
    ['a grant to everyone', 'x-amz-grant-read'],
    ['the name of a prototype', 'constructor'],
    ['a name with a line break', 'x-amz-acl\r\nx-amz-copy-source'],
  ])('%s', (_, name) => {
    expect(issuesOf({ [name]: 'private' })).toEqual([
      `.0 is not a header to set here. Known headers: ${[...Object.keys(FULL), ...Object.keys(EVERY_REQUEST)].join(', ')}`,
    ])
  })

  it('a header in capitals, and name its spelling', () => {
    expect(issuesOf({ 'X-Amz-Acl': 'private' })).toEqual([
      '.0 is not a header to set here. Write it in lower case: x-amz-acl',
    ])
  })

  // @threat upload-headers-changed
  it.each([
    ['x-amz-acl', 'public-read', 'must be one of private, bucket-owner-full-control'],
    ['x-amz-acl', 'public-read-write', 'must be one of private, bucket-owner-full-control'],
    ['x-amz-acl', 'authenticated-read', 'must be one of private, bucket-owner-full-control'],
    ['x-amz-acl', true, 'must be one of private, bucket-owner-full-control'],
    [SSE, 'aws:kms\r\nx-amz-acl: public-read', 'must be one of AES256, aws:kms, aws:kms:dsse'],
    [SSE, 'none', 'must be one of AES256, aws:kms, aws:kms:dsse'],
    ['x-amz-request-payer', 'owner', 'must be one of requester'],
    ['x-amz-expected-bucket-owner', '123', 'must be the 12 digits of an AWS account'],
    ['x-amz-expected-bucket-owner', 111122223333, 'must be text'],
    ['x-amz-storage-class', 'standard', 'must be a storage class, such as "STANDARD_IA"'],
    ['x-amz-storage-class', 'A\nB: c', 'must be a storage class, such as "STANDARD_IA"'],
    ['x-amz-tagging', '', 'Tag 1 is invalid'],
    ['x-amz-tagging', 'team', 'Tag 1 is invalid'],
    ['x-amz-tagging', 'a=b&team=a b', 'Tag 2 is invalid'],
    ['x-amz-tagging', 'team=a+b', 'Tag 1 is invalid'],
    ['x-amz-tagging', 'a=b&', 'Tag 2 is invalid'],
    ['x-amz-tagging', '=b', 'Tag 1 is invalid'],
    ['x-amz-tagging', 'team=%ff', 'Tag 1 is invalid'],
    ['x-amz-tagging', 'team=%', 'Tag 1 is invalid'],
    ['x-amz-tagging', 'aws:team=web', 'Tag 1 is invalid'],
    ['x-amz-tagging', 'team=%3Cb%3E', 'Tag 1 is invalid'],
    ['x-amz-tagging', 'team=%0D%0Ax-amz-acl:public-read', 'Tag 1 is invalid'],
    ['x-amz-tagging', 'a=b\r\nx-amz-acl:public-read', 'Tag 1 is invalid'],
    ['x-amz-tagging', `${'k'.repeat(129)}=v`, 'Tag 1 is invalid'],
    ['x-amz-tagging', `k=${'v'.repeat(257)}`, 'Tag 1 is invalid'],
    ['x-amz-tagging', 'a=1&%61=2', 'must not repeat the name of a tag'],
    [
      'x-amz-tagging',
      Array.from({ length: 11 }, (_, i) => `tag${i}=x`).join('&'),
      'must have at most 10 tags',
    ],
  ])('%s: %j', (name, value, message) => {
    expect(issuesOf({ [name]: value })).toEqual([expect.stringContaining(`.${name} `)])
    expect(issuesOf({ [name]: value })).toEqual([expect.stringContaining(message)])
  })

  // @threat upload-headers-changed
  it.each([
    ['-aws-kms-key-id', 'a b', 'must be the id, the ARN or the alias of a KMS key'],
    ['-aws-kms-key-id', 'a\r\nb: c', 'must be the id, the ARN or the alias of a KMS key'],
    ['-bucket-key-enabled', true, 'must be text'],
    ['-bucket-key-enabled', 'yes', 'must be "true" or "false"'],
    ['-context', '{"team":"web"}', 'must be a JSON object of strings in base64'],
    ['-context', btoa('{"team":1}'), 'must be a JSON object of strings in base64'],
    ['-context', btoa('["web"]'), 'must be a JSON object of strings in base64'],
    ['-context', btoa('null'), 'must be a JSON object of strings in base64'],
    ['-context', btoa('text'), 'must be a JSON object of strings in base64'],
    ['-context', `${btoa('{}')}\r\nb: c`, 'must be a JSON object of strings in base64'],
    ['-context', `${btoa('{}')}\n`, 'must be a JSON object of strings in base64'],
  ])('x-amz-server-side-encryption%s: %j', (name, value, message) => {
    const [issue = ''] = issuesOf({ [SSE]: 'aws:kms', [SSE + name]: value })
    expect(issue).toContain(`.${SSE}${name} `)
    expect(issue).toContain(message)
  })

  it.each([undefined, 'AES256'])('a KMS key with the encryption %s', (encryption) => {
    const given = encryption === undefined ? {} : { [SSE]: encryption }
    for (const [name, value] of [
      [`${SSE}-aws-kms-key-id`, KEY_ARN],
      [`${SSE}-context`, btoa('{}')],
    ] as const)
      expect(issuesOf({ ...given, [name]: value })).toEqual([
        ` needs ${SSE} = "aws:kms" or "aws:kms:dsse" for ${name}`,
      ])
  })

  it('a bucket key without aws:kms, also with dsse', () => {
    for (const given of [{}, { [SSE]: 'AES256' }, { [SSE]: 'aws:kms:dsse' }])
      expect(issuesOf({ ...given, [`${SSE}-bucket-key-enabled`]: 'true' })).toEqual([
        ` needs ${SSE} = "aws:kms" for ${SSE}-bucket-key-enabled`,
      ])
  })

  it('anything but a table', () => {
    for (const value of ['x-amz-acl', [], 1, null]) expect(issuesOf(value)).toHaveLength(1)
  })
})
