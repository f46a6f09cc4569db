import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { LinkPolicy } from '../../../src/access/link-signature.ts'
import { findBucket } from '../../../src/bucket/find-bucket.ts'
import { sizeOf, type VariantSpec } from '../../../src/bucket/image-size.ts'
import { RequestTime } from '../../../src/errors/deadline.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { edgeObjects } from '../../../src/plugins/links/edge-objects.ts'
import { FAILURE } from '../../../src/plugins/links/objects-protocol.ts'
import { cacheTag } from '../../../src/plugins/links/open-object.ts'
import { serveLink } from '../../../src/plugins/links/serve-link.ts'
import { deleteObject } from '../../../src/storage/object.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { Objects } from '../../../src/worker.ts'
import { twoColorPng } from '../../support/images.ts'
import {
  askObjects,
  putChosen,
  putObject,
  putUnder,
  requestsFor,
  textOf,
} from '../../support/links.ts'
import { behindCaching } from '../../support/objects-behind-caching.ts'
import { answer, later, s3Error, scriptedBucket } from '../../support/scripted-bucket.ts'
import { testBucket, testPlace } from '../../support/test-bucket.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const bucketOf = (alias: string) => {
  const loaded = loadEnvironment(env)
  if (!loaded.ok) throw new Error('The test configuration is malformed.')
  return findBucket(loaded.settings, alias)
}
const counted = bucketOf('counted')
const LATER = 'Tue, 24 Nov 2026 12:00:00 GMT'
const IMAGE: VariantSpec = { ...sizeOf(64), format: 'webp', quality: 80 }
const request = (
  key: string,
  method: 'GET' | 'HEAD' = 'GET',
  range: string | null = null,
  variant: VariantSpec | null = null,
) => askObjects(counted, parseObjectKey(key), { method, range, variant })

describe('the request to Objects', () => {
  // @threat copy-poisoned
  it('contains nothing that the client sends, except the range', async () => {
    const seen: Request[] = []
    const policy: LinkPolicy = {
      bucket: 'files',
      key: parseObjectKey('a b/é?.png'),
      expires: 2_000_000_000,
      delivery: 'stream',
      download: 'x.png',
      variant: null,
    }
    const client = new Request('https://links.example/i/files/x?exp=1&sig=y', {
      headers: {
        Cookie: 'a=b',
        Authorization: 'Bearer x',
        Range: 'bytes=0-1',
        'If-None-Match': '"e"',
        'Accept-Encoding': 'br',
        'X-Forwarded-Host': 'evil.example',
        'CF-Connecting-IP': '192.0.2.1',
      },
    })
    const objects = async (request: Request) => {
      seen.push(request)
      return new Response('ab', {
        status: 206,
        headers: { 'Content-Range': 'bytes 0-1/9', ETag: '"f"' },
      })
    }
    const source = edgeObjects({ fetch: objects, purge: async () => null })
    const place = testPlace(source)
    await serveLink(client, policy, place, new RequestTime(1_800_000_000_000))
    expect(seen).toHaveLength(1)
    expect(seen[0]?.url).toMatch(
      /^https:\/\/objects\.invalid\/[0-9a-f]{64}\/a%20b%2F%C3%A9%3F\.png\?edgeTtl=60$/,
    )
    expect(Object.fromEntries(seen[0]?.headers ?? [])).toEqual({
      range: 'bytes=0-1',
      'x-wanted-range': 'bytes=0-1',
      'x-alias': place.bucket.alias,
      'x-asker': place.requestId,
      'x-deadline': '1800000000000',
    })
  })

  it('has one URL for all aliases of a bucket, so that they share a copy, and names its alias', async () => {
    const key = parseObjectKey('a.png')
    const [one, two] = await Promise.all(
      ['one', 'two'].map((alias) => askObjects({ ...counted, alias }, key)),
    )
    expect(two?.url).toBe(one?.url)
    expect([one, two].map((one) => one?.headers.get('X-Alias'))).toEqual(['one', 'two'])
    const other = await askObjects(bucketOf('faulty'), key)
    expect(other.url).not.toBe(one?.url)
  })
})

describe('Objects behind Workers Caching', () => {
  it('answers a miss with the whole object, its cache lifetime and its tag', async () => {
    const key = await putObject('a.png', 'pixels')
    const answer = await behindCaching().run(await request(key))
    expect(answer.status).toBe(200)
    expect(await textOf(answer)).toBe('pixels')
    expect(Object.fromEntries(answer.headers)).toEqual({
      'accept-ranges': 'bytes',
      'cache-control': expect.stringMatching(/^public, max-age=86[34]\d\d, must-revalidate$/),
      'cache-tag': await cacheTag(counted, parseObjectKey(key)),
      'content-length': '6',
      'content-type': 'image/png',
      etag: expect.any(String),
      'last-modified': expect.any(String),
      'x-fetched-at': expect.any(String),
    })
  })

  it('answers a resized image with the lifetime, the tag and the ETag of its object', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 200))
    const objects = behindCaching()
    const answer = await objects.run(await request(key, 'GET', null, IMAGE))
    const original = await objects.fetch(await request(key))
    expect(Object.fromEntries(answer.headers)).toEqual({
      'accept-ranges': 'bytes',
      'cache-control': expect.stringMatching(/^public, max-age=86[34]\d\d, must-revalidate$/),
      'cache-tag': await cacheTag(counted, parseObjectKey(key)),
      'content-length': String((await answer.arrayBuffer()).byteLength),
      'content-type': 'image/webp',
      etag: expect.any(String),
      'last-modified': expect.any(String),
      'x-fetched-at': expect.any(String),
      'x-original-tag': original.headers.get('ETag'),
    })
  })

  it('is asked once for an object, and answers everything else from the copy', async () => {
    const key = await putObject('a.txt', '0123456789')
    const objects = behindCaching()
    expect(await textOf(await objects.fetch(await request(key)))).toBe('0123456789')
    await objects.done()
    const before = await requestsFor(key)
    expect(before).toBe(2) // a GET, and a HEAD after it
    for (const [method, range, status, text] of [
      ['GET', null, 200, '0123456789'],
      ['GET', 'bytes=2-4', 206, '234'],
      ['GET', 'bytes=-3', 206, '789'],
      ['GET', 'bytes=99-', 416, ''],
      ['HEAD', null, 200, ''],
    ] as const) {
      const answer = await objects.fetch(await request(key, method, range))
      expect([answer.status, await textOf(answer)]).toEqual([status, text])
      expect(answer.headers.get('CF-Cache-Status')).toBe('HIT')
      expect(answer.headers.has('Cache-Tag')).toBe(false)
    }
    expect(await requestsFor(key)).toBe(before)
  })

  it('is one request to the bucket for a crowd of a new object', async () => {
    const key = await putObject('a.txt', 'x'.repeat(1000))
    const objects = behindCaching()
    const crowd = Array.from({ length: 40 }, async () =>
      textOf(await objects.fetch(await request(key))),
    )
    expect(new Set(await Promise.all(crowd))).toEqual(new Set(['x'.repeat(1000)]))
    await objects.done()
    expect(await requestsFor(key)).toBe(2)
  })

  it('asks the bucket for the headers only, for a HEAD without a copy, and keeps nothing', async () => {
    const key = await putObject('a.txt', '0123456789')
    const sent: string[] = []
    const real = globalThis.fetch
    vi.stubGlobal('fetch', (input: RequestInfo, init?: RequestInit) => {
      sent.push(new Request(input, init).method)
      return real(input, init)
    })
    const objects = behindCaching()
    const source = edgeObjects(objects)
    const asker = { now: new RequestTime(Date.now() + 25_000), requestId: 'one' }
    const asked = { bucket: counted, key: parseObjectKey(key), range: null, variant: null, asker }
    const head = await source.open({ method: 'HEAD', ...asked })
    vi.unstubAllGlobals()
    expect([head.status, head.headers.get('Content-Length')]).toEqual([200, '10'])
    expect(head.headers.get('ETag')).toMatch(/^".+"$/)
    expect([sent, await objects.kept()]).toEqual([['HEAD'], []])
    expect(await textOf(await objects.fetch(await request(key)))).toBe('0123456789')
  })

  it.each([false, true])(
    'keeps a small object after a range, whether the cache cuts a miss: %s',
    async (cutsMisses) => {
      const key = await putObject('small.txt', '0123456789')
      const objects = behindCaching(Objects, { cutsMisses })
      const answer = await objects.fetch(await request(key, 'GET', 'bytes=2-4'))
      expect(await textOf(answer)).toBe(cutsMisses ? '234' : '0123456789')
      await objects.done()
      const before = await requestsFor(key)
      expect(await textOf(await objects.fetch(await request(key, 'GET', 'bytes=5-')))).toBe('56789')
      expect(await requestsFor(key)).toBe(before)
    },
  )

  it('passes on a range of a large object, which the cache may not keep', async () => {
    const objects = behindCaching()
    const large = await putObject('large.bin', new Uint8Array(17 * 1024 ** 2))
    for (const asked of [1, 2]) {
      const part = await objects.fetch(await request(large, 'GET', 'bytes=2-4'))
      expect([part.status, part.headers.get('Cache-Control')]).toEqual([206, 'no-store'])
      expect((await part.arrayBuffer()).byteLength).toBe(3)
      expect(await requestsFor(large)).toBe(asked)
    }
    expect(await objects.kept()).toEqual([])
  })

  // @threat copy-broken
  it.each([
    ['a missing object', 404, 'NoSuchKey', 'object_not_found'],
    ['a bucket that refuses', 403, 'AccessDenied', 'storage_error'],
    ['a busy bucket', 503, 'SlowDown', '"reason":"storage"'],
  ])('lets the cache keep nothing of %s', async (_, status, s3Code, code) => {
    const sent = scriptedBucket({ GetObject: s3Error(status, s3Code) })
    const objects = behindCaching()
    for (const asked of [1, 2]) {
      const answer = await objects.fetch(await request('nobody/has-this.png'))
      expect(answer.headers.get('Cache-Control')).toBe('no-store')
      expect(decodeURIComponent(answer.headers.get(FAILURE) ?? '')).toContain(code)
      expect(sent).toHaveLength(asked)
    }
    expect(await objects.kept()).toEqual([])
  })

  // @threat copy-broken
  it('lets the cache keep nothing that breaks off', async () => {
    const headers = { 'Content-Length': '10', ETag: '"e"', 'Last-Modified': LATER }
    scriptedBucket({ GetObject: answer(200, 'short', headers), HeadObject: answer(404) })
    const objects = behindCaching()
    const cut = await objects.fetch(await request('cut.png'))
    await expect(cut.arrayBuffer()).rejects.toThrow()
    await objects.done()
    expect(await objects.kept()).toEqual([])
  })

  // @threat image-costs
  it.each([
    ['an hour', putObject, /^public, max-age=3600, must-revalidate$/],
    ['a minute under a chosen key', putChosen, /^public, max-age=5\d, must-revalidate$/],
  ])(
    'lets the cache keep that an image can not be resized for %s, until a purge',
    async (_, put, is) => {
      const objects = behindCaching()
      const key = await put('a.png', 'no picture')
      const ask = async () => objects.fetch(await request(key, 'GET', null, IMAGE))
      const answer = await ask()
      expect(answer.status).toBe(404)
      expect(answer.headers.get('Cache-Control')).toMatch(is)
      await objects.done()
      const before = await requestsFor(key)
      for (let i = 0; i < 3; i++) expect((await ask()).headers.get('CF-Cache-Status')).toBe('HIT')
      expect(await requestsFor(key)).toBe(before)
      await objects.purge('counted', [key])
      expect((await ask()).headers.get('CF-Cache-Status')).toBe('MISS')
    },
  )

  it('lets the cache keep nothing of an image that can not be resized now', async () => {
    const variables = { ...env, IMAGES: null } as unknown as Env
    const objects = behindCaching(Objects, { variables })
    const key = await putObject('a.png', await twoColorPng(30, 20))
    const answer = await objects.fetch(await request(key, 'GET', null, IMAGE))
    expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([503, 'no-store'])
    expect(await objects.kept()).toEqual([])
  })

  // @threat copy-outdated
  it('lets a copy live a minute when the key is not a generated one', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const key = await putChosen('a.txt', 'old')
    const objects = behindCaching()
    const shown = async () => textOf(await objects.fetch(await request(key)))
    expect(await shown()).toBe('old')
    await objects.done()
    await putUnder(key, 'new')
    vi.setSystemTime(Date.now() + 58_000)
    expect(await shown()).toBe('old')
    vi.setSystemTime(Date.now() + 2000)
    expect(await shown()).toBe('new')
  })

  it('uses neither a copy of the Cache API nor makes one', async () => {
    const key = await putObject('a.png', 'pixels')
    const [match, put] = [vi.spyOn(caches.default, 'match'), vi.spyOn(caches.default, 'put')]
    const objects = behindCaching()
    await textOf(await objects.fetch(await request(key)))
    await objects.done()
    expect([match.mock.calls, put.mock.calls]).toEqual([[], []])
  })

  // @threat copy-undeleted image-outdated
  it('purges an object, its images and those of its other aliases, in this entrypoint', async () => {
    const png = await twoColorPng(300, 200)
    const [key, other] = [await putObject('é b.png', png), await putObject('b.png', png)]
    const objects = behindCaching()
    const files = bucketOf('files')
    for (const name of [key, other])
      for (const one of [
        await request(name),
        await request(name, 'GET', null, IMAGE),
        await askObjects(files, parseObjectKey(name)),
      ])
        await (await objects.fetch(one)).arrayBuffer()
    await objects.done()
    const before = await objects.kept()
    expect(await objects.purge('counted', [key])).toBeNull()
    const tag = await cacheTag(counted, parseObjectKey(key))
    expect([tag, objects.purged]).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), [[tag]]])
    const left = before.filter((name) => !name.includes(encodeURIComponent('é b.png')))
    expect(left.length).toBeLessThan(before.length)
    expect((await objects.kept()).filter((name) => !name.includes('é'))).toEqual(
      expect.arrayContaining(left),
    )
  })

  it('purges for a bucket with edgeTtl 0, so that its older copies are removed', async () => {
    const objects = behindCaching()
    await objects.purge('uncached', ['a.png'])
    expect(objects.purged).toEqual([[await cacheTag(bucketOf('files'), parseObjectKey('a.png'))]])
  })

  it('reports a refused purge', async () => {
    const objects = behindCaching(Objects, { refusesPurges: true })
    expect(await objects.purge('files', ['a.png'])).toBe('Error: The edge cache refused the purge.')
  })

  // @threat copy-undeleted
  it('purges a copy whose object was deleted during its download', async () => {
    const faulty = bucketOf('faulty')
    const key = parseObjectKey(`deleted-midway/${crypto.randomUUID()}`)
    const objects = behindCaching()
    const answer = await objects.fetch(await askObjects(faulty, key))
    await deleteObject(faulty, key, new Date())
    expect(await textOf(answer)).toBe('good')
    await objects.done()
    expect(objects.purged).toEqual([[await cacheTag(faulty, key)]])
    expect(await objects.kept()).toEqual([])
  })

  const EARLIER = 'Tue, 24 Nov 2026 11:59:59 GMT'

  // @threat copy-outdated image-outdated
  it.each([
    ['replaced within the same second', '"new"', LATER, 1],
    ['replaced by an older one', '"new"', EARLIER, 1],
    ['not replaced', '"old"', LATER, 0],
    ['not replaced, and stored again', 'W/"old"', EARLIER, 0],
  ])(
    'compares ETags: a copy, also of an image, whose object was %s',
    async (_, etag, date, purges) => {
      const png = await twoColorPng(30, 20)
      const length = String(png.byteLength)
      const old = { 'Content-Length': length, ETag: '"old"', 'Last-Modified': LATER }
      const head = { 'Content-Length': length, ETag: etag, 'Last-Modified': date }
      scriptedBucket({
        GetObject: () => new Response(png, { headers: old }),
        HeadObject: later(5, answer(200, null, head)),
      })
      for (const variant of [null, IMAGE]) {
        const objects = behindCaching()
        const key = `uploads/${crypto.randomUUID()}.png`
        const shown = await objects.fetch(await request(key, 'GET', null, variant))
        expect((await shown.arrayBuffer()).byteLength).toBeGreaterThan(0)
        await objects.done()
        // For an image, its original has a copy too.
        expect(objects.purged.length).toBe(variant === null ? purges : 2 * purges)
        expect((await objects.kept()).length).toBe(variant === null ? 1 - purges : 2 - 2 * purges)
      }
    },
  )

  it('gives each object its own tag, even when keys differ only in case', async () => {
    const names = [
      ['files', 'a'],
      ['files', 'A'],
      ['file', 's/a'],
      ['files', 'a/'],
      ['other', 'a'],
    ] as const
    const tags = await Promise.all(
      names.map(([name, key]) =>
        cacheTag(testBucket({ name, basePath: `/${name}/` }), parseObjectKey(key)),
      ),
    )
    expect(new Set(tags).size).toBe(names.length)
  })

  it('gives an object the same tag under every alias and addressing', async () => {
    const key = parseObjectKey('a')
    const inPath = { origin: 'https://s3.example', basePath: '/store/b/', name: 'b' }
    const inHost = { origin: 'https://b.s3.example', basePath: '/store/', name: 'b' }
    const tag = await cacheTag(testBucket({ ...inPath, alias: 'one' }), key)
    expect(await cacheTag(testBucket({ ...inHost, alias: 'two' }), key)).toBe(tag)
    const elsewhere = testBucket({ ...inPath, origin: 'https://s3.other.example' })
    expect(await cacheTag(elsewhere, key)).not.toBe(tag)
  })
})
