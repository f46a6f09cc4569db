import { expect, it } from 'vitest'
import { purpose } from '../../src/access/purpose-key.ts'
import { seal, unseal } from '../../src/access/seal.ts'
import { base64url, utf8 } from '../../src/keys/encodings.ts'
import { signingSettings } from '../support/signing-settings.ts'

const { signingSecrets } = signingSettings(`k1:${'s'.repeat(32)}`)
const NOW = new Date('2026-11-28T12:00:00.900Z')
const SECONDS = Math.floor(NOW.getTime() / 1000)

const open = (sealed: string, graceSeconds?: number) =>
  unseal(signingSecrets, purpose('step'), sealed, NOW, graceSeconds)

/** Encodes parts of a JWS as they are. */
const partOf = (json: string): string => base64url(utf8(json))

// @threat credential-misused
it.each([
  'null',
  '[]',
  '"k1"',
  '7',
  'true',
  '{',
  '',
  '{}',
  '{"kid":null}',
  '{"kid":["k1"]}',
  '{"kid":"__proto__"}',
])('does not open for the header %s', async (header) => {
  const [, claims, signature] = (await seal(signingSecrets, purpose('step'), { a: 1 })).split('.')
  const opened = await open(`${partOf(header)}.${claims}.${signature}`)
  expect(opened).toMatchObject({ ok: false, failure: 'secret unknown' })
})

// @threat credential-misused
it('does not open with another header, also one that names another algorithm', async () => {
  const [, claims, signature] = (await seal(signingSecrets, purpose('step'), { a: 1 })).split('.')
  for (const header of ['{"alg":"none","kid":"k1"}', '{"kid":"k1"}', '{"kid":"k1","alg":"HS256"}'])
    expect(await open(`${partOf(header)}.${claims}.${signature}`)).toEqual({
      ok: false,
      failure: 'signature wrong',
      kid: 'k1',
    })
})

it.each(['', '.', '..', 'a.b', 'a.b.c.d', '....'])('is malformed: "%s"', async (sealed) => {
  expect(await open(sealed)).toMatchObject({ ok: false, failure: 'malformed' })
})

// @threat token-too-long
it('ends with its second, or after the grace that its reader gives it', async () => {
  const expiring = (exp: unknown) => seal(signingSecrets, purpose('step'), { exp })
  const failure = async (exp: unknown, grace?: number) => {
    const opened = await open(await expiring(exp), grace)
    return opened.ok ? null : opened.failure
  }
  expect(await failure(SECONDS + 1)).toBeNull()
  expect(await failure(SECONDS)).toBe('expired')
  expect(await failure(SECONDS, 1)).toBeNull()
  expect(await failure(SECONDS - 1, 1)).toBe('expired')
  expect(await failure(undefined)).toBeNull()
  for (const exp of [null, `${SECONDS + 60}`, [SECONDS + 60]])
    expect(await failure(exp)).toBe('expired')
})
