import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { Journals } from '../../src/plugins/copies/journal.ts'
import { d1FileIndex } from '../../src/plugins/files/d1-file-index.ts'
import { folderTokens, STEPS } from '../../src/plugins/files/d1-schema.ts'
import { kvFileIndex } from '../../src/plugins/files/kv-file-index.ts'
import { startPass } from '../../src/plugins/upkeep/state.ts'
import { jobIn, jobMessage } from '../../src/records/job.ts'
import { ORDER, testStore } from '../plugins/upkeep/support/walks.ts'
import { toHex } from '../support/base64.ts'
import { testDatabase } from '../support/d1.ts'
import { testBucket } from '../support/test-bucket.ts'

/*
 * What is stored and must stay readable after a deploy. If a test here fails, files, searches, totals or
 * jobs get lost: also read the old format (docs/maintainers/stored-data.md), or add a step that rewrites
 * rows. Grants and drop boxes have such tests in their folders, `stored.test.ts`.
 */

const NOW = new Date('2026-11-24T12:00:00Z')
const FILE = {
  ...{ name: 'Mein Föto.JPG', size: 123_456, mimetype: 'image/jpeg' },
  ...{ etag: '"d41d8cd98f00b204e9800998ecf8427e"', owner: 'key:ci' },
}
const RECORD = {
  ...{ bucket: 'files', key: parseObjectKey('team-a/uploads/é b.jpg'), ...FILE },
  createdAt: NOW.toISOString(),
}

afterEach(async () => {
  vi.restoreAllMocks()
  await reset()
})

describe('KV', () => {
  const index = kvFileIndex(env.FILE_INDEX)
  const NAME = 'file:files:team-a/uploads/é b.jpg'
  const KEPT = 'kept:files:team-a/uploads/é b.jpg'
  const METADATA = { v: 1, ...FILE, createdAt: '2026-11-24T12:00:00.000Z' }
  const KEPT_METADATA = { ...METADATA, kept: 1_795_521_600, until: 1_798_113_600 }
  const kept = {
    record: RECORD,
    keptAt: NOW.toISOString(),
    expiresAt: '2026-12-24T12:00:00.000Z',
  }
  const list = { bucket: 'files', prefix: 'team-a/', limit: 10 }

  it('gets a record, and one that is kept, in these entries', async () => {
    await index.put(RECORD)
    await index.kept?.put(kept)
    const { keys } = await env.FILE_INDEX.list()
    expect(keys.map(({ name, metadata }) => ({ name, metadata }))).toEqual([
      { name: NAME, metadata: METADATA },
      { name: KEPT, metadata: KEPT_METADATA },
    ])
    expect(await env.FILE_INDEX.get(NAME)).toBe('')
  })

  // @threat deploy-invalidates
  it.each([
    ['of a principal', METADATA],
    ['of nobody', { ...METADATA, owner: null, status: 'found' }],
  ])('has a record %s that is still read', async (_, metadata) => {
    await env.FILE_INDEX.put(NAME, '', { metadata })
    await env.FILE_INDEX.put(KEPT, '', { metadata: { ...KEPT_METADATA, ...metadata } })
    const { v: _v, ...members } = metadata
    const record = { ...RECORD, ...members }
    expect(await index.get('files', RECORD.key)).toEqual(record)
    expect(await index.getMany?.('files', [RECORD.key])).toEqual([record])
    expect((await index.list(list)).records).toEqual([record])
    expect(await index.kept?.get('files', RECORD.key)).toEqual({ ...kept, record })
  })

  // @threat deploy-invalidates
  it('may have records of a later version, which lists leave out, and nothing replaces', async () => {
    await env.FILE_INDEX.put(NAME, '', { metadata: { ...METADATA, v: 2 } })
    await env.FILE_INDEX.put(KEPT, '', { metadata: { ...KEPT_METADATA, v: 2 } })
    expect(await index.list(list)).toMatchObject({ records: [], unreadable: 1 })
    expect(await index.kept?.list(list)).toMatchObject({ records: [] })
    const calls = [
      () => index.get('files', RECORD.key),
      () => index.getMany?.('files', [RECORD.key]),
      () => index.kept?.get('files', RECORD.key),
      () => index.kept?.getMany('files', [RECORD.key]),
      () => index.put(RECORD, { over: null }),
      () => index.remove('files', RECORD.key, { over: RECORD }),
    ]
    for (const call of calls)
      await expect(call()).rejects.toMatchObject({
        code: 'unavailable',
        cause: { message: expect.stringContaining('later version') },
      })
    expect((await env.FILE_INDEX.getWithMetadata(NAME)).metadata).toMatchObject({ v: 2 })
  })
})

describe('D1', () => {
  const index = d1FileIndex(testDatabase)
  const ROW = {
    ...{ bucket: 'files', key: 'team-a/uploads/é b.jpg', ...FILE },
    created_at: '2026-11-24T12:00:00.000Z',
    folded: 'mein foto.jpg',
    tokens: 'f149opl5xbkidy2x0 fjre940xu5nt51x1 fxl3yp6x32wa24x2',
    folders: '[0,7,15]',
  }

  it('gets a record in these columns', async () => {
    await index.put(RECORD)
    const { results } = await testDatabase.prepare('SELECT * FROM presigner_files').all()
    expect(results).toEqual([{ id: 1, ...ROW, status: null }])
    const steps = await testDatabase.prepare('SELECT * FROM presigner_schema').all()
    expect(steps.results).toEqual([{ step: 1 }])
  })

  // @threat deploy-invalidates
  it('has a row that is still read and counted', async () => {
    await index.get('files', RECORD.key)
    const columns = Object.keys(ROW)
    await testDatabase
      .prepare(`INSERT INTO presigner_files (${columns}) VALUES (${columns.map(() => '?')})`)
      .bind(...Object.values(ROW))
      .run()
    expect(await index.get('files', RECORD.key)).toEqual(RECORD)
    const { results } = await testDatabase
      .prepare('SELECT folder, count, bytes FROM presigner_folders ORDER BY folder')
      .all()
    expect(results).toEqual(
      ['', 'team-a/', 'team-a/uploads/'].map((folder) => ({ folder, count: 1, bytes: 123_456 })),
    )
  })

  // @threat deploy-invalidates
  it('has the same words for folders, and the same first step, after each deploy', async () => {
    expect(folderTokens('files', 'team-a/😀/x').join(' ')).toBe(
      'f149opl5xbkidy2x0 fjre940xu5nt51x1 fx262ryx1f4mv7ix2',
    )
    const text = new TextEncoder().encode(JSON.stringify(STEPS[0]))
    expect(toHex(await crypto.subtle.digest('SHA-256', text))).toBe(
      '9d099cbe25cc0dc0a5c9f525ab5f44bffd4e247d8d96b7e684b313081acbd4f2',
    )
  })
})

const PURGE = { kind: 'purge', bucket: 'files', keys: ['team-a/é b.png'] } as const
const WEBHOOK = { kind: 'webhook', endpoint: 'e1', id: 'evt_1', body: '{"type":"x"}' } as const

// @threat deploy-invalidates
it.each([
  [
    '{"version":1,"kind":"purge","bucket":"files","keys":["team-a/é b.png"]}',
    { ...PURGE, keys: [...PURGE.keys] },
  ],
  [
    '{"version":1,"kind":"webhook","endpoint":"e1","id":"evt_1","body":"{\\"type\\":\\"x\\"}"}',
    WEBHOOK,
  ],
])('a message in a queue is %s', (text, job) => {
  expect(JSON.stringify(jobMessage(job))).toBe(text)
  expect(jobIn(JSON.parse(text))).toEqual(job)
  expect(jobIn({ ...JSON.parse(text), version: 2 })).toBe('of a later version')
  expect(jobIn(job)).toBe('malformed')
})

// @threat deploy-invalidates
it('the journal of a move has this form, and is found by a repeat', async () => {
  vi.spyOn(crypto, 'randomUUID').mockReturnValue('0f8fad5b-d9cb-469f-a165-70867728950e')
  const source = testBucket()
  const [from, to] = [parseObjectKey('a/é b.png'), parseObjectKey('c.png')]
  const held = new Map<string, string | null>()
  const lock = {
    ...{ held, busySeconds: 0, release: () => Promise.resolve() },
    note: async (key: string, text: string) => Boolean(held.set(key, text)),
  }
  const journals = new Journals({ lockOf: () => lock }, { kind: 'move', source, target: source })
  const object = { etag: '"e"', lastModified: NOW, size: 1, mimetype: 'a/b' }
  await journals.note({ from, to }, { source: object, target: null, wasVacant: true })
  const text =
    '{"version":1,"id":"0f8fad5b-d9cb-469f-a165-70867728950e","sourceId":null,"request":"88e0816bde082210a4e2421fea612ad433926a2243ebb00fa9bc939f3e1ad0e0","wasVacant":true,"source":{"etag":"\\"e\\"","lastModified":"2026-11-24T12:00:00.000Z"},"target":null}'
  expect(held).toEqual(new Map([[to, text]]))
  expect(await journals.earlier({ from, to }, null)).toEqual({
    ...JSON.parse(text),
    source: { etag: '"e"', lastModified: NOW },
  })
  held.set(to, text.replace('"version":1', '"version":2'))
  expect(await journals.earlier({ from, to }, null)).toBeNull()
})

// @threat deploy-invalidates
it('the state of a walk has this form, and is still read', async () => {
  const text =
    '{"version":1,"order":{"mode":"record","import":null,"isWaited":false},"identity":"a bucket","phase":"objects","startedAt":"2026-11-24T12:00:00.000Z","after":null,"indexCursor":null,"marker":null,"counts":{"objects":0,"records":0,"unrecorded":0,"young":0,"unmanaged":0,"ownerless":0,"different":0,"gone":0,"oldUploads":0,"unreadable":0,"foreign":0,"refused":0,"failed":0,"recorded":0,"returned":0,"updated":0,"corrected":0,"dropped":0,"aborted":0},"confirmed":{"records":0,"odd":0},"failures":0,"failure":null,"isDoubted":false,"stopped":null,"accepted":[],"held":null,"nextAt":1795521600000,"last":null}'
  expect(JSON.stringify(startPass(ORDER, 'a bucket', NOW))).toBe(text)
  const store = testStore()
  await store.begin('files', JSON.parse(text), false)
  expect((await store.states(['files'])).get('files')).toEqual(JSON.parse(text))
  await store.begin('files', { ...JSON.parse(text), version: 2 }, false)
  await expect(store.states(['files'])).rejects.toThrow('version 2')
})
