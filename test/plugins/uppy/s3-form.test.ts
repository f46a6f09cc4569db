import { beforeEach, describe, expect, inject, it, vi } from 'vitest'
import { toHex } from '../../support/base64.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { formRequest, uppyRefusal } from '../../support/uppy.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../../support/worker.ts'

interface Params {
  readonly method: string
  readonly url: string
  readonly fields: Record<string, string>
  readonly expires: number
}

const withoutForms = (changes: object = {}) => ({
  BUCKETS: { files: { ...s3rverBucket(), postUploads: false, ...changes } },
})
const worker = testWorker(withoutForms())

const params = async (query: Record<string, string>, of = worker): Promise<Params> =>
  (await of.fetch(`/s3/params?${new URLSearchParams(query)}`)).json()

function formOf(
  fields: Readonly<Record<string, string>>,
  file: string | Uint8Array = 'hello',
): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  form.append('file', new Blob([file], { type: 'text/html' }), 'evil.html')
  return form
}

/** POSTs `form` as browsers do. */
async function post(
  { url }: Pick<Params, 'url'>,
  form: FormData,
  of: TestWorker = worker,
  headers: Record<string, string> = {},
): Promise<Response> {
  const request = await formRequest(form)
  const written = Object.fromEntries(new Headers(request.headers))
  return of.fetch(url, { ...request, headers: { ...written, ...headers } })
}

const stored = async (key = ''): Promise<number> => (await bucketFetch(key)).status

describe('GET /s3/params for a bucket that does not accept forms', () => {
  it('answers with a form for the Worker itself', async () => {
    const query = { filename: 'My Cat.JPG', type: 'image/jpeg', 'metadata[name]': 'My Cat.JPG' }
    expect(await params(query)).toEqual({
      method: 'POST',
      url: 'http://localhost:8787/s3/form',
      fields: {
        success_action_status: '201',
        'content-type': 'image/jpeg',
        'x-amz-meta-name': 'My Cat.JPG',
        bucket: 'files',
        key: expect.stringMatching(/^uploads\/[0-9a-z]{20}-my-cat\.jpg$/),
        policy: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      },
      expires: 800,
    })
  })
})

describe('POST /s3/form', () => {
  it('returns the public URL of the file when clients reach the bucket by another host', async () => {
    const publicEndpoint = inject('s3Endpoint').replace('127.0.0.1', 'localhost')
    const of = testWorker(withoutForms({ publicEndpoint }))
    const form = await params({ filename: 'a.txt', type: 'text/plain' }, of)
    const response = await post(form, formOf(form.fields), of)
    expect(response.status).toBe(201)
    expect(response.headers.get('Location')).toBe(`${publicEndpoint}/files/${form.fields.key}`)
  })

  it('stores the file, records it for the caller, and answers as S3 does', async () => {
    const apiKey = await testApiKey('ci', ['files:upload'])
    const of = testWorker({ ...withoutForms(), OPEN_ACCESS: undefined, API_KEYS: [apiKey.entry] })
    const query = new URLSearchParams({
      filename: 'Zoë.txt',
      type: 'text/plain',
      'metadata[place]': 'Łódź',
    })
    const asked = await of.fetch(`/s3/params?${query}`, bearer(apiKey.token))
    const form: Params = await asked.json()
    const response = await post(form, formOf(form.fields), of)
    expect(response.status).toBe(201)
    const location = `${inject('s3Endpoint')}/files/${encodeURI(form.fields.key ?? '')}`
    const etag = response.headers.get('ETag') ?? ''
    expect(response.headers.get('Location')).toBe(location)
    expect(etag).toBe('"5d41402abc4b2a76b9719d911017c592"')
    expect(await response.text()).toContain(
      `<PostResponse><Location>${location}</Location><Bucket>files</Bucket><Key>${form.fields.key}</Key><ETag>&quot;5d41402abc4b2a76b9719d911017c592&quot;</ETag></PostResponse>`,
    )
    const object = await bucketFetch(form.fields.key ?? '')
    expect(await object.text()).toBe('hello')
    expect(object.headers.get('Content-Type')).toBe('text/plain')
    expect(object.headers.get('x-amz-meta-place')).toBe('=?UTF-8?B?xYHDs2TFug==?=')
    const record = await worker.fetch(`/files/${form.fields.key}`)
    expect(await record.json()).toMatchObject({
      name: 'Zoë.txt',
      size: 5,
      owner: 'key:ci',
      etag,
    })
  })

  it('streams a file of many megabytes', async () => {
    const bytes = new Uint8Array(8 * 1024 ** 2)
    crypto.getRandomValues(bytes.subarray(0, 65_536))
    for (let at = 65_536; at < bytes.length; at *= 2) bytes.copyWithin(at, 0, at)
    const form = await params({ filename: 'large.bin' })
    expect((await post(form, formOf(form.fields, bytes))).status).toBe(201)
    const object = await bucketFetch(form.fields.key ?? '')
    const digest = async (of: BufferSource) => toHex(await crypto.subtle.digest('SHA-256', of))
    expect(await digest(await object.arrayBuffer())).toBe(await digest(bytes))
  })

  it('stores an empty file', async () => {
    const form = await params({ filename: 'empty.txt' })
    expect((await post(form, formOf(form.fields, ''))).status).toBe(201)
    expect(await stored(form.fields.key)).toBe(200)
  })

  it('lets a page of a configured origin read the URL of the file', async () => {
    const origin = 'https://app.example.com'
    const of = testWorker({ ...withoutForms(), CORS_ORIGINS: [origin] })
    const form = await params({ filename: 'a.txt' }, of)
    const response = await post(form, formOf(form.fields), of, { Origin: origin })
    expect(response.status).toBe(201)
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe(origin)
    expect(response.headers.get('Access-Control-Expose-Headers')).toMatch(/ETag.*Location/)
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    const preflight = await of.fetch(form.url, {
      method: 'OPTIONS',
      headers: { Origin: origin, 'Access-Control-Request-Method': 'POST' },
    })
    expect(preflight.headers.get('Access-Control-Allow-Origin')).toBe(origin)
  })

  it('counts against the principal of its policy', async () => {
    const keys: string[] = []
    const limiter = {
      limit: async ({ key }: { key: string }) => {
        keys.push(key)
        return { success: keys.length === 1 }
      },
    }
    const of = testWorker({ ...withoutForms(), RATE_LIMITER: limiter })
    const form = await params({ filename: 'a.txt' }, of)
    expect(await uppyRefusal(await post(form, formOf(form.fields), of))).toMatch(/^429 /)
    expect(keys).toEqual(['principal localhost', 'principal localhost'])
    expect(await stored(form.fields.key)).toBe(404)
  })

  describe('refuses without storing anything', () => {
    let form: Params
    beforeEach(async () => {
      form = await params({ filename: 'a.txt', type: 'text/plain' })
      return async () => {
        vi.useRealTimers()
        expect(await stored(form.fields.key)).toBe(404)
      }
    })

    // @threat form-changed
    it.each<readonly [string, Record<string, string | undefined>]>([
      ['a different type', { 'content-type': 'text/html' }],
      ['no type', { 'content-type': undefined }],
      ['a different key', { key: 'uploads/other.txt' }],
      ['a different bucket', { bucket: 'other' }],
      ['metadata', { 'x-amz-meta-a': 'b' }],
      ['public access', { acl: 'public-read' }],
      ['a redirect', { success_action_redirect: 'https://evil.example' }],
      ['no policy', { policy: undefined }],
      ['a policy that is not signed', { policy: 'eyJhbGciOiJub25lIn0.e30.' }],
    ])('%s', async (_, change) => {
      const fields = Object.entries({ ...form.fields, ...change })
      const kept = fields.filter((field): field is [string, string] => field[1] !== undefined)
      const refusal = await uppyRefusal(await post(form, formOf(Object.fromEntries(kept))))
      expect(refusal).toMatch(/^403 /)
    })

    // @threat form-changed
    it('a policy that was changed', async () => {
      const [header, claims = '', signature] = (form.fields.policy ?? '').split('.')
      const text = atob(claims.replaceAll('-', '+').replaceAll('_', '/'))
      const forged = btoa(text.replace('text/plain', 'text/html'))
        .replaceAll('+', '-')
        .replaceAll('/', '_')
        .replaceAll('=', '')
      const policy = `${header}.${forged}.${signature}`
      const fields = { ...form.fields, 'content-type': 'text/html', policy }
      expect(await uppyRefusal(await post(form, formOf(fields)))).toMatch(/^403 /)
    })

    it('a form that has expired', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 801_000 })
      expect(await uppyRefusal(await post(form, formOf(form.fields)))).toMatch(/^403 .*expired/)
    })

    it('a file above the size limit of the bucket', async () => {
      const of = testWorker(withoutForms({ maxBytes: 4 }))
      form = await params({ filename: 'a.txt', type: 'text/plain' }, of)
      expect(await uppyRefusal(await post(form, formOf(form.fields), of))).toMatch(/^413 /)
    })

    it('a file above the current limit, even if the form allows it', async () => {
      const of = testWorker(withoutForms({ maxBytes: 4 }))
      expect(await uppyRefusal(await post(form, formOf(form.fields), of))).toMatch(/^413 /)
    })

    it('a form of more than 100 MB', async () => {
      const response = await worker.fetch(form.url, {
        method: 'POST',
        headers: {
          'Content-Type': 'multipart/form-data; boundary=b',
          'Content-Length': '100000001',
        },
        body: '--b',
      })
      expect(await uppyRefusal(response)).toMatch(/^413 .*Upload a larger file in parts/)
    })

    // @threat form-interrupted
    it('a form that is truncated in its file', async () => {
      const body = `--b\r\n${Object.entries(form.fields)
        .map(
          ([name, value]) =>
            `Content-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n--b\r\n`,
        )
        .join(
          '',
        )}Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n${'x'.repeat(99)}`
      const headers = {
        'Content-Type': 'multipart/form-data; boundary=b',
        'Content-Length': String(body.length + 50),
      }
      const response = await worker.fetch(form.url, { method: 'POST', headers, body })
      expect(await uppyRefusal(response)).toMatch(/^400 The form must end with its file/)
    })

    it('an upload that the bucket refuses', async () => {
      const of = testWorker({ ...withoutForms(), S3_SECRET_ACCESS_KEY: 'wrong' })
      const response = await post(form, formOf(form.fields), of)
      expect(await uppyRefusal(response)).toMatch(/^503 .*SignatureDoesNotMatch/)
    })
  })
})
