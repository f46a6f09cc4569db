import { describe, expect, inject, it, vi } from 'vitest'
import { jsonOf } from '../../support/app.ts'
import { fromBase64 } from '../../support/base64.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { captureLog } from '../../support/capture-log.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { mount } from '../../support/mount.ts'
import { answer, scriptedBucket } from '../../support/scripted-bucket.ts'
import { completeXml } from '../../support/uppy.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

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
  expect((await after.fetch(form.url, await post(form.fields))).status).toBe(401)
  const signed = await before.post('/s3/sign', { method: 'POST', key: 'a' }, credentials)
  const { url } = await signed.json<{ url: string }>()
  expect((await after.fetch(url, { method: 'POST' })).status).toBe(401)
  expect((await before.fetch(url, { method: 'POST' })).status).toBe(200)
})

// @threat narrowed-key-works
it.each([
  ['without files:upload', { scopes: ['files:read'] }, 403],
  ['without keys:choose', { scopes: ['files:upload', 'files:delete'] }, 403],
  ['without files:delete', { scopes: ['files:upload', 'keys:choose'] }, 403],
  ['for another bucket', { buckets: ['other'] }, 403],
  ['for a prefix without this key', { prefix: 'avatars/b/' }, 401],
  ['for its prefix, and a new secret', { prefix: 'avatars/', sha256: 'a'.repeat(64) }, null],
] as const)('refuses a form and steps of an API key that is now %s', async (_, change, status) => {
  const key = await testApiKey('narrowed', ['files:upload', 'keys:choose', 'files:delete'])
  const variables = { BUCKETS: { files: BUCKET, other: BUCKET }, OPEN_ACCESS: undefined }
  const before = testWorker({ ...variables, API_KEYS: [key.entry] })
  const after = testWorker({ ...variables, API_KEYS: [{ ...key.entry, ...change }] })
  const lines = captureLog()
  const statusOf = async (url: string, init: RequestInit) => {
    const response = await after.fetch(url, init)
    await response.arrayBuffer()
    return response.status
  }
  const credentials = bearer(key.token)
  const objectKey = `avatars/${crypto.randomUUID()}.png`
  const chosen = { objectKey, overwrite: true }
  const query = new URLSearchParams({ filename: 'a.png', objectKey, overwrite: 'true' })
  const form: Form = await (await before.fetch(`/s3/params?${query}`, credentials)).json()
  expect(await statusOf(form.url, await post(form.fields))).toBe(status ?? 201)

  const sign = async (request: object): Promise<string> => {
    const body = { key: 'a.png', ...request }
    const signed = await before.post('/s3/sign', { method: 'POST', ...body }, credentials)
    return (await signed.json<{ url: string }>()).url
  }
  const create = await sign(chosen)
  expect(await statusOf(create, { method: 'POST' })).toBe(status ?? 200)
  const begun = await (await before.fetch(create, { method: 'POST' })).text()
  const uploadId = /<UploadId>(.*?)<\/UploadId>/.exec(begun)?.[1]
  const complete = await sign({ key: objectKey, uploadId })
  const body = completeXml(['"0"'])
  // The bucket doesn't know this part.
  expect(await statusOf(complete, { method: 'POST', body })).toBe(status ?? 400)
  const log = lines.join('\n')
  if (status === 401) expect(log).toContain('token outside the prefix of its minter: key:narrowed')
})

// @threat app-changes
it('hands the app the context of its token, frozen', async () => {
  const contexts: unknown[] = []
  const app = mount({
    settings: withoutForms(),
    events: {
      onEvent: ({ context }) => void contexts.push(context, Object.isFrozen(context)),
    },
  })
  const asked = { scopes: ['files:upload'], context: { order: 1 } }
  const { token } = await jsonOf<{ token: string }>(await app.post('/media/tokens', asked))
  const form = await jsonOf<Form>(await app.fetch(`/media/u/${token}/s3/params?filename=cat.png`))
  expect((await app.fetch(form.url, await post(form.fields))).status).toBe(201)
  expect(contexts).toEqual([{ order: 1 }, true])
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
