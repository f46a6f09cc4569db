import { expect, it } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { redirectTarget } from '../../../src/plugins/links/deliver.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z').getTime()
const POLICY = {
  bucket: 'files',
  key: parseObjectKey('a.jpg'),
  expires: NOW / 1000 + 86_400,
  delivery: 'redirect',
  download: null,
  variant: null,
} as const

it('keeps one target in each window, and expires no later than temporary credentials', async () => {
  const end = NOW + 600_000
  const bucket = testBucket({ credentials: { ...EXAMPLE_CREDENTIALS, expiresAt: end } })
  const urls = new Set<string>()
  for (let now = NOW; now < end; now += 7000) {
    const { url, maxAgeSeconds } = await redirectTarget(POLICY, bucket, new Date(now))
    urls.add(url)
    expect(maxAgeSeconds * 1000).toBeLessThanOrEqual(end - now)
  }
  expect(urls.size).toBe(2)
})

it("caps its window at half of the bucket's limit for view", async () => {
  const { maxExpiresIn } = testBucket()
  const bucket = testBucket({ maxExpiresIn: { ...maxExpiresIn, view: 20 } })
  const { url } = await redirectTarget(POLICY, bucket, new Date(NOW))
  expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('20')
})
