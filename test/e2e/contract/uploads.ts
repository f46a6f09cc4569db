import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Context } from './context.ts'

/** What a caller can set for an object before the upload. */
export function uploadRules(context: () => Context): void {
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
