import { afterEach, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import type { FileEvent, SharedFile } from '../../../src/index.ts'
import { ANN } from '../../support/ann.ts'
import { jsonOf, ORIGIN } from '../../support/app.ts'
import { captureLog } from '../../support/capture-log.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import {
  currently,
  type Grant,
  grantFor,
  inFuture,
  outcome,
  putReport,
  submit,
  visit,
} from '../../support/grants.ts'
import { jwtVariable, testIssuer } from '../../support/issuer.ts'
import { textOf } from '../../support/links.ts'
import { type MountOptions, mount } from '../../support/mount.ts'
import { baseVariables, testWorker } from '../../support/worker.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

const CLOSED = { OPEN_ACCESS: undefined }

/** Uses the grant, by its page and by its form. */
const use = async (grant: Grant, variables: Readonly<Record<string, unknown>>) => {
  const by = testWorker({ ...CLOSED, ...variables })
  const outcomes = [
    await outcome(visit(grant.url, {}, by)),
    await outcome(submit(grant.url, {}, by)),
  ]
  return outcomes.join()
}

const WORKS = '200,303'
const ENDED = '410 grant_ended,410 grant_ended'

// @threat grant-outlives-minter
describe('a grant ends with the rights of its minter', () => {
  it('an API key that is removed, narrowed, or loses its bucket', async () => {
    const { token, entry } = await testApiKey('app', SCOPES)
    const by = testWorker({ ...CLOSED, API_KEYS: [entry] })
    const grant = await grantFor({}, by, bearer(token))
    const with_ = (changes: object) => use(grant, { API_KEYS: [{ ...entry, ...changes }] })
    expect(await with_({})).toBe(WORKS)
    expect(await use(grant, { API_KEYS: [] })).toBe(ENDED)
    expect(await with_({ id: 'other' })).toBe(ENDED)
    for (const scope of ['grants:create', 'links:create', 'files:read'])
      expect(await with_({ scopes: SCOPES.filter((one) => one !== scope) }), scope).toBe(ENDED)
    expect(await with_({ prefix: 'elsewhere/' })).toBe(ENDED)
    expect(await with_({ buckets: ['photos'] })).toBe(ENDED)
    expect(await with_({ buckets: ['files', 'photos'] })).toBe(WORKS)
    const { files } = baseVariables().BUCKETS
    const has = (BUCKETS: object) => use(grant, { API_KEYS: [entry], BUCKETS })
    expect(await has({ photos: files })).toBe(ENDED)
    expect(await has({ photos: files, files })).toBe(WORKS)
  })

  it('a user of an API key', async () => {
    const { token, entry } = await testApiKey('app', SCOPES)
    const by = testWorker({ ...CLOSED, API_KEYS: [entry] })
    const asked = { scopes: SCOPES, subject: 'alice', expiresIn: 60 }
    const minted = await jsonOf<{ token: string }>(await by.post('/tokens', asked, bearer(token)))
    const grant = await grantFor({}, by, bearer(minted.token))
    expect(await currently(grant, by, bearer(minted.token))).toEqual(grant)
    const other = await testApiKey('other', SCOPES)
    const both = testWorker({ ...CLOSED, API_KEYS: [entry, other.entry] })
    const path = `/grants/${grant.id}`
    expect(await outcome(both.fetch(path, bearer(other.token)))).toBe('404 not_found')
    // It lives longer than the token.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 120_000 })
    expect(await use(grant, { API_KEYS: [entry] })).toBe(WORKS)
    expect(await use(grant, { API_KEYS: [] })).toBe(ENDED)
  })

  it('a JWT that is no longer accepted', async () => {
    const issuer = await testIssuer()
    const variables = { JWT: jwtVariable(issuer) }
    const by = testWorker({ ...CLOSED, ...variables })
    const grant = await grantFor({}, by, bearer(await issuer.sign()))
    expect(await use(grant, variables)).toBe(WORKS)
    const list = await by.fetch('/grants', bearer(await issuer.sign({ sub: 'bob' })))
    expect(await jsonOf(list)).toEqual({ grants: [] })
    expect(await use(grant, {})).toBe(ENDED)
    const narrowed = { JWT: { ...variables.JWT, scopes: ['files:read'] } }
    expect(await use(grant, narrowed)).toBe(ENDED)
  })

  it('localhost without OPEN_ACCESS', async () => {
    const grant = await grantFor()
    expect(await use(grant, { OPEN_ACCESS: 'localhost' })).toBe(WORKS)
    expect(await use(grant, {})).toBe(ENDED)
  })
})

describe('a rotation of SIGNING_SECRETS', () => {
  // @threat grant-password-guessed
  it('ends grants with a password whose secret is removed, and no others', async () => {
    const before = { OPEN_ACCESS: 'localhost' }
    const locked = await grantFor({ password: 'open door' })
    const plain = await grantFor()
    const secrets = 'k2:fedcba9876543210fedcba9876543210,k1:0123456789abcdef0123456789abcdef'
    const both = testWorker({ ...before, SIGNING_SECRETS: secrets })
    expect(await outcome(submit(locked.url, { password: 'wrong' }, both))).toBe(
      '403 password_wrong',
    )
    expect(await outcome(submit(locked.url, { password: 'open door' }, both))).toBe('303')
    const [only = ''] = secrets.split(',')
    const after = testWorker({ ...before, SIGNING_SECRETS: only })
    captureLog()
    expect(await outcome(visit(locked.url, {}, after))).toBe('410 grant_ended')
    expect(await outcome(submit(locked.url, { password: 'open door' }, after))).toBe(
      '410 grant_ended',
    )
    expect(await outcome(submit(plain.url, {}, after))).toBe('303')
    expect((await currently(locked, after)).hasPassword).toBe(true)
  })
})

describe('a grant of an app', () => {
  const base = '/media'
  const grantIn = (app: ReturnType<typeof mount>, body: object = {}) =>
    grantFor(body, app, {}, base)

  it('works below its mount path, with the login of the app', async () => {
    const app = mount()
    const grant = await grantIn(app, { uses: 1 })
    expect(grant.url).toMatch(/^https:\/\/app\.example\/media\/g\/[\w-]{22}$/)
    expect(await textOf(await visit(grant.url, {}, app))).toContain('<form method="post">')
    const headers = { Origin: ORIGIN, 'Sec-Fetch-Site': 'same-origin' }
    const response = await submit(grant.url, { headers }, app)
    const link = response.headers.get('Location') ?? ''
    expect(link).toMatch(/^https:\/\/app\.example\/media\/i\/files\//)
    expect(await textOf(await app.fetch(link))).toBe('a report')
    expect(await outcome(submit(grant.url, {}, app))).toBe('410 grant_ended')
    expect(await currently(grant, app, {}, base)).toMatchObject({ usesLeft: 0 })
    const list = await jsonOf<{ grants: Grant[] }>(await app.fetch('/media/grants'))
    expect(list.grants.map(({ id }) => id)).toContain(grant.id)
  })

  it('has pages on the host of its links', async () => {
    const app = mount({ settings: { linkBase: 'https://links.example/media', linkHostOnly: true } })
    const { url } = await grantIn(app)
    expect(url).toMatch(/^https:\/\/links\.example\/media\/g\//)
    const atApi = url.replace('https://links.example', ORIGIN)
    const moved = await visit(atApi, {}, app)
    expect([moved.status, moved.headers.get('Location')]).toEqual([308, url])
    const response = await submit(url, {}, app)
    expect(response.headers.get('Location')).toMatch(/^https:\/\/links\.example\/media\/i\/files\//)
  })

  it('has a form that may lead to its link, also at another host of the app', async () => {
    const app = mount({ settings: { linkBase: 'https://www.example/media' } })
    const { url } = await grantIn(app)
    const formAction = async (at: string) => {
      const { headers } = await visit(at, {}, app)
      return /form-action [^;]+/.exec(headers.get('Content-Security-Policy') ?? '')?.[0]
    }
    expect(await formAction(url)).toBe("form-action 'self'")
    const here = url.replace('https://www.example', ORIGIN)
    expect(await formAction(here)).toBe("form-action 'self' https://www.example")
    const link = (await submit(here, {}, app)).headers.get('Location')
    expect(link).toMatch(/^https:\/\/www\.example\/media\/i\//)
  })

  it('belongs to one user', async () => {
    const as = (id: string) => mount({ authenticate: () => ({ ...ANN, id }) })
    const grant = await grantIn(as('ann'))
    const path = `/media/grants/${grant.id}`
    expect(await outcome(as('bob').fetch(path))).toBe('404 not_found')
    expect(await outcome(as('bob').fetch(path, { method: 'DELETE' }))).toBe('404 not_found')
    expect(await outcome(as('ann').fetch(path))).toBe('200')
  })

  // @threat app-csrf
  it('is created by no page of another origin', async () => {
    const headers = { Origin: 'https://evil.example' }
    const body = { key: await putReport(), deadline: inFuture() }
    expect(await outcome(mount().post('/media/grants', body, { headers }))).toBe('403 forbidden')
  })

  // @threat download-refused
  it('asks beforeDownload when it is created and at each use, with the rights of its minter', async () => {
    const asked: [SharedFile, string][] = []
    let refuse: string | undefined
    const app = mount({
      beforeDownload: (file, { id }) => {
        asked.push([file, id])
        return refuse === undefined ? undefined : { refuse }
      },
    })
    const grant = await grantIn(app, { uses: 1, password: 'open door' })
    await visit(grant.url, {}, app)
    await submit(grant.url, { password: 'wrong' }, app)
    const about = { bucket: 'files', key: grant.key, kind: 'grant' }
    expect(asked).toEqual([[about, 'app:ann']])
    refuse = 'It was archived.'
    const refused = await submit(grant.url, { password: 'open door' }, app)
    expect(await jsonOf(refused)).toMatchObject({ code: 'forbidden', message: refuse })
    const body = { key: grant.key, deadline: inFuture() }
    expect(await outcome(app.post('/media/grants', body))).toBe('403 forbidden')
    refuse = undefined
    expect(await outcome(submit(grant.url, { password: 'open door' }, app))).toBe('303')
    expect(asked).toHaveLength(4)
    expect(asked.at(-1)).toEqual([about, 'app:ann'])
  })
})

describe('the event grant.used', () => {
  const listening = (onEvent: (event: FileEvent) => unknown, more: MountOptions = {}) =>
    mount({ events: { onEvent }, ...more })

  it('tells the app which grant was used, by whom it was made, and in which country', async () => {
    const events: FileEvent[] = []
    const app = listening((event) => void events.push(structuredClone(event)))
    const grant = await grantFor({ uses: 2, label: 'For you' }, app, {}, '/media')
    await visit(grant.url, {}, app)
    await submit(grant.url, { country: 'DE', ip: '192.0.2.7' }, app)
    await submit(grant.url, {}, app)
    await submit(grant.url, {}, app)
    const { bucket, key, id } = grant
    const event = { type: 'used', file: { bucket, key }, principal: 'app:ann' }
    expect(events).toEqual([
      {
        ...event,
        ...{ grant: { id, label: 'For you', usesLeft: 1 }, country: 'DE' },
        ...{ subject: null, context: null, timestamp: expect.any(String) },
      },
      {
        ...event,
        ...{ grant: { id, label: 'For you', usesLeft: 0 }, country: null },
        ...{ subject: null, context: null, timestamp: expect.any(String) },
      },
    ])
    expect(JSON.stringify(events)).not.toContain('192.0.2')
    expect(JSON.stringify(events)).not.toContain(grant.url.slice(-22))
  })

  const HOOK = 'https://hooks.example/events'
  const SECRET = `whsec_${'a'.repeat(32)}`
  const failing: [string, MountOptions][] = [
    [
      'a failing queue',
      {
        events: {
          webhooks: [{ url: HOOK, secret: SECRET }],
          queue: { sendBatch: () => Promise.reject(new Error('queue over its limit')) },
        },
      },
    ],
    ['a failing onEvent', { events: { onEvent: () => Promise.reject(new Error('queue over')) } }],
    [
      'a throwing onEvent',
      {
        events: {
          onEvent() {
            throw new Error('queue over')
          },
        },
      },
    ],
  ]

  // @threat grant-event-fails
  it.each(failing)('%s stops no download, and the log says so', async (_, options) => {
    const app = mount(options)
    const grant = await grantFor({ uses: 1 }, app, {}, '/media')
    const lines = captureLog()
    const response = await submit(grant.url, {}, app)
    expect(response.status).toBe(303)
    expect(await textOf(await app.fetch(response.headers.get('Location') ?? ''))).toBe('a report')
    const line = lines.find((text) => text.includes('event not sent')) ?? '{}'
    expect(JSON.parse(line)).toEqual({
      warning: 'event not sent',
      requestId: response.headers.get('X-Request-Id'),
      reason: expect.stringContaining('queue over'),
    })
  })

  // @threat grant-event-fails
  it('a queue that hangs holds up no download', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    let redirected = false
    const app = listening(async () => {
      await promise
      expect(redirected).toBe(true)
    })
    const grant = await grantFor({ uses: 1 }, app, {}, '/media')
    setTimeout(() => {
      redirected = true
      resolve()
    }, 50)
    expect(await outcome(submit(grant.url, {}, app))).toBe('303')
  })
})
