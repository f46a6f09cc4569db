import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { SCOPES, type Scope } from '../../src/access/scopes.ts'
import { bucketFetch } from '../support/bucket.ts'
import { captureLog } from '../support/capture-log.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { open, textOf } from '../support/links.ts'
import { partUrls, putPart, type StartedUpload } from '../support/parts.ts'
import { CHOSEN_KEY_ROUTES, type ProtectedRoute } from '../support/protected-routes.ts'
import { failNextPurge } from '../support/purge.ts'
import { readableIn } from '../support/readable.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../support/worker.ts'

afterEach(() => vi.restoreAllMocks())

const ID = 'y0'.repeat(10)
let serial = 0
/** A key that no other test uses, in the folder `avatars/`. */
const newKey = (name = '42.png') => `avatars/${++serial}-${crypto.randomUUID()}/${name}`

interface Setup {
  readonly prefix?: string
  readonly bucket?: object
  readonly variables?: object
}

/** A Worker for an API key with these scopes, whose requests have that key. */
async function workerWith(
  scopes: readonly Scope[],
  { prefix = '', bucket = {}, variables = {} }: Setup = {},
): Promise<TestWorker> {
  const apiKey = await testApiKey('ci', scopes, prefix)
  const { headers } = bearer(apiKey.token)
  const worker = testWorker({
    BUCKETS: { files: { ...s3rverBucket(), ...bucket } },
    OPEN_ACCESS: undefined,
    API_KEYS: [apiKey.entry],
    ...variables,
  })
  const withKey = (init: RequestInit = {}) => ({
    ...init,
    headers: { ...headers, ...Object.fromEntries(new Headers(init.headers)) },
  })
  return {
    fetch: (path, init) => worker.fetch(path, withKey(init)),
    post: (path, body, init) => worker.post(path, body, withKey(init)),
  }
}

const CHOOSER: readonly Scope[] = ['files:upload', 'keys:choose', 'files:read', 'links:create']
const REPLACER: readonly Scope[] = [...CHOOSER, 'files:delete']

/** Sends a request that starts an upload to `key`, with the members of `more` added. */
function startTo(
  of: TestWorker,
  { request }: ProtectedRoute,
  key: string,
  more: object = {},
): Promise<Response> {
  const [path, body] = request(key, '')
  return body === undefined
    ? of.fetch(`${path}&${new URLSearchParams({ ...more })}`)
    : of.post(path, { ...body, ...more })
}

/** `label` names the route of a loop. */
async function expectError(response: Response, expected: string, label?: string): Promise<void> {
  const { code }: { code?: string } = await response.json()
  expect.soft(`${response.status} ${code}`, label).toBe(expected)
}

const keyIn = async (response: Response): Promise<string | undefined> => {
  const body: { key?: string; fields?: { key: string } } = await response.json()
  return body.key ?? body.fields?.key
}

describe('each request that starts an upload, with a chosen key,', () => {
  it('uses exactly this key', async () => {
    const of = await workerWith(CHOOSER)
    for (const route of CHOSEN_KEY_ROUTES) {
      const key = newKey('My Cat é.png')
      const response = await startTo(of, route, key)
      expect.soft(response.status, route.route).toBe(200)
      expect.soft(await keyIn(response), route.route).toBe(key)
    }
  })

  it('needs the scopes files:upload and keys:choose', async () => {
    for (const missing of ['files:upload', 'keys:choose']) {
      const of = await workerWith(SCOPES.filter((scope) => scope !== missing))
      for (const route of CHOSEN_KEY_ROUTES)
        await expectError(
          await startTo(of, route, newKey()),
          '403 forbidden',
          `${route.route}, ${missing}`,
        )
    }
  })

  // @threat object-replaced
  it('needs the scope files:delete to replace an object', async () => {
    const overwrite = { overwrite: true }
    const allowed = await workerWith(SCOPES)
    const refused = await workerWith(SCOPES.filter((scope) => scope !== 'files:delete'))
    for (const route of CHOSEN_KEY_ROUTES) {
      const key = newKey()
      await expectError(await startTo(refused, route, key, overwrite), '403 forbidden', route.route)
      expect.soft((await startTo(allowed, route, key, overwrite)).status, route.route).toBe(200)
    }
  })

  it("refuses a key outside the caller's prefix", async () => {
    const of = await workerWith(SCOPES, { prefix: 'team-a/' })
    for (const route of CHOSEN_KEY_ROUTES) {
      for (const key of ['team-b/a.png', 'team-a', 'a.png'])
        await expectError(await startTo(of, route, key), '403 forbidden', `${route.route}, ${key}`)
      expect.soft((await startTo(of, route, `team-a/${newKey()}`)).status, route.route).toBe(200)
    }
  })

  it('refuses a key that is invalid, looks generated, or has another spelling', async () => {
    const of = await workerWith(SCOPES, { bucket: { normalizesKeys: true } })
    const wrong = ['a/../b.png', 'a\u0000.png', `uploads/${ID}-a.png`, 'a/', 'cafe\u0301.png']
    for (const route of CHOSEN_KEY_ROUTES)
      for (const key of wrong)
        await expectError(
          await startTo(of, route, key),
          '400 invalid_key',
          `${route.route}, ${key}`,
        )
  })

  it('applies the rules for types', async () => {
    const of = await workerWith(SCOPES, { bucket: { allowedTypes: ['image/*'] } })
    for (const route of CHOSEN_KEY_ROUTES) {
      const response = await startTo(of, route, newKey('a.txt'))
      await expectError(response, '400 mimetype_not_allowed', route.route)
    }
  })

  // That upload starts later, at the signed URL, which then looks for an object.
  const looking = CHOSEN_KEY_ROUTES.filter(({ route }) => !route.endsWith('in parts'))

  // @threat object-replaced
  it('to a key that has an object is refused, unless it may be replaced', async () => {
    const of = await workerWith(REPLACER)
    for (const route of looking) {
      const key = newKey()
      await bucketFetch(key, { method: 'PUT', body: 'older' })
      await expectError(await startTo(of, route, key), '409 object_exists', route.route)
      await expectError(
        await startTo(of, route, key, { overwrite: false }),
        '409 object_exists',
        route.route,
      )
      expect
        .soft((await startTo(of, route, key, { overwrite: true })).status, route.route)
        .toBe(200)
    }
  })

  // @threat object-replaced
  it('is refused when the credentials may not look for an object', async () => {
    const endpoint = `http://127.0.0.1:${inject('testPorts').faulty}`
    const of = await workerWith(CHOOSER, { bucket: { endpoint } })
    for (const route of looking) {
      await expectError(await startTo(of, route, '403/a.png'), '501 not_supported', route.route)
      await expectError(await startTo(of, route, '500/a.png'), '502 storage_error', route.route)
    }
  })
})

describe('an upload URL for a chosen key', () => {
  const asking = { key: 'avatars/42.png', mimetype: 'image/png' }
  const signed = async (bucket: object, more: object = {}) => {
    const of = await workerWith(REPLACER, { bucket })
    const response = await of.post('/files/upload-url', { ...asking, key: newKey(), ...more })
    return response.json<Signed>()
  }

  it('makes the bucket refuse to replace an object where it can', async () => {
    const { headers, uploadUrl } = await signed({ conditionalPut: true })
    expect(headers['If-None-Match']).toBe('*')
    const names = new URL(uploadUrl).searchParams.get('X-Amz-SignedHeaders')?.split(';')
    expect(names).toContain('if-none-match')
  })

  it('asks nothing of the bucket then', async () => {
    const endpoint = `http://127.0.0.1:${inject('testPorts').faulty}`
    const of = await workerWith(CHOOSER, { bucket: { endpoint, conditionalPut: true } })
    const key = '500/a.png'
    expect((await of.post('/files/upload-url', { ...asking, key })).status).toBe(200)
  })

  it('has no condition when the object may be replaced, or the server knows none', async () => {
    for (const { headers } of [
      await signed({ conditionalPut: true }, { overwrite: true }),
      await signed({ conditionalPut: false }),
    ])
      expect(headers).toEqual({ 'Content-Type': 'image/png' })
  })
})

describe('an upload URL with ifMatch', () => {
  const PNG = { mimetype: 'image/png' }
  const put = async (key: string, body: string) =>
    (await bucketFetch(key, { method: 'PUT', body })).headers.get('ETag') ?? ''
  const ask = async (of: TestWorker, key: string, ifMatch: string, more: object = {}) =>
    of.post('/files/upload-url', { ...PNG, key, overwrite: true, ifMatch, ...more })

  // @threat replaced-unseen
  it('signs the ETag where the bucket compares it, and asks nothing of the bucket', async () => {
    const endpoint = `http://127.0.0.1:${inject('testPorts').faulty}`
    const of = await workerWith(REPLACER, { bucket: { endpoint, conditionalReplace: true } })
    for (const etag of ['"abc"', 'abc']) {
      const response = await ask(of, '500/a.png', etag)
      const { headers, uploadUrl } = await response.json<Signed>()
      expect(headers).toEqual({ 'Content-Type': 'image/png', 'If-Match': '"abc"' })
      const names = new URL(uploadUrl).searchParams.get('X-Amz-SignedHeaders')?.split(';')
      expect(names).toContain('if-match')
    }
  })

  // @threat replaced-unseen
  it('looks first elsewhere, and the error has the present ETag', async () => {
    const of = await workerWith(REPLACER, { bucket: { conditionalReplace: false } })
    const key = newKey()
    const seen = await put(key, 'seen')
    const same = await ask(of, key, seen)
    expect(same.status).toBe(200)
    expect((await same.json<Signed>()).headers).toEqual({ 'Content-Type': 'image/png' })
    const present = await put(key, 'present')
    const changed = await ask(of, key, seen)
    expect(changed.status).toBe(412)
    expect(await changed.json()).toMatchObject({ code: 'precondition_failed', etag: present })
    const files = [{ ...PNG, key, overwrite: true, ifMatch: seen }]
    const many = await of.post('/files/upload-urls', { files })
    const error = { code: 'precondition_failed', etag: present, message: expect.anything() }
    expect(await many.json()).toMatchObject({ uploads: [{ key, error }] })
    await bucketFetch(key, { method: 'DELETE' })
    const gone = await ask(of, key, seen)
    expect(gone.status).toBe(412)
    expect(await gone.json()).toMatchObject({ code: 'precondition_failed', etag: null })
  })

  it('is refused when the credentials may not look for an object', async () => {
    const endpoint = `http://127.0.0.1:${inject('testPorts').faulty}`
    const of = await workerWith(REPLACER, { bucket: { endpoint } })
    await expectError(await ask(of, '403/a.png', '"abc"'), '501 not_supported')
    await expectError(await ask(of, '500/a.png', '"abc"'), '502 storage_error')
  })

  it('needs key and overwrite, and an ETag', async () => {
    const of = await workerWith(REPLACER)
    for (const more of [
      { overwrite: false },
      { overwrite: undefined },
      { key: undefined, fileName: 'a.png' },
      { ifMatch: '' },
      { ifMatch: '*"' },
      { ifMatch: 'W/"a"' },
      { ifMatch: '"a", "b"' },
      { ifMatch: 'a\r\nb' },
      { ifMatch: 'x'.repeat(256) },
    ])
      await expectError(
        await ask(of, newKey(), '"abc"', more),
        '400 invalid_request',
        JSON.stringify(more),
      )
  })
})

interface Signed {
  readonly uploadUrl: string
  readonly headers: Record<string, string>
}

describe('POST /files', () => {
  it('records the last segment of a chosen key as the name, unless there is another', async () => {
    const of = await workerWith(SCOPES)
    const key = newKey('My Cat.png')
    await bucketFetch(encodeURI(key), { method: 'PUT', body: 'x' })
    expect(await (await of.post('/files', { key })).json()).toMatchObject({ name: 'My Cat.png' })
    const other = newKey()
    await bucketFetch(other, { method: 'PUT', body: 'x' })
    const named = await of.post('/files', { key: other, name: 'Ann.png' })
    expect(await named.json()).toMatchObject({ name: 'Ann.png' })
  })
})

/** Uploads `body` to `key` in one request, and records it. */
async function replace(of: TestWorker, key: string, body: string): Promise<Response> {
  const asked = { key, mimetype: 'image/png', overwrite: true }
  const signed = await of.post('/files/upload-url', asked)
  const { uploadUrl, headers } = await signed.json<{
    uploadUrl: string
    headers: Record<string, string>
  }>()
  expect((await fetch(uploadUrl, { method: 'PUT', headers, body })).status).toBe(200)
  return of.post('/files', { key })
}

const linkOf = async (of: TestWorker, key: string): Promise<string> => {
  const response = await of.post(`/files/${encodeURIComponent(key)}/link?bucket=files`, {})
  return (await response.json<{ link: string }>()).link
}
const shown = async (link: string) => {
  const response = await open(link)
  return [await textOf(response), response.headers.get('Cache-Status')]
}
const HIT = 'edge-presigner; hit'
const MISS = 'edge-presigner; fwd=uri-miss'

describe('an avatar that is replaced', () => {
  // @threat copy-outdated
  it('is shown by the same link as soon as it is recorded', async () => {
    const of = await workerWith(REPLACER)
    const key = newKey()
    await replace(of, key, 'old')
    const link = await linkOf(of, key)
    expect(await shown(link)).toEqual(['old', MISS])
    expect(await shown(link)).toEqual(['old', HIT])
    expect((await replace(of, key, 'new')).status).toBe(201)
    expect(await shown(link)).toEqual(['new', MISS])
    expect(await linkOf(of, key)).toBe(link)
  })

  it('is recorded with a warning when its old edge copy can not be purged', async () => {
    const of = await workerWith(REPLACER)
    const key = newKey()
    await replace(of, key, 'old')
    const purge = failNextPurge(new Error('rate limited'))
    const lines = captureLog()
    expect((await replace(of, key, 'new')).status).toBe(201)
    expect(purge).toHaveBeenCalledTimes(1)
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      warning: expect.stringMatching(/^edge copy not purged: .*rate limited/),
    })
  })

  it('leaves a purge that fails to the queue', async () => {
    const queued: unknown[] = []
    const sendBatch = async (messages: Iterable<{ body: unknown }>) => {
      for (const { body } of messages) queued.push(body)
    }
    const of = await workerWith(REPLACER, { variables: { EVENTS: { sendBatch } } })
    const key = newKey()
    await replace(of, key, 'old')
    failNextPurge(new Error('rate limited'))
    captureLog()
    expect((await replace(of, key, 'new')).status).toBe(201)
    expect(queued).toMatchObject([{ kind: 'purge', bucket: 'files', keys: [key] }])
  })

  it('purges nothing the first time, and nothing when a record is repeated', async () => {
    const of = await workerWith(REPLACER)
    const key = newKey()
    const purge = failNextPurge(new Error('rate limited'))
    await replace(of, key, 'old')
    await of.post('/files', { key })
    expect(purge).not.toHaveBeenCalled()
  })

  it('is shown by the same link when it is uploaded in parts', async () => {
    const of = await workerWith(REPLACER)
    const key = newKey()
    await bucketFetch(key, { method: 'PUT', body: 'older' })
    const link = await linkOf(of, key)
    expect(await shown(link)).toEqual(['older', MISS])
    expect((await completeParts(of, await start(of, key, true))).status).toBe(201)
    expect(await shown(link)).toEqual(['hello', MISS])
  })
})

const start = async (of: TestWorker, key: string, overwrite: boolean): Promise<StartedUpload> =>
  (await of.post('/multipart', { key, mimetype: 'image/png', size: 5, overwrite })).json()

async function completeParts(of: TestWorker, upload: StartedUpload): Promise<Response> {
  const [url = ''] = await partUrls(of, upload, [1])
  const parts = [{ partNumber: 1, etag: await putPart(url, 'hello') }]
  return of.post(`/multipart/${upload.uploadId}/complete`, { key: upload.key, parts })
}

describe('an upload in parts to a chosen key', () => {
  // @threat chosen-upload-confused object-replaced
  it('neither replaces nor deletes an object with any mark that its client can see', async () => {
    const of = await workerWith(CHOOSER)
    const key = newKey()
    const upload = await start(of, key, false)
    const [url = ''] = await partUrls(of, upload, [1])
    const parts = [{ partNumber: 1, etag: await putPart(url, 'hello') }]
    const { searchParams } = new URL(url)
    const readable = [...readableIn(upload.uploadId), ...searchParams.values()]
    const marks = readable.filter((text) => /^[\x21-\x7e]+$/.test(text))
    expect(marks.length).toBeGreaterThan(10)
    for (const mark of marks) {
      // Some servers accept this header without a signature.
      const headers = { 'x-amz-meta-edge-presigner-upload': mark }
      const put = await bucketFetch(key, { method: 'PUT', body: 'approved', headers })
      expect(put.status).toBe(200)
      const completed = of.post(`/multipart/${upload.uploadId}/complete`, { key, parts })
      await expectError(await completed, '409 object_exists', mark)
      expect.soft(await textOf(await bucketFetch(key)), mark).toBe('approved')
    }
  })

  it('does not replace an object that appeared meanwhile', async () => {
    const of = await workerWith(REPLACER)
    const key = newKey()
    const upload = await start(of, key, false)
    await bucketFetch(key, { method: 'PUT', body: 'other' })
    await expectError(await completeParts(of, upload), '409 object_exists')
    expect(await textOf(await bucketFetch(key))).toBe('other')
  })

  // @threat replaced-unseen
  it('replaces only an object with the ETag of ifMatch, and keeps its parts', async () => {
    const of = await workerWith(REPLACER)
    const key = newKey()
    const put = async (body: string) =>
      (await bucketFetch(key, { method: 'PUT', body })).headers.get('ETag') ?? ''
    const [seen, present] = [await put('seen'), await put('present')]
    const upload = await start(of, key, true)
    const [url = ''] = await partUrls(of, upload, [1])
    const parts = [{ partNumber: 1, etag: await putPart(url, 'hello') }]
    const complete = (ifMatch: string) =>
      of.post(`/multipart/${upload.uploadId}/complete`, { key, parts, ifMatch })
    const refused = await complete(seen)
    expect(refused.status).toBe(412)
    expect(await refused.json()).toMatchObject({ code: 'precondition_failed', etag: present })
    expect(await textOf(await bucketFetch(key))).toBe('present')
    const completed = await complete(present)
    expect(completed.status).toBe(201)
    const record = await completed.json()
    expect(await (await complete(present)).json()).toEqual(record) // the ETag is another one by now
  })

  it('has ifMatch only if it may replace an object', async () => {
    const of = await workerWith(REPLACER)
    const upload = await start(of, newKey(), false)
    const parts = [{ partNumber: 1, etag: 'x' }]
    const body = { key: upload.key, parts, ifMatch: 'x' }
    const refused = await of.post(`/multipart/${upload.uploadId}/complete`, body)
    await expectError(refused, '400 invalid_request')
  })

  it('can be completed twice', async () => {
    const of = await workerWith(REPLACER)
    for (const overwrite of [false, true]) {
      const upload = await start(of, newKey(), overwrite)
      const [url = ''] = await partUrls(of, upload, [1])
      const parts = [{ partNumber: 1, etag: await putPart(url, 'hello') }]
      const complete = () =>
        of.post(`/multipart/${upload.uploadId}/complete`, { key: upload.key, parts })
      const first = await complete()
      expect(first.status).toBe(201)
      const record = await first.json()
      expect(await (await complete()).json()).toEqual(record)
    }
  })

  it('ends for a caller who has lost the scopes for it', async () => {
    const upload = await start(await workerWith(REPLACER), newKey(), true)
    for (const missing of ['keys:choose', 'files:delete']) {
      const of = await workerWith(REPLACER.filter((scope) => scope !== missing))
      const urls = of.post(`/multipart/${upload.uploadId}/urls`, {
        key: upload.key,
        partNumbers: [1],
      })
      await expectError(await urls, '403 forbidden')
    }
  })

  it('has overwrite only next to key', async () => {
    const of = await workerWith(REPLACER)
    const file = { fileName: 'a.png', mimetype: 'image/png', size: 5, overwrite: true }
    await expectError(await of.post('/multipart', file), '400 invalid_request')
  })

  it("starts by Uppy's URL only when there is no object", async () => {
    const of = await workerWith(REPLACER)
    const key = newKey()
    const sign = async (overwrite: boolean) => {
      const request = { method: 'POST', key: 'a.png', contentType: 'image/png', objectKey: key }
      const response = await of.post('/s3/sign', { ...request, overwrite })
      return (await response.json<{ url: string }>()).url
    }
    const [keeping, replacing] = [await sign(false), await sign(true)]
    await bucketFetch(key, { method: 'PUT', body: 'other' })
    const refused = await of.fetch(keeping, { method: 'POST' })
    expect(refused.status).toBe(409)
    expect(await refused.text()).toContain('<Code>object_exists</Code>')
    expect((await of.fetch(replacing, { method: 'POST' })).status).toBe(200)
  })
})

describe('a form through the Worker for a chosen key', () => {
  const send = async (of: TestWorker, key: string, overwrite: boolean, before?: () => unknown) => {
    const query = {
      filename: 'Ann.png',
      type: 'image/png',
      objectKey: key,
      overwrite: `${overwrite}`,
    }
    const asked = await of.fetch(`/s3/params?${new URLSearchParams(query)}`)
    const { url, fields } = await asked.json<{ url: string; fields: Record<string, string> }>()
    await before?.()
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    form.append('file', new Blob(['pixels']), 'a.png')
    const { headers, body } = new Request('http://localhost', { method: 'POST', body: form })
    const text = await new Response(body).arrayBuffer()
    const bytes = await new Blob([text, '\r\n']).arrayBuffer() // as browsers end a form
    const type = { 'Content-Type': headers.get('Content-Type') ?? '' }
    return of.fetch(url, {
      method: 'POST',
      headers: { ...type, 'Content-Length': String(bytes.byteLength) },
      body: bytes,
    })
  }
  const own = { bucket: { postUploads: false } }

  it('stores the file under this key, and replaces an object only if it may', async () => {
    const of = await workerWith(REPLACER, own)
    const key = newKey()
    expect((await send(of, key, false)).status).toBe(201)
    expect(await textOf(await bucketFetch(key))).toBe('pixels')
    await bucketFetch(key, { method: 'PUT', body: 'other' })
    expect((await send(of, key, true)).status).toBe(201)
    expect(await textOf(await bucketFetch(key))).toBe('pixels')
  })

  it('does not replace an object that appeared meanwhile', async () => {
    const of = await workerWith(REPLACER, own)
    const key = newKey()
    const other = () => bucketFetch(key, { method: 'PUT', body: 'other' })
    await expectError(await send(of, key, false, other), '409 object_exists')
    expect(await textOf(await bucketFetch(key))).toBe('other')
  })
})
