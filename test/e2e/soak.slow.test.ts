import { expect, it } from 'vitest'
import { shared } from './shared.ts'
import { soak } from './soak/soak.ts'

/** The short version of `npm run soak`. A webhook that fails would be repeated after ten seconds. */
it('loses no record, no object and no event while the bucket fails now and then', async () => {
  const { problems, ...figures } = await soak({
    bundle: await shared('worker'),
    uploads: 80,
    clients: 4,
    seed: 14,
    bucketFailures: 0.2,
    webhookFailures: 0,
    restartSeconds: Infinity,
    eventSeconds: 300,
  })
  expect(problems).toEqual([])
  expect(figures.uploads).toBe(80)
  // The seed makes all of this happen, so that the comparison has something to find.
  expect(figures.deleted).toBeGreaterThan(0)
  expect(figures.replaced).toBeGreaterThan(0)
  expect(figures.renamed).toBeGreaterThan(0)
  expect(figures.bucket.lost).toBeGreaterThan(0)
  expect(figures.retries).toBeGreaterThan(0)
}, 600_000)
