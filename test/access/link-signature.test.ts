import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  canonicalString,
  LINK_FORMATS,
  type LinkPolicy,
  signLink,
} from '../../src/access/link-signature.ts'
import { objectKeyError, parseObjectKey } from '../../src/keys/object-key.ts'
import { verifyLink } from '../../src/plugins/links/verify-link.ts'
import { runs } from '../support/fuzz.ts'
import { linkTarget } from '../support/link-target.ts'
import { signingSettings } from '../support/signing-settings.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const config = signingSettings()

/** Values to build policies from, chosen so that two policies are often almost equal. */
const text = fc
  .array(
    fc.constantFrom('a', 'b', '/', ' ', '%', '%0A', '&', '=', '?', '#', 'é', '😀', '1', 'inline'),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map((parts) => parts.join(''))

const policies: fc.Arbitrary<LinkPolicy> = fc.record({
  bucket: fc.constantFrom('files', 'files1', 'a', '1'),
  key: text.filter((key) => objectKeyError(key) === null).map(parseObjectKey),
  expires: fc.constantFrom(1, 11, 1_900_000_000, 1_900_000_001),
  delivery: fc.constantFrom('stream', 'redirect'),
  download: fc.option(text, { nil: null }),
  variant: fc.option(
    fc.record({
      width: fc.integer({ min: 1, max: 4096 }),
      format: fc.constantFrom(...LINK_FORMATS),
      fallback: fc.boolean(),
    }),
    { nil: null },
  ),
  restrictions: fc.constantFrom(
    undefined,
    'nbf=1',
    'ips=192.0.2.0/24',
    'ips=192.0.2.0/24,2001:db8::/32',
    'nbf=1&countries=DE',
    'countries=DE',
    'notCountries=DE',
  ),
})

// @threat link-forged
it('writes a different canonical string for each policy', () => {
  const seen = new Map<string, string>()
  fc.assert(
    fc.property(policies, (policy) => {
      const canonical = canonicalString(policy)
      const known = seen.get(canonical)
      seen.set(canonical, JSON.stringify(policy))
      expect(known ?? JSON.stringify(policy)).toBe(JSON.stringify(policy))
    }),
    { numRuns: runs(5000) },
  )
  expect(seen.size).toBeGreaterThan(1000)
})

it('verifies the links that it signs, and returns their policy', async () => {
  let alive = 0
  await fc.assert(
    fc.asyncProperty(policies, async (policy) => {
      const target = linkTarget(await signLink(policy, config))
      const verdict = await verifyLink(target, policy.bucket, policy.key, config, NOW)
      if (verdict.ok) alive += 1
      expect(verdict).toEqual(
        policy.expires * 1000 > NOW.getTime()
          ? { ok: true, policy }
          : { ok: false, refusal: 'link expired' },
      )
    }),
    { numRuns: runs(1000) },
  )
  expect(alive).toBeGreaterThan(200)
})

it('never accepts the signature of one policy for another', async () => {
  await fc.assert(
    fc.asyncProperty(policies, policies, async (one, other) => {
      fc.pre(JSON.stringify(one) !== JSON.stringify(other))
      const signature = (await signLink(one, config)).split('sig=')[1]
      const forged = (await signLink(other, config)).replace(/sig=.*/, `sig=${signature}`)
      expect(
        await verifyLink(linkTarget(forged), other.bucket, other.key, config, NOW),
      ).toMatchObject({
        ok: false,
      })
    }),
    { numRuns: runs(1000) },
  )
})
