import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { presigner } from '../../../examples/everything/src/presigner.ts'
import { ApiError } from '../../../src/errors/api-error.ts'
import type { Instance } from '../../../src/http/app-env.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import type { StoredBox } from '../../../src/plugins/drop-boxes/box.ts'
import { recheck } from '../../../src/plugins/drop-boxes/recheck.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import type { Ledger } from '../../../src/state/ledger.ts'
import type { Arrived } from '../../../src/state/reservation.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { captureLog } from '../../support/capture-log.ts'
import {
  arrive,
  createBox,
  DAY,
  type DropBox,
  HOUR,
  holdsOf,
  inBox,
  MINUTE,
  objectOf,
  visit,
} from '../../support/drop-boxes.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Lets a box look at the bucket, as its alarm does after `milliseconds`, with another presigner. */
const recheckWith = (
  box: DropBox,
  milliseconds: number,
  { seams, ...changes }: Partial<Omit<Instance, 'seams'>> & { seams?: Partial<Instance['seams']> },
): Promise<void> =>
  inBox(box, async (ledger) => {
    const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} }
    const usual = presigner.instance(env)
    const instance = { ...usual, ...changes, seams: { ...usual.seams, ...seams } }
    const stored = await ledger.read()
    if (stored === null) throw new Error('There is no box.')
    await recheck(ledger, stored, instance, context, new Date(Date.now() + milliseconds))
  })

describe('a look at the bucket', () => {
  it('records no file that a plugin refuses, such as one that may expire at any time', async () => {
    vi.spyOn(console, 'warn').mockReturnValue()
    const box = await createBox()
    const key = parseObjectKey(await (await visit(box)).put())
    const fileIndex = memoryFileIndex()
    const settle = vi.fn<Instance['seams']['settle'][number]>(async () => {
      throw new ApiError('object_not_found', 'It is too late.')
    })
    await recheckWith(box, 7 * MINUTE, { fileIndex, seams: { settle: [settle] } })
    expect(await fileIndex.get(box.bucket, key)).toBe(null)
    expect(settle).toHaveBeenCalledWith(
      expect.objectContaining({ type: 'recorded', file: expect.objectContaining({ key }) }),
      {
        index: expect.objectContaining({ get: expect.any(Function) }),
        principal: expect.objectContaining({ id: `drop-box:${box.id}` }),
      },
    )
    await recheckWith(box, DAY + HOUR, { fileIndex })
    expect(await fileIndex.get(box.bucket, key)).not.toBe(null)
  })

  // @threat app-hangs
  it('ends, and comes again, if a plugin never answers about a file', async () => {
    vi.spyOn(console, 'warn').mockReturnValue()
    const box = await createBox()
    const key = parseObjectKey(await (await visit(box)).put())
    const fileIndex = memoryFileIndex()
    const settle = () => new Promise<never>(() => {})
    await recheckWith(box, 7 * MINUTE, {
      fileIndex,
      seams: { settle: [settle] },
      appMilliseconds: 10,
    })
    expect(await fileIndex.get(box.bucket, key)).toBe(null)
    await recheckWith(box, DAY + HOUR, { fileIndex })
    expect(await fileIndex.get(box.bucket, key)).not.toBe(null)
  })

  it('sends the events that the Worker could not', async () => {
    const box = await createBox({ title: 'Papers' })
    const key = await (await visit(box, { sender: { name: 'Bob' } })).put()
    const events: Parameters<NonNullable<Instance['after']>>[0][] = []
    const changes = { fileIndex: memoryFileIndex() }
    const after = async (...[event]: Parameters<NonNullable<Instance['after']>>) => {
      events.push(event)
      return undefined
    }
    await recheckWith(box, 7 * MINUTE, { ...changes, after })
    expect(events).toMatchObject([
      { type: 'recorded', file: { key }, principal: `drop-box:${box.id}` },
      {
        ...{ type: 'received', file: { key }, principal: 'localhost' },
        ...{ dropBox: { id: box.id, label: 'Papers' }, sender: { name: 'Bob', note: '' } },
      },
    ])
    await recheckWith(box, 2 * DAY, { ...changes, after })
    expect(events).toHaveLength(2)
    expect(await holdsOf(box)).toEqual([])
  })

  it('records a file whose record nobody has confirmed', async () => {
    const box = await createBox()
    const key = await (await visit(box)).put()
    await arrive(box, key)
    const { headers } = await bucketFetch(key, { method: 'HEAD' })
    const guess: FileRecord = {
      ...{ key: parseObjectKey(key), bucket: 'files', name: 'guess', size: 1, mimetype: 'a/b' },
      ...{ etag: headers.get('ETag') ?? '', owner: 'key:guess', status: 'found' },
      createdAt: new Date(headers.get('Last-Modified') ?? '').toISOString(),
    }
    const fileIndex = memoryFileIndex()
    await fileIndex.put(guess)
    await recheckWith(box, 7 * MINUTE, { fileIndex })
    const record = await fileIndex.get('files', guess.key)
    expect(record).toMatchObject({ owner: `drop-box:${box.id}`, etag: guess.etag })
    expect(record).not.toHaveProperty('status')
  })

  it('counts although the queue fails, and tells and records later', async () => {
    const lines = captureLog()
    const box = await createBox()
    const key = await (await visit(box)).put()
    const fileIndex = memoryFileIndex()
    const down = async () => {
      throw new Error('Queue is full.')
    }
    await recheckWith(box, 7 * MINUTE, { fileIndex, after: down })
    expect((await objectOf(box).read())?.received.files).toBe(1)
    expect((await holdsOf(box)).map(({ state }) => state)).toEqual(['kept'])
    expect(lines.join('\n')).toMatch(/files not recorded.*Queue is full/)
    const types: string[] = []
    const after = async (...[{ type }]: Parameters<NonNullable<Instance['after']>>) => {
      types.push(type)
      return undefined
    }
    await recheckWith(box, HOUR, { fileIndex, after })
    expect(await fileIndex.get('files', parseObjectKey(key))).toMatchObject({ key })
    expect(types).toEqual(['recorded', 'received'])
    await recheckWith(box, 2 * DAY, { fileIndex, after })
    expect(types).toHaveLength(2)
    expect(await holdsOf(box)).toEqual([])
  })

  it('deletes what is over the limit with its provisional record and its copies', async () => {
    const box = await createBox({ maxFiles: 1 })
    const key = parseObjectKey(await (await visit(box, { ip: '203.0.113.1' })).put())
    await arrive(box, key)
    await objectOf(box).free(key, Date.now())
    await objectOf(box).freed(key, Date.now())
    await (await visit(box, { ip: '203.0.113.2' })).send()
    const fileIndex = memoryFileIndex()
    const provisional: FileRecord = {
      ...{ key, bucket: 'files', name: 'a', size: 5, mimetype: 'text/plain', etag: '"a"' },
      ...{ owner: null, createdAt: new Date().toISOString() },
    }
    await fileIndex.put(provisional)
    const purged: string[] = []
    const events: string[] = []
    const changes = {
      fileIndex,
      objects: (context: Parameters<Instance['objects']>[0]) => ({
        ...presigner.instance(env).objects(context),
        purge: async (_: unknown, keys: readonly string[]) => void purged.push(...keys),
      }),
      after: async (...[{ type }]: Parameters<NonNullable<Instance['after']>>) => {
        events.push(type)
        return undefined
      },
    }
    for (let run = 0; run < 3; run++) await recheckWith(box, DAY + HOUR, changes)
    expect((await bucketFetch(encodeURI(key), { method: 'HEAD' })).status).toBe(404)
    expect(await fileIndex.get('files', key)).toBeNull()
    expect(purged).toEqual([key])
    expect(events).toContain('deleted')
  })

  // @threat box-foreign-record
  it('leaves a file alone that the app has changed in place', async () => {
    const box = await createBox({ allowedTypes: ['text/plain'] })
    const sender = await visit(box)
    const { key } = await (await sender.send()).json<{ key: string }>()
    const headers = { 'Content-Type': 'image/png' }
    await bucketFetch(encodeURI(key), { method: 'PUT', body: 'x'.repeat(2000), headers })
    await recheckWith(box, 7 * MINUTE, {})
    expect((await bucketFetch(encodeURI(key), { method: 'HEAD' })).status).toBe(200)
    expect((await objectOf(box).read())?.received).toEqual({ files: 1, bytes: 5 })
    expect(await holdsOf(box)).toEqual([])
  })

  it('comes when the first reservation ends, not when the box does', async () => {
    const box = await createBox()
    const alarm = () => runInDurableObject(objectOf(box), (_, { storage }) => storage.getAlarm())
    const sender = await visit(box)
    const before = Date.now()
    expect(await alarm()).toBeGreaterThan(before + DAY)
    await sender.begin()
    const first = (await alarm()) ?? 0
    // Five minutes, and a second for the first 32 KiB.
    expect(first).toBeGreaterThanOrEqual(before + 5 * MINUTE + 1000)
    expect(first).toBeLessThanOrEqual(Date.now() + 5 * MINUTE + 1000)
    await sender.begin()
    expect(await alarm()).toBe(first)
  })

  it.each<
    readonly [string, number, (ledger: Ledger<StoredBox>, file: Arrived, now: number) => unknown]
  >([
    ['a file is counted', 5 * MINUTE + 1000, (ledger, file, now) => ledger.settle(file, now)],
    [
      'there is no room for a file, to delete it',
      0,
      async (ledger, file, now) => {
        await ledger.free(file.key, now)
        ledger.freed(file.key, now)
        await ledger.end(now, true)
        await ledger.settle(file, now)
      },
    ],
    [
      'the box is closed without a file',
      0,
      (ledger, _, now) => {
        ledger.freed('uploads/a.txt', now)
        for (const hold of ledger.due(1, now + DAY)) ledger.rechecked(hold, now)
        for (const hold of ledger.due(1, now + 2 * DAY)) ledger.rechecked(hold, now)
        return ledger.end(now)
      },
    ],
  ])('comes soon after %s', async (_, milliseconds, act) => {
    const now = Date.now() + 10 * MINUTE
    const key = 'uploads/a.txt'
    const ask = { key, size: 5, network: 'n', around: 'm', sender: null }
    const file = { key, etag: '"e"', size: 5, name: 'a', mimetype: 'text/plain', at: now }
    const alarm = await inBox(await createBox(), async (ledger, storage) => {
      await ledger.reserve({ ...ask, country: null }, now)
      await act(ledger, file, now)
      return storage.getAlarm()
    })
    expect(alarm).toBe(now + milliseconds)
  })

  it('lets a sender try again, who takes a step meanwhile', async () => {
    const box = await createBox()
    const place = { network: 'n', around: 'm', sender: null, country: null }
    const ask = { key: 'a', size: 5, ...place }
    const before = Date.now()
    await inBox(box, async (ledger) => {
      await ledger.reserve(ask, before)
      const [due] = ledger.due(1, before + HOUR)
      if (due === undefined) throw new Error('Nothing is due.')
      ledger.renew('a', 5, before + MINUTE)
      expect(ledger.upload('a')).toMatchObject({ state: 'rechecking', ends: due.ends })
      expect(ledger.step('a', false, before)).toEqual({ ok: false, why: 'rechecking', seconds: 5 })
      expect(await ledger.reserve(ask, before)).toMatchObject({ why: 'rechecking' })
      // A failed look is repeated.
      ledger.failed(due, before)
      expect(ledger.upload('a')).toMatchObject({ state: 'rechecking', tries: 1 })
      // What has changed meanwhile is not touched.
      ledger.rechecked(due, before)
      expect(ledger.upload('a')?.state).toBe('rechecking')
      expect(await ledger.free('a', before)).not.toBeNull()
      expect(ledger.upload('a')?.state).toBe('ending')
    })
  })
})
