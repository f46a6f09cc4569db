import { createExecutionContext, createMessageBatch, getQueueResult, reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  createPresigner,
  defineSettings,
  type LogLine,
  type PresignerOptions,
} from '../../../src/index.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { files } from '../../../src/plugins/files/index.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import { notifications } from '../../../src/plugins/notifications/index.ts'
import { type FileIndex, indexUnavailable } from '../../../src/records/file-index.ts'
import type { QueueBatch } from '../../../src/records/job.ts'
import { type SettingsChanges, settingsInput } from '../../support/app.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../support/fake-seconds.ts'
import { answer, found, scriptedBucket } from '../../support/scripted-bucket.ts'

const QUEUE = 'edge-presigner-notifications'
const ACCOUNT = '3f4b7e3dcab231cbfdaa90a6a28bd548'
const FIRST = 'uploads/ybqr1sgp7a270ajfewde-first.txt'
const SECOND = 'uploads/ybqr1sgp7a270ajfewdf-second.txt'

let lines: LogLine[]
beforeEach(() => {
  lines = []
  vi.useFakeTimers({ now: NOW, toFake: ['Date'] })
})
afterEach(async () => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  for (const key of [FIRST, SECOND]) await bucketFetch(key, { method: 'DELETE' })
  await reset()
})

const index = kvFileIndex(env.FILE_INDEX)
const presignerWith = (
  input: SettingsChanges = {},
  fileIndex: FileIndex = index,
  options: PresignerOptions = {},
) =>
  createPresigner(
    defineSettings(() => settingsInput(input)),
    {
      plugins: [notifications(), files({ index: fileIndex })],
      log: (line) => void lines.push(line),
      ...options,
    },
  )
const presigner = presignerWith()

/** The real bucket dates objects by the real clock, so this is when they are old. */
const NOW = new Date(Date.now() + 3_600_000)

const put = (key: string) => bucketFetch(key, { method: 'PUT', body: key })
const isRecorded = async (key: string) => (await index.get('files', parseObjectKey(key))) !== null

/** R2's message about a PutObject, `age` seconds ago. */
const message = (key: string, age = 600, changes: object = {}) => ({
  account: ACCOUNT,
  action: 'PutObject',
  bucket: 'files',
  object: { key, size: 5, eTag: 'e' },
  eventTime: new Date(NOW.getTime() - age * 1000).toISOString(),
  ...changes,
})

/**
 * Hands a batch to the presigner, and returns what became of each message, by its id. By default, an
 * earlier delivery has looked at the objects.
 */
async function consume(bodies: readonly unknown[], to = presigner, queue = QUEUE, attempts = 2) {
  const messages = bodies.map((body, id) => ({
    id: String(id),
    timestamp: NOW,
    attempts,
    body,
  }))
  const batch = createMessageBatch(queue, messages)
  const retries: [id: string, delaySeconds: number | undefined][] = []
  // workerd's result has no delays.
  const watched: QueueBatch = {
    queue: batch.queue,
    messages: batch.messages.map((one) => ({
      body: one.body,
      attempts: one.attempts,
      ack: () => one.ack(),
      retry(options) {
        retries.push([one.id, options?.delaySeconds])
        one.retry(options)
      },
    })),
  }
  const context = createExecutionContext()
  const isOurs = await to.queue(watched, {}, context)
  const { explicitAcks, retryMessages } = await getQueueResult(batch, context)
  expect(retryMessages.map(({ msgId }) => msgId)).toEqual(retries.map(([id]) => id))
  return { isOurs, acks: explicitAcks, retries }
}

describe('a batch of notifications', () => {
  it('records each object, and acknowledges each message', async () => {
    await put(FIRST)
    await put(SECOND)
    expect(await consume([message(FIRST), message(SECOND), message(FIRST)])).toEqual({
      isOurs: true,
      acks: ['0', '1', '2'],
      retries: [],
    })
    expect([await isRecorded(FIRST), await isRecorded(SECOND)]).toEqual([true, true])
  })

  it('has at most six requests at a time, since Workers queues the seventh', async () => {
    let open = 0
    let most = 0
    vi.stubGlobal('fetch', async () => {
      open += 1
      most = Math.max(most, open)
      await new Promise((resolve) => setTimeout(resolve, 1))
      open -= 1
      return new Response(null, { status: 404 })
    })
    const keys = Array.from('0123456789ab', (digit) => FIRST.replace('e-', `${digit}-`))
    expect((await consume(keys.map((key) => message(key)))).acks).toHaveLength(12)
    expect(most).toBe(6)
  })

  // @threat record-disowned
  it('waits until a notification is 90 seconds old', async () => {
    await put(FIRST)
    await put(SECOND)
    const { acks, retries } = await consume([
      message(FIRST, 0),
      message(SECOND, 180),
      message(FIRST, 72.5),
      message(FIRST, 89.9),
      message(FIRST, -3600),
    ])
    expect(acks).toEqual(['1'])
    expect(retries).toEqual([
      ['0', 90],
      ['2', 18],
      ['3', 1],
      ['4', 90],
    ])
    expect([await isRecorded(FIRST), await isRecorded(SECOND)]).toEqual([false, true])
  })

  // @threat record-disowned
  it.each([
    ['the first delivery', 600, 1],
    ['a delivery after one that came too early', 100, 2],
  ])('looks again 90 seconds later after %s, unless the index agrees', async (_, age, attempts) => {
    await put(FIRST)
    await put(SECOND)
    await consume([message(SECOND)])
    const missing = 'uploads/ybqr1sgp7a270ajfewdg-missing.txt'
    const bodies = [message(FIRST, age), message(SECOND, age), message(missing, age)]
    const looked = await consume(bodies, presigner, QUEUE, attempts)
    expect(looked.acks).toEqual(['1'])
    expect(looked.retries).toEqual([
      ['0', 90],
      ['2', 90],
    ])
    expect(await isRecorded(FIRST)).toBe(false)
    expect(lines.at(-1)).toMatchObject({ status: 200, message: 'waiting 2, known 1' })
    vi.setSystemTime(NOW.getTime() + 90_000)
    expect(await consume(bodies, presigner, QUEUE, attempts + 1)).toMatchObject({ retries: [] })
    expect(await isRecorded(FIRST)).toBe(true)
  })

  // @threat notification-false
  it('looks only twice if the time of the event is far in the future', async () => {
    await put(FIRST)
    const forged = message(FIRST, 0, { eventTime: '9999-12-31T23:59:59Z' })
    expect((await consume([forged], presigner, QUEUE, 1)).retries).toEqual([['0', 90]])
    expect(await consume([forged])).toMatchObject({ acks: ['0'], retries: [] })
    expect(await isRecorded(FIRST)).toBe(true)
  })

  it('acknowledges what it drops, and counts it by its reason', async () => {
    await put(FIRST)
    const { acks, retries } = await consume([
      message(FIRST),
      message(FIRST, 600, { bucket: 'other' }),
      message('../secret.txt'),
      message('backups/secret.sql'),
      message(FIRST, 600, { action: 'GetObject' }),
      'secret',
      null,
      message('uploads/ybqr1sgp7a270ajfewdg-missing.txt'),
      message(FIRST, 0),
    ])
    expect(acks).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])
    expect(retries).toEqual([['8', 90]])
    expect(lines).toEqual([
      {
        method: 'QUEUE',
        route: QUEUE,
        status: 200,
        milliseconds: expect.any(Number),
        message:
          'recorded 1, unknown bucket 1, invalid key 1, key not managed 1, other event 1, malformed 2, missing 1, waiting 1',
        warning:
          'notifications dropped: unknown bucket 1, invalid key 1, key not managed 1, other event 1, malformed 2',
      },
    ])
    expect(JSON.stringify(lines)).not.toContain('secret')
  })

  it("drops a notification for another account's bucket without a request to the bucket", async () => {
    const buckets = {
      files: {
        ...settingsInput().buckets.files,
        endpoint: 'https://00000000000000000000000000000000.r2.cloudflarestorage.com',
      },
    } as ReturnType<typeof settingsInput>['buckets']
    const { acks } = await consume([message(FIRST)], presignerWith({ buckets }))
    expect(acks).toEqual(['0'])
    expect(lines).toMatchObject([{ warning: 'notifications dropped: other account 1' }])
  })

  it('retries only what failed, later with each attempt', async () => {
    await put(FIRST)
    const files = settingsInput().buckets.files
    if (files === undefined) throw new Error('There is no bucket.')
    const buckets = {
      files,
      broken: { ...files, bucket: 'broken', endpoint: 'http://127.0.0.1:9' },
    }
    const broken = message(FIRST, 600, { bucket: 'broken' })
    const first = await consume([message(FIRST), broken], presignerWith({ buckets }), QUEUE, 2)
    expect(first.acks).toEqual(['0'])
    expect(first.retries).toEqual([['1', expect.any(Number)]])
    expect(await isRecorded(FIRST)).toBe(true)
    expect(lines).toMatchObject([
      {
        status: 503,
        message: 'recorded 1, storage_error 1',
        warning: 'notifications failed: storage_error 1',
      },
    ])
    const fifth = await consume([broken], presignerWith({ buckets }), QUEUE, 5)
    const [early, late] = [first.retries[0]?.[1], fifth.retries[0]?.[1]].map(Number)
    expect(early).toBeGreaterThanOrEqual(10)
    expect(late).toBeGreaterThanOrEqual(160)
  })

  // @threat bucket-busy
  it('waits as long as a busy bucket or index asks', async () => {
    scriptedBucket({ HeadObject: answer(503, null, { 'Retry-After': '900' }) })
    const busy = await consume([message(FIRST)])
    scriptedBucket({ HeadObject: found(5) })
    const tooSoon = indexUnavailable(new Error('KV PUT failed: 429 Too Many Requests'), 600)
    const full = presignerWith({}, { ...index, put: () => Promise.reject(tooSoon) })
    const refused = await consume([message(SECOND)], full)
    for (const [{ retries }, asked] of [
      [busy, 900],
      [refused, 600],
    ] as const) {
      const delay = Number(retries[0]?.[1])
      expect([delay >= asked, delay <= asked * 1.25]).toEqual([true, true])
    }
  })

  it.each([
    [10, {}],
    [3, { appTimeoutSeconds: 3 }],
  ])('gives each operation of an index that hangs %i seconds with %j', async (limit, options) => {
    vi.useFakeTimers({ now: NOW, ...FAKE_CLOCK })
    scriptedBucket({ HeadObject: found(5) })
    const hanging = presignerWith({}, { ...index, get: () => new Promise(() => {}) }, options)
    const [{ retries }, seconds] = await fakeSeconds(consume([message(FIRST)], hanging))
    expect([retries.length, seconds]).toEqual([1, limit])
    expect(lines).toMatchObject([{ message: 'unavailable 1' }])
  })

  // @threat queue-malformed
  it('is kept while the settings are not valid, unless no settings could help', async () => {
    const { acks, retries } = await consume(
      [message(FIRST), 'malformed'],
      presignerWith({ signingSecrets: 'short' }),
    )
    expect(acks).toEqual(['1'])
    expect(retries).toEqual([['0', expect.any(Number)]])
    expect(lines).toMatchObject([
      {
        status: 503,
        warning: 'notifications dropped: malformed 1; notifications failed: misconfigured 1',
        reason: 'signingSecrets',
      },
    ])
  })

  it('comes from a queue whose name starts with ours', async () => {
    const { isOurs, acks } = await consume(['x'], presigner, `${QUEUE}-staging`)
    expect([isOurs, acks]).toEqual([true, ['0']])
  })

  it('of any other queue is left to the host', async () => {
    expect(await consume([message(FIRST)], presigner, 'orders')).toEqual({
      isOurs: false,
      acks: [],
      retries: [],
    })
    expect(lines).toEqual([])
  })
})
