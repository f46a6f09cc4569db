import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { bucketFetch } from '../support/bucket.ts'
import { putPart, startUpload } from '../support/parts.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { beginUpload, sign, startCompanion } from '../support/uppy.ts'
import { s3rverBucket, testWorker } from '../support/worker.ts'

const S3RVER = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', region: 'us-east-1' }
const OF_UPLOADS = {
  'x-amz-server-side-encryption': 'aws:kms',
  'x-amz-server-side-encryption-aws-kms-key-id': 'alias/files',
  'x-amz-storage-class': 'STANDARD',
  'x-amz-tagging': 'team=web',
  'x-amz-acl': 'private',
}
const OF_ALL = {
  'x-amz-request-payer': 'requester',
  'x-amz-expected-bucket-owner': '111122223333',
}
const withHeaders = (changes: object = {}) =>
  testWorker({
    BUCKETS: {
      files: { ...s3rverBucket(), uploadHeaders: { ...OF_UPLOADS, ...OF_ALL }, ...changes },
    },
  })
const worker = withHeaders()
const STORED = { contentDisposition: 'attachment; filename="b.csv"', contentEncoding: 'gzip' }
const STORED_HEADERS = {
  'Content-Disposition': STORED.contentDisposition,
  'Content-Encoding': STORED.contentEncoding,
}
const GZIP = Uint8Array.from(atob('H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA=='), (character) =>
  character.charCodeAt(0),
)

interface Signed {
  readonly uploadUrl: string
  readonly key: string
  readonly headers: Record<string, string>
}

const uploadUrl = async (file: object = {}, of = worker): Promise<Signed> =>
  (await of.post('/files/upload-url', { fileName: 'a.csv', mimetype: 'text/csv', ...file })).json()

/** Returns the headers of S3 in each request to the bucket that `act` makes, by operation. */
async function sentBy(act: () => Promise<unknown>): Promise<Record<string, string>[]> {
  const sent: Record<string, string>[] = []
  const real = globalThis.fetch
  vi.stubGlobal('fetch', (url: string, init: RequestInit = {}) => {
    const headers = [...new Headers(init.headers)]
    sent.push(Object.fromEntries(headers.filter(([name]) => name in { ...OF_UPLOADS, ...OF_ALL })))
    return real(url, init)
  })
  try {
    await act()
  } finally {
    vi.unstubAllGlobals()
  }
  return sent
}

afterEach(async () => {
  vi.useRealTimers()
  await reset()
})

describe("a bucket's uploadHeaders", () => {
  // @threat upload-headers-changed
  it('are handed out with an upload URL, and the bucket refuses the upload without one of them', async () => {
    const { uploadUrl: url, headers } = await uploadUrl()
    expect(headers).toEqual({ 'Content-Type': 'text/csv', ...OF_UPLOADS })
    for (const name of Object.keys(OF_UPLOADS)) {
      const { [name]: _, ...others } = headers
      const put = (sent: Record<string, string>) =>
        fetch(url, { method: 'PUT', body: 'hello', headers: sent })
      expect((await put(others)).status, `without ${name}`).toBe(403)
      expect((await put({ ...headers, [name]: 'other' })).status, `other ${name}`).toBe(403)
    }
    expect((await fetch(url, { method: 'PUT', body: 'hello', headers })).status).toBe(200)
  })

  // @threat bucket-replaced
  it('put the payer and the owner into the URL, which a client cannot remove', async () => {
    const now = new Date(Math.floor(Date.now() / 1000) * 1000)
    vi.useFakeTimers({ now, toFake: ['Date'] })
    const { uploadUrl: url, headers } = await uploadUrl()
    const verify = (text: string) =>
      verifyPresigned({ method: 'PUT', url: text, headers }, { ...S3RVER, now })
    expect(verify(url)).toMatchObject({ ok: true, query: OF_ALL })
    for (const [name, value] of Object.entries(OF_ALL)) {
      const without = url.replace(`${name}=${value}&`, '')
      expect(without).not.toBe(url)
      expect(verify(without)).toEqual({ ok: false, reason: 'signature mismatch' })
    }
  })

  it('are signed for an upload with signRequest', async () => {
    const { url, headers } = await sign(worker, { method: 'PUT', key: 'a.csv', ...STORED })
    const type = { 'Content-Type': 'application/octet-stream' }
    expect(headers).toEqual({ ...type, ...STORED_HEADERS, ...OF_UPLOADS })
    const put = await fetch(url, { method: 'PUT', body: GZIP, headers: headers ?? {} })
    expect(put.status).toBe(200)
  })

  it.each([
    ['POST /multipart', () => startUpload(worker)],
    ['POST /s3/multipart', () => startCompanion(worker)],
    ['a signed step', () => beginUpload(worker)],
  ])('are sent with the start of an upload by %s', async (_, start) => {
    expect(await sentBy(start)).toEqual([{ ...OF_UPLOADS, ...OF_ALL }])
  })

  it('are sent with the file of a form that the Worker takes', async () => {
    const asked = await worker.fetch('/s3/params?filename=a.txt&type=text/plain')
    const { url, fields } = await asked.json<{ url: string; fields: Record<string, string> }>()
    expect(url).toBe('http://localhost:8787/s3/form')
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    form.append('file', new Blob(['hello']), 'a.txt')
    const written = new Response(form)
    // Browsers end a form with a line break.
    const body = await new Blob([await written.arrayBuffer(), '\r\n']).arrayBuffer()
    const headers = {
      'Content-Type': written.headers.get('Content-Type') ?? '',
      'Content-Length': String(body.byteLength),
    }
    const sent = await sentBy(async () => {
      expect((await worker.fetch(url, { method: 'POST', headers, body })).status).toBe(201)
    })
    const [file, ...reads] = sent
    expect(file).toEqual({ ...OF_UPLOADS, ...OF_ALL })
    expect(reads.length).toBeGreaterThan(0)
    for (const headers of reads) expect(headers).toEqual(OF_ALL)
  })

  it('are not sent with parts, the end of an upload, and reads', async () => {
    const { key, uploadId } = await startUpload(worker)
    const sent = await sentBy(async () => {
      const asked = await worker.post(`/multipart/${uploadId}/urls`, { key, partNumbers: [1] })
      const { urls } = await asked.json<{ urls: [{ url: string }] }>()
      const etag = await putPart(urls[0].url, 'hello')
      const body = { key, parts: [{ partNumber: 1, etag }] }
      const completed = await worker.post(`/multipart/${uploadId}/complete`, body)
      expect(completed.status).toBe(201)
      expect(
        (await worker.fetch(`/files/${encodeURIComponent(key)}`, { method: 'DELETE' })).status,
      ).toBe(204)
    })
    const [part, ...fromWorker] = sent
    expect(part).toEqual({})
    // At least ListParts, CompleteMultipartUpload, HeadObject and DeleteObject.
    expect(fromWorker.length).toBeGreaterThanOrEqual(4)
    for (const headers of fromWorker) expect(headers).toEqual(OF_ALL)
  })

  it('put the payer and the owner into download URLs, and leave the rest out', async () => {
    const now = new Date(Math.floor(Date.now() / 1000) * 1000)
    vi.useFakeTimers({ now, toFake: ['Date'] })
    const one = await (await worker.fetch('/files/a.png/url')).json<{ url: string }>()
    const many = await (await worker.post('/files/urls', { keys: ['a.png'] })).json<{
      urls: [{ url: string }]
    }>()
    for (const { url } of [one, many.urls[0]])
      expect(verifyPresigned({ method: 'GET', url }, { ...S3RVER, now })).toMatchObject({
        ok: true,
        query: OF_ALL,
      })
  })
})

describe('the disposition and the encoding of an upload', () => {
  const plain = testWorker()

  it('are signed, stored, and returned by the bucket', async () => {
    const { uploadUrl: url, key, headers } = await uploadUrl(STORED, plain)
    expect(headers).toEqual({ 'Content-Type': 'text/csv', ...STORED_HEADERS })
    for (const name of Object.keys(STORED_HEADERS)) {
      const { [name]: _, ...others } = headers
      const put = await fetch(url, { method: 'PUT', body: GZIP, headers: others })
      expect(put.status, `without ${name}`).toBe(403)
    }
    expect((await fetch(url, { method: 'PUT', body: GZIP, headers })).status).toBe(200)
    const object = await bucketFetch(key)
    expect(object.headers.get('Content-Disposition')).toBe(STORED.contentDisposition)
    expect(object.headers.get('Content-Encoding')).toBe('gzip')
    expect(await object.text()).toBe('hello')
  })

  it.each([
    ['POST /multipart', async () => (await startUpload(plain, STORED)).key],
    ['a signed step', async () => (await beginUpload(plain, STORED)).key],
  ])('are sent with the start of an upload by %s', async (_, start) => {
    const sent: (string | null)[] = []
    const real = globalThis.fetch
    vi.stubGlobal('fetch', (url: string, init: RequestInit = {}) => {
      const headers = new Headers(init.headers)
      sent.push(headers.get('Content-Disposition'), headers.get('Content-Encoding'))
      return real(url, init)
    })
    await start().finally(() => vi.unstubAllGlobals())
    expect(sent).toEqual([STORED.contentDisposition, STORED.contentEncoding])
  })

  it('are not the disposition of a link, which decides it by the type', async () => {
    const {
      uploadUrl: url,
      key,
      headers,
    } = await uploadUrl({ ...STORED, fileName: 'a.png', mimetype: 'image/png' }, plain)
    expect((await fetch(url, { method: 'PUT', body: GZIP, headers })).status).toBe(200)
    const linked = await plain.post(`/files/${encodeURIComponent(key)}/link`, {})
    const { link } = await linked.json<{ link: string }>()
    const opened = await plain.fetch(link, { headers: { 'Accept-Encoding': 'gzip' } })
    expect(opened.status).toBe(200)
    expect(opened.headers.get('Content-Disposition')).toBeNull()
    expect(opened.headers.get('Content-Encoding')).toBe('gzip')
  })

  it("do not show a type that can run script: its URL has the presigner's own disposition", async () => {
    const { key } = await uploadUrl(
      { fileName: 'a.svg', mimetype: 'image/svg+xml', contentDisposition: 'inline' },
      plain,
    )
    const asked = await plain.fetch(`/files/${encodeURIComponent(key)}/url`)
    const { url } = await asked.json<{ url: string }>()
    expect(new URL(url).searchParams.get('response-content-disposition')).toBe('attachment')
  })

  // @threat upload-headers-changed
  it.each([
    [{ contentDisposition: 'attachment\r\nx-amz-acl: public-read' }],
    [{ contentDisposition: 'attachment; filename="é.png"' }],
    [{ contentDisposition: `attachment; filename="${'a'.repeat(1024)}"` }],
    [{ contentDisposition: '' }],
    [{ contentDisposition: null }],
    [{ contentEncoding: 'gzip\r\nx-amz-acl: public-read' }],
    [{ contentEncoding: 'aws-chunked' }],
    [{ contentEncoding: '' }],
    [{ contentEncoding: ['gzip'] }],
  ])('are refused: %j', async (changes) => {
    const [path] = Object.keys(changes)
    for (const [route, body] of [
      ['/files/upload-url', { fileName: 'a.csv', mimetype: 'text/csv' }],
      ['/multipart', { fileName: 'a.csv', mimetype: 'text/csv', size: 5 }],
      ['/s3/sign', { method: 'PUT', key: 'a.csv' }],
      ['/s3/sign', { method: 'POST', key: 'a.csv' }],
    ] as const) {
      const response = await plain.post(route, { ...body, ...changes })
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ code: 'invalid_request', issues: [{ path }] })
    }
  })
})

describe('versionId', () => {
  const plain = testWorker()
  const ask = (query: Record<string, string> | string[][], key = 'a.png') =>
    plain.fetch(`/files/${key}/url?${new URLSearchParams(query)}`)

  // @threat url-changed
  it('is signed in the query of a download URL', async () => {
    const now = new Date(Math.floor(Date.now() / 1000) * 1000)
    vi.useFakeTimers({ now, toFake: ['Date'] })
    for (const versionId of [
      'null',
      '3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY'.replace(/[/+]/g, '_'),
      '3GlRcP.vGmehMeQIwtrnUxOZMSuN92u',
      'a'.repeat(1024),
    ]) {
      const { url } = await (await ask({ versionId })).json<{ url: string }>()
      const verified = verifyPresigned({ method: 'GET', url }, { ...S3RVER, now })
      expect(verified).toMatchObject({ ok: true, path: '/files/a.png', query: { versionId } })
      const other = url.replace(`versionId=${versionId}`, 'versionId=other')
      expect(verifyPresigned({ method: 'GET', url: other }, { ...S3RVER, now }).ok).toBe(false)
    }
  })

  it('keeps the disposition of a download and of a type that can run script', async () => {
    for (const [query, key, disposition] of [
      [{ download: 'b.png' }, 'a.png', 'attachment; filename="b.png"'],
      [{}, 'a.svg', 'attachment'],
    ] as const) {
      const response = await ask({ versionId: 'v1', ...query }, key)
      const { url } = await response.json<{ url: string }>()
      expect(Object.fromEntries(new URL(url).searchParams)).toMatchObject({
        versionId: 'v1',
        'response-content-disposition': disposition,
      })
    }
  })

  it('has its own stable URL', async () => {
    const now = new Date('2026-11-24T12:00:00Z')
    vi.useFakeTimers({ now, toFake: ['Date'] })
    const urlOf = async (query: Record<string, string>) =>
      (await (await ask({ stable: 'true', ...query })).json<{ url: string }>()).url
    const url = await urlOf({ versionId: 'v1' })
    vi.setSystemTime(new Date(now.getTime() + 60_000))
    expect(await urlOf({ versionId: 'v1' })).toBe(url)
    expect(await urlOf({ versionId: 'v2' })).not.toBe(url)
    expect(await urlOf({})).not.toBe(url)
  })

  it.each([
    [[['versionId', '']]],
    [[['versionId', 'a b']]],
    [[['versionId', 'v1&X-Amz-Expires=604800']]],
    [[['versionId', 'v1#']]],
    [[['versionId', 'v1\r\n']]],
    [[['versionId', '../v1']]],
    [[['versionId', 'é']]],
    [[['versionId', 'a'.repeat(1025)]]],
    [
      [
        ['versionId', 'v1'],
        ['versionId', 'v2'],
      ],
    ],
    [[['versionid', 'v1']]],
  ])('is refused: %j', async (query) => {
    const response = await ask(query)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'invalid_request' })
  })

  it('belongs to one file, and is not for links and lists', async () => {
    const refused = [
      await plain.post('/files/urls', { keys: ['a.png'], versionId: 'v1' }),
      await plain.post('/files/a.png/link', { versionId: 'v1' }),
      await plain.fetch('/files/a.png?versionId=v1'),
      await plain.fetch('/files/a.png?versionId=v1', { method: 'DELETE' }),
    ]
    expect(refused.map(({ status }) => status)).toEqual([400, 400, 400, 400])
  })
})
