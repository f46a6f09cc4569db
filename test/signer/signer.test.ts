import { afterEach, describe, expect, it, vi } from 'vitest'
import { verifyLink } from '../../src/plugins/links/verify-link.ts'
import { defineSettings } from '../../src/settings/define.ts'
import type { BucketInput, SettingsInput } from '../../src/settings/input.ts'
import { createSigner } from '../../src/signer.ts'
import { fixedClock } from '../../src/testing.ts'
import type { SettingsChanges } from '../support/app.ts'
import { linkTarget } from '../support/link-target.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'

const NOW = '2026-11-25T12:00:00.000Z'
const READ = { accessKeyId: 'READ', secretAccessKey: 'read-secret' }
const WRITE = { accessKeyId: 'WRITE', secretAccessKey: 'write-secret' }

const input = (): SettingsInput => ({
  name: 'media',
  buckets: {
    files: {
      endpoint: 'https://s3.eu-central-1.amazonaws.com',
      region: 'eu-central-1',
      bucket: 'acme-files',
      credentials: READ,
      uploadCredentials: WRITE,
      maxBytes: 1000,
    },
    archive: {
      endpoint: 'https://account.r2.cloudflarestorage.com',
      region: 'auto',
      bucket: 'archive',
      credentials: READ,
    },
  },
  signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
  linkBase: 'https://app.example.com/media',
})

const signerOf = (changes: SettingsChanges = {}) => {
  const settings = defineSettings(() => Object.assign(input(), changes))
  return { settings, signer: createSigner(settings, {}, { now: fixedClock(NOW) }) }
}
const { signer } = signerOf()
const server = { region: 'eu-central-1', now: new Date(NOW) }

afterEach(() => {
  vi.unstubAllGlobals()
})

describe('a signer', () => {
  it('sends no requests', async () => {
    const fetched = vi.fn()
    vi.stubGlobal('fetch', fetched)
    await signer.uploadUrl({ fileName: 'a.png', mimetype: 'image/png', size: 3 })
    await signer.downloadUrl('a.png')
    await signer.link('a.png')
    expect(fetched).not.toHaveBeenCalled()
  })

  it('presigns a download that a server accepts', async () => {
    const key = 'users/42/é +%/a b.png'
    const made = await signer.downloadUrl(key, { use: 'email', download: 'Bericht.png' })
    expect(made).toMatchObject({
      key,
      bucket: 'files',
      expiresIn: 172_800,
      expiresAt: '2026-11-27T12:00:00.000Z',
    })
    expect(verifyPresigned({ method: 'GET', url: made.url }, { ...READ, ...server })).toMatchObject(
      {
        ok: true,
        path: `/acme-files/${key}`,
        query: { 'response-content-disposition': expect.stringContaining('Bericht.png') },
      },
    )
  })

  it('presigns an upload under a prefix, and returns what the client must send', async () => {
    const made = await signer.uploadUrl({
      fileName: 'Mein Bild.PNG',
      mimetype: 'image/png',
      size: 3,
      prefix: 'users/42/',
      directory: 'avatars',
      metadata: { album: 'x' },
      cacheControl: 'max-age=60',
      expiresIn: 60,
    })
    expect(made.key).toMatch(/^users\/42\/uploads\/avatars\/.{20}-mein-bild\.png$/)
    expect(made).toMatchObject({ bucket: 'files', method: 'PUT', expiresIn: 60 })
    const headers = { ...made.headers, 'Content-Length': '3' }
    const request = { method: 'PUT', url: made.uploadUrl, headers }
    expect(verifyPresigned(request, { ...WRITE, ...server })).toMatchObject({
      ok: true,
      path: `/acme-files/${made.key}`,
    })
    const other = { ...request, headers: { ...headers, 'Content-Length': '4' } }
    expect(verifyPresigned(other, { ...WRITE, ...server }).ok).toBe(false)
  })

  it("signs the bucket's own headers, a disposition and an encoding", async () => {
    const own = {
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-expected-bucket-owner': '111122223333',
    } as const
    const files = { ...input().buckets.files, uploadHeaders: own } as BucketInput
    const made = await signerOf({ buckets: { files } }).signer.uploadUrl({
      fileName: 'a.csv',
      mimetype: 'text/csv',
      size: 3,
      contentDisposition: 'attachment; filename="b.csv"',
      contentEncoding: 'gzip',
    })
    expect(made.headers).toEqual({
      'Content-Type': 'text/csv',
      'Content-Disposition': 'attachment; filename="b.csv"',
      'Content-Encoding': 'gzip',
      'x-amz-server-side-encryption': 'aws:kms',
    })
    const headers = { ...made.headers, 'Content-Length': '3' }
    const request = { method: 'PUT', url: made.uploadUrl, headers }
    expect(verifyPresigned(request, { ...WRITE, ...server })).toMatchObject({
      ok: true,
      query: { 'x-amz-expected-bucket-owner': '111122223333' },
    })
  })

  it('signs a URL for one version', async () => {
    const { url } = await signer.downloadUrl('a.png', { versionId: '3GlRcP.vGmehMeQ' })
    expect(verifyPresigned({ method: 'GET', url }, { ...READ, ...server })).toMatchObject({
      ok: true,
      query: { versionId: '3GlRcP.vGmehMeQ' },
    })
  })

  it('signs a link that only the instance with its name accepts', async () => {
    const { link, expiresAt } = await signer.link('a/b.png', { expiresIn: 3600, bucket: 'archive' })
    expect(link).toMatch(/^https:\/\/app\.example\.com\/media\/i\/archive\/a%2Fb\.png\?exp=/)
    expect(Date.parse(expiresAt) - Date.parse(NOW)).toBeLessThanOrEqual(7_200_000)
    const target = linkTarget(link.replace('/media', ''))
    const verify = (name: string) =>
      verifyLink(target, 'archive', 'a/b.png', signerOf({ name }).settings({}), new Date(NOW))
    expect(await verify('media')).toMatchObject({ ok: true, policy: { key: 'a/b.png' } })
    expect(await verify('other')).toMatchObject({ ok: false })
  })

  it('needs a link base only for links', async () => {
    const { signer } = signerOf({ linkBase: undefined })
    await expect(signer.link('a.png')).rejects.toMatchObject({ code: 'misconfigured' })
    await expect(signer.downloadUrl('a.png')).resolves.toMatchObject({ bucket: 'files' })
  })
})

describe('a signer refuses', () => {
  const png = { fileName: 'a.png', mimetype: 'image/png', size: 3 }

  it.each<readonly [string, object, string]>([
    ['a size above the limit', { ...png, size: 1001 }, 'file_too_large'],
    ['no size when the bucket has a limit', { ...png, size: undefined }, 'size_required'],
    ['an empty name', { ...png, fileName: '' }, 'invalid_request'],
    ['no name', { ...png, fileName: undefined }, 'invalid_request'],
    ['no type', { fileName: 'a.png', size: 3 }, 'invalid_request'],
    ['a malformed digest', { ...png, sha256: 'abc' }, 'invalid_request'],
    ['"false" in quotes', { ...png, overwrite: 'false' }, 'invalid_request'],
    ['half a second', { ...png, expiresIn: 1.5 }, 'invalid_request'],
    ['a size of half a byte', { ...png, size: 0.5 }, 'invalid_request'],
    ['a malformed type', { ...png, mimetype: 'png' }, 'invalid_mimetype'],
    ['script with an image extension', { ...png, mimetype: 'text/html' }, 'type_mismatch'],
    ['a directory outside the prefix', { ...png, directory: '../other' }, 'invalid_key'],
    ['an absolute directory', { ...png, directory: '/other' }, 'invalid_request'],
    ['a prefix without a trailing slash', { ...png, prefix: 'users/4' }, 'invalid_request'],
    ['a prefix with dot segments', { ...png, prefix: '../' }, 'invalid_request'],
    ['a prefix that is only a slash', { ...png, prefix: '/' }, 'invalid_request'],
    ['a prefix with an empty segment', { ...png, prefix: 'users//' }, 'invalid_request'],
    [
      'a header in a header',
      { ...png, cacheControl: 'a\r\nx-amz-acl: public-read' },
      'invalid_request',
    ],
    ['a header in a disposition', { ...png, contentDisposition: 'a\r\nb: c' }, 'invalid_request'],
    ['streaming signatures', { ...png, contentEncoding: 'aws-chunked' }, 'invalid_request'],
    ['a metadata name with a colon', { ...png, metadata: { 'a:b': 'x' } }, 'invalid_request'],
    [
      'metadata with the name of the presigner',
      { ...png, metadata: { 'edge-presigner-upload': 'x' } },
      'invalid_request',
    ],
    ['metadata that is not a string', { ...png, metadata: { a: 1 } }, 'invalid_request'],
    ['an unknown bucket', { ...png, bucket: 'none' }, 'unknown_bucket'],
    ['a lifetime of 3601 seconds', { ...png, expiresIn: 3601 }, 'invalid_expiry'],
    ['an unknown member', { ...png, acl: 'public-read' }, 'invalid_request'],
  ])('%s', async (_, options, code) => {
    await expect(signer.uploadUrl(Object(options))).rejects.toMatchObject({ code })
  })

  it.each<readonly [string, string, object, string]>([
    ['a key that a URL parser changes', 'a/../b', {}, 'invalid_key'],
    ['an empty key', '', {}, 'invalid_key'],
    [
      'a key that is not NFC in a bucket that normalizes keys',
      'e\u0301.png',
      { bucket: 'archive' },
      'invalid_key',
    ],
    ['an unknown use', 'a', { use: 'other' }, 'invalid_request'],
    ['a lifetime of eight days', 'a', { expiresIn: 691_200 }, 'invalid_expiry'],
    ['a lone surrogate in a name', 'a', { download: '\ud800' }, 'invalid_request'],
    ['a version id with a parameter', 'a', { versionId: 'v&X-Amz-Expires=1' }, 'invalid_request'],
    ['an unknown bucket', 'a', { bucket: 'none' }, 'unknown_bucket'],
  ])('%s', async (_, key, options, code) => {
    await expect(signer.downloadUrl(key, Object(options))).rejects.toMatchObject({ code })
    if (!('use' in options))
      await expect(
        signer.link(key, 'expiresIn' in options ? { expiresIn: 31_536_001 } : Object(options)),
      ).rejects.toMatchObject({ code })
  })

  it('an unknown delivery', async () => {
    const options = Object({ delivery: 'other' })
    await expect(signer.link('a', options)).rejects.toMatchObject({
      code: 'invalid_request',
      issues: [{ path: 'delivery', message: 'must be one of stream, redirect' }],
    })
  })
})

it('takes what createPresigner takes, and says what is wrong with it', () => {
  const settings = defineSettings(({ SECRETS }: { SECRETS: string }) => ({
    ...input(),
    signingSecrets: SECRETS,
  }))
  expect(() => createSigner(settings, { SECRETS: 'short' })).toThrow(
    expect.objectContaining({ code: 'misconfigured', issues: [expect.anything()] }),
  )
  expect(createSigner(settings, { SECRETS: `k1:${'s'.repeat(32)}` })).toBeDefined()
  const loaded = settings({ SECRETS: `k1:${'s'.repeat(32)}` })
  expect(() => createSigner(loaded as never, {})).toThrow('must be from defineSettings')
})

it('refuses an unknown option', () => {
  const { settings } = signerOf()
  const unknown = { clock: () => new Date() } as object
  expect(() => createSigner(settings, {}, unknown)).toThrow(
    expect.objectContaining({
      code: 'misconfigured',
      message: 'createSigner: options has unknown members: clock. Known members: now, waitUntil.',
    }),
  )
})

describe('a signer whose credentials are functions', () => {
  const expiresAt = new Date(Date.parse(NOW) + 600_000)
  const functions = () => ({
    read: vi.fn(async () => ({ ...READ, sessionToken: 'r', expiresAt })),
    write: vi.fn(async () => ({ ...WRITE, sessionToken: 'w', expiresAt })),
  })
  const signerWith = (
    credentials: BucketInput['credentials'],
    uploadCredentials: BucketInput['uploadCredentials'],
  ) => {
    const { files } = input().buckets
    if (files === undefined) throw new Error('There is one.')
    return signerOf({ buckets: { files: { ...files, credentials, uploadCredentials } } })
  }

  it('calls each once, and signs URLs that a server accepts until the credentials expire', async () => {
    const { read, write } = functions()
    const { signer: one } = signerWith(read, write)
    const urls = await Promise.all([
      one.downloadUrl('a.png'),
      one.downloadUrl('b.png'),
      one.uploadUrl({ fileName: 'a.png', mimetype: 'image/png', size: 3 }),
    ])
    expect([read.mock.calls.length, write.mock.calls.length]).toEqual([1, 1])
    expect(urls.map(({ expiresIn }) => expiresIn)).toEqual([600, 600, 300])
    const [url = ''] = urls.map((made) => ('url' in made ? made.url : ''))
    expect(
      verifyPresigned({ method: 'GET', url }, { ...READ, sessionToken: 'r', ...server }).ok,
    ).toBe(true)
    await expect(one.downloadUrl('a.png', { expiresIn: 601 })).rejects.toMatchObject({
      code: 'invalid_expiry',
    })
  })

  it('needs none for a link', async () => {
    const { read, write } = functions()
    await signerWith(read, write).signer.link('a.png')
    expect([read.mock.calls.length, write.mock.calls.length]).toEqual([0, 0])
  })

  it('rejects with unavailable and the reason', async () => {
    const cause = new Error('no role')
    const failing = async () => {
      throw cause
    }
    const { signer: one } = signerWith(failing, WRITE)
    await expect(one.downloadUrl('a.png')).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'credentials_source',
      cause,
    })
    expect(
      await one.uploadUrl({ fileName: 'a.png', mimetype: 'image/png', size: 3 }),
    ).toMatchObject({ method: 'PUT' })
  })

  it('hands its call to waitUntil', async () => {
    const { read, write } = functions()
    const { settings } = signerWith(read, write)
    const kept: Promise<unknown>[] = []
    const waitUntil = (work: Promise<unknown>) => void kept.push(work)
    await createSigner(settings, {}, { now: fixedClock(NOW), waitUntil }).downloadUrl('a.png')
    expect(kept).toHaveLength(2)
  })
})
