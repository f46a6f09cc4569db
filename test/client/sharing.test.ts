import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createServerClient, type ServerClient } from '../../client/src/server.ts'

/** Retries take less than this. */
const LONG = 100_000
const ID = '0123456789abcdef0123456789abcdef'
const GRANT = {
  ...{ id: ID, url: 'https://files.example.com/g/s', bucket: 'files', key: 'a/b.pdf' },
  ...{
    name: 'b.pdf',
    size: 5,
    label: null,
    uses: 1,
    usesLeft: 1,
    hasPassword: false,
    wrongPasswords: 0,
  },
  ...{ direct: false, download: null, restrictions: { countries: ['DE'] }, lastUsedAt: null },
  ...{ deadline: '2026-12-01T00:00:00.000Z', createdAt: '2026-11-25T12:00:00.000Z' },
}
const DROP_BOX = {
  ...{ id: ID, url: 'https://files.example.com/d/s', bucket: 'files', prefix: 'in/' },
  ...{ title: 'Papers', message: null, from: 'Example GmbH', allowedTypes: ['image/*'] },
  ...{ maxFiles: 5, maxBytes: 100, maxTotalBytes: 500, hasPassword: true, wrongPasswords: 0 },
  ...{ deadline: '2026-12-01T00:00:00.000Z', createdAt: '2026-11-25T12:00:00.000Z' },
  received: { files: 1, bytes: 5 },
}
const RECEIVED = {
  ...{ key: 'in/a', bucket: 'files', name: 'a', size: 5, mimetype: 'text/plain', country: 'DE' },
  ...{ receivedAt: '2026-11-25T12:00:00.000Z', sender: { name: 'Ada', note: '' } },
}
const GRANT_OPTIONS = { deadline: GRANT.deadline, uses: 1 }
const BOX_OPTIONS = {
  ...{ from: 'Example GmbH', title: 'Papers', deadline: DROP_BOX.deadline },
  ...{ maxFiles: 5, maxBytes: 100, maxTotalBytes: 500 },
}

interface Call {
  readonly what: string
  readonly body: unknown
}

let calls: Call[] = []
/** The response to all requests. A function gets the request's path. */
let answer: (path: string) => Response | Error

async function respond(url: string, { method, body }: RequestInit): Promise<Response> {
  const { pathname, search } = new URL(url)
  const parsed = typeof body === 'string' ? JSON.parse(body) : undefined
  calls.push({ what: `${method} ${pathname}${search}`, body: parsed })
  const result = answer(pathname + search)
  if (result instanceof Error) throw result
  return result
}

const refusal = (status: number, code: string): Response =>
  Response.json({ code, message: 'No.', requestId: 'r1' }, { status })
const nothing = (): Response => new Response(null, { status: 204 })

const baseUrl = 'https://files.example.com'
const server = createServerClient({ baseUrl, apiKey: 'ep_a', bucket: 'files', fetch: respond })

beforeEach(() => {
  calls = []
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** Runs all timers until `promise` settles. Resolves with its error. */
async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  const settled = promise.then(
    () => new Error('It succeeded.'),
    (error: unknown) => error,
  )
  await vi.advanceTimersByTimeAsync(LONG)
  return settled
}

/** The calls that are the same in both clients, with their requests and their responses. */
const SAME: [string, (client: ServerClient) => Promise<unknown>, Call, object?][] = [
  [
    'createGrant',
    (client) => client.createGrant('a/b.pdf', GRANT_OPTIONS),
    { what: 'POST /grants', body: { key: 'a/b.pdf', bucket: 'files', ...GRANT_OPTIONS } },
    GRANT,
  ],
  [
    'getGrant',
    (client) => client.getGrant(ID),
    { what: `GET /grants/${ID}`, body: undefined },
    GRANT,
  ],
  [
    'updateGrant',
    (client) => client.updateGrant(ID, { uses: null, label: 'x' }),
    { what: `PATCH /grants/${ID}`, body: { uses: null, label: 'x' } },
    GRANT,
  ],
  [
    'withdrawGrant',
    (client) => client.withdrawGrant(ID),
    { what: `DELETE /grants/${ID}`, body: undefined },
  ],
  [
    'createDropBox',
    (client) => client.createDropBox('in/', BOX_OPTIONS),
    { what: 'POST /drop-boxes', body: { prefix: 'in/', bucket: 'files', ...BOX_OPTIONS } },
    DROP_BOX,
  ],
  [
    'getDropBox',
    (client) => client.getDropBox(ID),
    { what: `GET /drop-boxes/${ID}`, body: undefined },
    DROP_BOX,
  ],
  [
    'closeDropBox',
    (client) => client.closeDropBox(ID),
    { what: `DELETE /drop-boxes/${ID}`, body: undefined },
  ],
]
const CREATE = SAME.filter(([name]) => name.startsWith('create'))
const REPEATED = SAME.filter(([name]) => !name.startsWith('create'))

describe('the server client', () => {
  it.each(SAME)('sends %s, and returns the response', async (_, send, call, response) => {
    answer = () => (response ? Response.json({ ...response, newer: 1 }) : nothing())
    expect(await send(server)).toEqual(response && { ...response, newer: 1 })
    expect(calls).toEqual([call])
  })

  it.each(
    SAME.flatMap(([name, send, , response = {}]) =>
      Object.keys(response).map((member) => [name, member, send, response] as const),
    ),
  )('refuses a response to %s without %s', async (_, member, send, response) => {
    answer = () => Response.json({ ...response, [member]: undefined })
    expect(await errorOf(send(server))).toMatchObject({ code: 'bad_answer', status: 200 })
  })

  it('ends with the reason of the signal', async () => {
    answer = () => new TypeError('fetch failed')
    const signal = AbortSignal.abort(new Error('enough'))
    const options = { ...GRANT_OPTIONS, signal }
    await expect(server.createGrant('a', options)).rejects.toThrow('enough')
    await expect(server.withdrawGrant(ID, { signal })).rejects.toThrow('enough')
  })

  it.each(CREATE)('never repeats %s when its response may be lost', async (_, send) => {
    for (const lost of [
      () => new TypeError('fetch failed'),
      () => refusal(500, 'internal'),
      () => refusal(502, 'storage_error'),
      () => refusal(503, 'state_unavailable'),
    ]) {
      calls = []
      answer = lost
      expect(await errorOf(send(server))).toMatchObject({ retryable: true })
      expect(calls).toHaveLength(1)
    }
  })

  it.each(CREATE)(
    'repeats %s when the Worker refused it before it did anything',
    async (_, send) => {
      for (const code of ['rate_limited', 'storage_busy']) {
        calls = []
        answer = () => refusal(code === 'rate_limited' ? 429 : 503, code)
        expect(await errorOf(send(server))).toMatchObject({ code })
        expect(calls).toHaveLength(7)
      }
    },
  )

  it.each(REPEATED)('repeats %s after a temporary error', async (_, send) => {
    for (const lost of [() => new TypeError('lost'), () => refusal(503, 'state_unavailable')]) {
      calls = []
      answer = lost
      expect(await errorOf(send(server))).toMatchObject({ retryable: true })
      expect(calls).toHaveLength(7)
    }
  })

  it('does not blame baseUrl if a grant or a drop box does not exist', async () => {
    answer = () => refusal(404, 'not_found')
    expect(await errorOf(server.getGrant(ID))).toMatchObject({ message: 'No.' })
    expect(await errorOf(server.listReceived(ID).next())).toMatchObject({ message: 'No.' })
    // An older Worker has no such route.
    expect(await errorOf(server.createGrant('a', GRANT_OPTIONS))).toMatchObject({
      message: `No. Check baseUrl: ${baseUrl}.`,
    })
  })

  it.each([
    ['/grants', 'grants', GRANT, () => server.listGrants({ pageSize: 2 })],
    ['/drop-boxes', 'dropBoxes', DROP_BOX, () => server.listDropBoxes({ pageSize: 2 })],
    [`/drop-boxes/${ID}/files`, 'files', RECEIVED, () => server.listReceived(ID, { pageSize: 2 })],
  ] as const)('lists %s page by page, when the loop needs it', async (path, name, item, list) => {
    answer = (asked) =>
      asked.includes('cursor')
        ? Response.json({ [name]: [item] })
        : Response.json({ [name]: [item, item], cursor: 'next' })
    const found: unknown[] = []
    for await (const each of list()) {
      found.push(each)
      if (found.length === 2) expect(calls).toHaveLength(1)
    }
    expect(found).toEqual([item, item, item])
    expect(calls.map(({ what }) => what)).toEqual([
      `GET ${path}?limit=2`,
      `GET ${path}?limit=2&cursor=next`,
    ])
  })
})
