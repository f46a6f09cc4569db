import { expect, it } from 'vitest'
import type { Capabilities, Context } from './context.ts'

/** A key that the caller chooses, and that can have one object after the other. */
export function chosenKeyRules(
  context: () => Context,
  { conditionalPut, takesForms, passSecond }: Capabilities,
): void {
  const put = async (request: object, body: string): Promise<number> => {
    const { uploadUrl, headers } = await context().api.uploadUrl({
      mimetype: 'text/plain',
      ...request,
    })
    return (await fetch(uploadUrl, { method: 'PUT', headers, body })).status
  }
  const text = async (key: string): Promise<string> =>
    (await fetch((await context().api.url(key)).url)).text()

  it('is replaced only on request, and a link then shows the new object', async () => {
    const { api } = context()
    const key = 'avatars/42 é.txt'
    expect(await put({ key }, 'old')).toBe(200)
    expect(await api.confirm({ key })).toMatchObject({ key, name: '42 é.txt', size: 3 })
    const link = await api.link(key)
    const shown = async () => (await fetch(link)).text()
    expect([await shown(), await shown()]).toEqual(['old', 'old'])

    if (conditionalPut) expect(await put({ key }, 'lost')).toBe(412)
    else
      expect(
        await api.refusal('POST', '/files/upload-url', { key, mimetype: 'text/plain' }),
      ).toEqual({ status: 409, code: 'object_exists' })
    expect(await text(key)).toBe('old')

    passSecond?.()
    expect(await put({ key, overwrite: true }, 'newer')).toBe(200)
    expect(await api.confirm({ key })).toMatchObject({ size: 5 })
    expect(await shown()).toBe('newer')
    await api.remove(key)
  })

  // @threat replaced-unseen
  it('is replaced only while it has the ETag of ifMatch', async () => {
    const { api, head } = context()
    const key = 'avatars/45.txt'
    const file = { key, mimetype: 'text/plain', overwrite: true }
    expect(await put({ key }, 'seen')).toBe(200)
    const { etag: seen } = await api.confirm({ key })
    passSecond?.()
    expect(await put({ ...file, ifMatch: seen }, 'present')).toBe(200)
    const { etag: present } = await api.confirm({ key })

    const stale = { ...file, ifMatch: seen }
    const changed = { status: 412, code: 'precondition_failed', etag: present }
    passSecond?.()
    // Elsewhere, only a change before the URL is signed is found.
    if (conditionalPut) expect(await put(stale, 'lost')).toBe(412)
    else expect(await api.refusal('POST', '/files/upload-url', stale)).toEqual(changed)
    expect(await text(key)).toBe('present')

    const { uploadId } = await api.startMultipart({ ...file, size: 5 })
    const [part] = await api.partUrls(uploadId, { key, partNumbers: [1] })
    const sent = await fetch(part?.url ?? '', { method: 'PUT', body: 'parts' })
    const body = { key, parts: [{ partNumber: 1, etag: sent.headers.get('etag') }] }
    const path = `/multipart/${uploadId}/complete`
    expect(await api.refusal('POST', path, { ...body, ifMatch: seen })).toEqual(changed)
    expect(await text(key)).toBe('present')
    expect(await api.complete(uploadId, { ...body, ifMatch: present })).toMatchObject({ size: 5 })
    expect((await head(key))?.ETag).not.toBe(present)

    await api.remove(key)
    passSecond?.()
    const gone = { status: 412, code: 'precondition_failed', etag: null }
    if (conditionalPut) expect(await put(stale, 'lost')).toBe(412)
    else expect(await api.refusal('POST', '/files/upload-url', stale)).toEqual(gone)
    expect(await head(key)).toBeNull()
  })

  it('is replaced by an upload in parts only on request', async () => {
    const { api, head } = context()
    const key = 'avatars/43.txt'
    const file = { key, mimetype: 'text/plain', size: 5 }
    const complete = async ({ uploadId }: { readonly uploadId: string }) => {
      const [part] = await api.partUrls(uploadId, { key, partNumbers: [1] })
      const sent = await fetch(part?.url ?? '', { method: 'PUT', body: 'parts' })
      const parts = [{ partNumber: 1, etag: sent.headers.get('etag') }]
      return { path: `/multipart/${uploadId}/complete`, body: { key, parts } }
    }
    const keeping = await api.startMultipart(file)
    expect(await put({ key }, 'older')).toBe(200)
    const before = await head(key)
    const exists = { status: 409, code: 'object_exists' }
    expect(await api.refusal('POST', '/multipart', file)).toEqual(exists)
    const refused = await complete(keeping)
    expect(await api.refusal('POST', refused.path, refused.body)).toEqual(exists)
    expect((await head(key))?.ETag).toBe(before?.ETag)
    await api.abort(keeping.uploadId, key).catch(() => undefined) // s3rver has no such operation

    passSecond?.()
    const replacing = await api.startMultipart({ ...file, overwrite: true })
    const { body } = await complete(replacing)
    const record = await api.complete(replacing.uploadId, body)
    expect(record).toMatchObject({ key, size: 5, name: '43.txt' })
    expect((await head(key))?.ETag).not.toBe(before?.ETag)
    expect(await api.complete(replacing.uploadId, body)).toEqual(record)
    await api.remove(key)
  })

  it(`is not replaced by a form ${takesForms ? 'that is signed after its object' : 'through the Worker'}`, async () => {
    const { api } = context()
    const key = 'avatars/44.txt'
    const ask = (overwrite: boolean) =>
      api.form('a.txt', 'text/plain', { objectKey: key, overwrite: String(overwrite) })
    const send = async ({ url, fields }: Awaited<ReturnType<typeof ask>>) => {
      const form = new FormData()
      for (const [name, value] of Object.entries(fields)) form.append(name, value)
      form.append('file', new Blob(['form']))
      return (await fetch(url, { method: 'POST', body: form })).status
    }
    const early = await ask(false)
    expect(await put({ key }, 'older')).toBe(200)
    if (takesForms) await expect(ask(false)).rejects.toThrow('object_exists')
    else expect(await send(early)).toBe(409)
    expect(await text(key)).toBe('older')
    passSecond?.()
    expect(await send(await ask(true))).toBe(201)
    expect(await text(key)).toBe('form')
    await api.remove(key)
  })
}
