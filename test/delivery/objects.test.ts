import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { LinkPolicy } from '../../src/access/link-signature.ts'
import { Objects, objectRequest } from '../../src/delivery/objects.ts'
import { cacheTag } from '../../src/delivery/open-object.ts'
import { serveLink } from '../../src/delivery/serve-link.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { putObject, requestsFor, textOf } from '../support/links.ts'
import { testBucket } from '../support/test-bucket.ts'

/**
 * `Objects` as it runs where Workers Caching stands in front of it. The platform's cache can't be
 * had here: `ctx.cache` is a stand-in that notes what is purged, and each `fetch` is a miss.
 */
function inProduction(success = true) {
  const purged: unknown[] = []
  const cache = {
    purge: async (options: unknown) => {
      purged.push(options)
      return { success, errors: [] }
    },
  }
  const ctx = Object.assign(Object.create(createExecutionContext()), { cache })
  return { objects: new Objects(ctx, env), purged }
}

const counted = testBucket({ alias: 'counted' })
const ask = (
  objects: Objects,
  key: string,
  method: 'GET' | 'HEAD' = 'GET',
  range: string | null = null,
) => objects.fetch(objectRequest(method, counted, parseObjectKey(key), range))

describe('the request to Objects', () => {
  it('is the path alone, whatever the client sends', async () => {
    const seen: Request[] = []
    const policy: LinkPolicy = {
      bucket: 'files',
      key: parseObjectKey('a b/é?.png'),
      expires: 2_000_000_000,
      delivery: 'stream',
      download: 'x.png',
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
    await serveLink(client, policy, testBucket(), objects, new Date())
    expect(seen).toHaveLength(1)
    expect(seen[0]?.url).toBe('https://objects.invalid/files/a%20b%2F%C3%A9%3F.png')
    expect(Object.fromEntries(seen[0]?.headers ?? [])).toEqual({
      range: 'bytes=0-1',
      'x-wanted-range': 'bytes=0-1',
    })
  })
})

describe('Objects behind Workers Caching', () => {
  it('answers a miss with the whole object, how long to keep it, and its tag', async () => {
    const key = await putObject('a.png', 'pixels')
    const { objects } = inProduction()
    const answer = await ask(objects, key)
    expect(answer.status).toBe(200)
    expect(await textOf(answer)).toBe('pixels')
    expect(Object.fromEntries(answer.headers)).toEqual({
      'accept-ranges': 'bytes',
      'cache-control': 'public, max-age=86400, must-revalidate',
      'cache-tag': await cacheTag('counted', parseObjectKey(key)),
      'content-length': '6',
      'content-type': 'image/png',
      etag: expect.any(String),
      'last-modified': expect.any(String),
    })
  })

  it('keeps nothing by itself', async () => {
    const key = await putObject('a.png', 'pixels')
    const { objects } = inProduction()
    for (const asked of [1, 2]) {
      await textOf(await ask(objects, key))
      expect(await requestsFor(key)).toBe(asked)
    }
  })

  it('forbids that an error is kept', async () => {
    const { objects } = inProduction()
    const answer = await ask(objects, 'nobody/has-this.png')
    expect(answer.status).toBe(404)
    expect(answer.headers.get('Cache-Control')).toBe('no-store')
    expect(await answer.json()).toMatchObject({ code: 'object_not_found' })
  })

  it('answers a part of a small object with the whole, and a part of a large one with that part', async () => {
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

  it('purges by the tag that it gave, in this entrypoint', async () => {
    const { objects, purged } = inProduction()
    await objects.purge('files', 'a b/é.png')
    const tag = await cacheTag('files', parseObjectKey('a b/é.png'))
    expect(tag).toMatch(/^[0-9a-f]{64}$/)
    expect(purged).toEqual([{ tags: [tag] }])
  })

  it('spends no purge on a bucket of which the edge keeps nothing', async () => {
    const { objects, purged } = inProduction()
    await objects.purge('uncached', 'a.png')
    expect(purged).toEqual([])
  })

  it('says so when the purge is refused', async () => {
    await expect(inProduction(false).objects.purge('files', 'a.png')).rejects.toThrow('refused')
  })

  it('gives each object a tag of its own, whatever the case of its letters', async () => {
    const names = [
      ['files', 'a'],
      ['files', 'A'],
      ['file', 's/a'],
      ['files', 'a/'],
      ['other', 'a'],
    ] as const
    const tags = await Promise.all(
      names.map(([bucket, key]) => cacheTag(bucket, parseObjectKey(key))),
    )
    expect(new Set(tags).size).toBe(names.length)
  })
})
