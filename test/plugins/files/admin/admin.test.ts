import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { KEY_SCOPES, SCOPES, type Scope } from '../../../../src/access/scopes.ts'
import { createPresigner, defineSettings } from '../../../../src/index.ts'
import { parseObjectKey } from '../../../../src/keys/object-key.ts'
import { fileAdmin } from '../../../../src/plugins/files/admin/index.ts'
import { d1FileIndex } from '../../../../src/plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../../../../src/plugins/files/kv-file-index.ts'
import type { FileRecord } from '../../../../src/records/file-record.ts'
import { settingsInput } from '../../../support/app.ts'
import { bucketFetch } from '../../../support/bucket.ts'
import { bearer, type TestApiKey, testApiKey } from '../../../support/credentials.ts'
import { testDatabase } from '../../../support/d1.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../../../support/worker.ts'

const ORIGIN = 'https://presigner.example'
const FAR = '+010000-01-01T00:00:00.000Z'
const JSON_TYPE = { 'Content-Type': 'application/json' }
let admin: TestApiKey
let tenant: TestApiKey
let worker: TestWorker

const workerFor = (keys: readonly TestApiKey[], variables: object = {}): TestWorker =>
  testWorker(
    {
      OPEN_ACCESS: undefined,
      BUCKETS: { files: s3rverBucket(), other: s3rverBucket() },
      API_KEYS: keys.map(({ entry }) => entry),
      ...variables,
    },
    ORIGIN,
  )

beforeAll(async () => {
  admin = await testApiKey('admin', KEY_SCOPES)
  tenant = await testApiKey('tenant', KEY_SCOPES, 'admin-a/')
  worker = workerFor([admin, tenant])
  for (const key of ['admin-a/1.txt', 'admin-a/b/2.txt', 'admin-a/b/3.txt', 'admin-ab/4.txt'])
    await bucketFetch(key, { method: 'PUT', body: 'hello' })
})
afterEach(reset)

const index = () => kvFileIndex(env.FILE_INDEX)
const record = (key: string, changes: Partial<FileRecord> = {}): FileRecord => ({
  ...{ key: parseObjectKey(key), bucket: 'files', name: 'a.txt', size: 5, mimetype: 'text/plain' },
  ...{ etag: '"e"', owner: 'key:app/alice', createdAt: '2026-11-24T12:00:00.000Z' },
  ...changes,
})

const get = async (path: string, key = admin, from = worker) => {
  const response = await from.fetch(path, bearer(key.token))
  return { status: response.status, body: await response.json<Record<string, unknown>>() }
}
const put = async (body: object, key = admin) => {
  const headers = { ...bearer(key.token).headers, ...JSON_TYPE }
  const init = { method: 'PUT', headers, body: JSON.stringify({ to: 'kv', ...body }) }
  const response = await worker.fetch('/index', init)
  return { status: response.status, body: await response.json<Record<string, unknown>>() }
}

describe('GET /objects', () => {
  it('lists what is in the bucket, and marks what has a record', async () => {
    await index().put(record('admin-a/b/2.txt'))
    const { body } = await get('/objects?prefix=admin-a/')
    expect(body).toEqual({
      objects: ['admin-a/1.txt', 'admin-a/b/2.txt', 'admin-a/b/3.txt'].map((key) => ({
        key,
        size: 5,
        etag: '"5d41402abc4b2a76b9719d911017c592"',
        lastModified: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        isRecorded: key === 'admin-a/b/2.txt',
      })),
    })
  })

  it('lists folders with a delimiter', async () => {
    const { body } = await get('/objects?prefix=admin-a/&delimiter=/')
    expect(body).toMatchObject({
      objects: [{ key: 'admin-a/1.txt' }],
      folders: [{ prefix: 'admin-a/b/' }],
    })
  })

  it('continues with a cursor, which belongs to its list', async () => {
    const first = await get('/objects?prefix=admin-a/&limit=2')
    const cursor = encodeURIComponent(String(first.body.cursor))
    const second = await get(`/objects?prefix=admin-a/&limit=2&cursor=${cursor}`)
    expect(second.body).toMatchObject({ objects: [{ key: 'admin-a/b/3.txt' }] })
    expect(second.body.cursor).toBeUndefined()
    for (const other of [
      `/objects?prefix=admin-ab/&cursor=${cursor}`,
      `/objects?prefix=admin-a/&delimiter=/&cursor=${cursor}`,
      `/objects?prefix=admin-a/&bucket=other&cursor=${cursor}`,
      `/files?prefix=admin-a/&cursor=${cursor}`,
      `/index?from=kv&cursor=${cursor}`,
      '/objects?cursor=garbage',
    ])
      expect.soft((await get(other)).body.code, other).toBe('invalid_cursor')
  })

  it('lists keys with every kind of character', async () => {
    const keys = ['odd/a b+c%2B.txt', 'odd/&<é>.txt']
    for (const key of keys)
      await bucketFetch(encodeURI(key).replaceAll('+', '%2B').replaceAll('&', '%26'), {
        method: 'PUT',
        body: 'x',
      })
    const { body } = await get('/objects?prefix=odd/')
    expect(body).toMatchObject({ objects: keys.toSorted().map((key) => ({ key })) })
  })

  // @threat objects-outside
  it("stays inside the caller's prefix", async () => {
    const { body } = await get('/objects', tenant)
    expect(JSON.stringify(body)).toContain('admin-a/1.txt')
    expect(JSON.stringify(body)).not.toContain('admin-ab/')
    expect((await get('/objects?prefix=admin-', tenant)).status).toBe(403)
    expect((await get('/objects?prefix=', tenant)).status).toBe(403)
  })

  // @threat objects-listed
  it('exists only if a credential has its scope', async () => {
    const plain = await testApiKey('plain', ['files:list', 'tokens:create'])
    expect((await get('/objects', plain, workerFor([plain]))).status).toBe(403)
    const open = testWorker({ API_KEYS: undefined })
    expect((await open.fetch('/objects')).status).toBe(404)
    const lister = await testApiKey('lister', ['objects:list'])
    const { entry } = lister
    expect((await testWorker({ API_KEYS: [entry] }).fetch('/objects')).status).toBe(200)
  })
})

describe('GET /index', () => {
  it('returns all records of one bucket in pages, and the buckets', async () => {
    const records = ['a/1', 'a/2', 'b/3'].map((key) => record(key))
    for (const one of records) await index().put(one)
    await index().put(record('a/1', { bucket: 'other' }))
    const first = await get('/index?from=kv&limit=2')
    expect(first.body).toMatchObject({ buckets: ['files', 'other'], records: records.slice(0, 2) })
    const cursor = encodeURIComponent(String(first.body.cursor))
    const second = await get(`/index?from=kv&limit=2&cursor=${cursor}`)
    expect(second.body).toEqual({
      ...{ buckets: ['files', 'other'], records: records.slice(2), unreadable: 0 },
    })
    for (const other of [`&bucket=other&cursor=${cursor}`, '&cursor=garbage'])
      expect.soft((await get(`/index?from=kv${other}`)).body.code).toBe('invalid_cursor')
  })

  it('names the indexes that there are', async () => {
    const { status, body } = await get('/index?from=constructor')
    expect(status).toBe(501)
    expect(body).toMatchObject({ code: 'not_supported', message: expect.stringContaining('kv') })
  })

  // @threat index-foreign
  it("stays inside the caller's prefix and buckets", async () => {
    await index().put(record('admin-a/1.txt'))
    await index().put(record('admin-ab/4.txt'))
    const { body } = await get('/index?from=kv', tenant)
    expect(body.records).toEqual([record('admin-a/1.txt')])
  })
})

describe('PUT /index', () => {
  const outcomes = (body: Record<string, unknown>) => body.records
  const get1 = () => index().get('files', parseObjectKey('admin-a/1.txt'))

  it('stores records as they are, and can be repeated', async () => {
    const records = [record('admin-a/1.txt'), record('admin-a/b/2.txt', { owner: null })]
    for (const outcome of ['stored', 'kept'])
      expect(outcomes((await put({ records })).body)).toEqual(
        records.map(({ key }) => ({ key, outcome })),
      )
    expect((await index().list({ bucket: 'files', prefix: '', limit: 9 })).records).toEqual(records)
  })

  // @threat index-put-old
  it('stores a status, which every list then has, and none for other records', async () => {
    const found = record('admin-a/1.txt', { status: 'found' })
    const confirmed = record('admin-a/b/2.txt')
    expect((await put({ records: [found, confirmed] })).status).toBe(200)
    expect((await get('/index?from=kv')).body).toMatchObject({ records: [found, confirmed] })
    const { files } = (await get('/files')).body
    expect(files).toStrictEqual([found, confirmed])
    expect((await get(`/files/${encodeURIComponent(found.key)}`)).body).toStrictEqual(found)
    const odd = { ...found, status: 'confirmed' }
    expect(await put({ records: [odd] })).toMatchObject({
      status: 400,
      body: { code: 'invalid_request' },
    })
  })

  // @threat name-hidden
  it.each([
    [' ', 'admin-a/1.txt'],
    ['\u3164', 'admin-a/1.txt'],
    ['photo\u202egpj.exe', 'photo_gpj.exe'],
    ['a\nb\ud800', 'a_b_'],
  ])('stores the name %j, which no upload can have, as %j', async (name, shown) => {
    const one = record('admin-a/1.txt', { name })
    expect(outcomes((await put({ records: [one] })).body)).toMatchObject([{ outcome: 'stored' }])
    expect((await get('/files')).body).toMatchObject({ files: [{ name: shown }] })
  })

  it.each<readonly [string, Partial<FileRecord>, string, string]>([
    ['of a later object', { createdAt: '2026-11-24T12:00:01.000Z' }, 'kept', 'kept'],
    ['of an earlier object', { createdAt: '2026-11-24T11:59:59.000Z' }, 'stored', 'stored'],
    ['of another object of the same date', { etag: '"f"' }, 'kept', 'kept'],
    ['of the same object with another name', { name: 'b.txt' }, 'kept', 'stored'],
    ['of the same object without an owner', { owner: null }, 'stored', 'stored'],
  ])('compares with a record %s', async (_, changes, outcome, overwritten) => {
    const known = record('admin-a/1.txt', changes)
    const given = record('admin-a/1.txt')
    for (const [overwrite, expected] of [
      [false, outcome],
      [true, overwritten],
    ] as const) {
      await index().remove('files', known.key)
      await index().put(known)
      const { body } = await put({ records: [given], overwrite })
      expect
        .soft(outcomes(body), String(overwrite))
        .toEqual([{ key: given.key, outcome: expected }])
      expect.soft(await get1(), String(overwrite)).toEqual(expected === 'kept' ? known : given)
    }
  })

  // @threat index-put-gone
  it('leaves no record of a file that is gone', async () => {
    const gone = record('admin-a/gone.txt')
    const outcome = [{ key: gone.key, outcome: 'gone' }]
    expect(outcomes((await put({ records: [gone] })).body)).toEqual(outcome)
    expect(await index().get('files', gone.key)).toBeNull()
    await index().put({ ...gone, createdAt: '2026-11-25T12:00:00.000Z' })
    expect(outcomes((await put({ records: [gone] })).body)).toEqual(outcome)
    expect(await index().get('files', gone.key)).toBeNull()
  })

  // @threat index-foreign
  it('refuses keys outside the prefix, records of other buckets, and a key that appears twice', async () => {
    const records = [
      ...[record('admin-a/1.txt'), record('admin-a/1.txt'), record('admin-ab/4.txt')],
      ...[record('admin-a/b/2.txt', { bucket: 'other' })],
      { ...record('admin-a/b/3.txt'), key: 'admin-a/../b' },
      record(`admin-a/${'x'.repeat(600)}`),
    ]
    const { body } = await put({ records }, tenant)
    expect(outcomes(body)).toMatchObject([
      { outcome: 'stored' },
      { error: { code: 'key_not_indexable' } },
      { key: 'admin-a/1.txt', error: { code: 'invalid_request' } },
      { error: { code: 'forbidden' } },
      { error: { code: 'invalid_request' } },
      { error: { code: 'invalid_key' } },
    ])
    expect((await index().list({ bucket: 'files', prefix: '', limit: 9 })).records).toHaveLength(1)
  })

  it('says kept for a name that the index shortens again, so that a copy ends', async () => {
    const records = [record('admin-a/1.txt', { name: '漢'.repeat(1024) })]
    for (const outcome of ['stored', 'kept'])
      expect(outcomes((await put({ records, overwrite: true })).body)).toMatchObject([{ outcome }])
  })

  it('refuses only the record that does not fit into the index', async () => {
    const [mimetype, owner, etag] = ['"'.repeat(255), '"'.repeat(200), '"'.repeat(100)]
    const records = [record('admin-a/1.txt', { mimetype, owner, etag }), record('admin-a/b/2.txt')]
    expect(outcomes((await put({ records })).body)).toMatchObject([
      { key: 'admin-a/1.txt', error: { code: 'key_not_indexable' } },
      { key: 'admin-a/b/2.txt', outcome: 'stored' },
    ])
  })

  it.each<readonly [string, object]>([
    ['a date that sorts before others', { records: [record('a', { createdAt: FAR })] }],
    ['no records', { records: [] }],
    ['too many records', { records: Array.from({ length: 21 }, (_, i) => record(`a/${i}`)) }],
    ['an unknown member', { records: [{ ...record('a'), more: 1 }] }],
    ['a negative size', { records: [record('a', { size: -1 })] }],
    ['a date in another spelling', { records: [record('a', { createdAt: '2026-11-24' })] }],
    ['an owner on two lines', { records: [record('a', { owner: 'a\nb' })] }],
    ['an endless name', { records: [record('a', { name: 'x'.repeat(5000) })] }],
  ])('refuses %s', async (_, body) => {
    expect((await put(body)).body.code).toBe('invalid_request')
  })
})

describe('PUT /index to D1', () => {
  it('stores records there, and keeps the newer ones', async () => {
    const { entry, token } = admin
    const both = testWorker({ API_KEYS: [entry], FILES_DB: testDatabase })
    const d1 = d1FileIndex(testDatabase)
    const newer = record('admin-a/b/2.txt', { createdAt: '2026-11-25T12:00:00.000Z' })
    const renamed = record('admin-a/b/3.txt', { name: 'renamed.txt' })
    await d1.put(newer)
    await d1.put(renamed)
    const keys = ['admin-a/1.txt', newer.key, renamed.key, 'admin-a/gone.txt']
    const headers = { ...bearer(token).headers, ...JSON_TYPE }
    const send = async (overwrite: boolean) => {
      const body = JSON.stringify({ to: 'd1', overwrite, records: keys.map((key) => record(key)) })
      const response = await both.fetch('/index', { method: 'PUT', headers, body })
      const { records } = await response.json<{ records: { outcome: string }[] }>()
      return records.map(({ outcome }) => outcome)
    }
    expect(await send(false)).toEqual(['stored', 'kept', 'kept', 'gone'])
    const { body } = await get('/index?from=d1', admin, both)
    expect(body.records).toEqual([record('admin-a/1.txt'), newer, renamed])
    expect(await send(true)).toEqual(['kept', 'kept', 'stored', 'gone'])
    expect(await d1.get('files', renamed.key)).toEqual(record(renamed.key))
    const objects = await get('/objects?prefix=admin-a/b/', admin, both)
    expect(objects.body.objects).toMatchObject([{ isRecorded: true }, { isRecorded: true }])
  })
})

// @threat index-write-minted
describe('the scope index:write', () => {
  it('is not one that a token can have', async () => {
    for (const scopes of [['index:write'], ['files:list', 'index:write']]) {
      const asked = await worker.post('/tokens', { scopes }, bearer(admin.token))
      expect(asked.status).toBe(400)
    }
    const asked = await worker.post('/tokens', { scopes: SCOPES }, bearer(admin.token))
    const { token } = await asked.json<{ token: string }>()
    expect((await get('/objects?prefix=admin-a/', { ...admin, token })).status).toBe(200)
    expect((await get('/index?from=kv', { ...admin, token })).status).toBe(403)
  })

  it('is refused in the settings of JWTs, and in the answer of an app', async () => {
    const jwt = {
      ...{ issuer: 'https://issuer.example/', audience: 'a', algorithms: ['ES256'] },
      ...{ jwksUrl: 'https://issuer.example/jwks', prefix: '', scopes: ['index:write'] },
    }
    expect((await workerFor([admin], { JWT: jwt }).fetch('/healthz')).status).toBe(503)
    const scopes: Scope[] = ['index:write']
    const app = createPresigner(
      defineSettings(() => settingsInput()),
      {
        authenticate: () => ({ id: 'alice', scopes, prefix: '' }),
        plugins: [fileAdmin({ drivers: { kv: index() } })],
        log: () => undefined,
      },
    )
    expect((await app.fetch(new Request(`${ORIGIN}/index?from=kv`), {})).status).toBe(500)
  })

  it('is of no use on the host of links', async () => {
    const linked = workerFor([admin], { LINK_ORIGIN: ORIGIN })
    for (const path of ['/index?from=kv', '/objects'])
      expect((await get(path, admin, linked)).status, path).toBe(404)
  })
})
