import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { bearer, type TestApiKey, testApiKey } from '../support/credentials.ts'
import { partUrls, putPart, startUpload } from '../support/parts.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../support/worker.ts'

interface Upload {
  readonly key: string
  readonly uploadId: string
}

interface Route {
  readonly route: string
  /** The path with its query, and the body of a POST. */
  readonly request: (upload: Upload, bucket: string) => readonly [path: string, body?: unknown]
  /** The status for the owner. */
  readonly allowed: number
}

const encoded = encodeURIComponent
const CONTENT = 'hello'
/** The ETag of CONTENT: its MD5. */
const ETAG = '"5d41402abc4b2a76b9719d911017c592"'
const ours = ({ uploadId }: Upload, rest = '') => `/multipart/${encoded(uploadId)}${rest}`
const uppy = ({ key, uploadId }: Upload, step = '') =>
  `/s3/multipart/${encoded(uploadId)}${step}?key=${encoded(key)}`
const queryOf = ({ key }: Upload, bucket: string) => `?key=${encoded(key)}&bucket=${bucket}`

/** Every route with an upload id. */
const OURS: readonly Route[] = [
  {
    route: 'POST urls',
    request: (upload, bucket) => [
      ours(upload, '/urls'),
      { key: upload.key, partNumbers: [1], bucket },
    ],
    allowed: 200,
  },
  {
    route: 'GET parts',
    request: (upload, bucket) => [ours(upload, queryOf(upload, bucket))],
    allowed: 200,
  },
  {
    route: 'POST complete',
    request: (upload, bucket) => [
      ours(upload, '/complete'),
      { key: upload.key, parts: [{ partNumber: 1, etag: ETAG }], bucket },
    ],
    allowed: 201,
  },
  {
    route: 'DELETE upload',
    request: (upload, bucket) => [ours(upload, queryOf(upload, bucket))],
    allowed: 204,
  },
]

/** Uppy's routes use only the default bucket. */
const UPPY: readonly Route[] = [
  { route: 'GET list of Uppy', request: (upload) => [uppy(upload)], allowed: 200 },
  {
    route: 'GET batch of Uppy',
    request: (upload) => [`${uppy(upload, '/batch')}&partNumbers=1`],
    allowed: 200,
  },
  { route: 'GET part of Uppy', request: (upload) => [uppy(upload, '/1')], allowed: 200 },
  {
    route: 'POST complete of Uppy',
    request: (upload) => [uppy(upload, '/complete'), { parts: [{ PartNumber: 1, ETag: ETAG }] }],
    allowed: 200,
  },
  { route: 'DELETE upload of Uppy', request: (upload) => [uppy(upload)], allowed: 200 },
]

let worker: TestWorker
let alice: TestApiKey
let bob: TestApiKey
let upload: Upload
let other: Upload

function ask(
  { route, request }: Route,
  of: Upload,
  init: RequestInit,
  { bucket = 'files', base = '' } = {},
): Promise<Response> {
  const [path, body] = request(of, bucket)
  const [method = ''] = route.split(' ')
  if (body === undefined) return worker.fetch(base + path, { ...init, method })
  return worker.post(base + path, body, init)
}

const refusal = async (response: Response) => {
  const { code }: { code?: unknown } = await response.json()
  return `${response.status} ${code}`
}
const REFUSED = '400 invalid_upload_id'

beforeAll(async () => {
  alice = await testApiKey('alice', SCOPES)
  bob = await testApiKey('bob', SCOPES)
  worker = testWorker({
    OPEN_ACCESS: undefined,
    API_KEYS: [alice.entry, bob.entry],
    BUCKETS: { files: s3rverBucket(), other: s3rverBucket() },
  })
  upload = await uploadWithPart()
  other = await startUpload(worker, {}, bearer(alice.token))
})

afterEach(() => vi.useRealTimers())

/** An upload by Alice whose only part is uploaded. */
async function uploadWithPart(credential = alice.token): Promise<Upload> {
  const started = await startUpload(worker, {}, bearer(credential))
  const [url = ''] = await partUrls(worker, started, [1], bearer(credential))
  await putPart(url, CONTENT)
  return started
}

describe.each([...OURS, ...UPPY])('$route', (route) => {
  it.each<readonly [string, () => Upload]>([
    ['the id of another upload', () => ({ ...upload, uploadId: other.uploadId })],
    ['the key of another upload', () => ({ ...upload, key: other.key })],
    ['a key that only starts the same', () => ({ ...upload, key: `${upload.key}x` })],
    ['a made-up id', () => ({ ...upload, uploadId: 'x' })],
    ['an encoded dot as the id', () => ({ ...upload, uploadId: '%2E' })],
    ['an id with an extra character', () => ({ ...upload, uploadId: `${upload.uploadId}A` })],
    ['an id with a slash after it', () => ({ ...upload, uploadId: `${upload.uploadId}/` })],
  ])('refuses %s', async (_, make) => {
    expect(await refusal(await ask(route, make(), bearer(alice.token)))).toBe(REFUSED)
  })

  // @threat upload-hijacked
  it('refuses another principal with every scope and prefix', async () => {
    expect(await refusal(await ask(route, upload, bearer(bob.token)))).toBe(REFUSED)
  })

  it('refuses an expired id', async () => {
    vi.useFakeTimers({ now: Date.now() + 604_801_000, toFake: ['Date'] })
    expect(await refusal(await ask(route, upload, bearer(alice.token)))).toBe(REFUSED)
  })

  it('accepts the owner with any of their credentials', async () => {
    const minted = await worker.post('/tokens', { scopes: ['files:upload'] }, bearer(alice.token))
    const { token }: { token: string } = await minted.json()
    for (const [init, options] of [
      [bearer(alice.token)],
      [bearer(token)],
      [{}, { base: `/u/${token}` }],
    ] as const) {
      const response = await ask(route, await uploadWithPart(), init, options)
      expect(response.status).toBe(route.allowed)
    }
  })
})

describe('a token that expires during an upload', () => {
  const mint = async (of: TestApiKey): Promise<string> => {
    const request = { scopes: ['files:upload'], expiresIn: 60 }
    const minted = await worker.post('/tokens', request, bearer(of.token))
    return (await minted.json<{ token: string }>()).token
  }
  const later = (seconds: number) =>
    vi.useFakeTimers({ now: Date.now() + seconds * 1000, toFake: ['Date'] })
  const isAbort = ({ route }: Route) => route.startsWith('DELETE')

  it.each([...OURS, ...UPPY])('$route accepts a newer one of the same principal', async (route) => {
    const old = await mint(alice)
    const started = await uploadWithPart(old)
    later(61)
    const newer = await mint(alice)
    const response = await ask(route, started, {}, { base: `/u/${newer}` })
    expect(response.status).toBe(route.allowed)
  })

  // @threat token-too-long
  it.each([...OURS, ...UPPY].filter(isAbort))(
    '$route accepts the expired one too',
    async (route) => {
      const old = await mint(alice)
      const bobs = await mint(bob)
      const [one, two] = [await uploadWithPart(old), await uploadWithPart(old)]
      later(61)
      expect((await ask(route, one, bearer(old))).status).toBe(route.allowed)
      expect((await ask(route, two, {}, { base: `/u/${old}` })).status).toBe(route.allowed)
      for (const { uploadId, key } of [one, two])
        expect(
          await refusal(
            await worker.fetch(
              ours({ uploadId, key }, `?key=${encoded(key)}`),
              bearer(alice.token),
            ),
          ),
        ).toBe('404 upload_not_found')
      expect(await refusal(await ask(route, other, bearer(bobs)))).toBe(REFUSED)
      expect(await refusal(await ask(route, other, bearer(`${old}x`)))).toBe('401 unauthenticated')
      later(604_800 + 61)
      expect(await refusal(await ask(route, other, bearer(old)))).toBe('401 unauthenticated')
    },
  )

  // @threat token-too-long
  it.each([...OURS, ...UPPY].filter((route) => !isAbort(route)))(
    '$route refuses the expired one',
    async (route) => {
      const old = await mint(alice)
      later(61)
      expect(await refusal(await ask(route, upload, bearer(old)))).toBe('401 unauthenticated')
    },
  )

  // @threat token-too-long
  it('deletes no file with the expired one', async () => {
    const request = { scopes: ['files:delete'], expiresIn: 60 }
    const minted = await worker.post('/tokens', request, bearer(alice.token))
    const { token } = await minted.json<{ token: string }>()
    later(61)
    for (const path of ['/files/a.txt', '/multipart', '/multipart/a/b'])
      expect(await refusal(await worker.fetch(path, { method: 'DELETE', ...bearer(token) }))).toBe(
        '401 unauthenticated',
      )
  })
})

it.each(OURS)('$route refuses the id in another bucket', async (route) => {
  const response = await ask(route, upload, bearer(alice.token), { bucket: 'other' })
  expect(await refusal(response)).toBe(REFUSED)
})

it.each(UPPY)('$route refuses an id from a bucket other than the default one', async (route) => {
  const elsewhere = await startUpload(worker, { bucket: 'other' }, bearer(alice.token))
  expect(await refusal(await ask(route, elsewhere, bearer(alice.token)))).toBe(REFUSED)
})
