import { expect, it } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { postUrl } from '../../src/plugins/uppy/post-policy.ts'
import { presign } from '../../src/signing/presign.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { leastVariables } from './variables.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const ALIAS = 'reports-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias'

/** The endpoints of AWS and others, with the URL that each must lead to. */
it.each([
  [
    'transfer acceleration',
    'https://s3-accelerate.amazonaws.com',
    'acme-files',
    'virtual',
    'https://acme-files.s3-accelerate.amazonaws.com/a%20b.png',
  ],
  [
    'transfer acceleration with IPv6',
    'https://s3-accelerate.dualstack.amazonaws.com',
    'acme-files',
    'virtual',
    'https://acme-files.s3-accelerate.dualstack.amazonaws.com/a%20b.png',
  ],
  [
    'dual stack',
    'https://s3.dualstack.us-east-1.amazonaws.com',
    'acme-files',
    'virtual',
    'https://acme-files.s3.dualstack.us-east-1.amazonaws.com/a%20b.png',
  ],
  [
    'dual stack by path',
    'https://s3.dualstack.us-east-1.amazonaws.com',
    'acme.files',
    'path',
    'https://s3.dualstack.us-east-1.amazonaws.com/acme.files/a%20b.png',
  ],
  [
    'FIPS',
    'https://s3-fips.us-east-1.amazonaws.com',
    'acme-files',
    'virtual',
    'https://acme-files.s3-fips.us-east-1.amazonaws.com/a%20b.png',
  ],
  [
    'FIPS with dual stack',
    'https://s3-fips.dualstack.us-east-1.amazonaws.com',
    'acme-files',
    'virtual',
    'https://acme-files.s3-fips.dualstack.us-east-1.amazonaws.com/a%20b.png',
  ],
  [
    'the alias of an access point',
    'https://s3.us-east-1.amazonaws.com',
    ALIAS,
    'virtual',
    `https://${ALIAS}.s3.us-east-1.amazonaws.com/a%20b.png`,
  ],
  [
    'the name of an access point',
    'https://s3-accesspoint.us-east-1.amazonaws.com',
    'reports-111122223333',
    'virtual',
    'https://reports-111122223333.s3-accesspoint.us-east-1.amazonaws.com/a%20b.png',
  ],
  [
    'an access point with dual stack',
    'https://s3-accesspoint.dualstack.us-east-1.amazonaws.com',
    'reports-111122223333',
    'virtual',
    'https://reports-111122223333.s3-accesspoint.dualstack.us-east-1.amazonaws.com/a%20b.png',
  ],
  [
    'a server behind a path',
    'https://example.com/storage',
    'acme-files',
    'path',
    'https://example.com/storage/acme-files/a%20b.png',
  ],
  [
    'a server behind a path with a slash at its end',
    'https://example.com/storage/v1/s3/',
    'acme-files',
    'path',
    'https://example.com/storage/v1/s3/acme-files/a%20b.png',
  ],
] as const)('signs URLs for %s', async (_, endpoint, bucket, addressing, url) => {
  const files = { endpoint, region: 'us-east-1', bucket, addressing, credentials: 'S3' }
  const loaded = loadEnvironment({ ...leastVariables(), BUCKETS: { files } })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
  const [table] = loaded.settings.buckets
  const key = parseObjectKey('a b.png')
  const { credentials } = table
  const signing = { bucket: table, credentials, signedAt: NOW, signedSeconds: 60 }
  const signed = await presign({ ...signing, method: 'GET', key })
  expect(signed.split('?')[0]).toBe(url)
  expect(
    verifyPresigned(
      { method: 'GET', url: signed },
      { ...credentials, region: 'us-east-1', now: NOW },
    ).ok,
  ).toBe(true)
  expect(postUrl(table)).toBe(url.slice(0, -'a%20b.png'.length))
})

it.each([
  ['https://acme-files.s3-accelerate.amazonaws.com', 'the name of the bucket in the endpoint'],
  ['https://acme-files.s3.dualstack.us-east-1.amazonaws.com', 'the same with dual stack'],
  ['https://s3-fips.us-east-1.amazonaws.com/acme-files', 'the same as a path'],
])('refuses %s: %s', (endpoint) => {
  for (const addressing of ['path', 'virtual']) {
    const files = {
      endpoint,
      region: 'us-east-1',
      bucket: 'acme-files',
      addressing,
      credentials: 'S3',
    }
    const loaded = loadEnvironment({ ...leastVariables(), BUCKETS: { files } })
    expect(loaded).toMatchObject({
      ok: false,
      issues: [{ message: expect.stringContaining('has the bucket name in its endpoint') }],
    })
  }
})
