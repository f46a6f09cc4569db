import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { filePath } from '../api-client.ts'
import type { Context } from './context.ts'
import { uploadText } from './upload-text.ts'

/** From the upload URL to the deleted object, with the response of each step. */
export function flowRules(context: () => Context): void {
  it('uploads with only a Content-Type header, and records what the bucket contains', async () => {
    const { api } = context()
    const body = new Uint8Array([0, 255, 1, 254, 13, 10])
    const upload = await api.uploadUrl({ fileName: 'My Photo.PNG', mimetype: 'image/png' })
    expect(upload.headers).toEqual({ 'Content-Type': 'image/png' })

    const headers = { 'Content-Type': 'image/png' }
    const put = await fetch(upload.uploadUrl, { method: 'PUT', headers, body })
    expect(put.status).toBe(200)

    const record = await api.confirm({ key: upload.key, name: 'My Photo.PNG' })
    const md5 = createHash('md5').update(body).digest('hex')
    expect(put.headers.get('ETag')).toBe(`"${md5}"`)
    expect(record).toMatchObject({
      key: upload.key,
      bucket: 'files',
      name: 'My Photo.PNG',
      size: body.length,
      mimetype: 'image/png',
      etag: `"${md5}"`,
      owner: 'key:test',
    })
    expect(await api.record(upload.key)).toEqual(record)
    expect(await api.confirm({ key: upload.key, name: 'Another name' })).toEqual(record)
    expect(await api.list({ prefix: upload.key })).toEqual([record])

    const { url } = await api.url(upload.key)
    const got = await fetch(url)
    expect(got.status).toBe(200)
    expect(got.headers.get('Content-Type')).toBe('image/png')
    expect(await got.bytes()).toEqual(body)
  })

  it('lists the newest file first', async () => {
    const { api } = context()
    const directory = 'in-order'
    const keys: string[] = []
    for (const fileName of ['first.txt', 'second.txt', 'third.txt']) {
      const { key } = await uploadText(context(), { fileName, directory })
      await api.confirm({ key, name: fileName })
      keys.unshift(key)
    }
    const files = await api.list({ prefix: `uploads/${directory}/` })
    expect(files.map(({ key }) => key)).toEqual(keys)
  })

  it('uploads and serves an empty file', async () => {
    const { api } = context()
    const { key } = await uploadText(context(), { fileName: 'empty.txt', text: '', size: 0 })
    expect(await api.confirm({ key, name: 'empty.txt' })).toMatchObject({ size: 0 })
    const got = await fetch((await api.url(key)).url)
    expect(await got.text()).toBe('')
  })

  it('accepts a file name in any script', async () => {
    const { api } = context()
    const fileName = 'Фото 漢字 🦊 (1).TXT'
    const { key } = await uploadText(context(), { fileName, text: 'here' })
    expect(key).toMatch(/-фото-漢字--1\.txt$/)
    expect(await api.confirm({ key, name: fileName })).toMatchObject({ name: fileName })
    expect(await (await fetch((await api.url(key)).url)).text()).toBe('here')
  })

  it.each([
    ['plain.txt', 'attachment; filename="plain.txt"'],
    ['a "b" c; d.txt', 'attachment; filename="a b c; d.txt"'],
  ])('makes the server answer download=%s with that name', async (name, expected) => {
    const { key } = await uploadText(context(), {})
    const got = await fetch((await context().api.url(key, { download: name })).url)
    expect(got.status).toBe(200)
    expect(got.headers.get('Content-Disposition')).toBe(expected)
  })

  it('makes the server answer with a name in any script', async () => {
    const { key } = await uploadText(context(), {})
    const download = 'Grüße & 50 % 漢.txt'
    const got = await fetch((await context().api.url(key, { download })).url)
    expect(got.status).toBe(200)
    const ascii = 'filename="Gr__e & 50 _ _.txt"'
    const utf8 = "filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%26%2050%20%25%20%E6%BC%A2.txt"
    expect(got.headers.get('Content-Disposition')).toBe(`attachment; ${ascii}; ${utf8}`)
  })

  it('serves a file that can run script as an attachment, unless inline=true', async () => {
    const { api } = context()
    const html = { fileName: 'page.html', mimetype: 'text/html' }
    const { key } = await uploadText(context(), html)
    const plain = await fetch((await api.url(key)).url)
    expect(plain.headers.get('Content-Disposition')).toBe('attachment')
    const inline = await fetch((await api.url(key, { inline: 'true' })).url)
    expect(inline.status).toBe(200)
    expect(inline.headers.get('Content-Disposition')).toBeNull()
  })

  it('returns one stable URL, which works', async () => {
    const { api } = context()
    const { key } = await uploadText(context(), { text: 'stable' })
    const query = { stable: 'true', expiresIn: '86400' }
    const plain = async () => (await api.url(key, { expiresIn: '86400' })).url
    const [{ url }, before] = [await api.url(key, query), await plain()]
    // The built Worker has only the real clock: another URL shows that the next second has come.
    await expect.poll(plain).not.toBe(before)
    expect((await api.url(key, query)).url).toBe(url)
    expect(before).not.toBe(url)
    expect(await (await fetch(url)).text()).toBe('stable')
  })

  it('deletes the object and its record, and accepts repeated requests', async () => {
    const { api, head } = context()
    const { key } = await uploadText(context(), {})
    await api.confirm({ key, name: 'gone.txt' })
    const { url } = await api.url(key)

    await api.remove(key)
    const missing = { status: 404, code: 'object_not_found' }
    expect(await head(key)).toBeNull()
    expect((await fetch(url)).status).toBe(404)
    expect(await api.refusal('GET', filePath(key))).toEqual(missing)
    expect(await api.refusal('POST', '/files', { key, name: 'gone.txt' })).toEqual(missing)
    expect(await api.list({ prefix: key })).toEqual([])
    await api.remove(key)
  })

  it('records nothing for an object that was never uploaded', async () => {
    const { api } = context()
    const { key } = await api.uploadUrl({ fileName: 'never.txt', mimetype: 'text/plain' })
    const refusal = await api.refusal('POST', '/files', { key, name: 'never.txt' })
    expect(refusal).toEqual({ status: 404, code: 'object_not_found' })
    expect(await api.list({ prefix: key })).toEqual([])
  })
}
