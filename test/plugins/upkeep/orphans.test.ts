import { afterEach, describe, expect, it, vi } from 'vitest'
import type { PresignerOptions } from '../../../src/index.ts'
import { jsonOf } from '../../support/app.ts'
import { testApiKey } from '../../support/credentials.ts'
import { ETAG, LONG_AGO, listedBuckets } from '../../support/listed-bucket.ts'
import { operations } from '../../support/scripted-bucket.ts'
import { bucketAt, newKey, recordOf, type UpkeepApp, upkeepApp } from '../../support/upkeep.ts'

const admin = await testApiKey('admin', ['upkeep:read', 'upkeep:run'])
const reader = await testApiKey('reader', ['upkeep:read'])
const inside = await testApiKey('inside', ['upkeep:read', 'upkeep:run'], 'uploads/')

afterEach(() => {
  vi.unstubAllGlobals()
})

const DAY = 86_400_000
const ago = (days: number) => new Date(Date.now() - days * DAY)

/** Numbered generated keys. */
const numbered = (count: number, name: string) =>
  Array.from({ length: count }, (_, i) => newKey(`${name}${i}.png`))

interface Setup {
  readonly owned?: number
  readonly orphans?: number
  /** When upkeep has seen the orphans first, in days. */
  readonly since?: number
  readonly beforeDelete?: PresignerOptions['beforeDelete']
}

/** An app with files that have an owner, and others that nobody has recorded, as upkeep has seen them. */
async function appWith({ owned = 60, orphans = 3, since = 31, beforeDelete }: Setup = {}) {
  const ownedKeys = numbered(owned, 'owned')
  const orphanKeys = numbered(orphans, 'orphan')
  const objects: Record<string, object> = Object.fromEntries(
    [...ownedKeys, ...orphanKeys].map((key) => [key, {}]),
  )
  const sent = listedBuckets({ one: objects, two: {} })
  const app = upkeepApp({
    ...{ keys: [admin, reader, inside], settings: { mode: 'report', plan: 'paid' } },
    ...(beforeDelete && { options: { beforeDelete } }),
  })
  for (const key of ownedKeys) await app.index.put(recordOf(key))
  await app.run(ago(since))
  await app.tick(ago(since))
  return { app, sent, objects, ownedKeys, orphanKeys }
}

interface Listed {
  readonly count: number
  readonly bytes: number
  readonly isMany: boolean
  readonly samples: readonly { readonly key: string; readonly since: string }[]
}

const list = async (app: UpkeepApp, query = '') =>
  jsonOf<Listed>(await app.ask(`GET /upkeep/orphans${query}`, reader))

const ORDER = { prefix: 'uploads/', olderThanDays: 30 }

const remove = async (app: UpkeepApp, body: object = {}) => {
  const response = await app.ask('POST /upkeep/orphans/delete', admin, { ...ORDER, ...body })
  return response.ok
    ? jsonOf<{ files: { key: string; outcome?: string }[]; after?: string }>(response)
    : jsonOf<{ code: string; message: string; issues?: { message: string }[] }>(response)
}

describe('GET /upkeep/orphans', () => {
  it('counts objects that have been without an owner for so long since upkeep first saw them so', async () => {
    const { app, orphanKeys } = await appWith()
    expect(await list(app)).toEqual({
      ...{ bucket: 'files', prefix: '', count: 3, bytes: 18, isMany: false },
      samples: orphanKeys.map((key) => ({
        ...{ key, etag: ETAG, size: 6, since: expect.stringMatching(/Z$/) },
      })),
    })
    // Their own dates are long ago.
    expect(LONG_AGO < ago(100).toISOString()).toBe(true)
    expect(await list(app, '?olderThanDays=32')).toMatchObject({ count: 0, samples: [] })
    expect(await list(app, '?olderThanDays=31')).toMatchObject({ count: 3 })
  })

  it('counts only what is below the prefix', async () => {
    const { app, orphanKeys } = await appWith()
    const [key = ''] = orphanKeys
    expect(await list(app, `?prefix=${key}`)).toMatchObject({ count: 1, samples: [{ key }] })
    expect(await list(app, '?prefix=other/')).toMatchObject({ count: 0, bytes: 0 })
  })

  it('says whether they are more than a tenth of the files below the prefix', async () => {
    expect((await list((await appWith({ owned: 30 })).app)).isMany).toBe(false)
    expect((await list((await appWith({ owned: 29 })).app)).isMany).toBe(true)
  })

  it('knows no orphans before a walk', async () => {
    const app = upkeepApp({ keys: [reader] })
    expect(await list(app)).toMatchObject({ count: 0, bytes: 0, isMany: false, samples: [] })
  })

  it.each([
    ['?olderThanDays=0', 400],
    ['?olderThanDays=3651', 400],
    ['?prefix=../', 400],
    ['?bucket=other', 404],
  ])('refuses %s', async (query, status) => {
    const app = upkeepApp({ keys: [reader] })
    expect((await app.ask(`GET /upkeep/orphans${query}`, reader)).status).toBe(status)
  })

  it('is only for callers without a prefix', async () => {
    const app = upkeepApp({ keys: [inside] })
    expect((await app.ask('GET /upkeep/orphans', inside)).status).toBe(403)
    expect((await app.ask('POST /upkeep/orphans/delete', inside, ORDER)).status).toBe(403)
  })
})

describe('POST /upkeep/orphans/delete', () => {
  it('deletes orphans, a few in each request, and nothing else', async () => {
    const { app, objects, ownedKeys, orphanKeys } = await appWith({ orphans: 6 })
    const first = await remove(app)
    expect(first).toEqual({
      files: orphanKeys.slice(0, 5).map((key) => ({ key, outcome: 'deleted' })),
      after: orphanKeys[4],
    })
    expect(await remove(app, { after: orphanKeys[4] })).toEqual({
      files: [{ key: orphanKeys[5], outcome: 'deleted' }],
    })
    expect(Object.keys(objects).toSorted()).toEqual(ownedKeys.toSorted())
    expect(await list(app)).toMatchObject({ count: 0 })
  })

  // @threat orphan-owned
  it('keeps what has got an owner or a kept record since the walk, under any alias of the bucket', async () => {
    const { app, objects, orphanKeys } = await appWith()
    const [owned = '', kept = '', other = ''] = orphanKeys
    await app.index.put(recordOf(owned))
    await app.index.kept?.put({
      ...{ record: recordOf(kept, { etag: '"old"' }), keptAt: LONG_AGO, expiresAt: null },
    })
    expect(await remove(app)).toMatchObject({
      files: [
        { key: owned, outcome: 'owned' },
        { key: kept, outcome: 'owned' },
        { key: other, outcome: 'deleted' },
      ],
    })
    expect(Object.keys(objects)).toContain(owned)
    expect(Object.keys(objects)).toContain(kept)
  })

  // @threat orphan-owned
  it('keeps what another alias of a bucket with this name has recorded with an owner', async () => {
    const [key, own] = [newKey('a.png'), newKey('b.png')]
    const objects: Record<string, object> = { [key]: {}, [own]: {} }
    listedBuckets({ one: objects })
    const buckets = {
      files: bucketAt('one'),
      other: bucketAt('one', { endpoint: 'https://other.example' }),
    }
    const app = upkeepApp({ keys: [admin, reader], buckets, settings: { plan: 'paid' } })
    await app.index.put(recordOf(own))
    const kept = newKey('c.png')
    Object.assign(objects, { [kept]: {} })
    await app.run(ago(31))
    await app.tick(ago(31))
    await app.index.put(recordOf(key, { bucket: 'other' }))
    await app.index.kept?.put({
      ...{ record: recordOf(kept, { bucket: 'other' }), keptAt: LONG_AGO, expiresAt: null },
    })
    expect(await remove(app, { count: 2 })).toEqual({
      files: [
        { key, outcome: 'owned' },
        { key: kept, outcome: 'owned' },
      ],
    })
  })

  // @threat orphan-replaced
  it('keeps an object with another ETag than upkeep has seen', async () => {
    const { app, objects, orphanKeys } = await appWith({ orphans: 1 })
    const [key = ''] = orphanKeys
    objects[key] = { etag: '"new"' }
    expect(await remove(app)).toMatchObject({
      files: [{ key, error: { code: 'precondition_failed' } }],
    })
    expect(Object.keys(objects)).toContain(key)
  })

  // @threat orphan-replaced
  it('keeps a later upload of the same bytes', async () => {
    const { app, objects, orphanKeys } = await appWith({ orphans: 1 })
    const [key = ''] = orphanKeys
    objects[key] = { lastModified: new Date().toISOString() }
    expect(await remove(app)).toMatchObject({
      files: [{ key, error: { code: 'precondition_failed' } }],
    })
    expect(Object.keys(objects)).toContain(key)
  })

  it('removes a record without an owner, too', async () => {
    const { app, orphanKeys } = await appWith({ orphans: 1 })
    const [key = ''] = orphanKeys
    await app.index.put(recordOf(key, { owner: null, status: 'found' }))
    expect(await remove(app)).toEqual({ files: [{ key, outcome: 'deleted' }] })
    expect((await app.index.list({ bucket: 'files', prefix: key, limit: 1 })).records).toEqual([])
  })

  it('asks the app, which learns that no principal asks', async () => {
    const asked: unknown[] = []
    const { app, objects, orphanKeys } = await appWith({
      beforeDelete(file, principal) {
        asked.push([file, principal])
        return file.key === orphanKeys[0] ? { refuse: 'No.' } : undefined
      },
    })
    expect(await remove(app)).toMatchObject({
      files: [
        { key: orphanKeys[0], error: { code: 'forbidden', message: 'No.' } },
        { key: orphanKeys[1], outcome: 'deleted' },
        { key: orphanKeys[2], outcome: 'deleted' },
      ],
    })
    expect(asked[0]).toEqual([{ bucket: 'files', key: orphanKeys[0], kind: 'upkeep' }, null])
    expect(Object.keys(objects)).toContain(orphanKeys[0])
  })

  // @threat orphans-many
  it('needs the count above a tenth of the prefix, and refuses if there are more', async () => {
    const { app, sent, orphanKeys } = await appWith({ owned: 20 })
    const before = sent.length
    for (const count of [undefined, 2, 4])
      expect(await remove(app, { ...(count && { count }) })).toMatchObject({
        ...{ code: 'invalid_request', issues: [{ path: 'count' }] },
        message: expect.any(String),
      })
    expect(sent).toHaveLength(before)
    expect(await remove(app, { count: 3 })).toMatchObject({
      files: orphanKeys.map((key) => ({ key, outcome: 'deleted' })),
    })
  })

  // @threat orphans-elsewhere
  it.each<[string, (given: Awaited<ReturnType<typeof appWith>>) => Promise<unknown>, RegExp]>([
    [
      'an empty index',
      async ({ app, ownedKeys }) => {
        for (const key of ownedKeys) await app.index.remove('files', recordOf(key).key)
      },
      /has no file that somebody has confirmed/,
    ],
    [
      'another bucket behind the address, whose objects upkeep has recorded',
      async ({ app, objects, ownedKeys, orphanKeys }) => {
        for (const key of ownedKeys) objects[key] = { etag: '"other"' }
        for (const key of orphanKeys)
          await app.index.put(recordOf(key, { owner: null, status: 'found' }))
      },
      /another one/,
    ],
    [
      'a walk that has stopped',
      async ({ app }) => {
        const walk = upkeepApp({ name: app.name, index: app.index, settings: { mode: 'record' } })
        listedBuckets({ one: {} })
        await walk.run(new Date())
        for (let i = 0; i < 60; i += 10) await walk.tick(new Date(Date.now() + i * 60_000))
      },
      /stopped: empty list/,
    ],
  ])('deletes nothing with %s', async (_, change, message) => {
    const given = await appWith()
    await change(given)
    expect(await remove(given.app, { count: 3 })).toMatchObject({
      ...{ code: 'precondition_failed', message: expect.stringMatching(message) },
    })
    expect(operations(given.sent)).not.toContain('DeleteObject')
  })

  // @threat orphans-many
  it('deletes nothing before a pass has ended', async () => {
    const [key, own] = [newKey('a.png'), newKey('b.png')]
    const sent = listedBuckets({ one: { [key]: {}, [own]: {} } })
    const app = upkeepApp({ keys: [admin, reader], settings: { plan: 'paid' } })
    await app.index.put(recordOf(own))
    await app.run(ago(31))
    await app.step(ago(31))
    expect(await list(app)).toMatchObject({ count: 1 })
    expect(await remove(app, { count: 1 })).toMatchObject({
      ...{ code: 'precondition_failed', message: expect.stringMatching(/has ended yet/) },
    })
    expect(operations(sent)).not.toContain('DeleteObject')
  })

  it.each([
    ['no prefix', { prefix: '' }],
    ['a prefix that is no start of keys', { prefix: '../' }],
    ['no age', { olderThanDays: undefined }],
    ['an unknown member', { force: true }],
  ])('refuses %s', async (_, body) => {
    const { app } = await appWith()
    expect(await remove(app, body)).toHaveProperty('code')
  })
})
