import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Announce } from '../../src/core/reconcile.ts'
import { recordUpload } from '../../src/core/record.ts'
import { removeFiles } from '../../src/core/remove.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import type { FileIndex } from '../../src/records/file-index.ts'
import type { FileRecord } from '../../src/records/file-record.ts'
import { unavailable } from '../support/errors.ts'
import { MemoryBucket } from '../support/memory-bucket.ts'
import { placeIn } from '../support/place.ts'
import { testBucket } from '../support/test-bucket.ts'

const KEY = parseObjectKey('avatars/42.png')
const FIRST = { etag: '"first"', at: '2026-11-24T12:00:00.000Z' }
const SECOND = { etag: '"second"', at: '2026-11-24T12:00:09.000Z' }
const NOW = new Date('2026-11-24T12:00:08Z')

const record = ({ etag, at }: typeof FIRST, owner: string | null): FileRecord => ({
  ...{ key: KEY, bucket: 'files', name: '42.png', size: 5, mimetype: 'image/png' },
  ...{ etag, owner, createdAt: at },
})

/** Lets several clients take their steps one at a time, in the order of `choices`. */
class SingleFlight {
  /** How many clients could take each step. */
  readonly options: number[] = []
  readonly #waiting = new Map<string, () => void>()
  readonly #choices: readonly number[]
  #running = 0

  constructor(choices: readonly number[]) {
    this.#choices = choices
  }

  /** Resolves when it is this client's turn. */
  take(client: string): Promise<void> {
    const turn = new Promise<void>((resolve) => {
      this.#waiting.set(client, resolve)
    })
    this.#running -= 1
    if (this.#running === 0) this.#next()
    return turn
  }

  async run(...clients: readonly (() => Promise<void>)[]): Promise<void> {
    this.#running = clients.length
    const all = clients.map(async (act) => {
      await act()
      this.#running -= 1
      if (this.#running === 0) this.#next()
    })
    await Promise.all(all)
  }

  #next(): void {
    const clients = [...this.#waiting.keys()].sort()
    const client = clients[this.#choices[this.options.length] ?? 0]
    if (client === undefined) return
    this.options.push(clients.length)
    const go = this.#waiting.get(client)
    this.#waiting.delete(client)
    this.#running += 1
    go?.()
  }
}

/** Calls `act` for each order in which the clients can take their steps. Returns the number. */
async function everyOrder(
  act: (turns: SingleFlight, order: string) => Promise<void>,
): Promise<number> {
  let choices: number[] = []
  for (let count = 1; ; count++) {
    const turns = new SingleFlight(choices)
    await act(turns, choices.join(''))
    const taken = turns.options.map((_, step) => choices[step] ?? 0)
    const last = taken.findLastIndex((choice, step) => choice + 1 < (turns.options[step] ?? 0))
    if (last === -1) return count
    choices = [...taken.slice(0, last), (taken[last] ?? 0) + 1]
  }
}

/** A bucket with one object. Each request first waits for `turn`, with the host of its endpoint. */
function oneObject(turn: (client: string) => Promise<void> = async () => {}) {
  const bucket = {
    object: FIRST as typeof FIRST | null,
    requests: [] as string[],
    hasWaited: false,
    isDown: false,
  }
  vi.stubGlobal('fetch', async (input: RequestInfo, init?: RequestInit) => {
    const { method, url } = new Request(input, init)
    await turn(new URL(url).hostname)
    bucket.requests.push(method)
    if (method === 'DELETE') bucket.object = null
    if (method === 'DELETE') return new Response(null, { status: 204 })
    if (bucket.isDown) return new Response(null, { status: 503 })
    if (bucket.object === null) return new Response(null, { status: 404 })
    const { etag, at } = bucket.object
    const headers = { 'Content-Length': '5', 'Content-Type': 'image/png', ETag: etag }
    const date = { 'Last-Modified': new Date(at).toUTCString() }
    return new Response(null, { headers: { ...headers, ...date } })
  })
  const later = setTimeout
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((act: () => void, wait: number) => {
    if (wait !== 1100) return later(act, wait)
    bucket.hasWaited = true
    return later(act, 0)
  }) as typeof setTimeout)
  return bucket
}

/** The same bucket, at an endpoint for each client. */
const bucketOf = (client: string) => testBucket({ alias: 'files', origin: `http://${client}` })

const recordByBob = (index: FileIndex) =>
  recordUpload(placeIn(bucketOf('bob'), index, NOW), { key: KEY, name: '42.png', owner: 'key:bob' })

/** Ann deletes an object while Bob replaces it and records that. */
async function race(turns: SingleFlight, index: FileIndex, isRecorded: boolean) {
  const bucket = oneObject((client) => turns.take(client))
  if (isRecorded) await index.put(record(FIRST, 'key:ann'))
  const announce: Announce = async ({ type }) => {
    if (type === 'deleted') await turns.take('ann')
  }
  const indexOf = (client: string): FileIndex => ({
    ...index,
    // Bob reads while he waits for the bucket.
    get: async (...given) => {
      if (client === 'ann') await turns.take(client)
      return index.get(...given)
    },
    put: async (...given) => {
      await turns.take(client)
      return index.put(...given)
    },
    remove: async (...given) => {
      await turns.take(client)
      return index.remove(...given)
    },
  })
  const failures: unknown[] = []
  let answered: unknown
  await turns.run(
    async () => {
      const removal = { index: indexOf('ann'), purge: async () => {}, announce }
      failures.push(...(await removeFiles(bucketOf('ann'), [{ key: KEY }], removal, NOW)).values())
    },
    async () => {
      await turns.take('bob')
      bucket.object = SECOND
      answered = await recordByBob(indexOf('bob')).then(
        () => 201,
        ({ code }) => code,
      )
    },
  )
  expect(bucket.hasWaited).toBe(false)
  return { object: bucket.object, answered, failures, kept: await index.get('files', KEY) }
}

/**
 * Deletes an object that Ann has recorded. Bob uploads and records another one when the deletion
 * gets to `moment`.
 */
async function overtaken(
  index: FileIndex,
  moment: string,
  seen: Partial<FileIndex> = {},
  purge = () => Promise.resolve(),
  goesDown = false,
) {
  const bucket = oneObject()
  await index.put(record(FIRST, 'key:ann'))
  const events: unknown[] = []
  const at = async (now: string) => {
    if (now !== moment) return
    bucket.object = SECOND
    if (moment !== 'remove, unrecorded') await recordByBob(index)
  }
  const removal = {
    index: {
      ...index,
      remove: async (...given: Parameters<FileIndex['remove']>) => {
        await at('before remove')
        const isRemoved = await index.remove(...given)
        bucket.isDown = goesDown
        await at('remove')
        await at('remove, unrecorded')
        return isRemoved
      },
      ...seen,
    },
    purge: async () => {
      await purge()
      await at('purge')
    },
    announce: async (...[{ type, file }, , when]: Parameters<Announce>) => {
      events.push([type, 'etag' in file ? file.etag : null, when?.toISOString()])
      await at('announce')
    },
  }
  const failures = await removeFiles(bucketOf('ann'), [{ key: KEY }], removal, NOW)
  const kept = await index.get('files', KEY)
  return { events, failures: [...failures], kept: kept && [kept.etag, kept.owner] }
}

beforeEach(() => {
  vi.useFakeTimers({ now: NOW, toFake: ['Date'] })
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

describe('a delete', () => {
  const open = memoryFileIndex
  describe.each([
    ['with a record', true],
    ['without a record', false],
  ])(
    'a delete of a chosen key %s, while somebody uploads to it and records that,',
    (_, isRecorded) => {
      // @threat record-lost
      it('leaves a record exactly if there is an object, in every order of their steps', async () => {
        const count = await everyOrder(async (turns, order) => {
          const { object, answered, failures, kept } = await race(turns, open(), isRecorded)
          vi.restoreAllMocks()
          expect(failures, order).toEqual([])
          expect(kept?.etag, order).toBe(object?.etag)
          if (kept !== null) expect(answered, order).toBe(201)
          if (kept !== null) expect(['key:bob', null], order).toContain(kept.owner)
        })
        expect(count).toBeGreaterThan(50)
      })
    },
  )

  describe('a delete of a chosen key', () => {
    const DELETED = ['deleted', null, NOW.toISOString()]
    const PROVISIONAL = ['recorded', SECOND.etag, undefined]
    const OF_BOB = [SECOND.etag, 'key:bob']

    it('removes its record, and the event has the time of the delete', async () => {
      expect(await overtaken(open(), 'never')).toEqual({
        events: [DELETED],
        failures: [],
        kept: null,
      })
    })

    // @threat owner-lost
    it('keeps nothing, neither of its record nor of an earlier one', async () => {
      const kept = { record: record(SECOND, 'ann'), keptAt: FIRST.at, expiresAt: null }
      const index = open()
      new MemoryBucket()
      for (const before of [record(FIRST, 'ann'), null]) {
        if (before !== null) await index.put(before)
        await index.kept?.put(kept)
        const removal = { index, announce: null, purge: async () => {} }
        expect(await removeFiles(testBucket(), [{ key: KEY }], removal, NOW)).toEqual(new Map())
        expect(await index.get('files', KEY)).toBe(null)
        expect(await index.kept?.get('files', KEY)).toBe(null)
      }
    })

    it('tells the app and keeps the record if the purge fails', async () => {
      const purge = () => Promise.reject(unavailable('purge'))
      expect(await overtaken(open(), 'never', {}, purge)).toMatchObject({
        events: [DELETED],
        failures: [[KEY, { code: 'unavailable', reason: 'purge', deleted: true }]],
        kept: [FIRST.etag, 'key:ann'],
      })
    })

    it('reports a failed purge also without a record, but not if there is an object again', async () => {
      const removal = { index: open(), announce: null }
      const failed = () => Promise.reject(unavailable('purge', 'down'))
      const bucket = oneObject()
      const remove = async (purge: () => Promise<void>) =>
        (await removeFiles(bucketOf('ann'), [{ key: KEY }], { ...removal, purge }, NOW)).size
      expect(await remove(failed)).toBe(1)
      expect(await remove(() => failed().finally(() => (bucket.object = SECOND)))).toBe(0)
    })

    it('removes what it can not see: a malformed record, or one that KV shows later', async () => {
      oneObject()
      const index = { ...open(), remove: vi.fn(async () => true) }
      const removal = { index, purge: async () => {}, announce: null }
      await removeFiles(bucketOf('ann'), [{ key: KEY }], removal, NOW)
      const change = { over: null, kept: null }
      expect(index.remove).toHaveBeenCalledExactlyOnceWith('files', KEY, change)
    })

    it('asks the bucket again, and after it has removed a record once more', async () => {
      const { requests } = oneObject()
      const removal = { index: open(), purge: async () => {}, announce: null }
      await removeFiles(bucketOf('ann'), [{ key: KEY }], removal, NOW)
      expect(requests).toEqual(['DELETE', 'HEAD'])
      await removal.index.put(record(FIRST, 'key:ann'))
      await removeFiles(bucketOf('ann'), [{ key: KEY }], removal, NOW)
      expect(requests.slice(2)).toEqual(['DELETE', 'HEAD', 'HEAD'])
    })

    // @threat record-lost
    it.each([
      ['before the event: nothing is announced', 'purge', []],
      ['during the event', 'announce', [DELETED]],
      ['after the record was removed', 'remove', [DELETED]],
    ])('keeps the record of an upload that comes %s', async (_, moment, events) => {
      expect(await overtaken(open(), moment)).toEqual({ events, failures: [], kept: OF_BOB })
    })

    // @threat record-lost
    it('keeps the record of a newer upload if the bucket can no longer be asked', async () => {
      const { failures, kept } = await overtaken(open(), 'announce', {}, undefined, true)
      expect(failures).toMatchObject([[KEY, { code: 'unavailable', reason: 'storage' }]])
      expect(kept).toEqual(OF_BOB)
    })

    // @threat record-lost
    it.each([
      ['is recorded just before the record is removed', 'before remove'],
      ['nobody records', 'remove, unrecorded'],
    ])('leaves a record of an upload that %s', async (_, moment) => {
      const isKept = moment === 'before remove'
      expect(await overtaken(open(), moment)).toEqual({
        events: isKept ? [DELETED] : [DELETED, PROVISIONAL],
        failures: [],
        kept: isKept ? OF_BOB : [SECOND.etag, null],
      })
    })

    // @threat record-lost
    it('gives the record back if the same bytes are there again within the same second', async () => {
      const index = open()
      const old = record(FIRST, 'key:ann')
      await index.put(old)
      const bucket = oneObject()
      const remove: FileIndex['remove'] = async (...given) => {
        bucket.object = FIRST
        return index.remove(...given)
      }
      const removal = { index: { ...index, remove }, purge: async () => {}, announce: null }
      await removeFiles(bucketOf('ann'), [{ key: KEY }], removal, NOW)
      expect(await index.get('files', KEY)).toEqual(old)
    })

    // @threat owner-lost
    it('erases what is kept, also if somebody uploads to the key meanwhile', async () => {
      const index = open()
      await index.kept?.put({ record: record(FIRST, 'ann'), keptAt: FIRST.at, expiresAt: null })
      const bucket = oneObject()
      const get: FileIndex['get'] = async (...given) => {
        bucket.object = SECOND
        return index.get(...given)
      }
      const removal = { index: { ...index, get }, purge: async () => {}, announce: null }
      await removeFiles(bucketOf('ann'), [{ key: KEY }], removal, NOW)
      expect(await index.kept?.get('files', KEY)).toBe(null)
    })

    // @threat record-lost
    it('leaves a record if the index still shows the removed one', async () => {
      const index = open()
      const old = record(FIRST, 'key:ann')
      await index.put(old)
      const bucket = oneObject()
      // As Workers KV, which compares only with what it shows.
      const stale: FileIndex = {
        ...index,
        get: async () => old,
        put: (file, change) =>
          index.put(file, change?.over === old ? { kept: change.kept } : change),
        async remove(alias, key) {
          bucket.object = SECOND
          return index.remove(alias, key)
        },
      }
      const removal = { index: stale, purge: async () => {}, announce: null }
      await removeFiles(bucketOf('ann'), [{ key: KEY }], removal, NOW)
      expect(await index.get('files', KEY)).toMatchObject({ etag: SECOND.etag, owner: null })
      expect(await index.kept?.get('files', KEY)).toBe(null)
    })
  })
})
