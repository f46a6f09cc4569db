import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FileEvent } from '../../../src/index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import { jsonOf } from '../../support/app.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { type MountOptions, mount } from '../../support/mount.ts'

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

type Step = (send: () => Promise<Response>) => Promise<Response>

const lost = () => new TypeError('Network connection lost.')

/** What happens to one request of a move. */
const FAULTS: Readonly<Record<string, Step>> = {
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
}

/** Runs `act` with `step` in place of the request with this number. Returns what was requested. */
async function withStep(
  at: number,
  step: Step,
  act: () => Promise<unknown>,
): Promise<readonly string[]> {
  const requests: string[] = []
  const real = fetch
  vi.stubGlobal('fetch', (input: string, init: RequestInit = {}) => {
    const { pathname } = new URL(input)
    const copies = new Headers(init.headers).has('x-amz-copy-source')
    requests.push(`${copies ? 'COPY' : init.method} ${pathname.split('/').at(-1)}`)
    const send = () => real(input, init)
    return requests.length - 1 === at ? step(send) : send()
  })
  try {
    await act()
  } finally {
    vi.unstubAllGlobals()
  }
  return requests
}

const move = (app: ReturnType<typeof mount>, from: string, to: string, more: object = {}) =>
  app.post('/media/files/move', { from, to, ...more })

async function setUp(options: MountOptions = {}, index: FileIndex = memoryFileIndex()) {
  const [from, to] = keys()
  const events: FileEvent[] = []
  const app = mount({
    files: { index },
    events: { onEvent: (event) => void events.push(structuredClone(event)) },
    ...options,
  })
  await put(from, 'pixels')
  await app.post('/media/files', { key: from })
  const recorded = async () =>
    (await index.list({ bucket: 'files', prefix: '', limit: 1000 })).records.map(({ key }) => key)
  return { app, from, to, events, recorded }
}

afterEach(() => vi.unstubAllGlobals())

/** The requests of a move without failures. */
const STEPS = [
  'HEAD a.png',
  'HEAD b.png',
  'COPY b.png',
  'HEAD b.png',
  'HEAD b.png',
  'HEAD b.png',
  'HEAD a.png',
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
  it.each(
    Object.keys(FAULTS).flatMap((fault) => STEPS.map((step, i) => [fault, i + 1, step] as const)),
  )('%s (request %i, %s) loses nothing, and a repeat finishes it', async (fault, at, step) => {
    const { app, from, to, events, recorded } = await setUp()
    await withStep(at - 1, FAULTS[fault] ?? ((send) => send()), () => move(app, from, to))
    const [source, target] = [await contentOf(from), await contentOf(to)]
    expect([source, target]).toContain('pixels')
    // Only a move that has shown the copy deletes the source.
    if (source === null) expect(await recorded()).toContain(to)
    const again = await move(app, from, to)
    const body = await jsonOf(again)
    expect(body, step).toMatchObject({ key: to, size: 6 })
    expect([await contentOf(from), await contentOf(to)]).toEqual([null, 'pixels'])
    expect(await recorded()).toEqual([to])
    const types = events.map(({ type, file }) => `${type} ${file.key}`)
    expect(types).toContain(`moved ${to}`)
    expect(types).toContain(`deleted ${from}`)
  })
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

  it.each([3, 4, 5])(
    'its repeat finishes it (at request %i) keeps a new object under the key of the source',
    async (at) => {
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
      expect(response?.status).toBe(409)
      expect([await contentOf(from), await contentOf(to)]).toEqual(['newer!', 'pixels'])
      expect(await recorded()).toEqual([to])
    },
  )

  it.each([4, 5, 6])('somebody replaces the copy (at request %i) keeps the source', async (at) => {
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
  })

  it.each([4, 5, 6])('somebody deletes the copy (at request %i) keeps the source', async (at) => {
    const { app, from, to } = await setUp()
    const drop: Step = async (send) => {
      await bucketFetch(to, { method: 'DELETE' })
      return send()
    }
    await withStep(at - 1, drop, () => move(app, from, to))
    expect(await contentOf(from)).toBe('pixels')
  })

  it.each(['get', 'put', 'remove'] as const)(
    'the index fails at each %s loses nothing',
    async (name) => {
      for (let at = 0; at < 4; at += 1) {
        const index = memoryFileIndex()
        let left = Number.POSITIVE_INFINITY
        const failing = new Proxy(index, {
          get(target, member) {
            const method = Reflect.get(target, member)
            if (member !== name) return method
            return async (...given: never[]) => {
              left -= 1
              if (left < 0) {
                left = Number.POSITIVE_INFINITY
                throw new Error('The index is down.')
              }
              return Reflect.apply(method, target, given)
            }
          },
        })
        const { app, from, to, recorded } = await setUp({}, failing)
        left = at
        await move(app, from, to)
        expect([await contentOf(from), await contentOf(to)]).toContain('pixels')
        left = Number.POSITIVE_INFINITY
        expect(await jsonOf(await move(app, from, to))).toMatchObject({ key: to })
        expect([await contentOf(from), await contentOf(to)]).toEqual([null, 'pixels'])
        expect(await recorded()).toEqual([to])
      }
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

it('announces no move of a source that never was there', async () => {
  const { app, from, to, events } = await setUp()
  expect((await move(app, `${from}.missing`, from)).status).toBe(201)
  expect((await move(app, from, to)).status).toBe(201)
  expect((await move(app, from, to)).status).toBe(201)
  const told = events.map(({ type, file }) => `${type} ${file.key}`)
  expect(told).toEqual([`recorded ${from}`, `moved ${to}`, `deleted ${from}`])
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

it('announces that the target is gone if that happens while the move is sent again', async () => {
  const { app, from, to, events, recorded } = await setUp()
  expect((await move(app, from, to)).status).toBe(201)
  events.length = 0
  const deleted: Step = async (send) => {
    await bucketFetch(to, { method: 'DELETE' })
    return send()
  }
  // At the second look at the target. The first look at the source is two requests.
  await withStep(3, deleted, () => move(app, from, to))
  expect(events).toMatchObject([{ type: 'deleted', file: { key: to } }])
  expect(await recorded()).toEqual([])
})

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
it('keeps a file whose bytes an older file under the target has too', async () => {
  const { app, from, to } = await setUp()
  await put(to, 'pixels')
  const real = fetch
  vi.stubGlobal('fetch', async (input: string, init?: RequestInit) => {
    const response = await real(input, init)
    const headers = new Headers(response.headers)
    if (input.includes(to)) headers.set('Last-Modified', 'Tue, 24 Nov 2026 12:00:00 GMT')
    return new Response(response.body, { status: response.status, headers })
  })
  await app.post('/media/files', { key: to })
  const moved = await move(app, from, to)
  vi.unstubAllGlobals()
  expect(await jsonOf(moved)).toMatchObject({ code: 'object_exists' })
  expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'pixels'])
})

// @threat move-same-object
it.each([false, true])(
  'keeps the object of a server that takes two keys for one (overwrite: %s)',
  async (overwrite) => {
    const deleted: string[] = []
    vi.stubGlobal('fetch', async (input: string, { method, headers }: RequestInit = {}) => {
      const etag = '"0123456789abcdef0123456789abcdef"'
      if (method === 'DELETE') deleted.push(input)
      if (new Headers(headers).has('x-amz-copy-source'))
        return new Response(`<CopyObjectResult><ETag>${etag}</ETag></CopyObjectResult>`)
      const date = 'Tue, 24 Nov 2026 12:00:00 GMT'
      const length = { 'Content-Length': '6', 'Content-Type': 'image/png' }
      return new Response(null, { headers: { ...length, ETag: etag, 'Last-Modified': date } })
    })
    const [from] = keys()
    const moved = await move(mount(), from, from.replace('/a.png', '//A.png'), { overwrite })
    expect(await jsonOf(moved)).toMatchObject({ code: 'object_exists' })
    expect(deleted).toEqual([])
  },
)
