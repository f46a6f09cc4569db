import { describe, expect, it } from 'vitest'
import { type DownloadRequest, downloadSigner } from '../../src/core/download-url.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:07:30Z')
const SERVER = { ...EXAMPLE_CREDENTIALS, region: 'us-east-1', now: NOW }

async function download(
  key: string,
  request: Partial<DownloadRequest> = {},
  { now = NOW, bucket = testBucket() } = {},
) {
  const { urlOf, expiresIn, expiresAt } = downloadSigner(bucket, { use: 'view', ...request }, now)
  return { url: await urlOf(parseObjectKey(key)), expiresIn, expiresAt }
}

/**
 * Returns the Content-Disposition that a URL requests, after checking that the store would accept
 * the URL.
 */
async function disposition(key: string, request: Partial<DownloadRequest> = {}) {
  const { url } = await download(key, request)
  const verified = verifyPresigned({ method: 'GET', url }, SERVER)
  if (!verified.ok) throw new Error(verified.reason)
  expect(verified.path).toBe(`/${key}`)
  return verified.query['response-content-disposition']
}

describe('a download URL', () => {
  it('is a signed GET of the object, with its expiry', async () => {
    const { url, expiresIn, expiresAt } = await download('a b.png')
    expect(verifyPresigned({ method: 'GET', url }, SERVER)).toMatchObject({
      ok: true,
      path: '/a b.png',
      query: {},
    })
    expect(expiresIn).toBe(900)
    expect(expiresAt).toBe('2026-11-24T12:22:30.000Z')
  })

  it('expires at the stated time', async () => {
    const { url, expiresAt } = await download('a.png', { use: 'stream', expiresIn: 60 })
    const end = Date.parse(expiresAt)
    const at = (now: number) =>
      verifyPresigned({ method: 'GET', url }, { ...SERVER, now: new Date(now) })
    expect(at(end).ok).toBe(true)
    expect(at(end + 1000)).toEqual({ ok: false, reason: 'expired' })
  })

  it('is signed with the credentials for reading', async () => {
    const bucket = testBucket({
      uploadCredentials: { ...EXAMPLE_CREDENTIALS, accessKeyId: 'WRITER', secretAccessKey: 'w' },
    })
    const { url } = await download('a.png', {}, { bucket })
    expect(verifyPresigned({ method: 'GET', url }, SERVER).ok).toBe(true)
  })

  it('stays the same within a window when it is stable, and otherwise changes every second', async () => {
    const later = new Date(NOW.getTime() + 7 * 60_000)
    const stable = { stable: true, expiresIn: 900 }
    expect((await download('a.png', stable)).url).toBe(
      (await download('a.png', stable, { now: later })).url,
    )
    expect((await download('a.png')).url).not.toBe(
      (await download('a.png', {}, { now: later })).url,
    )
  })

  it('is not valid for longer than the bucket allows', async () => {
    await expect(download('a.png', { expiresIn: 604_801 })).rejects.toMatchObject({
      code: 'invalid_expiry',
    })
  })
})

describe('a browser that follows a download URL', () => {
  it('decides by the type for a key that runs no script', async () => {
    for (const key of ['a.png', 'a.txt', 'a.pdf', 'no-extension', 'a.html/b'])
      expect(await disposition(key), key).toBeUndefined()
  })

  it('saves an object with a script extension', async () => {
    for (const key of ['a.html', 'a.SVG', 'a.xml', 'x/a.b.xhtml', 'a.js'])
      expect(await disposition(key), key).toBe('attachment')
    expect(await disposition('a.html', { inline: false })).toBe('attachment')
  })

  it('shows an object with a script extension when the caller asks for inline', async () => {
    expect(await disposition('a.html', { inline: true })).toBeUndefined()
    expect(await disposition('a.png', { inline: true })).toBeUndefined()
  })

  it('saves it under the name in download, which takes precedence over inline', async () => {
    for (const inline of [undefined, false, true])
      for (const key of ['a.png', 'a.svg'])
        expect(await disposition(key, { download: 'My é.png', inline })).toBe(
          'attachment; filename="My _.png"; filename*=UTF-8\'\'My%20%C3%A9.png',
        )
  })

  it('saves it even when nothing of the name in download is left', async () => {
    expect(await disposition('a.png', { download: '"' })).toBe('attachment')
  })
})
