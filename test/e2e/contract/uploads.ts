import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { type Capabilities, type Context, UPLOAD_HEADERS } from './context.ts'
import { uploadText } from './upload-text.ts'

/** What a caller can set for an object before the upload. */
export function uploadRules(context: () => Context, { unimplemented }: Capabilities): void {
  it('stores metadata and Cache-Control', async () => {
    const { api, head } = context()
    const { uploadUrl, key, headers } = await api.uploadUrl({
      fileName: 'a.txt',
      mimetype: 'text/plain',
      metadata: { camera: 'x 100', place: 'Łódź', tilde: '~!*()' },
      cacheControl: 'public, max-age=60',
    })
    expect((await fetch(uploadUrl, { method: 'PUT', headers, body: 'text' })).status).toBe(200)
    const object = await head(key)
    expect(object?.CacheControl).toBe('public, max-age=60')
    expect(object?.Metadata).toEqual({
      camera: 'x 100',
      place: `=?UTF-8?B?${Buffer.from('Łódź').toString('base64')}?=`,
      tilde: '~!*()',
    })
  })

  it('keeps the parameters of a Content-Type', async () => {
    const { api } = context()
    const mimetype = 'text/plain; charset=utf-8'
    const { uploadUrl, key, headers } = await api.uploadUrl({ fileName: 'a.txt', mimetype })
    expect((await fetch(uploadUrl, { method: 'PUT', headers, body: 'ä' })).status).toBe(200)
    expect((await api.confirm({ key, name: 'a.txt' })).mimetype).toBe(mimetype)
  })

  it('stores the disposition and the encoding that were signed', async () => {
    const { api, head } = context()
    const body = gzipSync('text')
    const { uploadUrl, key, headers } = await api.uploadUrl({
      fileName: 'a.txt',
      mimetype: 'text/plain',
      contentDisposition: 'attachment; filename="Report 1.txt"',
      contentEncoding: 'gzip',
    })
    for (const name of ['Content-Disposition', 'Content-Encoding']) {
      const { [name]: _, ...others } = headers
      const refused = await fetch(uploadUrl, { method: 'PUT', headers: others, body })
      expect(refused.status, `without ${name}`).toBe(403)
    }
    expect((await fetch(uploadUrl, { method: 'PUT', headers, body })).status).toBe(200)
    expect(await head(key)).toMatchObject({
      ContentDisposition: 'attachment; filename="Report 1.txt"',
      ContentEncoding: 'gzip',
      ContentLength: body.length,
    })
    const read = await fetch((await api.url(key)).url)
    expect(read.headers.get('Content-Disposition')).toBe('attachment; filename="Report 1.txt"')
    expect(await read.text()).toBe('text')
  })

  if (unimplemented === undefined) {
    // @threat upload-headers-changed
    it("refuses an upload without one of the bucket's own headers, or with another value", async () => {
      const { api, head } = context()
      const { uploadUrl, key, headers } = await api.uploadUrl({
        fileName: 'a.txt',
        mimetype: 'text/plain',
        bucket: 'guarded',
      })
      const own = Object.entries(UPLOAD_HEADERS).filter(([name]) => name in headers)
      expect(own.map(([name]) => name)).toEqual([
        'x-amz-storage-class',
        'x-amz-tagging',
        'x-amz-acl',
      ])
      const put = async (sent: Record<string, string>) =>
        (await fetch(uploadUrl, { method: 'PUT', headers: sent, body: 'text' })).status
      for (const [name, value] of own) {
        const { [name]: _, ...others } = headers
        expect(await put(others), `without ${name}`).toBe(403)
        expect(await put({ ...headers, [name]: `${value}x` }), `other ${name}`).toBe(403)
      }
      expect(await put({ ...headers, 'x-amz-acl': 'public-read' })).toBe(403)
      expect(await head(key)).toBeNull()
      expect(await put(headers)).toBe(200)
      expect((await api.confirm({ key, name: 'a.txt', bucket: 'guarded' })).size).toBe(4)
    })

    it('refuses a URL without one of the headers that every request of the bucket carries', async () => {
      const { api, head } = context()
      const request = { fileName: 'a.txt', mimetype: 'text/plain', bucket: 'guarded' }
      const { uploadUrl, key, headers } = await api.uploadUrl(request)
      const put = async (url: string) =>
        (await fetch(url, { method: 'PUT', headers, body: 'text' })).status
      for (const name of ['x-amz-request-payer', 'x-amz-expected-bucket-owner']) {
        expect(new URL(uploadUrl).searchParams.has(name)).toBe(true)
        expect(await put(uploadUrl.replace(new RegExp(`${name}=[^&]*&`), ''))).toBe(403)
        expect(await put(uploadUrl.replace(new RegExp(`${name}=[^&]*`), `${name}=x`))).toBe(403)
      }
      expect(await head(key)).toBeNull()
      expect(await put(uploadUrl)).toBe(200)
      const { url } = await api.url(key, { bucket: 'guarded' })
      expect(await (await fetch(url)).text()).toBe('text')
      expect((await fetch(url.replace('111122223333', '444455556666'))).status).toBe(403)
    })

    it('uploads in parts to a bucket with headers of its own', async () => {
      const { api } = context()
      const bucket = 'guarded'
      const file = { fileName: 'a.bin', mimetype: 'application/x-bin', size: 4, bucket }
      const { key, uploadId } = await api.startMultipart(file)
      const [part] = await api.partUrls(uploadId, { key, partNumbers: [1], bucket })
      const put = await fetch(part?.url ?? '', { method: 'PUT', body: 'text' })
      expect(put.status).toBe(200)
      const parts = [{ partNumber: 1, etag: put.headers.get('ETag') }]
      expect((await api.complete(uploadId, { key, parts, bucket })).size).toBe(4)
    })
  } else {
    it(`refuses an upload with ${unimplemented} if the bucket has headers that the server lacks`, async () => {
      const { api, head } = context()
      const file = { fileName: 'a.txt', mimetype: 'text/plain', bucket: 'guarded' }
      const { uploadUrl, key, headers } = await api.uploadUrl(file)
      const put = await fetch(uploadUrl, { method: 'PUT', headers, body: 'text' })
      expect(put.status).toBe(unimplemented)
      expect(await head(key)).toBeNull()
      await expect(api.startMultipart({ ...file, size: 4 })).rejects.toThrow('not_supported')
    })
  }

  it('reads the version that a URL names, which its holder cannot change', async () => {
    const { api } = context()
    const { key } = await uploadText(context(), { text: 'only' })
    const { url } = await api.url(key, { versionId: 'null' })
    expect(await (await fetch(url)).text()).toBe('only')
    expect((await fetch(url.replace('versionId=null', 'versionId=other'))).status).toBe(403)
    expect((await fetch(url.replace('versionId=null&', ''))).status).toBe(403)
  })

  it('accepts exactly the signed size', async () => {
    const { api, head } = context()
    const request = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
    const { uploadUrl, key, headers } = await api.uploadUrl(request)
    for (const body of ['1234', '123456', ''])
      expect((await fetch(uploadUrl, { method: 'PUT', headers, body })).status).toBe(403)
    expect(await head(key)).toBeNull()
    expect((await fetch(uploadUrl, { method: 'PUT', headers, body: '12345' })).status).toBe(200)
    expect((await head(key))?.ContentLength).toBe(5)
  })

  it('accepts an upload with every condition at once', async () => {
    const { api, head } = context()
    const body = 'all at once'
    const { uploadUrl, key, headers } = await api.uploadUrl({
      fileName: 'a.txt',
      mimetype: 'text/plain',
      size: body.length,
      sha256: createHash('sha256').update(body).digest('base64'),
      metadata: { one: '1' },
      cacheControl: 'no-cache',
      overwrite: false,
      directory: 'every/condition',
      expiresIn: 60,
    })
    expect(key).toMatch(/^uploads\/every\/condition\//)
    const put = await fetch(uploadUrl, { method: 'PUT', headers, body })
    expect([put.status, await put.text()]).toEqual([200, ''])
    expect(await head(key)).toMatchObject({ ContentLength: body.length, Metadata: { one: '1' } })
  })
}
