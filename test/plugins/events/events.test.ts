import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { newObjectKey } from '../../../src/keys/new-key.ts'
import { captureLog } from '../../support/capture-log.ts'
import { PATIENCE } from '../../support/patience.ts'
import { answer, found, scriptedBucket } from '../../support/scripted-bucket.ts'
import { type TestWorker, testWorker } from '../../support/worker.ts'

const SECRET = `whsec_${btoa('canary-canary-canary-24b')}`
const WEBHOOKS = [
  { url: 'https://a.example/hooks?token=canary', secret: SECRET },
  { url: 'https://b.example/hooks', secret: SECRET, events: ['file.deleted', 'file.replaced'] },
]

afterEach(async () => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  await reset()
})

interface Sent {
  readonly version: 1
  readonly kind: string
  readonly endpoint: string
  readonly id: string
  readonly body: string
}

/** A Worker with webhooks and a queue that fails for the first `failures` batches. */
function withQueue(failures = 0, variables: Readonly<Record<string, unknown>> = { WEBHOOKS }) {
  const batches: { readonly messages: Sent[]; readonly recorded: number }[] = []
  const EVENTS = {
    async sendBatch(messages: readonly { readonly body: unknown }[]) {
      const recorded = (await env.FILE_INDEX.list()).keys.length
      batches.push({
        messages: structuredClone(messages.map(({ body }) => body)) as Sent[],
        recorded,
      })
      if (batches.length <= failures) throw new Error('Queue quota exceeded')
    },
  }
  return { worker: testWorker({ EVENTS, ...variables }), batches }
}

const record = (worker: TestWorker) =>
  worker.post('/files', { key: 'uploads/a.mp4', name: 'a.mp4' })
const remove = (worker: TestWorker) => worker.fetch('/files/uploads%2Fa.mp4', { method: 'DELETE' })
const isRecorded = async () => (await env.FILE_INDEX.list({ prefix: 'file:' })).keys.length === 1

/** A bucket with one object, until it is deleted. */
function oneObject(onDelete = () => {}) {
  let isThere = true
  return scriptedBucket({
    HeadObject: (sent) => (isThere ? found(5) : answer(404))(sent),
    DeleteObject: (sent) => {
      isThere = false
      onDelete()
      return answer(204)(sent)
    },
  })
}

describe('with a queue', () => {
  // @threat event-secret-leaks
  it('sends one message for each interested endpoint, without its URL or secret', async () => {
    oneObject()
    const { worker, batches } = withQueue()
    const recorded = await (await record(worker)).json()
    expect((await remove(worker)).status).toBe(204)
    expect(batches.map(({ messages }) => messages.length)).toEqual([1, 2])
    const [first, second] = batches.map(({ messages }) =>
      messages.map((one) => JSON.parse(one.body)),
    )
    const actor = { principal: 'localhost', subject: null, context: null }
    const timestamp = expect.stringMatching(/^20\d\d-\d\d-\d\dT.*Z$/)
    expect(first).toEqual([
      { type: 'file.recorded', timestamp, data: { file: recorded, ...actor } },
    ])
    const file = { bucket: 'files', key: 'uploads/a.mp4' }
    expect(second?.[0]).toEqual({ type: 'file.deleted', timestamp, data: { file, ...actor } })
    expect(second?.[1]).toEqual(second?.[0])
    const [one, other] = batches[1]?.messages ?? []
    expect(one?.id).toBe(other?.id)
    expect(one?.endpoint).not.toBe(other?.endpoint)
    expect(JSON.stringify(batches)).not.toMatch(/canary|whsec_|example/)
  })

  it('names the subject of a token, and has its context', async () => {
    scriptedBucket({ HeadObject: found(5) })
    const { worker, batches } = withQueue()
    const rights = { scopes: ['files:upload'], subject: 'alice', context: { plan: 'pro' } }
    const { token }: { token: string } = await (await worker.post('/tokens', rights)).json()
    const headers = { Authorization: `Bearer ${token}` }
    const body = { key: 'uploads/ybqr1sgp7a270ajfewde-a.mp4', name: 'a.mp4' }
    expect((await worker.post('/files', body, { headers })).status).toBe(201)
    expect(JSON.parse(batches[0]?.messages[0]?.body ?? '').data).toMatchObject({
      principal: 'localhost/alice',
      subject: 'alice',
      context: { plan: 'pro' },
    })
  })

  // @threat event-lost
  it('records nothing if the queue fails, and a repeat sends the same event again', async () => {
    scriptedBucket({ HeadObject: found(5) })
    const lines = captureLog()
    const { worker, batches } = withQueue(1)
    const refused = await record(worker)
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ code: 'unavailable', reason: 'events' })
    expect(await isRecorded()).toBe(false)
    expect(lines.join()).toContain('Queue quota exceeded')
    expect((await record(worker)).status).toBe(201)
    expect(batches.map(({ recorded }) => recorded)).toEqual([0, 0])
    const ids = batches.map(({ messages }) => messages[0]?.id)
    expect(new Set(ids).size).toBe(1)
  })

  // @threat event-flood
  it('sends a webhook only once for an upload that is recorded again', async () => {
    scriptedBucket({ HeadObject: found(5) })
    const { worker, batches } = withQueue()
    for (const _ of [1, 2, 3]) expect((await record(worker)).status).toBe(201)
    expect(batches).toHaveLength(1)
  })

  // @threat event-lost
  it('keeps the record if the queue fails, and a repeat of the delete has the same id', async () => {
    oneObject()
    await record(testWorker())
    const { worker, batches } = withQueue(1)
    const refused = await remove(worker)
    expect(await refused.json()).toMatchObject({ code: 'unavailable', reason: 'events' })
    expect(await isRecorded()).toBe(true)
    expect((await remove(worker)).status).toBe(204)
    expect(await isRecorded()).toBe(false)
    expect(batches[0]?.messages[0]?.id).toBe(batches[1]?.messages[0]?.id)
    expect((await remove(worker)).status).toBe(204)
    expect(batches).toHaveLength(2)
  })

  // @threat event-lost
  it("keeps the record if the queue fails, and the bucket's notification sends the event", async () => {
    oneObject()
    const key = 'uploads/ybqr1sgp7a270ajfewde-a.mp4' // as the Worker makes it
    await testWorker().post('/files', { key, name: 'a.mp4' })
    const secret = 'notification-secret-0123456789abcdef'
    const { worker, batches } = withQueue(1, { WEBHOOKS, NOTIFICATION_SECRETS: secret })
    const refused = await worker.fetch(`/files/${encodeURIComponent(key)}`, { method: 'DELETE' })
    expect(await refused.json()).toMatchObject({ code: 'unavailable', reason: 'events' })
    const report = {
      eventSource: 'minio:s3',
      eventTime: new Date(Date.now() - 120_000).toISOString(),
      eventName: 's3:ObjectRemoved:Delete',
      s3: { bucket: { name: 'files' }, object: { key: encodeURIComponent(key) } },
    }
    const notified = await worker.post(
      '/notifications',
      { Records: [report] },
      { headers: { Authorization: `Bearer ${secret}` } },
    )
    expect(await notified.json()).toEqual({ counts: { removed: 1 } })
    expect(batches.map(({ messages }) => messages[0]?.id)).toEqual(
      Array(2).fill(batches[0]?.messages[0]?.id),
    )
    expect(await isRecorded()).toBe(false)
  })

  // @threat event-out-of-order
  it('gives the event of a delete the time at which the bucket was asked to delete', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-24T12:00:00Z'), toFake: ['Date'] })
    oneObject(() => vi.setSystemTime(new Date('2026-11-24T12:00:20Z')))
    const { worker, batches } = withQueue()
    await record(worker)
    await remove(worker)
    const [, sent] = batches.map(({ messages }) => JSON.parse(messages[0]?.body ?? ''))
    expect(sent).toMatchObject({ type: 'file.deleted', timestamp: '2026-11-24T12:00:00.000Z' })
  })

  // @threat event-flood
  it('sends nothing about 100 keys that never existed, and removes what it can not see', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-24T12:00:00Z'), toFake: ['Date'] })
    const hooks = Array.from({ length: 10 }, (_, i) => ({
      url: `https://${i}.example/`,
      secret: SECRET,
    }))
    const { worker, batches } = withQueue(0, { WEBHOOKS: hooks })
    const [read, removed] = [
      vi.spyOn(env.FILE_INDEX, 'getWithMetadata'),
      vi.spyOn(env.FILE_INDEX, 'delete'),
    ]
    const deleteAll = async (keys: readonly string[]) => {
      const response = await worker.post('/files/delete', { keys })
      expect(await response.json()).toEqual({ deleted: keys.map((key) => ({ key })) })
    }
    const key = (minutes: number, i = 0) => {
      const now = new Date(Date.now() - minutes * 60_000)
      return newObjectKey({ fileName: `${i}.png`, prefix: '', now })
    }
    await deleteAll(Array.from({ length: 100 }, (_, i) => key(11, i)))
    // The record, and what is kept of it, may be too new to be visible.
    expect([batches.length, read.mock.calls.length, removed.mock.calls.length]).toEqual([
      ...[0, 200, 200],
    ])
  })

  it('sends nothing about a key that the index refuses', async () => {
    scriptedBucket({ HeadObject: found(5) })
    const { worker, batches } = withQueue()
    const response = await worker.post('/files', { key: `uploads/${'a'.repeat(600)}`, name: 'a' })
    expect(await response.json()).toMatchObject({ code: 'key_not_indexable' })
    expect(batches).toEqual([])
  })

  it('gives up on a queue that hangs for ten seconds', async () => {
    scriptedBucket({ HeadObject: found(5) })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const sendBatch = vi.fn(() => new Promise<never>(() => undefined))
    const answered = record(testWorker({ WEBHOOKS, EVENTS: { sendBatch } }))
    await vi.waitFor(() => expect(sendBatch).toHaveBeenCalled(), PATIENCE)
    await vi.advanceTimersByTimeAsync(10_000)
    vi.useRealTimers()
    expect(await (await answered).json()).toMatchObject({ code: 'unavailable', reason: 'events' })
    expect(await isRecorded()).toBe(false)
  })

  it('sends nothing without webhooks, and reads each record before and after its event', async () => {
    oneObject()
    const { worker, batches } = withQueue(0, {})
    const read = vi.spyOn(env.FILE_INDEX, 'getWithMetadata')
    const key = 'uploads/ybqr1sgp7a270ajfewde-a.mp4' // as the Worker makes it
    expect((await worker.post('/files', { key, name: 'a.mp4' })).status).toBe(201)
    const path = `/files/${encodeURIComponent(key)}`
    expect((await worker.fetch(path, { method: 'DELETE' })).status).toBe(204)
    expect(batches).toEqual([])
    // And what is kept of it once, before it is recorded.
    expect(read).toHaveBeenCalledTimes(5)
  })

  it('is not named by /healthz', async () => {
    const { worker } = withQueue()
    expect(await (await worker.fetch('/healthz')).json()).not.toHaveProperty('warnings')
  })
})

describe('without a queue', () => {
  // @threat event-secret-leaks
  it('gives each webhook one attempt, and logs which one is lost', async () => {
    const sent = scriptedBucket({ HeadObject: found(5) })
    const toBucket = fetch
    const hooks: Request[] = []
    vi.stubGlobal('fetch', (input: RequestInfo, init?: RequestInit) => {
      const request = new Request(input, init)
      if (!request.url.startsWith('https://a.example/')) return toBucket(input, init)
      hooks.push(request)
      return Promise.resolve(new Response(null, { status: 500 }))
    })
    const lines = captureLog()
    const worker = testWorker({ WEBHOOKS })
    expect((await record(worker)).status).toBe(201)
    expect((await worker.fetch('/healthz')).status).toBe(200)
    expect(sent.length).toBeGreaterThan(0)
    expect(hooks.map(({ method }) => method)).toEqual(['POST'])
    const warnings = lines.map((line) => JSON.parse(line)).filter((line) => 'warning' in line)
    // Once for all environments of the presigner, so perhaps in an earlier test.
    expect(warnings.filter(({ warning }) => warning !== 'webhooks are not queued')).toEqual([
      {
        warning: 'webhook lost',
        endpoint: 'a.example',
        event: hooks[0]?.headers.get('webhook-id'),
        reason: 'status 500',
      },
    ])
    expect(lines.join()).not.toMatch(/canary|whsec_/)
  })

  it('is named by /healthz', async () => {
    captureLog()
    const health = await testWorker({ WEBHOOKS }).fetch('/healthz')
    expect(await health.json()).toMatchObject({ warnings: ['webhooks are not queued'] })
  })
})

describe('the compatibility flag global_fetch_strictly_public', () => {
  const withoutFlag = () =>
    vi.stubGlobal('Cloudflare', {
      // The contexts of tests read other flags.
      compatibilityFlags: { ...Cloudflare.compatibilityFlags, global_fetch_strictly_public: false },
    })

  it('is on in the deployable Worker', () => {
    expect(Cloudflare.compatibilityFlags.global_fetch_strictly_public).toBe(true)
  })

  it('is named by /healthz if it is off and the presigner fetches from other Workers', async () => {
    withoutFlag()
    const { worker } = withQueue()
    expect(await (await worker.fetch('/healthz')).json()).toMatchObject({
      warnings: ['fetch is not strictly public'],
    })
  })

  it('is not named if the presigner fetches only from buckets', async () => {
    withoutFlag()
    const health = await testWorker().fetch('/healthz')
    expect(await health.json()).not.toHaveProperty('warnings')
  })
})

it('names a binding EVENTS that is not a queue', async () => {
  const health = await testWorker({ EVENTS: 'edge-presigner-jobs' }).fetch('/healthz')
  expect(await health.json()).toMatchObject({
    issues: [{ path: 'EVENTS', message: expect.stringContaining('[[queues.producers]]') }],
  })
})
