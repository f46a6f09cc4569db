import fc from 'fast-check'
import { expect, inject, it } from 'vitest'
import { NO_LIMITS } from '../../src/access/limits.ts'
import { type Principal, requireKey, requirePrefix } from '../../src/access/principal.ts'
import { SCOPES } from '../../src/access/scopes.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { runs } from '../support/fuzz.ts'
import { testWorker } from '../support/worker.ts'

const principal = (prefix: string): Principal => ({
  kind: 'key',
  id: 'x',
  scopes: SCOPES,
  prefix,
  expiresAt: Infinity,
  limits: NO_LIMITS,
  context: null,
})

// @threat foreign-key
it('covers only keys that start with its prefix', () => {
  const key = parseObjectKey('team-a/x')
  expect(() => requireKey(principal(''), 'files:read', key)).not.toThrow()
  expect(() => requireKey(principal('team-a/'), 'files:read', key)).not.toThrow()
  expect(() => requireKey(principal('team-b/'), 'files:read', key)).toThrow(
    'This is outside your prefix "team-b/".',
  )
  expect(() => requirePrefix(principal('team-a/'), 'team-a')).toThrow('outside')
  expect(() => requirePrefix(principal('team-a/'), '')).toThrow('outside')
})

it('never signs a path outside the prefix, whatever the URL', async () => {
  const fragment = fc.constantFrom(
    'team-a',
    '/',
    '.',
    '..',
    '%2e',
    '%2E%2e',
    '%2f',
    '%5C',
    '\\',
    '%25',
    '2f',
    'b',
    'é',
    '?',
    '#',
    ';',
    '+',
    ' ',
  )
  const prefixes = ['team-a/', 'é/', 'a b/', '%2e/', 'team-a/b/']
  const keys = await Promise.all(
    prefixes.map((prefix, index) => testApiKey(`p${index}`, SCOPES, prefix)),
  )
  const worker = testWorker({ OPEN_ACCESS: undefined, API_KEYS: keys.map(({ entry }) => entry) })
  const base = new URL(inject('s3Endpoint'))
  let signed = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...keys),
      fc.array(fragment, { maxLength: 8 }),
      fc.boolean(),
      async ({ token, entry: { prefix } }, fragments, under) => {
        const start = under ? encodeURIComponent(prefix) : ''
        const response = await worker.fetch(
          `/files/${start}${fragments.join('')}/url`,
          bearer(token),
        )
        const body: { url?: string; key?: string } = await response.json()
        if (response.status !== 200 || body.url === undefined) return
        signed += 1
        const { pathname, host } = new URL(body.url)
        expect(host).toBe(base.host)
        expect(decodeURIComponent(pathname)).toBe(`/files/${body.key}`)
        expect(decodeURIComponent(pathname).startsWith(`/files/${prefix}`)).toBe(true)
      },
    ),
    { numRuns: runs(1000) },
  )
  expect(signed).toBeGreaterThan(100)
})
