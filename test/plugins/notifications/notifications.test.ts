import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FileEvent } from '../../../src/index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { QUIET_SECONDS } from '../../../src/plugins/notifications/record-notified.ts'
import { jsonOf, upload } from '../../support/app.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { captureLog } from '../../support/capture-log.ts'
import { mount } from '../../support/mount.ts'
import { failNextPurge } from '../../support/purge.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../../support/worker.ts'

const SECRET = 'notifications-0123456789abcdef0123456789'
const NEXT_SECRET = 'notifications-fedcba9876543210fedcba9876'
const MINIO = { headers: { Authorization: `Bearer ${SECRET}` } }

const worker = testWorker({
  NOTIFICATION_SECRETS: `${SECRET},${NEXT_SECRET}`,
  BUCKETS: { files: { ...s3rverBucket(), managedPrefixes: ['avatars/'] } },
})

/** One record of S3's format, as MinIO sends it. */
const record = (key: string, changes: object = {}) => ({
  eventVersion: '2.0',
  eventSource: 'minio:s3',
  eventTime: '2026-11-24T12:00:00Z',
  eventName: 's3:ObjectCreated:Put',
  s3: {
    bucket: { name: 'files' },
    object: { key: new URLSearchParams({ key }).toString().slice('key='.length) },
  },
  ...changes,
})
const body = (...keys: string[]) => ({ Records: keys.map((key) => record(key)) })
/** Sends a notification when the objects are so old that it counts. */
async function postLater(to: Pick<TestWorker, 'post'>, path: string, value: unknown) {
  vi.useFakeTimers({ now: Date.now() + QUIET_SECONDS * 1000, toFake: ['Date'] })
  try {
    return await to.post(path, value, MINIO)
  } finally {
    vi.useRealTimers()
  }
}
const notify = (...keys: string[]) => postLater(worker, '/notifications', body(...keys))
const recorded = async (to: Pick<TestWorker, 'fetch'>, key: string, base = '') =>
  (
    await jsonOf<{ files: { key: string; name: string; owner: string | null }[] }>(
      await to.fetch(`${base}/files?prefix=${encodeURIComponent(key)}`),
    )
  ).files[0]

afterEach(reset)

describe('POST /notifications', () => {
  it('records an upload that nobody confirmed, and a later POST /files fills in name and owner', async () => {
    const key = await upload(worker, '')
    const response = await notify(key)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ counts: { recorded: 1 } })
    expect(await recorded(worker, key)).toMatchObject({ name: 'cat.png', owner: null })

    const created = await worker.post('/files', { key, name: 'My cat.png' })
    expect(created.status).toBe(201)
    expect(await recorded(worker, key)).toMatchObject({ name: 'My cat.png', owner: 'localhost' })
    expect(await (await notify(key)).json()).toEqual({ counts: { known: 1 } })
    expect(await recorded(worker, key)).toMatchObject({ name: 'My cat.png', owner: 'localhost' })
  })

  it('removes the record and the edge copy of an object that was deleted in the bucket', async () => {
    const key = await upload(worker, '')
    await worker.post('/files', { key, name: 'cat.png' })
    const { link } = await jsonOf<{ link: string }>(
      await worker.post(`/files/${encodeURIComponent(key)}/link`, {}),
    )
    await (await worker.fetch(link)).arrayBuffer()
    await bucketFetch(key, { method: 'DELETE' })
    const deleted = record(key, { eventName: 's3:ObjectRemoved:Delete' })
    const response = await postLater(worker, '/notifications', { Records: [deleted] })
    expect(await response.json()).toEqual({ counts: { removed: 1 } })
    expect(await recorded(worker, key)).toBeUndefined()
    const after = await worker.fetch(link)
    expect(after.status).toBe(404)
    await after.arrayBuffer()
  })

  it('drops what it can not use with a 200, so that the server does not repeat it', async () => {
    const lines = captureLog()
    const of = async (value: unknown) => (await worker.post('/notifications', value, MINIO)).json()
    expect(
      await of({
        Records: [record('uploads/x', { s3: { bucket: { name: 'other' }, object: { key: 'a' } } })],
      }),
    ).toEqual({ counts: { 'unknown bucket': 1 } })
    expect(await of(body('../secret'))).toEqual({ counts: { 'invalid key': 1 } })
    expect(await of(body('backups/secret.sql'))).toEqual({ counts: { 'key not managed': 1 } })
    expect(await of({ hello: 'secret' })).toEqual({ counts: { malformed: 1 } })
    expect(await of({ Event: 's3:TestEvent' })).toEqual({ counts: { 'other event': 1 } })
    const headers = { ...MINIO.headers, 'Content-Type': 'application/json' }
    for (const text of ['{', 'x'.repeat(300_000), ''])
      expect(
        await (
          await worker.fetch('/notifications', { method: 'POST', headers, body: text })
        ).json(),
      ).toEqual({ counts: { malformed: 1 } })
    expect((await env.FILE_INDEX.list()).keys).toEqual([])
    const log = lines.join('\n')
    expect(log).toContain('notifications dropped: key not managed 1')
    expect(log).not.toContain('secret')
  })

  it('answers with the error of the first failure, so that the server repeats all of it', async () => {
    const first = await upload(worker, '')
    const second = await upload(worker, '')
    await worker.post('/files', { key: first, name: 'cat.png' })
    await bucketFetch(first, { method: 'DELETE' })
    failNextPurge(new Error('broken'))
    const lines = captureLog()
    const response = await notify(first, second)
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({ code: 'unavailable', reason: 'purge' })
    expect(lines.join('')).toContain('notifications failed: unavailable 1')
    expect(await recorded(worker, second)).toBeDefined()
    expect(await (await notify(first, second)).json()).toEqual({ counts: { removed: 1, known: 1 } })
  })

  // @threat record-disowned
  it('is asked to come again about a young object, so that its owner is kept', async () => {
    const key = await upload(worker, '')
    const lines = captureLog()
    const early = await worker.post('/notifications', body(key), MINIO)
    expect(early.status).toBe(503)
    expect(await early.json()).toMatchObject({ code: 'unavailable', reason: 'notification' })
    const seconds = Number(early.headers.get('Retry-After'))
    expect(seconds).toBeGreaterThan(0)
    expect(seconds).toBeLessThanOrEqual(QUIET_SECONDS)
    expect(lines.join('')).not.toContain('notifications failed')
    expect(await recorded(worker, key)).toBeUndefined()

    await worker.post('/files', { key, name: 'My cat.png' })
    expect(await (await notify(key)).json()).toEqual({ counts: { known: 1 } })
    expect(await recorded(worker, key)).toMatchObject({ name: 'My cat.png', owner: 'localhost' })
  })

  it('is asked to come again about a new event, without a look at the bucket', async () => {
    const now = new Date(Date.now() - 10_500).toISOString()
    const old = record('avatars/none')
    const young = record('avatars/none', { eventTime: now })
    const response = await worker.post('/notifications', { Records: [old, young] }, MINIO)
    expect([response.status, response.headers.get('Retry-After')]).toEqual([503, '80'])
  })

  it('takes at most ten records', async () => {
    const response = await notify(...Array(11).fill('avatars/a'))
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      code: 'invalid_request',
      issues: [{ path: 'Records' }],
    })
    expect((await notify(...Array(10).fill('avatars/a'))).status).toBe(200)
  })

  it('needs JSON', async () => {
    const headers = { ...MINIO.headers, 'Content-Type': 'text/plain' }
    const response = await worker.fetch('/notifications', { method: 'POST', headers, body: '{}' })
    expect(response.status).toBe(415)
  })
})

describe('the secret for notifications', () => {
  const asked = (Authorization: string | undefined, to = worker) =>
    to.post('/notifications', body('avatars/a'), {
      headers: Authorization === undefined ? {} : { Authorization },
    })

  it.each([
    ['a Bearer token', `Bearer ${SECRET}`],
    ['the second one, during a rotation', `Bearer ${NEXT_SECRET}`],
    ['the password of Basic authentication', `Basic ${btoa(`ceph:${SECRET}`)}`],
    ['such a password without a user', `basic ${btoa(`:${SECRET}`)}`],
  ])('is accepted as %s', async (_, authorization) => {
    expect((await asked(authorization)).status).toBe(200)
  })

  // @threat notification-forged
  it.each([
    ['none', undefined],
    ['another secret', `Bearer ${SECRET.replace('0', '1')}`],
    ['a part of it', `Bearer ${SECRET.slice(0, -1)}`],
    ['both secrets as one', `Bearer ${SECRET},${NEXT_SECRET}`],
    ['an empty one', 'Bearer '],
    ['no scheme', SECRET],
    ['another scheme', `Digest ${SECRET}`],
    ['Basic with another password', `Basic ${btoa(`ceph:${SECRET}x`)}`],
    ['Basic with the secret as the user', `Basic ${btoa(`${SECRET}:`)}`],
    ['Basic without a colon', `Basic ${btoa(SECRET)}`],
    ['Basic that is not base64', `Basic %%${SECRET}`],
  ])('is refused as %s', async (_, authorization) => {
    const response = await asked(authorization)
    expect(response.status).toBe(401)
    expect(await response.json()).toMatchObject({ code: 'unauthenticated' })
    expect(response.headers.get('WWW-Authenticate')).toMatch(/^Bearer/)
  })

  // @threat notification-forged
  it('is not replaced by other credentials, or by the open access to localhost', async () => {
    const { token } = await jsonOf<{ token: string }>(
      await worker.post('/tokens', { scopes: ['files:upload'] }),
    )
    expect((await asked(`Bearer ${token}`)).status).toBe(401)
    expect((await asked(undefined)).status).toBe(401)
  })

  // @threat credential-misused
  it('opens no other route', async () => {
    const strict = testWorker({ NOTIFICATION_SECRETS: SECRET, OPEN_ACCESS: undefined })
    expect((await strict.fetch('/files', MINIO)).status).toBe(401)
  })

  it('counts against the network when it is wrong, and not when it is right', async () => {
    const limit = vi.fn(async () => ({ success: true }))
    const counting = testWorker({ NOTIFICATION_SECRETS: SECRET, RATE_LIMITER: { limit } })
    expect((await asked(`Bearer ${SECRET}`, counting)).status).toBe(200)
    expect(limit).not.toHaveBeenCalled()
    expect((await asked(`Bearer ${SECRET}x`, counting)).status).toBe(401)
    expect(limit).toHaveBeenCalledExactlyOnceWith({ key: 'network unknown' })
    limit.mockResolvedValue({ success: false })
    expect((await asked(`Bearer ${SECRET}x`, counting)).status).toBe(429)
  })

  it('never reaches the log, nor does what was sent in its place', async () => {
    const lines = captureLog()
    await asked(`Bearer ${SECRET}`)
    await asked('Bearer wrong-secret')
    const log = lines.join('\n')
    expect(log).toContain('notification secret wrong')
    expect(log).not.toContain(SECRET)
    expect(log).not.toContain('wrong-secret')
  })

  it('is needed for the route to exist', async () => {
    const without = testWorker()
    const response = await asked(`Bearer ${SECRET}`, without)
    expect(response.status).toBe(401)
    const open = await asked(undefined, without)
    expect(open.status).toBe(404)
    expect(await open.json()).toMatchObject({ code: 'not_found' })
  })
})

describe('in an app', () => {
  it('tells the app without a principal, and again with the owner', async () => {
    const events: FileEvent[] = []
    const index = memoryFileIndex()
    const app = mount({
      notifications: { secrets: SECRET },
      files: { index },
      events: { onEvent: (event) => void events.push(event) },
    })
    const key = await upload(app, '/media')
    expect((await postLater(app, '/media/notifications', body(key))).status).toBe(200)
    expect((await app.post('/media/files', { key, name: 'My cat.png' })).status).toBe(201)
    expect((await postLater(app, '/media/notifications', body(key))).status).toBe(200)
    expect(events).toEqual([
      expect.objectContaining({
        type: 'recorded',
        principal: null,
        subject: null,
        context: null,
        file: expect.objectContaining({ key, owner: null }),
      }),
      expect.objectContaining({
        type: 'recorded',
        principal: 'app:ann',
        file: expect.objectContaining({ key, owner: 'app:ann' }),
      }),
    ])
  })

  it('needs no login of the app', async () => {
    const app = mount({ notifications: { secrets: SECRET }, authenticate: () => null })
    expect((await app.post('/media/notifications', body('avatars/a'), MINIO)).status).toBe(200)
    expect((await app.post('/media/notifications', body('avatars/a'))).status).toBe(401)
  })

  it('is repeated by the server while the app can not be told', async () => {
    let isDown = true
    const index = memoryFileIndex()
    const app = mount({
      notifications: { secrets: SECRET },
      files: { index },
      events: {
        onEvent() {
          if (isDown) throw new Error('down')
        },
      },
    })
    const key = await upload(app, '/media')
    const refused = await postLater(app, '/media/notifications', body(key))
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ code: 'unavailable', reason: 'events' })
    expect(await recorded(app, key, '/media')).toBeUndefined()
    isDown = false
    expect((await postLater(app, '/media/notifications', body(key))).status).toBe(200)
    expect(await recorded(app, key, '/media')).toMatchObject({ owner: null })
  })
})
