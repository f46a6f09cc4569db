import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, expect, inject, it, vi } from 'vitest'
import { Objects } from '../../../examples/everything/src/worker.ts'
import { bucketUrl } from '../../../src/bucket/bucket-url.ts'
import { type ObjectKey, parseObjectKey } from '../../../src/keys/object-key.ts'
import { FAILURE } from '../../../src/plugins/links/objects-protocol.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { captureLog } from '../../support/capture-log.ts'
import {
  askObjects,
  linkTo,
  open,
  putChosen,
  putObject,
  requestsFor,
  textOf,
} from '../../support/links.ts'
import { PATIENCE } from '../../support/patience.ts'
import { failNextPurge } from '../../support/purge.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const counting = () => ({
  ...s3rverBucket(),
  endpoint: `http://127.0.0.1:${inject('testPorts').counting}`,
})
const faulty = () => ({
  ...s3rverBucket(),
  endpoint: `http://127.0.0.1:${inject('testPorts').faulty}`,
})

/** `Objects` and the first of `BUCKETS`, with the Cache API. */
function configured(BUCKETS: object, changes: object = {}) {
  const variables = { ...env, ...changes, BUCKETS }
  const loaded = loadEnvironment(variables)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
  const run = async <T>(work: (objects: Objects) => Promise<T>): Promise<T> => {
    const context = createExecutionContext()
    const result = await work(new Objects(context, variables as unknown as Env))
    await waitOnExecutionContext(context)
    return result
  }
  return {
    read: (key: ObjectKey, bucket = loaded.settings.buckets[0]) =>
      run(async (objects) => {
        const answer = await objects.fetch(await askObjects(bucket, key))
        return answer.headers.get(FAILURE) ?? textOf(answer)
      }),
    purge: (key: ObjectKey, alias = loaded.settings.buckets[0].alias) =>
      run((objects) => objects.purge(alias, [key])),
    run,
    buckets: loaded.settings.buckets,
  }
}

// @threat copy-other-bucket
it('serves nothing from the bucket that an alias named before', async () => {
  const key = parseObjectKey(await putObject('loud.png', 'old bucket'))
  const before = configured({ images: counting() })
  const after = configured({ images: faulty() })
  expect(await before.read(key)).toBe('old bucket')
  expect(await before.read(key)).toBe('old bucket')
  expect(await requestsFor(key)).toBe(1)
  expect(await after.read(key)).not.toContain('old bucket')
  const renamed = configured({ images: { ...counting(), bucket: 'another' } })
  expect(await renamed.read(key)).not.toContain('old bucket')
})

// @threat copy-undeleted
it('neither reads nor keeps a copy when edgeTtl is 0', async () => {
  const key = parseObjectKey(await putObject('a.png', 'pixels'))
  const { read } = configured({ images: { ...counting(), edgeTtl: 0 } })
  const [match, put] = [vi.spyOn(caches.default, 'match'), vi.spyOn(caches.default, 'put')]
  for (const asked of [1, 2]) {
    expect(await read(key)).toBe('pixels')
    expect(await requestsFor(key)).toBe(asked)
  }
  expect([match.mock.calls, put.mock.calls]).toEqual([[], []])
})

// @threat copy-undeleted copy-outdated
it.each([
  ['any object', putObject],
  ['an object under a chosen key', putChosen],
])('reads no copy of %s that is older than a minute', async (_, put) => {
  const key = parseObjectKey(await put('a.png', 'pixels'))
  const { read } = configured({ images: counting() })
  await read(key)
  vi.setSystemTime(Date.now() + 59_000)
  await read(key)
  expect(await requestsFor(key)).toBe(1)
  vi.setSystemTime(Date.now() + 1000)
  await read(key)
  expect(await requestsFor(key)).toBe(2)
})

// @threat copy-outdated
it('counts this minute from the request to the bucket, which may answer late', async () => {
  const key = parseObjectKey(await putChosen('a.png', 'pixels'))
  const { read } = configured({ images: counting() })
  const real = globalThis.fetch
  vi.spyOn(globalThis, 'fetch').mockImplementationOnce(async (...request) => {
    const answer = await real(...request)
    vi.setSystemTime(Date.now() + 6000)
    return answer
  })
  await read(key)
  vi.setSystemTime(Date.now() + 53_000)
  await read(key)
  expect(await requestsFor(key)).toBe(1)
  vi.setSystemTime(Date.now() + 1000)
  await read(key)
  expect(await requestsFor(key)).toBe(2)
})

it('shares the copies of a bucket between its aliases with the same edgeTtl, and purges all', async () => {
  const { buckets, read, purge } = configured({
    day: counting(),
    other: counting(),
    second: { ...counting(), edgeTtl: 30 },
  })
  const [day, other, second] = buckets
  const key = parseObjectKey(await putObject('a.png', 'pixels'))
  for (const bucket of [day, other, day, second]) await read(key, bucket)
  expect(await requestsFor(key)).toBe(2)
  vi.setSystemTime(Date.now() + 30_000)
  await read(key, day)
  expect(await requestsFor(key)).toBe(2)
  await read(key, second)
  expect(await requestsFor(key)).toBe(3)
  await purge(key, 'other')
  for (const bucket of [day, second]) await read(key, bucket)
  expect(await requestsFor(key)).toBe(5)
})

// @threat copy-other-bucket
it('serves only the bucket that a request names, and hashes no other', async () => {
  const { buckets, run } = configured({
    first: counting(),
    second: { ...counting(), bucket: 'another' },
    third: faulty(),
  })
  const key = parseObjectKey(await putObject('a.png', 'pixels'))
  for (const bucket of buckets) {
    const request = await askObjects(bucket, key)
    const digest = vi.spyOn(crypto.subtle, 'digest')
    await run(async (objects) => void (await (await objects.fetch(request)).text()))
    const homes = digest.mock.calls.flatMap(([, bytes]) => {
      const text = new TextDecoder().decode(bytes as ArrayBuffer)
      return text.startsWith('[') ? [JSON.parse(text)[0]] : []
    })
    digest.mockRestore()
    expect(new Set(homes)).toEqual(new Set([bucketUrl(bucket)]))
  }
})

// @threat copy-other-bucket
it.each([
  ['no alias', null],
  ['an alias that is not configured', 'nobody'],
  ['the alias of another bucket', 'second'],
  ['an alias with another access key', 'third'],
  ['an alias with another edgeTtl', 'fourth'],
])('refuses a request with %s', async (_, alias) => {
  const { buckets, run } = configured(
    {
      first: counting(),
      second: { ...counting(), bucket: 'another' },
      third: { ...counting(), credentials: 'OTHER' },
      fourth: { ...counting(), edgeTtl: 60 },
    },
    { OTHER_ACCESS_KEY_ID: 'OTHER', OTHER_SECRET_ACCESS_KEY: 'OTHER' },
  )
  const key = parseObjectKey(await putObject('a.png', 'pixels'))
  const request = await askObjects(buckets[0], key)
  if (alias === null) request.headers.delete('X-Alias')
  else request.headers.set('X-Alias', alias)
  await run(async (objects) => {
    const answer = await objects.fetch(request)
    const failure = JSON.parse(decodeURIComponent(answer.headers.get(FAILURE) ?? '{}'))
    expect([answer.status, answer.headers.get('Cache-Control')]).toEqual([404, 'no-store'])
    expect(failure).toMatchObject({ code: 'unknown_bucket' })
    expect(await answer.text()).toBe('')
  })
  expect(await requestsFor(key)).toBe(0)
})

it('names copies only by the endpoint, not by the public endpoint', async () => {
  const nameOf = async (changes: object) => {
    const BUCKETS = { files: { ...s3rverBucket(), ...changes } }
    const loaded = loadEnvironment({ ...env, BUCKETS })
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
    return (
      await askObjects(loaded.settings.buckets[0], parseObjectKey(`uploads/${'y'.repeat(20)}-a`))
    ).url
  }
  const name = await nameOf({ endpoint: 'https://minio.example.com' })
  const publicEndpoint = 'https://files.example.com'
  expect(await nameOf({ endpoint: 'https://minio.example.com', publicEndpoint })).toBe(name)
  // The same name as before a bucket could have a public endpoint. A different name would empty
  // every cache.
  expect(name).toBe(
    'https://objects.invalid/d53877be20c24903cb12cf7e0f1256a073da693d2378e7fc2815f5ec859c344a/uploads%2Fyyyyyyyyyyyyyyyyyyyy-a?edgeTtl=86400',
  )
})

// @threat copy-other-bucket
it('shares no copy between aliases with different access keys, and purges all of them', async () => {
  const { buckets, read, purge } = configured(
    { all: counting(), some: { ...counting(), credentials: 'OTHER' } },
    { OTHER_ACCESS_KEY_ID: 'unknown', OTHER_SECRET_ACCESS_KEY: 'x' },
  )
  const [all, some] = buckets
  const key = parseObjectKey(await putObject('a.png', 'pixels'))
  expect(await read(key, all)).toBe('pixels')
  expect(await read(key, some)).toContain('%22reason%22%3A%22credentials%22')
  await purge(key, 'some')
  await read(key, all)
  expect(await requestsFor(key)).toBe(3)
})

// @threat copy-other-bucket
it('shares no copy between temporary credentials of one access key, which may have other rights', async () => {
  const temporary = (name: string, secret: string) => ({
    [`${name}_ACCESS_KEY_ID`]: 'S3RVER',
    [`${name}_SECRET_ACCESS_KEY`]: secret,
    [`${name}_SESSION_TOKEN`]: `token of ${name}`,
    [`${name}_CREDENTIAL_EXPIRATION`]: '2099-01-01T00:00:00Z',
  })
  const { buckets, read, purge } = configured(
    { all: { ...counting(), credentials: 'ALL' }, some: { ...counting(), credentials: 'SOME' } },
    { ...temporary('ALL', 'S3RVER'), ...temporary('SOME', 'x') },
  )
  const [all, some] = buckets
  const key = parseObjectKey(await putObject('a.png', 'pixels'))
  expect(await read(key, all)).toBe('pixels')
  expect(await read(key, some)).toContain('%22reason%22%3A%22credentials%22')
  await purge(key, 'some')
  await read(key, all)
  expect(await requestsFor(key)).toBe(3)
})

it('refuses a request for a bucket with a different configuration', async () => {
  const { read } = configured({ images: counting() })
  const [foreign] = configured({ images: faulty() }).buckets
  expect(await read(parseObjectKey('a'), foreign)).toContain('unknown_bucket')
})

// @threat copy-undeleted
it('shows no object a minute after it was deleted during its download', async () => {
  const worker = testWorker()
  const statuses: number[] = []
  for (let i = 0; i < 4; i++) {
    const key = `deleted-midway/${crypto.randomUUID()}.png`
    const { link } = await linkTo(key, {}, 'faulty')
    const response = await open(link, i % 2 === 0 ? {} : { Range: 'bytes=0-' })
    const path = `/files/${encodeURIComponent(key)}?bucket=faulty`
    expect((await worker.fetch(path, { method: 'DELETE' })).status).toBe(204)
    expect(await textOf(response)).toBe('good')
    vi.setSystemTime(Date.now() + 60_000)
    statuses.push((await open(link)).status)
  }
  expect(statuses).toEqual(Array(4).fill(404))
})

// @threat copy-undeleted
it('purges the copy when the response to a delete was lost', async () => {
  const key = `delete-lost/${crypto.randomUUID()}.png`
  const { link } = await linkTo(key, {}, 'faulty')
  for (const _ of [1, 2]) expect(await textOf(await open(link))).toBe('good')
  const path = `/files/${encodeURIComponent(key)}?bucket=faulty`
  const lost = await testWorker().fetch(path, { method: 'DELETE' })
  expect(lost.status).toBe(502)
  expect(await lost.json()).toMatchObject({ code: 'storage_error' })
  expect((await open(link)).status).toBe(404)
})

// @threat copy-undeleted
it('reports a lost response to a delete, and logs a warning when the purge also fails', async () => {
  const lines = captureLog()
  failNextPurge(new Error('no purge'))
  const path = `/files/${encodeURIComponent(`delete-lost/${crypto.randomUUID()}`)}?bucket=faulty`
  const lost = await testWorker().fetch(path, { method: 'DELETE' })
  expect(lost.status).toBe(502)
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
    code: 'storage_error',
    warning: expect.stringMatching(/edge copy could not be purged.*no purge/),
  })
})

it('ends the request to the bucket when the client disconnects and no copy is created', async () => {
  const { buckets, run } = configured({ images: { ...faulty(), edgeTtl: 0 } })
  const key = parseObjectKey(`endless/${crypto.randomUUID()}`)
  const path = encodeURIComponent(`/files/${key}`)
  const state = async () => (await fetch(`${faulty().endpoint}/.open?path=${path}`)).text()
  await run(async (objects) => {
    const answer = await objects.fetch(await askObjects(buckets[0], key))
    const reader = answer.body?.getReader()
    await reader?.read()
    expect(await state()).toBe('true')
    await reader?.cancel()
    await vi.waitFor(async () => expect(await state()).toBe('false'), PATIENCE)
  })
})
