import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, it, vi } from 'vitest'
import { findBucket } from '../../../src/bucket/find-bucket.ts'
import { RequestTime } from '../../../src/errors/deadline.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { edgeObjects } from '../../../src/plugins/links/edge-objects.ts'
import { serveLink } from '../../../src/plugins/links/serve-link.ts'
import type { ObjectSource } from '../../../src/storage/object-source.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { Objects } from '../../../src/worker.ts'
import { textOf } from '../../support/links.ts'
import { behindCaching } from '../../support/objects-behind-caching.ts'
import { type Answer, scriptedBucket } from '../../support/scripted-bucket.ts'
import { testPlace } from '../../support/test-bucket.ts'

afterEach(() => vi.unstubAllGlobals())

const BODY = '0123456789'
const ETAG = '"current"'
const MODIFIED = 'Tue, 24 Nov 2026 12:00:00 GMT'
const BEFORE = 'Tue, 24 Nov 2026 11:59:59 GMT'

/** A range, and what it names: a part, nothing, or null if a server must ignore it (§14.2). */
const RANGES: readonly [header: string | null, part: string | null][] = [
  [null, null],
  ['bytes=0-', BODY],
  ['bytes=2-4', '234'],
  ['bytes=-3', '789'],
  ['bytes=10-', ''],
  ['bytes=4-2', null],
]
/** §13.1.1 and §13.1.4, and whether it fails. */
const FIRST: readonly [headers: Record<string, string>, fails: boolean][] = [
  [{}, false],
  [{ 'If-Match': `"other", ${ETAG}` }, false],
  [{ 'If-Match': `W/${ETAG}` }, true],
  [{ 'If-Unmodified-Since': MODIFIED }, false],
  [{ 'If-Unmodified-Since': BEFORE }, true],
]
/** §13.1.2 and §13.1.3, and whether the client's copy is current. */
const SECOND: readonly [headers: Record<string, string>, isCurrent: boolean][] = [
  [{}, false],
  [{ 'If-None-Match': `W/${ETAG}` }, true],
  [{ 'If-None-Match': '"other"', 'If-Modified-Since': MODIFIED }, false],
  [{ 'If-Modified-Since': MODIFIED }, true],
]
/** §13.1.5, and whether a range applies. */
const IF_RANGE: readonly [header: string | null, applies: boolean][] = [
  [null, true],
  [ETAG, true],
  ['"old"', false],
]

const REQUESTS = (['GET', 'HEAD'] as const).flatMap((method) =>
  RANGES.flatMap(([range, part]) =>
    FIRST.flatMap(([first, fails]) =>
      SECOND.flatMap(([second, isCurrent]) =>
        IF_RANGE.map(([ifRange, applies]) => {
          const ranged = method === 'GET' && part !== null && applies ? part : null
          const headers = {
            ...(range !== null && { Range: range }),
            ...(ifRange !== null && { 'If-Range': ifRange }),
            ...first,
            ...second,
          }
          return { method, headers, ranged, early: fails ? 412 : isCurrent ? 304 : null }
        }),
      ),
    ),
  ),
)

const loaded = loadEnvironment(env)
if (!loaded.ok) throw new Error('The test configuration is malformed.')
const bucket = findBucket(loaded.settings, 'counted')

/** A bucket with one object. */
function oneObject(readsRanges: boolean): void {
  const GetObject: Answer = ({ headers }) => {
    const shown = { ETag: ETAG, 'Last-Modified': MODIFIED, 'Content-Type': 'image/png' }
    const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(headers.get('Range') ?? '') ?? []
    if (first + last === '' || !readsRanges)
      return new Response(BODY, { headers: { ...shown, 'Content-Length': '10' } })
    const from = first === '' ? 10 - Number(last) : Number(first)
    const to = first === '' || last === '' ? 9 : Number(last)
    if (from > 9) return new Response(null, { status: 416 })
    const part = { 'Content-Range': `bytes ${from}-${to}/10`, 'Content-Length': `${to + 1 - from}` }
    return new Response(BODY.slice(from, to + 1), { status: 206, headers: { ...shown, ...part } })
  }
  const HeadObject: Answer = (sent) => new Response(null, GetObject(sent) as Response)
  scriptedBucket({ GetObject, HeadObject })
}

/** Sends a request for a link, whose answer is checked against RFC 9110, §13.2.2. */
async function check(
  objects: ObjectSource,
  { method, headers, ranged, early }: (typeof REQUESTS)[0],
) {
  const key = parseObjectKey('rfc9110/a.png')
  const link = { bucket: bucket.alias, key, expires: 4_000_000_000, variant: null } as const
  const policy = { ...link, delivery: 'stream', download: null } as const
  const now = new RequestTime(Date.now() + 25_000)
  const place = { ...testPlace(objects), bucket }
  const request = new Request('https://links.example/', { method, headers })
  const answer = await serveLink(request, policy, place, now)
  const seen = { status: answer.status, text: await textOf(answer) }
  const what = `${method} ${JSON.stringify(headers)}`
  const whole = { status: 200, text: method === 'HEAD' ? '' : BODY }
  if (early !== null) return expect.soft(seen, what).toEqual({ status: early, text: '' })
  if (ranged === null) return expect.soft(seen, what).toEqual(whole)
  const cut = { status: ranged === '' ? 416 : 206, text: ranged }
  // "A server MAY ignore the Range header field" (§14.2): ours does where it can't check a condition.
  if (ranged === '' && Object.keys(headers).length > 1)
    return expect.soft([cut, whole], what).toContainEqual(seen)
  expect.soft(seen, what).toEqual(cut)
  if (ranged === '') return
  const start = BODY.indexOf(ranged)
  const part = `bytes ${start}-${start + ranged.length - 1}/10`
  expect.soft(answer.headers.get('Content-Range'), what).toBe(part)
  expect.soft(answer.headers.get('ETag'), what).toBe(ETAG)
}

/** `Objects` without Workers Caching, so with the Cache API. */
const plain = {
  async fetch(request: Request): Promise<Response> {
    const context = createExecutionContext()
    const answer = await new Objects(Object.assign(context, { exports: {} }), env).fetch(request)
    const body = answer.body && (await new Response(answer.body).arrayBuffer())
    await waitOnExecutionContext(context)
    return new Response(body, answer)
  },
  purge: async () => null,
}
const kept = behindCaching()

// @threat copy-broken
it.each([
  ['without a copy', () => behindCaching()],
  ['of a bucket that ignores ranges', () => behindCaching()],
  ['where the cache cuts a miss', () => behindCaching(Objects, { cutsMisses: true })],
  ['from a copy', () => kept],
  ['from a copy in the Cache API', () => plain],
])('answers 720 requests as RFC 9110 says: %s', async (what, objects) => {
  oneObject(!what.includes('ignores'))
  expect(REQUESTS).toHaveLength(720)
  for (const one of REQUESTS) await check(edgeObjects(objects()), one)
})
