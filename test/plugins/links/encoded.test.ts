import { exports } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { LinkPolicy } from '../../../src/access/link-signature.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { requireCodings } from '../../../src/plugins/links/content-coding.ts'
import { edgeObjects } from '../../../src/plugins/links/edge-objects.ts'
import { serveLink } from '../../../src/plugins/links/serve-link.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { linkTo, open, requestsFor, textOf } from '../../support/links.ts'
import { testPlace } from '../../support/test-bucket.ts'

/** RFC 1952, section 2.3.1. */
const GZIP_MAGIC = new Uint8Array([0x1f, 0x8b])

/** Returns a link to an object of 50 KB, which is 50 MB after decoding. */
async function encoded(coding: string) {
  const key = `encoded:${coding}/${crypto.randomUUID()}.txt`
  return { key, link: (await linkTo(key, {}, 'faulty')).link }
}

/** Returns a link to "0123456789" under gzip, in a bucket that supports ranges. */
async function gzippedDigits() {
  const stream = new Response('0123456789').body?.pipeThrough(new CompressionStream('gzip'))
  const body = await new Response(stream).arrayBuffer()
  const key = `links/${crypto.randomUUID()}.txt`
  const headers = { 'Content-Type': 'text/plain', 'Content-Encoding': 'gzip' }
  await bucketFetch(key, { method: 'PUT', headers, body })
  return { body, link: (await linkTo(key)).link }
}

describe('an encoded object', () => {
  it.each([
    ['gzip', 'gzip'],
    ['gzip', 'br;q=1.0, GZIP;q=0.5'],
    ['br', 'gzip, deflate, br, zstd'],
    ['zstd', 'gzip, deflate, br, zstd'],
    ['deflate', '*'],
    ['x-own', '*;q=0.1'],
    ['gzip, br', 'br, gzip'],
  ])(
    '%s reaches a client that accepts "%s" byte for byte, and is not cached',
    async (coding, accept) => {
      const { key, link } = await encoded(coding)
      for (const asked of [1, 2]) {
        const response = await open(link, { 'Accept-Encoding': accept })
        expect(response.status).toBe(200)
        expect(response.headers.get('Content-Encoding')).toBe(coding)
        expect(response.headers.get('Vary')).toBe('Accept-Encoding, Origin')
        expect(response.headers.get('Cache-Status')).toBe('edge-presigner; fwd=bypass')
        const body = new Uint8Array(await response.arrayBuffer())
        expect(body.subarray(0, 2)).toEqual(GZIP_MAGIC)
        expect(body.byteLength).toBe(Number(response.headers.get('Content-Length')))
        expect(body.byteLength).toBeLessThan(60_000)
        expect(await requestsFor(key, 'faulty')).toBe(asked)
      }
    },
  )

  // @threat encoding-bomb
  it.each([
    ['gzip', undefined],
    ['gzip', ''],
    ['gzip', 'identity'],
    ['gzip', 'br'],
    ['gzip', 'gzip;q=0, *'],
    ['gzip', 'gzip;q=0.000'],
    ['br', 'gzip'],
    ['gzip, br', 'gzip'],
    ['zstd', '*;q=0'],
  ])('%s is refused to a client that accepts %j', async (coding, accept) => {
    const { link } = await encoded(coding)
    const headers: HeadersInit = accept === undefined ? {} : { 'Accept-Encoding': accept }
    const response = await open(link, headers)
    expect(response.status).toBe(406)
    expect(response.headers.get('Content-Encoding')).toBeNull()
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(await response.json()).toMatchObject({
      code: 'encoding_not_acceptable',
      message: `This object is stored encoded. Send Accept-Encoding: ${coding}.`,
    })
    expect((await open(link, headers, 'HEAD')).status).toBe(406)
    expect((await open(link, { ...headers, 'If-None-Match': '*' })).status).toBe(406)
  })

  it('has its stored length on HEAD, and a Vary header on 304', async () => {
    const { link } = await encoded('gzip')
    const accepting = { 'Accept-Encoding': 'gzip' }
    const head = await open(link, accepting, 'HEAD')
    expect(head.status).toBe(200)
    expect(head.headers.get('Content-Encoding')).toBe('gzip')
    expect(Number(head.headers.get('Content-Length'))).toBeLessThan(60_000)
    const current = await open(link, { ...accepting, 'If-None-Match': '*' })
    expect(current.status).toBe(304)
    expect(current.headers.get('Content-Encoding')).toBeNull()
    expect(current.headers.get('Vary')).toBe('Accept-Encoding, Origin')
  })

  it('is cut by its stored bytes', async () => {
    const { body, link } = await gzippedDigits()
    const accepting = { 'Accept-Encoding': 'gzip' }
    const all = await open(link, { ...accepting, Range: 'bytes=0-' })
    expect(all.status).toBe(206)
    expect(all.headers.get('Content-Range')).toBe(
      `bytes 0-${body.byteLength - 1}/${body.byteLength}`,
    )
    expect(new Uint8Array(await all.arrayBuffer())).toEqual(new Uint8Array(body))
    const part = await open(link, { ...accepting, Range: 'bytes=2-4' })
    expect(part.status).toBe(206)
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(new Uint8Array(body.slice(2, 5)))
    expect((await open(link, { Range: 'bytes=0-' })).status).toBe(406)
  })

  // @threat encoding-bomb
  it('is never created on the way from the bucket', async () => {
    const { link } = await linkTo(`negotiated/${crypto.randomUUID()}.png`, {}, 'faulty')
    const response = await open(link)
    expect(response.status).toBe(200)
    expect(await textOf(response)).toBe('good')
  })

  // @threat encoding-bomb
  it('is not encoded again on its way out of the Worker', async () => {
    const { body, link } = await gzippedDigits()
    const init = { headers: { 'Accept-Encoding': 'gzip' }, encodeResponseBody: 'manual' } as const
    const response = await exports.default.fetch(link, init)
    expect(response.status).toBe(200)
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(new Uint8Array(body))
  })

  it.each(['aws-chunked', 'identity', ' , AWS-Chunked'])(
    'counts as unencoded under "%s"',
    async (coding) => {
      const { link } = await encoded(coding)
      const response = await open(link)
      expect(response.status).toBe(200)
      expect(response.headers.get('Content-Encoding')).toBeNull()
      expect(response.headers.get('Vary')).toBe('Origin')
      expect((await response.arrayBuffer()).byteLength).toBeLessThan(60_000)
    },
  )
})

it('reads what the client accepts from Cloudflare when Cloudflare has replaced the header', () => {
  const object = new Response(null, { headers: { 'Content-Encoding': 'gzip' } })
  const ask = (cf: { clientAcceptEncoding?: string }) =>
    new Request('https://img.example/', { headers: { 'Accept-Encoding': 'gzip, br' }, cf })
  expect(() => requireCodings(object, ask({ clientAcceptEncoding: 'gzip' }))).not.toThrow()
  for (const cf of [{ clientAcceptEncoding: 'br' }, { clientAcceptEncoding: '' }, {}])
    expect(() => requireCodings(object, ask(cf)), JSON.stringify(cf)).toThrow('Accept-Encoding')
})

describe('HEAD of a link', () => {
  it.each([
    ['404', 404],
    ['403', 502],
    ['500', 502],
  ])('has the same status as GET for a bucket that answers %s', async (failure, status) => {
    const { link } = await linkTo(`${failure}/${crypto.randomUUID()}.png`, {}, 'faulty')
    for (const method of ['GET', 'HEAD']) {
      const response = await open(link, {}, method)
      expect(response.status, method).toBe(status)
      expect(response.headers.get('Cache-Control')).toBe('no-store')
      await textOf(response)
    }
  })

  it('is an internal error when Objects answers with an unknown status', async () => {
    const policy: LinkPolicy = {
      bucket: 'files',
      key: parseObjectKey('a'),
      expires: 2e9,
      delivery: 'stream',
      download: null,
      variant: null,
    }
    const request = new Request('https://img.example/', { method: 'HEAD' })
    const objects = edgeObjects({
      fetch: async () => new Response(null, { status: 500 }),
      purge: async () => null,
    })
    const served = serveLink(request, policy, testPlace(objects), new Date())
    await expect(served).rejects.toThrow('Objects answered with status 500.')
  })
})
