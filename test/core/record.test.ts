import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { NO_LIMITS } from '../../src/access/limits.ts'
import { type Announce, infer } from '../../src/core/reconcile.ts'
import { type Claim, recordUpload } from '../../src/core/record.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { kvFileIndex } from '../../src/plugins/files/kv-file-index.ts'
import type { FileIndex } from '../../src/records/file-index.ts'
import { withEachIndex } from '../support/each-index.ts'
import { placeIn } from '../support/place.ts'
import { type Answer, answer, operations, scriptedBucket } from '../support/scripted-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

const KEY = parseObjectKey('uploads/a.txt')
const UPLOADED = new Date('2026-11-24T12:00:00Z')

withEachIndex((index) => {
  const recorded = (
    name = 'a.txt',
    owner = 'key:ci',
    now = UPLOADED,
    through: FileIndex = index,
    announce: Announce | null = null,
  ) =>
    recordUpload(placeIn(testBucket(), through, now, announce), {
      ...{ key: KEY, name, owner, claim: () => ANY },
    })
  /** May record everything. */
  const ANY: Claim = { ofOthers: true, limits: NO_LIMITS }
  const record = async (...given: Parameters<typeof recorded>) => (await recorded(...given)).record

  /** The HeadObject response for an object with `etag`, uploaded at `at`. */
  const object = (etag = '"e1"', at = UPLOADED) =>
    answer(200, null, {
      'Content-Length': '5',
      'Content-Type': 'text/plain',
      ETag: etag,
      'Last-Modified': at.toUTCString(),
    })
  const MISSING = answer(404)
  const minutesLater = (minutes: number) => new Date(UPLOADED.getTime() + minutes * 60_000)

  /** Returns whether the index lists the file. */
  const isListed = async (): Promise<boolean> =>
    (await index.list({ bucket: 'files', prefix: '', limit: 10 })).records.length > 0

  /** Returns an index that shows its current content from now on, as Workers KV may for a minute. */
  async function staleIndex(): Promise<FileIndex> {
    if (index.lagSeconds === undefined) return index
    const seen = await env.FILE_INDEX.getWithMetadata(`file:files:${KEY}`)
    return kvFileIndex({
      getWithMetadata: async () => seen,
      put: (...given: Parameters<KVNamespace['put']>) => env.FILE_INDEX.put(...given),
    } as never)
  }

  afterEach(async () => {
    vi.unstubAllGlobals()
    vi.restoreAllMocks()
    vi.useRealTimers()
    await reset()
  })

  describe('recording the same upload again', () => {
    it.each([0, 9, 11, 60 * 24])(
      'changes nothing, not even name or owner, %i minutes later',
      async (minutes) => {
        scriptedBucket({ HeadObject: object() })
        const first = await record()
        expect(await record('b.txt', 'key:other', minutesLater(minutes))).toEqual(first)
        expect(await index.get('files', KEY)).toEqual(first)
      },
    )

    it('writes nothing after KV must show the first write', async () => {
      scriptedBucket({ HeadObject: object() })
      await record()
      const put = vi.fn(index.put)
      await record('a.txt', 'key:ci', minutesLater(9), { ...index, put })
      expect(put).toHaveBeenCalledOnce()
      await record('a.txt', 'key:ci', minutesLater(11), { ...index, put })
      expect(put).toHaveBeenCalledOnce()
    })

    it.each([
      ['other bytes', '"e2"', 0],
      ['the same bytes', '"e1"', 1],
    ])('creates a new record when the object was replaced by %s', async (_, etag, seconds) => {
      scriptedBucket({ HeadObject: object() })
      await record()
      const at = new Date(UPLOADED.getTime() + seconds * 1000)
      scriptedBucket({ HeadObject: object(etag, at) })
      const second = await record('b.txt', 'key:other', minutesLater(60))
      expect(second).toMatchObject({ etag, name: 'b.txt', owner: 'key:other' })
      expect(second.createdAt).toBe(at.toISOString())
      expect(await index.get('files', KEY)).toEqual(second)
    })
  })

  describe('a file that was deleted and uploaded again, while KV still shows its old record,', () => {
    // @threat record-wrong
    it.each([
      ['a second later', 1],
      ['within the same second', 0],
      ['minutes later', 300],
    ])('has a record when it was uploaded %s', async (_, seconds) => {
      scriptedBucket({ HeadObject: object() })
      await record()
      const stale = await staleIndex()
      await index.remove('files', KEY)
      const at = new Date(UPLOADED.getTime() + seconds * 1000)
      scriptedBucket({ HeadObject: object('"e1"', at) })
      const second = await record('a.txt', 'key:ci', at, stale)
      expect(second.createdAt).toBe(at.toISOString())
      expect(await isListed()).toBe(true)
    })
  })

  // @threat file-misattributed
  it("is not the caller's when another upload replaced it meanwhile", async () => {
    let head = object()
    scriptedBucket({ HeadObject: (sent) => head(sent) })
    const overtaken: FileIndex = {
      ...index,
      async put(file, change) {
        if (file.etag === '"e1"') {
          head = object('"e2"')
          await record('b.txt', 'key:other')
        }
        return index.put(file, change)
      },
    }
    const late = recorded('a.txt', 'key:ci', UPLOADED, overtaken)
    await expect(late).rejects.toMatchObject({ code: 'file_replaced' })
    expect(await index.get('files', KEY)).toMatchObject({ etag: '"e2"', owner: 'key:other' })
  })

  describe('a deleted object', () => {
    // @threat record-wrong
    it('has no record when it was deleted while it was recorded', async () => {
      const sent = scriptedBucket({ HeadObject: [object(), MISSING] })
      await expect(record()).rejects.toMatchObject({ code: 'object_not_found' })
      // The last one looks for a newer object, once the record is removed.
      expect(operations(sent)).toEqual(['HeadObject', 'HeadObject', 'HeadObject'])
      expect(await index.get('files', KEY)).toBeNull()
      expect(await isListed()).toBe(false)
    })

    it('loses its record when it was deleted in the bucket and is recorded again', async () => {
      scriptedBucket({ HeadObject: [object(), object(), MISSING] })
      await record()
      await expect(record()).rejects.toMatchObject({ code: 'object_not_found' })
      expect(await isListed()).toBe(false)
    })

    it('costs no write to KV when it had no record', async () => {
      scriptedBucket({ HeadObject: MISSING })
      const remove = vi.fn(index.remove)
      await expect(record('a.txt', 'key:ci', UPLOADED, { ...index, remove })).rejects.toMatchObject(
        {
          code: 'object_not_found',
        },
      )
      expect(remove).not.toHaveBeenCalled()
    })
  })

  describe('a change', () => {
    /** Announces to a list, with the record that the index has at that moment. */
    function listening(fails = false) {
      const told: unknown[] = []
      const announce: Announce = async (change, about) => {
        told.push([change.type, about?.etag, (await index.get('files', KEY))?.etag ?? null])
        if (fails) throw new Error('down')
        return 'data'
      }
      const act = () => recorded('a.txt', 'key:ci', UPLOADED, index, announce)
      return { told, act }
    }

    it('is announced before the index changes, and again when it is repeated', async () => {
      const { told, act } = listening()
      scriptedBucket({ HeadObject: [object(), object(), object(), object(), object('"e2"')] })
      expect(await act()).toMatchObject({ replaces: false, data: 'data' })
      expect(await act()).toMatchObject({ replaces: false, data: 'data' })
      expect(await act()).toMatchObject({ replaces: true, data: 'data' })
      expect(told).toEqual([
        ['recorded', '"e1"', null],
        ['recorded', '"e1"', '"e1"'],
        ['replaced', '"e2"', '"e1"'],
      ])
    })

    it('that nobody could be told about is not written', async () => {
      const { told, act } = listening(true)
      scriptedBucket({ HeadObject: object() })
      await expect(act()).rejects.toThrow('down')
      expect(told).toEqual([['recorded', '"e1"', null]])
      expect(await isListed()).toBe(false)
    })

    it('is "deleted" when the object of a record is missing, before the record is removed', async () => {
      scriptedBucket({ HeadObject: object() })
      await recorded()
      const { told, act } = listening()
      scriptedBucket({ HeadObject: MISSING })
      await expect(act()).rejects.toMatchObject({ code: 'object_not_found' })
      expect(told).toEqual([['deleted', '"e1"', '"e1"']])
      expect(await isListed()).toBe(false)
      // Without a record, nothing changes.
      await expect(act()).rejects.toMatchObject({ code: 'object_not_found' })
      expect(told).toHaveLength(1)
    })

    // @threat event-out-of-order
    it('is "deleted" before an upload that comes while the bucket is asked', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: UPLOADED })
      const events: [string, number][] = []
      const announce: Announce = async ({ type }, _, at = new Date()) => {
        events.push([type, (at.getTime() - UPLOADED.getTime()) / 1000])
      }
      const upload = async () => {
        vi.setSystemTime(UPLOADED.getTime() + 4000)
        await announce({ type: 'recorded', file: await record() }, null)
        vi.setSystemTime(UPLOADED.getTime() + 8000)
      }
      for (const before of [[], [object()]]) {
        vi.setSystemTime(UPLOADED)
        scriptedBucket({ HeadObject: object() })
        await record()
        const gone: Answer = async (sent) => {
          scriptedBucket({ HeadObject: object() })
          await upload()
          return MISSING(sent)
        }
        scriptedBucket({ HeadObject: [...before, gone], GetObject: MISSING })
        const given = recorded('a.txt', 'key:ci', UPLOADED, index, announce)
        // There is an object again.
        expect(await given).toMatchObject({ record: { owner: 'key:ci' } })
        await index.remove('files', KEY)
      }
      // Before it has read a record, the bucket is asked again.
      expect(events.filter(([type]) => type === 'deleted')).toEqual([['deleted', 0]])
    })

    it('keeps the record of a missing object while nobody can be told', async () => {
      scriptedBucket({ HeadObject: object() })
      await recorded()
      const { act } = listening(true)
      scriptedBucket({ HeadObject: MISSING })
      await expect(act()).rejects.toThrow('down')
      expect(await isListed()).toBe(true)
    })

    it('is "recorded" and then "deleted" if the object disappears meanwhile', async () => {
      const { told, act } = listening()
      scriptedBucket({ HeadObject: [object(), MISSING] })
      await expect(act()).rejects.toMatchObject({ code: 'object_not_found' })
      expect(told).toEqual([
        ['recorded', '"e1"', null],
        ['deleted', '"e1"', '"e1"'],
      ])
    })
  })

  describe('a record that nobody has confirmed', () => {
    const repeated = record
    const guessed = async (owner: string | null, status: 'found') => {
      scriptedBucket({ HeadObject: object() })
      const { record } = await recorded('a.txt', 'key:ci')
      const file = { ...record, name: 'guess', owner, status }
      await index.put(file)
      return file
    }

    // @threat confirmed-becomes-found
    it.each([
      ['nobody', null, 0],
      ['another one', 'key:guess', 0],
      ['another one, a day later', 'key:guess', 24 * 60],
      ['the same one, a day later', 'key:ci', 24 * 60],
    ])(
      'with %s as owner gets the name and the owner of who records it',
      async (_, owner, later) => {
        for (const status of ['found'] as const) {
          await guessed(owner, status)
          const told: unknown[] = []
          const announce: Announce = async (change, about, at, isRepeat) => {
            told.push([change.type, about?.owner, about?.status, at, isRepeat ?? false])
          }
          const { record, replaces } = await recorded(
            'a.txt',
            'key:ci',
            minutesLater(later),
            index,
            announce,
          )
          expect(record).toMatchObject({ name: 'a.txt', owner: 'key:ci' })
          expect(record).not.toHaveProperty('status')
          expect(await index.get('files', KEY)).toStrictEqual(record)
          expect(replaces).toBe(false)
          expect(told).toEqual([['recorded', 'key:ci', undefined, undefined, false]])
          expect(await repeated('b.txt', 'key:other', minutesLater(later))).toEqual(record)
        }
      },
    )

    // @threat confirmed-becomes-found
    it('is not the answer if somebody writes it meanwhile', async () => {
      const found = await guessed('key:ci', 'found')
      await index.remove('files', KEY)
      let writes = 0
      const overtaken: FileIndex = {
        ...index,
        async put(file, change) {
          writes += 1
          return writes === 1 ? index.put(found).then(() => null) : index.put(file, change)
        },
      }
      const confirmed = await record('a.txt', 'key:ci', UPLOADED, overtaken)
      expect(confirmed).toMatchObject({ name: 'a.txt', owner: 'key:ci' })
      expect(confirmed).not.toHaveProperty('status')
      expect(await index.get('files', KEY)).toStrictEqual(confirmed)
    })
  })

  describe('a caller who only names a key', () => {
    const bob = (claim: Partial<Claim> = {}, announce: Announce | null = null, through = index) =>
      recordUpload(placeIn(testBucket(), through, UPLOADED, announce), {
        ...{ key: KEY, name: 'bob.txt', owner: 'key:bob' },
        claim: () => ({ ofOthers: false, limits: NO_LIMITS, ...claim }),
      })

    // @threat owner-lost
    it("does not get a file whose record is kept: that comes back first, as its owner's", async () => {
      scriptedBucket({ HeadObject: object() })
      const anns = await record('ann.txt', 'key:ann')
      const claiming = (owner: string) =>
        recordUpload(placeIn(testBucket(), index, UPLOADED), {
          ...{ key: KEY, name: 'other.txt', owner },
          claim: () => ({ ofOthers: false, limits: NO_LIMITS }),
        })
      for (const owner of ['key:bob', 'key:ann']) {
        // Somebody has looked while the object was missing.
        scriptedBucket({ HeadObject: MISSING })
        await infer(placeIn(testBucket(), index, UPLOADED), KEY)
        expect(await index.get('files', KEY)).toBeNull()
        scriptedBucket({ HeadObject: object('"e1"', minutesLater(1)) })
        const claimed = claiming(owner)
        if (owner === 'key:bob') await expect(claimed).rejects.toMatchObject({ code: 'forbidden' })
        else expect((await claimed).record).toMatchObject({ name: 'ann.txt', owner })
        expect(await index.get('files', KEY)).toEqual({
          ...anns,
          createdAt: minutesLater(1).toISOString(),
        })
        expect(await index.kept?.get('files', KEY)).toBeNull()
      }
    })

    // @threat file-misattributed
    it('records what nobody has recorded, also a provisional record', async () => {
      scriptedBucket({ HeadObject: object() })
      const { record: first } = await bob()
      expect(first).toMatchObject({ owner: 'key:bob', name: 'bob.txt' })
      expect((await bob()).record).toEqual(first)
      await index.put({ ...first, owner: null })
      expect((await bob()).record).toEqual(first)
    })

    it('becomes the owner of a file whose owner is a guess, as if it had none', async () => {
      scriptedBucket({ HeadObject: object() })
      const { record: first } = await bob()
      await index.put({ ...first, owner: 'key:guess', status: 'found' })
      expect((await bob()).record).toStrictEqual(first)
    })

    // @threat file-misattributed
    it.each([
      ['the same upload', object()],
      ['an older upload', object('"e2"')],
      ['an upload that is gone', MISSING],
    ])("is refused, without an event, for another owner's record of %s", async (_, now) => {
      scriptedBucket({ HeadObject: object() })
      const before = await record('ann.txt', 'key:ann')
      scriptedBucket({ HeadObject: now })
      const announce = vi.fn<Announce>()
      const refused = await bob({}, announce).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code: 'forbidden', issues: [] })
      expect(String(refused)).not.toMatch(/ann|e1|text/)
      expect(announce).not.toHaveBeenCalled()
      expect(await index.get('files', KEY)).toEqual(before)
    })

    // @threat file-misattributed
    it("who may record others' files gets the record, and causes no event and no write", async () => {
      scriptedBucket({ HeadObject: object() })
      const before = await record('ann.txt', 'key:ann')
      const announce = vi.fn<Announce>()
      const put = vi.fn(index.put)
      const repeated = await bob({ ofOthers: true }, announce, { ...index, put })
      expect(repeated).toEqual({ record: before, replaces: false, data: undefined })
      expect(announce).not.toHaveBeenCalled()
      expect(put).not.toHaveBeenCalled()
    })

    // @threat owner-lost
    it("who may record others' files, and takes one that was replaced, leaves its owner's record kept", async () => {
      scriptedBucket({ HeadObject: object() })
      const anns = await record('ann.txt', 'key:ann')
      scriptedBucket({ HeadObject: object('"e2"', minutesLater(1)) })
      expect((await bob({ ofOthers: true })).record).toMatchObject({ owner: 'key:bob' })
      expect((await index.kept?.get('files', KEY))?.record).toEqual(anns)
    })

    // @threat owner-lost
    it("leaves an owner's record kept, also by who proves the upload that took its place", async () => {
      scriptedBucket({ HeadObject: object() })
      const anns = await record('ann.txt', 'key:ann')
      scriptedBucket({ HeadObject: object('"e2"', minutesLater(1)) })
      await recordUpload(placeIn(testBucket(), index, UPLOADED), {
        ...{ key: KEY, name: 'bob.txt', owner: 'key:bob' },
      })
      expect((await index.kept?.get('files', KEY))?.record).toEqual(anns)
      // It has another size by now.
      const longer = answer(200, null, {
        ...{ 'Content-Length': '6', 'Content-Type': 'text/plain', ETag: '"e3"' },
        'Last-Modified': minutesLater(2).toUTCString(),
      })
      scriptedBucket({ HeadObject: longer })
      await record('bob.txt', 'key:bob', minutesLater(2))
      expect(await index.kept?.get('files', KEY)).toMatchObject({
        record: anns,
        expiresAt: expect.any(String),
      })
    })

    // @threat owner-lost
    it('keeps no guess in the place of a confirmed record', async () => {
      const place = placeIn(testBucket(), index, UPLOADED)
      const guess = { ownerOf: () => 'key:guess' }
      scriptedBucket({ HeadObject: object() })
      const anns = await record('ann.txt', 'key:ann')
      scriptedBucket({ HeadObject: object('"e2"', minutesLater(1)) })
      await infer(place, KEY, guess)
      expect(await index.get('files', KEY)).toMatchObject({ owner: 'key:guess', status: 'found' })
      scriptedBucket({ HeadObject: MISSING })
      await infer(place, KEY, guess)
      expect((await index.kept?.get('files', KEY))?.record).toEqual(anns)
    })

    // @threat owner-lost
    it('returns to its object over the record of another owner, which is kept instead', async () => {
      const place = placeIn(testBucket(), index, UPLOADED)
      scriptedBucket({ HeadObject: object() })
      const anns = await record('ann.txt', 'key:ann')
      scriptedBucket({ HeadObject: object('"e2"', minutesLater(1)) })
      const bobs = (await bob({ ofOthers: true })).record
      expect(bobs.owner).toBe('key:bob')
      scriptedBucket({ HeadObject: object() })
      expect(await infer(place, KEY)).toMatchObject({ outcome: 'returned', record: anns })
      expect((await index.kept?.get('files', KEY))?.record).toEqual(bobs)
    })

    // @threat file-misattributed
    it('does not return to the same bytes of somebody who proves the upload', async () => {
      scriptedBucket({ HeadObject: object() })
      const anns = await record('ann.txt', 'key:ann')
      await index.remove('files', KEY)
      await index.kept?.put({ record: anns, keptAt: UPLOADED.toISOString(), expiresAt: null })
      scriptedBucket({ HeadObject: object('"e1"', minutesLater(1)) })
      const told: unknown[] = []
      const announce: Announce = async (_, known) => void told.push(known?.owner)
      const place = placeIn(testBucket(), index, minutesLater(2), announce)
      const bobs = await recordUpload(place, { key: KEY, name: 'bob.txt', owner: 'key:bob' })
      expect(bobs.record).toMatchObject({ owner: 'key:bob', name: 'bob.txt' })
      expect(told).toEqual(['key:bob'])
    })

    it('does not return after its 30 days, nor to an object of another size', async () => {
      scriptedBucket({ HeadObject: object() })
      const anns = await record('ann.txt', 'key:ann')
      await index.remove('files', KEY)
      const put = (expiresAt: Date | null, size = 5) =>
        index.kept?.put({
          ...{ record: { ...anns, size }, keptAt: UPLOADED.toISOString() },
          expiresAt: expiresAt?.toISOString() ?? null,
        })
      const outcome = async (now: Date) =>
        (await infer(placeIn(testBucket(), index, now), KEY, { may: () => false })).outcome
      const now = Date.now()
      await put(new Date(now + 86_400_000))
      expect(await outcome(new Date(now + 86_399_000))).toBe('returned')
      expect(await outcome(new Date(now + 86_401_000))).toBe('recorded')
      await put(null, 6)
      expect(await outcome(UPLOADED)).toBe('recorded')
    })

    it('is of another file if only the size differs', async () => {
      scriptedBucket({ HeadObject: object() })
      const anns = await record('ann.txt', 'key:ann')
      await index.put({ ...anns, size: 6 })
      const { outcome } = await infer(placeIn(testBucket(), index, UPLOADED), KEY)
      expect(outcome).toBe('replaced')
    })

    it('keeps nothing of a file that is deleted while it is first recorded', async () => {
      scriptedBucket({ HeadObject: [object(), MISSING] })
      await expect(record()).rejects.toMatchObject({ code: 'object_not_found' })
      expect(await index.get('files', KEY)).toBeNull()
      expect(await index.kept?.get('files', KEY)).toBeNull()
    })

    // @threat record-beyond-limits
    it.each([
      ['file_too_large', { maxBytes: 4, allowedTypes: null }],
      ['mimetype_not_allowed', { maxBytes: null, allowedTypes: ['image/*', 'text/html'] }],
    ])('is refused with %s, without an event', async (code, limits) => {
      scriptedBucket({ HeadObject: object() })
      const announce = vi.fn<Announce>()
      for (const ofOthers of [false, true])
        await expect(bob({ ofOthers, limits }, announce)).rejects.toMatchObject({ code })
      expect(announce).not.toHaveBeenCalled()
      expect(await isListed()).toBe(false)
    })

    it.each([
      ['text/plain; charset=utf-8', true],
      ['binary/octet-stream', true],
      ['text/html, text/plain', false],
      ['TEXT/PLAIN', true],
    ])('records the type %s only if the limits cover it: %s', async (type, isAllowed) => {
      scriptedBucket({
        HeadObject: answer(200, null, {
          ...{ 'Content-Length': '5', 'Content-Type': type, ETag: '"e1"' },
          'Last-Modified': UPLOADED.toUTCString(),
        }),
      })
      const limits = { maxBytes: 5, allowedTypes: ['text/plain', 'application/octet-stream'] }
      const outcome = await bob({ limits }).then(
        () => true,
        () => false,
      )
      expect(outcome).toBe(isAllowed)
    })
  })

  // @threat file-misattributed
  it('has the owner who can prove the upload, also if somebody else was faster', async () => {
    scriptedBucket({ HeadObject: object() })
    await record('bob.txt', 'key:bob')
    const announce = vi.fn<Announce>()
    const proven = { key: KEY, name: 'ann.txt', owner: 'key:ann' }
    const { record: hers } = await recordUpload(
      placeIn(testBucket(), index, UPLOADED, announce),
      proven,
    )
    expect(hers).toMatchObject({ name: 'ann.txt', owner: 'key:ann' })
    expect(announce.mock.calls.map(([change]) => change)).toEqual([
      { type: 'recorded', file: hers },
    ])
    expect(await index.get('files', KEY)).toEqual(hers)
  })

  describe('a record of one certain upload', () => {
    const slow = (through: FileIndex = index, announce: Announce | null = null) =>
      recordUpload(placeIn(testBucket(), through, UPLOADED, announce), {
        ...{ key: KEY, name: 'ann.txt', owner: 'key:ann', claim: () => ANY },
        isExpected: ({ etag }) => etag === '"e1"',
      })

    // @threat file-misattributed
    it('does not own the upload that has replaced it', async () => {
      scriptedBucket({ HeadObject: object('"e2"') })
      const announce = vi.fn<Announce>()
      await expect(slow(index, announce)).rejects.toMatchObject({ code: 'file_replaced' })
      expect(announce).not.toHaveBeenCalled()
      expect(await isListed()).toBe(false)
    })

    // @threat file-misattributed
    it('yields to another one also after the same bytes were uploaded again', async () => {
      const again = object('"e1"', minutesLater(1))
      scriptedBucket({ HeadObject: [object(), again] })
      await expect(slow()).rejects.toMatchObject({ code: 'file_replaced' })
      expect(await index.get('files', KEY)).toMatchObject({
        ...{ etag: '"e1"', createdAt: minutesLater(1).toISOString() },
      })
    })

    // @threat file-misattributed
    it.each(['before', 'after'])(
      'yields to another one that is recorded %s it is written',
      async (when) => {
        let head = object()
        scriptedBucket({ HeadObject: (sent) => head(sent) })
        const replace = async () => {
          head = object('"e2"')
          await record('bob.txt', 'key:bob')
        }
        const overtaken: FileIndex = {
          ...index,
          async put(file, change) {
            if (when === 'before') await replace()
            const stored = await index.put(file, change)
            if (when === 'after') await replace()
            return stored
          },
        }
        await expect(slow(overtaken)).rejects.toMatchObject({
          code: 'file_replaced',
        })
        expect(await index.get('files', KEY)).toMatchObject({
          ...{ etag: '"e2"', owner: 'key:bob', name: 'bob.txt' },
        })
      },
    )
  })
})
