import { afterEach, expect, it, vi } from 'vitest'
import { throughCacheApi } from '../../../src/plugins/links/plain-cache.ts'
import { captureLog } from '../../support/capture-log.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../support/fake-seconds.ts'
import { linkTo, open, putObject, requestsFor, textOf } from '../../support/links.ts'
import { PATIENCE } from '../../support/patience.ts'
import { testWorker } from '../../support/worker.ts'

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** The Cache API with some methods replaced, because the local one can't be made to fail. */
const brokenCache = (methods: Partial<Pick<Cache, 'match' | 'put' | 'delete'>>) => {
  for (const [name, method] of Object.entries(methods))
    vi.spyOn(caches.default, name as 'match').mockImplementation(method as Cache['match'])
}

const BYTES = 500_000
const newLink = async () => {
  const key = await putObject('a.bin', 'x'.repeat(BYTES))
  return { key, link: (await linkTo(key)).link }
}
const failing = async () => {
  throw new Error('The cache at https://cache.example is broken.')
}
const hanging = () => new Promise<never>(() => undefined)

it.each([
  ['the whole', {}, 200, BYTES],
  ['a part', { Range: 'bytes=5-9' }, 206, 5],
])('serves %s from the bucket when the cache fails to match', async (_, headers, status, bytes) => {
  const { link } = await newLink()
  const log = captureLog()
  brokenCache({ match: failing })
  const response = await open(link, headers)
  expect(response.status).toBe(status)
  expect((await response.arrayBuffer()).byteLength).toBe(bytes)
  expect(response.headers.get('Cache-Status')).toBe('edge-presigner; fwd=bypass')
  const warning = '{"warning":"The Cache API failed to match.","reason":"Error"}'
  expect(log.filter((line) => line.includes('Cache API'))).toEqual([warning])
})

/** Asks for a copy, without a bucket. */
function through(answer: Response, ask = throughCacheApi) {
  const works: Promise<unknown>[] = []
  const kept = {
    ...{ url: `https://objects.invalid/${crypto.randomUUID()}`, range: null, isImage: true },
    ...{ isFresh: () => true, about: {} },
    waitUntil: (work: Promise<unknown>) => void works.push(work),
  }
  return { answered: ask(kept, async () => answer), done: () => Promise.all(works) }
}

/** Loads the module as a new isolate would. */
async function newIsolate(name: string): Promise<typeof throughCacheApi> {
  const path = `../../../src/plugins/links/plain-cache.ts?isolate=${name}`
  const loaded: typeof import('../../../src/plugins/links/plain-cache.ts') = await import(
    /* @vite-ignore */ path
  )
  return loaded.throughCacheApi
}
const image = (size: number) =>
  new Response(new Uint8Array(size), {
    headers: { 'Cache-Control': 'public, max-age=60', 'Content-Length': String(size) },
  })

it('copies nothing that no cache may keep', async () => {
  const headers = { 'Cache-Control': 'no-store', 'Content-Length': '6' }
  const { answered, done } = through(new Response('pixels', { headers }))
  const answer = await answered
  expect([await answer.text(), answer.headers.get('CF-Cache-Status')]).toEqual(['pixels', 'BYPASS'])
  await done()
})

it('waits two seconds for a cache that hangs', async () => {
  captureLog()
  brokenCache({ match: hanging })
  vi.useFakeTimers(FAKE_CLOCK)
  const [answer, seconds] = await fakeSeconds(through(image(9)).answered)
  expect([answer.status, seconds]).toEqual([200, 2])
})

// @threat copy-cache-fails
it.each([
  ['rejects', failing],
  ['hangs', hanging],
] as const)('serves the whole object when a put %s', async (_, put) => {
  const { link } = await newLink()
  captureLog()
  brokenCache({ put })
  for (let i = 0; i < 2; i++) expect(await textOf(await open(link))).toBe('x'.repeat(BYTES))
})

// @threat copy-broken
it('gives the cache nothing of a truncated body', async () => {
  const put = vi.spyOn(caches.default, 'put')
  const lines = captureLog()
  const { link } = await linkTo(`cut/${crypto.randomUUID()}.png`, {}, 'faulty')
  await expect(textOf(await open(link))).rejects.toThrow()
  await vi.waitUntil(() => lines.some((line) => line.includes('delivery cut')), PATIENCE)
  expect(put).not.toHaveBeenCalled()
})

// @threat copy-broken
it('keeps a copy of up to 8 MiB, and all that are being filled have 24 MiB', async () => {
  const put = vi.spyOn(caches.default, 'put')
  const MIB = 1024 ** 2
  const ask = await newIsolate('sizes')
  const statusOf = async (size: number) => {
    const { answered, done } = through(image(size), ask)
    const answer = await answered
    return { answer, done, status: answer.headers.get('CF-Cache-Status') }
  }
  const [kept, large] = [await statusOf(8 * MIB), await statusOf(8 * MIB + 1)]
  expect([kept.status, large.status]).toEqual(['MISS', 'BYPASS'])
  const others = []
  for (let i = 0; i < 3; i++) others.push(await statusOf(8 * MIB))
  expect(others.map(({ status }) => status)).toEqual(['MISS', 'MISS', 'BYPASS'])
  for (const { answer, done } of [kept, large, ...others]) {
    expect((await answer.arrayBuffer()).byteLength).toBeGreaterThanOrEqual(8 * MIB)
    await done()
  }
  expect(put).toHaveBeenCalledTimes(3)
  const again = await statusOf(8 * MIB)
  expect(again.status).toBe('MISS')
  await Promise.all([again.answer.arrayBuffer(), again.done()])
})

// @threat copy-broken
it('keeps no copy for a client that takes over a minute', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const put = vi.spyOn(caches.default, 'put')
  for (const [seconds, puts] of [
    [59, 1],
    [60, 1],
  ] as const) {
    const { readable, writable } = new FixedLengthStream(2)
    const writer = writable.getWriter()
    const headers = { 'Cache-Control': 'public, max-age=60', 'Content-Length': '2' }
    const { answered, done } = through(new Response(readable, { headers }))
    const reader = (await answered).body?.getReader()
    const sent = writer.write(new Uint8Array(1))
    await reader?.read()
    await sent
    vi.setSystemTime(Date.now() + seconds * 1000)
    void writer.write(new Uint8Array(1)).then(() => writer.close())
    expect((await reader?.read())?.value?.byteLength).toBe(1)
    expect((await reader?.read())?.done).toBe(true)
    await done()
    expect(put, `${seconds}`).toHaveBeenCalledTimes(puts)
  }
})

it('reports a purge that the cache refuses', async () => {
  const { key, link } = await newLink()
  for (let i = 0; i < 2; i++) await textOf(await open(link))
  brokenCache({ delete: failing })
  const path = `/files/${encodeURIComponent(key)}?bucket=counted`
  const refused = await testWorker().fetch(path, { method: 'DELETE' })
  expect(await refused.json()).toMatchObject({ code: 'unavailable', reason: 'purge' })
  expect(await requestsFor(key)).toBeGreaterThan(0)
})

// @threat image-costs
it.each([
  ['nothing', 1],
  ['images', 0],
])('warns once where the Cache API keeps %s', async (what, warnings) => {
  const ask = await newIsolate(what)
  const lines = captureLog()
  if (warnings > 0) vi.spyOn(caches.default, 'put').mockResolvedValue()
  for (let i = 0; i < 2; i++) {
    const { answered, done } = through(image(9), ask)
    await (await answered).arrayBuffer()
    await done()
  }
  const warning = '{"warning":"resized images are not kept"}'
  expect(lines).toEqual(Array(warnings).fill(warning))
})
