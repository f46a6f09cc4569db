import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import { readXml, textOf } from '../../../src/storage/xml.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { putPart } from '../../support/parts.ts'
import { verifyPresigned } from '../../support/sigv4-verifier.ts'
import { beginUpload, completeXml, type Signed, sign } from '../../support/uppy.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../../support/worker.ts'

const NEW_KEY = /^uploads\/[0-9a-z]{20}-my-film\.mp4$/
const S3RVER = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', region: 'us-east-1' }
const worker = testWorker()

const signedHeaders = ({ url }: Signed) => new URL(url).searchParams.get('X-Amz-SignedHeaders')

afterEach(async () => {
  vi.useRealTimers()
  await reset()
})

describe('a single upload', () => {
  it('is signed for a generated key, and recorded by the page', async () => {
    const request = { method: 'PUT', key: 'My Film.MP4', contentType: 'video/mp4' }
    const signed = await sign(worker, request)
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
    const { headers } = await sign(worker, { method: 'PUT', key: 'a' })
    expect(headers).toEqual({ 'Content-Type': 'application/octet-stream' })
  })

  it("includes what the client package's helper adds", async () => {
    const signed = await sign(worker, {
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

describe('a multipart upload', () => {
  const upload = async (of: TestWorker, file: object, bodies: readonly string[]) => {
    const { key, uploadId } = await beginUpload(of, file)
    const etags: string[] = []
    for (const [index, body] of bodies.entries()) {
      const { url } = await sign(of, { method: 'PUT', key, uploadId, partNumber: index + 1 })
      etags.push(await putPart(url, body))
    }
    const { url } = await sign(of, { method: 'POST', key, uploadId })
    const send = () => of.fetch(url, { method: 'POST', body: completeXml(etags) })
    return { key, uploadId, url, send }
  }

  it('starts and completes in the Worker, which records the file', async () => {
    const file = {
      contentType: 'video/mp4',
      metadata: { author: 'Zoë' },
      cacheControl: 'no-cache',
      size: 11,
    }
    const { key, send } = await upload(worker, file, ['hello world'])
    expect(key).toMatch(NEW_KEY)
    const response = await send()
    expect(response.status).toBe(200)
    expect(response.headers.get('Content-Type')).toBe('application/xml')
    const answer = readXml(await response.text())
    expect(answer?.name).toBe('CompleteMultipartUploadResult')
    const members = answer && ['Location', 'Bucket', 'Key'].map((name) => textOf(answer, name))
    expect(members).toEqual([`${inject('s3Endpoint')}/files/${key}`, 'files', key])

    const record: object = await (await worker.fetch(`/files/${key}`)).json()
    expect(record).toMatchObject({ name: 'My Film.MP4', size: 11, owner: 'localhost' })
    expect(answer && textOf(answer, 'ETag')).toBe(Reflect.get(record, 'etag'))
    const object = await bucketFetch(key)
    expect(await object.text()).toBe('hello world')
    expect(object.headers.get('Content-Type')).toBe('video/mp4')
    expect(object.headers.get('Cache-Control')).toBe('no-cache')
    expect(object.headers.get('x-amz-meta-author')).toBe('=?UTF-8?B?Wm/Dqw==?=')
    // After a lost response, the client sends the request again.
    expect((await send()).status).toBe(200)
  })

  it('gets parts, their list and the abort signed for the bucket', async () => {
    const now = new Date(Math.floor(Date.now() / 1000) * 1000)
    vi.useFakeTimers({ now, toFake: ['Date'] })
    const { key, uploadId } = await beginUpload(worker)
    const ids = new Set<string | undefined>()
    for (const [method, more] of [
      ['PUT', { partNumber: 10_000 }],
      ['GET', {}],
      ['DELETE', {}],
    ] as const) {
      const signed = await sign(worker, { method, key, uploadId, ...more })
      const verified = verifyPresigned({ method, url: signed.url }, { ...S3RVER, now })
      expect(verified).toMatchObject({ ok: true, path: `/files/${key}` })
      if (verified.ok) ids.add(verified.query.uploadId)
      for (const other of ['PUT', 'GET', 'POST', 'DELETE'].filter((name) => name !== method))
        expect(verifyPresigned({ method: other, url: signed.url }, { ...S3RVER, now }).ok).toBe(
          false,
        )
    }
    expect(ids.size).toBe(1)
    expect(ids).not.toContain(uploadId)
  })

  it('is valid for five minutes by default', async () => {
    const { key, uploadId } = await beginUpload(worker)
    const seconds = async (more: object) => {
      const part = { method: 'PUT', key, uploadId, partNumber: 1, ...more }
      return new URL((await sign(worker, part)).url).searchParams.get('X-Amz-Expires')
    }
    expect(await seconds({})).toBe('300')
    expect(await seconds({ expiresIn: 3600 })).toBe('3600')
  })

  // @threat upload-too-large
  it('accepts only a file of the declared size, and deletes any other', async () => {
    const { key, send } = await upload(worker, { size: 10 }, ['hello world'])
    const response = await send()
    expect(response.status).toBe(400)
    expect(errorIn(await response.text())).toEqual(['size_mismatch', expect.any(String)])
    expect((await bucketFetch(key)).status).toBe(404)
  })

  it('accepts no second file under the key of a complete one', async () => {
    const { url: start, key } = await sign(worker, { method: 'POST', key: 'a', size: 5 })
    const ids: string[] = []
    for (let i = 0; i < 2; i++) {
      const answer = readXml(await (await worker.fetch(start, { method: 'POST' })).text())
      ids.push((answer && textOf(answer, 'UploadId')) ?? '')
    }
    const statuses: number[] = []
    for (const [i, body] of ['hello', 'something else'].entries()) {
      const upload = { key, uploadId: ids[i] }
      const part = await sign(worker, { method: 'PUT', partNumber: 1, ...upload })
      const etag = await putPart(part.url, body)
      const { url } = await sign(worker, { method: 'POST', ...upload })
      const sent = await worker.fetch(url, { method: 'POST', body: completeXml([etag]) })
      statuses.push(sent.status)
    }
    expect(statuses).toEqual([200, 400])
    expect(await (await bucketFetch(key)).text()).toBe('hello')
  })

  // @threat upload-too-large
  it('applies the size limit of the bucket, with or without a declared size', async () => {
    const limited = testWorker({ BUCKETS: { files: { ...s3rverBucket(), maxBytes: 8 } } })
    const { key, send } = await upload(limited, {}, ['hello world'])
    const response = await send()
    expect(response.status).toBe(413)
    expect(errorIn(await response.text())[0]).toBe('file_too_large')
    expect((await bucketFetch(key)).status).toBe(404)
    const small = await upload(limited, { size: 5 }, ['hello'])
    expect((await small.send()).status).toBe(200)
  })

  it('uploads an empty file', async () => {
    const { key, uploadId } = await beginUpload(worker, { size: 0 })
    const part = { method: 'PUT', key, uploadId, partNumber: 1 }
    const { url } = await sign(worker, { ...part, size: 0 })
    expect(new URL(url).searchParams.get('X-Amz-SignedHeaders')).toBe('content-length;host')
    for (const other of [{ size: 1 }, { partNumber: 2, size: 0 }])
      await expect(sign(worker, { ...part, ...other })).rejects.toThrow('invalid_part')
  })

  // @threat token-limit-skipped
  it('applies the limit of the token that asks for its end', async () => {
    const app = await testApiKey('app', SCOPES)
    const of = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [app.entry] })
    const as = (token: string): TestWorker => ({
      ...of,
      post: (path, body, init) => of.post(path, body, { ...bearer(token), ...init }),
    })
    const { token } = await (
      await as(app.token).post('/tokens', { scopes: ['files:upload'], maxBytes: 4 })
    ).json<{ token: string }>()
    const { key, uploadId } = await beginUpload(as(app.token))
    const part = await sign(as(app.token), { method: 'PUT', key, uploadId, partNumber: 1 })
    const etag = await putPart(part.url, 'hello')
    const { url } = await sign(as(token), { method: 'POST', key, uploadId })
    const response = await of.fetch(url, { method: 'POST', body: completeXml([etag]) })
    expect(errorIn(await response.text())[0]).toBe('file_too_large')
  })

  it('reports errors to an S3 client in XML', async () => {
    const { url } = await upload(worker, {}, ['hello'])
    const post = (body: string) => worker.fetch(url, { method: 'POST', body })
    for (const body of [
      '',
      'nonsense',
      '<Other/>',
      '<CompleteMultipartUpload/>',
      completeXml(['']),
      '<CompleteMultipartUpload><Part><PartNumber>0</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>',
      '<!DOCTYPE a [<!ENTITY b "c">]><CompleteMultipartUpload>&b;</CompleteMultipartUpload>',
    ]) {
      const response = await post(body)
      expect(response.status, body).toBe(400)
      expect(response.headers.get('Content-Type')).toBe('application/xml')
      expect(errorIn(await response.text()), body).toEqual([
        'invalid_request',
        'The body must be a CompleteMultipartUpload with its parts.',
      ])
    }
    const tooLong = await post(' '.repeat(2 * 1024 ** 2 + 1))
    expect(errorIn(await tooLong.text())[0]).toBe('body_too_large')
  })

  it('lets a page of a configured origin read both responses', async () => {
    const origin = 'https://app.example.com'
    const of = testWorker({ CORS_ORIGINS: [origin] })
    const { url } = await sign(of, { method: 'POST', key: 'a' })
    const response = await of.fetch(url, { method: 'POST', headers: { Origin: origin } })
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe(origin)
    expect(response.headers.get('Cache-Control')).toBe('no-store')
  })
})

describe('the URL of a step', () => {
  // @threat upload-url-reused
  it('is not valid for the other step', async () => {
    const { url: create } = await sign(worker, { method: 'POST', key: 'a' })
    const swapped = create.replace('/s3/uploads?', '/s3/uploads/complete?')
    expect((await worker.fetch(swapped, { method: 'POST' })).status).toBe(403)
    const { key, uploadId } = await beginUpload(worker)
    const { url: complete } = await sign(worker, { method: 'POST', key, uploadId })
    const back = complete.replace('/s3/uploads/complete?', '/s3/uploads?')
    expect((await worker.fetch(back, { method: 'POST' })).status).toBe(403)
  })

  // @threat upload-url-reused
  it('expires', async () => {
    const { url } = await sign(worker, { method: 'POST', key: 'a', expiresIn: 60 })
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
    const response = await worker.fetch(url, { method: 'POST' })
    expect(response.status).toBe(403)
    expect(errorIn(await response.text())[0]).toBe('forbidden')
  })

  it.each(['', '?step=', '?step=a.b.c', '?other=1'])('is refused as %j', async (query) => {
    for (const path of ['/s3/uploads', '/s3/uploads/complete'])
      expect((await worker.fetch(path + query, { method: 'POST' })).status).toBe(403)
  })

  // @threat upload-url-reused
  it('starts uploads for five minutes at most, whatever lifetime is requested', async () => {
    const now = Math.floor(Date.now() / 1000) * 1000
    vi.useFakeTimers({ toFake: ['Date'], now })
    const slow = { ...s3rverBucket(), defaultExpiresIn: { upload: 1800 } }
    const of = testWorker({ BUCKETS: { files: slow } })
    for (const lifetime of [{}, { expiresIn: 3600 }]) {
      vi.setSystemTime(now)
      const { url } = await sign(of, { method: 'POST', key: 'a', ...lifetime })
      vi.setSystemTime(now + 299_000)
      expect((await of.fetch(url, { method: 'POST' })).status).toBe(200)
      vi.setSystemTime(now + 300_000)
      expect((await of.fetch(url, { method: 'POST' })).status).toBe(403)
    }
  })

  // @threat upload-url-reused
  it('counts each use against the principal that requested it', async () => {
    const keys: string[] = []
    const limit = async ({ key }: { key: string }) => {
      keys.push(key)
      return { success: keys.length < 4 }
    }
    const of = testWorker({ RATE_LIMITER: { limit } })
    const { url } = await sign(of, { method: 'POST', key: 'a' })
    const statuses: number[] = []
    for (let use = 0; use < 3; use++)
      statuses.push((await of.fetch(url, { method: 'POST' })).status)
    expect(statuses).toEqual([200, 200, 429])
    expect(keys).toEqual(Array(4).fill('principal localhost'))
  })
})

const errorIn = (text: string): (string | null)[] => {
  const root = readXml(text)
  return root?.name === 'Error' ? ['Code', 'Message'].map((name) => textOf(root, name)) : []
}

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
  const { key, url }: Signed = await begun.json()
  expect(key).toMatch(/^team-a\/x\/uploads\//)
  const created = await protectedWorker.fetch(url, { method: 'POST' })
  const answer = readXml(await created.text())
  const uploadId = answer && textOf(answer, 'UploadId')
  const part = { method: 'PUT', key, uploadId, partNumber: 1 }
  expect((await protectedWorker.post(`/u/${own}/s3/sign`, part)).status).toBe(200)
  const refused = await protectedWorker.post(`/u/${foreign}/s3/sign`, part)
  expect(await refused.json()).toMatchObject({ code: 'forbidden' })
})
