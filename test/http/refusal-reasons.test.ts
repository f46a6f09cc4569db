import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { purpose } from '../../src/access/purpose-key.ts'
import { SCOPES } from '../../src/access/scopes.ts'
import { seal } from '../../src/access/seal.ts'
import type { Reason } from '../../src/errors/api-error.ts'
import { ANN } from '../support/ann.ts'
import { toBase64url } from '../support/base64.ts'
import { captureLog } from '../support/capture-log.ts'
import { type TestApiKey, testApiKey } from '../support/credentials.ts'
import { jwtVariable, type TestIssuer, testIssuer } from '../support/issuer.ts'
import { mount } from '../support/mount.ts'
import { REFUSALS, type Refusal } from '../support/refusals.ts'
import { signingSettings } from '../support/signing-settings.ts'
import { type TestWorker, testWorker } from '../support/worker.ts'

const OTHER_SECRETS = 'k1:fedcba9876543210fedcba9876543210'
const PAST = Math.floor(Date.now() / 1000) - 3600
const FUTURE = PAST + 7200

let issuer: TestIssuer
let other: TestIssuer
let worker: TestWorker
let ciKey: TestApiKey
let wrongKey: string

beforeAll(async () => {
  issuer = await testIssuer()
  other = await testIssuer()
  ciKey = await testApiKey('ci', SCOPES)
  wrongKey = (await testApiKey('ci', SCOPES)).token
  worker = testWorker({
    OPEN_ACCESS: undefined,
    API_KEYS: [ciKey.entry],
    JWT: { ...jwtVariable(issuer), prefix: 'users/{tenant}/' },
  })
})
afterEach(() => vi.restoreAllMocks())

const token = async (claims: Record<string, unknown>, secrets?: string): Promise<string> =>
  `ept_${await seal(signingSettings(secrets).signingSecrets, purpose('token'), claims)}`
const GRANT = { id: 'key:ci', scopes: ['files:read'], prefix: '' }

/** Returns `jwt` with a wrong signature. */
const forged = (jwt: string): string => jwt.replace(/[^.]+$/, toBase64url(new Uint8Array(64)))

/** A JWT whose header marks an unknown member as critical. */
const critical = (): string =>
  ['{"alg":"ES256","crit":["x"],"x":1}', '{}', 'AAAA'].map((part) => btoa(part)).join('.')

/** A Worker whose API key `ci` has a prefix. */
const withPrefix = () =>
  testWorker({ OPEN_ACCESS: undefined, API_KEYS: [{ ...ciKey.entry, prefix: 'team-a/' }] })

const withoutJwt = () => testWorker({ OPEN_ACCESS: undefined })

/** A Worker that also accepts an algorithm that doesn't fit its key. */
const withTwoAlgorithms = () =>
  testWorker({
    OPEN_ACCESS: undefined,
    JWT: { ...jwtVariable(issuer), algorithms: ['ES256', 'RS256'] },
  })

/** What a client learns of each. */
const REASONS: Readonly<Record<Refusal, Reason<'unauthenticated'>>> = {
  'no credentials': 'missing',
  'authorization scheme not bearer': 'missing',
  'bearer credential malformed': 'malformed',
  'bearer credential of unknown kind': 'malformed',
  'jwt not expected': 'not_accepted',
  'api key malformed': 'malformed',
  'api key unknown': 'not_accepted',
  'api key wrong': 'not_accepted',
  'token malformed': 'malformed',
  'token secret unknown': 'not_accepted',
  'token signature wrong': 'not_accepted',
  'token claims unusable': 'not_accepted',
  'token expired': 'expired',
  'token minter not configured': 'not_accepted',
  'token outside the prefix of its minter': 'not_accepted',
  'jwt malformed': 'malformed',
  'jwt algorithm not allowed': 'not_accepted',
  'jwt key unknown': 'not_accepted',
  'jwt signature wrong': 'not_accepted',
  'jwt claim not accepted': 'not_accepted',
  'jwt expired': 'expired',
  'jwt not supported': 'not_accepted',
  'jwt subject unusable': 'not_accepted',
  'jwt claim does not fit the prefix': 'not_accepted',
  'notification secret wrong': 'not_accepted',
  'refused by the app': 'not_accepted',
  'session expired': 'expired',
}

/** What a client reads. Notifications have other messages for a secret. */
const MESSAGES: Readonly<Record<Reason<'unauthenticated'>, unknown>> = {
  missing: expect.any(String),
  malformed: 'This is not a token or an API key.',
  expired: 'These credentials have expired.',
  not_accepted: expect.any(String),
}

/** What the log says, and what the client sends. */
const CASES: readonly (readonly [
  refusal: Refusal,
  log: string,
  authorization: () => string | undefined | Promise<string>,
  answerer: (() => Pick<TestWorker, 'fetch'>) | null,
])[] = [
  ['no credentials', '', () => undefined, null],
  ['authorization scheme not bearer', '', () => 'Basic Y2k6c2VjcmV0', withoutJwt],
  ['bearer credential malformed', '', () => 'Bearer', withoutJwt],
  ['bearer credential malformed', '', () => 'Bearer a b', withoutJwt],
  ['bearer credential of unknown kind', '', () => 'Bearer hunter2', withoutJwt],
  ['jwt not expected', '', async () => `Bearer ${await issuer.sign()}`, withoutJwt],
  ['api key malformed', '', () => 'Bearer ep_ci', null],
  ['api key unknown', ': other', () => `Bearer ${wrongKey.replace('_ci_', '_other_')}`, null],
  ['api key wrong', ': ci', () => `Bearer ${wrongKey}`, null],
  ['token malformed', '', () => 'Bearer ept_x', null],
  [
    'token secret unknown',
    ': k9',
    async () => `Bearer ${await token(GRANT, `k9:${'s'.repeat(32)}`)}`,
    null,
  ],
  [
    'token signature wrong',
    ': k1',
    async () => `Bearer ${await token({ ...GRANT, exp: PAST }, OTHER_SECRETS)}`,
    null,
  ],
  ['token claims unusable', '', async () => `Bearer ${await token({ id: 'key:ci' })}`, null],
  [
    'token minter not configured',
    ': key:gone',
    async () => `Bearer ${await token({ ...GRANT, id: 'key:gone/alice', exp: FUTURE })}`,
    null,
  ],
  [
    'token minter not configured',
    ': jwt:alice',
    async () => `Bearer ${await token({ ...GRANT, id: 'jwt:alice', exp: FUTURE })}`,
    withoutJwt,
  ],
  [
    'token minter not configured',
    ': localhost',
    async () => `Bearer ${await token({ ...GRANT, id: 'localhost', exp: FUTURE })}`,
    withoutJwt,
  ],
  [
    'token outside the prefix of its minter',
    ': key:ci',
    async () => `Bearer ${await token({ ...GRANT, prefix: 'team-b/', exp: FUTURE })}`,
    withPrefix,
  ],
  ['token expired', ': k1', async () => `Bearer ${await token({ ...GRANT, exp: PAST })}`, null],
  ['jwt malformed', '', () => 'Bearer a.b.c', null],
  [
    'jwt algorithm not allowed',
    ': ES384',
    async () => `Bearer ${await withAlgorithm('ES384')}`,
    null,
  ],
  [
    'jwt key unknown',
    ': kid-1',
    async () => `Bearer ${await withAlgorithm('RS256')}`,
    withTwoAlgorithms,
  ],
  ['jwt signature wrong', ': kid-1', async () => `Bearer ${forged(await issuer.sign())}`, null],
  ['jwt signature wrong', ': kid-1', async () => `Bearer ${await other.sign({ exp: PAST })}`, null],
  [
    'jwt claim not accepted',
    ': aud',
    async () => `Bearer ${await issuer.sign({ aud: 'x' })}`,
    null,
  ],
  [
    'jwt claim not accepted',
    ': iss',
    async () => `Bearer ${await issuer.sign({ iss: 'x', exp: PAST })}`,
    null,
  ],
  [
    'jwt claim not accepted',
    ': exp missing',
    async () => `Bearer ${await issuer.sign({}, {}, ['exp'])}`,
    null,
  ],
  ['jwt expired', '', async () => `Bearer ${await issuer.sign({ exp: PAST })}`, null],
  ['jwt not supported', ': ERR_JOSE_NOT_SUPPORTED', () => `Bearer ${critical()}`, null],
  ['jwt subject unusable', '', async () => `Bearer ${await issuer.sign({ sub: 'a\nb' })}`, null],
  ['jwt claim does not fit the prefix', '', async () => `Bearer ${await issuer.sign()}`, null],
  ['notification secret wrong', '', () => `Bearer ${'x'.repeat(32)}`, notified],
  ['refused by the app', '', () => undefined, () => inApp(() => null)],
  [
    'session expired',
    '',
    () => undefined,
    () => inApp(() => ({ ...ANN, expiresAt: new Date(Date.now() - 1000) })),
  ],
]

async function withAlgorithm(alg: string): Promise<string> {
  const [, ...others] = (await issuer.sign()).split('.')
  return [
    toBase64url(new TextEncoder().encode(JSON.stringify({ alg, kid: issuer.kid }))),
    ...others,
  ].join('.')
}

/** A Worker that is asked by a server with notifications. */
function notified(): Pick<TestWorker, 'fetch'> {
  const { fetch } = testWorker({ NOTIFICATION_SECRETS: 's'.repeat(32) })
  return { fetch: (_, init) => fetch('/notifications', { ...init, method: 'POST' }) }
}

/** An app that also logs to the console. */
function inApp(authenticate: () => typeof ANN | null): Pick<TestWorker, 'fetch'> {
  const app = mount({ authenticate, log: (line) => console.log(JSON.stringify(line)) })
  return { fetch: (path, init) => app.fetch(`/media${path}`, init) }
}

const ask = (authorization: string | undefined, answerer: Pick<TestWorker, 'fetch'>) =>
  answerer.fetch('/files', authorization ? { headers: { Authorization: authorization } } : {})

describe('a refusal', () => {
  it.each(CASES)(
    'for "%s%s" gives its reason, and the exact one in the log',
    async (refusal, log, authorization, answerer) => {
      const lines = captureLog()
      const sent = await authorization()
      const response = await ask(sent, answerer === null ? worker : answerer())
      const reason = REASONS[refusal]
      expect(response.status).toBe(401)
      expect(response.headers.get('WWW-Authenticate')).toBe(
        reason === 'missing' || sent === undefined ? 'Bearer' : 'Bearer error="invalid_token"',
      )
      expect(await response.json()).toEqual({
        message: MESSAGES[reason],
        code: 'unauthenticated',
        requestId: expect.any(String),
        reason,
      })
      expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ reason: refusal + log })
    },
  )

  it('is tested here for every reason', () => {
    const shown = new Set(CASES.map(([refusal]) => refusal))
    expect([...shown].toSorted()).toEqual(REFUSALS.toSorted())
  })

  // @threat probing-by-401
  it('is the same for an unknown API key and a wrong one', async () => {
    const answers = await Promise.all(
      [wrongKey, wrongKey.replace('_ci_', '_other_')].map(async (key) => {
        const response = await ask(`Bearer ${key}`, worker)
        const { requestId: _, ...body } = Object(await response.json())
        const headers = [...response.headers].filter(([name]) => name !== 'x-request-id')
        return { status: response.status, headers, body }
      }),
    )
    expect(answers[0]).toEqual(answers[1])
  })

  // @threat probing-by-401
  it('reports credentials as expired only when their signature is valid', async () => {
    const reasonOf = async (credential: string): Promise<unknown> =>
      Object(await (await ask(`Bearer ${credential}`, worker)).json()).reason
    const old = { ...GRANT, exp: PAST }
    expect(await reasonOf(await token(old))).toBe('expired')
    expect(await reasonOf(await token(old, OTHER_SECRETS))).toBe('not_accepted')
    expect(await reasonOf(await issuer.sign({ exp: PAST }))).toBe('expired')
    expect(await reasonOf(forged(await issuer.sign({ exp: PAST })))).toBe('not_accepted')
    expect(await reasonOf(await other.sign({ exp: PAST }))).toBe('not_accepted')
  })

  // @threat log-forged
  it('writes a name from the client to the log only when it is short and plain', async () => {
    const lines = captureLog()
    await ask(`Bearer ${await issuer.sign({}, { kid: 'a "\n" b' })}x`, worker)
    await ask(`Bearer ${await token(GRANT, `k'9 x:${'s'.repeat(32)}`)}`, worker)
    expect(lines.map((line) => JSON.parse(line).reason)).toEqual([
      'jwt signature wrong',
      'token secret unknown',
    ])
  })
})
