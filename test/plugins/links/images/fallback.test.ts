import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LinkPolicy } from '../../../../src/access/link-signature.ts'
import { ApiError } from '../../../../src/errors/api-error.ts'
import { parseObjectKey } from '../../../../src/keys/object-key.ts'
import { notResized } from '../../../../src/plugins/links/objects-protocol.ts'
import { serveFallback } from '../../../../src/plugins/links/serve-link.ts'
import type { ObjectSource } from '../../../../src/storage/object-source.ts'
import { unavailable } from '../../../support/errors.ts'
import { testPlace } from '../../../support/test-bucket.ts'

const NEW_KEY = 'uploads/ybqr1sgp7a270ajfewde-my-photo.jpg'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})

afterEach(() => {
  vi.useRealTimers()
})

const DOWN = unavailable('images')
const IMAGE_ERRORS = [
  ['a malformed image', new ApiError('unsupported_image', 'no')],
  ['an error of Cloudflare Images', DOWN],
  ['a Worker that resizes none', notResized()],
] as const

/** The result of a failed image with this error, and whether the original was asked for. */
async function resultOf(
  failure: ApiError,
  {
    fallback = true,
    key = 'a.jpg',
    type = 'image/jpeg',
    left = 86_400,
    slow = 0,
    ask = {} as Record<string, string>,
  },
) {
  const opened: unknown[] = []
  let isCancelled = false
  const objects: ObjectSource = {
    keepsCopies: true,
    async open({ range, variant }) {
      opened.push(variant)
      vi.setSystemTime(Date.now() + slow * 1000)
      if (range !== null) return new Response(null, { status: 416 })
      const body = new ReadableStream({
        cancel() {
          isCancelled = true
        },
      })
      const headers = {
        'Content-Type': type,
        ETag: '"e"',
        'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
        'Content-Length': '8',
      }
      return new Response(body, { headers })
    },
    purge: async () => {},
  }
  const policy: LinkPolicy = {
    bucket: 'files',
    key: parseObjectKey(key),
    expires: 2_000_000_000,
    delivery: 'stream',
    download: null,
    variant: { width: 64, format: 'auto', fallback },
  }
  const request = new Request('https://links.example/i/files/a', { headers: ask })
  const now = new Date((policy.expires - left) * 1000)
  vi.setSystemTime(now)
  const result = await serveFallback(request, policy, testPlace(objects), failure, now).catch(
    (error: unknown) => error,
  )
  const shown = result instanceof Response ? 'the original' : result === failure && 'the error'
  const lifetime = result instanceof Response ? result.headers.get('Cache-Control') : null
  const status = result instanceof Response ? result.status : null
  return { shown, opened, isCancelled, lifetime, status }
}

describe('instead of an image that can not be resized, a link shows', () => {
  it.each(IMAGE_ERRORS)('the original after %s, if it says so', async (_, error) => {
    expect(await resultOf(error, {})).toMatchObject({ shown: 'the original', opened: [null] })
  })

  // @threat image-original
  it.each(IMAGE_ERRORS)('never the original after %s otherwise', async (_, error) => {
    const { shown, opened } = await resultOf(error, { fallback: false })
    expect([shown, opened]).toEqual(['the error', []])
  })

  it.each(['storage_error', 'object_not_found', 'internal'] as const)(
    'the error for %s, without another request',
    async (code) => {
      const error = new ApiError(code, 'no')
      expect(await resultOf(error, {})).toMatchObject({ shown: 'the error', opened: [] })
    },
  )

  // @threat link-outlived copy-outdated
  it.each([
    [{ key: NEW_KEY }, 'private, max-age=60'],
    [{ key: NEW_KEY, left: 7 }, 'private, max-age=7'],
    [{ key: NEW_KEY, left: 7, slow: 5 }, 'private, max-age=2'],
    [{ key: NEW_KEY, left: 2, slow: 5 }, 'private, max-age=0'],
    [{ key: 'avatars/42.jpg' }, 'private, no-cache'],
  ])('the original for a minute, but never longer than the object itself: %j', async (link, is) => {
    expect(await resultOf(DOWN, link)).toMatchObject({ lifetime: is })
  })

  it.each([
    [{ 'If-Match': '"other"' }, 412],
    [{ Range: 'bytes=99-' }, 416],
  ])('nothing to keep, if the request %j fails with %d', async (ask, status) => {
    const result = await resultOf(DOWN, { key: NEW_KEY, left: 2, ask })
    expect(result).toMatchObject({ status, lifetime: 'no-store' })
  })

  it('the original also to a client that has an image of the same date', async () => {
    const since = { 'If-Modified-Since': 'Tue, 24 Nov 2026 12:00:00 GMT' }
    expect(await resultOf(DOWN, { ask: since })).toMatchObject({ status: 200 })
    const same = { 'If-None-Match': '"e"' }
    expect(await resultOf(DOWN, { ask: same })).toMatchObject({ status: 304 })
  })

  it.each([
    { type: 'image/heic' },
    { type: 'image/heif' },
    { type: 'IMAGE/HEIC; a=b' },
    { key: 'a.HEIC' },
    { key: 'a.heif' },
  ])('the error for HEIC, and closes the original: %j', async (heic) => {
    const result = await resultOf(DOWN, heic)
    expect(result).toMatchObject({ shown: 'the error', isCancelled: true })
  })
})
