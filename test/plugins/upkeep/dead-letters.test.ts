import {
  createExecutionContext,
  createMessageBatch,
  getQueueResult,
  runDurableObjectAlarm,
  runInDurableObject,
} from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createPresigner, defineSettings, type LogLine, type Plugin } from '../../../src/index.ts'
import { apiKeys } from '../../../src/plugins/api-keys/index.ts'
import { events } from '../../../src/plugins/events/index.ts'
import { files } from '../../../src/plugins/files/index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { notifications } from '../../../src/plugins/notifications/index.ts'
import {
  DeadLetters,
  MAX_LETTERS,
  MAX_TOTAL_BYTES,
} from '../../../src/plugins/upkeep/dead-letters.ts'
import { upkeep } from '../../../src/plugins/upkeep/index.ts'
import type { QueueBatch, QueueMessage } from '../../../src/records/job.ts'
import { jsonOf, ORIGIN, settingsInput } from '../../support/app.ts'
import { bearer, type TestApiKey, testApiKey } from '../../support/credentials.ts'
import { stateStub } from '../../support/state-stub.ts'

const admin = await testApiKey('admin', ['upkeep:run'])
const other = await testApiKey('other', ['upkeep:run'])
const inside = await testApiKey('inside', ['upkeep:run'], 'team/')
const reader = await testApiKey('reader', ['upkeep:read'])
const ofFiles: TestApiKey = await testApiKey('of-files', ['upkeep:run'])
const ENTRIES = [
  ...[admin, other, inside, reader].map(({ entry }) => entry),
  { ...ofFiles.entry, buckets: ['files'] },
]

afterEach(() => {
  vi.useRealTimers()
})

/** What the queue "mail" does with a message. */
type Handle = (message: QueueMessage, batch: QueueBatch) => void | Promise<void>

/** Each app has its own name, so that it shares no Durable Object. */
let count = 0

function appWith(handle: Handle = (message) => message.ack(), isBroken = false) {
  const name = `dead-${count++}`
  const lines: LogLine[] = []
  const records = files({ index: memoryFileIndex() })
  const mail: Plugin = {
    name: 'mail',
    setup: () => ({
      queue: {
        name: 'mail',
        async handle(batch) {
          for (const message of batch.messages) await handle(message, batch)
        },
      },
    }),
  }
  const settings = defineSettings(() => settingsInput(isBroken ? { buckets: {} } : { name }))
  const presigner = createPresigner(settings, {
    plugins: [
      ...[mail, events({}), records, notifications({ files: records })],
      ...[upkeep({ files: records }), apiKeys({ keys: ENTRIES })],
    ],
    log: (line) => void lines.push(line),
  })
  return {
    name,
    lines,
    /** Sends bodies to the dead-letter queue. Returns the numbers of those that were acknowledged. */
    async die(
      bodies: readonly unknown[],
      { queue = 'mail-dead', context = createExecutionContext() } = {},
    ) {
      const messages = bodies.map((body, id) => ({
        ...{ id: String(id), timestamp: new Date(), attempts: 1, body },
      }))
      const batch = createMessageBatch(queue, messages)
      const isOurs = await presigner.queue(batch, {}, context)
      const result = await getQueueResult(batch, createExecutionContext())
      const retried = result.retryMessages.map(({ msgId }) => msgId)
      return { isOurs, kept: result.explicitAcks, retried }
    },
    async ask(method: string, path: string, body?: object, key: TestApiKey = admin) {
      const headers = new Headers(bearer(key.token).headers)
      if (body !== undefined) headers.set('Content-Type', 'application/json')
      const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
      const request = new Request(`${ORIGIN}/upkeep${path}`, init)
      return presigner.fetch(request, {}, createExecutionContext())
    },
    async list(query = '') {
      return jsonOf<Page>(await this.ask('GET', `/dead-letters${query}`))
    },
    async replay(...ids: string[]) {
      const answer = await this.ask('POST', '/dead-letters/replay', { ids })
      return (await jsonOf<{ results: unknown[] }>(answer)).results
    },
    stub: () => stateStub('Upkeep', `${name}/dead letters`),
  }
}

interface Page {
  readonly deadLetters: readonly {
    readonly id: string
    readonly body: unknown
    readonly [member: string]: unknown
  }[]
  readonly cursor?: string
}

const idsIn = ({ deadLetters }: Page) => deadLetters.map(({ id }) => id)
const bodiesIn = ({ deadLetters }: Page) => deadLetters.map(({ body }) => body)

describe('a batch of a dead-letter queue', () => {
  it('is kept, acknowledged, and listed with what was sent', async () => {
    const app = appWith()
    vi.useFakeTimers({ now: new Date('2026-11-28T12:00:00Z'), toFake: ['Date'] })
    expect(await app.die([{ a: 1 }, 'text'], { queue: 'mail-1-dead' })).toEqual({
      ...{ isOurs: true, kept: ['0', '1'], retried: [] },
    })
    const { deadLetters, cursor } = await app.list()
    expect(cursor).toBeUndefined()
    expect(deadLetters).toHaveLength(2)
    expect(deadLetters).toContainEqual({
      ...{ id: expect.stringMatching(/^[0-9a-f]{32}$/), queue: 'mail-1', body: { a: 1 } },
      ...{ firstAt: '2026-11-28T12:00:00.000Z', lastAt: '2026-11-28T12:00:00.000Z' },
      ...{ arrivals: 1, replays: 0, reason: null },
    })
    const [line] = app.lines
    expect(line).toMatchObject({ method: 'QUEUE', route: 'mail-1-dead', status: 200 })
    expect(line?.warning).toBe('dead letters kept: 2')
  })

  it('counts a message that arrives again, and keeps it once', async () => {
    const app = appWith()
    await app.die(['same'])
    await app.die(['same', 'other', 'same'])
    const { deadLetters } = await app.list()
    expect(deadLetters.map(({ body, arrivals }) => [body, arrivals])).toEqual([
      ['same', 3],
      ['other', 1],
    ])
    await app.die(['same'], { queue: 'mail-2-dead' })
    expect((await app.list()).deadLetters).toHaveLength(3)
  })

  // @threat dead-letter-lost
  it.each([
    ['without Durable Objects', false, { waitUntil: () => undefined }],
    ['with invalid settings', true, undefined],
    [
      'if the object fails',
      false,
      {
        exports: {
          Upkeep: {
            getByName: () => ({ addDeadLetters: () => Promise.reject(new Error('no disk')) }),
          },
        },
      },
    ],
  ])('is retried, never acknowledged, %s', async (_, isBroken, context) => {
    const app = appWith(undefined, isBroken)
    const died = await app.die(['a', 'b'], context && { context: context as never })
    expect(died).toEqual({ isOurs: true, kept: [], retried: ['0', '1'] })
    const [line] = app.lines
    expect(line).toMatchObject({ status: 503, warning: 'dead letters not kept: 2 of 2' })
    expect(line?.reason).toMatch(/./)
  })

  it('keeps what it can, and retries a body that is not JSON', async () => {
    const app = appWith()
    expect(await app.die(['a', undefined, 'b'])).toMatchObject({ kept: ['0', '2'], retried: ['1'] })
    expect(bodiesIn(await app.list()).toSorted()).toEqual(['a', 'b'])
  })
})

describe('the storage of dead letters', () => {
  const letter = (id: string, body = '"x"') => ({ id, queue: 'mail', body })

  /** Calls `act` with the storage of a new object. */
  const inObject = <T>(act: (letters: DeadLetters, sql: SqlStorage) => T): Promise<T> =>
    runInDurableObject(stateStub('Upkeep', `storage-${count++}`), (_, { storage }) =>
      act(new DeadLetters(storage.sql), storage.sql),
    )

  it('has room for so many messages, and so many bytes', async () => {
    await inObject((letters, sql) => {
      letters.add([letter('first')], 1)
      const fill =
        'INSERT INTO dead_letters (id, queue, body, bytes, first_at, last_at) VALUES (?, ?, ?, ?, 2, 2)'
      sql.exec(fill, 'large', 'mail', '""', MAX_TOTAL_BYTES - 3 - 10)
      const ten = '"12345678"'
      expect(letters.add([letter('a', `${ten} `), letter('b', ten), letter('c', '1')], 3)).toEqual([
        'b',
      ])
      // What is there already needs no room.
      expect(letters.add([letter('first')], 4)).toEqual(['first'])
      sql.exec("UPDATE dead_letters SET bytes = 1 WHERE id = 'large'")
      for (let i = 3; i < MAX_LETTERS - 1; i += 1) sql.exec(fill, `${i}`, 'mail', '""', 2)
      expect(letters.add([letter('last'), letter('too many')], 5)).toEqual(['last'])
    })
  })

  it('measures bytes, not characters', async () => {
    await inObject((letters) => {
      letters.add([letter('a', '"\u00e9"')], 1)
      expect(letters.totals()).toEqual({ count: 1, bytes: 4 })
    })
  })

  it('has pages of at most two million characters, and at least one message', async () => {
    await inObject((letters) => {
      const long = JSON.stringify('x'.repeat(1_500_000))
      letters.add([letter('a', long), letter('b', long), letter('c')], 1)
      const first = letters.page(10, null)
      expect([first.letters.map(({ id }) => id), first.next]).toEqual([['a'], { id: 'b', at: 1 }])
      const second = letters.page(10, first.next)
      expect([second.letters.map(({ id }) => id), second.next]).toEqual([['b', 'c'], null])
      letters.add([letter('d', JSON.stringify('x'.repeat(2_000_000)))], 2)
      const last = letters.page(10, { id: 'd', at: 2 })
      expect([last.letters.map(({ id }) => id), last.next]).toEqual([['d'], null])
    })
  })

  it('forgets a message after 30 days, by the alarm', async () => {
    const app = appWith()
    const day = 86_400_000
    const now = Date.now()
    vi.useFakeTimers({ now: now - 31 * day, toFake: ['Date'] })
    await app.die(['old'])
    vi.setSystemTime(now - 29 * day)
    await app.die(['young'])
    // Another arrival doesn't keep it for longer.
    await app.die(['old'])
    vi.useRealTimers()
    expect(await runDurableObjectAlarm(app.stub())).toBe(true)
    expect(bodiesIn(await app.list())).toEqual(['young'])
    const next = await runInDurableObject(app.stub(), (_, { storage }) => storage.getAlarm())
    expect(next).toBe(now + day)
  })
})

describe('GET /upkeep/dead-letters', () => {
  it('has pages, the oldest message first, with a cursor for the same caller only', async () => {
    const app = appWith()
    vi.useFakeTimers({ now: Date.now(), toFake: ['Date'] })
    for (const body of ['1', '2', '3']) {
      await app.die([body])
      vi.advanceTimersByTime(1000)
    }
    const first = await app.list('?limit=2')
    expect(bodiesIn(first)).toEqual(['1', '2'])
    const path = `/dead-letters?cursor=${first.cursor}`
    expect(bodiesIn(await jsonOf<Page>(await app.ask('GET', path)))).toEqual(['3'])
    expect((await app.ask('GET', path, undefined, other)).status).toBe(400)
    expect((await app.ask('GET', '/dead-letters?limit=101')).status).toBe(400)
  })

  // @threat dead-letters-read
  it.each([
    ['without the scope', reader],
    ['with a prefix', inside],
    ['limited to some buckets', ofFiles],
  ])('and the replay refuse a key %s, since bodies have keys of all', async (_, key) => {
    const app = appWith()
    await app.die(['secret'])
    const [id = ''] = idsIn(await app.list())
    const asked = [
      app.ask('GET', '/dead-letters', undefined, key),
      app.ask('POST', '/dead-letters/replay', { ids: [id] }, key),
    ]
    for (const answer of await Promise.all(asked)) expect(answer.status).toBe(403)
    expect((await app.list()).deadLetters).toHaveLength(1)
  })

  it('is counted by GET /upkeep', async () => {
    const app = appWith()
    await app.die(['a', 'b'])
    const answer = await jsonOf<object>(await app.ask('GET', '', undefined, reader))
    expect(answer).toMatchObject({ deadLetters: 2 })
  })
})

describe('POST /upkeep/dead-letters/replay', () => {
  it('removes what its handler acknowledges, and keeps the rest with the reason', async () => {
    const seen: unknown[] = []
    const app = appWith((message, { queue, messages }) => {
      seen.push([queue, messages.length, message.body, message.attempts])
      if (message.body === 'bad') return message.retry({ reason: 'status 500' })
      if (message.body === 'mute') return message.retry()
      if (message.body === 'throws') throw new Error('broken at https://a.example/?s=1')
      if (message.body === 'done') message.ack()
      if (message.body === 'acks and throws') {
        message.ack()
        throw new Error('late')
      }
      // A message without a decision is acknowledged, as Cloudflare Queues do.
    })
    await app.die(['done'])
    await app.die(['bad'])
    await app.die(['mute', 'throws', 'undecided', 'acks and throws'])
    const { deadLetters } = await app.list()
    const idOf = (body: string) => deadLetters.find((one) => one.body === body)?.id ?? ''
    const unknown = '0'.repeat(32)
    expect(
      await app.replay(
        ...['done', 'bad', 'mute', 'throws', 'undecided', 'acks and throws'].map(idOf),
        unknown,
        unknown,
      ),
    ).toEqual([
      { id: idOf('done'), outcome: 'replayed' },
      { id: idOf('bad'), outcome: 'failed', reason: 'status 500' },
      { id: idOf('mute'), outcome: 'failed', reason: 'It failed again.' },
      { id: idOf('throws'), outcome: 'failed', reason: 'Error: broken at (URL)' },
      { id: idOf('undecided'), outcome: 'replayed' },
      { id: idOf('acks and throws'), outcome: 'replayed' },
      { id: unknown, outcome: 'missing' },
    ])
    expect(seen).toContainEqual(['mail', 1, 'done', 2])
    const left = await app.list()
    expect(left.deadLetters.map(({ body, replays, reason }) => [body, replays, reason])).toEqual(
      expect.arrayContaining([
        ['bad', 1, 'status 500'],
        ['mute', 1, 'It failed again.'],
        ['throws', 1, 'Error: broken at (URL)'],
      ]),
    )
    expect(left.deadLetters).toHaveLength(3)
    await app.replay(idOf('bad'))
    expect(seen.at(-1)).toEqual(['mail', 1, 'bad', 3])
  })

  it('finds nothing before the first message', async () => {
    const id = '0'.repeat(32)
    expect(await appWith().replay(id)).toEqual([{ id, outcome: 'missing' }])
  })

  it('keeps a message whose queue no plugin has any more', async () => {
    const app = appWith()
    const stub = app.stub()
    await stub.addDeadLetters([{ id: '1'.repeat(32), queue: 'gone', body: '1' }], Date.now())
    expect(await app.replay('1'.repeat(32))).toEqual([
      { id: '1'.repeat(32), outcome: 'failed', reason: 'No plugin handles this queue.' },
    ])
    expect((await app.list()).deadLetters).toHaveLength(1)
  })

  // @threat dead-letter-lost
  it('keeps a message that its handler gives up, such as for an endpoint that is not configured', async () => {
    const app = appWith()
    const job = { version: 1, kind: 'webhook', endpoint: 'gone', id: 'evt_1', body: '{}' }
    await app.die([job, { version: 1 }], { queue: 'edge-presigner-jobs-dead' })
    const notified = (bucket: string, key: string) => ({
      ...{ account: 'a', bucket, action: 'PutObject', eventTime: '2026-11-24T12:00:00.000Z' },
      object: { key, size: 1, eTag: 'e' },
    })
    await app.die([notified('other', 'a.txt')], { queue: 'edge-presigner-notifications-dead' })
    const { deadLetters } = await app.list()
    const outcomes = await app.replay(...deadLetters.map(({ id }) => id))
    expect(outcomes).toEqual(
      expect.arrayContaining(
        ['the endpoint is no longer configured', 'the message is malformed', 'unknown bucket'].map(
          (reason) => expect.objectContaining({ outcome: 'failed', reason }),
        ),
      ),
    )
    expect((await app.list()).deadLetters).toHaveLength(3)
    // What the presigner doesn't record anyway is done.
    await app.die([notified('files', 'a.txt')], { queue: 'edge-presigner-notifications-dead' })
    const last = (await app.list()).deadLetters.find(({ replays }) => replays === 0)
    expect(await app.replay(last?.id ?? '')).toMatchObject([{ outcome: 'replayed' }])
  })

  it('keeps a message that dies again while it is replayed: it may be about a later change', async () => {
    const app = appWith(async (message) => {
      await app.die(['again'])
      message.ack()
    })
    await app.die(['again'])
    const [id = ''] = idsIn(await app.list())
    expect(await app.replay(id)).toEqual([{ id, outcome: 'replayed' }])
    expect((await app.list()).deadLetters).toMatchObject([{ id, arrivals: 2 }])
  })

  it('begins no replay for which there is too little time', async () => {
    vi.useFakeTimers({ now: Date.now(), toFake: ['Date'] })
    const app = appWith((message) => {
      vi.setSystemTime(Date.now() + 10_000)
      message.ack()
    })
    await app.die(Array.from({ length: 8 }, (_, i) => i))
    const ids = idsIn(await app.list())
    const results = await app.replay(...ids)
    const waiting = results.filter((one) => Reflect.get(Object(one), 'outcome') === 'waiting')
    expect(waiting.length).toBeGreaterThan(0)
    expect((await app.list()).deadLetters).toHaveLength(waiting.length)
  })

  it('takes up to 20 ids, and nothing else', async () => {
    const app = appWith()
    const bodies = [{}, { ids: [] }, { ids: ['x'] }, { ids: [1] }]
    for (const body of [...bodies, { ids: Array(21).fill('0'.repeat(32)) }, { all: true }])
      expect((await app.ask('POST', '/dead-letters/replay', body)).status).toBe(400)
  })
})
