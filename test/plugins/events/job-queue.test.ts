import {
  createExecutionContext,
  createMessageBatch,
  getQueueResult,
  waitOnExecutionContext,
} from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { presigner } from '../../../examples/everything/src/presigner.ts'
import { endpointId } from '../../../src/plugins/events/webhook.ts'
import { type Job, jobMessage } from '../../../src/records/job.ts'
import { captureLog } from '../../support/capture-log.ts'
import { failNextPurge } from '../../support/purge.ts'
import { baseVariables } from '../../support/worker.ts'

const QUEUE = 'edge-presigner-jobs'
const URL_A = 'https://a.example/hooks?token=canary'
const URL_B = 'https://b.example/hooks'
const secret = (letter: string) => `whsec_${btoa(letter.repeat(32))}`
const WEBHOOKS = [
  { url: URL_A, secret: [secret('o'), secret('n')] },
  { url: URL_B, secret: secret('b') },
]
/** A queue that nothing is sent to here. */
const EVENTS = { sendBatch: async () => undefined }
const BODY = '{"type":"file.deleted"}'

const jobFor = async (url: string, id = 'evt_1'): Promise<Job> => ({
  kind: 'webhook',
  endpoint: await endpointId(url),
  id,
  body: BODY,
})

/** Runs a batch. Returns the ids of acknowledged messages, why any were given up, and the delays of the others. */
async function consume(
  bodies: readonly unknown[],
  { attempts = 1, queue = QUEUE, variables = {} as object } = {},
) {
  const timestamp = new Date()
  const messages = bodies.map((body, i) => ({ id: `m${i}`, timestamp, attempts, body }))
  const batch = createMessageBatch(queue, messages)
  const context = createExecutionContext()
  const workerEnv = { ...env, ...baseVariables(), WEBHOOKS, EVENTS, ...variables }
  const delays = new Map<string, number | undefined>()
  // The result has no delays, so this notes them on their way to the real message.
  const noted = batch.messages.map((message) => ({
    body: message.body,
    attempts: message.attempts,
    ack: () => message.ack(),
    retry(options?: { delaySeconds?: number }) {
      delays.set(message.id, options?.delaySeconds)
      message.retry(options)
    },
  }))
  const isOurs = await presigner.queue(
    { queue, messages: noted },
    workerEnv as unknown as Env,
    context,
  )
  await waitOnExecutionContext(context)
  const { explicitAcks, retryMessages } = await getQueueResult(batch, context)
  const retried = retryMessages.map(({ msgId }) => ({ msgId, delaySeconds: delays.get(msgId) }))
  return { isOurs, acked: explicitAcks, retried }
}

type Reply = Response | Error
let sent: Request[] = []

/** Answers requests to webhooks, in order. The last reply repeats. */
function reply(...replies: [Reply, ...Reply[]]): void {
  vi.stubGlobal('fetch', async (input: RequestInfo, init?: RequestInit) => {
    sent.push(new Request(input, init))
    const next = replies[Math.min(sent.length, replies.length) - 1] as Reply
    if (next instanceof Error) throw next
    return next.clone()
  })
}

let lines: string[] = []
beforeEach(() => {
  sent = []
  lines = []
  vi.spyOn(console, 'warn').mockImplementation((line: string) => void lines.push(line))
})
afterEach(() => {
  for (const line of lines) expect(line).not.toMatch(/canary|whsec_|token/)
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

const delay = (base: number) => expect.toSatisfy((s: number) => s >= base && s <= base * 1.25 + 1)
const retry = (i: number, base: number) => ({ msgId: `m${i}`, delaySeconds: delay(base) })

describe('a webhook in the queue', () => {
  it('is sent, signed by both secrets for this attempt, and acknowledged', async () => {
    reply(new Response('ok'))
    const result = await consume([jobMessage(await jobFor(URL_A))])
    expect(result).toEqual({ isOurs: true, acked: ['m0'], retried: [] })
    expect(sent).toHaveLength(1)
    const [request] = sent
    expect(request).toMatchObject({ method: 'POST', url: URL_A, redirect: 'manual' })
    expect(request?.headers.get('Content-Type')).toBe('application/json')
    const headers = Object.fromEntries(request?.headers ?? [])
    expect(headers['webhook-id']).toBe('evt_1')
    const body = (await request?.text()) ?? ''
    expect(body).toBe(BODY)
    for (const one of ['o', 'n']) new Webhook(secret(one)).verify(body, headers)
    expect(lines).toEqual([])
  })

  it.each([
    ['500', new Response('canary', { status: 500 }), 10, 'status 500'],
    ['404', new Response('canary', { status: 404 }), 10, 'status 404'],
    ['304', new Response(null, { status: 304 }), 10, 'status 304, a redirect'],
    [
      'a redirect, which it does not follow',
      new Response(null, { status: 307, headers: { Location: 'https://c.example/canary' } }),
      10,
      'status 307, a redirect',
    ],
    [
      '503 with Retry-After',
      new Response('', { status: 503, headers: { 'Retry-After': '900' } }),
      900,
      'status 503',
    ],
    [
      '429 with a Retry-After of days',
      new Response('', { status: 429, headers: { 'Retry-After': '999999' } }),
      3600,
      'status 429',
    ],
    ['no response', new TypeError(`cannot reach ${URL_A}`), 10, 'TypeError: cannot reach (URL)'],
  ])('is tried again after %s', async (_, answer, seconds, reason) => {
    reply(answer)
    const result = await consume([jobMessage(await jobFor(URL_A))])
    expect(result).toEqual({ isOurs: true, acked: [], retried: [retry(0, seconds)] })
    expect(sent).toHaveLength(1)
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        warning: 'webhook not delivered',
        endpoint: 'a.example',
        event: 'evt_1',
        reason,
        attempt: 1,
        retryInSeconds: delay(seconds),
      },
    ])
  })

  it('waits longer with each attempt', async () => {
    reply(new Response('', { status: 500 }))
    const { retried } = await consume([jobMessage(await jobFor(URL_A))], { attempts: 5 })
    expect(retried).toEqual([retry(0, 160)])
  })

  it('is dropped after 410, by which the endpoint says that it wants no more', async () => {
    reply(new Response('', { status: 410 }))
    const { acked } = await consume([jobMessage(await jobFor(URL_A))])
    expect(acked).toEqual(['m0'])
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { warning: 'webhook lost', endpoint: 'a.example', event: 'evt_1', reason: 'status 410' },
    ])
  })

  // @threat event-endpoint-hangs
  it('does not read the body of the response', async () => {
    const cancel = vi.fn()
    vi.stubGlobal('fetch', async () => {
      const endless = new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(1024)),
        cancel,
      })
      return new Response(endless)
    })
    expect((await consume([jobMessage(await jobFor(URL_A))])).acked).toEqual(['m0'])
    expect(cancel).toHaveBeenCalledOnce()
  })

  it('finds its endpoint after a new secret and in another order', async () => {
    reply(new Response())
    const variables = { WEBHOOKS: [WEBHOOKS[1], { url: URL_A, secret: secret('x') }] }
    await consume([jobMessage(await jobFor(URL_A))], { variables })
    const [request] = sent
    expect(request?.url).toBe(URL_A)
    const headers = Object.fromEntries(request?.headers ?? [])
    new Webhook(secret('x')).verify((await request?.text()) ?? '', headers)
  })

  it('is dropped with a reason in the log once its endpoint is no longer configured', async () => {
    reply(new Response())
    const variables = { WEBHOOKS: [WEBHOOKS[1]] }
    const { acked } = await consume([jobMessage(await jobFor(URL_A))], { variables })
    expect([acked, sent]).toEqual([['m0'], []])
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { warning: 'webhook lost', event: 'evt_1', reason: 'the endpoint is no longer configured' },
    ])
  })
})

describe('a batch', () => {
  it('is acknowledged message by message', async () => {
    vi.stubGlobal('fetch', async (url: string) => {
      return new Response('', { status: url === URL_A ? 500 : 202 })
    })
    const jobs = await Promise.all([URL_A, URL_B, URL_A].map((url) => jobFor(url)))
    const result = await consume(jobs.map(jobMessage))
    expect(result.acked).toEqual(['m1'])
    expect(result.retried).toEqual([retry(0, 10), retry(2, 10)])
  })

  it('has at most six requests at a time, since Workers queues the seventh', async () => {
    let open = 0
    let most = 0
    vi.stubGlobal('fetch', async () => {
      open += 1
      most = Math.max(most, open)
      await Promise.resolve().then(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 1))
      open -= 1
      return new Response()
    })
    const job = jobMessage(await jobFor(URL_B))
    expect((await consume(Array(12).fill(job))).acked).toHaveLength(12)
    expect(most).toBe(6)
  })

  it('of another queue is left to the host', async () => {
    reply(new Response())
    const bodies = [jobMessage(await jobFor(URL_A)), 'anything']
    const result = await consume(bodies, { queue: 'orders' })
    expect(result).toEqual({ isOurs: false, acked: [], retried: [] })
    expect(sent).toEqual([])
  })

  it('may come from a queue with a longer name, such as one for staging', async () => {
    reply(new Response())
    const bodies = [jobMessage(await jobFor(URL_A))]
    expect((await consume(bodies, { queue: `${QUEUE}-staging` })).acked).toEqual(['m0'])
  })

  // @threat queue-malformed
  it('drops messages that no version can read, also while the settings are invalid', async () => {
    reply(new Response())
    const purge = { version: 1, kind: 'purge', bucket: 'files', keys: ['../canary'] }
    const malformed = ['canary', null, { version: 1, kind: 'canary' }, { version: '2' }, purge]
    for (const variables of [{}, { SIGNING_SECRETS: 'canary' }])
      expect(await consume(malformed, { variables })).toMatchObject({
        acked: ['m0', 'm1', 'm2', 'm3', 'm4'],
        retried: [],
      })
    const line = { warning: 'job lost', reason: 'the message is malformed' }
    expect(lines.map((text) => JSON.parse(text))).toEqual(Array(10).fill(line))
    expect(sent).toEqual([])
  })

  it('keeps messages of a later version, and everything while the settings are invalid', async () => {
    reply(new Response())
    const newer = { version: 2, kind: 'webhook', canary: 1 }
    expect(await consume([newer])).toMatchObject({ acked: [], retried: [retry(0, 10)] })
    const variables = { SIGNING_SECRETS: 'canary' }
    const known = jobMessage(await jobFor(URL_A))
    expect((await consume([known], { variables })).retried).toEqual([retry(0, 10)])
    expect(lines.map((line) => JSON.parse(line).reason)).toEqual([
      'the message is of a later version',
      'the settings are not valid: SIGNING_SECRETS',
    ])
    expect(sent).toEqual([])
  })
})

describe('a purge in the queue', () => {
  const job = (bucket = 'files'): unknown =>
    jobMessage({ kind: 'purge', bucket, keys: ['a.png', 'b.png'] })

  it('is acknowledged when the copies of all keys are gone', async () => {
    expect(await consume([job()])).toMatchObject({ acked: ['m0'], retried: [] })
  })

  it('that fails is tried again when Cloudflare accepts purges again', async () => {
    captureLog()
    failNextPurge(new Error('too many'))
    const { acked, retried } = await consume([job()])
    expect([acked, retried.length]).toEqual([[], 1])
    expect(retried[0]?.delaySeconds).toBeGreaterThanOrEqual(60)
  })

  it('of a bucket that is no longer configured is acknowledged', async () => {
    expect(await consume([job('gone')])).toMatchObject({ acked: ['m0'], retried: [] })
  })
})
