import { reset } from 'cloudflare:test'
import { afterAll, expect, inject, it } from 'vitest'
import { provisional } from '../../../src/core/reconcile.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { headObject } from '../../../src/storage/object.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../../support/test-bucket.ts'
import { DAY, generated, NOON, pass, type TestWalk, testWalk } from './support/walks.ts'

const ACCESS = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }

/** Milliseconds from the noon of the tests: two hours from now. */
const LATER = Date.now() - NOON + DAY / 12

/** Returns a walk through the local bucket, which does not check clocks. */
const walkOf = (pageSize = 1000): TestWalk =>
  testWalk({
    pageSize,
    place: {
      bucket: testBucket({
        ...{ origin: inject('s3Endpoint'), basePath: '/walked/', name: 'walked' },
        ...{ credentials: ACCESS, uploadCredentials: ACCESS, managedPrefixes: ['walked/'] },
      }),
    },
  })

afterAll(reset)

/** Asks a bucket that no other test has. */
const ask = (key: string, init: RequestInit) =>
  bucketFetch(key.split('/').map(encodeURIComponent).join('/'), init, 'walked')

const put = async (key: string) =>
  expect((await ask(key, { method: 'PUT', body: 'hello' })).status).toBe(200)

it('goes through the pages of the local bucket, with each kind of key, and finds the same again', async () => {
  const names = [
    'a b',
    'a+b',
    '100%',
    '%20',
    '\u00e9',
    'e\u0301',
    '\u{1f600}',
    '\ufb01',
    "'(*)",
    'a/b',
  ]
  const keys = names.map((name) => `walked/${name}`)
  for (const key of keys) await put(key)
  const walk = walkOf(3)
  const { index } = walk.place
  const order = { import: { prefix: 'walked/', owner: null } }
  const { last } = await pass(walk, LATER, order)
  expect(last?.counts).toMatchObject({ objects: keys.length, recorded: keys.length })
  const { records } = await index.list({ bucket: 'files', prefix: '', limit: 100 })
  expect(records.map(({ key }) => key).sort()).toEqual(keys.sort())
  const again = await pass({ ...walk, pageSize: 1000 }, LATER, { mode: 'report' })
  expect(again.last?.counts).toMatchObject({ records: keys.length, different: 0, gone: 0 })
})

it('drops a record without an object there, and deletes no object', async () => {
  const [gone, left, confirmed] = [parseObjectKey('walked/gone'), generated(), generated()]
  const walk = walkOf()
  const { bucket, index } = walk.place
  for (const key of [gone, left, confirmed]) {
    await put(key)
    const head = await headObject(bucket, key, new Date())
    if (head === null) throw new Error('It is missing.')
    const status = key === left ? ({ status: 'found' } as const) : {}
    await index.put({ ...provisional(bucket, key, head), owner: 'key:test', ...status })
  }
  await ask(gone, { method: 'DELETE' })
  const { stopped, last } = await pass(walk, LATER)
  expect([stopped, last?.counts]).toMatchObject([null, { gone: 1, dropped: 1 }])
  const isThere = async (key: string) => (await ask(key, { method: 'HEAD' })).ok
  expect([await isThere(left), await isThere(confirmed)]).toEqual([true, true])
  expect(await index.get('files', gone)).toBe(null)
})
