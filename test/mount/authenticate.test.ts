import { HTTPException } from 'hono/http-exception'
import { describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { ApiError } from '../../src/errors/api-error.ts'
import type { AppPrincipal } from '../../src/index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, upload } from '../support/app.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { inWords } from '../support/errors.ts'
import { ISSUER, jwtVariable, testIssuer } from '../support/issuer.ts'
import { mount } from '../support/mount.ts'
import { testWorker } from '../support/worker.ts'

/** Returns the status and the code of a response, and the reason from the log. */
async function outcome(app: ReturnType<typeof mount>, path: string, init?: RequestInit) {
  const response = await app.fetch(path, init)
  const { code = '', ...body } = await jsonOf<{
    code?: string
    message?: string
    reason?: string
  }>(response)
  const { reason } = app.lines.at(-1) ?? {}
  const result = `${response.status} ${inWords({ ...body, code })}`.trim()
  return { result, message: body.message, reason }
}

describe('authenticate', () => {
  it('grants the principal that it returns exactly its scopes and prefix', async () => {
    const app = mount({
      authenticate: async () => ({ id: 'ann', scopes: ['files:read'], prefix: 'users/ann/' }),
    })
    expect(await outcome(app, '/media/files/users%2Fann%2Fa/url')).toMatchObject({ result: '200' })
    expect(await outcome(app, '/media/files/users%2Fbob%2Fa/url')).toMatchObject({
      result: '403 forbidden',
    })
    expect(await outcome(app, '/media/files')).toMatchObject({ result: '403 forbidden' })
    expect(app.lines.map(({ principal }) => principal)).toEqual(['app:ann', 'app:ann', 'app:ann'])
  })

  it.each([null, undefined, false, '', 0] as const)(
    'refuses everyone when it returns %j',
    async (nobody) => {
      const app = mount({ authenticate: async () => nobody })
      expect(await outcome(app, '/media/files')).toMatchObject({
        result: '401 unauthenticated',
        reason: 'refused by the app',
      })
    },
  )

  // @threat app-session-expired
  it('refuses an expired session', async () => {
    const ended = { ...ANN, expiresAt: new Date(Date.now() - 1) }
    const app = mount({ authenticate: () => ended })
    expect(await outcome(app, '/media/files')).toMatchObject({
      result: '401 unauthenticated',
      reason: 'session expired',
    })
  })

  it('counts refused requests by network, and others by id', async () => {
    const counted: string[] = []
    const limiter = {
      async limit({ key }: { key: string }) {
        counted.push(key)
        return { success: true }
      },
    }
    const rateLimiter = () => limiter
    await mount({ rateLimiter }).fetch('/media/files')
    await mount({ rateLimiter, authenticate: () => null }).fetch('/media/files')
    await mount({ rateLimiter, authenticate: refuse(401) }).fetch('/media/files')
    expect(counted).toEqual(['principal app:ann', 'network unknown', 'network unknown'])
  })
})

/** Throws what Hono's login middleware throws. */
const refuse = (status: 401 | 403) => (): never => {
  throw new HTTPException(status, { message: 'canary' })
}

/** An error from a different copy of this package. */
function foreignError(): Error {
  const error = new Error('Try again.')
  return Object.assign(error, {
    name: 'PresignerError',
    code: 'unavailable',
    reason: 'issuer',
    issues: [],
  })
}

describe('what authenticate throws', () => {
  it.each([
    ['HTTPException 401', refuse(401), '401 unauthenticated', /Error: canary/],
    ['HTTPException 403', refuse(403), '403 forbidden', /Error: canary/],
    [
      'an error of this package',
      () => {
        throw new ApiError('unavailable', 'Try again.', {
          ...{ reason: 'storage', retryAfterSeconds: 5, cause: 'why' },
        })
      },
      '503 unavailable storage',
      /^storage: why$/,
    ],
    [
      'an error of another copy of this package',
      () => {
        throw foreignError()
      },
      '503 unavailable issuer',
      /^issuer$/,
    ],
    [
      'unauthenticated',
      () => {
        throw new ApiError('unauthenticated', 'no', { cause: 'cookie stolen' })
      },
      '401 unauthenticated',
      /cookie stolen/,
    ],
  ] as const)('becomes %s', async (_, authenticate, result, reason) => {
    const app = mount({ authenticate })
    const answer = await outcome(app, '/media/files')
    expect(answer.result).toBe(result)
    expect(answer.message).not.toContain('canary')
    if (reason === undefined) expect(answer.reason).toBeUndefined()
    else expect(answer.reason).toMatch(reason)
  })
})

describe('a principal', () => {
  const broken: readonly (readonly [string, unknown])[] = [
    ['a prefix without a slash', { ...ANN, prefix: 'users/ann' }],
    ['a prefix with dot segments', { ...ANN, prefix: '../' }],
    ['a prefix that is only a slash', { ...ANN, prefix: '/' }],
    ['a prefix of an empty id', { ...ANN, prefix: 'users//' }],
    ['no prefix', { id: 'ann', scopes: [] }],
    ['a prefix that is not a string', { ...ANN, prefix: null }],
    ['an unknown scope', { ...ANN, scopes: ['files:read', 'admin'] }],
    ['scopes as a string', { ...ANN, scopes: 'files:read' }],
    ['no id', { scopes: [], prefix: '' }],
    ['an empty id', { ...ANN, id: '' }],
    ['a number as id', { ...ANN, id: 7 }],
    ['an id with a line break', { ...ANN, id: 'ann\nbob' }],
    ['an id that is not NFC', { ...ANN, id: 'e\u0301' }],
    ['an id of 201 bytes', { ...ANN, id: 'x'.repeat(201) }],
    ['an invalid expiresAt', { ...ANN, expiresAt: new Date('never') }],
    ['an expiresAt that is not a Date', { ...ANN, expiresAt: 2e12 }],
    ['the value true', true],
    ['a string', 'ann'],
  ]

  // @threat app-bad-principal
  it.each(broken)(
    'with %s is an error in the app: answers 500 without access',
    async (_, principal) => {
      const app = mount({ authenticate: () => principal as AppPrincipal })
      expect(await outcome(app, '/media/files/a/url')).toMatchObject({ result: '500 internal' })
      expect(app.lines[0]?.principal).toBeUndefined()
    },
  )

  it('is read only once, so later changes have no effect', async () => {
    const scopes: AppPrincipal['scopes'][number][] = ['files:read']
    const app = mount({
      authenticate: () => ({ id: 'ann', scopes, prefix: '' }),
      rateLimiter: () => ({
        async limit() {
          scopes.push('files:delete')
          return { success: true }
        },
      }),
    })
    const response = await app.fetch('/media/files/a', { method: 'DELETE' })
    expect(response.status).toBe(403)
  })

  it('can have the longest id in a token, an upload and a record', async () => {
    const app = mount({ authenticate: () => ({ ...ANN, id: 'x'.repeat(200) }) })
    const { token } = await jsonOf<{ token: string }>(
      await app.post('/media/tokens', { scopes: ['files:upload', 'files:read'] }),
    )
    const base = `/media/u/${token}`
    const key = await upload(app, base)
    const recorded = await app.post(`${base}/files`, { key, name: 'a.png' })
    expect(await jsonOf(recorded)).toMatchObject({ owner: `app:${'x'.repeat(200)}` })
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
    const started = await jsonOf(await app.post(`${base}/multipart`, file))
    const parts = { key: started.key, partNumbers: [1] }
    const urls = await app.post(`/media/multipart/${started.uploadId}/urls`, parts)
    expect(urls.status).toBe(200)
  })

  // @threat user-impersonated
  it('from an app never counts as an API key or a JWT, whatever its id', async () => {
    const app = mount({ authenticate: () => ({ ...ANN, id: 'key:ci' }) })
    await app.fetch('/media/files/a/url')
    expect(app.lines[0]?.principal).toBe('app:key:ci')
  })

  // @threat user-impersonated
  it.each(['key:app', 'key:app/alice', 'localhost/alice'])(
    'from an app with the id %s can not touch the upload of that API key or user',
    async (id) => {
      const apiKey = await testApiKey('app', SCOPES)
      // It has the same secrets and bucket as the app.
      const own = testWorker({ API_KEYS: [apiKey.entry], OPEN_ACCESS: undefined })
      const { token } = await jsonOf<{ token: string }>(
        await own.post('/tokens', { scopes: SCOPES, subject: 'alice' }, bearer(apiKey.token)),
      )
      const by = bearer(id === 'key:app' ? apiKey.token : token)
      const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
      const { key, uploadId } = await jsonOf(await own.post('/multipart', file, by))
      const path = `/multipart/${uploadId}?key=${encodeURIComponent(String(key))}`
      expect((await own.fetch(path, by)).status).toBe(200)

      const host = mount({ authenticate: () => ({ id, scopes: SCOPES, prefix: '' }) })
      expect(await outcome(host, `/media${path}`)).toMatchObject({
        result: '400 invalid_upload_id',
      })
      expect(host.lines.at(-1)?.principal).toBe(`app:${id}`)
      // Nor does it become that user by minting a token.
      const minted = await host.post('/media/tokens', { scopes: SCOPES, subject: 'alice' })
      expect(minted.status).toBe(403)
    },
  )

  // @threat app-session-expired
  it('limits the tokens that it mints, in scopes, prefix and lifetime', async () => {
    const expiresAt = new Date(Date.now() + 60_000)
    const principal = {
      id: 'ann',
      scopes: ['tokens:create', 'files:read'],
      prefix: 'users/ann/',
      expiresAt,
    } as const
    const app = mount({ authenticate: () => principal })
    const mint = async (body: object) => (await app.post('/media/tokens', body)).status
    expect(await mint({ scopes: ['files:read'], expiresIn: 30 })).toBe(200)
    expect(await mint({ scopes: ['files:read'], expiresIn: 61 })).toBe(400)
    expect(await mint({ scopes: ['files:delete'] })).toBe(403)
    expect(await mint({ scopes: ['files:read'], prefix: 'users/' })).toBe(403)
  })
})

describe('with authenticate', () => {
  // @threat user-impersonated
  it('may set the context of the tokens that it mints, which they can not', async () => {
    const app = mount()
    const request = { scopes: ['tokens:create'] }
    const context = { role: 'admin' }
    expect((await app.post('/media/tokens', { ...request, context })).status).toBe(200)
    const { token } = await jsonOf<{ token: string }>(await app.post('/media/tokens', request))
    const path = `/media/u/${token}/tokens`
    expect((await app.post(path, request)).status).toBe(200)
    expect((await app.post(path, { ...request, context })).status).toBe(403)
  })

  it('tokens of this presigner stay valid, in the path and in a header, without a call to authenticate', async () => {
    const authenticate = vi.fn(() => ANN)
    const app = mount({ authenticate })
    const { token } = await jsonOf<{ token: string }>(
      await app.post('/media/tokens', { scopes: ['files:read'] }),
    )
    authenticate.mockClear()
    expect((await app.fetch(`/media/u/${token}/files/a/url`)).status).toBe(200)
    expect((await app.fetch('/media/files/a/url', bearer(token))).status).toBe(200)
    expect((await app.fetch('/media/files', bearer(token))).status).toBe(403)
    expect((await app.fetch(`/media/u/${token}x/files/a/url`)).status).toBe(401)
    expect((await app.fetch('/media/files/a/url', bearer(`${token}x`))).status).toBe(401)
    expect(authenticate).not.toHaveBeenCalled()
  })

  // @threat app-login-bypassed
  it('API keys and JWTs do not apply', async () => {
    const [apiKey, issuer] = [await testApiKey('ci', SCOPES), await testIssuer()]
    const credentials = [apiKey.token, await issuer.sign({ iss: ISSUER })]
    for (const credential of credentials) {
      const app = mount({ authenticate: () => null })
      expect((await app.fetch('/media/files', bearer(credential))).status).toBe(401)
    }
  })
})

describe('without authenticate', () => {
  it('only API keys and JWTs are accepted', async () => {
    const [apiKey, issuer] = [await testApiKey('ci', SCOPES), await testIssuer()]
    const app = mount({
      apiKeys: { keys: [apiKey.entry] },
      jwt: { accept: jwtVariable(issuer) },
      authenticate: undefined as never,
    })
    expect((await app.fetch('/media/files', bearer(apiKey.token))).status).toBe(200)
    expect((await app.fetch('/media/files', bearer(await issuer.sign()))).status).toBe(200)
    expect((await app.fetch('/media/files')).status).toBe(401)
    expect((await app.fetch('http://localhost:8787/media/files')).status).toBe(401)
  })
})
