import { describe, expect, inject, it, vi } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import { fromBase64 } from '../../support/base64.ts'
import { captureLog } from '../../support/capture-log.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { uppyRefusal } from '../../support/uppy.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

interface Params {
  readonly method: string
  readonly url: string
  readonly fields: Record<string, string>
  readonly expires: number
}

const worker = testWorker()
const limited = (changes: object) =>
  testWorker({ BUCKETS: { files: { ...s3rverBucket(), ...changes } } })

/** Sends the request as Uppy does, with brackets percent-encoded by URLSearchParams. */
const ask = (query: Record<string, string>, of = worker) =>
  of.fetch(`/s3/params?${new URLSearchParams(query)}`)
const params = async (query: Record<string, string>, of = worker): Promise<Params> =>
  (await ask(query, of)).json()

const policyOf = ({ fields }: Params): { conditions: unknown[] } =>
  JSON.parse(new TextDecoder().decode(fromBase64(fields.Policy ?? '')))

describe('GET /s3/params', () => {
  it('answers with a form, as Companion does', async () => {
    const query = { filename: 'My Cat.JPG', type: 'image/jpeg', 'metadata[name]': 'My Cat.JPG' }
    expect(await params(query)).toEqual({
      method: 'POST',
      url: `${inject('s3Endpoint')}/files/`,
      fields: {
        success_action_status: '201',
        'content-type': 'image/jpeg',
        'x-amz-meta-name': 'My Cat.JPG',
        bucket: 'files',
        'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
        'X-Amz-Credential': expect.stringMatching(/^S3RVER\/\d{8}\/us-east-1\/s3\/aws4_request$/),
        'X-Amz-Date': expect.stringMatching(/^\d{8}T\d{6}Z$/),
        key: expect.stringMatching(/^uploads\/[0-9a-z]{20}-my-cat\.jpg$/),
        Policy: expect.any(String),
        'X-Amz-Signature': expect.stringMatching(/^[0-9a-f]{64}$/),
      },
      expires: 800,
    })
  })

  it('lets a browser upload the file, and the page record it', async () => {
    const query = { filename: 'a.txt', type: 'text/plain', 'metadata[name]': 'Zoë.txt' }
    const { url, fields } = await params(query)
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    form.append('file', new Blob(['hello']), 'a.txt')
    const response = await fetch(url, { method: 'POST', body: form })
    expect(response.status).toBe(201)
    const recorded = await worker.post('/files', { key: fields.key, name: 'Zoë.txt' })
    expect(await recorded.json()).toMatchObject({ size: 5, mimetype: 'text/plain' })
  })

  it('also reads plain brackets, and ignores unknown parameters', async () => {
    const response = await worker.fetch('/s3/params?filename=a&metadata[a]=1&uppy=x&metadata=x')
    const { fields }: Params = await response.json()
    expect(Object.keys(fields).filter((name) => name.startsWith('x-amz-meta-'))).toEqual([
      'x-amz-meta-a',
    ])
  })

  it('keeps metadata unchanged, with names in lower case', async () => {
    const value = 'Zoë & "Co" <漢字> 50%+1 [x]'
    const { fields } = await params({
      filename: 'a',
      'metadata[Some_Name]': value,
      'metadata[e]': '',
    })
    expect(fields).toMatchObject({ 'x-amz-meta-some_name': value, 'x-amz-meta-e': '' })
  })

  it('omits metadata that S3 cannot store, or without a value', async () => {
    const lines = captureLog()
    const { fields } = await params({
      filename: 'a',
      'metadata[user.name]': 'x',
      'metadata[relativePath]': 'null',
      'metadata[b]': 'undefined',
      'metadata[a b]': 'x',
      'metadata[é]': 'x',
      'metadata[]': 'x',
      'metadata[x\r\ny]': 'x',
      [`metadata[${'n'.repeat(65)}]`]: 'x',
      'metadata[large]': 'x'.repeat(2048),
      'metadata[last]': 'x',
    })
    const kept = Object.entries(fields).filter(([name]) => name.startsWith('x-amz-meta-'))
    expect(kept).toEqual([
      ['x-amz-meta-user.name', 'x'],
      ['x-amz-meta-last', 'x'],
    ])
    vi.restoreAllMocks()
    expect(lines.join()).toContain('metadata left out: 6')
  })

  it('keeps at most the 2 KB that S3 allows for metadata', async () => {
    const value = 'x'.repeat(2048 - 'largelast'.length - 1)
    const query = { filename: 'a', 'metadata[large]': value, 'metadata[last]': 'y' }
    expect((await params(query)).fields).toMatchObject({
      'x-amz-meta-large': value,
      'x-amz-meta-last': 'y',
    })
    const more = await params({ ...query, 'metadata[last]': 'yz' })
    expect(more.fields).not.toHaveProperty('x-amz-meta-last')
  })

  it('encodes metadata that a form would change in transit', async () => {
    const { fields } = await params({ filename: 'a', 'metadata[caption]': 'two\nlines' })
    expect(fields['x-amz-meta-caption']).toBe('=?UTF-8?B?dHdvCmxpbmVz?=')
  })

  it.each(['weird', 'undefined', 'null', 'image/png, text/html', '/', 'a/b'.repeat(100)])(
    'treats a file of the type %j as application/octet-stream',
    async (type) => {
      const { fields } = await params({ filename: 'a.png', type })
      expect(fields['content-type']).toBe('application/octet-stream')
    },
  )

  it('leaves out the codecs of a recording, whose comma no type may have', async () => {
    const { fields } = await params({ filename: 'a', type: 'video/webm;codecs=vp8,opus' })
    expect(fields['content-type']).toBe('video/webm')
  })

  it('has no type in the form when the client sends none', async () => {
    for (const query of [{ filename: 'a' }, { filename: 'a', type: '' }])
      expect((await params(query)).fields).not.toHaveProperty('content-type')
  })

  it('generates the key under the prefix of the principal', async () => {
    const apiKey = await testApiKey('ci', SCOPES, 'team-a/')
    const protectedWorker = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [apiKey.entry] })
    const minted = await protectedWorker.post(
      '/tokens',
      { scopes: ['files:upload'] },
      bearer(apiKey.token),
    )
    const { token }: { token: string } = await minted.json()
    const response = await protectedWorker.fetch(`/u/${token}/s3/params?filename=../../b.txt`)
    const { fields }: Params = await response.json()
    expect(fields.key).toMatch(/^team-a\/uploads\/[0-9a-z]{20}-b\.txt$/)
  })

  it('applies the size limit of the bucket', async () => {
    const small = await params({ filename: 'a' }, limited({ maxBytes: 1000 }))
    expect(policyOf(small).conditions).toContainEqual(['content-length-range', 0, 1000])
    const large = await params({ filename: 'a' })
    expect(policyOf(large).conditions).toContainEqual(['content-length-range', 0, 5_368_709_120])
  })
})

describe('GET /s3/params is refused', () => {
  const NO_NAME =
    '400 s3: the "filename" query parameter is required and must be a non-empty string'

  it.each(['', 'filename=', 'Filename=a', 'type=image%2Fpng'])(
    'for the query %j',
    async (query) => {
      expect(await uppyRefusal(await worker.fetch(`/s3/params?${query}`))).toBe(NO_NAME)
    },
  )

  it('for a file name that is too long, with that reason', async () => {
    expect(await uppyRefusal(await ask({ filename: 'a'.repeat(1025) }))).toBe(
      '400 s3: the file name may have at most 1024 characters.',
    )
    expect((await ask({ filename: 'a'.repeat(1024) })).status).toBe(200)
  })

  it.each([
    ['text/html', 'type_mismatch'],
    ['Text/HTML; charset=utf-8', 'type_mismatch'],
  ])('for the type %s', async (type, code) => {
    const response = await ask({ filename: 'a.png', type })
    expect(await response.json()).toMatchObject({ code })
  })

  it('for a missing type or one that the bucket does not accept', async () => {
    const images = limited({ allowedTypes: ['image/*'] })
    for (const type of ['text/plain', '']) {
      const response = await ask({ filename: 'a', type }, images)
      expect(await response.json(), type).toMatchObject({ code: 'mimetype_not_allowed' })
    }
    expect((await ask({ filename: 'a', type: 'image/png' }, images)).status).toBe(200)
  })
})
