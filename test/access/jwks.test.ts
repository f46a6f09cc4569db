import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { verifyJwt } from '../../src/access/jwt.ts'
import type { JwtSettings } from '../../src/config/access-schema.ts'
import { bucketFetch, bucketUrl } from '../support/bucket.ts'
import { AUDIENCE, ISSUER, type TestIssuer, testIssuer } from '../support/issuer.ts'

const START = new Date('2026-11-24T12:00:00Z')
let path: string
let url: string
let first: TestIssuer
let second: TestIssuer
let count = 0

/** The key set lies in s3rver, under a presigned URL: a real server with a real 404. */
const publish = (...issuers: readonly TestIssuer[]) =>
  bucketFetch(path, {
    method: 'PUT',
    body: JSON.stringify({ keys: issuers.map(({ publicJwk }) => publicJwk) }),
  })
const takeDown = () => bucketFetch(path, { method: 'DELETE' })

/** Settings of a Worker that has just started: nothing is cached for them. */
const freshSettings = (): JwtSettings => ({
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: ['ES256'],
  jwksUrl: url,
  prefix: '',
  scopes: ['files:read'],
  header: 'Authorization',
})

const verify = async (issuer: TestIssuer, settings: JwtSettings) =>
  verifyJwt(await issuer.sign(), settings, new Date())

beforeEach(async () => {
  count += 1
  path = `jwks-${count}.json`
  url = await bucketUrl(path)
  first = await testIssuer('first')
  second = await testIssuer('second')
  vi.useFakeTimers({ now: START, toFake: ['Date'] })
})

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const wait = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000)

it('fetches the key set once for many tokens', async () => {
  await publish(first)
  const settings = freshSettings()
  const fetched = vi.spyOn(globalThis, 'fetch')
  for (let i = 0; i < 5; i++) expect(await verify(first, settings)).toMatchObject({ ok: true })
  expect(fetched).toHaveBeenCalledTimes(1)
})

it('learns a new key when its kid first comes up', async () => {
  await publish(first)
  const settings = freshSettings()
  await verify(first, settings)
  await publish(first, second)
  wait(31)
  expect(await verify(second, settings)).toMatchObject({ ok: true })
})

it('asks for an unknown kid at most twice a minute', async () => {
  await publish(first)
  const settings = freshSettings()
  await verify(first, settings)
  const fetched = vi.spyOn(globalThis, 'fetch')
  for (let i = 0; i < 5; i++)
    expect(await verify(second, settings)).toEqual({
      ok: false,
      reason: 'jwt ERR_JWKS_NO_MATCHING_KEY',
    })
  expect(fetched).not.toHaveBeenCalled()
})

it('forgets a key that the issuer has dropped within ten minutes', async () => {
  await publish(first)
  const settings = freshSettings()
  await verify(first, settings)
  await publish(second)
  wait(601)
  expect(await verify(first, settings)).toMatchObject({ ok: false })
})

it('goes on with known keys through an outage, and says 503 for others', async () => {
  await publish(first)
  const settings = freshSettings()
  await verify(first, settings)
  await takeDown()
  wait(601)
  expect(await verify(first, settings)).toMatchObject({ ok: true })
  await expect(verify(second, settings)).rejects.toMatchObject({ code: 'auth_unavailable' })
  await publish(first, second)
  wait(11)
  expect(await verify(second, settings)).toMatchObject({ ok: true })
})

it('says 503 where the key set was never there, and asks once in ten seconds', async () => {
  const settings = freshSettings()
  const fetched = vi.spyOn(globalThis, 'fetch')
  for (let i = 0; i < 5; i++)
    await expect(verify(first, settings)).rejects.toMatchObject({ code: 'auth_unavailable' })
  expect(fetched).toHaveBeenCalledTimes(1)
})

it('says 503 for a key set that is none', async () => {
  for (const body of ['', 'null', '{}', '{"keys": 7}', '<html>']) {
    await bucketFetch(path, { method: 'PUT', body })
    await expect(verify(first, freshSettings()), body).rejects.toMatchObject({
      code: 'auth_unavailable',
    })
  }
})

it('gives up on an issuer that does not answer', async () => {
  // A real server that never answers is not at hand: this one ends only when it is told to.
  vi.spyOn(globalThis, 'fetch').mockImplementation(
    (_, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
      }),
  )
  await expect(verify(first, freshSettings())).rejects.toMatchObject({ code: 'auth_unavailable' })
}, 5000)
