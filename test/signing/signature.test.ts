import { expect, it } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { presign } from '../../src/signing/presign.ts'
import { signingKeys } from '../../src/signing/signature.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const presignOn = (day: number): Promise<string> =>
  presign({
    bucket: testBucket(),
    credentials: EXAMPLE_CREDENTIALS,
    method: 'GET',
    key: parseObjectKey('test.txt'),
    signedAt: new Date(Date.UTC(2026, 0, day)),
    signedSeconds: 60,
  })

it('derives one key a day, and the cached key gives the same signature', async () => {
  signingKeys.clear()
  const first = await presignOn(1)
  expect(signingKeys.size).toBe(1)
  expect(await presignOn(1)).toBe(first)
  expect(signingKeys.size).toBe(1)
  await presignOn(2)
  expect(signingKeys.size).toBe(2)
})

it('caches at most 64 keys, however many days and regions it signs for', async () => {
  signingKeys.clear()
  for (let day = 1; day <= 200; day++) {
    await presignOn(day)
    expect(signingKeys.size).toBeLessThanOrEqual(64)
  }
  expect(signingKeys.size).toBeGreaterThan(0)
})
