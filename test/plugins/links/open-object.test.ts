import { afterEach, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { openObject } from '../../../src/plugins/links/open-object.ts'
import { answer, operations, s3Error, scriptedBucket } from '../../support/scripted-bucket.ts'
import { testBucket } from '../../support/test-bucket.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const OBJECT = { ETag: '"abc"', 'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT' }
const key = parseObjectKey(`uploads/${'y'.repeat(20)}-a.png`)

type Answer = readonly [status: number, headers: Record<string, string>]

/**
 * A bucket that gives one response after the other. `cancelled` counts the bodies that were not
 * read.
 */
function answering(...answers: readonly Answer[]) {
  const bucket = { cancelled: 0, asked: 0 }
  vi.stubGlobal('fetch', async (_: unknown, init: RequestInit) => {
    const [status, headers] = answers[Math.min(bucket.asked, answers.length - 1)] ?? [500, {}]
    bucket.asked += 1
    if (init.method === 'HEAD') return new Response(null, { status, headers })
    const cancel = () => {
      bucket.cancelled += 1
    }
    return new Response(new ReadableStream({ type: 'bytes', cancel }), { status, headers })
  })
  return bucket
}

const ask = (range: string | null = null, method: 'GET' | 'HEAD' = 'GET') =>
  openObject(testBucket(), key, { method, range }, new Date())

const { ETag, ...withoutETag } = OBJECT
const { 'Last-Modified': _, ...withoutDate } = OBJECT

// @threat copy-poisoned
it.each([
  ['an ETag', withoutETag],
  ['an ETag in quotes', { ...OBJECT, ETag: 'abc' }],
  ['a Last-Modified', withoutDate],
  ['a valid Last-Modified', { ...OBJECT, 'Last-Modified': 'today' }],
])('throws storage_error for a response without %s: whole, part or HEAD', async (_, headers) => {
  const length = { 'Content-Length': '4', 'Content-Type': 'text/html' }
  const whole = answering([200, { ...length, ...headers }])
  await expect(ask()).rejects.toMatchObject({ code: 'storage_error' })
  expect(whole.cancelled).toBe(1)
  const head = answering([200, { ...length, ...headers }])
  await expect(ask(null, 'HEAD')).rejects.toMatchObject({ code: 'storage_error' })
  expect(head.asked).toBe(1)
  const range = { ...length, 'Content-Range': 'bytes 0-3/9999999999', ...headers }
  const part = answering([206, range])
  await expect(ask('bytes=0-3')).rejects.toMatchObject({ code: 'storage_error' })
  expect(part.cancelled).toBe(1)
})

it('lets no cache keep an object without a length, which may be cut', async () => {
  answering([200, OBJECT])
  const answer = await ask()
  expect(answer.headers.get('Cache-Control')).toBe('no-store')
  await answer.body?.cancel()
})

it.each([
  [512 * 1024 ** 2, /^public, max-age=86[34]\d\d, must-revalidate$/],
  [512 * 1024 ** 2 + 1, /^no-store$/],
])('sets Cache-Control for an object of %d bytes: %s', async (size, cacheControl) => {
  answering([200, { ...OBJECT, 'Content-Length': String(size) }])
  const answer = await ask()
  expect(answer.headers.get('Cache-Control')).toMatch(cacheControl)
  await answer.body?.cancel()
})

// @threat copy-outdated
it.each([
  [6000, 'public, max-age=86394, must-revalidate'],
  [6001, 'public, max-age=86393, must-revalidate'],
  [86_400_000, 'no-store'],
])('counts the lifetime of a copy from the request: after %d ms, %s', async (milliseconds, is) => {
  vi.useFakeTimers({ toFake: ['Date'] })
  scriptedBucket({
    GetObject: () => {
      vi.setSystemTime(Date.now() + milliseconds)
      return new Response('pixels', { headers: { ...OBJECT, 'Content-Length': '6' } })
    },
  })
  const answer = await ask()
  expect(answer.headers.get('Cache-Control')).toBe(is)
  await answer.body?.cancel()
})

it('reads the code of a refused HEAD, which has no body, with one GET of one byte', async () => {
  const code = 'RequestTimeTooSkewed'
  const sent = scriptedBucket({ HeadObject: answer(403), GetObject: s3Error(403, code) })
  await expect(ask(null, 'HEAD')).rejects.toMatchObject({
    code: 'misconfigured',
    reason: 'clock',
    cause: { message: `HeadObject 403 ${code}` },
  })
  expect(operations(sent)).toEqual(['HeadObject', 'GetObject'])
  expect(sent[1]?.headers.get('Range')).toBe('bytes=0-0')
})

it.each([
  [16 * 1024 ** 2, 200],
  [16 * 1024 ** 2 + 1, 206],
])('answers a range of an object of %d bytes with %d', async (size, status) => {
  const part = { 'Content-Range': `bytes 0-3/${size}`, 'Content-Length': '4' }
  const whole = { 'Content-Length': String(size) }
  answering([206, { ...OBJECT, ...part }], [200, { ...OBJECT, ...whole }])
  const answer = await ask('bytes=0-3')
  expect(answer.status).toBe(status)
  await answer.body?.cancel()
})

const PART = { ...OBJECT, 'Content-Range': 'bytes 0-3/10', 'Content-Length': '4' }

it.each<[name: string, range: string | null, answers: Answer[]]>([
  ['a 416', 'bytes=99-', [[416, {}]]],
  ['a 404', null, [[404, {}]]],
  ['a 500', null, [[500, {}]]],
  ['a 206 without a Content-Range', 'bytes=0-3', [[206, OBJECT]]],
  [
    'a part whose whole is fetched',
    'bytes=0-3',
    [
      [206, PART],
      [200, OBJECT],
    ],
  ],
])('ends the connection of %s', async (_, range, answers) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const bucket = answering(...answers)
  const answer = ask(range).catch(() => undefined)
  await vi.advanceTimersByTimeAsync(10_000)
  await answer
  expect(bucket.cancelled).toBe(1)
})
