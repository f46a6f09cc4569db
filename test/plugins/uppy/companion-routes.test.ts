import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { putPart } from '../../support/parts.ts'
import { scriptedBucket, started } from '../../support/scripted-bucket.ts'
import { type CompanionUpload, companionPath, startCompanion } from '../../support/uppy.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

/** A bucket whose alias is not its name. Uppy gets the name. */
const worker = testWorker({ BUCKETS: { default: s3rverBucket() } })

const start = (body?: object) => startCompanion(worker, body)
const urlOf = async (upload: CompanionUpload, partNumber: number): Promise<string> =>
  (await (await worker.fetch(companionPath(upload, `/${partNumber}`))).json<{ url: string }>()).url
const read = (key: string) => bucketFetch(key)

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

describe('the multipart flow of Companion', () => {
  it('uploads a file in parts, and records it', async () => {
    const upload = await start({
      filename: 'My Film.MP4',
      type: 'video/mp4',
      metadata: { name: 'My Film.MP4' },
    })
    expect(upload).toEqual({
      key: expect.stringMatching(/^uploads\/[0-9a-z]{20}-my-film\.mp4$/),
      uploadId: expect.stringMatching(/^[\w.-]+$/),
      bucket: 'files',
    })
    const parts = []
    for (const [index, body] of ['hello ', 'wor', 'ld'].entries()) {
      const ETag = await putPart(await urlOf(upload, index + 1), body)
      // Version 5 sends listed parts unchanged.
      parts.push({ PartNumber: index + 1, ETag, Size: body.length, LastModified: 'x' })
    }
    const response = await worker.post(companionPath(upload, '/complete'), { parts })
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({
      location: `${inject('s3Endpoint')}/files/${upload.key}`,
      key: upload.key,
      bucket: 'files',
    })
    const object = await read(upload.key)
    expect(new TextDecoder().decode(await object.arrayBuffer())).toBe('hello world')
    expect(object.headers.get('Content-Type')).toBe('video/mp4')
    expect(object.headers.get('x-amz-meta-name')).toBe('My Film.MP4')
    expect(await (await worker.fetch('/files')).json()).toEqual({
      files: [
        expect.objectContaining({
          key: upload.key,
          bucket: 'default',
          name: 'My Film.MP4',
          size: 11,
          mimetype: 'video/mp4',
          owner: 'localhost',
        }),
      ],
    })
  })

  it('returns the public URL of the file when clients reach the bucket by another host', async () => {
    const publicEndpoint = inject('s3Endpoint').replace('127.0.0.1', 'localhost')
    const of = testWorker({ BUCKETS: { files: { ...s3rverBucket(), publicEndpoint } } })
    const upload = await startCompanion(of)
    const { url } = await (await of.fetch(companionPath(upload, '/1'))).json<{ url: string }>()
    expect(new URL(url).origin).toBe(publicEndpoint)
    const parts = [{ PartNumber: 1, ETag: await putPart(url, 'x') }]
    const response = await of.post(companionPath(upload, '/complete'), { parts })
    expect(await response.json()).toMatchObject({
      location: `${publicEndpoint}/files/${upload.key}`,
    })
  })

  it('answers the same when an upload is completed twice, with or without quotes in ETags', async () => {
    const upload = await start()
    const etag = (await putPart(await urlOf(upload, 1), 'x')).replaceAll('"', '')
    const answers = []
    for (const ETag of [etag, `"${etag}"`]) {
      const response = await worker.post(companionPath(upload, '/complete'), {
        parts: [{ PartNumber: 1, ETag }],
      })
      expect(response.status).toBe(200)
      answers.push(await response.json())
    }
    expect(answers[1]).toEqual(answers[0])
    expect(await (await worker.fetch('/files')).json()).toMatchObject({ files: [{ size: 1 }] })
  })

  it('works with a token in the path, within its prefix', async () => {
    const apiKey = await testApiKey('ci', SCOPES, 'team-a/')
    const protectedWorker = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [apiKey.entry] })
    const minted = await protectedWorker.post(
      '/tokens',
      { scopes: ['files:upload'], prefix: 'team-a/x/' },
      bearer(apiKey.token),
    )
    const base = `/u/${(await minted.json<{ token: string }>()).token}`
    const begun = await protectedWorker.post(`${base}/s3/multipart`, { filename: 'a.txt' })
    const upload: CompanionUpload = await begun.json()
    expect(upload.key).toMatch(/^team-a\/x\/uploads\//)
    const part = await protectedWorker.fetch(base + companionPath(upload, '/1'))
    const { url }: { url: string } = await part.json()
    const parts = [{ PartNumber: 1, ETag: await putPart(url, 'x') }]
    const done = await protectedWorker.post(base + companionPath(upload, '/complete'), { parts })
    expect(await done.json()).toMatchObject({ key: upload.key })
    const record = await protectedWorker.fetch(
      `/files/${encodeURIComponent(upload.key)}`,
      bearer(apiKey.token),
    )
    expect(await record.json()).toMatchObject({ owner: 'key:ci', size: 1 })
  })
})

describe('POST /s3/multipart', () => {
  it('uses application/octet-stream when the client sends no type', async () => {
    for (const type of [undefined, null, '']) {
      const upload = await start({ filename: 'a', type })
      const parts = [{ PartNumber: 1, ETag: await putPart(await urlOf(upload, 1), 'x') }]
      await worker.post(companionPath(upload, '/complete'), { parts })
      expect((await read(upload.key)).headers.get('Content-Type')).toBe('application/octet-stream')
    }
  })

  it('uses application/octet-stream for a malformed type', async () => {
    const sent = scriptedBucket({ CreateMultipartUpload: started('id') })
    await start({ filename: 'a', type: 'weird' })
    expect(sent[0]?.headers.get('Content-Type')).toBe('application/octet-stream')
  })

  it('omits metadata that S3 cannot store, and starts the upload', async () => {
    const sent = scriptedBucket({ CreateMultipartUpload: started('id') })
    // In a header, base64 needs four bytes for three bytes of UTF-8.
    const metadata = { 'user.name': 'x', 'a b': 'x', größe: 'x', large: 'ä'.repeat(760), last: 'é' }
    await start({ filename: 'a', metadata })
    const named = [...(sent[0]?.headers ?? [])].filter(([name]) => name.startsWith('x-amz-meta-'))
    expect(Object.fromEntries(named)).toEqual({
      'x-amz-meta-user.name': 'x',
      'x-amz-meta-last': '=?UTF-8?B?w6k=?=',
    })
  })

  it('accepts metadata of every JSON type, as text', async () => {
    const sent = scriptedBucket({ CreateMultipartUpload: started('id') })
    const metadata = {
      relativePath: null,
      Name: 'Zoë.mp4',
      size: 5,
      ratio: 1.5,
      public: true,
      tags: ['a', 'b'],
      place: { lat: 1, name: 'é' },
      empty: '',
      under_score: 'x',
    }
    await start({ filename: 'a', metadata, unknown: 'ignored' })
    const named = [...(sent[0]?.headers ?? [])].filter(([name]) => name.startsWith('x-amz-meta-'))
    expect(Object.fromEntries(named)).toEqual({
      'x-amz-meta-name': '=?UTF-8?B?Wm/Dqy5tcDQ=?=',
      'x-amz-meta-size': '5',
      'x-amz-meta-ratio': '1.5',
      'x-amz-meta-public': 'true',
      'x-amz-meta-tags': '["a","b"]',
      'x-amz-meta-place': '=?UTF-8?B?eyJsYXQiOjEsIm5hbWUiOiLDqSJ9?=',
      'x-amz-meta-empty': '',
      'x-amz-meta-under_score': 'x',
    })
  })
})

describe('a part', () => {
  it('is signed with the same lifetime as by Companion, whatever its length', async () => {
    const response = await worker.fetch(companionPath(await start(), '/10000'))
    const signed: { url: string; expires: number } = await response.json()
    expect(signed).toEqual({ url: expect.any(String), expires: 800 })
    const { searchParams } = new URL(signed.url)
    expect(searchParams.get('partNumber')).toBe('10000')
    expect(searchParams.get('X-Amz-Expires')).toBe('800')
    expect(searchParams.get('X-Amz-SignedHeaders')).toBe('host')
  })

  it('is signed together with others, by number', async () => {
    const upload = await start()
    const response = await worker.fetch(`${companionPath(upload, '/batch')}&partNumbers=3,1,10000`)
    const { presignedUrls, ...rest }: { presignedUrls: Record<string, string> } =
      await response.json()
    expect(rest).toEqual({})
    expect(Object.keys(presignedUrls)).toEqual(['1', '3', '10000'])
    for (const [number, url] of Object.entries(presignedUrls))
      expect(new URL(url).searchParams.get('partNumber')).toBe(number)
    expect(await putPart(presignedUrls['3'] ?? '', 'x')).toMatch(/^"[0-9a-f]{32}"$/)
  })
})
