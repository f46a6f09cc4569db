import { reset } from 'cloudflare:test'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Scope } from '../../src/access/scopes.ts'
import type { FileEvent } from '../../src/index.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { jsonOf, upload } from '../support/app.ts'
import { bucketFetch } from '../support/bucket.ts'
import { bearer, type TestApiKey, testApiKey } from '../support/credentials.ts'
import { mount } from '../support/mount.ts'
import { found, scriptedBucket } from '../support/scripted-bucket.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../support/worker.ts'

/* Several principals with the same prefix. */

const BOBS = {
  upload: ['files:upload'],
  choose: ['files:upload', 'keys:choose'],
  read: ['files:upload', 'files:read', 'files:list'],
  record: ['files:upload', 'files:record'],
  any: ['files:upload', 'files:read', 'files:record', 'tokens:create'],
  delete: ['files:upload', 'files:delete'],
} as const satisfies Record<string, readonly Scope[]>

type Bob = keyof typeof BOBS

const CHOSEN = 'shared/attribution.png'

let ann: TestApiKey
let bob: Map<Bob, string>
let worker: TestWorker
beforeAll(async () => {
  ann = await testApiKey('ann', ['files:upload', 'files:read', 'keys:choose'])
  const bobs = await Promise.all(
    Object.entries(BOBS).map(async ([name, scopes]) => ({
      name: name as Bob,
      key: await testApiKey(`bob-${name}`, scopes),
    })),
  )
  bob = new Map(bobs.map(({ name, key }) => [name, key.token]))
  worker = testWorker({
    OPEN_ACCESS: undefined,
    API_KEYS: [ann, ...bobs.map(({ key }) => key)].map(({ entry }) => entry),
    BUCKETS: { files: { ...s3rverBucket(), maxBytes: 10, allowedTypes: ['image/*'] } },
  })
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await bucketFetch(CHOSEN, { method: 'DELETE' })
  await reset()
})

const tokenOf = (name: Bob) => bob.get(name) ?? ''
const record = (token: string, key: string, more: object = {}) =>
  worker.post('/files', { key, ...more }, bearer(token))
const rename = (token: string, key: string) =>
  worker.post(
    `/files/${encodeURIComponent(key)}`,
    { name: 'Renamed' },
    { ...bearer(token), method: 'PATCH' },
  )
const codeOf = async (response: Response): Promise<string> => {
  const { code } = await jsonOf<{ code?: string }>(response)
  return code === undefined ? `${response.status}` : `${response.status} ${code}`
}

async function put(key: string, body = 'pixels', type = 'image/png'): Promise<void> {
  const headers = { 'Content-Type': type }
  expect((await bucketFetch(key, { method: 'PUT', headers, body })).status).toBe(200)
}

/** Uploads to a new key, and returns it. */
const uploadNew = (): Promise<string> =>
  upload({ post: (path, body) => worker.post(path, body, bearer(ann.token)) }, '', 'pixels', {
    fileName: 'a.png',
    mimetype: 'image/png',
    size: 6,
  })

async function uploadChosen(): Promise<string> {
  await put(CHOSEN)
  return CHOSEN
}

const FORBIDDEN = '403 forbidden'

describe('POST /files for an object of somebody else', () => {
  // @threat file-misattributed
  it.each<readonly [Bob, string, string, string, string]>([
    ['upload', '201', FORBIDDEN, FORBIDDEN, FORBIDDEN],
    ['choose', '201', FORBIDDEN, '201', FORBIDDEN],
    ['read', '201', FORBIDDEN, FORBIDDEN, FORBIDDEN],
    ['record', '201', FORBIDDEN, FORBIDDEN, FORBIDDEN],
    ['any', '201', '201', '201', '201'],
  ])('with the scopes "%s"', async (name, newFree, newTaken, chosenFree, chosenTaken) => {
    const token = tokenOf(name)
    const outcomes: string[] = []
    for (const make of [uploadNew, uploadChosen]) {
      outcomes.push(await codeOf(await record(token, await make())))
      await reset()
      const key = await make()
      const first = await record(ann.token, key, { name: 'Anns file' })
      const anns = await jsonOf(first)
      expect([first.status, anns.owner]).toEqual([201, 'key:ann'])
      const second = await record(token, key, { name: 'Bobs file' })
      const text = await second.clone().text()
      outcomes.push(await codeOf(second))
      if (second.status === 201) expect(JSON.parse(text)).toEqual(anns)
      else expect(text).not.toMatch(/Ann|key:ann|image\/png|[0-9a-f]{32}/)
      expect(await jsonOf(await worker.fetch(`/files/${key}`, bearer(ann.token)))).toEqual(anns)
    }
    expect(outcomes).toEqual([newFree, newTaken, chosenFree, chosenTaken])
  })

  // @threat file-misattributed
  it('reveals nothing about a key that the caller may not choose', async () => {
    const token = tokenOf('upload')
    const missing = await record(token, 'shared/missing.png')
    const found = await record(token, await uploadChosen())
    expect([missing.status, found.status]).toEqual([403, 403])
    const messages = [await jsonOf(missing), await jsonOf(found)].map(({ message }) => message)
    expect(messages[0]).toBe(messages[1])
  })

  // @threat record-beyond-limits
  it('is refused outside the limits for uploads, and changes nothing', async () => {
    const token = tokenOf('choose')
    await put(CHOSEN, 'x'.repeat(11))
    expect(await codeOf(await record(token, CHOSEN))).toBe('413 file_too_large')
    await put(CHOSEN, 'text', 'text/plain')
    expect(await codeOf(await record(token, CHOSEN))).toBe('400 mimetype_not_allowed')
    const listed = await worker.fetch('/files', bearer(tokenOf('read')))
    expect(await jsonOf(listed)).toMatchObject({ files: [] })
  })

  // @threat record-beyond-limits token-limit-skipped
  it('is not held to the limits of the bucket with files:record, but to those of a token', async () => {
    const token = tokenOf('any')
    await put(CHOSEN, 'x'.repeat(11), 'text/plain')
    const limits = { scopes: BOBS.any, maxBytes: 9, allowedTypes: ['image/png'] }
    const minted = await jsonOf(await worker.post('/tokens', limits, bearer(token)))
    expect(await codeOf(await record(String(minted.token), CHOSEN))).toBe('413 file_too_large')
    expect(await codeOf(await record(token, CHOSEN))).toBe('201')
  })
})

// @threat file-misattributed
it('POST /files that waits for the bucket leaves what its owner has recorded meanwhile', async () => {
  const { entry, token } = await testApiKey('bob', BOBS.choose)
  const events: FileEvent[] = []
  const app = mount({
    authenticate: undefined as never,
    apiKeys: { keys: [ann.entry, entry] },
    events: { onEvent: (event) => void events.push(event) },
  })
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>()
  scriptedBucket({
    HeadObject: [
      async (sent) => {
        isAsked()
        await held
        return found(6)(sent)
      },
      found(6),
    ],
  })
  const slow = app.post('/media/files', { key: CHOSEN }, bearer(token))
  await asked
  const anns = await app.post('/media/files', { key: CHOSEN, name: 'Mine' }, bearer(ann.token))
  expect(await jsonOf(anns)).toMatchObject({ owner: 'key:ann', name: 'Mine' })
  release()
  expect(await codeOf(await slow)).toBe(FORBIDDEN)
  expect(events).toHaveLength(1)
})

describe('POST /files with an ETag', () => {
  // @threat file-misattributed
  it('records only this upload', async () => {
    await put(CHOSEN, 'first')
    const first = await bucketFetch(CHOSEN)
    await first.arrayBuffer()
    const etag = first.headers.get('ETag') ?? ''
    await put(CHOSEN, 'second')
    const late = await record(ann.token, CHOSEN, { etag })
    expect(await codeOf(late)).toBe('409 file_replaced')
    await put(CHOSEN, 'first')
    expect(await codeOf(await record(ann.token, CHOSEN, { etag }))).toBe('201')
    expect(await codeOf(await record(ann.token, CHOSEN, { etag: etag.slice(1, -1) }))).toBe('201')
  })
})

describe('PATCH /files/:key', () => {
  // @threat file-misattributed
  it("renames another owner's file only with files:delete", async () => {
    const key = await uploadNew()
    await record(ann.token, key)
    for (const name of ['upload', 'any'] as const) {
      const refused = await rename(tokenOf(name), key)
      expect(await refused.clone().text()).not.toMatch(/key:ann|image|a\.png/)
      expect(await codeOf(refused)).toBe(FORBIDDEN)
    }
    expect(await jsonOf(await rename(ann.token, key))).toMatchObject({ name: 'Renamed' })
    expect(await jsonOf(await rename(tokenOf('delete'), key))).toMatchObject({ owner: 'key:ann' })
  })
})

describe('in an app', () => {
  // @threat file-misattributed
  it('somebody else who repeats a record causes no event', async () => {
    const events: FileEvent[] = []
    const index = memoryFileIndex()
    let id = 'ann'
    const app = mount({
      files: { index },
      authenticate: () => ({ id, scopes: BOBS.any, prefix: '' }),
      events: {
        onEvent(event) {
          events.push(event)
          return { data: { row: events.length } }
        },
      },
    })
    const key = await upload(app, '/media')
    expect(await jsonOf(await app.post('/media/files', { key }))).toMatchObject({
      owner: 'app:ann',
    })
    id = 'bob'
    const repeated = await jsonOf(await app.post('/media/files', { key }))
    expect(repeated).toMatchObject({ owner: 'app:ann' })
    expect(repeated).not.toHaveProperty('data')
    expect(events).toHaveLength(1)
    id = 'ann'
    expect(await jsonOf(await app.post('/media/files', { key }))).toMatchObject({
      data: { row: 2 },
    })
  })
})
