import { afterEach, expect, it, vi } from 'vitest'
import {
  beginFill,
  dropCopy,
  type Fill,
  findCopy,
  keepCopy,
} from '../../../src/plugins/links/edge-cache.ts'
import { captureLog } from '../../support/capture-log.ts'
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
  const { key, link } = await newLink()
  const log = captureLog()
  brokenCache({ match: failing })
  const response = await open(link, headers)
  expect(response.status).toBe(status)
  expect((await response.arrayBuffer()).byteLength).toBe(bytes)
  expect(response.headers.get('Cache-Status')).toBe('edge-presigner; fwd=bypass')
  expect(await requestsFor(key)).toBe(1)
  const warning = '{"warning":"The Cache API failed to match.","reason":"Error"}'
  expect(log.filter((line) => line.includes('Cache API'))).toEqual([warning])
})

it('stops waiting for a cache that hangs after two seconds', async () => {
  captureLog()
  brokenCache({ match: hanging })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const url = 'https://objects.invalid/a'
  const found = findCopy({ url, range: null, maxAgeSeconds: 60 }, new Date(), false)
  await vi.advanceTimersByTimeAsync(2000)
  expect(await found).toBeUndefined()
})

// @threat copy-cache-fails
it.each([
  ['rejects', failing],
  [
    'rejects in the midst of the body',
    async (_: unknown, { body }: Response) => {
      const reader = body?.getReader()
      await reader?.read()
      await reader?.cancel()
      throw new Error('The cache is full.')
    },
  ],
  ['hangs', hanging],
] as const)('serves the whole object when a put %s', async (_, put) => {
  const { link } = await newLink()
  captureLog()
  brokenCache({ put: put as Cache['put'] })
  for (let i = 0; i < 2; i++) expect(await textOf(await open(link))).toBe('x'.repeat(BYTES))
})

it('serves a part from the bucket when the cache cannot store anything', async () => {
  const { link } = await newLink()
  captureLog()
  brokenCache({ put: failing })
  const response = await open(link, { Range: 'bytes=5-9' })
  expect(response.status).toBe(206)
  expect(await textOf(response)).toBe('xxxxx')
})

it('leaves no partial copy of a truncated body, and no mark of one', async () => {
  const put = vi.spyOn(caches.default, 'put').mockImplementation(async (_, { body }) => {
    const reader = body?.getReader()
    await reader?.read()
  })
  const deleted = vi.spyOn(caches.default, 'delete')
  const { link } = await linkTo(`cut/${crypto.randomUUID()}.png`, {}, 'faulty')
  await expect(textOf(await open(link))).rejects.toThrow()
  const urls = put.mock.calls.map(([url]) => String(url))
  expect(urls).toEqual([expect.stringContaining('?copy=')])
  await vi.waitFor(() => expect(deleted).toHaveBeenCalledWith(urls[0]), PATIENCE)
})

// @threat copy-broken
it('marks no copy that the cache truncated without an error', async () => {
  const put = vi.spyOn(caches.default, 'put').mockImplementation(async (_, { body }) => {
    const reader = body?.getReader()
    await reader?.read()
    await reader?.cancel()
  })
  const deleted = vi.spyOn(caches.default, 'delete')
  const { link } = await newLink()
  expect(await textOf(await open(link))).toBe('x'.repeat(BYTES))
  const urls = put.mock.calls.map(([url]) => String(url))
  await vi.waitFor(() => expect(deleted).toHaveBeenCalledWith(urls[0]), PATIENCE)
  expect(put.mock.calls.filter(([url]) => isMark(url))).toEqual([])
})

it('drops the copy even when the cache fails to record the purge, and reports that', async () => {
  const { key, link } = await newLink()
  for (let i = 0; i < 2; i++) await textOf(await open(link))
  captureLog()
  brokenCache({ put: failing })
  const path = `/files/${encodeURIComponent(key)}?bucket=counted`
  const refused = await testWorker().fetch(path, { method: 'DELETE' })
  expect(await refused.json()).toMatchObject({ code: 'unavailable', reason: 'purge' })
  expect((await open(link)).status).toBe(404)
})

// @threat copy-undeleted
it('marks no copy if nothing tells of a purge: no lookup works, or an hour has passed', async () => {
  captureLog()
  vi.useFakeTimers({ toFake: ['Date'] })
  const url = `https://objects.invalid/${crypto.randomUUID()}`
  const keep = (fill: Fill) => {
    const copy = new Response('pixels', { headers: { 'Cache-Control': 'max-age=60' } })
    return keepCopy(url, fill, copy, Promise.resolve(true))
  }
  const begin = () => beginFill(url, async () => {})
  expect(await keep(await begin())).toBe(true)
  const slow = await begin()
  vi.setSystemTime(Date.now() + 3_600_000)
  expect(await keep(slow)).toBe(false)
  brokenCache({ match: failing })
  expect(await keep(await begin())).toBe(false)
})

/** Whether a put stores a mark, which makes a copy valid. */
const isMark = (url: unknown) => !String(url).includes('?')

it('writes no mark of a copy after a purge', async () => {
  const put = vi.spyOn(caches.default, 'put')
  const deleted = vi.spyOn(caches.default, 'delete')
  const key = `deleted-midway/${crypto.randomUUID()}.png`
  const response = await open((await linkTo(key, {}, 'faulty')).link)
  const path = `/files/${encodeURIComponent(key)}?bucket=faulty`
  await testWorker().fetch(path, { method: 'DELETE' })
  await textOf(response)
  const copy = put.mock.calls.map(([url]) => String(url)).find((url) => url.includes('?copy='))
  await vi.waitFor(() => expect(deleted).toHaveBeenCalledWith(copy), PATIENCE)
  expect(put.mock.calls.filter(([url]) => isMark(url))).toEqual([])
})

it('removes a mark that was written during a purge', async () => {
  const { key, link } = await newLink()
  const put = caches.default.put.bind(caches.default)
  vi.spyOn(caches.default, 'put').mockImplementation(async (url, response) => {
    if (isMark(url)) await dropCopy(String(url))
    await put(url, response)
  })
  const deleted = vi.spyOn(caches.default, 'delete')
  await textOf(await open(link))
  await vi.waitFor(() => expect(deleted.mock.calls.length).toBeGreaterThanOrEqual(3), PATIENCE)
  await textOf(await open(link))
  expect(await requestsFor(key)).toBe(2)
})
