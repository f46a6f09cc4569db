import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '../../../src/errors/api-error.ts'
import { verifyJwt } from '../../../src/plugins/jwt/jwt.ts'
import type { JwtSettings } from '../../../src/plugins/jwt/options.ts'
import { bucketFetch, bucketUrl } from '../../support/bucket.ts'
import { captureLog } from '../../support/capture-log.ts'
import { AUDIENCE, ISSUER, NO_HOOKS, type TestIssuer, testIssuer } from '../../support/issuer.ts'

const START = new Date('2026-11-24T12:00:00Z')
let path: string
let url: string
let first: TestIssuer
let second: TestIssuer
let count = 0
let log: string[]

/** s3rver serves the key set at a presigned URL: a real server with a real 404. */
const publish = (...issuers: readonly TestIssuer[]) =>
  bucketFetch(path, {
    method: 'PUT',
    body: JSON.stringify({ keys: issuers.map(({ publicJwk }) => publicJwk) }),
  })
const takeDown = () => bucketFetch(path, { method: 'DELETE' })

/** Settings of a Worker that has just started, with nothing in the cache. */
const freshSettings = (): JwtSettings => ({
  issuer: ISSUER,
  audience: [AUDIENCE],
  algorithms: ['ES256'],
  jwksUrl: url,
  prefix: '',
  scopes: ['files:read'],
  header: 'Authorization',
})

const verify = async (issuer: TestIssuer, settings: JwtSettings, hooks = NO_HOOKS) =>
  verifyJwt(await issuer.sign(), settings, new Date(), hooks)

/** Stands in for the network's rate limit, which applies before a fetch. */
const hooksThat = (beforeFetch: () => Promise<void>) => ({ ...NO_HOOKS, beforeFetch })
const overTheLimit = async () => {
  throw new ApiError('rate_limited', 'Too many requests.')
}

beforeEach(async () => {
  count += 1
  path = `jwks-${count}.json`
  url = await bucketUrl(path)
  first = await testIssuer('first')
  second = await testIssuer('second')
  vi.useFakeTimers({ now: START, toFake: ['Date'] })
  log = captureLog()
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

it('fetches a new key when its kid first appears', async () => {
  await publish(first)
  const settings = freshSettings()
  await verify(first, settings)
  await publish(first, second)
  wait(31)
  expect(await verify(second, settings)).toMatchObject({ ok: true })
})

it('fetches for an unknown kid at most twice a minute', async () => {
  await publish(first)
  const settings = freshSettings()
  await verify(first, settings)
  const fetched = vi.spyOn(globalThis, 'fetch')
  for (let i = 0; i < 5; i++)
    expect(await verify(second, settings)).toEqual({
      ok: false,
      refusal: 'jwt key unknown',
      detail: 'second',
    })
  expect(fetched).not.toHaveBeenCalled()
})

it('stops accepting a removed key within ten minutes', async () => {
  await publish(first)
  const settings = freshSettings()
  await verify(first, settings)
  await publish(second)
  wait(601)
  expect(await verify(first, settings)).toMatchObject({ ok: false })
})

// @threat issuer-down
it('accepts known keys during an outage, and answers 503 for others', async () => {
  await publish(first)
  const settings = freshSettings()
  await verify(first, settings)
  await takeDown()
  wait(601)
  expect(await verify(first, settings)).toMatchObject({ ok: true })
  await expect(verify(second, settings)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'issuer',
  })
  await publish(first, second)
  wait(11)
  expect(await verify(second, settings)).toMatchObject({ ok: true })
})

it('answers 503 for a missing key set, and fetches once in ten seconds', async () => {
  const settings = freshSettings()
  const fetched = vi.spyOn(globalThis, 'fetch')
  for (let i = 0; i < 5; i++)
    await expect(verify(first, settings)).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'issuer',
    })
  expect(fetched).toHaveBeenCalledTimes(1)
})

it('fetches again after a failure when the clock was set back', async () => {
  const settings = freshSettings()
  await expect(verify(first, settings)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'issuer',
  })
  await publish(first)
  wait(-3600)
  const fetched = vi.spyOn(globalThis, 'fetch')
  await verify(first, settings) // not unavailable
  expect(fetched).toHaveBeenCalledTimes(1)
})

it('answers 503 for a malformed key set', async () => {
  for (const body of ['', 'null', '{}', '{"keys": 7}', '<html>']) {
    await bucketFetch(path, { method: 'PUT', body })
    await expect(verify(first, freshSettings()), body).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'issuer',
    })
  }
})

// @threat jwt-issuer-floods
it('reads a key set up to 1 MB, and nothing behind that', async () => {
  const keys = [first.publicJwk]
  const json = (bytes: number) => {
    const start = JSON.stringify({ keys }).slice(0, -1)
    return `${start},"x":"${'x'.repeat(bytes - start.length - 8)}"}`
  }
  await bucketFetch(path, { method: 'PUT', body: json(1_000_000) })
  expect(await verify(first, freshSettings())).toMatchObject({ ok: true })
  await bucketFetch(path, { method: 'PUT', body: json(1_000_001) })
  await expect(verify(first, freshSettings())).rejects.toMatchObject({ code: 'unavailable' })
  expect(log.at(-1)).toContain('more than 1 MB')

  let sent = 0
  const cancel = vi.fn()
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(++sent && 65_536)),
    cancel,
  })
  vi.spyOn(globalThis, 'fetch').mockResolvedValueOnce(new Response(endless))
  await expect(verify(first, freshSettings())).rejects.toMatchObject({ code: 'unavailable' })
  expect(cancel).toHaveBeenCalledOnce()
  expect(sent).toBeLessThan(20)
})

// @threat issuer-down
it('gives up on an issuer that does not answer', async () => {
  // Stands in for a server that never answers: this request ends only when it is aborted.
  vi.spyOn(globalThis, 'fetch').mockImplementation(
    (_, init) =>
      new Promise((_, reject) => {
        if (init?.signal?.aborted) reject(init.signal.reason)
      }),
  )
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => AbortSignal.abort())
  await expect(verify(first, freshSettings())).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'issuer',
  })
  expect(timeout.mock.calls).toEqual([[3000]])
})

// @threat issuer-flooded
describe('one request fetches the key set for all', () => {
  const crowd = (issuer: TestIssuer, settings: JwtSettings, hooks = NO_HOOKS) =>
    Promise.all(Array.from({ length: 40 }, () => verify(issuer, settings, hooks)))

  it('when no key is known yet', async () => {
    await publish(first)
    const fetched = vi.spyOn(globalThis, 'fetch')
    const verdicts = await crowd(first, freshSettings())
    expect(verdicts.every(({ ok }) => ok)).toBe(true)
    expect(fetched).toHaveBeenCalledTimes(1)
  })

  it('when all have an unknown kid', async () => {
    await publish(first)
    const settings = freshSettings()
    await verify(first, settings)
    wait(31)
    const fetched = vi.spyOn(globalThis, 'fetch')
    const verdicts = await crowd(second, settings)
    expect(verdicts.some(({ ok }) => ok)).toBe(false)
    expect(fetched).toHaveBeenCalledTimes(1)
  })

  it('when the key set is unavailable', async () => {
    const fetched = vi.spyOn(globalThis, 'fetch')
    await expect(crowd(first, freshSettings())).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'issuer',
    })
    expect(fetched).toHaveBeenCalledTimes(1)
  })

  it('and only that request counts against the limit, before it fetches', async () => {
    await publish(first)
    const settings = freshSettings()
    const fetched = vi.spyOn(globalThis, 'fetch')
    const fetchesBefore: number[] = []
    const hooks = hooksThat(async () => {
      fetchesBefore.push(fetched.mock.calls.length)
      await new Promise((resolve) => setTimeout(resolve, 50))
    })
    await crowd(first, settings, hooks)
    await crowd(first, settings, hooks)
    expect(fetchesBefore).toEqual([0])
  })

  it('unless it is over its limit: only that request is refused, and another one fetches', async () => {
    await publish(first)
    const settings = freshSettings()
    const fetched = vi.spyOn(globalThis, 'fetch')
    const refused = verify(first, settings, hooksThat(overTheLimit))
    const others = crowd(first, settings)
    await expect(refused).rejects.toMatchObject({ code: 'rate_limited' })
    expect((await others).every(({ ok }) => ok)).toBe(true)
    expect(fetched).toHaveBeenCalledTimes(1)
  })

  it('without waiting for the rate limiter to count another request', async () => {
    await publish(first)
    const settings = freshSettings()
    const slow = hooksThat(async () => {
      await new Promise((resolve) => setTimeout(resolve, 50))
      await overTheLimit()
    })
    const refused = verify(first, settings, slow)
    void verify(
      first,
      settings,
      hooksThat(() => new Promise(() => {})),
    )
    const waiting = verify(first, settings)
    await expect(refused).rejects.toMatchObject({ code: 'rate_limited' })
    expect(await waiting).toMatchObject({ ok: true })
  })

  it('and completes the fetch when its client disconnects', async () => {
    await publish(first)
    const kept: Promise<unknown>[] = []
    const hooks = { ...NO_HOOKS, waitUntil: (work: Promise<unknown>) => void kept.push(work) }
    await verify(first, freshSettings(), hooks)
    expect(kept).toHaveLength(1)
  })

  it('and another one takes over when the fetch is cancelled', async () => {
    await publish(first)
    const settings = freshSettings()
    // A cancelled request never gets a response, and its code stops there.
    const fetched = vi.spyOn(globalThis, 'fetch').mockReturnValueOnce(new Promise(() => {}))
    void verify(first, settings)
    while (fetched.mock.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const waiting = verify(first, settings)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(fetched).toHaveBeenCalledTimes(1)
    wait(4)
    expect(await waiting).toMatchObject({ ok: true })
    expect(fetched).toHaveBeenCalledTimes(2)
  })
})

it('refuses a request over its limit before it fetches, and still accepts known keys', async () => {
  await publish(first)
  const settings = freshSettings()
  const limited = hooksThat(overTheLimit)
  const fetched = vi.spyOn(globalThis, 'fetch')
  await expect(verify(first, settings, limited)).rejects.toMatchObject({ code: 'rate_limited' })
  expect(fetched).not.toHaveBeenCalled()
  await verify(first, settings)
  wait(601)
  expect(await verify(first, settings, limited)).toMatchObject({ ok: true })
  await expect(verify(second, settings, limited)).rejects.toMatchObject({ code: 'rate_limited' })
  expect(fetched).toHaveBeenCalledTimes(1)
})

// @threat jwt-bad-key
it('skips the unusable members of a key set', async () => {
  const { publicJwk } = first
  const members: readonly unknown[] = [
    null,
    7,
    'key',
    [],
    {},
    { ...publicJwk, kty: undefined },
    { ...publicJwk, kty: 7 },
    { ...publicJwk, kty: 'AKP' },
    { ...publicJwk, kty: 'oct', k: 'AAAA' },
    { ...publicJwk, crv: 'secp256k1' },
    { ...publicJwk, crv: 'P-384' },
    { ...publicJwk, x: undefined },
    { ...publicJwk, x: '***' },
    { ...publicJwk, y: publicJwk.x },
    { ...publicJwk, alg: 'ES384' },
    { kty: 'RSA', kid: first.kid, n: 'AAAA', e: 'AQAB' },
  ]
  for (const member of members) {
    const keys = [member, publicJwk]
    await bucketFetch(path, { method: 'PUT', body: JSON.stringify({ keys }) })
    expect(await verify(first, freshSettings()), JSON.stringify(member)).toMatchObject({ ok: true })
  }
})

// @threat issuer-down
it('accepts known keys for at most an hour while the key set is unavailable', async () => {
  await publish(first)
  const settings = freshSettings()
  await verify(first, settings)
  await takeDown()
  wait(3599)
  expect(await verify(first, settings)).toMatchObject({ ok: true })
  wait(2)
  await expect(verify(first, settings)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'issuer',
  })
  await publish(second)
  wait(11)
  expect(await verify(first, settings)).toMatchObject({ ok: false })
})

it('logs each failed fetch, without the URL', async () => {
  const settings = freshSettings()
  await expect(verify(first, settings)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'issuer',
  })
  await expect(verify(first, settings)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'issuer',
  })
  wait(11)
  await bucketFetch(path, { method: 'PUT', body: '{"keys": "canary"}' })
  await expect(verify(first, settings)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'issuer',
  })
  wait(11)
  await bucketFetch(path, { method: 'PUT', body: 'canary' })
  await expect(verify(first, settings)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'issuer',
  })
  expect(log.map((line) => JSON.parse(line))).toEqual(
    ['status 404', 'no list of keys', 'SyntaxError'].map((reason) => ({
      warning: 'key set not read',
      issuer: ISSUER,
      reason,
    })),
  )
})
