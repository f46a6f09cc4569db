import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import type { FileEvent, FileRecord } from '../../../src/index.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { ANN } from '../../support/ann.ts'
import { jsonOf, settingsInput } from '../../support/app.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { testDatabase } from '../../support/d1.ts'
import { type MountOptions, mount } from '../../support/mount.ts'
import { failNextPurge } from '../../support/purge.ts'
import { type LapsingIndex, lapsingIndex, type Operation } from './lapsing-index.ts'

let number = 0
const keys = (): readonly [from: string, to: string] => {
  number += 1
  return [`moves/${number}/a.png`, `moves/${number}/b.png`]
}

const put = (key: string, body: string) =>
  bucketFetch(key, { method: 'PUT', body, headers: { 'Content-Type': 'image/png' } })
const contentOf = async (key: string) => {
  const response = await bucketFetch(key)
  const content = new TextDecoder().decode(await response.arrayBuffer())
  return response.status === 200 ? content : null
}

/** Replaces one request to the bucket. `die` never returns, as if the Worker had been killed. */
type Step = (
  send: () => Promise<Response>,
  signal: AbortSignal | null | undefined,
  die: () => Promise<never>,
) => Promise<Response>

const lost = () => new TypeError('Network connection lost.')

/** What happens to one request of a move. */
const FAULTS = {
  'is never sent': async () => {
    throw lost()
  },
  'has no response': async (send) => {
    await send()
    throw lost()
  },
  'is answered with 500': async () =>
    new Response('<Error><Code>InternalError</Code></Error>', { status: 500 }),
  'is done, and answered with 503': async (send) => {
    await send()
    return new Response('<Error><Code>SlowDown</Code></Error>', { status: 503 })
  },
  'is answered with 403': async () =>
    new Response('<Error><Code>AccessDenied</Code></Error>', { status: 403 }),
  'is answered with 200 and an error': async () =>
    new Response('<Error><Code>InternalError</Code></Error>', { status: 200 }),
  'takes too long': (_, signal) =>
    new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(lost()))
      queueMicrotask(() => vi.advanceTimersByTime(120_000))
    }),
  'is not sent, since the Worker is killed': (_send, _signal, die) => die(),
  'is done, and the Worker is killed': async (send, _, die) => {
    await send()
    return die()
  },
} satisfies Readonly<Record<string, Step>>

type Fault = keyof typeof FAULTS
const FAULT_NAMES = Object.keys(FAULTS) as Fault[]

/** Runs `act` with `step` instead of the request with this number or name. Returns what was requested. */
async function withStep(
  at: number | string,
  step: Step,
  act: () => Promise<unknown>,
): Promise<readonly string[]> {
  const requests: string[] = []
  const real = fetch
  const { promise: dead, resolve: end } = Promise.withResolvers<void>()
  const die = () => {
    end()
    return new Promise<never>(() => {})
  }
  vi.stubGlobal('fetch', (input: string, init: RequestInit = {}) => {
    const { pathname } = new URL(input)
    const copies = new Headers(init.headers).has('x-amz-copy-source')
    requests.push(`${copies ? 'COPY' : init.method} ${pathname.split('/').at(-1)}`)
    const send = () => real(input, init)
    const isThis = [requests.length - 1, requests.at(-1)].includes(at)
    return isThis ? step(send, init.signal, die) : send()
  })
  try {
    await Promise.race([act(), dead])
  } finally {
    vi.unstubAllGlobals()
  }
  return requests
}

const move = (app: ReturnType<typeof mount>, from: string, to: string, more: object = {}) =>
  app.post('/media/files/move', { from, to, ...more })

async function setUp(
  options: MountOptions = {},
  index: LapsingIndex = lapsingIndex(memoryFileIndex()),
) {
  const [from, to] = keys()
  const events: FileEvent[] = []
  const app = mount({
    files: { index },
    events: { onEvent: (event) => void events.push(structuredClone(event)) },
    ...options,
  })
  await put(from, 'pixels')
  await app.post('/media/files', { key: from })
  const recorded = async () => {
    const prefix = from.slice(0, -'a.png'.length)
    const { records } = await index.list({ bucket: 'files', prefix, limit: 1000 })
    return records.map(({ key }) => key)
  }
  /** Requires that nothing is lost, and that a repeat finishes the move, at once or after its lock. */
  const finish = async (isHeld: boolean): Promise<void> => {
    const [source, target] = [await contentOf(from), await contentOf(to)]
    expect([source, target]).toContain('pixels')
    // Only a move that has shown the copy deletes the source.
    if (source === null) expect(await recorded()).toContain(to)
    if (isHeld) {
      const busy = await move(app, from, to)
      expect(busy.status).toBe(503)
      expect(Number(busy.headers.get('Retry-After'))).toBeGreaterThan(0)
      await index.lapse()
    }
    expect(await jsonOf(await move(app, from, to))).toMatchObject({ key: to, size: 6 })
    expect([await contentOf(from), await contentOf(to)]).toEqual([null, 'pixels'])
    expect(await recorded()).toEqual([to])
    const types = events.map(({ type, file }) => `${type} ${file.key}`)
    expect(types).toContain(`moved ${to}`)
    expect(types).toContain(`deleted ${from}`)
  }
  return { app, from, to, events, recorded, index, finish }
}

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

/** The requests of a move without failures. */
const STEPS = [
  'HEAD a.png',
  'HEAD b.png',
  'COPY b.png',
  'HEAD b.png',
  'HEAD b.png',
  'HEAD b.png',
  'HEAD a.png',
  'HEAD b.png',
  'DELETE a.png',
  'HEAD a.png',
  'HEAD a.png',
]

it('looks at the source and the target before and after the copy', async () => {
  const { app, from, to } = await setUp()
  const requests = await withStep(
    -1,
    (send) => send(),
    () => move(app, from, to),
  )
  expect(requests).toEqual(STEPS)
})

// @threat move-loses
describe('a move of which a request', () => {
  const cases = FAULT_NAMES.flatMap((fault) =>
    STEPS.map((step, i) => [fault, i + 1, step] as const),
  )
  it.each(cases)(
    '%s (request %i, %s) loses nothing, and a repeat finishes it',
    async (fault, at, step) => {
      const { app, from, to, finish } = await setUp()
      const mayTakeEffect = fault !== 'is answered with 403' && /COPY|DELETE/.test(step)
      if (fault === 'takes too long') vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      await withStep(at - 1, FAULTS[fault], () => move(app, from, to))
      vi.useRealTimers()
      await finish(mayTakeEffect || fault.endsWith('killed'))
    },
  )
})

const INDEXES = { memory: memoryFileIndex, D1: () => d1FileIndex(testDatabase) }

// @threat move-loses
describe.each(['memory', 'D1'] as const)('a move with an index in %s', (name) => {
  it.each([
    ['get', 3],
    ['put', 1],
    ['remove', 1],
    ['lock', 1],
    ['note', 2],
    ['release', 1],
  ] as const)(
    'that is killed at each "%s", or for which it fails, loses nothing, and a repeat finishes it',
    async (operation, times) => {
      for (const isKilled of [true, false])
        for (let at = 1; ; at += 1) {
          let left = Number.POSITIVE_INFINITY
          const { promise: dead, resolve: end } = Promise.withResolvers<void>()
          const before = async (one: Operation) => {
            if (one !== operation || --left > 0) return
            left = Number.POSITIVE_INFINITY
            if (!isKilled) throw new Error('The index is down.')
            end()
            await new Promise(() => {})
          }
          const index = lapsingIndex(INDEXES[name](), before)
          const { app, from, to, finish } = await setUp({}, index)
          left = at
          await Promise.race([move(app, from, to), dead])
          if (left !== Number.POSITIVE_INFINITY) {
            expect(at).toBeGreaterThan(times)
            break
          }
          const isHeld = operation === 'release' || (isKilled && operation !== 'lock')
          await finish(isHeld)
        }
    },
  )
})

// @threat move-loses
describe('a move while', () => {
  it.each(STEPS.slice(0, 7).map((step, i) => [i + 1, step] as const))(
    'somebody replaces the source (at request %i, %s) keeps the new object',
    async (at) => {
      const { app, from, to } = await setUp()
      const replace: Step = async (send) => {
        await put(from, 'newer!')
        return send()
      }
      await withStep(at - 1, replace, () => move(app, from, to))
      expect([await contentOf(from), await contentOf(to)]).toContain('newer!')
    },
  )

  it.each([
    [3, 409],
    [4, 409],
    [5, 201],
  ])(
    'its repeat finishes it (at request %i) keeps a new object under the key of the source',
    async (at, status) => {
      const { app, from, to, recorded } = await setUp()
      await move(app, from, to)
      let response: Response | undefined
      const upload: Step = async (send) => {
        await put(from, 'newer!')
        return send()
      }
      await withStep(at - 1, upload, async () => {
        response = await move(app, from, to)
      })
      expect(response?.status).toBe(status)
      expect([await contentOf(from), await contentOf(to)]).toEqual(['newer!', 'pixels'])
      expect(await recorded()).toEqual([to])
    },
  )

  it.each([4, 5, 6, 7, 8])(
    'somebody replaces the copy (at request %i) keeps the source',
    async (at) => {
      const { app, from, to } = await setUp()
      const replace: Step = async (send) => {
        await put(to, 'other')
        return send()
      }
      const request = move.bind(null, app, from, to)
      let response: Response | undefined
      await withStep(at - 1, replace, async () => {
        response = await request()
      })
      expect(response?.status).toBeGreaterThanOrEqual(400)
      expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'other'])
    },
  )

  it.each([4, 5, 6, 7, 8])(
    'somebody deletes the copy (at request %i) keeps the source',
    async (at) => {
      const { app, from, to } = await setUp()
      const drop: Step = async (send) => {
        await bucketFetch(to, { method: 'DELETE' })
        return send()
      }
      await withStep(at - 1, drop, () => move(app, from, to))
      expect(await contentOf(from)).toBe('pixels')
    },
  )

  it.each([0, 1])(
    'the app does not accept event %i loses nothing, and is told again',
    async (at) => {
      const told: string[] = []
      let left = Number.POSITIVE_INFINITY
      const { app, from, to, recorded } = await setUp({
        events: {
          onEvent({ type, file }) {
            left -= 1
            if (left < 0) {
              left = Number.POSITIVE_INFINITY
              throw new Error('The app is down.')
            }
            told.push(`${type} ${file.key}`)
          },
        },
      })
      left = at
      expect((await move(app, from, to)).status).toBe(503)
      expect([await contentOf(from), await contentOf(to)]).toContain('pixels')
      expect((await move(app, from, to)).status).toBe(201)
      expect(told).toContain(`moved ${to}`)
      expect(told.at(-1)).toBe(`deleted ${from}`)
      expect(await recorded()).toEqual([to])
    },
  )
})

describe('a file keeps its owner and its name', () => {
  it.each(['copied in place', 'kept, and its object is back'])(
    'if it was %s before the move',
    async (how) => {
      const { app, from, to, index } = await setUp({ authenticate: () => ({ ...ANN, id: 'bob' }) })
      const key = parseObjectKey(from)
      const own = await index.get('files', key)
      if (own === null) throw new Error('There is no record.')
      const earlier = '2026-11-24T12:00:00.000Z'
      const record = { ...own, owner: 'ann', name: 'Holiday.png', createdAt: earlier }
      if (how === 'copied in place') await index.put(record)
      else await index.remove('files', key, { kept: { record, keptAt: earlier, expiresAt: null } })
      const copied = await app.post('/media/files/copy', { from, to: `${to}.copy` })
      expect(await jsonOf(copied)).toMatchObject({ owner: 'app:bob', name: 'Holiday.png' })
      const moved = await move(app, from, to)
      expect(await jsonOf(moved)).toMatchObject({ owner: 'ann', name: 'Holiday.png' })
      expect(await index.kept?.get('files', key)).toBeNull()
    },
  )
})

it('finishes a move only once, and announces it once', async () => {
  const { app, from, to, events } = await setUp()
  for (const _ of [1, 2, 3]) expect((await move(app, from, to)).status).toBe(201)
  const told = events.map(({ type, file }) => `${type} ${file.key}`)
  expect(told).toEqual([`recorded ${from}`, `moved ${to}`, `deleted ${from}`])
})

// @threat move-loses
it('sends no DELETE for a source that never was, whatever is under the target', async () => {
  const { app, from, to, events } = await setUp()
  await put(to, 'other')
  await app.post('/media/files', { key: to })
  events.length = 0
  const requests = await withStep(
    -1,
    (send) => send(),
    async () => {
      for (const target of [to, from])
        expect((await move(app, `${from}.missing`, target)).status).toBe(404)
    },
  )
  expect(requests.filter((request) => !/^(HEAD|GET)/.test(request))).toEqual([])
  expect(events).toEqual([])
})

// @threat move-loses
it.each(['', '<ETag>"0123456789abcdef0123456789abcdef"</ETag>'])(
  'keeps the source if the server only claims to copy: %s',
  async (etag) => {
    const { app, from, to } = await setUp()
    await put(to, 'older!')
    const claim: Step = async () => new Response(`<CopyObjectResult>${etag}</CopyObjectResult>`)
    let status = 0
    await withStep(2, claim, async () => {
      status = (await move(app, from, to, { overwrite: true })).status
    })
    expect(status).toBeGreaterThanOrEqual(400)
    expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'older!'])
  },
)

/** What may be under the target's key after CopyObject, with the size and the type of the source. */
const OTHERS: Readonly<Record<string, (to: string) => Step>> = {
  'the object that was there, whose ETag the server returns': (to) => async () => {
    const { headers } = await bucketFetch(to, { method: 'HEAD' })
    return new Response(`<CopyObjectResult><ETag>${headers.get('ETag')}</ETag></CopyObjectResult>`)
  },
  'a new object, and the server returns no ETag': (to) => async () => {
    await put(to, 'other!')
    return new Response('<CopyObjectResult/>')
  },
  'an object that has just replaced the copy': (to) => async (send) => {
    const response = await send()
    await put(to, 'other!')
    return response
  },
}

// @threat move-loses
it.each(Object.keys(OTHERS))('keeps the source if the target is %s', async (name) => {
  const { app, from, to } = await setUp()
  await put(to, 'older!')
  const other = OTHERS[name]?.(to) ?? ((send) => send())
  let status = 0
  await withStep(2, other, async () => {
    status = (await move(app, from, to, { overwrite: true })).status
  })
  expect(status).toBeGreaterThanOrEqual(400)
  expect(await contentOf(from)).toBe('pixels')
})

// @threat move-loses
describe('two files with the same bytes', () => {
  it.each(['recorded', 'not recorded'])(
    'stay, if one is moved onto the other (%s)',
    async (how) => {
      const { app, from, to } = await setUp()
      await put(to, 'pixels')
      if (how === 'recorded') await app.post('/media/files', { key: to, name: 'Other.png' })
      for (const _ of [1, 2])
        expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'object_exists' })
      expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'pixels'])
    },
  )

  it('stay, if they are moved onto each other at once', async () => {
    const { app, from, to } = await setUp()
    await put(to, 'pixels')
    await app.post('/media/files', { key: to, name: 'Other.png' })
    await Promise.all([move(app, from, to), move(app, to, from)])
    expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'pixels'])
  })
})

// @threat move-loses
describe('the keys of a move', () => {
  /** Starts a move whose first request waits for `go`. */
  async function held(options: MountOptions = {}) {
    const { app, from, to, index } = await setUp(options)
    const { promise: gate, resolve: go } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const real = fetch
    vi.stubGlobal('fetch', async (input: string, init?: RequestInit) => {
      begin()
      await gate
      return real(input, init)
    })
    const moving = move(app, from, to)
    await begun
    return { app, from, to, index, moving, go }
  }

  it.each(['from', 'to'] as const)('are busy for every other copy and move: %s', async (which) => {
    const { app, moving, go, ...keys } = await held()
    const [key, other] = [keys[which], `${keys.to}.other`]
    for (const kind of ['copy', 'move'])
      for (const body of [
        { from: key, to: other },
        { from: other, to: key, overwrite: true },
      ]) {
        const busy = await app.post(`/media/files/${kind}`, body)
        expect(await jsonOf(busy)).toMatchObject({ code: 'unavailable', reason: 'storage' })
        expect(busy.headers.get('Retry-After')).toBe('1')
      }
    go()
    expect((await moving).status).toBe(201)
    expect((await move(app, keys.to, keys.from)).status).toBe(201)
  })

  it('are those of the bucket, whatever its alias', async () => {
    const [bucket] = Object.values(settingsInput().buckets)
    if (bucket === undefined) throw new Error('There is no bucket.')
    const archive = { ...bucket, bucket: 'archive' }
    const buckets = { files: bucket, again: { ...bucket }, archive }
    const { app, from, to, moving, go } = await held({ settings: { buckets } })
    const copy = (more: object) =>
      app.post('/media/files/copy', { from: to, to: `${to}2`, ...more })
    expect(await jsonOf(await copy({ bucket: 'again' }))).toMatchObject({
      code: 'unavailable',
      reason: 'storage',
    })
    const onto = { from: `${to}3`, to: from, bucket: 'archive', toBucket: 'again' }
    expect(await jsonOf(await copy(onto))).toMatchObject({ code: 'unavailable', reason: 'storage' })
    go()
    expect((await moving).status).toBe(201)
    expect(await jsonOf(await copy({ bucket: 'archive' }))).toMatchObject({
      code: 'object_not_found',
    })
  })

  it('are busy for a DELETE, and those of a DELETE for a move', async () => {
    const { app, from, to, moving, go } = await held()
    const path = (key: string) => `/media/files/${encodeURIComponent(key)}`
    const drop = (key: string) => app.fetch(path(key), { method: 'DELETE' })
    for (const key of [from, to]) {
      const busy = await drop(key)
      expect(await jsonOf(busy)).toMatchObject({ code: 'unavailable', reason: 'storage' })
      expect(busy.headers.get('Retry-After')).toBe('1')
    }
    const many = await app.post('/media/files/delete', { keys: [from, to] })
    expect(await jsonOf(many)).toMatchObject({
      deleted: [{ error: { code: 'unavailable' } }, { error: { code: 'unavailable' } }],
    })
    go()
    expect((await moving).status).toBe(201)
    await put(from, 'newer!')
    let response: Response | undefined
    const meet: Step = async (send) => {
      response = await move(app, from, to, { overwrite: true })
      return send()
    }
    await withStep('DELETE b.png', meet, () => drop(to))
    expect(response?.status).toBe(503)
    expect([await contentOf(from), await contentOf(to)]).toEqual(['newer!', null])
    // The DELETE has ended, so its key is free.
    expect((await move(app, from, to)).status).toBe(201)
  })

  it('are free again if those of the other bucket could not be taken', async () => {
    const [bucket] = Object.values(settingsInput().buckets)
    if (bucket === undefined) throw new Error('There is no bucket.')
    const buckets = { files: bucket, archive: { ...bucket, bucket: 'archive' } }
    let locks = 0
    const before = async (operation: Operation) => {
      if (operation === 'lock' && ++locks === 2) throw new Error('The index is down.')
    }
    const index = lapsingIndex(memoryFileIndex(), before)
    const { app, from, to } = await setUp({ settings: { buckets } }, index)
    expect((await move(app, from, to, { toBucket: 'archive' })).status).toBe(500)
    expect((await move(app, from, to)).status).toBe(201)
  })

  it('are busy for others only as long as the move sends requests, and twice as long after that', async () => {
    const memory = memoryFileIndex()
    const leases: number[] = []
    const lock: typeof memory.lock = (bucket, names, seconds) => {
      leases.push(seconds)
      return memory.lock?.(bucket, names, seconds) ?? Promise.reject(new Error('No locks.'))
    }
    for (const [seconds, status] of [
      [139, 201],
      [141, 503],
    ] as const) {
      const { app, from, to, finish } = await setUp({}, lapsingIndex({ ...memory, lock }))
      vi.useFakeTimers({ toFake: ['Date'] })
      const wait: Step = (send) => {
        vi.setSystemTime(Date.now() + seconds * 1000)
        return send()
      }
      let response: Response | undefined
      // At the last request before the DELETE.
      await withStep(7, wait, async () => {
        response = await move(app, from, to)
      })
      expect(response?.status).toBe(status)
      expect(await contentOf(from)).toBe(status === 201 ? null : 'pixels')
      await finish(false)
      vi.useRealTimers()
    }
    for (const lease of leases) expect(lease).toBeGreaterThan(2 * 140)
  })
})

// @threat move-loses
it.each(
  [500, 502, 503, 504, 520, 522, 524].flatMap((status) => [
    [status, 'COPY b.png'] as const,
    [status, 'DELETE a.png'] as const,
  ]),
)('keeps its keys after a %d for its %s, which a proxy may have sent', async (status, request) => {
  const { app, from, to, finish } = await setUp()
  const answer: Step = async () => new Response('', { status })
  await withStep(request, answer, () => move(app, from, to))
  await finish(true)
})

// @threat move-loses
it.each([2, 3])(
  'ends at the note of its request %i if somebody else has its keys by then',
  async (at) => {
    const { app, from, to, index } = await setUp()
    const take: Step = async (send) => {
      await index.lapse()
      const other = await index.lock?.(`${inject('s3Endpoint')}/files/`, [from, to], 300)
      expect(other?.held.size).toBe(2)
      return send()
    }
    let response: Response | undefined
    const requests = await withStep(at - 1, take, async () => {
      response = await move(app, from, to)
    })
    expect(response?.status).toBe(503)
    expect(requests.slice(at)).toEqual(at === 2 ? [] : ['HEAD b.png'])
    expect(await contentOf(from)).toBe('pixels')
  },
)

// @threat move-loses
it('is not finished by the journal of an earlier file under the key of the source', async () => {
  const { app, from, to } = await setUp()
  expect((await move(app, from, to)).status).toBe(201)
  await put(from, 'newer!')
  expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'object_exists' })
  const copied = await app.post('/media/files/copy', { from, to: `${to}2` })
  expect(copied.status).toBe(201)
  expect(await jsonOf(await move(app, from, `${to}2`))).toMatchObject({ code: 'object_exists' })
  expect([await contentOf(from), await contentOf(to)]).toEqual(['newer!', 'pixels'])
})

// @threat move-loses
it.each([
  ['deleted its source, and it is recorded', 'DELETE a.png', true],
  ['deleted its source', 'DELETE a.png', false],
  ['recorded its copy', 4, false],
] as const)(
  'is not finished by what has replaced its copy before it has %s',
  async (_, at, isRecorded) => {
    const { app, from, to, index } = await setUp()
    await withStep(at, FAULTS['is answered with 500'], () => move(app, from, to))
    await index.lapse()
    await put(to, 'other!')
    if (isRecorded) await app.post('/media/files', { key: to })
    expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'object_exists' })
    expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'other!'])
  },
)

// @threat copy-undeleted
it('purges a replaced target also in the repeat', async () => {
  const { app, from, to, index } = await setUp()
  await put(to, 'older!')
  const overwrite = { overwrite: true }
  await withStep('DELETE a.png', FAULTS['is never sent'], () => move(app, from, to, overwrite))
  await index.lapse()
  const purge = failNextPurge(new Error('never'))
  purge.mockReset().mockResolvedValue(null)
  expect((await move(app, from, to, overwrite)).status).toBe(201)
  expect(purge.mock.calls.flatMap(([, names]) => names).toSorted()).toEqual([from, to])
})

// @threat move-loses
it('is not finished by the journal of a move from the same key of another bucket', async () => {
  const [bucket] = Object.values(settingsInput().buckets)
  if (bucket === undefined) throw new Error('There is no bucket.')
  const buckets = { files: bucket, archive: { ...bucket, bucket: 'archive' } }
  const links = { entrypoint: null } // `Objects` of these tests has no such bucket.
  const { app, from, to } = await setUp({ settings: { buckets }, links })
  await bucketFetch(from, { method: 'PUT', body: 'pixels' }, 'archive')
  await bucketFetch(from, { method: 'DELETE' })
  const other = { bucket: 'archive', toBucket: 'files' }
  expect(await jsonOf(await move(app, from, to, other))).toMatchObject({ key: to })
  expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'object_not_found' })
  expect(await jsonOf(await move(app, from, to, other))).toMatchObject({ key: to })
})

// @threat move-loses
it('is not finished by its journal if an equal file has replaced the source within its second', async () => {
  const { app, from, to, index } = await setUp()
  const other = `${from}.other`
  await put(other, 'pixels')
  // Every date is the same, and so is every ETag.
  const real = fetch
  vi.stubGlobal('fetch', async (input: string, init?: RequestInit) => {
    const response = await real(input, init)
    if (init?.method !== 'HEAD' || response.status !== 200) return response
    const headers = new Headers(response.headers)
    headers.set('Last-Modified', 'Tue, 01 Dec 2026 12:00:00 GMT')
    return new Response(null, { headers })
  })
  const dated = fetch
  let isLost = false
  vi.stubGlobal('fetch', async (input: string, init?: RequestInit) => {
    if (init?.method !== 'DELETE' || isLost) return dated(input, init)
    isLost = true
    return new Response('<Error><Code>InternalError</Code></Error>', { status: 500 })
  })
  expect((await move(app, from, to)).status).toBe(502)
  await index.lapse()
  expect((await move(app, other, from, { overwrite: true })).status).toBe(201)
  expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'object_exists' })
  vi.unstubAllGlobals()
  expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'pixels'])
})

// @threat move-loses
it('deletes only the object that was copied, where the bucket compares ETags', async () => {
  const [bucket] = Object.values(settingsInput().buckets)
  if (bucket === undefined) throw new Error('There is no bucket.')
  const buckets = { files: { ...bucket, conditionalDelete: true } }
  const { app, from, to } = await setUp({ settings: { buckets } })
  const etag = (await bucketFetch(from, { method: 'HEAD' })).headers.get('ETag')
  const conditions: (string | null)[] = []
  const real = fetch
  vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
    if (init.method !== 'DELETE') return real(input, init)
    conditions.push(new Headers(init.headers).get('If-Match'))
    vi.unstubAllGlobals()
    await put(from, 'newer!')
    return new Response('<Error><Code>PreconditionFailed</Code></Error>', { status: 412 })
  })
  expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'file_replaced' })
  expect(conditions).toEqual([etag])
  expect([await contentOf(from), await contentOf(to)]).toEqual(['newer!', 'pixels'])
})

// @threat move-loses
describe('an object under the target of a move that got no answer', () => {
  const copies: Readonly<Record<string, Step>> = {
    'was not sent': FAULTS['is never sent'],
    'was done': FAULTS['has no response'],
  }

  it.each(Object.keys(copies))('stays if somebody has recorded it (the copy %s)', async (name) => {
    const { app, from, to, index } = await setUp()
    await withStep(2, copies[name] ?? FAULTS['is never sent'], () => move(app, from, to))
    await put(to, 'pixels')
    await app.post('/media/files', { key: to, name: 'Other.png' })
    await index.lapse()
    expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'object_exists' })
    expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'pixels'])
  })

  it.each([
    ['another size', 'other bytes', 'image/png'],
    ['another type', 'pixels', 'image/gif'],
  ])('stays if it has %s', async (_, body, type) => {
    const { app, from, to, index } = await setUp()
    await withStep(2, FAULTS['is never sent'], () => move(app, from, to))
    await bucketFetch(to, { method: 'PUT', body, headers: { 'Content-Type': type } })
    await index.lapse()
    expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'object_exists' })
    expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', body])
  })

  const IN_PLACE = 'copied in place since'
  it.each([IN_PLACE, 'gone, and back', 'recorded under another alias'])(
    'stays if it is the file of somebody else: %s',
    async (what) => {
      const [bucket] = Object.values(settingsInput().buckets)
      if (bucket === undefined) throw new Error('There is no bucket.')
      const settings = { buckets: { files: bucket, again: bucket } }
      const { app, from, to, index } = await setUp({ settings })
      await withStep(2, FAULTS['is never sent'], () => move(app, from, to))
      await put(to, 'theirs')
      const alias = what.endsWith('alias') ? 'again' : 'files'
      const theirs = { key: to, name: 'Theirs.png', bucket: alias }
      const record = await jsonOf<FileRecord>(await app.post('/media/files', theirs))
      const earlier = { ...record, createdAt: '2026-11-24T12:00:00.000Z' }
      const keptAt = earlier.createdAt
      if (what === IN_PLACE) await index.put(earlier)
      if (what.startsWith('gone'))
        await index.remove('files', record.key, { kept: { record, keptAt, expiresAt: null } })
      await index.lapse()
      expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'object_exists' })
      expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'theirs'])
    },
  )

  it('stays if it was there before the move, which could replace it', async () => {
    const { app, from, to, index } = await setUp()
    await put(to, 'pixels')
    await withStep(2, FAULTS['is never sent'], () => move(app, from, to, { overwrite: true }))
    await index.lapse()
    expect(await jsonOf(await move(app, from, to))).toMatchObject({ code: 'object_exists' })
    expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'pixels'])
  })
})

// @threat move-loses
it.each(FAULT_NAMES)(
  'is finished by whoever may move the file, also if its ETag is no MD5: its DELETE %s',
  async (fault) => {
    const [from, to] = keys()
    const etagOf = async (key: string) =>
      (await bucketFetch(key, { method: 'HEAD' })).headers.get('ETag')
    // The copy is without this mark, so the server gives it the ETag of a new object.
    const headers = { 'x-amz-meta-edge-presigner-upload': 'mark', 'Content-Type': 'image/png' }
    const begun = await (await bucketFetch(`${from}?uploads=`, { method: 'POST', headers })).text()
    const id = /<UploadId>(.*)<\/UploadId>/.exec(begun)?.[1]
    const part = await bucketFetch(`${from}?partNumber=1&uploadId=${id}`, {
      method: 'PUT',
      body: 'pixels',
    })
    const xml = `<Part><PartNumber>1</PartNumber><ETag>${part.headers.get('ETag')}</ETag></Part>`
    const body = `<CompleteMultipartUpload>${xml}</CompleteMultipartUpload>`
    await (await bucketFetch(`${from}?uploadId=${id}`, { method: 'POST', body })).text()
    expect(await etagOf(from)).toMatch(/-1"$/)

    const index = lapsingIndex(memoryFileIndex())
    const app = mount({ files: { index } })
    await app.post('/media/files', { key: from })
    if (fault === 'takes too long') vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    await withStep('DELETE a.png', FAULTS[fault], () => move(app, from, to))
    vi.useRealTimers()
    expect(await etagOf(to)).toMatch(/^"[0-9a-f]{32}"$/)
    await index.lapse()
    const bob = mount({ files: { index }, authenticate: () => ({ ...ANN, id: 'bob' }) })
    expect(await jsonOf(await move(bob, from, to))).toMatchObject({ key: to, owner: 'app:ann' })
    expect([await etagOf(from), await etagOf(to)]).toEqual([null, expect.any(String)])
  },
)

// @threat move-same-object
it.each([
  [false, 'image/png', 'object_exists'],
  [true, 'image/png', 'object_exists'],
  [true, 'image/gif', 'storage_error'],
])(
  'keeps the object of a server that takes two keys for one (overwrite: %s, then %s)',
  async (overwrite, type, code) => {
    const deleted: string[] = []
    let isCopied = false
    vi.stubGlobal('fetch', async (input: string, { method, headers }: RequestInit = {}) => {
      const etag = '"0123456789abcdef0123456789abcdef"'
      if (method === 'DELETE') deleted.push(input)
      if (new Headers(headers).has('x-amz-copy-source')) {
        isCopied = true
        return new Response(`<CopyObjectResult><ETag>${etag}</ETag></CopyObjectResult>`)
      }
      const date = 'Tue, 24 Nov 2026 12:00:00 GMT'
      const length = { 'Content-Length': '6', 'Content-Type': isCopied ? type : 'image/png' }
      return new Response(null, { headers: { ...length, ETag: etag, 'Last-Modified': date } })
    })
    const [from] = keys()
    const moved = await move(mount(), from, from.replace('/a.png', '//A.png'), { overwrite })
    expect(await jsonOf(moved)).toMatchObject({ code })
    expect(deleted).toEqual([])
  },
)
