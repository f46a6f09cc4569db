import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import { captureLog } from '../../support/capture-log.ts'
import { bearer, type TestApiKey, testApiKey } from '../../support/credentials.ts'
import { jwtVariable, type TestIssuer, testIssuer } from '../../support/issuer.ts'
import { partUrls, putPart, startUpload } from '../../support/parts.ts'
import {
  beginUpload,
  companionPath,
  completeXml,
  formRequest,
  sign,
  startCompanion,
} from '../../support/uppy.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../../support/worker.ts'

let app: TestApiKey
let issuer: TestIssuer
let worker: TestWorker

const buckets = () => ({
  files: { ...s3rverBucket(), maxBytes: 1000, allowedTypes: ['image/*', 'text/plain'] },
  // Uppy's form goes to the Worker here.
  archive: { ...s3rverBucket(), postUploads: false },
})

const workerWith = (variables: Readonly<Record<string, unknown>> = {}): TestWorker =>
  testWorker({
    OPEN_ACCESS: undefined,
    BUCKETS: buckets(),
    API_KEYS: [app.entry],
    JWT: jwtVariable(issuer),
    ...variables,
  })

beforeAll(async () => {
  app = await testApiKey('app', SCOPES)
  issuer = await testIssuer()
  worker = workerWith()
})

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const ask = (request: object, by = app.token): Promise<Response> =>
  worker.post('/tokens', { scopes: SCOPES, ...request }, bearer(by))

async function mint(request: object, by?: string): Promise<string> {
  const response = await ask(request, by)
  if (response.status !== 200) throw new Error(await response.text())
  return (await response.json<{ token: string }>()).token
}

/** Sends requests with this credential. */
function as(token: string, to = worker): TestWorker {
  const { headers } = bearer(token)
  const withToken = (init: RequestInit = {}): RequestInit => ({
    ...init,
    headers: { ...Object.fromEntries(new Headers(init.headers)), ...headers },
  })
  return {
    fetch: (path, init) => to.fetch(path, withToken(init)),
    post: (path, body, init) => to.post(path, body, withToken(init)),
  }
}

const user = async (request: object): Promise<TestWorker> => as(await mint(request))

const refusal = async (response: Response) => {
  const { code, issues } = await response.json<{ code: string; issues?: { path: string }[] }>()
  return `${response.status} ${code} ${(issues ?? []).map(({ path }) => path).join()}`.trim()
}

const file = (changes: object = {}) => ({ fileName: 'a.png', mimetype: 'image/png', ...changes })

describe('POST /tokens', () => {
  it.each([
    ['a subject of 1 KB', { subject: 'a'.repeat(1024) }, 'subject'],
    ['a subject of 129 characters', { subject: 'a'.repeat(129) }, 'subject'],
    ['an empty subject', { subject: '' }, 'subject'],
    ['a control character in the subject', { subject: 'a\u0000b' }, 'subject'],
    ['a line break after the subject', { subject: 'alice\n' }, 'subject'],
    ['a path as the subject', { subject: '../alice' }, 'subject'],
    ['a subject that is not ASCII', { subject: 'zoë' }, 'subject'],
    ['a number as the subject', { subject: 7 }, 'subject'],
    ['no bucket', { buckets: [] }, 'buckets'],
    ['a bucket that is not text', { buckets: [1] }, 'buckets.0'],
    ['no bytes', { maxBytes: 0 }, 'maxBytes'],
    ['half a byte', { maxBytes: 0.5 }, 'maxBytes'],
    ['no type', { allowedTypes: [] }, 'allowedTypes'],
    ['half a type', { allowedTypes: ['image/png', 'image'] }, 'allowedTypes.1'],
    ['every type', { allowedTypes: ['*/*'] }, 'allowedTypes.0'],
    ['a lifetime without a half', { maxExpiresIn: 1 }, 'maxExpiresIn'],
    ['a context above 1 KB', { context: { a: 'x'.repeat(1024) } }, 'context'],
    ['101 buckets', { buckets: Array(101).fill('files') }, 'buckets'],
  ])('refuses %s', async (_, request, path) => {
    expect(await refusal(await ask(request))).toBe(`400 invalid_request ${path}`)
  })

  it.each([
    ['more bytes than its caller', { maxBytes: 1001, buckets: ['files'] }, 'maxBytes'],
    [
      'a type that its caller lacks',
      { allowedTypes: ['video/*'], buckets: ['files'] },
      'allowedTypes.0',
    ],
    ['a lifetime that no use has', { maxExpiresIn: 31_536_001 }, 'maxExpiresIn'],
  ])('refuses %s', async (_, request, path) => {
    expect(await refusal(await ask(request))).toBe(`403 forbidden ${path}`)
  })

  it('refuses a bucket that does not exist', async () => {
    expect(await refusal(await ask({ buckets: ['files', 'nope'] }))).toBe('404 unknown_bucket')
  })

  // @threat user-impersonated
  it('refuses a JWT or a token that sets a subject or a context', async () => {
    const jwt = await issuer.sign({ sub: 'alice' })
    const token = await mint({})
    const inPath = (body: object) => worker.post(`/u/${token}/tokens`, body)
    for (const said of [{ subject: 'bob' }, { context: { role: 'admin' } }]) {
      const body = { scopes: ['files:read'] as const, ...said }
      for (const by of [jwt, token])
        expect(await refusal(await ask(body, by))).toBe('403 forbidden')
      expect(await refusal(await inPath(body))).toBe('403 forbidden')
      expect((await ask(body)).status).toBe(200)
    }
  })
})

describe('the user of a token', () => {
  it('is the owner of its records, and has its own name in the log', async () => {
    const lines = captureLog()
    const alice = await user({ subject: 'alice@example.com' })
    const started = await startUpload(alice, { fileName: 'a.txt', mimetype: 'text/plain' })
    const [url = ''] = await partUrls(alice, started, [1])
    const parts = [{ partNumber: 1, etag: await putPart(url, 'hello') }]
    const { key, uploadId } = started
    const done = await alice.post(`/multipart/${uploadId}/complete`, { key, parts })
    expect(await done.json()).toMatchObject({ owner: 'key:app/alice@example.com' })
    expect(last(lines)).toMatchObject({ principal: 'key:app/alice@example.com' })
  })

  it("can not touch another user's upload, and neither can their app or a token without a user", async () => {
    const alice = await user({ subject: 'alice' })
    const started = await startUpload(alice, { fileName: 'a.txt', mimetype: 'text/plain' })
    for (const other of [await user({ subject: 'bob' }), await user({}), as(app.token)]) {
      const path = `/multipart/${started.uploadId}?key=${encodeURIComponent(started.key)}`
      expect(await refusal(await other.fetch(path))).toBe('400 invalid_upload_id')
      expect((await other.fetch(path, { method: 'DELETE' })).status).toBe(400)
    }
    const again = await user({ subject: 'alice' })
    expect(await partUrls(again, started, [1])).toHaveLength(1)
  })

  // @threat removed-key-works
  it('is refused once the key is gone, with all tokens of its tokens', async () => {
    const first = await mint({ subject: 'alice' })
    const chained = await mint({}, first)
    const renamed = workerWith({ API_KEYS: [{ ...app.entry, id: 'app2' }] })
    const rotated = workerWith({ API_KEYS: [{ ...app.entry, sha256: 'a'.repeat(64) }] })
    for (const token of [first, chained]) {
      expect((await as(token).fetch('/limits')).status).toBe(200)
      expect((await as(token, rotated).fetch('/limits')).status).toBe(200)
      expect(await refusal(await as(token, renamed).fetch('/limits'))).toBe('401 unauthenticated')
      expect((await renamed.fetch(`/u/${token}/limits`)).status).toBe(401)
      // Expired tokens can still cancel uploads, but not those of a key that is gone.
      const abort = { method: 'DELETE' }
      expect((await as(token, renamed).fetch('/multipart/x?key=a', abort)).status).toBe(401)
    }
  })

  // @threat narrowed-key-works
  it('loses what the key loses, and gets it back with the key', async () => {
    const first = await mint({ subject: 'alice', prefix: 'users/alice/' })
    const narrowedTo = (change: object) => workerWith({ API_KEYS: [{ ...app.entry, ...change }] })
    const key = 'users/alice/a.txt'
    const ask = async (change: object) => {
      const statuses = []
      for (const token of [first, await mint({}, first)]) {
        const alice = as(token, narrowedTo(change))
        for (const response of [
          await alice.fetch(`/files/${encodeURIComponent(key)}/url`),
          await alice.post('/files/upload-url', file({ size: 5, bucket: 'files' })),
          await alice.post('/tokens', { scopes: ['files:read'] }),
        ])
          statuses.push(response.status)
      }
      expect(statuses.slice(0, 3)).toEqual(statuses.slice(3))
      return statuses.slice(0, 3)
    }
    expect(await ask({})).toEqual([200, 200, 200])
    expect(await ask({ scopes: ['files:read', 'tokens:create'] })).toEqual([200, 403, 200])
    expect(await ask({ scopes: ['files:upload', 'tokens:create'] })).toEqual([403, 200, 403])
    expect(await ask({ buckets: ['archive'] })).toEqual([200, 403, 200])
    expect(await ask({ prefix: 'users/' })).toEqual([200, 200, 200])
    expect(await ask({ prefix: 'users/bob/' })).toEqual([401, 401, 401])
    expect(await ask({ prefix: 'users/alice/b/' })).toEqual([401, 401, 401])
  })

  // @threat narrowed-key-works token-other-bucket
  it('uses no bucket at all, and not the default one, if the key has none of its buckets', async () => {
    const alice = as(
      await mint({ buckets: ['files'] }),
      workerWith({ API_KEYS: [{ ...app.entry, buckets: ['archive'] }] }),
    )
    for (const query of ['', '?bucket=files', '?bucket=archive'])
      expect(await refusal(await alice.fetch(`/files/a.png/url${query}`)), query).toBe(
        '403 forbidden',
      )
    expect(await refusal(await alice.fetch('/s3/params?filename=a.txt'))).toBe('403 forbidden')
    expect(await (await alice.fetch('/limits')).json()).toMatchObject({ buckets: [] })
    expect((await alice.post('/tokens', { scopes: ['files:read'] })).status).toBe(404)
  })

  // @threat narrowed-key-works
  it('of a JWT loses the scopes and buckets that the settings lose', async () => {
    const jwt = { ...jwtVariable(issuer), scopesClaim: undefined, scopes: SCOPES, prefix: '' }
    const wide = workerWith({ JWT: jwt })
    const minted = await as(await issuer.sign(), wide).post('/tokens', { scopes: SCOPES })
    const { token } = await minted.json<{ token: string }>()
    const statusWith = async (change: object) => {
      const narrowed = as(token, workerWith({ JWT: { ...jwt, ...change } }))
      return (await narrowed.fetch('/files/a.png/url?bucket=files')).status
    }
    expect(await statusWith({})).toBe(200)
    expect(await statusWith({ scopes: ['files:list'] })).toBe(403)
    expect(await statusWith({ buckets: ['archive'] })).toBe(403)
    expect(await statusWith({ prefix: 'users/{sub}/' })).toBe(401)
  })

  // @threat removed-key-works
  it('can not use a form or a step that was signed before the key was removed', async () => {
    const alice = await user({ subject: 'alice', buckets: ['archive'] })
    const renamed = workerWith({ API_KEYS: [{ ...app.entry, id: 'app2' }] })
    const { url } = await sign(alice, { method: 'POST', key: 'a.txt' })
    expect((await renamed.fetch(url, { method: 'POST' })).status).toBe(401)
    const { request } = await formOf(alice)
    expect((await renamed.fetch('/s3/form', request)).status).toBe(401)
    expect((await worker.fetch('/s3/form', request)).status).toBe(201)
  })
})

/** The last line of the log. */
const last = (lines: readonly string[]): unknown => JSON.parse(lines.at(-1) ?? '')

/** The form of Uppy for a file of `size` bytes. */
async function formOf(by: TestWorker, size = 5) {
  const form = await (await by.fetch('/s3/params?filename=a.txt&type=text/plain')).json<{
    url: string
    fields: Record<string, string>
    expires: number
  }>()
  const body = new FormData()
  for (const [name, value] of Object.entries(form.fields)) body.set(name, value)
  body.set('file', new Blob(['x'.repeat(size)]), 'a.txt')
  return { ...form, request: await formRequest(body) }
}

describe('maxBytes', () => {
  const ten = { maxBytes: 10, buckets: ['archive'] }

  // @threat token-limit-skipped
  it('limits every way to upload, and makes the size required', async () => {
    const alice = await user(ten)
    const upload = (size?: number) => alice.post('/files/upload-url', file({ size }))
    expect(await refusal(await upload())).toBe('400 size_required')
    expect(await refusal(await upload(11))).toBe('413 file_too_large')
    expect((await upload(10)).status).toBe(200)
    const many = await alice.post('/files/upload-urls', { files: [file({ size: 11 })] })
    expect(await many.json()).toMatchObject({ uploads: [{ error: { code: 'file_too_large' } }] })
    expect(await refusal(await alice.post('/multipart', file({ size: 11 })))).toBe(
      '413 file_too_large',
    )
    const put = { method: 'PUT', key: 'a.png', contentType: 'image/png' }
    expect(await refusal(await alice.post('/s3/sign', put))).toBe('400 size_required')
    expect(await refusal(await alice.post('/s3/sign', { ...put, size: 11 }))).toBe(
      '413 file_too_large',
    )
  })

  // @threat token-limit-skipped
  it('limits the form of the Worker, and that of the bucket', async () => {
    const alice = await user(ten)
    const send = async (size: number) => {
      const { request } = await formOf(alice, size)
      return (await worker.fetch('/s3/form', request)).status
    }
    expect(await send(11)).toBe(413)
    expect(await send(10)).toBe(201)
    const { fields } = await formOf(await user({ maxBytes: 10, buckets: ['files'] }))
    expect(JSON.parse(atob(fields.Policy ?? '')).conditions).toContainEqual([
      'content-length-range',
      0,
      10,
    ])
  })

  // @threat token-limit-skipped
  it('limits an upload in parts of unknown size when it is complete, also for a wider token', async () => {
    const alice = await user({ ...ten, subject: 'alice' })
    const wider = await user({ buckets: ['archive'], subject: 'alice' })
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: undefined }
    for (const by of [alice, wider]) {
      const { key, uploadId } = await startUpload(alice, file)
      const body = { key, partNumbers: [1], sizes: [11] }
      const response = await by.post(`/multipart/${uploadId}/urls`, body)
      expect(await refusal(response)).toBe('413 file_too_large')
    }
    for (const by of [alice, wider]) {
      const { key, uploadId } = await startCompanion(alice)
      const upload = { key, uploadId, bucket: 'files' }
      const { url } = await (await alice.fetch(companionPath(upload, '/1'))).json<{ url: string }>()
      const parts = [{ PartNumber: 1, ETag: await putPart(url, 'x'.repeat(11)) }]
      const response = await by.post(companionPath(upload, '/complete'), { parts })
      expect(await refusal(response)).toBe('413 file_too_large')
    }
  })

  // @threat token-limit-skipped
  it('limits an upload in parts by steps, in the step that completes it, whoever starts it', async () => {
    const alice = await user({ ...ten, subject: 'alice' })
    const wider = await user({ buckets: ['archive'], subject: 'alice' })
    for (const [starter, by] of [
      [alice, alice],
      [alice, wider],
      [wider, alice],
    ] as const) {
      const { key, uploadId } = await beginUpload(starter)
      const part = await sign(by, { method: 'PUT', key, uploadId, partNumber: 1 })
      const body = completeXml([await putPart(part.url, 'x'.repeat(11))])
      const { url } = await sign(by, { method: 'POST', key, uploadId })
      const response = await worker.fetch(url, { method: 'POST', body })
      expect(response.status).toBe(413)
      expect(await response.text()).toContain('<Code>file_too_large</Code>')
    }
  })
})

// @threat token-two-spellings
it('a token in a path has one spelling', async () => {
  const token = await mint({ scopes: ['files:list'] })
  const statusOf = async (text: string, more = '') =>
    (await worker.fetch(`/u/${text}/files${more}`)).status
  expect(await statusOf(token)).toBe(200)
  for (const encoded of [`%65${token.slice(1)}`, token.replace('.', '%2E')]) {
    expect(await statusOf(encoded)).toBe(401)
    expect(await statusOf(encoded, `?prefix=/u/${token}/`)).toBe(401)
  }
})

// @threat token-limit-skipped
it('allowedTypes limits every way to upload', async () => {
  const alice = await user({ allowedTypes: ['IMAGE/png'], buckets: ['files'] })
  const jpeg = file({ mimetype: 'image/jpeg', size: 5 })
  const refused = '400 mimetype_not_allowed'
  expect(await refusal(await alice.post('/files/upload-url', jpeg))).toBe(refused)
  expect(await refusal(await alice.post('/multipart', jpeg))).toBe(refused)
  const params = '/s3/params?filename=a&type=image/jpeg'
  expect(await refusal(await alice.fetch(params))).toBe(refused)
  const companion = { filename: 'a', type: 'image/jpeg' }
  expect(await refusal(await alice.post('/s3/multipart', companion))).toBe(refused)
  for (const method of ['PUT', 'POST']) {
    const request = { method, key: 'a', contentType: 'image/jpeg', size: 5 }
    expect(await refusal(await alice.post('/s3/sign', request))).toBe(refused)
  }
  expect((await alice.post('/files/upload-url', file({ size: 5 }))).status).toBe(200)
})

describe('maxExpiresIn', () => {
  const NOW = new Date('2026-11-24T12:00:01Z')
  const LIMIT = 60
  const key = encodeURIComponent('a.png')

  /** When a URL or link expires, in seconds from now. */
  function secondsOf(text: string): number {
    const { searchParams } = new URL(text)
    const now = NOW.getTime() / 1000
    const exp = searchParams.get('exp')
    if (exp !== null) return Number(exp) - now
    const [, date = '', time = ''] =
      /^(\d{8})T(\d{6})Z$/.exec(searchParams.get('X-Amz-Date') ?? '') ?? []
    const [, y, mo, d] = /^(\d{4})(\d\d)(\d\d)$/.exec(date) ?? []
    const [, h, mi, s] = /^(\d\d)(\d\d)(\d\d)$/.exec(time) ?? []
    const signedAt = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`) / 1000
    const seconds = Number(searchParams.get('X-Amz-Expires'))
    expect(seconds).toBeLessThanOrEqual(LIMIT)
    return signedAt + seconds - now
  }

  /** All URLs in an answer. */
  const urlsIn = (json: unknown): string[] =>
    typeof json === 'string'
      ? /^https?:.*[?&](?:X-Amz-Expires|exp)=/.test(json)
        ? [json]
        : []
      : Object.values(Object(json)).flatMap(urlsIn)

  // @threat token-limit-skipped
  it('bounds every URL and link, with and without a lifetime in the request', async () => {
    vi.useFakeTimers({ now: NOW, toFake: ['Date'] })
    const alice = await user({ maxExpiresIn: LIMIT, subject: 'alice' })
    await worker.post('/files', { key: 'a.png', name: 'a.png' }, bearer(app.token))
    const started = await startUpload(alice, file({ fileName: 'a.txt', mimetype: 'text/plain' }))
    const companion = await startCompanion(alice, { filename: 'a.txt', type: 'text/plain' })
    const asked: (readonly [string, unknown?])[] = [
      ['/files/upload-url', file({ size: 5 })],
      ['/files/upload-url', file({ size: 5, expiresIn: LIMIT })],
      ['/files/upload-urls', { files: [file({ size: 5 }), file({ size: 6 })] }],
      ...['view', 'stream', 'email'].map((use) => [`/files/${key}/url?use=${use}`] as const),
      [`/files/${key}/url?stable=true`],
      [`/files/${key}/url?stable=true&expiresIn=30`],
      [`/files/${key}/url?expiresIn=${LIMIT}&download=a`],
      ['/files/urls', { keys: ['a.png', 'b.png'], use: 'email' }],
      ['/links', { keys: ['a.png'] }],
      ['/links', { keys: ['a.png'], expiresIn: 30 }],
      [`/files/${key}/link`, {}],
      [`/multipart/${started.uploadId}/urls`, { key: started.key, partNumbers: [1] }],
      ['/s3/sign', { method: 'PUT', key: 'a.png', size: 5, contentType: 'image/png' }],
      ...(['PUT', 'GET', 'DELETE'] as const).map(
        (method) => ['/s3/sign', { method, ...companion, bucket: 'files', partNumber: 1 }] as const,
      ),
      [companionPath(companion, '/1')],
      [`${companionPath(companion, '/batch')}&partNumbers=1`],
    ]
    for (const [path, body] of asked) {
      const response = await (body === undefined ? alice.fetch(path) : alice.post(path, body))
      expect(response.status, path).toBe(200)
      const urls = urlsIn(await response.json())
      expect(urls.length, path).toBeGreaterThan(0)
      for (const url of urls) expect(secondsOf(url), path).toBeLessThanOrEqual(LIMIT)
    }
    const form = await formOf(alice)
    expect(form.expires).toBeLessThanOrEqual(LIMIT)
  })

  // @threat token-limit-skipped
  it('bounds the URLs of a list', async () => {
    const upload = file({ fileName: 'a.txt', mimetype: 'text/plain', size: 5 })
    const {
      uploadUrl,
      headers,
      key: made,
    } = await (await as(app.token).post('/files/upload-url', upload)).json<{
      uploadUrl: string
      headers: Record<string, string>
      key: string
    }>()
    await fetch(uploadUrl, { method: 'PUT', headers, body: 'hello' })
    await as(app.token).post('/files', { key: made, name: 'a.txt' })
    const alice = await user({ maxExpiresIn: LIMIT })
    for (const use of ['view', 'stream', 'email']) {
      const page = await (await alice.fetch(`/files?urls=${use}&prefix=${made}`)).json()
      const urls = urlsIn(page)
      expect(urls).toHaveLength(1)
      for (const url of urls)
        expect(Number(new URL(url).searchParams.get('X-Amz-Expires'))).toBeLessThanOrEqual(LIMIT)
    }
  })

  it('bounds a step of an upload', async () => {
    vi.useFakeTimers({ now: NOW, toFake: ['Date'] })
    const alice = await user({ maxExpiresIn: LIMIT, subject: 'alice' })
    const { url } = await sign(alice, { method: 'POST', key: 'a.txt', contentType: 'text/plain' })
    vi.setSystemTime(NOW.getTime() + LIMIT * 1000)
    expect((await worker.fetch(url, { method: 'POST' })).status).toBe(403)
  })

  it('refuses a longer lifetime, and does not shorten it', async () => {
    const alice = await user({ maxExpiresIn: LIMIT })
    const refused = '400 invalid_expiry'
    const get = async (query: string) => refusal(await alice.fetch(`/files/${key}/url?${query}`))
    expect(await get('expiresIn=61')).toBe(refused)
    expect(await get('use=email&expiresIn=61')).toBe(refused)
    expect(await get('stable=true&expiresIn=31')).toBe(refused)
    const post = async (path: string, body: object) => refusal(await alice.post(path, body))
    expect(await post('/files/upload-url', file({ size: 5, expiresIn: 61 }))).toBe(refused)
    expect(await post('/links', { keys: ['a.png'], expiresIn: 31 })).toBe(refused)
    expect(await post(`/files/${key}/link`, { expiresIn: 31 })).toBe(refused)
  })

  // @threat token-limit-skipped
  it('refuses a link with a redirect, whose target would outlive it', async () => {
    const alice = await user({ maxExpiresIn: LIMIT })
    const delivery = 'redirect'
    expect(await refusal(await alice.post(`/files/${key}/link`, { delivery }))).toBe(
      '403 forbidden',
    )
    expect(await refusal(await alice.post('/links', { keys: ['a.png'], delivery }))).toBe(
      '403 forbidden',
    )
  })
})

describe('buckets', () => {
  const defaultOf = async (by: TestWorker) =>
    (await (await by.post('/files/upload-url', file({ size: 5 }))).json<{ bucket: string }>())
      .bucket

  it('start with the default bucket of a token, an API key and a JWT', async () => {
    const chosen = ['archive', 'files']
    const keyed = await testApiKey('keyed', SCOPES)
    const other = workerWith({
      API_KEYS: [app.entry, { ...keyed.entry, buckets: chosen }],
      JWT: { ...jwtVariable(issuer), scopes: SCOPES, scopesClaim: undefined, buckets: chosen },
    })
    const jwt = await issuer.sign()
    for (const [token, to] of [
      [await mint({ buckets: chosen }), worker],
      [keyed.token, other],
      [jwt, other],
    ] as const)
      expect(await defaultOf(as(token, to))).toBe('archive')
    expect(await defaultOf(as(app.token, other))).toBe('files')
    const { buckets } = await (await as(jwt, other).fetch('/limits')).json<{ buckets: object[] }>()
    expect(buckets).toMatchObject([{ bucket: 'archive' }, { bucket: 'files' }])
  })

  it('start with the default bucket in Companion mode', async () => {
    const lines = captureLog()
    const inArchive = workerWith({
      BUCKETS: { ...buckets(), archive: { ...s3rverBucket(), bucket: 'archive-bucket' } },
    })
    const alice = as(await mint({ buckets: ['archive'] }), inArchive)
    const form = await (await alice.fetch('/s3/params?filename=a.txt')).json<{ url: string }>()
    expect(form.url).toContain('/archive-bucket')
    for (const path of [
      '/s3/multipart/x?key=a',
      '/s3/multipart/x/1?key=a',
      '/s3/multipart/x/batch?key=a&partNumbers=1',
    ]) {
      await alice.fetch(path)
      expect(last(lines), path).toMatchObject({ bucket: 'archive' })
    }
    await alice.fetch('/s3/multipart/x?key=a', { method: 'DELETE' })
    expect(last(lines)).toMatchObject({ bucket: 'archive' })
    await alice.post('/s3/multipart/x/complete?key=a', { parts: [{ PartNumber: 1, ETag: 'e' }] })
    expect(last(lines)).toMatchObject({ bucket: 'archive' })
    await alice.post('/s3/multipart', { filename: 'a.txt' })
    expect(last(lines)).toMatchObject({ bucket: 'archive' })
  })

  it('that are no longer configured are an error, and never another bucket', async () => {
    const alice = as(
      await mint({ buckets: ['archive'] }),
      workerWith({ BUCKETS: { files: s3rverBucket() } }),
    )
    expect(await refusal(await alice.fetch('/files'))).toBe('404 unknown_bucket')
    expect(await refusal(await alice.fetch('/files?bucket=files'))).toBe('403 forbidden')
    expect(await (await alice.fetch('/limits')).json()).toMatchObject({ buckets: [] })
  })
})

describe('GET /limits', () => {
  it('shows what an API key may do, in every bucket', async () => {
    const response = await as(app.token).fetch('/limits')
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    const most = { view: 604_800, stream: 604_800, email: 604_800, link: 31_536_000 }
    const maxExpiresIn = { upload: 3600, ...most }
    expect(await response.json()).toEqual({
      scopes: SCOPES,
      prefix: '',
      expiresAt: null,
      answers: false,
      plugins: expect.arrayContaining(['files', 'tokens']),
      tag: expect.stringMatching(/^[\w-]{22}$/),
      buckets: [
        { bucket: 'files', maxBytes: 1000, allowedTypes: ['image/*', 'text/plain'], maxExpiresIn },
        { bucket: 'archive', maxBytes: null, allowedTypes: null, maxExpiresIn },
      ],
    })
  })

  it('shows what a token may do, without its id and context', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-24T12:00:00Z'), toFake: ['Date'] })
    const request = {
      scopes: ['files:upload'],
      prefix: 'users/alice/',
      subject: 'alice',
      buckets: ['archive', 'files'],
      maxBytes: 100,
      allowedTypes: ['image/png'],
      maxExpiresIn: 600,
      context: { secret: 'of the app' },
    }
    const token = await mint(request)
    const limits = { view: 600, stream: 600, email: 600, link: 600 }
    const rest = {
      maxBytes: 100,
      allowedTypes: ['image/png'],
      maxExpiresIn: { upload: 600, ...limits },
    }
    expect(await (await worker.fetch(`/u/${token}/limits`)).json()).toEqual({
      scopes: ['files:upload'],
      prefix: 'users/alice/',
      expiresAt: '2026-11-24T12:10:00.000Z',
      answers: false,
      plugins: expect.arrayContaining(['files', 'tokens']),
      tag: expect.stringMatching(/^[\w-]{22}$/),
      buckets: [
        { bucket: 'archive', ...rest },
        { bucket: 'files', ...rest },
      ],
    })
  })
})
