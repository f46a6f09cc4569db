import { expect, it } from 'vitest'
import { coded } from '../../support/errors.ts'
import { linkTo, open, putObject, requestsFor, textOf } from '../../support/links.ts'

const faulty = async (failure: string) => {
  const key = `${failure}/${crypto.randomUUID()}.png`
  return { key, link: (await linkTo(key, {}, 'faulty')).link }
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 100))

it.each([
  ['403', 502, 'storage_error'],
  ['404', 404, 'object_not_found'],
  ['500', 502, 'storage_error'],
  ['no-bucket', 502, 'storage_error'],
  ['busy', 503, 'unavailable storage'],
])('caches nothing from a bucket that answers %s', async (failure, status, code) => {
  const { key, link } = await faulty(failure)
  for (const asked of [1, 2]) {
    const response = await open(link)
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject(coded(code))
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(await requestsFor(key, 'faulty')).toBe(asked)
  }
})

// @threat bucket-missing
it.each([
  ['404', 404],
  ['no-bucket', 502],
])(
  'answers HEAD with the same status as GET when the bucket answers %s',
  async (failure, status) => {
    const { link } = await faulty(failure)
    expect((await open(link, {}, 'HEAD')).status).toBe(status)
  },
)

// @threat bucket-busy
it('passes on the Retry-After of a busy bucket, also for a range and for HEAD', async () => {
  for (const [method, headers] of [
    ['GET', {}],
    ['GET', { Range: 'bytes=5-9' }],
    ['HEAD', {}],
  ] as const) {
    const { link } = await faulty('busy')
    const response = await open(link, headers, method)
    expect(response.status).toBe(503)
    expect(response.headers.get('Retry-After')).toBe('7')
    expect(response.headers.get('Cache-Control')).toBe('no-store')
  }
})

it('serves the object as soon as the bucket recovers', async () => {
  const { link } = await faulty('once-500')
  expect((await open(link)).status).toBe(502)
  expect(await textOf(await open(link))).toBe('good')
  const hit = await open(link)
  expect(await textOf(hit)).toBe('good')
  expect(hit.headers.get('Cache-Status')).toBe('edge-presigner; hit')
})

// @threat copy-broken
it.each(['cut', 'once-cut'])('never caches a truncated body (%s)', async (failure) => {
  const { key, link } = await faulty(failure)
  await expect(textOf(await open(link))).rejects.toThrow()
  await settled()
  const again = await open(link)
  if (failure === 'cut') await expect(textOf(again)).rejects.toThrow()
  else expect(await textOf(again)).toBe('x'.repeat(1000))
  expect(again.headers.get('Cache-Status')).toBe('edge-presigner; fwd=uri-miss')
  expect(await requestsFor(key, 'faulty')).toBe(2)
})

it('never caches a part of a truncated body', async () => {
  const { key, link } = await faulty('cut')
  for (const asked of [1, 2]) {
    expect(await textOf(await open(link, { Range: 'bytes=5-9' }))).toBe('xxxxx')
    const beyond = await open(link, { Range: 'bytes=900-' })
    await expect(textOf(beyond)).rejects.toThrow()
    await settled()
    expect(await requestsFor(key, 'faulty')).toBe(2 * asked)
  }
})

it('reads no more of a body than its Content-Length', async () => {
  const { link } = await faulty('long')
  expect(await textOf(await open(link))).toBe('good')
  await settled()
  expect(await textOf(await open(link))).toBe('good')
})

it('passes on a body without a length, and does not cache it', async () => {
  const { key, link } = await faulty('chunked')
  for (const asked of [1, 2]) {
    const response = await open(link)
    expect(await textOf(response)).toBe('good')
    expect(response.headers.get('Cache-Status')).toBe('edge-presigner; fwd=bypass')
    expect(await requestsFor(key, 'faulty')).toBe(asked)
  }
})

it('waits for a slow bucket, and caches its complete response', async () => {
  const { key, link } = await faulty('slow')
  expect(await textOf(await open(link))).toBe('good')
  await settled()
  expect(await textOf(await open(link))).toBe('good')
  expect(await requestsFor(key, 'faulty')).toBe(1)
})

it('caches a whole copy or nothing when the client disconnects', async () => {
  const body = new Uint8Array(4 * 1024 ** 2).fill(65)
  const key = await putObject('left.bin', body)
  const { link } = await linkTo(key)
  const reader = (await open(link)).body?.getReader()
  const first = await reader?.read()
  expect(first?.value?.byteLength).toBeGreaterThan(0)
  await reader?.cancel()
  await settled()
  const again = await (await open(link)).arrayBuffer()
  expect(again.byteLength).toBe(body.byteLength)
  expect(await requestsFor(key)).toBeLessThanOrEqual(2)
})

it('gives many clients at once the same error of the bucket', async () => {
  const failing = await faulty('500')
  const statuses = await Promise.all(
    Array.from({ length: 5 }, async () => (await open(failing.link)).status),
  )
  expect(new Set(statuses)).toEqual(new Set([502]))
})
