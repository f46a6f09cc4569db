import { describe, expect, inject, it, vi } from 'vitest'
import { jsonOf } from '../support/app.ts'
import { fromBase64 } from '../support/base64.ts'
import { bucketFetch } from '../support/bucket.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { mount } from '../support/mount.ts'
import { answer, scriptedBucket } from '../support/scripted-bucket.ts'
import { s3rverBucket, testWorker } from '../support/worker.ts'

interface Form {
  readonly url: string
  readonly fields: Readonly<Record<string, string>>
}

const BUCKET = { ...s3rverBucket(), postUploads: false }
const worker = testWorker({ BUCKETS: { files: BUCKET } })

/** What a browser sends for `fields` and a file of `size` bytes. */
async function post(fields: Readonly<Record<string, string>>, size = 5): Promise<RequestInit> {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  form.append('file', new Blob([new Uint8Array(size)]), 'a.bin')
  const written = new Response(form)
  const type = written.headers.get('Content-Type') ?? ''
  const bytes = new Uint8Array(await written.arrayBuffer())
  const body = await new Blob([bytes, bytes.at(-1) === 10 ? '' : '\r\n']).arrayBuffer()
  const headers = { 'Content-Type': type, 'Content-Length': String(body.byteLength) }
  return { method: 'POST', headers, body }
}

describe('a form through the Worker', () => {
  it('takes metadata of the app whose names have capitals', async () => {
    const app = mount({
      settings: withoutForms(),
      beforeUpload: () => ({ metadata: { userId: '7' } }),
    })
    const form = await jsonOf<Form>(await app.fetch('/media/s3/params?filename=cat.png'))
    expect((await app.fetch(form.url, await post(form.fields))).status).toBe(201)
  })

  it('takes metadata that begins with a byte order mark', async () => {
    const query = new URLSearchParams({ filename: 'a.txt', 'metadata[name]': '\ufeffa.txt' })
    const form: Form = await (await worker.fetch(`/s3/params?${query}`)).json()
    expect((await worker.fetch(form.url, await post(form.fields))).status).toBe(201)
  })

  it('stores metadata as a direct upload does, encoded once', async () => {
    const place = 'Łódź\nPolska'
    const query = new URLSearchParams({ filename: 'a.txt', 'metadata[place]': place })
    const form: Form = await (await worker.fetch(`/s3/params?${query}`)).json()
    expect((await worker.fetch(form.url, await post(form.fields))).status).toBe(201)
    const stored = (await bucketFetch(form.fields.key ?? '')).headers.get('x-amz-meta-place')
    const [, base64 = ''] = /^=\?UTF-8\?B\?(.*)\?=$/.exec(stored ?? '') ?? []
    expect(new TextDecoder().decode(fromBase64(base64))).toBe(place)
  })

  it('refuses too much metadata of the app when it is signed, not when it is uploaded', async () => {
    const app = mount({
      settings: withoutForms(),
      beforeUpload: () => ({ metadata: { place: 'ł'.repeat(900) } }),
    })
    const response = await app.fetch('/media/s3/params?filename=cat.png')
    expect(await jsonOf(response)).toMatchObject({ code: 'invalid_request' })
  })

  it.each([1000, 8_000_000])(
    "answers with the bucket's own refusal of a file of %d bytes",
    async (size) => {
      const of = testWorker({
        BUCKETS: { files: { ...BUCKET, uploadCredentials: 'WRONG' } },
        WRONG_ACCESS_KEY_ID: 'S3RVER',
        WRONG_SECRET_ACCESS_KEY: 'wrong',
      })
      const form: Form = await (await of.fetch('/s3/params?filename=a.bin')).json()
      const response = await of.fetch(form.url, await post(form.fields, size))
      expect(await response.json()).toMatchObject({
        message: 'The bucket answered PutObject with SignatureDoesNotMatch.',
      })
    },
  )
})

// @threat file-misattributed
it('a form does not record the object that another upload has put in its place', async () => {
  const form: Form = await (await worker.fetch('/s3/params?filename=a.bin')).json()
  const head = (etag: string) =>
    answer(200, null, {
      ...{ 'Content-Length': '5', ETag: etag },
      'Last-Modified': new Date().toUTCString(),
    })
  for (const [etag, status] of [
    ['"e2"', 409],
    ['"e1"', 201],
  ] as const) {
    scriptedBucket({ PutObject: answer(200, null, { ETag: '"e1"' }), HeadObject: head(etag) })
    const response = await worker.fetch(form.url, await post(form.fields))
    expect([etag, response.status]).toEqual([etag, status])
    if (status === 409) expect(await response.json()).toMatchObject({ code: 'file_replaced' })
  }
  vi.unstubAllGlobals()
})

it.each<[string, () => Promise<RequestInit>]>([
  ['/s3/form', () => post({ policy: 'none' })],
  ['/s3/uploads?step=none', async () => ({ method: 'POST' })],
  ['/s3/uploads/complete?step=none', async () => ({ method: 'POST' })],
])('counts %s without a valid credential by its network', async (path, init) => {
  const counted: string[] = []
  const limit = async ({ key }: { key: string }) => {
    counted.push(key)
    return { success: true }
  }
  const of = testWorker({ BUCKETS: { files: BUCKET }, RATE_LIMITER: { limit } })
  const request = await init()
  const headers = new Headers(request.headers)
  headers.set('CF-Connecting-IP', '192.0.2.1')
  expect((await of.fetch(path, { ...request, headers })).status).toBe(403)
  expect(counted).toEqual(['network 192.0.2.1'])
})

// @threat removed-key-works
it('refuses a form and a step of an API key that is gone', async () => {
  const apiKey = await testApiKey('gone', ['files:upload'])
  const variables = { BUCKETS: { files: BUCKET }, OPEN_ACCESS: undefined }
  const before = testWorker({ ...variables, API_KEYS: [apiKey.entry] })
  const after = testWorker({ ...variables, API_KEYS: [] })
  const credentials = bearer(apiKey.token)
  const form: Form = await (await before.fetch('/s3/params?filename=a', credentials)).json()
  expect((await after.fetch(form.url, await post(form.fields))).status).toBe(403)
  const signed = await before.post('/s3/sign', { method: 'POST', key: 'a' }, credentials)
  const { url } = await signed.json<{ url: string }>()
  expect((await after.fetch(url, { method: 'POST' })).status).toBe(403)
  expect((await before.fetch(url, { method: 'POST' })).status).toBe(200)
})

it('is reached where linkBase says that the presigner is', async () => {
  const linkBase = 'https://app.example.com/media'
  const app = mount({ settings: { ...withoutForms(), linkBase } })
  const form = await jsonOf<Form>(await app.fetch('/media/s3/params?filename=cat.png'))
  expect(form.url).toBe('https://app.example.com/media/s3/form')
})

const withoutForms = () => ({
  buckets: {
    files: {
      endpoint: inject('s3Endpoint'),
      region: 'us-east-1',
      bucket: 'files',
      postUploads: false,
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    },
  },
})
