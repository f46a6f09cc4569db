import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { imageInfo } from '../../../../src/plugins/links/images/image-info.ts'
import { bearer, type TestApiKey, testApiKey } from '../../../support/credentials.ts'
import { runs } from '../../../support/fuzz.ts'
import {
  gifOf,
  imageOf,
  joined,
  PNG_START,
  pngChunk,
  pngHeader,
  twoColorPng,
  withExif,
} from '../../../support/images.ts'
import { linkTo, open, putObject, putUnder, requestsFor, textOf } from '../../../support/links.ts'
import { testWorker } from '../../../support/worker.ts'

const worker = testWorker()

/** What the runtime reads from the bytes of a response. */
async function shown(response: Response) {
  expect(response.status).toBe(200)
  const { body } = new Response(await response.arrayBuffer())
  if (body === null) throw new Error('The response has no body.')
  const { format, ...size } = await env.IMAGES.info(body)
  expect(response.headers.get('Content-Type')).toBe(format)
  return { format, ...('width' in size ? { width: size.width, height: size.height } : {}) }
}

const resized = async (key: string, body: object = {}, bucket?: string): Promise<string> =>
  (await linkTo(key, { width: 64, ...body }, bucket)).link

const codeOf = async (response: Response) => {
  const { code, issues } = await response.json<{ code: string; issues?: { path: string }[] }>()
  return [response.status, code, ...(issues ?? []).map(({ path }) => path)]
}

describe('a link to a resized image', () => {
  it('shows it in the best format that the client accepts, one copy for each', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 200))
    const link = await resized(key)
    const as = async (accept?: string) =>
      shown(await open(link, accept === undefined ? {} : { Accept: accept }))
    const size = { width: 64, height: 43 }
    expect(await as('image/avif,image/webp,*/*')).toEqual({ format: 'image/avif', ...size })
    expect(await as('image/webp,*/*')).toEqual({ format: 'image/webp', ...size })
    expect(await as('*/*')).toEqual({ format: 'image/png', ...size })
    expect(await as('image/avif')).toEqual({ format: 'image/png', ...size })
    // All formats come from one copy of the original.
    expect(await requestsFor(key)).toBe(1)
  })

  it('shows a JPEG as JPEG to a client that reads nothing newer', async () => {
    const jpeg = await imageOf('image/jpeg', 300, 200)
    const key = await putObject('a.jpg', jpeg, 'image/jpeg')
    expect(await shown(await open(await resized(key)))).toMatchObject({ format: 'image/jpeg' })
    const webp = await resized(key, { format: 'webp' })
    expect(await shown(await open(webp))).toMatchObject({ format: 'image/webp' })
  })

  it('has the headers of an original, and says that it depends on Accept', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 200))
    const response = await open(await resized(key), { Accept: 'image/webp' })
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'accept-ranges': 'bytes',
      'cache-control': expect.stringMatching(/^private, max-age=\d+$/),
      'cache-status': 'edge-presigner; fwd=uri-miss',
      'content-length': expect.stringMatching(/^\d+$/),
      'cross-origin-resource-policy': 'cross-origin',
      etag: expect.stringMatching(/^"[0-9a-f]{32}"$/),
      vary: 'Accept, Origin',
      'x-content-type-options': 'nosniff',
    })
    expect(response.headers.get('Last-Modified')).toBeNull()
    const fixed = await open(await resized(key, { format: 'png' }))
    expect(fixed.headers.get('Vary')).toBe('Origin')
  })

  it('answers ranges, conditions and HEAD', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 200))
    const link = await resized(key, { format: 'png' })
    const missed = await open(link, { Range: 'bytes=1-3' })
    expect([missed.status, await textOf(missed)]).toEqual([206, 'PNG'])
    const kept = await open(link, { Range: 'bytes=1-3' })
    expect([kept.status, await textOf(kept)]).toEqual([206, 'PNG'])
    const head = await open(link, {}, 'HEAD')
    const whole = await open(link)
    expect([head.status, head.headers.get('Content-Length')]).toEqual([
      200,
      String((await whole.arrayBuffer()).byteLength),
    ])
    const etag = whole.headers.get('ETag') ?? ''
    expect((await open(link, { 'If-None-Match': etag })).status).toBe(304)
    expect(await requestsFor(key)).toBe(1)
  })

  it('has no date, which all formats would share', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 200))
    const { link: original } = await linkTo(key)
    const modified = (await open(original, {}, 'HEAD')).headers.get('Last-Modified') ?? ''
    const link = await resized(key)
    const ask = (headers: Record<string, string>) =>
      open(link, { Accept: 'image/webp', ...headers }).then(({ status }) => status)
    expect(modified).not.toBe('')
    expect(await ask({ 'If-Modified-Since': modified })).toBe(200)
    expect(await ask({ 'If-Unmodified-Since': 'Thu, 01 Jan 1970 00:00:00 GMT' })).toBe(200)
    expect(await ask({ Range: 'bytes=0-3', 'If-Range': modified })).toBe(200)
    expect((await open(original, { 'If-Modified-Since': modified })).status).toBe(304)
  })

  it('is made once for a crowd', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 200))
    const links = await Promise.all([resized(key), resized(key, { width: 128 })])
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const response = await open(links[i % 2] ?? '', { Accept: 'image/webp' })
        await response.arrayBuffer()
        return response.status
      }),
    )
    expect(new Set(answers)).toEqual(new Set([200]))
    expect(await requestsFor(key)).toBe(2) // one for each width
  })

  // @threat image-outdated
  it('shows no image of an original that was deleted a minute ago', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 200))
    const links = await Promise.all([32, 64, 96].map((width) => resized(key, { width })))
    const sizes = async () =>
      Promise.all(links.map(async (link) => (await shown(await open(link))).height))
    expect(await sizes()).toEqual([21, 43, 64])
    const gone = await worker.fetch(`/files/${encodeURIComponent(key)}?bucket=counted`, {
      method: 'DELETE',
    })
    expect(gone.status).toBe(204)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 })
    const statuses = await Promise.all(links.map(async (link) => (await open(link)).status))
    vi.useRealTimers()
    expect(statuses).toEqual([404, 404, 404])
  })

  // @threat image-original
  it('turns the picture as EXIF says, and drops the rest of EXIF', async () => {
    const photo = withExif(await imageOf('image/jpeg', 300, 200))
    const key = await putObject('a.jpg', photo, 'image/jpeg')
    expect(new TextDecoder('latin1').decode(photo)).toContain('Canary 1')
    for (const format of ['jpeg', 'webp', 'avif', 'png']) {
      const link = await resized(key, { format })
      expect(await shown(await open(link))).toMatchObject({ width: 64, height: 96 })
      const bytes = await (await open(link)).arrayBuffer()
      expect(new TextDecoder('latin1').decode(bytes)).not.toContain('Canary')
    }
  })

  it('never enlarges an image', async () => {
    const key = await putObject('a.png', await twoColorPng(30, 20))
    expect(await shown(await open(await resized(key, { width: 2560 })))).toMatchObject({
      width: 30,
      height: 20,
    })
  })

  it('is an attachment in a sandbox under a key that can run scripts', async () => {
    const key = await putObject('a.html', await twoColorPng(300, 200))
    const response = await open(await resized(key))
    expect(response.headers.get('Content-Security-Policy')).toContain('sandbox')
    expect(response.headers.get('Content-Disposition')).toContain('attachment')
  })

  // @threat image-original
  it.each([
    ['a text', 'hello', 'text/plain'],
    ['an SVG', '<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml'],
    ['HTML that says it is a PNG', '<!doctype html><script>1</script>', 'image/png'],
  ])('is 415 for %s, and never the original', async (_, body, type) => {
    const key = await putObject('a.png', body, type)
    const response = await open(await resized(key))
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(await codeOf(response)).toEqual([415, 'unsupported_image'])
  })

  it('is 415 for a truncated image', async () => {
    const png = await twoColorPng(300, 200)
    const key = await putObject('a.png', png.slice(0, 60))
    expect(await codeOf(await open(await resized(key)))).toEqual([415, 'unsupported_image'])
  })

  // @threat image-bomb
  it('is an image or a clear error for any damaged file, never 500', async () => {
    const originals = await Promise.all([
      twoColorPng(60, 40),
      ...(['image/jpeg', 'image/webp', 'image/avif'] as const).map((type) => imageOf(type, 60, 40)),
      gifOf(60, 40, 2),
    ])
    const damaged = fc.record({
      at: fc.constantFrom(...originals.keys()),
      cut: fc.double({ min: 0, max: 1, noNaN: true }),
      changes: fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
      format: fc.constantFrom('jpeg', 'webp', 'avif', 'png'),
    })
    await fc.assert(
      fc.asyncProperty(damaged, async ({ at, cut, changes, format }) => {
        const file = Uint8Array.from(originals[at] ?? [])
        for (const [index, byte] of changes) if (index < file.byteLength) file[index] = byte
        const part = file.slice(0, Math.ceil(file.byteLength * cut))
        const response = await open(await resized(await putObject('a.png', part), { format }))
        const body = new Uint8Array(await response.arrayBuffer())
        expect([200, 415, 503]).toContain(response.status)
        if (response.status === 200) expect(imageInfo(body)?.type).toBe(`image/${format}`)
        else expect(response.headers.get('Cache-Control')).toBe('no-store')
      }),
      { numRuns: runs(40) },
    )
  })

  // @threat image-bomb
  it.each([
    ['20,000 × 20,000 pixels', pngHeader(20_000, 20_000)],
    ['4,294,967,295 × 4,294,967,295 pixels', pngHeader(2 ** 32 - 1, 2 ** 32 - 1)],
  ])('is 415 for a small file that says it has %s', async (_, header) => {
    const bomb = joined(PNG_START, header, pngChunk('IDAT', new Uint8Array(9)))
    const response = await open(await resized(await putObject('a.png', bomb)))
    expect(await codeOf(response)).toEqual([415, 'unsupported_image'])
  })

  it('is 404 for a missing object', async () => {
    const response = await open(await resized('links/none-resized.png'))
    expect(await codeOf(response)).toEqual([404, 'object_not_found'])
  })

  it('shows an image that is uploaded after the link was opened in vain', async () => {
    const key = `links/${crypto.randomUUID()}/avatar.png`
    const link = await resized(key)
    expect((await open(link)).status).toBe(404)
    await putUnder(key, await twoColorPng(300, 200))
    expect(await shown(await open(link))).toMatchObject({ width: 64 })
  })

  it('shows the original if it says so, for a minute, except HEIC', async () => {
    const key = await putObject('a.bin', 'no picture', 'text/plain')
    const response = await open(await resized(key, { fallback: 'original' }))
    expect([
      response.status,
      response.headers.get('Cache-Control'),
      await textOf(response),
    ]).toEqual([200, 'private, max-age=60', 'no picture'])
    for (const [name, type] of [
      ['a.heic', 'image/png'],
      ['a.png', 'image/heic'],
    ] as const) {
      const heic = await putObject(name, 'no picture', type)
      const refused = await open(await resized(heic, { fallback: 'original' }))
      expect(await codeOf(refused)).toEqual([415, 'unsupported_image'])
    }
  })

  it('shows the original of a bucket with edgeTtl 0, where each view would be a call', async () => {
    const original = await twoColorPng(300, 200)
    const key = await putObject('a.png', original)
    const link = await resized(key, { fallback: 'original' }, 'uncached')
    expect(await shown(await open(link))).toMatchObject({ width: 300 })
  })

  // @threat image-original
  it('fails if its width, format or fallback is changed', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 200))
    const link = new URL(await resized(key))
    const changed = async (name: string, value: string | null) => {
      const url = new URL(link)
      if (value === null) url.searchParams.delete(name)
      else url.searchParams.set(name, value)
      return (await open(url.href)).status
    }
    expect(await changed('w', '64')).toBe(200)
    expect(await changed('w', '128')).toBe(403)
    expect(await changed('w', '064')).toBe(403)
    expect(await changed('w', null)).toBe(403)
    expect(await changed('fmt', 'png')).toBe(403)
    expect(await changed('fmt', null)).toBe(403)
    expect(await changed('fallback', 'original')).toBe(403)
    link.searchParams.delete('w')
    link.searchParams.delete('fmt')
    expect((await open(link.href)).status).toBe(403)
  })
})

describe('asking for a resized image', () => {
  const post = (body: object, on = worker, init: RequestInit = {}) =>
    on.post('/files/a.png/link', body, init)

  it('returns srcset for several widths, in order, and the widest as the link', async () => {
    const response = await post({ widths: [640, 320, 1280] })
    const { link, srcset } = await response.json<{ link: string; srcset: string }>()
    const entries = srcset.split(', ').map((entry) => entry.split(' '))
    expect(entries.map(([, width]) => width)).toEqual(['320w', '640w', '1280w'])
    expect(entries.map(([url]) => new URL(url ?? '').searchParams.get('w'))).toEqual([
      '320',
      '640',
      '1280',
    ])
    expect(entries.at(-1)?.[0]).toBe(link)
  })

  it('returns one link or srcset for each key of a list', async () => {
    const one = await worker.post('/links', { keys: ['a.png', 'b.png'], width: 320 })
    const { links } = await one.json<{ links: { key: string; link: string }[] }>()
    expect(links.map(({ link }) => new URL(link).searchParams.get('w'))).toEqual(['320', '320'])
    const set = await worker.post('/links', { keys: ['a.png'], widths: [320, 640] })
    const [first] = (await set.json<{ links: { srcset: string }[] }>()).links
    expect(first?.srcset).toMatch(/ 320w, .* 640w$/)
  })

  it('makes at most 4000 links at once, since a response must fit into memory', async () => {
    const keys = Array.from({ length: 1000 }, (_, i) => `${i}.png`)
    const widths = [32, 64, 96, 128, 256]
    const many = await worker.post('/links', { keys, widths: widths.slice(1) })
    expect(many.status).toBe(200)
    expect(await codeOf(await worker.post('/links', { keys, widths }))).toEqual([
      400,
      'invalid_request',
      'widths',
    ])
  })

  it.each([
    [{ width: 321 }, 'width'],
    [{ width: 0 }, 'width'],
    [{ widths: [320, 7] }, 'widths.1'],
    [{ widths: [320, 320] }, 'widths'],
    [{ widths: [] }, 'widths'],
    [{ width: 320, widths: [640] }, 'widths'],
    [{ format: 'webp' }, 'format'],
    [{ fallback: 'original' }, 'fallback'],
    [{ width: 320, format: 'gif' }, 'format'],
    [{ width: 320, fallback: 'none' }, 'fallback'],
    [{ width: 320, delivery: 'redirect' }, 'delivery'],
  ])('refuses %j', async (body, path) => {
    expect(await codeOf(await post(body))).toEqual([400, 'invalid_request', path])
  })

  // @threat image-costs
  it('allows only the configured widths', async () => {
    const own = testWorker({ IMAGE_WIDTHS: [100, { width: 50, height: 50, fit: 'cover' }] })
    expect((await post({ width: 100 }, own)).status).toBe(200)
    expect(await codeOf(await post({ width: 320 }, own))).toEqual([400, 'invalid_request', 'width'])
  })

  it('is refused without the Images binding or an edge copy, unless the original will do', async () => {
    const bare = testWorker({ IMAGES: undefined })
    expect(await codeOf(await post({ width: 320 }, bare))).toEqual([
      400,
      'invalid_request',
      'width',
    ])
    expect((await post({ width: 320, fallback: 'original' }, bare)).status).toBe(200)
    const uncached = await worker.post('/files/a.png/link?bucket=uncached', { width: 320 })
    expect(await codeOf(uncached)).toEqual([400, 'invalid_request', 'width'])
  })

  // @threat image-original
  it('needs files:read for a link that shows the original, or may show it', async () => {
    const gallery = await testApiKey('gallery', ['links:create'])
    const reader = await testApiKey('reader', ['links:create', 'files:read'])
    const limited = testWorker({ API_KEYS: [gallery.entry, reader.entry] })
    for (const image of [{ width: 320 }, { widths: [320, 640], format: 'webp' }])
      expect((await post(image, limited, bearer(gallery.token))).status).toBe(200)
    const originals = [{}, { download: 'a.png' }, { delivery: 'redirect' }]
    const fallbacks = [{ width: 320, fallback: 'original' }]
    for (const link of [...originals, ...fallbacks]) {
      expect((await post(link, limited, bearer(gallery.token))).status).toBe(403)
      expect((await post(link, limited, bearer(reader.token))).status).toBe(200)
    }
    const many = (image: object, { token }: TestApiKey) =>
      limited.post('/links', { keys: ['a.png'], ...image }, bearer(token))
    expect((await many({ width: 320 }, gallery)).status).toBe(200)
    for (const link of [{}, { delivery: 'redirect' }, ...fallbacks]) {
      expect((await many(link, gallery)).status).toBe(403)
      expect((await many(link, reader)).status).toBe(200)
    }
  })
})
