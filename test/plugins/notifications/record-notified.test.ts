import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { openBucket } from '../../../src/bucket/credential-source.ts'
import { recordUpload } from '../../../src/core/record.ts'
import { ApiError } from '../../../src/errors/api-error.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import type { Notification } from '../../../src/plugins/notifications/notification.ts'
import {
  type Outcome,
  QUIET_SECONDS,
  type Recorder,
  recordAllNotified,
  summarize,
} from '../../../src/plugins/notifications/record-notified.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { withEachIndex } from '../../support/each-index.ts'
import { unavailable } from '../../support/errors.ts'
import { runs } from '../../support/fuzz.ts'
import { placeIn } from '../../support/place.ts'
import { answer, operations, scriptedBucket } from '../../support/scripted-bucket.ts'
import { testBucket } from '../../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:10:00Z')
const KEY = 'uploads/ybqr1sgp7a270ajfewde-my-photo.jpg'
const NOTICE: Notification = { bucket: 'files', account: null, key: KEY, time: 0 }

withEachIndex((index) => {
  const purge = vi.fn(async () => undefined)

  /** The bucket "files" of s3rver under an alias. */
  const aliased = (alias = 'files') => {
    const credentials = {
      accessKeyId: 'S3RVER',
      secretAccessKey: 'S3RVER',
      sessionToken: null,
      expiresAt: Number.POSITIVE_INFINITY,
    }
    return testBucket({
      alias,
      origin: inject('s3Endpoint'),
      basePath: '/files/',
      name: 'files',
      credentials,
      managedPrefixes: ['avatars/'],
    })
  }
  const recorder = (changes: Partial<Recorder> = {}): Recorder => ({
    buckets: [aliased()],
    open: (bucket, now) => openBucket(bucket, now, { waitUntil() {} }),
    index,
    purge,
    announce: null,
    ...changes,
  })
  /** The time at which everything counts that has happened until now. */
  const later = () => new Date(Date.now() + 2 * QUIET_SECONDS * 1000)

  /** What becomes of one notification. */
  async function outcome(
    changes: Partial<Recorder>,
    notice: Notification,
    now: Date,
    isFirstAttempt = false,
  ): Promise<Outcome> {
    const [result] = await recordAllNotified(recorder(changes), [notice], now, () => isFirstAttempt)
    if (result?.status === 'fulfilled') return result.value
    throw result?.reason
  }
  const notified = (changes: Partial<Recorder> = {}, key = KEY) =>
    outcome(changes, { ...NOTICE, key }, later())
  const confirmed = (key = KEY, bucket = aliased()) =>
    recordUpload(placeIn(bucket, index), {
      ...{ key: parseObjectKey(key), name: 'My photo.jpg', owner: 'key:ci' },
    })
  const known = (key = KEY, alias = 'files') => index.get(alias, parseObjectKey(key))

  async function put(body: string, key = KEY): Promise<void> {
    const headers = { 'Content-Type': 'image/jpeg' }
    expect((await bucketFetch(key, { method: 'PUT', headers, body })).status).toBe(200)
  }
  async function remove(key = KEY): Promise<void> {
    expect((await bucketFetch(key, { method: 'DELETE' })).status).toBe(204)
  }

  afterEach(async () => {
    vi.unstubAllGlobals()
    purge.mockClear()
    await remove()
    await remove('avatars/42.png')
    await reset()
  })

  describe('a notification', () => {
    it('records an object that nobody has confirmed, without an owner', async () => {
      await put('pixels')
      expect(await notified()).toBe('recorded')
      expect(await known()).toMatchObject({
        key: KEY,
        bucket: 'files',
        name: 'my-photo.jpg',
        owner: null,
        size: 6,
        mimetype: 'image/jpeg',
      })
      await put('face', 'avatars/42.png')
      expect(await notified({}, 'avatars/42.png')).toBe('recorded')
      expect(await known('avatars/42.png')).toMatchObject({ name: '42.png', owner: null })
    })

    it('changes nothing when it repeats', async () => {
      await put('pixels')
      await notified()
      const write = vi.fn(index.put)
      expect(await notified({ index: { ...index, put: write } })).toBe('known')
      expect(write).not.toHaveBeenCalled()
    })

    it('keeps the name and owner of a confirmed upload, and costs no write', async () => {
      await put('pixels')
      const { record } = await confirmed()
      const write = vi.fn(index.put)
      expect(await notified({ index: { ...index, put: write } })).toBe('known')
      expect(write).not.toHaveBeenCalled()
      expect(await known()).toEqual(record)
    })

    it('of a delete removes the record and purges the edge copy', async () => {
      await put('pixels')
      await confirmed()
      await remove()
      expect(await notified()).toBe('removed')
      expect(await known()).toBeNull()
      expect(purge).toHaveBeenCalledExactlyOnceWith(
        expect.objectContaining({ alias: 'files' }),
        KEY,
      )
      expect(await notified()).toBe('missing')
      expect(purge).toHaveBeenCalledOnce()
    })

    // @threat notification-false
    it('of a delete changes nothing when the object is back', async () => {
      await put('pixels')
      const { record } = await confirmed()
      // The delete was followed by the same upload, and its notification arrives last.
      expect(await notified()).toBe('known')
      expect(await known()).toEqual(record)
      expect(purge).not.toHaveBeenCalled()
    })

    // @threat record-lost
    it('of a delete keeps the record of an upload that comes while the app is told', async () => {
      const key = 'avatars/42.png'
      await put('face', key)
      await confirmed(key)
      await remove(key)
      const announce = async ({ type }: { readonly type: string }) => {
        if (type === 'deleted') await put('another', key)
        if (type === 'deleted') await confirmed(key)
      }
      expect(await notified({ announce }, key)).toBe('known')
      expect(await known(key)).toMatchObject({ size: 7, owner: 'key:ci' })
    })

    it('of an upload that is already deleted records nothing', async () => {
      expect(await notified()).toBe('missing')
      expect(await known()).toBeNull()
    })

    it('of a replacement has a new record without an owner, and purges the edge copy', async () => {
      await put('face', 'avatars/42.png')
      await confirmed('avatars/42.png')
      await put('another face', 'avatars/42.png')
      expect(await notified({}, 'avatars/42.png')).toBe('replaced')
      expect(await known('avatars/42.png')).toMatchObject({ size: 12, owner: null, name: '42.png' })
      expect(purge).toHaveBeenCalledOnce()
    })

    it.each([
      ['missing', 'none'],
      ['replaced', 'old bytes'],
    ])('keeps a newer record of an object that was %s when it asked the bucket', async (_, old) => {
      if (old !== 'none') {
        await put(old)
        await confirmed()
      }
      let isFirst = true
      const overtaken: FileIndex = {
        ...index,
        async get(alias, key) {
          if (isFirst) {
            isFirst = false
            await put('newer bytes')
            await confirmed()
          }
          return index.get(alias, key)
        },
      }
      expect(await notified({ index: overtaken })).toBe('known')
      expect(await known()).toMatchObject({ owner: 'key:ci', size: 11 })
    })

    it('leaves no record when the object is deleted while it is recorded', async () => {
      await put('pixels')
      const racing: FileIndex = {
        ...index,
        async put(...given) {
          await remove()
          // The notification of that delete comes first, and finds no record.
          expect(await notified()).toBe('missing')
          return index.put(...given)
        },
      }
      expect(await notified({ index: racing })).toBe('removed')
      expect(await known()).toBeNull()
    })
  })

  describe("a notification within Workers KV's minute", () => {
    const UPLOADED = new Date('2026-11-24T12:00:00Z')
    const inSeconds = (seconds: number) => new Date(UPLOADED.getTime() + seconds * 1000)
    const at = (seconds: number): Notification => ({
      ...NOTICE,
      time: inSeconds(seconds).getTime(),
    })
    const object = (etag = '"e1"', seconds = 0) =>
      answer(200, null, {
        'Content-Length': '5',
        ETag: etag,
        'Last-Modified': inSeconds(seconds).toUTCString(),
      })
    const MISSING = answer(404)
    const recordedBy = (owner: string) =>
      recordUpload(placeIn(aliased(), index, UPLOADED), {
        ...{ key: parseObjectKey(KEY), name: `of ${owner}`, owner },
      })
    /** Shows what the index has now until `isFresh`, as another location does for a minute. */
    async function lateIndex() {
      const seen = await known()
      const late = { isFresh: false }
      const get: FileIndex['get'] = (alias, key) =>
        late.isFresh ? index.get(alias, key) : Promise.resolve(seen)
      return { late, index: { ...index, get } }
    }

    // @threat record-disowned
    it('waits without a request, and so keeps the owner of an upload', async () => {
      const { late, index: other } = await lateIndex()
      const sent = scriptedBucket({ HeadObject: object() })
      await recordedBy('key:ann')
      expect(await outcome({ index: other }, at(0), inSeconds(0))).toBe(90)
      expect(await outcome({ index: other }, at(0), inSeconds(60.5))).toBe(30)
      // The clock of the bucket is an hour ahead.
      expect(await outcome({ index: other }, at(3600), inSeconds(0))).toBe(90)
      expect(operations(sent)).toEqual(['HeadObject', 'HeadObject'])
      late.isFresh = true
      expect(await outcome({ index: other }, at(0), inSeconds(90))).toBe('known')
      expect(await known()).toMatchObject({ owner: 'key:ann', name: 'of key:ann' })
    })

    // @threat notification-false
    it('does not wait for a time that is more than an hour ahead', async () => {
      const hours = 3601
      scriptedBucket({ HeadObject: object('"e1"', hours) })
      expect(await outcome({}, at(hours), inSeconds(0))).toBe('recorded')
      scriptedBucket({ HeadObject: MISSING })
      expect(await outcome({}, at(3e11), inSeconds(0))).toBe('removed')
    })

    // @threat record-disowned
    it('waits until the object is old, if an old notification comes late', async () => {
      scriptedBucket({ HeadObject: object() })
      await recordedBy('key:ann')
      const { late, index: other } = await lateIndex()
      scriptedBucket({ HeadObject: object('"e2"', 200) })
      await recordedBy('key:bob')
      expect(await outcome({ index: other }, at(0), inSeconds(210))).toBe(80)
      late.isFresh = true
      expect(await outcome({ index: other }, at(0), inSeconds(290))).toBe('known')
      expect(await known()).toMatchObject({ owner: 'key:bob', etag: '"e2"' })
    })

    // @threat record-disowned
    it('changes nothing at the first look, since the index may be later than its minute', async () => {
      const { late, index: other } = await lateIndex()
      scriptedBucket({ HeadObject: object() })
      await recordedBy('key:ann')
      expect(await outcome({ index: other }, at(0), inSeconds(90), true)).toBe(90)
      late.isFresh = true
      expect(await outcome({ index: other }, at(0), inSeconds(180))).toBe('known')
      expect(await known()).toMatchObject({ owner: 'key:ann' })
    })

    // @threat record-disowned
    it.each([
      ['has no object', MISSING],
      ['still has the previous object', object('"e0"', -600)],
    ])('does not believe a bucket that %s against a young record', async (_, old) => {
      scriptedBucket({ HeadObject: object() })
      const { record } = await recordedBy('key:ann')
      scriptedBucket({ HeadObject: old })
      expect(await outcome({}, at(-600), inSeconds(20))).toBe(70)
      expect(await known()).toEqual(record)
      scriptedBucket({ HeadObject: object() })
      expect(await outcome({}, at(-600), inSeconds(90))).toBe('known')
    })

    // @threat record-disowned
    it('is not dropped when the bucket does not show its object at the first look', async () => {
      scriptedBucket({ HeadObject: [MISSING, object()] })
      expect(await outcome({}, at(0), inSeconds(90), true)).toBe(90)
      expect(await outcome({}, at(0), inSeconds(180))).toBe('recorded')
      scriptedBucket({ HeadObject: MISSING })
      await index.remove('files', parseObjectKey(KEY))
      expect(await outcome({}, at(0), inSeconds(180))).toBe('missing')
    })

    // @threat record-disowned
    it('does not read the index about a young object, since KV would keep what it says', async () => {
      scriptedBucket({ HeadObject: object('"e1"', 20) })
      const get = vi.fn(index.get)
      expect(await outcome({ index: { ...index, get } }, at(0), inSeconds(100))).toBe(10)
      expect(get).not.toHaveBeenCalled()
    })

    // @threat record-disowned
    it('waits for an object that appears when it asks the bucket again', async () => {
      scriptedBucket({ HeadObject: object('"e0"') })
      const { record } = await recordedBy('key:ann')
      scriptedBucket({ HeadObject: [object('"e1"', 60), object('"e2"', 200)] })
      expect(await outcome({}, at(60), inSeconds(210))).toBe(80)
      expect(await known()).toEqual(record)
    })

    it('does not wait for a newer object, which has its own notification', async () => {
      scriptedBucket({ HeadObject: object('"e2"', 60) })
      const of = (etag: string | undefined) => outcome({}, { ...at(0), etag }, inSeconds(100))
      expect(await of('e1')).toBe('superseded')
      expect(await of('')).toBe('superseded') // a delete
      expect(await of('e2')).toBe(50)
      expect(await of(undefined)).toBe(50)
      expect(await known()).toBeNull()
    })

    it('waits for the longest time of all places', async () => {
      const buckets = [aliased(), { ...aliased('elsewhere'), origin: 'https://elsewhere.example' }]
      scriptedBucket({
        HeadObject: (sent) => object('"e1"', sent.url.includes('elsewhere') ? 60 : 40)(sent),
      })
      expect(await outcome({ buckets }, at(0), inSeconds(100))).toBe(50)
    })
  })

  // @threat owner-lost
  describe('the owner of a record', () => {
    const DAY = 86_400_000
    const object = (etag = '"e1"', days = 0, type = 'text/plain') =>
      answer(200, null, {
        ...{ 'Content-Length': '5', 'Content-Type': type, ETag: etag },
        'Last-Modified': new Date(NOW.getTime() - (9 - days) * DAY).toUTCString(),
      })
    const MISSING = answer(404)
    const kept = async () => (await index.kept?.get('files', parseObjectKey(KEY))) ?? null
    const recordAnns = async (etag = '"e1"') => {
      scriptedBucket({ HeadObject: object(etag) })
      const request = { key: parseObjectKey(KEY), name: 'ann.txt', owner: 'key:ann' }
      return (await recordUpload(placeIn(aliased(), index, NOW), request)).record
    }
    const notifiedOf = (head: ReturnType<typeof object>) => {
      scriptedBucket({ HeadObject: head })
      return outcome({}, NOTICE, NOW)
    }

    it('stays when the object is copied in place: its date follows, and its type', async () => {
      const anns = await recordAnns()
      expect(await notifiedOf(object('"e1"', 1))).toBe('known')
      const createdAt = new Date(NOW.getTime() - 8 * DAY).toISOString()
      expect(await known()).toEqual({ ...anns, createdAt })
      expect(purge).not.toHaveBeenCalled()
      expect(await notifiedOf(object('"e1"', 1, 'text/html'))).toBe('known')
      expect(await known()).toEqual({ ...anns, createdAt, mimetype: 'text/html' })
      expect(purge).toHaveBeenCalledOnce()
    })

    it('is kept when the object is gone, and returns with it', async () => {
      const anns = await recordAnns()
      expect(await notifiedOf(MISSING)).toBe('removed')
      const expiresAt = new Date(NOW.getTime() + 30 * DAY)
      expect(await kept()).toEqual({
        record: anns,
        keptAt: new Date(NOW.getTime() - (NOW.getTime() % 1000)).toISOString(),
        expiresAt: expiresAt.toISOString(),
      })
      expect(await notifiedOf(object('"e1"', 2))).toBe('recorded')
      const createdAt = new Date(NOW.getTime() - 7 * DAY).toISOString()
      expect(await known()).toEqual({ ...anns, createdAt })
      expect(await kept()).toBeNull()
    })

    it('does not return to another object, nor after it has expired', async () => {
      await recordAnns()
      await notifiedOf(MISSING)
      expect(await notifiedOf(object('"e2"'))).toBe('recorded')
      expect(await known()).toMatchObject({ owner: null, status: 'found' })
      // A person may still give it back to an object of its size.
      expect((await kept())?.expiresAt).toBeNull()
      await notifiedOf(MISSING)
      expect((await kept())?.expiresAt).not.toBeNull()
      scriptedBucket({ HeadObject: object() })
      expect(await outcome({}, NOTICE, new Date(NOW.getTime() + 31 * DAY))).toBe('recorded')
      expect(await known()).toMatchObject({ owner: null })
    })

    it('changes places with that of another object', async () => {
      const anns = await recordAnns()
      await notifiedOf(MISSING)
      const request = { key: parseObjectKey(KEY), name: 'bob.txt', owner: 'key:bob' }
      scriptedBucket({ HeadObject: object('"e2"') })
      const { record: bobs } = await recordUpload(placeIn(aliased(), index, NOW), request)
      expect(await notifiedOf(object())).toBe('recorded')
      expect(await known()).toEqual(anns)
      expect((await kept())?.record).toEqual(bobs)
      await notifiedOf(object('"e2"'))
      expect(await known()).toEqual(bobs)
      expect((await kept())?.record).toEqual(anns)
    })

    it('is kept when the object has other bytes', async () => {
      const anns = await recordAnns()
      expect(await notifiedOf(object('"e2"'))).toBe('replaced')
      expect(await known()).toMatchObject({ owner: null, status: 'found', name: 'my-photo.jpg' })
      expect(await kept()).toMatchObject({ record: anns, expiresAt: null })
    })
  })

  describe('an upload that is confirmed after its notification', () => {
    it('gets its name and owner', async () => {
      await put('pixels')
      await notified()
      const { record, replaces } = await confirmed()
      expect(record).toMatchObject({ name: 'My photo.jpg', owner: 'key:ci' })
      expect(replaces).toBe(false)
      expect(await known()).toEqual(record)
      expect(await notified()).toBe('known')
      expect(await known()).toEqual(record)
    })

    it('gets them also when the object is old', async () => {
      const created = new Date(NOW.getTime() - 86_400_000)
      scriptedBucket({
        HeadObject: answer(200, null, {
          'Content-Length': '5',
          ETag: '"e1"',
          'Last-Modified': created.toUTCString(),
        }),
      })
      const request = { key: parseObjectKey(KEY), name: 'a.txt', owner: 'key:ci' }
      await outcome({}, NOTICE, NOW)
      expect(await known()).toMatchObject({ owner: null })
      await recordUpload(placeIn(aliased(), index, NOW), request)
      expect(await known()).toMatchObject({ name: 'a.txt', owner: 'key:ci' })
    })

    it('keeps them when both write at once, since KV lets only one of them through', async () => {
      await put('pixels')
      const put429 = vi.fn(async () => {
        throw new Error('KV PUT failed: 429 Too Many Requests')
      })
      const kv = { ...boundKv(), put: put429 } as unknown as KVNamespace
      await expect(notified({ index: kvFileIndex(kv) })).rejects.toMatchObject({
        code: 'unavailable',
        reason: 'index',
      })
      // No second attempt a second later, which would overwrite the other record.
      expect(put429).toHaveBeenCalledOnce()
    })
  })

  const boundKv = () => ({
    getWithMetadata: (name: string) => env.FILE_INDEX.getWithMetadata(name),
    delete: (name: string) => env.FILE_INDEX.delete(name),
  })

  describe('several aliases of one bucket', () => {
    const buckets = [aliased(), aliased('photos'), aliased('videos')]

    it('share one provisional record, under the first alias', async () => {
      await put('pixels')
      expect(await notified({ buckets })).toBe('recorded')
      expect(await known()).not.toBeNull()
      expect(await known(KEY, 'photos')).toBeNull()
    })

    it('get no second record when one of them has it', async () => {
      await put('pixels')
      const { record } = await confirmed(KEY, aliased('photos'))
      expect(await notified({ buckets })).toBe('known')
      expect(await known()).toBeNull()
      expect(await known(KEY, 'photos')).toEqual(record)
    })

    it('all lose the record of a deleted object, and its copy is purged once', async () => {
      await put('pixels')
      await confirmed()
      await confirmed(KEY, aliased('videos'))
      await remove()
      expect(await notified({ buckets })).toBe('removed')
      expect(await known()).toBeNull()
      expect(await known(KEY, 'videos')).toBeNull()
      expect(purge).toHaveBeenCalledOnce()
    })
  })

  describe('an event', () => {
    it('is announced before the index changes, and has no principal of its own', async () => {
      const seen: unknown[] = []
      const announce: Recorder['announce'] = async (change, about) => {
        seen.push([change.type, about?.owner, (await known()) !== null])
      }
      await put('pixels')
      await notified({ announce })
      await notified({ announce })
      await remove()
      await notified({ announce })
      expect(seen).toEqual([
        ['recorded', null, false],
        ['deleted', null, true],
      ])
    })

    // @threat event-out-of-order
    it('of a delete has a time before the bucket was asked', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
      const send = fetch
      vi.stubGlobal('fetch', async (...given: Parameters<typeof fetch>) => {
        const response = await send(...given)
        if (response.status === 404) vi.setSystemTime(Date.now() + 4000)
        return response
      })
      const secondsAgo: number[] = []
      const announce: Recorder['announce'] = async ({ type }, _, at = new Date()) => {
        if (type === 'deleted') secondsAgo.push((Date.now() - at.getTime()) / 1000)
      }
      await put('pixels')
      await confirmed()
      await remove()
      expect(await notified({ announce })).toBe('removed')
      await put('pixels')
      const racing: FileIndex = {
        ...index,
        put: (...given) => remove().then(() => index.put(...given)),
      }
      expect(await notified({ announce, index: racing })).toBe('removed')
      // Of the last look.
      expect(secondsAgo).toEqual([4, 4])
      vi.unstubAllGlobals()
      vi.useRealTimers()
    })

    it('that fails leaves the index as it is, so that a repeat announces it again', async () => {
      const failure = unavailable('events', 'The app was not told.')
      const announce = vi.fn(async () => undefined).mockRejectedValueOnce(failure)
      await put('pixels')
      await expect(notified({ announce })).rejects.toBe(failure)
      expect(await known()).toBeNull()
      expect(await notified({ announce })).toBe('recorded')
      expect(announce).toHaveBeenCalledTimes(2)
    })

    it('of a delete keeps the record while the purge fails', async () => {
      await put('pixels')
      await confirmed()
      await remove()
      const failure = unavailable('purge', 'Not purged.')
      purge.mockRejectedValueOnce(failure)
      await expect(notified()).rejects.toBe(failure)
      expect(await known()).not.toBeNull()
      expect(await notified()).toBe('removed')
    })
  })

  describe('notifications in any order, with repeats,', () => {
    /** What happens to one object. `notify` delivers the notification of an earlier step. */
    const step = fc.oneof(
      fc.record({ do: fc.constant('put' as const), body: fc.constantFrom('a', 'b', 'c') }),
      fc.constant({ do: 'delete' as const }),
      fc.constant({ do: 'confirm' as const }),
      fc.constant({ do: 'notify' as const }),
    )

    // @threat notification-false
    it('end with the record of exactly what is in the bucket', async () => {
      const key = 'avatars/42.png'
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
          let pending = 0
          for (const one of steps) {
            if (one.do === 'put') await put(one.body, key)
            if (one.do === 'delete') await remove(key)
            if (one.do === 'confirm') await confirmed(key).catch(() => undefined)
            if (one.do === 'notify' && pending > 0) await notified({}, key)
            if (one.do === 'put' || one.do === 'delete') pending++
          }
          // The last change is reported after it, perhaps twice.
          await Promise.all([notified({}, key), notified({}, key)])
          const object = await bucketFetch(key)
          const record = await known(key)
          expect(record?.etag).toBe(object.ok ? object.headers.get('etag') : undefined)
          if (!object.ok) return
          const { record: mine } = await confirmed(key)
          expect(mine.owner).toBe('key:ci')
          await notified({}, key)
          expect(await known(key)).toEqual(mine)
        }),
        { numRuns: runs(12) },
      )
    })
  })

  describe('a batch', () => {
    const DROPPED: Notification = { ...NOTICE, bucket: 'nobody' }

    it('asks the bucket once for repeats, and has a result for each', async () => {
      const sent = scriptedBucket({
        HeadObject: answer(200, null, {
          'Content-Length': '5',
          ETag: '"e1"',
          'Last-Modified': new Date(0).toUTCString(),
        }),
      })
      const results = await recordAllNotified(
        recorder(),
        [NOTICE, 'malformed', NOTICE, DROPPED, { ...NOTICE, time: 5 }],
        NOW,
      )
      expect(results.map((result) => result.status === 'fulfilled' && result.value)).toEqual([
        'recorded',
        'malformed',
        'recorded',
        'unknown bucket',
        'recorded',
      ])
      expect(operations(sent)).toEqual(['HeadObject', 'HeadObject'])
    })

    it('is not stopped by a failure of one', async () => {
      await put('pixels')
      const faulty: FileIndex = {
        ...index,
        async get(bucket, key) {
          if (key.startsWith('avatars/')) throw unavailable('index', 'No response.')
          return index.get(bucket, key)
        },
      }
      const results = await recordAllNotified(
        recorder({ index: faulty }),
        [{ ...NOTICE, key: 'avatars/42.png' }, NOTICE],
        later(),
      )
      expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
      expect(await known()).not.toBeNull()
    })

    it('drops a key only if it is too long for the index', async () => {
      const key = `avatars/${`${'x'.repeat(99)}/`.repeat(6)}a`
      await put('pixels', key)
      expect(await notified({}, key)).toBe(index.lagSeconds ? 'key not indexable' : 'recorded')
      await remove(key)
    })

    it('is summarized by counts, without keys or messages', () => {
      const ok = <T>(value: T) => ({ status: 'fulfilled' as const, value })
      const bad = (reason: unknown) => ({ status: 'rejected' as const, reason })
      expect(
        summarize([
          ok('recorded'),
          ok('recorded'),
          ok('missing'),
          ok('unknown bucket'),
          ok('invalid key'),
          ok('unknown bucket'),
          bad(new ApiError('storage_error', 'secret')),
          bad(new Error('secret')),
        ]),
      ).toEqual({
        counts: {
          recorded: 2,
          missing: 1,
          'unknown bucket': 2,
          'invalid key': 1,
          storage_error: 1,
          internal: 1,
        },
        warnings: [
          'notifications dropped: unknown bucket 2, invalid key 1',
          'notifications failed: storage_error 1, internal 1',
        ],
      })
      expect(summarize([ok('known'), ok('superseded'), ok(30), ok(60)])).toEqual({
        counts: { known: 1, superseded: 1, waiting: 2 },
        warnings: [],
      })
    })
  })
})
