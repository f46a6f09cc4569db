import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { presigner } from '../../../examples/everything/src/presigner.ts'
import { bucketFetch, bucketUrl } from '../../support/bucket.ts'
import { bearer } from '../../support/credentials.ts'
import { jwtVariable, type TestIssuer, testIssuer } from '../../support/issuer.ts'
import { type TestWorker, testWorker } from '../../support/worker.ts'

let issuer: TestIssuer
let variables: Record<string, unknown>
let worker: TestWorker
let count = 0

/**
 * A Worker without cached keys that allows three requests a minute for each principal and network.
 */
beforeEach(async () => {
  const leftInMinute = 60_000 - (Date.now() % 60_000)
  if (leftInMinute < 3000) await new Promise((resolve) => setTimeout(resolve, leftInMinute))
  count += 1
  issuer = await testIssuer()
  const path = `limited-${count}.json`
  await bucketFetch(path, { method: 'PUT', body: JSON.stringify({ keys: [issuer.publicJwk] }) })
  const jwksUrl = await bucketUrl(path)
  const { publicJwk: _, ...jwt } = jwtVariable(issuer)
  variables = {
    OPEN_ACCESS: undefined,
    JWT: { ...jwt, jwksUrl },
    RATE_LIMITER: Reflect.get(env, 'TIGHT_RATE_LIMITER'),
  }
  worker = testWorker(variables)
})

afterEach(() => vi.restoreAllMocks())

const ask = async (token: string, address: string) => {
  const headers = { ...bearer(token).headers, 'CF-Connecting-IP': address }
  return (await worker.fetch('/files', { headers })).status
}

// @threat issuer-flooded
it('accepts many users behind one address at once when no key is cached', async () => {
  const tokens = await Promise.all(
    Array.from({ length: 20 }, (_, user) => issuer.sign({ sub: `crowd-${count}-${user}` })),
  )
  const statuses = await Promise.all(tokens.map((token) => ask(token, '198.51.100.1')))
  expect(statuses).toEqual(Array(20).fill(200))
})

it('counts a request once against its network, before it fetches a key set', async () => {
  const stranger = await (await testIssuer('unknown')).sign()
  expect(await ask(stranger, '198.51.100.2')).toBe(401)
  expect(await ask(stranger, '198.51.100.2')).toBe(401)
  expect(await ask(stranger, '198.51.100.2')).toBe(401)
  expect(await ask(stranger, '198.51.100.2')).toBe(429)
})

// @threat issuer-flooded
it('fetches no key set for a network that is over its limit', async () => {
  for (let i = 0; i < 3; i++) expect(await ask('x', '198.51.100.3')).toBe(401)
  const fetched = vi.spyOn(globalThis, 'fetch')
  const token = await issuer.sign({ sub: `late-${count}` })
  expect(await ask(token, '198.51.100.3')).toBe(429)
  expect(fetched).not.toHaveBeenCalled()
  expect(await ask(token, '198.51.100.4')).toBe(200)
  expect(await ask(token, '198.51.100.3')).toBe(200)
})

// @threat issuer-down
it('completes the fetch of a key set when its client disconnects', async () => {
  const context = createExecutionContext()
  const kept = vi.spyOn(context, 'waitUntil')
  const workerEnv = { ...env, ...variables } as unknown as Env
  const ask = async () => {
    const headers = bearer(await issuer.sign({ sub: `kept-${count}` }))
    return presigner.fetch(new Request('http://localhost:8787/files', headers), workerEnv, context)
  }
  expect((await ask()).status).toBe(200)
  expect(kept).toHaveBeenCalledTimes(1)
  expect((await ask()).status).toBe(200)
  expect(kept).toHaveBeenCalledTimes(1)
})
