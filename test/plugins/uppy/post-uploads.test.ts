import { describe, expect, it } from 'vitest'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { fullVariables } from '../../settings/variables.ts'

/** Returns the bucket "files" of the full configuration with `changes` applied to its table. */
function load(changes: Record<string, unknown>) {
  const variables = fullVariables()
  variables.BUCKETS.files = { ...variables.BUCKETS.files, ...changes }
  return loadEnvironment(variables)
}

function bucketOf(changes: Record<string, unknown>) {
  const loaded = load(changes)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
  return loaded.settings.buckets[0]
}

const R2 = 'https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com'
const B2 = 'https://s3.us-west-004.backblazeb2.com'

describe('postUploads', () => {
  it.each([
    R2,
    'https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com',
    'https://0123456789ABCDEF0123456789ABCDEF.R2.CloudflareStorage.com',
    `${R2}:443/`,
    `${R2}:8443`,
    `${R2}/path`,
    B2,
    'https://S3.us-west-004.BackblazeB2.com',
  ])('is false at %s, in either addressing', (endpoint) => {
    for (const addressing of ['path', 'virtual'])
      expect(bucketOf({ endpoint, addressing }), addressing).toMatchObject({ postUploads: false })
  })

  it.each([
    'https://s3.eu-central-1.amazonaws.com',
    'https://s3.eu-central-1.wasabisys.com',
    'http://127.0.0.1:9000',
    'https://r2.cloudflarestorage.com.example.com',
    'https://notr2.cloudflarestorage.com',
    'https://notbackblazeb2.com',
    'https://backblazeb2.com.example',
    'https://s3.example.com/x.backblazeb2.com',
  ])('is true at %s', (endpoint) => {
    expect(bucketOf({ endpoint, addressing: 'path' })).toMatchObject({ postUploads: true })
  })

  it('can be set to override the default for the host', () => {
    expect(bucketOf({ endpoint: R2, postUploads: true })).toMatchObject({ postUploads: true })
    expect(bucketOf({ endpoint: B2, postUploads: true })).toMatchObject({ postUploads: true })
    expect(bucketOf({ postUploads: false })).toMatchObject({ postUploads: false })
  })

  it.each(['false', 'true', 0, 1, null, []])('must be a boolean, not %j', (postUploads) => {
    expect(load({ postUploads })).toEqual({
      ok: false,
      issues: [{ path: 'BUCKETS.files.postUploads', message: expect.any(String) }],
    })
  })
})

describe('conditionalComplete', () => {
  it.each([
    ['https://s3.eu-central-1.amazonaws.com', true],
    ['https://S3.dualstack.us-east-1.AmazonAWS.com:443', true],
    ['https://s3.cn-north-1.amazonaws.com.cn', true],
    [R2, false],
    [B2, false],
    ['http://127.0.0.1:9000', false],
    ['https://notamazonaws.com', false],
    ['https://s3.amazonaws.com.example', false],
  ])('at %s is %s, unless it is set', (endpoint, conditionalComplete) => {
    expect(bucketOf({ endpoint, addressing: 'path' })).toMatchObject({ conditionalComplete })
    const other = !conditionalComplete
    expect(bucketOf({ endpoint, addressing: 'path', conditionalComplete: other })).toMatchObject({
      conditionalComplete: other,
    })
  })
})

describe.each(['conditionalPut', 'conditionalReplace'] as const)('%s', (name) => {
  it.each([
    ['https://s3.eu-central-1.amazonaws.com', true],
    [R2, true],
    [B2, false],
    ['http://127.0.0.1:9000', false],
    ['https://notamazonaws.com', false],
  ])('at %s is %s, unless it is set', (endpoint, isOn) => {
    expect(bucketOf({ endpoint, addressing: 'path' })).toMatchObject({ [name]: isOn })
    expect(bucketOf({ endpoint, addressing: 'path', [name]: !isOn })).toMatchObject({
      [name]: !isOn,
    })
  })
})

describe('the name of a bucket', () => {
  it.each([
    ['path', 'My.Bucket_1'],
    ['virtual', 'acme-files'],
  ])('is the one on the server, with addressing "%s", whatever the alias', (addressing, bucket) => {
    expect(bucketOf({ addressing, bucket })).toMatchObject({ alias: 'files', name: bucket })
  })
})
