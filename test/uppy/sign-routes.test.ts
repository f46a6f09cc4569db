import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { readXml, textOf } from '../../src/storage/xml.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { putPart } from '../support/parts.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { testWorker } from '../support/worker.ts'

interface Signed {
  readonly url: string
  readonly key: string
  readonly headers?: Record<string, string>
}

const NEW_KEY = /^uploads\/[0-9a-z]{20}-my-film\.mp4$/
const S3RVER = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', region: 'us-east-1' }
const worker = testWorker()

async function sign(request: object): Promise<Signed> {
  const response = await worker.post('/s3/sign', request)
  if (response.status !== 200) throw new Error(await response.text())
  return response.json()
}

const signedHeaders = ({ url }: Signed) => new URL(url).searchParams.get('X-Amz-SignedHeaders')

afterEach(async () => {
  vi.useRealTimers()
  await reset()
})

describe('a single upload', () => {
  it('is signed for a generated key, and recorded by the page', async () => {
    const request = { method: 'PUT', key: 'My Film.MP4', contentType: 'video/mp4' }
    const signed = await sign(request)
    expect(signed).toEqual({
      url: expect.any(String),
      key: expect.stringMatching(NEW_KEY),
      headers: { 'Content-Type': 'video/mp4' },
    })
    expect(signedHeaders(signed)).toBe('content-type;host')
    const { url, key, headers = {} } = signed
    expect((await fetch(url, { method: 'PUT', body: 'hello', headers })).status).toBe(200)
    const other = { 'Content-Type': 'text/html' }
    expect((await fetch(url, { method: 'PUT', body: 'hello', headers: other })).status).toBe(403)
    const recorded = await worker.post('/files', { key, name: 'My Film.MP4' })
    expect(await recorded.json()).toMatchObject({ size: 5, mimetype: 'video/mp4' })
  })

  it('uses application/octet-stream when the client sends no type', async () => {
    const { headers } = await sign({ method: 'PUT', key: 'a' })
    expect(headers).toEqual({ 'Content-Type': 'application/octet-stream' })
  })

  it("includes what the client package's helper adds", async () => {
    const signed = await sign({
      method: 'PUT',
      key: 'ignored.txt',
      fileName: 'My Film.MP4',
      contentType: 'video/mp4',
      size: 5,
      sha256: 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
      metadata: { author: 'Zoë' },
      cacheControl: 'private, max-age=60',
      directory: 'x/y',
      bucket: 'files',
      expiresIn: 60,
      type: 'ignored as later versions may add more',
    })
    expect(signed.key).toMatch(/^uploads\/x\/y\/[0-9a-z]{20}-my-film\.mp4$/)
    expect(signed.headers).toEqual({
      'Content-Type': 'video/mp4',
      'Cache-Control': 'private, max-age=60',
      'x-amz-checksum-sha256': 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
      'x-amz-meta-author': '=?UTF-8?B?Wm/Dqw==?=',
    })
    expect(signedHeaders(signed)).toBe(
      'cache-control;content-length;content-type;host;x-amz-checksum-sha256;x-amz-meta-author',
    )
    expect(new URL(signed.url).searchParams.get('X-Amz-Expires')).toBe('60')
  })
})

it('signs a complete multipart upload, which the client performs', async () => {
  const begun = await sign({
    method: 'POST',
    key: 'My Film.MP4',
    contentType: 'video/mp4',
    metadata: { author: 'me' },
    size: 11,
  })
  expect(begun.key).toMatch(NEW_KEY)
  expect(begun.headers).toEqual({ 'Content-Type': 'video/mp4', 'x-amz-meta-author': 'me' })
  expect(signedHeaders(begun)).toBe('content-type;host;x-amz-meta-author')
  const { url, key, headers = {} } = begun
  const answer = readXml(await (await fetch(url, { method: 'POST', headers })).text())
  const uploadId = (answer && textOf(answer, 'UploadId')) ?? ''
  expect(uploadId).toMatch(/./)

  const parts = []
  for (const [index, body] of ['hello ', 'world'].entries()) {
    const part = { method: 'PUT', key, uploadId, partNumber: index + 1 }
    const signed = await sign(part)
    expect(Object.keys(signed)).toEqual(['url', 'key'])
    parts.push(
      `<Part><PartNumber>${index + 1}</PartNumber><ETag>${await putPart(signed.url, body)}</ETag></Part>`,
    )
  }
  const complete = await sign({ method: 'POST', key, uploadId })
  const done = await fetch(complete.url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/xml' },
    body: `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`,
  })
  expect(done.status).toBe(200)
  const recorded = await worker.post('/files', { key, name: 'My Film.MP4' })
  expect(await recorded.json()).toMatchObject({ key, size: 11, mimetype: 'video/mp4' })
})

describe('a step of a multipart upload', () => {
  it.each([
    ['UploadPart', 'PUT', { partNumber: 10_000 }, { partNumber: '10000' }],
    ['ListParts', 'GET', {}, {}],
    ['CompleteMultipartUpload', 'POST', {}, {}],
    ['AbortMultipartUpload', 'DELETE', {}, {}],
  ])("is signed for S3's key and id: %s", async (_, method, more, query) => {
    const now = new Date(Math.floor(Date.now() / 1000) * 1000)
    vi.useFakeTimers({ now, toFake: ['Date'] })
    const { key } = await sign({ method: 'POST', key: 'é +%.mp4' })
    const uploadId = '2~x +/=&<>?#é'
    const signed = await sign({ method, key, uploadId, ...more, fileName: 'ignored' })
    expect(signed).toEqual({ url: expect.any(String), key })
    expect(verifyPresigned({ method, url: signed.url }, { ...S3RVER, now })).toMatchObject({
      ok: true,
      path: `/files/${key}`,
      query: { ...query, uploadId },
    })
    for (const other of ['PUT', 'GET', 'POST', 'DELETE'].filter((name) => name !== method))
      expect(verifyPresigned({ method: other, url: signed.url }, { ...S3RVER, now }).ok).toBe(false)
  })

  it('is valid for five minutes by default', async () => {
    const { key } = await sign({ method: 'POST', key: 'a' })
    const seconds = async (more: object) => {
      const { url } = await sign({ method: 'PUT', key, uploadId: 'id', partNumber: 1, ...more })
      return new URL(url).searchParams.get('X-Amz-Expires')
    }
    expect(await seconds({})).toBe('300')
    expect(await seconds({ expiresIn: 3600 })).toBe('3600')
  })
})

it('generates keys under the prefix of a token in the path, and signs for no others', async () => {
  const apiKey = await testApiKey('ci', SCOPES, 'team-a/')
  const protectedWorker = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [apiKey.entry] })
  const tokenFor = async (prefix: string) => {
    const body = { scopes: ['files:upload'], prefix }
    const minted = await protectedWorker.post('/tokens', body, bearer(apiKey.token))
    return (await minted.json<{ token: string }>()).token
  }
  const [own, foreign] = [await tokenFor('team-a/x/'), await tokenFor('team-a/y/')]
  const begun = await protectedWorker.post(`/u/${own}/s3/sign`, { method: 'POST', key: 'a' })
  const { key }: Signed = await begun.json()
  expect(key).toMatch(/^team-a\/x\/uploads\//)
  const part = { method: 'PUT', key, uploadId: 'id', partNumber: 1 }
  expect((await protectedWorker.post(`/u/${own}/s3/sign`, part)).status).toBe(200)
  const refused = await protectedWorker.post(`/u/${foreign}/s3/sign`, part)
  expect(await refused.json()).toMatchObject({ code: 'forbidden' })
})
