import { createExecutionContext } from 'cloudflare:test'
import { afterEach, expect, it, vi } from 'vitest'
import { createPresigner, defineSettings } from '../../../src/index.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { apiKeys } from '../../../src/plugins/api-keys/index.ts'
import { fileAdmin } from '../../../src/plugins/files/admin/index.ts'
import { files } from '../../../src/plugins/files/index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { type UpkeepInput, upkeep } from '../../../src/plugins/upkeep/index.ts'
import { ORIGIN } from '../../support/app.ts'
import { testApiKey } from '../../support/credentials.ts'
import { listedBuckets } from '../../support/listed-bucket.ts'
import { bucketAt, newKey, recordOf } from '../../support/upkeep.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

const KEY = newKey('a.png')

/** Sends a request about the alias "a", of an upload that the walk has recorded under the alias "b". */
async function ask(settings: UpkeepInput, route: string, body: object, b = bucketAt('one')) {
  listedBuckets({ one: { [KEY]: {} } })
  const index = memoryFileIndex()
  await index.put(recordOf(KEY, { bucket: 'b', owner: null, status: 'unconfirmed' }))
  const made = files({ index: () => index })
  const setup = vi.fn(made.setup ?? (() => ({})))
  const records = { ...made, setup }
  const key = await testApiKey('app', ['files:upload', 'index:write'])
  const presigner = createPresigner(
    defineSettings({
      ...{ buckets: { a: bucketAt('one'), b } },
      signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
    }),
    {
      plugins: [
        ...[records, fileAdmin({ drivers: { memory: () => index } })],
        ...[upkeep({ files: records, settings }), apiKeys({ keys: [key.entry] })],
      ],
      log: () => undefined,
    },
  )
  const [method = '', path = ''] = route.split(' ')
  const request = new Request(`${ORIGIN}${path}`, {
    method,
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key.token}` },
    body: JSON.stringify(body),
  })
  const response = await presigner.fetch(request, {}, createExecutionContext())
  return { status: response.status, body: await response.json(), index, setup }
}

const confirmIn = async (settings: UpkeepInput, b?: ReturnType<typeof bucketAt>) =>
  (await ask(settings, 'POST /files', { key: KEY, bucket: 'a' }, b)).status

it('refuses to confirm an upload that may expire at any time, under each alias of its bucket', async () => {
  expect(await confirmIn({ mode: 'expire', expireUnconfirmed: 10 })).toBe(404)
})

it('refuses it also if another alias has the same bucket at another address', async () => {
  const virtual = bucketAt('one', { addressing: 'virtual' })
  expect(await confirmIn({ mode: 'expire', expireUnconfirmed: 10 }, virtual)).toBe(404)
})

it('sets up no plugin again', async () => {
  const body = { key: KEY, bucket: 'a' }
  const asked = await ask({ mode: 'expire', expireUnconfirmed: 10 }, 'POST /files', body)
  expect(asked.status).toBe(404)
  expect(asked.setup).toHaveBeenCalledTimes(1)
})

it('accepts it where nothing expires, and before that time', async () => {
  expect(await confirmIn({ mode: 'record' })).toBe(201)
  expect(await confirmIn({ mode: 'expire', expireUnconfirmed: 3650 })).toBe(201)
})

it.each([
  ['confirmed', {}],
  ['found', { status: 'found' }],
] as const)('refuses a record by PUT /index that is %s, of such an upload', async (_, changes) => {
  const put = { to: 'memory', bucket: 'a', records: [recordOf(KEY, { bucket: 'a', ...changes })] }
  const late = await ask({ mode: 'expire', expireUnconfirmed: 10 }, 'PUT /index', put)
  expect(late.body).toEqual({
    records: [{ key: KEY, error: expect.objectContaining({ code: 'object_not_found' }) }],
  })
  expect(await late.index.get('a', parseObjectKey(KEY))).toBe(null)
  const early = await ask({ mode: 'expire', expireUnconfirmed: 3650 }, 'PUT /index', put)
  expect(early.body).toEqual({ records: [{ key: KEY, outcome: 'stored' }] })
})
