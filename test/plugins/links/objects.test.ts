import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Objects } from '../../../examples/everything/src/worker.ts'
import type { LinkPolicy } from '../../../src/access/link-signature.ts'
import { findBucket } from '../../../src/bucket/find-bucket.ts'
import { sizeOf, type VariantSpec } from '../../../src/bucket/image-size.ts'
import { RequestTime } from '../../../src/errors/deadline.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { edgeObjects, objectRequest } from '../../../src/plugins/links/edge-objects.ts'
import { ALIAS, FAILURE } from '../../../src/plugins/links/objects-protocol.ts'
import { cacheTag } from '../../../src/plugins/links/open-object.ts'
import { serveLink } from '../../../src/plugins/links/serve-link.ts'
import { deleteObject } from '../../../src/storage/object.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { twoColorPng } from '../../support/images.ts'
import { putChosen, putObject, requestsFor, textOf } from '../../support/links.ts'
import { found, scriptedBucket } from '../../support/scripted-bucket.ts'
import { testBucket, testPlace } from '../../support/test-bucket.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

/**
 * `Objects` as it runs behind Workers Caching. The platform's cache doesn't exist here: `ctx.cache`
 * is a stand-in that records what is purged, and each `fetch` is a miss.
 */
function inProduction(
  answer: Promise<boolean> = Promise.resolve(true),
  images: unknown = env.IMAGES,
) {
  const purged: unknown[] = []
  const cache = {
    purge: async (options: unknown) => {
      purged.push(options)
      return { success: await answer, errors: [] }
    },
  }
  const works: Promise<unknown>[] = []
  const waitUntil = (work: Promise<unknown>) => works.push(work)
  const ctx = Object.assign(Object.create(createExecutionContext()), {
    cache,
    waitUntil,
    exports: {},
  })
  const objects = new Objects(ctx, { ...env, IMAGES: images } as Env)
  return { objects, purged, done: () => Promise.all(works) }
}

const bucketOf = (alias: string) => {
  const loaded = loadEnvironment(env)
  if (!loaded.ok) throw new Error('The test configuration is malformed.')
  return findBucket(loaded.settings, alias)
}
const counted = bucketOf('counted')
const ask = async (
  objects: Objects,
  key: string,
  method: 'GET' | 'HEAD' = 'GET',
  range: string | null = null,
) => objects.fetch(await objectRequest(method, counted, parseObjectKey(key), range))

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
      ['one', 'two'].map((alias) => objectRequest('GET', { ...counted, alias }, key, null)),
    )
    expect(two?.url).toBe(one?.url)
    expect([one, two].map((request) => request?.headers.get(ALIAS))).toEqual(['one', 'two'])
    const other = await objectRequest('GET', bucketOf('faulty'), key, null)
    expect(other.url).not.toBe(one?.url)
  })
})

describe('Objects behind Workers Caching', () => {
  it('answers a miss with the whole object, its cache lifetime and its tag', async () => {
    const key = await putObject('a.png', 'pixels')
    const { objects } = inProduction()
    const answer = await ask(objects, key)
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

  it('answers a resized image with the lifetime and the tag of its object', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 200))
    const { objects, purged, done } = inProduction()
    const variant: VariantSpec = { ...sizeOf(64), format: 'webp', quality: 80 }
    const request = await objectRequest('GET', counted, parseObjectKey(key), null, variant)
    const answer = await objects.fetch(request)
    expect(Object.fromEntries(answer.headers)).toEqual({
      'accept-ranges': 'bytes',
      'cache-control': expect.stringMatching(/^public, max-age=86[34]\d\d, must-revalidate$/),
      'cache-tag': await cacheTag(counted, parseObjectKey(key)),
      'content-length': String((await answer.arrayBuffer()).byteLength),
      'content-type': 'image/webp',
      etag: expect.any(String),
      'last-modified': expect.any(String),
    })
    await done()
    expect(purged).toEqual([])
    // Nothing is remembered, since the object may be replaced.
    await objects.fetch(request)
    await done()
    expect(await requestsFor(key)).toBe(4)
  })

  // @threat image-costs
  it.each([
    ['an hour', putObject, /^public, max-age=3600, must-revalidate$/],
    ['a minute under a chosen key', putChosen, /^public, max-age=5\d, must-revalidate$/],
  ])(
    'lets caches keep that an image can not be resized for %s, until a purge',
    async (_, put, is) => {
      const { objects, done } = inProduction()
      const key = parseObjectKey(await put('a.png', 'no picture'))
      const variant: VariantSpec = { ...sizeOf(64), format: 'webp', quality: 80 }
      const answer = await objects.fetch(await objectRequest('GET', counted, key, null, variant))
      expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([
        404,
        expect.stringMatching(is),
      ])
      expect(answer.headers.get('Cache-Tag')).toBe(await cacheTag(counted, key))
      await done()
      // A HEAD finds out whether the object was deleted meanwhile.
      expect(await requestsFor(key)).toBe(2)
    },
  )

  it('forbids caching an image that can not be resized now', async () => {
    const { objects } = inProduction(undefined, null)
    const key = parseObjectKey(await putObject('a.png', await twoColorPng(30, 20)))
    const variant: VariantSpec = { ...sizeOf(64), format: 'webp', quality: 80 }
    const answer = await objects.fetch(await objectRequest('GET', counted, key, null, variant))
    expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([503, 'no-store'])
  })

  it('lets a copy live a minute when the key is not a generated one', async () => {
    const { objects } = inProduction()
    const answer = await ask(objects, await putChosen('a.png', 'pixels'))
    expect(answer.headers.get('Cache-Control')).toMatch(
      /^public, max-age=(60|5\d), must-revalidate$/,
    )
    await textOf(answer)
  })

  it('does not use the Cache API', async () => {
    const key = await putObject('a.png', 'pixels')
    const { objects, done } = inProduction()
    for (const asked of [1, 2]) {
      await textOf(await ask(objects, key))
      await done()
      // A GET, and a HEAD after it.
      expect(await requestsFor(key)).toBe(2 * asked)
    }
  })

  // @threat copy-broken
  it('forbids caching an error', async () => {
    const { objects } = inProduction()
    const answer = await ask(objects, 'nobody/has-this.png')
    expect(answer.status).toBe(404)
    expect(answer.headers.get('Cache-Control')).toBe('no-store')
    expect(answer.headers.get(FAILURE)).toContain('object_not_found')
  })

  it('answers a range of a small object with the whole object, and a range of a large one with that part', async () => {
    const { objects } = inProduction()
    const small = await ask(objects, await putObject('small.bin', '0123456789'), 'GET', 'bytes=2-4')
    expect(small.status).toBe(200)
    expect(await textOf(small)).toBe('0123456789')
    const large = await putObject('large.bin', new Uint8Array(17 * 1024 ** 2))
    const part = await ask(objects, large, 'GET', 'bytes=2-4')
    expect(part.status).toBe(206)
    expect(part.headers.get('Cache-Control')).toBe('no-store')
    expect((await part.arrayBuffer()).byteLength).toBe(3)
  })

  it("purges by the object's tag, in this entrypoint", async () => {
    const { objects, purged } = inProduction()
    expect(await objects.purge('files', ['a b/é.png'])).toBeNull()
    const tag = await cacheTag(bucketOf('files'), parseObjectKey('a b/é.png'))
    expect(tag).toMatch(/^[0-9a-f]{64}$/)
    expect(purged).toEqual([{ tags: [tag] }])
  })

  it('purges for a bucket with edgeTtl 0, so that its older copies are removed', async () => {
    const { objects, purged } = inProduction()
    await objects.purge('uncached', ['a.png'])
    expect(purged).toEqual([{ tags: [await cacheTag(bucketOf('files'), parseObjectKey('a.png'))] }])
  })

  // @threat copy-undeleted
  it('purges a copy whose object was deleted during its download', async () => {
    const faulty = bucketOf('faulty')
    const key = parseObjectKey(`deleted-midway/${crypto.randomUUID()}`)
    const { objects, purged, done } = inProduction()
    const answer = await objects.fetch(await objectRequest('GET', faulty, key, null))
    await deleteObject(faulty, key, new Date())
    expect(await textOf(answer)).toBe('good')
    await done()
    expect(purged).toEqual([{ tags: [await cacheTag(faulty, key)] }])
  })

  // @threat copy-outdated image-outdated
  it('purges a copy, also of an image, whose object was replaced during its download', async () => {
    const png = await twoColorPng(30, 20)
    const headers = {
      'Content-Length': String(png.byteLength),
      ETag: '"old"',
      'Last-Modified': 'Tue, 24 Nov 2026 11:59:59 GMT',
    }
    scriptedBucket({ GetObject: () => new Response(png, { headers }), HeadObject: found(1) })
    for (const variant of [null, { ...sizeOf(64), format: 'webp', quality: 80 } as const]) {
      const { objects, purged, done } = inProduction()
      const key = parseObjectKey(`replaced/${crypto.randomUUID()}.png`)
      const answer = await objects.fetch(await objectRequest('GET', counted, key, null, variant))
      expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(0)
      await done()
      expect(purged).toEqual([{ tags: [await cacheTag(counted, key)] }])
    }
  })

  it('purges nothing while the object exists', async () => {
    const { objects, purged, done } = inProduction()
    expect(await textOf(await ask(objects, await putObject('a.png', 'pixels')))).toBe('pixels')
    await done()
    expect(purged).toEqual([])
  })

  it('reports a refused purge', async () => {
    const { objects } = inProduction(Promise.resolve(false))
    expect(await objects.purge('files', ['a.png'])).toBe('Error: The edge cache refused the purge.')
  })

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
