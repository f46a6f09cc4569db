import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { clientNetwork } from '../../src/http/rate-limit.ts'
import { bucketFetch } from '../support/bucket.ts'
import { captureLog } from '../support/capture-log.ts'
import { bearer, type TestApiKey, testApiKey } from '../support/credentials.ts'
import { PATIENCE } from '../support/patience.ts'
import { type TestWorker, testWorker } from '../support/worker.ts'

let one: TestApiKey
let two: TestApiKey
let worker: TestWorker

/** A rate limit of three requests for each key, which never resets. */
function threeForEachKey() {
  const counts = new Map<string, number>()
  return {
    async limit({ key }: RateLimitOptions): Promise<RateLimitOutcome> {
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      return { success: count <= 3 }
    },
  }
}

const limitedBy = (limiter: unknown) =>
  testWorker({
    OPEN_ACCESS: undefined,
    API_KEYS: [one.entry, two.entry],
    RATE_LIMITER: limiter,
  })

beforeAll(async () => {
  one = await testApiKey('one', SCOPES)
  two = await testApiKey('two', SCOPES)
})

beforeEach(() => {
  worker = limitedBy(threeForEachKey())
})

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const statuses = async (count: number, request: () => Promise<Response>) => {
  const seen: number[] = []
  for (let i = 0; i < count; i++) seen.push((await request()).status)
  return seen
}

// @threat flood
it('refuses only the principal that sends too many requests', async () => {
  const ask = (key: TestApiKey) => worker.fetch('/files', bearer(key.token))
  expect(await statuses(5, () => ask(one))).toEqual([200, 200, 200, 429, 429])
  expect(await statuses(3, () => ask(two))).toEqual([200, 200, 200])
  const response = await ask(one)
  expect(response.headers.get('Retry-After')).toBe('60')
  expect(await response.json()).toMatchObject({ code: 'rate_limited' })
})

describe('a request for many files', () => {
  const keys = ['rate/1.txt', 'rate/2.txt', 'rate/3.txt', 'rate/4.txt', 'rate/5.txt']
  const ask = (path: string, body: object) => worker.post(path, body, bearer(one.token))

  // @threat flood
  it('counts each file that it deletes, and leaves those beyond the limit', async () => {
    for (const key of keys)
      expect((await bucketFetch(key, { method: 'PUT', body: 'x' })).status).toBe(200)
    // An invalid key and a repeated one have no effect, so they don't count.
    const asked = ['../x', keys[0], ...keys]
    const { deleted } = await (await ask('/files/delete', { keys: asked })).json<{
      deleted: { key: string; error?: { code: string } }[]
    }>()
    expect(deleted.map(({ error }) => error?.code ?? null)).toEqual([
      'invalid_key',
      ...[null, null, null, null],
      ...['rate_limited', 'rate_limited'],
    ])
    const left = await Promise.all(keys.map(async (key) => (await bucketFetch(key)).status))
    expect(left).toEqual([404, 404, 404, 200, 200])
    expect((await ask('/files/urls', { keys })).status).toBe(429)
  })

  // @threat flood
  it('counts each file that it records, and leaves those beyond the limit', async () => {
    const missing = ['../x', ...keys].map((key) => ({ key: key.replace('rate', 'rate-missing') }))
    const { files } = await (await ask('/files/batch', { files: missing })).json<{
      files: { error: { code: string } }[]
    }>()
    expect(files.map(({ error }) => error.code)).toEqual([
      'invalid_key',
      ...['object_not_found', 'object_not_found', 'object_not_found'],
      ...['rate_limited', 'rate_limited'],
    ])
  })

  it('counts once if it signs', async () => {
    for (const path of ['/files/urls', '/files/urls', '/files/urls'])
      expect((await ask(path, { keys })).status).toBe(200)
  })

  // @threat rate-limiter-down
  it('waits one second for all files, and warns once, if the rate limit stops answering', async () => {
    const lines = captureLog()
    const limit = vi.fn(() => new Promise(() => undefined))
    limit.mockResolvedValueOnce({ success: true })
    worker = limitedBy({ limit })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const answered = ask('/files/delete', { keys: keys.map((key) => `missing-${key}`) })
    await vi.waitFor(() => expect(limit).toHaveBeenCalledTimes(5), PATIENCE)
    await vi.advanceTimersByTimeAsync(1000)
    vi.useRealTimers()
    expect((await answered).status).toBe(200)
    expect(lines.join().match(/rate limit not applied/g)).toHaveLength(1)
  })
})

it('refuses what the real binding refuses', async () => {
  // Three requests a minute (vitest.config.ts). Seven requests are too many, even across two
  // minutes.
  const real = limitedBy(Reflect.get(env, 'TIGHT_RATE_LIMITER'))
  const seen = await statuses(7, () => real.fetch('/files', bearer(one.token)))
  expect(seen.slice(0, 3)).toEqual([200, 200, 200])
  expect(seen).toContain(429)
})

// @threat flood
it('refuses only the user that sends too many requests, with the real binding', async () => {
  const real = limitedBy(Reflect.get(env, 'TIGHT_RATE_LIMITER'))
  const tokenOf = async (subject: string) => {
    const request = { scopes: ['files:list', 'tokens:create'], subject }
    const minted = await worker.post('/tokens', request, bearer(two.token))
    return (await minted.json<{ token: string }>()).token
  }
  const [alice, bob] = [await tokenOf('alice'), await tokenOf('bob')]
  const ask = (token: string) => real.fetch('/files', bearer(token))
  expect(await statuses(7, () => ask(alice))).toContain(429)
  // Another token of the same user counts as the same user.
  const again = await worker.post('/tokens', { scopes: ['files:list'] }, bearer(alice))
  const { token } = await again.json<{ token: string }>()
  expect(await statuses(4, () => ask(token))).toContain(429)
  // Neither the other users of the key nor the key itself are affected.
  expect(await statuses(3, () => ask(bob))).toEqual([200, 200, 200])
  expect(await statuses(3, () => ask(two.token))).toEqual([200, 200, 200])
})

it('counts a step of an upload as its user', async () => {
  const minted = await worker.post(
    '/tokens',
    { scopes: ['files:upload'], subject: 'alice' },
    bearer(one.token),
  )
  const { token } = await minted.json<{ token: string }>()
  const signed = await worker.post('/s3/sign', { method: 'POST', key: 'a' }, bearer(token))
  const { url } = await signed.json<{ url: string }>()
  const post = () => worker.fetch(url, { method: 'POST' })
  expect(await statuses(3, post)).toEqual([200, 200, 429])
  expect((await worker.fetch('/files', bearer(one.token))).status).toBe(200)
})

it('counts a token without a user as its minter', async () => {
  const minted = await worker.post('/tokens', { scopes: ['files:list'] }, bearer(one.token))
  const { token }: { token: string } = await minted.json()
  expect(await statuses(3, () => worker.fetch('/files', bearer(token)))).toEqual([200, 200, 429])
})

// @threat flood
it('counts requests without valid credentials by network', async () => {
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

it.each<readonly [string, () => unknown, string]>([
  [
    'that rejects',
    () => Promise.reject(new Error('limiter down')),
    'rate limit not applied: Error: limiter down',
  ],
  [
    'that throws',
    () => {
      throw new TypeError('no such method')
    },
    'rate limit not applied: TypeError: no such method',
  ],
  ['that returns null', () => Promise.resolve(null), 'rate limit not applied: undefined'],
  ['that returns an empty object', () => Promise.resolve({}), 'rate limit not applied: undefined'],
])(
  'allows requests under a rate limit %s, with a warning in the log',
  async (_, limit, warning) => {
    const lines = captureLog()
    const broken = limitedBy({ limit })
    expect((await broken.fetch('/files', bearer(one.token))).status).toBe(200)
    expect((await broken.fetch('/files')).status).toBe(401)
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { status: 200, principal: 'key:one', warning },
      { status: 401, warning },
    ])
  },
)

// @threat rate-limiter-down
it('waits one second for a rate limit that never answers', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const lines = captureLog()
  let asked = () => {}
  const limiterAsked = new Promise<void>((resolve) => {
    asked = resolve
  })
  const hanging = limitedBy({
    limit() {
      asked()
      return new Promise(() => {})
    },
  })
  const response = hanging.fetch('/files', bearer(one.token))
  await limiterAsked
  await vi.advanceTimersByTimeAsync(999)
  expect(vi.getTimerCount()).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect((await response).status).toBe(200)
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { warning: 'rate limit not applied: no response' },
  ])
})

it('starts no timer for a rate limit that answers from memory', async () => {
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const path = '/files/a.txt/url'
  expect((await worker.fetch(path, bearer(one.token))).status).toBe(200)
  expect(timers).not.toHaveBeenCalled()
  const limit = () => scheduler.wait(1).then(() => ({ success: true }))
  expect((await limitedBy({ limit }).fetch(path, bearer(one.token))).status).toBe(200)
  expect(timers.mock.calls.map(([, milliseconds]) => milliseconds)).toEqual([1000])
})

it('leaves no timer behind, whatever the rate limit answers', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  captureLog()
  expect(await statuses(4, () => worker.fetch('/files', bearer(one.token)))).toContain(429)
  await limitedBy({ limit: () => Promise.reject(new Error()) }).fetch('/files', bearer(one.token))
  expect(vi.getTimerCount()).toBe(0)
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
