import { expect, it } from 'vitest'
import { findBucket } from '../../src/bucket/find-bucket.ts'
import { loadEnvironment } from '../../src/cloudflare/environment.ts'
import { fullVariables } from '../settings/variables.ts'

const loaded = loadEnvironment(fullVariables())
if (!loaded.ok) throw new Error('The full configuration must load.')
const { settings: config } = loaded

it('finds a bucket by its alias', () => {
  expect(findBucket(config, 'archive')).toBe(config.buckets[1])
  expect(findBucket(config, 'files')).toBe(config.buckets[0])
})

it('takes the first bucket where none is named', () => {
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
])('knows no bucket %j', (alias) => {
  expect(() => findBucket(config, alias)).toThrow(
    expect.objectContaining({ code: 'unknown_bucket' }),
  )
})
