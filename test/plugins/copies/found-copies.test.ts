import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { jsonOf } from '../../support/app.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { mount } from '../../support/mount.ts'
import { lapsingIndex } from './lapsing-index.ts'

afterEach(() => vi.unstubAllGlobals())

const put = (key: string) =>
  bucketFetch(key, { method: 'PUT', body: 'pixels', headers: { 'Content-Type': 'image/png' } })

let number = 0

/** A notification of the bucket records a copy without an owner, and the upkeep guesses one. */
describe.each([
  ['found', 'app:bob'],
  ['found', null],
] as const)('a record that is only %s (owner %s)', (status, owner) => {
  async function setUp() {
    number += 1
    const [from, to] = [`found/${number}/a.png`, `found/${number}/b.png`]
    const index = lapsingIndex(memoryFileIndex())
    const app = mount({ files: { index } })
    await put(from)
    await app.post('/media/files', { key: from })
    const find = async () => {
      const { headers } = await bucketFetch(to, { method: 'HEAD' })
      await index.put({
        ...{ key: parseObjectKey(to), bucket: 'files', name: 'b.png', owner, status },
        ...{ size: 6, mimetype: 'image/png', etag: headers.get('ETag') ?? '' },
        createdAt: new Date(headers.get('Last-Modified') ?? '').toISOString(),
      })
    }
    return { app, from, to, find, index }
  }

  it.each(['copy', 'move'] as const)(
    'lets a repeat finish a %s whose response was lost',
    async (kind) => {
      const { app, from, to, find, index } = await setUp()
      const real = fetch
      vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
        const response = await real(input, init)
        if (!new Headers(init.headers).has('x-amz-copy-source')) return response
        throw new TypeError('Network connection lost.')
      })
      expect((await app.post(`/media/files/${kind}`, { from, to })).status).toBe(502)
      vi.unstubAllGlobals()
      await find()
      await index.lapse()
      const again = await app.post(`/media/files/${kind}`, { from, to })
      expect(await jsonOf(again)).toMatchObject({ key: to, owner: 'app:ann' })
    },
  )

  it('is no proof of an earlier move', async () => {
    const { app, to, find } = await setUp()
    await put(to)
    await find()
    const moved = await app.post('/media/files/move', { from: `${to}.gone`, to })
    expect(await jsonOf(moved)).toMatchObject({ code: 'object_not_found' })
  })
})
