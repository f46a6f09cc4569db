import { env } from 'cloudflare:workers'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { SCOPES } from '../../src/config/scopes.ts'
import { clientNetwork } from '../../src/http/rate-limit.ts'
import { bearer, type TestApiKey, testApiKey } from '../support/credentials.ts'
import { type TestWorker, testWorker } from '../support/worker.ts'

let one: TestApiKey
let two: TestApiKey
let worker: TestWorker

beforeAll(async () => {
  one = await testApiKey('one', SCOPES)
  two = await testApiKey('two', SCOPES)
  worker = testWorker({
    OPEN_ACCESS: undefined,
    API_KEYS: [one.entry, two.entry],
    // The real local rate limit, three requests a minute: vitest.config.ts.
    RATE_LIMITER: Reflect.get(env, 'TIGHT_RATE_LIMITER'),
  })
})

/** The local limit counts by the minute of the clock: a test must not straddle two. */
beforeEach(async () => {
  const leftInMinute = 60_000 - (Date.now() % 60_000)
  if (leftInMinute < 2000) await new Promise((resolve) => setTimeout(resolve, leftInMinute))
})

const statuses = async (count: number, request: () => Promise<Response>) => {
  const seen: number[] = []
  for (let i = 0; i < count; i++) seen.push((await request()).status)
  return seen
}

it('refuses a principal that asks too often, and nobody else', async () => {
  const ask = (key: TestApiKey) => worker.fetch('/files', bearer(key.token))
  expect(await statuses(5, () => ask(one))).toEqual([200, 200, 200, 429, 429])
  expect(await statuses(3, () => ask(two))).toEqual([200, 200, 200])
  const response = await ask(one)
  expect(response.headers.get('Retry-After')).toBe('60')
  expect(await response.json()).toMatchObject({ code: 'rate_limited' })
})

it('counts a token as its maker', async () => {
  const three = await testApiKey('three', SCOPES)
  const ofThree = testWorker({
    OPEN_ACCESS: undefined,
    API_KEYS: [three.entry],
    RATE_LIMITER: Reflect.get(env, 'TIGHT_RATE_LIMITER'),
  })
  const minted = await ofThree.post('/tokens', { scopes: ['files:list'] }, bearer(three.token))
  const { token }: { token: string } = await minted.json()
  expect(await statuses(3, () => ofThree.fetch('/files', bearer(token)))).toEqual([200, 200, 429])
})

it('counts those without valid credentials by their network', async () => {
  const from = (address: string) =>
    worker.fetch('/files', { headers: { 'CF-Connecting-IP': address } })
  expect(await statuses(4, () => from('192.0.2.1'))).toEqual([401, 401, 401, 429])
  expect((await from('192.0.2.2')).status).toBe(401)
  expect(await statuses(4, () => from(`2001:db8:0:7::${crypto.randomUUID().slice(0, 4)}`))).toEqual(
    [401, 401, 401, 429],
  )
})

it('never refuses the health check', async () => {
  expect(await statuses(5, () => worker.fetch('/healthz'))).toEqual([200, 200, 200, 200, 200])
})

it.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8::6', '2001:db8:0:0'],
  ['2001:db8:1:2:3::', '2001:db8:1:2'],
  ['::1', '0:0:0:0'],
  ['::ffff:192.0.2.1', '0:0:0:0'],
  ['unknown', 'unknown'],
])('counts %s as %s', (address, network) => {
  expect(clientNetwork(address)).toBe(network)
})
