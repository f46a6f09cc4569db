import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { type BuiltWorker, startBuiltWorker } from '../e2e/built-worker.ts'
import { connectChromium } from '../e2e/chromium.ts'
import { exec } from '../e2e/package/packed.ts'
import { CHROMIUM, describeWith } from '../e2e/system-package.ts'
import { LOGIN_PROVIDERS, startIdentityPage } from './support/identity-page.ts'
import { expectLogOut, type LogOut } from './support/log-out.ts'
import { markedBlock, readPage } from './support/markdown.ts'

const JWT = z.looseObject({ issuer: z.string(), audience: z.string(), jwksUrl: z.url() })
const EVERY_SCOPE = ['files:upload', 'files:read', 'files:list', 'files:delete', 'links:create']

/**
 * What an issuer signs, as its documentation shows it: the header, and the claims of a user. The
 * issuer, and the audience as far as the page doesn't configure it there, come from the page.
 */
interface Form {
  readonly page: string
  readonly alg: 'RS256' | 'ES256'
  readonly header: object
  readonly users: readonly [ann: string, bob: string]
  claims(jwt: z.infer<typeof JWT>, sub: string): JWTPayload
  /** Claims that give the user no right, where rights come from a claim. */
  readonly withoutRights?: JWTPayload
}

const FORMS: Readonly<Record<string, Form>> = {
  // https://clerk.com/docs/guides/sessions/jwt-templates
  Clerk: {
    page: 'clerk',
    alg: 'RS256',
    header: { cat: 'cl_B7d4PD222AAA', typ: 'JWT' },
    users: ['user_1deJLArSTiWiF1YdsEWysnhJLLY', 'user_2abcdefghijklmnopqrstuvwxyz'],
    claims: (_, sub) => ({
      ...JSON.parse(markedBlock(LOGIN_PROVIDERS, 'clerk-template')),
      azp: 'http://localhost:3000',
      jti: '10db7f531a90cb2faea4',
      sub,
    }),
  },
  // https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles
  Auth0: {
    page: 'auth0',
    alg: 'RS256',
    header: { typ: 'JWT' },
    users: ['auth0|6553da60a54af58e29493993', 'google-oauth2|103547991597142817347'],
    claims: ({ audience, issuer }, sub) => ({
      sub,
      aud: [audience, `${issuer}userinfo`],
      azp: 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja',
      scope: 'openid profile email offline_access',
      permissions: EVERY_SCOPE,
    }),
    withoutRights: { permissions: [] },
  },
  'Auth0 with the RFC 9068 profile': {
    page: 'auth0',
    alg: 'RS256',
    header: { typ: 'at+jwt' },
    users: ['auth0|6553da60a54af58e29493994', 'auth0|6553da60a54af58e29493995'],
    claims: ({ audience }, sub) => ({
      sub,
      aud: audience,
      client_id: 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja',
      jti: '73WakrfVbNJBaAmhQtEeDv',
      scope: 'openid profile',
      permissions: EVERY_SCOPE,
    }),
    withoutRights: { permissions: [] },
  },
  // https://supabase.com/docs/guides/auth/jwt-fields
  Supabase: {
    page: 'supabase',
    alg: 'ES256',
    header: { typ: 'JWT' },
    users: ['123e4567-e89b-12d3-a456-426614174000', '123e4567-e89b-12d3-a456-426614174001'],
    claims: (_, sub) => ({
      sub,
      aud: 'authenticated',
      role: 'authenticated',
      aal: 'aal1',
      amr: [{ method: 'password', timestamp: 1_640_991_600 }],
      session_id: '5c1a2b9e-7c1c-4b0e-9b52-4d1f7f0f1c11',
      email: 'user@example.com',
      phone: '',
      is_anonymous: false,
      app_metadata: { provider: 'email', providers: ['email'] },
      user_metadata: { name: 'John Doe' },
    }),
  },
}

const stack = new AsyncDisposableStack()
let directory: string
let keys: Record<Form['alg'], CryptoKey>
let jwksUrl: string
const workers = new Map<string, BuiltWorker>()

/** Returns the settings of a page, as wrangler reads them. */
async function settingsOf(page: string): Promise<z.infer<typeof JWT>> {
  const config = join(directory, `${page}.toml`)
  const start = 'name = "a"\ncompatibility_date = "2026-11-01"\n'
  await writeFile(config, start + markedBlock(LOGIN_PROVIDERS, `${page}-settings`))
  return JWT.parse(unstable_readConfig({ config }, { hideWarnings: true }).vars.JWT)
}

/** Starts the Worker with the settings of a page. Only the place of the key set is another one. */
async function startWorker(
  page: string,
  changed: object = {},
  origin = 'http://nobody.test',
): Promise<BuiltWorker> {
  const folder = await mkdtemp(join(directory, 's3-'))
  const s3 = await startS3rver({ port: 0, directory: folder, corsOrigins: [origin] })
  stack.defer(() => s3.close())
  const { endpoint, region, bucket } = s3
  const worker = await startBuiltWorker({
    buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
    accessKeys: { S3: s3 },
    variables: {
      JWT: JSON.stringify({ ...(await settingsOf(page)), jwksUrl, ...changed }),
      CORS_ORIGINS: JSON.stringify([origin]),
    },
  })
  stack.defer(() => worker.close())
  return worker
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const [rsa, ec] = await Promise.all([generateKeyPair('RS256'), generateKeyPair('ES256')])
  keys = { RS256: rsa.privateKey, ES256: ec.privateKey }
  const published = [
    { ...(await exportJWK(rsa.publicKey)), use: 'sig', kid: 'RS256', alg: 'RS256' },
    { ...(await exportJWK(ec.publicKey)), use: 'sig', kid: 'ES256', alg: 'ES256', ext: true },
  ]
  const server = createServer((_, response) => {
    response.end(JSON.stringify({ keys: published }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => server[Symbol.asyncDispose]())
  jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/.well-known/jwks.json`
  for (const page of ['clerk', 'auth0', 'supabase']) workers.set(page, await startWorker(page))
})
afterAll(() => stack.disposeAsync())

/** Signs claims with the issuer's key, or with `secret` and HS256. */
async function sign({ alg, header }: Form, claims: JWTPayload, secret?: string): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const times = { iat: now, nbf: now - 5, exp: now + 600 }
  return new SignJWT({ ...times, ...claims })
    .setProtectedHeader({ ...header, ...(secret ? { alg: 'HS256' } : { alg, kid: alg }) })
    .sign(secret ? new TextEncoder().encode(secret) : keys[alg])
}

/** Calls the Worker, and returns the status and the body of its response. */
async function call(worker: BuiltWorker | undefined, token: string, path: string, body?: object) {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const init = body ? { method: 'POST', body: JSON.stringify(body) } : {}
  const response = await fetch(`${worker?.origin}${path}`, { ...init, headers })
  return { status: response.status, body: (await response.json()) as unknown }
}

const UPLOAD = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
const uploadAnswer = z.object({ uploadUrl: z.string(), key: z.string() })

describe.each(Object.entries(FORMS))('a token of %s', (_, form) => {
  const { page, users } = form
  const [ann, bob] = users
  let jwt: z.infer<typeof JWT>
  const worker = () => workers.get(page)
  const tokenOf = (sub: string, changed: JWTPayload = {}, secret?: string) =>
    sign(form, { iss: jwt.issuer, ...form.claims(jwt, sub), ...changed }, secret)

  beforeAll(async () => {
    jwt = await settingsOf(page)
  })

  it("uploads to its user's folder, and lists, shows and deletes only there", async () => {
    const token = await tokenOf(ann)
    const answer = await call(worker(), token, '/files/upload-url', UPLOAD)
    const { uploadUrl, key } = uploadAnswer.parse(answer.body)
    expect(key.startsWith(`users/${ann}/`)).toBe(true)
    const headers = { 'Content-Type': 'text/plain' }
    expect((await fetch(uploadUrl, { method: 'PUT', headers, body: 'hello' })).status).toBe(200)
    expect(await call(worker(), token, '/files', { key })).toMatchObject({
      body: { size: 5, owner: `jwt:${ann}` },
    })
    const path = `/files/${encodeURIComponent(key)}`
    const { body } = await call(worker(), token, `${path}/link`, {})
    expect(await (await fetch(z.object({ link: z.string() }).parse(body).link)).text()).toBe(
      'hello',
    )

    const other = await tokenOf(bob)
    expect((await call(worker(), other, '/files')).body).toEqual({ files: [] })
    const authorization = { Authorization: `Bearer ${other}` }
    const denied = await fetch(`${worker()?.origin}${path}`, {
      method: 'DELETE',
      headers: authorization,
    })
    expect(denied.status).toBe(403)
    expect((await call(worker(), other, `${path}/url`)).status).toBe(403)
    expect((await call(worker(), token, '/files')).body).toMatchObject({ files: [{ key }] })
  })

  it.each<readonly [string, (token: typeof tokenOf) => Promise<string>, string]>([
    [
      'has expired',
      (token) => token(ann, { exp: Math.floor(Date.now() / 1000) - 60 }),
      'jwt expired',
    ],
    [
      'has another audience',
      (token) => token(ann, { aud: 'another-api' }),
      'jwt claim not accepted: aud',
    ],
    [
      'is from another issuer',
      (token) => token(ann, { iss: 'https://evil.example/' }),
      'jwt claim not accepted: iss',
    ],
    [
      'is signed with a shared secret',
      (token) => token(ann, {}, 's'.repeat(32)),
      'jwt algorithm not allowed: HS256',
    ],
    ['names no user', (token) => token(''), 'jwt subject unusable'],
  ])('is refused if it %s', async (__, make, reason) => {
    const { status, body } = await call(worker(), await make(tokenOf), '/files')
    expect(status).toBe(401)
    const { requestId } = z.object({ requestId: z.string() }).parse(body)
    const lines = async () => ((await worker()?.logs()) ?? '').split('\n')
    const own = async () => (await lines()).find((line) => line.includes(requestId))
    await expect.poll(own).toContain(reason)
    expect((await call(worker(), await tokenOf(ann), '/files')).status).toBe(200)
  })

  it('has no rights without the claim that grants them', async () => {
    if (form.withoutRights === undefined) return
    const token = await tokenOf(ann, form.withoutRights)
    expect((await call(worker(), token, '/files/upload-url', UPLOAD)).status).toBe(403)
  })
})

/** In place of each SDK: it has `old` in its cache, and gets `new` if it must ask its server. */
const SDKS: Readonly<Record<string, string>> = {
  clerk: `export const getToken = async ({ template, skipCache }) =>
    template !== 'edge-presigner' ? 'without audience' : skipCache ? 'new' : globalThis.known`,
  auth0: `globalThis.location = { origin: 'http://localhost' }
    export class Auth0Client {
      async getTokenSilently({ authorizationParams, cacheMode }) {
        if (authorizationParams.audience !== 'https://files.example.com') return 'opaque'
        if (globalThis.known === null) throw new Error('Login required')
        return cacheMode === 'off' ? 'new' : globalThis.known
      }
    }`,
  supabase: `const session = (access_token) => ({ data: { session: access_token && { access_token } } })
    export const createClient = () => ({
      auth: {
        getSession: async () => session(globalThis.known),
        refreshSession: async () => session('new'),
        onAuthStateChange: () => undefined,
      },
    })
    export const setCurrentUser = () => undefined`,
}

describe.each(Object.entries(SDKS))('file-token.ts of %s', (page, sdk) => {
  it('asks for a new token only if the Worker has refused the one in the cache', async () => {
    const folder = await mkdtemp(join(directory, `${page}-`))
    const code = stripTypeScriptTypes(markedBlock(LOGIN_PROVIDERS, `${page}-file-token`))
    const own = code
      .replace(/from '[^.].+'/, "from './sdk.mjs'")
      .replace('/current-user', '/sdk.mjs')
    await writeFile(join(folder, 'file-token.mjs'), own)
    await writeFile(join(folder, 'sdk.mjs'), sdk)
    const run = `
      import { fileToken } from './file-token.mjs'
      globalThis.known = 'old'
      console.log(await fileToken(), await fileToken('older'), await fileToken('old'))
      globalThis.known = null
      await fileToken().then((token) => console.log(token), ({ message }) => console.log(message))`
    await writeFile(join(folder, 'run.mjs'), run)
    const printed = (await exec(folder, process.execPath, 'run.mjs')).trimEnd().split('\n')
    const loggedOut = page === 'auth0' ? 'Login required' : 'Log in to use your files.'
    expect(printed).toEqual(['old old new', loggedOut])
  })
})

describeWith([CHROMIUM], 'the page with the login', () => {
  // @threat other-user-in-browser
  it.each([
    ['clerk', 'Clerk'],
    ['auth0', 'Auth0'],
    ['supabase', 'Supabase'],
  ])('of %s sends nothing more after a log-out, in one tab and in two', async (page, name) => {
    const form = FORMS[name]
    if (!form) throw new Error(name)
    const port = await freePort()
    const url = `http://localhost:${port}`
    const worker = await startWorker(page, {}, url)
    const jwt = await settingsOf(page)
    const tokenFor = (user: string) => sign(form, { iss: jwt.issuer, ...form.claims(jwt, user) })
    await using own = new AsyncDisposableStack()
    own.use(await startIdentityPage(page, { worker: worker.origin, port }, tokenFor))
    const browser = await connectChromium()
    own.defer(() => browser.close())
    const logIn: LogOut['logIn'] = async (user, context, tab) => {
      await context.addCookies([{ name: 'user', value: user, url }])
      await tab?.evaluate((id) => Reflect.get(globalThis, 'setUser')(id), user)
    }
    for (const tabs of [1, 2] as const) await expectLogOut({ browser, url, logIn }, tabs)
  })
})

describe('the other settings that the pages name', () => {
  const form = (name: keyof typeof FORMS): Form => {
    const found = FORMS[name]
    if (!found) throw new Error(`no ${name}`)
    return found
  }
  /** Returns the settings, of which `changed` are those in a code span of the page. */
  const shown = (span: string): void => expect(readPage(LOGIN_PROVIDERS)).toContain(`\`${span}\``)

  it("Clerk's organization is a folder, and a user without one is refused", async () => {
    shown('prefix = "orgs/{org}/"')
    const clerk = form('Clerk')
    const worker = await startWorker('clerk', { prefix: 'orgs/{org}/' })
    const { issuer: iss, ...jwt } = { ...(await settingsOf('clerk')) }
    const claims = { iss, ...clerk.claims({ issuer: iss, ...jwt }, clerk.users[0]) }
    const answer = await call(
      worker,
      await sign(clerk, { ...claims, org: 'org_123' }),
      '/files/upload-url',
      UPLOAD,
    )
    expect(uploadAnswer.parse(answer.body).key).toMatch(/^orgs\/org_123\//)
    expect((await call(worker, await sign(clerk, { ...claims, org: null }), '/files')).status).toBe(
      401,
    )
  })

  it.each([
    ['clerk', 'Clerk', 'file_scopes', (scopes: unknown) => ({ file_scopes: scopes })],
    [
      'supabase',
      'Supabase',
      'app_metadata.file_scopes',
      (scopes: unknown) => ({ app_metadata: { provider: 'email', file_scopes: scopes } }),
    ],
  ] as const)(
    '%s: rights come from a claim that users can’t change',
    async (page, name, scopesClaim, claim) => {
      shown(`scopesClaim = "${scopesClaim}"`)
      const { users, ...rest } = form(name)
      const jwt = await settingsOf(page)
      const worker = await startWorker(page, { scopes: undefined, scopesClaim })
      const claims = { iss: jwt.issuer, ...rest.claims(jwt, users[0]) }
      const status = async (changed: object) =>
        (
          await call(
            worker,
            await sign(form(name), { ...claims, ...changed }),
            '/files/upload-url',
            UPLOAD,
          )
        ).status
      expect(await status(claim(['files:upload']))).toBe(200)
      expect(await status(claim(null))).toBe(403)
      expect(await status({})).toBe(403)
    },
  )
})
