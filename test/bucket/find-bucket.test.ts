import { expect, it } from 'vitest'
import { findBucket } from '../../src/bucket/find-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

const config = {
  buckets: [testBucket(), testBucket({ alias: 'archive', name: 'my-bucket' })],
} as const

it('finds a bucket by its alias', () => {
  expect(findBucket(config, 'archive')).toBe(config.buckets[1])
  expect(findBucket(config, 'files')).toBe(config.buckets[0])
})

it('uses the first bucket when none is named', () => {
  expect(findBucket(config, undefined)).toBe(config.buckets[0])
})

it.each([
  'constructor',
  '__proto__',
  'toString',
  'length',
  '0',
  '',
  'FILES',
  'acme-files',
  'files ',
])('finds no bucket named %j', (alias) => {
  expect(() => findBucket(config, alias)).toThrow(
    expect.objectContaining({
      code: 'unknown_bucket',
      message: `No bucket has the alias ${JSON.stringify(alias)}.`,
    }),
  )
})
