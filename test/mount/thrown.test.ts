import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { describe, expect, it, vi } from 'vitest'
import { ApiError } from '../../src/errors/api-error.ts'
import {
  createPresigner,
  defineSettings,
  type FileIndex,
  type SettingsFor,
} from '../../src/index.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { jsonOf, settingsInput, upload } from '../support/app.ts'
import { putChosen } from '../support/links.ts'
import { clientOf, type Mounted, type MountOptions, mount } from '../support/mount.ts'

const file = { fileName: 'a.txt', mimetype: 'text/plain' }

/** A host app whose `onError` must not be called. */
function watchedHost() {
  const onError = vi.fn(() => new Response('host error', { status: 500 }))
  return { host: new Hono().onError(onError), onError }
}

class Canary extends Error {
  override name = 'Canary'
}
const fail = (): never => {
  throw new Canary('secret=hunter2 at https://user:pass@db.example/')
}

/** An error that is its own cause. */
function endless(): Error {
  const error = new Error('endless')
  error.cause = error
  return error
}

/** Throws whenever somebody looks at it. */
const untouchable = new Proxy(new Error('x'), {
  get: fail,
  has: fail,
  getPrototypeOf: fail,
})

/** What JavaScript can throw, and what the log then has. */
const THROWN: readonly (readonly [string, unknown, RegExp])[] = [
  ['a string', 'canary text', /canary text/],
  ['undefined', undefined, /undefined/],
  ['a symbol', Symbol('canary'), /Symbol\(canary\)/],
  [
    'an object with a message',
    { status: 400, message: 'canary of a driver' },
    /canary of a driver/,
  ],
  ['an object without a text', Object.create(null), /no text/],
  ['an error that is its own cause', endless(), /endless/],
  ['an error whose members are no strings', Object.assign(new Error(), { stack: 7, name: 8 }), /7/],
  ['an object that throws when it is read', untouchable, /no text/],
]

const refusalOf = async (response: Response) => {
  const { code, message, reason } = await jsonOf<Record<string, string>>(response)
  return { status: response.status, code, message, ...(reason && { reason }) }
}

describe('what a function of the app throws', () => {
  // @threat app-error-shown
  it.each(THROWN)('may be %s', async (_, thrown, reason) => {
    const thrower = (): never => {
      throw thrown
    }
    const list = thrower as unknown as FileIndex['list']
    const asks: readonly (readonly [MountOptions, (app: Mounted) => Promise<Response>])[] = [
      [{ authenticate: thrower }, (app) => app.fetch('/media/files')],
      [{ beforeUpload: thrower }, (app) => app.post('/media/files/upload-url', file)],
      [{ beforeDelete: thrower }, (app) => app.post('/media/files/delete', { keys: ['none'] })],
      [{ beforeDownload: thrower }, (app) => app.post('/media/files/urls', { keys: ['none'] })],
      [
        { files: { index: () => ({ ...memoryFileIndex(), list }) } },
        (app) => app.fetch('/media/files'),
      ],
    ]
    for (const [options, ask] of asks) {
      const { host, onError } = watchedHost()
      const app = mount({ ...options, host })
      const refusal = await refusalOf(await ask(app))
      expect(refusal).toMatchObject({ status: 500, code: 'internal' })
      expect(refusal.message).not.toContain('canary')
      expect(onError).not.toHaveBeenCalled()
      expect(app.lines).toEqual([
        expect.objectContaining({ status: 500, reason: expect.stringMatching(reason) }),
      ])
    }
  })

  it.each(THROWN)('for an event may be %s', async (_, thrown, reason) => {
    const { host, onError } = watchedHost()
    const onEvent = () => Promise.reject(thrown)
    const app = mount({ host, events: { onEvent } })
    const key = await upload(app, '/media')
    expect(await refusalOf(await app.post('/media/files', { key }))).toMatchObject({
      code: 'unavailable',
      reason: 'events',
    })
    expect(onError).not.toHaveBeenCalled()
    // Without a cause, only the message shows that something was thrown.
    if (thrown === undefined) return
    const shown = /7/.test(String(reason)) ? /8: / : reason
    expect(app.lines.at(-1)?.reason).toMatch(shown)
  })
})

describe('what the log function throws', () => {
  it.each(THROWN)('may be %s', async (_, thrown, reason) => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {})
    const { host, onError } = watchedHost()
    const log = () => {
      throw thrown
    }
    expect((await mount({ host, log }).fetch('/media/healthz')).status).toBe(200)
    expect(onError).not.toHaveBeenCalled()
    const shown = /7/.test(String(reason)) ? /8: / : reason
    expect(errors.mock.calls).toEqual([[expect.stringMatching(shown)]])
    errors.mockRestore()
  })
})

describe('an option or a settings function that fails', () => {
  /** A presigner with one of these functions, by the path of its issue. */
  const FAILING: Readonly<Record<string, (thrower: () => never) => MountOptions>> = {
    'files.index': (index) => ({ files: { index } }),
    'events.queue': (queue) => ({ events: { queue } }),
    'events.webhooks': (webhooks) => ({ events: { webhooks } }),
    'images.binding': (binding) => ({ images: { binding } }),
    'images.sizes': (sizes) => ({ images: { sizes } }),
    'notifications.secrets': (secrets) => ({ notifications: { secrets } }),
    rateLimiter: (rateLimiter) => ({ rateLimiter }),
    settings: (settings) => ({
      settings: {
        get buckets() {
          return settings()
        },
      },
    }),
  }

  // @threat app-error-shown health-shows-secret
  it.each(Object.keys(FAILING))(
    'tells everyone only the class of its error, and the log everything except URLs: %s',
    async (name) => {
      const { host, onError } = watchedHost()
      const client = mount({ ...FAILING[name]?.(fail), host })
      const health = await client.fetch('/media/healthz')
      expect(await jsonOf(health.clone())).toMatchObject({
        code: 'misconfigured',
        issues: [{ path: name, message: expect.stringMatching(/: Canary$/) }],
      })
      expect(await health.text()).not.toContain('hunter2')
      const other = await client.fetch('/media/files')
      expect(await other.text()).not.toMatch(/hunter2|Canary/)
      expect(onError).not.toHaveBeenCalled()
      expect(client.lines).toHaveLength(2)
      for (const { code, reason } of client.lines) {
        expect(code).toBe('misconfigured')
        expect(reason).toMatch(new RegExp(`^${name}; Canary: secret=hunter2 at \\(URL\\)`))
        expect(reason).toMatch(/\n\s+at .*fail/)
      }
    },
  )

  it.each(THROWN)('may throw %s', async (_, thrown, reason) => {
    for (const [name, failing] of Object.entries(FAILING)) {
      const { host, onError } = watchedHost()
      const app = mount({
        ...failing(() => {
          throw thrown
        }),
        host,
      })
      const response = await app.fetch('/media/healthz')
      expect.soft(await jsonOf(response), name).toMatchObject({ issues: [{ path: name }] })
      expect(onError).not.toHaveBeenCalled()
      const reasons = app.lines.map((line) => line.reason)
      expect.soft(reasons, name).toEqual([expect.stringMatching(reason)])
    }
  })

  it('shows no message of an HTTPException either', async () => {
    const app = mount({
      files: {
        index() {
          throw new HTTPException(418, { message: 'hunter2' })
        },
      },
    })
    expect(await (await app.fetch('/media/healthz')).text()).not.toContain('hunter2')
    expect(app.lines[0]?.reason).toContain('hunter2')
  })

  it.each([
    ['an images function that returns a promise', async () => ({ input() {} })],
    ['an images function that returns something else', () => 'IMAGES'],
  ])('names %s', async (_, binding) => {
    const app = mount({ images: { binding: binding as never } })
    expect(await jsonOf(await app.fetch('/media/healthz'))).toMatchObject({
      issues: [{ path: 'images.binding', message: 'must return an object with input()' }],
    })
  })

  it.each([
    ['returns plain settings', () => settingsInput()],
    ['returns changed settings', () => ({ ...defineSettings(() => settingsInput())({}) })],
    ['returns nothing', () => undefined],
    ['returns a promise', async () => settingsInput()],
  ])('may %s instead of being from defineSettings', async (_, settings) => {
    const { host, onError } = watchedHost()
    const lines: unknown[] = []
    const { app } = createPresigner(settings as unknown as SettingsFor<unknown>, {
      log: (line) => void lines.push(line),
    })
    const client = clientOf(host.route('/media', app))
    expect(await jsonOf(await client.fetch('/media/healthz'))).toMatchObject({
      issues: [{ path: 'settings', message: 'must be from defineSettings' }],
    })
    expect((await client.fetch('/media/files')).status).toBe(503)
    expect(onError).not.toHaveBeenCalled()
    expect(lines).toMatchObject([
      { status: 503, reason: 'settings' },
      { status: 503, reason: 'settings' },
    ])
  })

  it('may call one from defineSettings', async () => {
    const settings = defineSettings(() => settingsInput())
    const wrapped = (() => settings({})) as unknown as typeof settings
    const { app } = createPresigner(wrapped, { log: () => {} })
    const response = await clientOf(new Hono().route('/media', app)).fetch('/media/healthz')
    expect(response.status).toBe(200)
  })
})

describe('an error of this package', () => {
  /** Returns the outcomes of a request that a function of the app refuses with this error. */
  async function refusedWith(error: Error): Promise<unknown> {
    const { host, onError } = watchedHost()
    const app = mount({ host, beforeUpload: () => Promise.reject(error) })
    const response = await app.post('/media/files/upload-url', file)
    expect(onError).not.toHaveBeenCalled()
    expect(app.lines).toMatchObject([{ status: response.status }])
    return refusalOf(response)
  }

  it.each([200, 204, 302, 399, 500, 99, 1000, Number.NaN, 422.5, '409'])(
    'is never a success, whatever its status: %j',
    async (status) => {
      const error = new ApiError('refused', 'Over your quota.', { status: status as number })
      const outcome = { status: 400, code: 'refused', message: 'Over your quota.' }
      expect(await refusedWith(error)).toEqual(outcome)
    },
  )

  it.each(['nope', 'toString', undefined])('has a known code, not %j', async (code) => {
    const outcome = { status: 500, code: 'internal' }
    expect(await refusedWith(new ApiError(code as 'refused', 'x'))).toMatchObject(outcome)
  })

  it('keeps its status and its reason, also from another copy', async () => {
    const copy = (members: object) =>
      Object.assign(new Error('Over your quota.'), { name: 'PresignerError', ...members })
    const outcome = { status: 409, code: 'refused', message: 'Over your quota.' }
    const refused = { code: 'refused', status: 409 } as const
    expect(await refusedWith(new ApiError('refused', outcome.message, refused))).toEqual(outcome)
    expect(await refusedWith(copy(refused))).toEqual(outcome)
    const own = Object.assign(new ApiError('refused', outcome.message, refused), { name: 'Own' })
    expect(await refusedWith(own)).toEqual(outcome)
    const expired = copy({ code: 'unauthenticated', reason: 'expired' })
    const app = mount({ beforeUpload: () => Promise.reject(expired) })
    const response = await app.post('/media/files/upload-url', file)
    expect(await jsonOf(response)).toMatchObject({ code: 'unauthenticated', reason: 'expired' })
  })
})

describe('an HTTPException', () => {
  const refuse =
    (status: 400 | 401 | 403 | 409 | 422 | 429 | 500, message = 'Over your quota.') =>
    (): never => {
      throw new HTTPException(status, { message })
    }
  const list = (thrower: () => never) => ({ ...memoryFileIndex(), list: thrower }) as FileIndex
  const ASKS: Readonly<Record<string, (thrower: () => never) => Promise<Response>>> = {
    authenticate: (thrower) => mount({ authenticate: thrower }).fetch('/media/files'),
    beforeUpload: (thrower) =>
      mount({ beforeUpload: thrower }).post('/media/files/upload-url', file),
    beforeDelete: (thrower) =>
      mount({ beforeDelete: thrower }).fetch('/media/files/none', { method: 'DELETE' }),
    beforeDownload: (thrower) => mount({ beforeDownload: thrower }).fetch('/media/files/none/url'),
    fileIndex: (thrower) => mount({ files: { index: () => list(thrower) } }).fetch('/media/files'),
  }

  it.each(Object.entries(ASKS))('of %s keeps what it refuses', async (_, ask) => {
    const outcomes = []
    for (const status of [401, 403, 409, 422, 500] as const)
      outcomes.push(await refusalOf(await ask(refuse(status))))
    expect(outcomes).toMatchObject([
      { status: 401, code: 'unauthenticated', message: 'Valid credentials are required.' },
      { status: 403, code: 'forbidden', message: 'The app refused this.' },
      { status: 409, code: 'refused', message: 'Over your quota.' },
      { status: 422, code: 'refused', message: 'Over your quota.' },
      { status: 500, code: 'internal' },
    ])
  })

  it('without a message gets one', async () => {
    const app = mount({ authenticate: refuse(400, '') })
    expect(await refusalOf(await app.fetch('/media/files'))).toEqual({
      status: 400,
      code: 'refused',
      message: 'The app refused this.',
    })
  })

  it.each<readonly [unknown, number, string]>([
    [402, 402, 'refused'],
    [499, 499, 'refused'],
    [399, 500, 'internal'],
    [422.5, 500, 'internal'],
    ['422', 500, 'internal'],
  ])("of another copy of Hono's class counts too: status %j", async (given, status, code) => {
    const members = { status: given, getResponse: () => new Response() }
    const error = Object.assign(new Error('Over your quota.'), members)
    const app = mount({ authenticate: () => Promise.reject(error) })
    expect(await refusalOf(await app.fetch('/media/files'))).toMatchObject({ status, code })
  })

  it('has its message and status for Uppy, and as XML', async () => {
    const app = mount({ beforeUpload: refuse(409) })
    const body = { filename: 'a.txt', type: 'text/plain' }
    const companion = await app.post('/media/s3/multipart', body)
    expect(companion.status).toBe(409)
    expect(await jsonOf(companion)).toMatchObject({ code: 'refused', error: 'Over your quota.' })
    const signed = await app.post('/media/s3/sign', { method: 'PUT', key: 'a.txt' })
    expect(await refusalOf(signed)).toMatchObject({ status: 409, code: 'refused' })
  })

  it.each([403, 409, 429] as const)(
    'with %i for one upload of many refuses this one',
    async (status) => {
      const refused = vi.fn(refuse(status))
      const app = mount({
        beforeUpload: ({ fileName }) => (fileName === 'b.txt' ? refused() : undefined),
      })
      const files = ['a.txt', 'b.txt', 'c.txt'].map((fileName) => ({ ...file, fileName }))
      const response = await app.post('/media/files/upload-urls', { files })
      expect(response.status).toBe(200)
      const error =
        status === 403
          ? { code: 'forbidden', message: 'The app refused this.' }
          : { code: 'refused', message: 'Over your quota.' }
      expect(await jsonOf(response)).toMatchObject({
        uploads: [
          { uploadUrl: expect.any(String) },
          { fileName: 'b.txt', error },
          { uploadUrl: expect.any(String) },
        ],
      })
      expect(refused).toHaveBeenCalledOnce()
    },
  )

  it('for one delete of many refuses this one', async () => {
    const [a, b] = [await putChosen('a.png', 'a'), await putChosen('b.png', 'b')]
    const app = mount({ beforeDelete: ({ key }) => (key === a ? refuse(409)() : undefined) })
    const response = await app.post('/media/files/delete', { keys: [a, b] })
    expect(await jsonOf(response)).toEqual({
      deleted: [{ key: a, error: { code: 'refused', message: 'Over your quota.' } }, { key: b }],
    })
  })

  it('of an index after a delete does not hide that the object is gone', async () => {
    const key = await putChosen('gone.png', 'a')
    const broken = { ...list(refuse(409)), get: async () => refuse(409)() }
    const response = await mount({ files: { index: () => broken } }).fetch(
      `/media/files/${encodeURIComponent(key)}`,
      { method: 'DELETE' },
    )
    expect(await refusalOf(response)).toMatchObject({
      status: 503,
      code: 'unavailable',
      reason: 'index',
    })
  })

  it('of onEvent refuses nothing, since the bucket has the file already', async () => {
    const app = mount({ events: { onEvent: refuse(409) } })
    const key = await upload(app, '/media')
    expect(await refusalOf(await app.post('/media/files', { key }))).toMatchObject({
      status: 503,
      code: 'unavailable',
      reason: 'events',
    })
  })
})
