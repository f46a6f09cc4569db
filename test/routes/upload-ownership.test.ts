import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { bearer, type TestApiKey, testApiKey } from '../support/credentials.ts'
import { partUrls, putPart, startUpload } from '../support/parts.ts'
import {
  outcomeOf,
  PART,
  type ProtectedRoute,
  ROUTES,
  requestTo,
} from '../support/protected-routes.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../support/worker.ts'

interface Upload {
  readonly key: string
  readonly uploadId: string
}

/** Every route that takes an upload id. */
const UPLOAD_ROUTES = ROUTES.filter(({ owned }) => owned !== undefined)

let worker: TestWorker
let alice: TestApiKey
let bob: TestApiKey
let upload: Upload
let other: Upload

/** Calls a route for an upload as Alice, unless `more` has other credentials. */
async function ask(
  route: ProtectedRoute,
  { key, uploadId }: Upload,
  { base = '', ...more }: Readonly<Record<string, string>> = { token: alice.token },
): Promise<string> {
  const [path, init] = requestTo(route, key, { uploadId, ...more })
  return outcomeOf(route, await worker.fetch(base + path, init))
}

/** Returns a token of `key` that is valid for a minute. */
async function mint({ token }: TestApiKey, scopes = ['files:upload']): Promise<string> {
  const minted = await worker.post('/tokens', { scopes, expiresIn: 60 }, bearer(token))
  return (await minted.json<{ token: string }>()).token
}

const UNAUTHENTICATED = '401 unauthenticated'
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
  await putPart(url, PART.content)
  return started
}

it('tests every route with an upload id', () => {
  const known = ROUTES.filter(
    ({ route }) => route.includes('/:uploadId') || route === 'POST /s3/sign',
  )
  expect(UPLOAD_ROUTES).toEqual(known)
})

describe('every route with an upload id', () => {
  it.each<readonly [string, () => Upload]>([
    ['the id of another upload', () => ({ ...upload, uploadId: other.uploadId })],
    ['the key of another upload', () => ({ ...upload, key: other.key })],
    ['a key that only starts the same', () => ({ ...upload, key: `${upload.key}x` })],
    ['a made-up id', () => ({ ...upload, uploadId: 'x' })],
    ['an encoded dot as the id', () => ({ ...upload, uploadId: '%2E' })],
    ['an id with an extra character', () => ({ ...upload, uploadId: `${upload.uploadId}A` })],
    ['an id with a slash after it', () => ({ ...upload, uploadId: `${upload.uploadId}/` })],
  ])('refuses %s', async (_, make) => {
    for (const route of UPLOAD_ROUTES)
      expect.soft(await ask(route, make()), route.route).toBe(REFUSED)
  })

  // @threat upload-hijacked
  it('refuses another principal with every scope and prefix', async () => {
    for (const route of UPLOAD_ROUTES)
      expect.soft(await ask(route, upload, { token: bob.token }), route.route).toBe(REFUSED)
  })

  it('refuses an expired id', async () => {
    vi.useFakeTimers({ now: Date.now() + 604_801_000, toFake: ['Date'] })
    for (const route of UPLOAD_ROUTES)
      expect.soft(await ask(route, upload), route.route).toBe(REFUSED)
  })

  it('refuses the id in another bucket, or from one if it uses only the default bucket', async () => {
    const elsewhere = await startUpload(worker, { bucket: 'other' }, bearer(alice.token))
    for (const route of UPLOAD_ROUTES) {
      const outcome =
        route.bucketIn === null
          ? await ask(route, elsewhere)
          : await ask(route, upload, { token: alice.token, bucket: 'other' })
      expect.soft(outcome, route.route).toBe(REFUSED)
    }
  })

  it('accepts the owner with any of their credentials', async () => {
    const token = await mint(alice)
    for (const route of UPLOAD_ROUTES)
      for (const credentials of [{ token: alice.token }, { token }, { base: `/u/${token}` }]) {
        const outcome = await ask(route, await uploadWithPart(), credentials)
        expect.soft(outcome, route.route).toBe(route.owned)
      }
  })
})

describe('a token that expires during an upload', () => {
  const later = (seconds: number) =>
    vi.useFakeTimers({ now: Date.now() + seconds * 1000, toFake: ['Date'] })
  const isAbort = ({ route }: ProtectedRoute) => route.startsWith('DELETE')

  it('can be replaced by a newer one of the same principal on every route', async () => {
    const old = await mint(alice)
    const uploads = new Map<ProtectedRoute, Upload>()
    for (const route of UPLOAD_ROUTES) uploads.set(route, await uploadWithPart(old))
    later(61)
    const base = `/u/${await mint(alice)}`
    for (const [route, started] of uploads)
      expect.soft(await ask(route, started, { base }), route.route).toBe(route.owned)
  })

  // @threat token-too-long
  it('is still accepted by every route that aborts the upload', async () => {
    for (const route of UPLOAD_ROUTES.filter(isAbort)) {
      const expectOutcome = async (of: Upload, credentials: object, expected?: string) =>
        expect.soft(await ask(route, of, { ...credentials }), route.route).toBe(expected)
      const old = await mint(alice)
      const bobs = await mint(bob)
      const [one, two] = [await uploadWithPart(old), await uploadWithPart(old)]
      later(61)
      await expectOutcome(one, { token: old }, route.owned)
      await expectOutcome(two, { base: `/u/${old}` }, route.owned)
      for (const { uploadId, key } of [one, two]) {
        const path = `/multipart/${uploadId}?key=${encodeURIComponent(key)}`
        const listed = await worker.fetch(path, bearer(alice.token))
        expect(await listed.json(), route.route).toMatchObject({ code: 'upload_not_found' })
      }
      await expectOutcome(other, { token: bobs }, REFUSED)
      await expectOutcome(other, { token: `${old}x` }, UNAUTHENTICATED)
      later(604_800 + 61)
      await expectOutcome(other, { token: old }, UNAUTHENTICATED)
      vi.useRealTimers()
    }
  })

  // @threat token-too-long
  it('is refused by every other route', async () => {
    const token = await mint(alice)
    later(61)
    for (const route of UPLOAD_ROUTES.filter((route) => !isAbort(route)))
      expect.soft(await ask(route, upload, { token }), route.route).toBe(UNAUTHENTICATED)
  })

  // @threat token-too-long
  it('deletes no file with the expired one', async () => {
    const token = await mint(alice, ['files:delete'])
    later(61)
    for (const path of ['/files/a.txt', '/multipart', '/multipart/a/b']) {
      const response = await worker.fetch(path, { method: 'DELETE', ...bearer(token) })
      expect(response.status, path).toBe(401)
      expect(await response.json(), path).toMatchObject({ code: 'unauthenticated' })
    }
  })
})
