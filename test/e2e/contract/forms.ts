import { expect, it } from 'vitest'
import type { Context } from './context.ts'

type Fields = Readonly<Record<string, string>>

/** S3 PostObject, as Uppy sends it in Companion mode: to the bucket, or to the Worker in its place. */
export function formRules(context: () => Context): void {
  const post = async (url: string, fields: Fields, file = new Blob(['text'])): Promise<number> => {
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.set(name, value)
    form.set('file', file, 'evil.html')
    return (await fetch(url, { method: 'POST', body: form })).status
  }

  it('stores the file with the key and type of the form, whatever the file states', async () => {
    const { api, head } = context()
    const { url, fields } = await api.form('Grüße.JPG', 'image/jpeg')
    const html = new Blob(['<b>text</b>'], { type: 'text/html' })
    expect(await post(url, fields, html)).toBe(201)
    expect(await head(fields.key ?? '')).toMatchObject({ ContentType: 'image/jpeg' })
  })

  it("does not use the file's type when the form has none", async () => {
    const { api, head } = context()
    const { url, fields } = await api.form('a.jpg')
    expect(await post(url, fields, new Blob(['text'], { type: 'text/html' }))).toBe(201)
    const { ContentType } = (await head(fields.key ?? '')) ?? {}
    expect(['binary/octet-stream', 'application/octet-stream']).toContain(ContentType)
  })

  it.each<readonly [string, Fields]>([
    ['another type', { 'content-type': 'text/html' }],
    ['a type in another spelling', { 'Content-Type': 'text/html' }],
    ['another key', { key: 'uploads/another.jpg' }],
    ['metadata', { 'x-amz-meta-a': 'b' }],
    ['public access', { acl: 'public-read' }],
    ['a redirect', { success_action_redirect: 'https://evil.example' }],
    ['another signature', { 'X-Amz-Signature': '0'.repeat(64) }],
  ])('is refused with %s', async (_, change) => {
    const { api, head } = context()
    const { url, fields } = await api.form('a.jpg', 'image/jpeg')
    expect([400, 403]).toContain(await post(url, { ...fields, ...change }))
    expect(await head(fields.key ?? '')).toBeNull()
  })
}
