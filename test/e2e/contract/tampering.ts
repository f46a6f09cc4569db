import { expect, it } from 'vitest'
import type { Upload } from '../api-client.ts'
import type { Capabilities, Context } from './context.ts'
import { uploadText } from './upload-text.ts'

interface Put {
  url: string
  headers: Record<string, string>
  body: string
}

/** Each change creates a request that the URL wasn't signed for. */
const FORGERIES: readonly (readonly [string, (put: Put) => void])[] = [
  [
    'another content type',
    ({ headers }) => Object.assign(headers, { 'Content-Type': 'text/html' }),
  ],
  ['no content type', ({ headers }) => Reflect.deleteProperty(headers, 'Content-Type')],
  ['another size', (put) => Object.assign(put, { body: 'longer than signed' })],
  ['another key', (put) => replaceIn(put, '-signed.txt?', '-other.txt?')],
  ['another bucket', (put) => replaceIn(put, /\/files(?:-\d+)?\//, '/cold-store/')],
  ['a changed signature', (put) => replaceIn(put, /.$/, (digit) => (digit === '0' ? '1' : '0'))],
  ['a longer lifetime', (put) => replaceIn(put, 'X-Amz-Expires=300', 'X-Amz-Expires=301')],
  ['another date', changeDate],
  ['fewer signed headers', (put) => replaceIn(put, 'content-type%3B', '')],
  ['an operation added', (put) => replaceIn(put, /$/, '&acl=')],
  ['other metadata', ({ headers }) => Object.assign(headers, { 'x-amz-meta-by': 'eve' })],
  ['no metadata', ({ headers }) => Reflect.deleteProperty(headers, 'x-amz-meta-by')],
  ['no Cache-Control', ({ headers }) => Reflect.deleteProperty(headers, 'Cache-Control')],
]

/** The server itself, not the Worker, refuses everything that was not signed. */
export function tamperingRules(
  context: () => Context,
  { unsigned, expired, otherDate = 403 }: Capabilities,
): void {
  const signedUpload = (): Promise<Upload> =>
    context().api.uploadUrl({
      fileName: 'signed.txt',
      mimetype: 'text/plain',
      size: 4,
      metadata: { by: 'alice' },
      cacheControl: 'no-cache',
    })

  it.each(FORGERIES)('refuses an upload with %s, and stores nothing', async (_, forge) => {
    const upload = await signedUpload()
    const put: Put = { url: upload.uploadUrl, headers: { ...upload.headers }, body: 'text' }
    const genuine = structuredClone(put)
    forge(put)
    expect(put).not.toEqual(genuine)
    await expectNothingBehind(upload, put, forge === changeDate ? otherDate : 403)
  })

  it.each(['GET', 'DELETE', 'POST'])('refuses %s on an upload URL', async (method) => {
    const { uploadUrl, headers, key } = await signedUpload()
    const put = await fetch(uploadUrl, { method: 'PUT', headers, body: 'text' })
    expect(put.status).toBe(200)
    const body = method === 'POST' ? { body: 'text' } : {}
    const forged = await fetch(uploadUrl, { method, headers, ...body })
    expect(forged.status).toBe(403)
    expect((await context().head(key))?.ContentLength).toBe(4)
  })

  it.each(['PUT', 'DELETE'])('refuses %s on a download URL', async (method) => {
    const { key } = await uploadText(context(), { text: 'kept' })
    const { url } = await context().api.url(key)
    const forged = await fetch(url, { method, ...(method === 'PUT' ? { body: 'lost' } : {}) })
    expect(forged.status).toBe(403)
    expect(await (await fetch(url)).text()).toBe('kept')
  })

  it('refuses a download URL for another key or disposition', async () => {
    const other = await uploadText(context(), { text: 'other' })
    const { key } = await uploadText(context(), {})
    const { url } = await context().api.url(key, { download: 'a.txt' })
    expect((await fetch(url)).status).toBe(200)
    expect((await fetch(url.replace(key, other.key))).status).toBe(403)
    expect((await fetch(url.replace('attachment', 'inline'))).status).toBe(403)
  })

  it('refuses a URL that has expired', async () => {
    const { api } = context()
    const { key } = await uploadText(context(), { text: 'text' })
    const late = await api.uploadUrl({ fileName: 'a.txt', mimetype: 'text/plain', expiresIn: 1 })
    const { url } = await api.url(key, { expiresIn: '1' })
    // The bucket has only the real clock. The URL of the upload is older.
    await expect.poll(async () => (await fetch(url)).status).toBe(expired)
    const put: Put = { url: late.uploadUrl, headers: late.headers, body: '' }
    await expectNothingBehind(late, put, expired)
  })

  it('refuses a request without a signature', async () => {
    const { key } = await uploadText(context(), {})
    const { origin, pathname } = new URL((await context().api.url(key)).url)
    expect((await fetch(origin + pathname)).status).toBe(unsigned)
  })

  // @threat acl-by-upload
  it.each(['public-read', 'public-read-write'])(
    'keeps an object private after an upload with an unsigned x-amz-acl: %s',
    async (acl) => {
      const { uploadUrl, headers, key } = await signedUpload()
      const sent = { ...headers, 'x-amz-acl': acl }
      const put = await fetch(uploadUrl, { method: 'PUT', headers: sent, body: 'text' })
      expect([200, 403, 501]).toContain(put.status)
      const { origin, pathname } = new URL(uploadUrl)
      expect((await fetch(origin + pathname)).ok).toBe(false)
      if (put.status !== 200) expect(await context().head(key)).toBeNull()
    },
  )

  async function expectNothingBehind(
    { key }: Upload,
    { url, headers, body }: Put,
    status: number,
  ): Promise<void> {
    const forged = await fetch(url, { method: 'PUT', headers, body })
    expect(forged.status).toBe(status)
    const { head } = context()
    for (const name of [key, key.replace('-signed', '-other')]) {
      expect(await head(name)).toBeNull()
      expect(await head(name, 'cold-store')).toBeNull()
    }
  }
}

function changeDate(put: Put): void {
  replaceIn(put, /X-Amz-Date=\d{4}/, 'X-Amz-Date=2037')
}

function replaceIn(
  put: Put,
  search: string | RegExp,
  replacement: string | ((found: string) => string),
): void {
  put.url = put.url.replace(search, (found) =>
    typeof replacement === 'string' ? replacement : replacement(found),
  )
}
