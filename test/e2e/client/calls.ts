import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ClientPage } from '../../../client/test/page-api.ts'
import { patternBytes } from '../pattern-bytes.ts'
import { type ClientTab, openClientTab, PART_BYTES } from './client-tab.ts'
import type { ClientContext } from './context.ts'
import { CSRF, type HostApp, startHostApp } from './host-app.ts'

declare const page: ClientPage

/** Files in one request, the other methods, and errors. */
export function callRules(context: () => ClientContext): void {
  let tab: ClientTab

  beforeEach(async () => {
    tab = await openClientTab(context())
  })
  afterEach(() => tab.close())

  it('uploads a small file in one request, with its SHA-256 and metadata', async () => {
    const options = { sha256: true, metadata: { album: 'Übersee' }, directory: '2026/november' }
    const stored = { contentDisposition: 'attachment', contentEncoding: 'x-test' }
    await tab.begin(1000, { ...options, ...stored, fileName: 'Neuer Name.mp4' })
    const record = await tab.end()
    const key = expect.stringMatching(/^team\/uploads\/2026\/november\/.{20}-neuer-name\.mp4$/)
    expect(record).toMatchObject({ key, name: 'Neuer Name.mp4', size: 1000, bucket: 'files' })
    const [put] = context().proxy.requests
    const digest = createHash('sha256').update(patternBytes(1000)).digest('base64')
    expect(put?.headers).toMatchObject({
      'x-amz-checksum-sha256': digest,
      'content-type': 'video/mp4',
      'content-length': '1000',
      'content-disposition': 'attachment',
      'content-encoding': 'x-test',
    })
    const { metadata } = await context().head(record.key)
    expect(metadata.album).toBe('=?UTF-8?B?w5xiZXJzZWU=?=')
    await tab.expectGrowth(1000)
    expect(await tab.page.evaluate(() => page.tokenCalls())).toBe(2)
  })

  it.each([
    { how: 'one request', multipart: false, size: 1000 },
    { how: 'parts', multipart: true, size: PART_BYTES + 1 },
  ])('uploads in $how under a chosen key, and replaces it', async ({ multipart, size }) => {
    const key = `team/avatars/7-${multipart}.mp4`
    await tab.begin(size, { key, multipart })
    expect(await tab.end()).toMatchObject({ key, name: 'Grüße.bin', size })
    await tab.begin(size, { key, multipart })
    expect(await tab.failure()).toMatchObject({ code: 'object_exists', status: 409 })
    await tab.begin(size + 1, { key, multipart, overwrite: true, fileName: 'Neu.mp4' })
    expect(await tab.end()).toMatchObject({ key, name: 'Neu.mp4', size: size + 1 })
    expect(await context().head(key)).toMatchObject({ size: size + 1 })
  })

  it('sends the SHA-256 of a file that would otherwise go in parts', async () => {
    await tab.begin(5 * PART_BYTES, { sha256: true })
    await tab.end()
    expect(context().proxy.requests.map(({ headers }) => headers['content-length'])).toEqual([
      String(5 * PART_BYTES),
    ])
  })

  it('uploads an empty file', async () => {
    await tab.begin(0, { multipart: true })
    expect(await tab.end()).toMatchObject({ size: 0 })
    expect(await tab.progress()).toEqual([0])
  })

  it('knows the type of a HEIC image that the browser does not know', async () => {
    const photo = { name: 'IMG_0001.HEIC', type: '', size: 10, lastModified: 1 }
    await tab.page.evaluate((file) => page.begin(file), photo)
    expect(await tab.end()).toMatchObject({ mimetype: 'image/heic' })
    await tab.page.evaluate((file) => page.begin(file, { fileName: 'b.heif' }), photo)
    expect(await tab.end()).toMatchObject({ mimetype: 'image/heif' })
    await tab.page.evaluate((file) => page.begin(file, { fileName: 'heic' }), photo)
    expect(await tab.end()).toMatchObject({ mimetype: 'application/octet-stream' })
  })

  it('uploads a Blob', async () => {
    const { value } = await tab.page.evaluate(() => page.uploadBlob('text'))
    expect(value).toMatchObject({ name: 'file', mimetype: 'text/plain', size: 4 })
  })

  it('uploads in parts without localStorage', async () => {
    await tab.page.evaluate(() => page.forbidStorage())
    await tab.begin(PART_BYTES + 1, { multipart: true })
    expect(await tab.end()).toMatchObject({ size: PART_BYTES + 1 })
  })

  it('resumes next to entries of other code under its prefix, and keeps them', async () => {
    const others = ['token', '"', 'theme', '5', 'null', '[]', '["app",1,null]', '["app",1,{}]']
    const damaged = '["https://files.example",1,{"fileName":"film.bin"}]'
    await tab.page.evaluate(
      ([names, values]) => {
        for (const [index, name] of names.entries())
          localStorage.setItem(`edge-presigner:${name}`, values[index % values.length] ?? '')
      },
      [
        [damaged, ...others],
        ['abc', '"dark"', '{"uploadId":"x"}'],
      ] as const,
    )
    context().proxy.failure = ({ partNumber }) =>
      partNumber > 1 ? new Promise(() => undefined) : null
    await tab.begin(PART_BYTES + 1, { multipart: true })
    await tab.partsTaken(1)
    await tab.reload()
    context().proxy.reset()
    await tab.begin(PART_BYTES + 1, { multipart: true })
    await tab.end()
    expect(tab.partNumbers()).toEqual([2])
    const kept = await tab.page.evaluate(() => page.stored())
    expect(kept.toSorted()).toEqual(others.map((name) => `edge-presigner:${name}`).toSorted())
  })

  it('separates two uploads of the same file', async () => {
    const options = { multipart: true, directory: 'twice' }
    await tab.begin(PART_BYTES + 1, options)
    await tab.begin(PART_BYTES + 1, options)
    await tab.end()
    const prefix = 'team/uploads/twice/'
    await expect
      .poll(() => tab.call('list', { prefix }))
      .toMatchObject({ files: [{ size: PART_BYTES + 1 }, { size: PART_BYTES + 1 }] })
    expect(tab.partNumbers()).toEqual([1, 1, 2, 2])
  })

  it('lists, signs, links, records and removes', async () => {
    await tab.begin(10, { directory: 'calls' })
    const record = await tab.end()
    const { key } = record
    const prefix = 'team/uploads/calls/'
    expect(await tab.call('list', { prefix, limit: 1, urls: 'view' })).toEqual({
      files: [{ ...record, url: expect.stringContaining('X-Amz-Signature=') }],
    })
    expect(await tab.call('record', key, 'Another name')).toEqual(record)
    const signed = await tab.call('url', key, { download: 'a b.mp4', stable: true, expiresIn: 60 })
    expect(signed).toMatchObject({ key, url: expect.stringContaining('a%20b.mp4') })
    expect(await tab.call('link', key)).toEqual({
      link: expect.stringContaining('/i/files/'),
      expiresAt: expect.any(String),
    })
    expect(await tab.call('links', [key, 'other/key'], { expiresIn: 60 })).toMatchObject({
      links: [
        { key, link: expect.any(String) },
        { key: 'other/key', error: { code: 'forbidden' } },
      ],
    })
    const widths = [640, 320]
    const resized = await tab.call('link', key, { widths, format: 'webp' })
    expect(resized).toEqual({
      link: expect.stringContaining('w=640'),
      srcset: expect.stringMatching(/w=320\S* 320w, .*w=640\S* 640w$/),
      expiresAt: expect.any(String),
    })
    expect(await tab.call('links', [key], { widths, format: 'webp' })).toMatchObject({
      links: [{ key, srcset: expect.stringMatching(/ 320w, .* 640w$/) }],
    })
    expect(await tab.call('limits')).toMatchObject({
      prefix: 'team/',
      scopes: expect.arrayContaining(['files:upload']),
      buckets: [{ bucket: 'files', maxExpiresIn: { upload: expect.any(Number) } }],
    })
    expect(await tab.call('request', 'GET', '/healthz')).toEqual({
      status: 'ok',
      edgeCache: true,
      images: true,
    })
    // A browser asks for PATCH by a preflight.
    const renamed = { ...record, name: 'Renamed' }
    expect(await tab.call('rename', key, 'Renamed')).toEqual(renamed)
    expect(await tab.call('list', { prefix })).toEqual({ files: [renamed] })
    expect(await tab.call('removeMany', ['team/missing', 'other/key'])).toEqual({
      deleted: [
        { key: 'team/missing' },
        { key: 'other/key', error: { code: 'forbidden', message: expect.any(String) } },
      ],
    })
    expect(await tab.call('remove', key)).toBeUndefined()
    expect(await tab.call('list', { prefix })).toEqual({ files: [] })
  })

  it("throws the API's error", async () => {
    const requestId = expect.stringMatching(/^[0-9a-f-]{36}$/)
    const type = 'PresignerError'
    expect(await tab.call('list', { limit: 0 })).toMatchObject({
      ...{ type, code: 'invalid_request', status: 400, requestId },
      issues: [{ path: 'limit', message: expect.any(String) }],
      message: expect.stringMatching(/^The request is not valid\. limit must .+\.$/),
    })
    await tab.connect({ token: 'ep_nobody_x' })
    const unauthenticated = { type, code: 'unauthenticated', status: 401, requestId, issues: [] }
    expect(await tab.call('list')).toMatchObject(unauthenticated)
    await tab.begin(10)
    expect(await tab.failure()).toMatchObject(unauthenticated)
  })

  it('throws for a response that is not from the API', async () => {
    const type = 'PresignerError'
    await tab.connect({ baseUrl: context().page })
    expect(await tab.call('list')).toMatchObject({ type, code: 'bad_answer', status: 200 })
    await tab.connect({ baseUrl: 'http://localhost:1' })
    expect(await tab.call('list')).toMatchObject({
      ...{ type, code: 'unreachable', status: 0 },
      message:
        'No response to GET http://localhost:1/files. ' +
        `Check baseUrl, and that CORS_ORIGINS includes ${context().page}.`,
    })
    await tab.begin(10, Object({ sha256: true, multipart: true }))
    expect(await tab.failure()).toMatchObject({ type, code: 'invalid_options' })
  })

  describe('at the mount path of an app with its own session', () => {
    let host: HostApp

    beforeAll(async () => {
      const { worker, apiKey, page } = context()
      host = await startHostApp(worker, apiKey, page)
    })
    afterAll(() => host.close())
    beforeEach(async () => {
      host.reset()
      await tab.page.context().addCookies([{ name: 'session', value: 'alice', url: host.baseUrl }])
    })

    const connect = (options: Parameters<ClientTab['connect']>[0]): Promise<void> =>
      tab.connect({ baseUrl: host.baseUrl, token: '', ...options })

    it('uploads with the cookie and the headers of the app, and never sends them to the bucket', async () => {
      await connect({ credentials: 'include', headers: CSRF })
      await tab.begin(PART_BYTES + 1, { multipart: true, directory: 'session' })
      const { key } = await tab.end()
      expect(key).toMatch(/^team\/uploads\/session\//)
      expect(host.passed).toHaveLength(3) // Start, sign, complete.
      const { requests } = context().proxy
      expect(requests.filter(({ method }) => method === 'PUT')).toHaveLength(2)
      for (const { headers } of requests) {
        expect(headers).not.toHaveProperty('cookie')
        expect(headers).not.toHaveProperty('x-csrf')
      }
    })

    it('requests the headers before each request', async () => {
      await connect({ credentials: 'include', headers: CSRF, headersByFunction: true })
      expect(await tab.call('list', { prefix: 'team/none/' })).toEqual({ files: [] })
      expect(await tab.call('list', { prefix: 'team/none/' })).toEqual({ files: [] })
      expect(host.passed.map((headers) => headers['x-turn'])).toEqual(['1', '2'])
    })

    it('accepts a base URL that ends with slashes', async () => {
      await connect({ baseUrl: `${host.baseUrl}//`, credentials: 'include', headers: CSRF })
      expect(await tab.call('list', { prefix: 'team/none/' })).toEqual({ files: [] })
    })

    it('sets its own headers, whatever the app returns', async () => {
      const headers = { ...CSRF, authorization: 'Basic x', 'content-type': 'text/plain' }
      await connect({ credentials: 'include', headers, token: 'of-the-client' })
      await tab.begin(10)
      await tab.end()
      expect(host.passed).toHaveLength(2)
      for (const passed of host.passed)
        expect(passed).toMatchObject({
          authorization: 'Bearer of-the-client',
          'content-type': 'application/json',
        })
    })

    it('sends no cookie to a different origin unless configured', async () => {
      await connect({ headers: CSRF })
      expect(await tab.call('list')).toMatchObject({ code: 'unauthenticated', status: 401 })
      await connect({ credentials: 'include' })
      expect(await tab.call('list')).toMatchObject({ code: 'unauthenticated', status: 401 })
    })
  })
}
