import { expect, it } from 'vitest'
import { NO_LIMITS } from '../../../src/access/limits.ts'
import { verifyApiKey } from '../../../src/plugins/api-keys/api-key.ts'
import type { ApiKey } from '../../../src/plugins/api-keys/options.ts'
import { testApiKey } from '../../support/credentials.ts'

const configured = ({ entry }: Awaited<ReturnType<typeof testApiKey>>): ApiKey => ({
  ...entry,
  scopes: [...entry.scopes],
})

it('returns the scopes and the prefix of the entry', async () => {
  const one = await testApiKey('one', ['files:read'], 'team-a/')
  const two = await testApiKey('two', ['files:list'])
  expect(await verifyApiKey(one.token, [configured(two), configured(one)])).toEqual({
    ok: true,
    isFrozen: true,
    principal: {
      kind: 'key',
      id: 'key:one',
      scopes: ['files:read'],
      prefix: 'team-a/',
      expiresAt: Infinity,
      limits: NO_LIMITS,
      context: null,
    },
  })
})

// @threat api-key-guessed
it('gives the reason for a refusal only in the verdict', async () => {
  const key = await testApiKey('one', ['files:read'])
  const other = await testApiKey('one', ['files:read'])
  const reasons = [
    ['ep_one_short', { refusal: 'api key malformed' }],
    [`${key.token}x`, { refusal: 'api key malformed' }],
    [key.token.replace('ep_one_', 'ep_two_'), { refusal: 'api key unknown', detail: 'two' }],
    [other.token, { refusal: 'api key wrong', detail: 'one' }],
  ] as const
  for (const [token, reason] of reasons)
    expect(await verifyApiKey(token, [configured(key)])).toEqual({ ok: false, ...reason })
})

it('refuses a digest that differs in any one byte, or in length', async () => {
  const key = await testApiKey('one', ['files:read'])
  const { sha256 } = key.entry
  const wrong = Array.from({ length: 64 }, (_, i) => {
    const digit = (Number.parseInt(sha256.charAt(i), 16) ^ 1).toString(16)
    return sha256.slice(0, i) + digit + sha256.slice(i + 1)
  })
  const lengths = ['', sha256.slice(0, -1), sha256.slice(1), `${sha256}0`, sha256 + sha256]
  for (const other of [...wrong, ...lengths])
    expect(await verifyApiKey(key.token, [{ ...configured(key), sha256: other }]), other).toEqual({
      ok: false,
      refusal: 'api key wrong',
      detail: 'one',
    })
})

it('accepts either key of an entry during rotation, under one id', async () => {
  const older = await testApiKey('one', ['files:read'])
  const newer = await testApiKey('one', ['files:read'])
  const other = await testApiKey('one', ['files:read'])
  const entry = { ...configured(newer), sha256: [newer.entry.sha256, older.entry.sha256] }
  for (const { token } of [older, newer])
    expect(await verifyApiKey(token, [entry])).toMatchObject({ principal: { id: 'key:one' } })
  expect(await verifyApiKey(other.token, [entry])).toEqual({
    ok: false,
    refusal: 'api key wrong',
    detail: 'one',
  })
})
