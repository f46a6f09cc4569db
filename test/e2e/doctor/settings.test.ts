import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { UsageError } from '../../../cli/command.ts'
import { CHANGED_SETTINGS } from '../../../cli/doctor/changed-settings.ts'
import {
  checkable,
  checkSettings,
  dropBoxOrigins,
  namedCredentials,
  readEnvironment,
  writtenFor,
} from '../../../cli/doctor/environment.ts'
import { variableRules } from '../../../src/worker/variables.ts'
import { type Variables, variables } from './run.ts'

const BINDINGS = `
name = "test"
main = "worker.js"
compatibility_date = "2026-11-01"
[[kv_namespaces]]
binding = "FILE_INDEX"
[[ratelimits]]
name = "RATE_LIMITER"
namespace_id = "1"
simple = { limit = 30, period = 10 }
`

describe('doctor, for settings,', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  const good = variables('https://s3.example.com')

  async function environment(settings: Variables, toml = BINDINGS) {
    const config = join(directory, 'wrangler.toml')
    const envFile = join(directory, 'worker.env')
    const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`)
    await writeFile(config, toml)
    await writeFile(envFile, lines.join(''))
    return readEnvironment({ config, envFile })
  }

  const findings = async (settings: Variables, toml?: string) =>
    checkSettings(await environment(settings, toml))

  const finding = async (check: string, settings: Variables, toml?: string) =>
    (await findings(settings, toml)).find((one) => one.check === `settings.${check}`)

  it('passes valid settings', async () => {
    const found = await findings(good)
    expect(found.map(({ check, status }) => `${check} ${status}`)).toEqual([
      'settings.valid pass',
      'settings.signing-secrets pass',
      'settings.access pass',
      'settings.open-access pass',
      'settings.jwks skip',
      'settings.rate-limit pass',
      'settings.cors-origins pass',
    ])
    expect(JSON.stringify(found)).toContain('30 requests in 10 seconds')
  })

  it('names every error at once, with the messages of /healthz, and shows no value', async () => {
    const broken = { ...good, SIGNING_SECRETS: 'k1:short-secret', API_KEYS: '[{"id": "ci"}]' }
    const worker = await environment(broken, 'name = "test"\ncompatibility_date = "2026-11-01"\n')
    if (worker.loaded.ok) throw new Error('These settings are not valid.')
    const found = await checkSettings(worker)
    expect(found.map(({ message }) => message)).toEqual(
      worker.loaded.issues.map(({ path, message }) => `${path} ${message}`),
    )
    const paths = found.map(({ subject }) => subject)
    for (const path of ['SIGNING_SECRETS', 'API_KEYS.0.sha256', 'FILE_INDEX', 'RATE_LIMITER'])
      expect(paths).toContain(path)
    expect(found.every(({ status, fix }) => status === 'fail' && fix !== null)).toBe(true)
    expect(JSON.stringify(found)).not.toContain('short-secret')
  })

  it.each([
    ['WEBHOOKS', '[{"url": "http://app.example.com"}]', 'WEBHOOKS.0.url', 'worker.env'],
    ['WEBHOOKS', '[{"url": "https://app.example.com"}]', 'WEBHOOKS.0.secret', 'worker.env'],
    ['IMAGE_WIDTHS', '[320, 320]', 'IMAGE_WIDTHS', 'wrangler.toml'],
    ['IMAGE_WIDTHS', '[5000]', 'IMAGE_WIDTHS.0', 'wrangler.toml'],
    ['NOTIFICATION_SECRETS', 'short-secret', 'NOTIFICATION_SECRETS', 'worker.env'],
    ['NOTIFICATION_SECRET', 'x'.repeat(32), 'NOTIFICATION_SECRETS', 'worker.env'],
  ])('names a mistake in an option of a plugin: %s=%s', async (name, value, path, file) => {
    const found = await findings({ ...good, [name]: value })
    const failed = found.filter(({ status }) => status === 'fail')
    expect(failed.map(({ check }) => check)).toContain('settings.valid')
    expect(failed.map(({ subject }) => subject)).toContain(path)
    for (const { fix } of failed) expect(fix).toContain(file)
    expect(JSON.stringify(failed)).not.toContain('short-secret')
  })

  it('finds the buckets that are valid, whatever else is not', async () => {
    const { files } = JSON.parse(good.BUCKETS ?? '')
    const BUCKETS = JSON.stringify({
      files,
      ...{ other: { ...files, credentials: 'NONE' }, odd: { ...files, region: 5 } },
    })
    const invalid = {
      ...{ SIGNING_SECRETS: 'short', API_KEYS: '{', JWT: '[]', LINK_ORIGIN: 'x', OPEN_ACCESS: 'x' },
      ...{ WEBHOOKS: '{', IMAGE_WIDTHS: '5', NOTIFICATION_SECRET: 'short' },
    }
    const found = async (settings: Variables) => {
      const { buckets, corsOrigins } = checkable(await environment(settings, 'name = "test"\n'))
      return [buckets.map(({ alias }) => alias), corsOrigins]
    }
    const origins = ['https://app.example.com']
    expect(await found({ ...good, ...invalid, BUCKETS })).toEqual([['files'], origins])
    for (const wrong of [
      { CORS_ORIGINS: '5' },
      { CORS_ORIGINS: '', CORS_ORIGIN: 'https://a.test' },
    ])
      expect(await found({ ...good, ...wrong })).toEqual([['files'], []])
    for (const none of ['', '5', '{', '{"files": 5}'])
      expect(await found({ ...good, BUCKETS: none })).toEqual([[], []])
  })

  it('says where to add or change a secret', async () => {
    const broken = { ...good, SIGNING_SECRETS: 'short', S3_SECRET_ACCESS_KEY: '' }
    const fixes = (await findings(broken)).map(({ subject, fix }) => [subject, fix])
    const from = `${join(directory, 'worker.env')}, from which doctor reads it.`
    expect(fixes).toContainEqual(['S3_SECRET_ACCESS_KEY', `Add it to ${from}`])
    const messages = (await findings(broken)).map(({ message }) => message)
    expect(messages).toContain('S3_SECRET_ACCESS_KEY is missing.')
    expect(fixes).toContainEqual(['SIGNING_SECRETS', `Change it in ${from}`])
  })

  it.each([
    [
      'a variable in wrangler.toml',
      { was: 'OLD_ORIGINS', now: 'CORS_ORIGINS' },
      ['OLD_ORIGINS', 'OLD_ORIGINS was renamed to CORS_ORIGINS in version 0.2.0.', 'wrangler.toml'],
    ],
    [
      'a secret',
      { was: 'OLD_SECRET', now: 'SIGNING_SECRETS' },
      ['OLD_SECRET', 'OLD_SECRET was renamed to SIGNING_SECRETS in version 0.2.0.', 'worker.env'],
    ],
    [
      'a member of each bucket',
      { was: 'BUCKETS.*.place', now: 'BUCKETS.*.region' },
      [
        'BUCKETS.files.place',
        'BUCKETS.files.place was renamed to BUCKETS.files.region in version 0.2.0.',
        'worker.env',
      ],
    ],
    [
      'a member of a list',
      { was: 'API_KEYS.*.hash', now: null },
      ['API_KEYS.0.hash', 'API_KEYS.0.hash was removed in version 0.2.0.', 'worker.env'],
    ],
  ])('names a setting that a version has changed: %s', async (_, change, [path, message, file]) => {
    const settings = {
      ...good,
      OLD_SECRET: `k1:${'0'.repeat(32)}`,
      BUCKETS: (good.BUCKETS ?? '').replace('"region"', '"place":"x","region"'),
      API_KEYS: (good.API_KEYS ?? '').replace('"id"', '"hash":"x","id"'),
    }
    const toml = `${BINDINGS}\n[vars]\nOLD_ORIGINS = "https://app.example.com"\n`
    const worker = await environment(settings, toml)
    const found = await checkSettings(worker, [{ version: '0.2.0', ...change }])
    const [first, ...others] = found.filter(({ check }) => check === 'settings.changed')
    expect(others).toEqual([])
    expect(first).toMatchObject({ status: 'fail', subject: path, message })
    const verb = change.now === null ? 'Remove it from' : 'Rename it in'
    expect(first?.fix).toBe(`${verb} ${join(directory, file ?? '')}.`)
    const unknown = found.filter(({ check }) => check === 'settings.unknown')
    expect(unknown.map(({ subject }) => subject)).not.toContain(path)
    const [advised] = await checkSettings(worker, [
      { version: '0.2.0', ...change, advice: 'Use the new one.' },
    ])
    expect(advised?.fix).toBe('Use the new one.')
  })

  it('names no changed setting of a project that uses none, and knows each new name', async () => {
    expect(await finding('changed', good)).toBeUndefined()
    const settings = Object.keys(variableRules({}))
    for (const { was, now } of CHANGED_SETTINGS) {
      expect(settings).not.toContain(was)
      if (now !== null) expect(settings).toContain(now.replace(/\..*/, ''))
    }
  })

  it('warns of names that are no setting, also when the others are invalid', async () => {
    const found = await findings({
      BUCKET: 'secret-value',
      CORS_ORIGNS: 'a',
      S3_ACCES_KEY_ID: 'a',
      SOMETHING: 'a',
      EMPTY: '',
      S3_SESSION_TOKEN: 'a',
      ADMIN_ACCESS_KEY_ID: 'a',
      API_KEYS_LIST_ci_0a1b2c3d: 'a',
      CLOUDFLARE_API_TOKEN: 'a',
    })
    const unknown = found.filter(({ check }) => check === 'settings.unknown')
    const file = join(directory, 'worker.env')
    expect(unknown.map(({ status, message }) => [status, message])).toEqual([
      ['warn', `${file} sets BUCKET, which is no setting. Did you mean BUCKETS?`],
      ['warn', `${file} sets CORS_ORIGNS, which is no setting. Did you mean CORS_ORIGINS?`],
      ['warn', `${file} sets S3_ACCES_KEY_ID, which is no setting. Did you mean S3_ACCESS_KEY_ID?`],
      ['warn', `${file} sets SOMETHING, which is no setting.`],
    ])
    expect(found.some(({ check }) => check === 'settings.valid')).toBe(true)
    expect(JSON.stringify(unknown)).not.toContain('secret-value')
  })

  it('knows every setting of the Worker', async () => {
    const all = { ...good, JWT: '', LINK_ORIGIN: 'a', OPEN_ACCESS: 'a', CORS_COOKIE_ORIGINS: 'a' }
    expect((await findings(all)).map(({ check }) => check)).not.toContain('settings.unknown')
  })

  it('reads [vars], and lets the env file override them', async () => {
    const toml = `${BINDINGS}\n[vars]\nCORS_ORIGINS = ["https://a.example"]\n`
    const { CORS_ORIGINS: _, ...withoutOrigins } = good
    expect((await finding('cors-origins', withoutOrigins, toml))?.message).toBe('https://a.example')
    expect((await finding('cors-origins', good, toml))?.message).toBe('https://app.example.com')
  })

  it('reads an environment of wrangler.toml, with its own variables', async () => {
    const config = join(directory, 'environments.toml')
    await writeFile(
      config,
      `${BINDINGS}\n[env.live.vars]\nLINK_ORIGIN = "https://img.example.com"\n[[env.live.kv_namespaces]]\nbinding = "FILE_INDEX"\n`,
    )
    const warnings = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    const { env } = await readEnvironment({ config, environment: 'live', envFile: undefined })
    warnings.mockRestore()
    expect(env).toMatchObject({ LINK_ORIGIN: 'https://img.example.com', FILE_INDEX: {} })
    expect(env).not.toHaveProperty('RATE_LIMITER')
  })

  it('knows the origin of the pages of drop boxes, if wrangler.toml declares their class', async () => {
    const url = 'https://files.example.workers.dev'
    const link = { ...good, LINK_ORIGIN: 'https://links.example.com' }
    const origins = async (settings: Variables, declared: string, at?: string) =>
      dropBoxOrigins(await environment(settings, `${BINDINGS}\n${declared}`), at)
    const block = '[exports.DropBoxes]\ntype = "durable-object"\nstorage = "sqlite"\n'
    const migration = '[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Chat", "DropBoxes"]\n'
    for (const declared of [block, migration]) {
      expect(await origins(link, declared, url)).toEqual([link.LINK_ORIGIN])
      expect(await origins(good, declared, url)).toEqual([url])
      expect(await origins(good, declared)).toEqual([])
      expect(await origins({ ...link, API_KEYS: '{' }, declared)).toEqual([])
    }
    for (const declared of ['', block.replace('DropBoxes', 'Grants')])
      expect(await origins(link, declared, url)).toEqual([])
  })

  it('warns about a secret with repetitions', async () => {
    const settings = { ...good, SIGNING_SECRETS: `k1:${'abcd'.repeat(8)}` }
    expect(await finding('signing-secrets', settings)).toMatchObject({ status: 'warn' })
  })

  it('warns when no credentials are configured', async () => {
    expect(await finding('access', { ...good, API_KEYS: '[]' })).toMatchObject({ status: 'warn' })
  })

  it('warns when API keys may choose keys and the index is in Workers KV', async () => {
    const keys = [{ id: 'chooser', sha256: 'b'.repeat(64), scopes: ['keys:choose'], prefix: '' }]
    const settings = { ...good, API_KEYS: JSON.stringify(keys) }
    expect(await finding('access', settings)).toMatchObject({
      status: 'warn',
      message: expect.stringContaining('chooser'),
    })
    const d1 = `${BINDINGS}\n[[d1_databases]]\nbinding = "FILES_DB"\ndatabase_name = "files"\n`
    expect(await finding('access', settings, d1)).toMatchObject({ status: 'pass' })
  })

  it('uses the API keys of api-keys.json, as `npx edge-presigner keys push` does, unless API_KEYS is set', async () => {
    const file = join(directory, 'api-keys.json')
    const key = { id: 'filed', sha256: 'b'.repeat(64), scopes: ['files:read'], prefix: '' }
    await writeFile(file, JSON.stringify([key]))
    try {
      const { API_KEYS: _, ...withoutKeys } = good
      const { env } = await environment(withoutKeys)
      expect(env.API_KEYS).toContain('filed')
      expect(await finding('access', withoutKeys)).toMatchObject({
        status: 'pass',
        message: '1 API key. No prefix: filed.',
      })
      expect((await environment(good)).env.API_KEYS).toBe(good.API_KEYS)
    } finally {
      await rm(file)
    }
  })

  it('fails when a deploy would include OPEN_ACCESS, and warns when it is only local', async () => {
    const toml = `${BINDINGS}\n[vars]\nOPEN_ACCESS = "localhost"\n`
    expect(await finding('open-access', good, toml)).toMatchObject({ status: 'fail' })
    const local = { ...good, OPEN_ACCESS: 'localhost' }
    expect(await finding('open-access', local)).toMatchObject({ status: 'warn' })
  })

  it('skips the origins when there are none', async () => {
    const settings = { ...good, CORS_ORIGINS: '[]' }
    expect(await finding('cors-origins', settings)).toMatchObject({ status: 'skip' })
  })

  const jwt = (jwksUrl: string): Variables => ({
    ...good,
    JWT: JSON.stringify({
      issuer: 'https://issuer.example.com',
      audience: 'files',
      algorithms: ['ES256'],
      prefix: 'users/{sub}/',
      scopes: ['files:read'],
      jwksUrl,
    }),
  })

  it.each([
    ['passes', 'a key set', 200, 'ES256', /1 key for ES256/],
    ['fails', 'a key set with other keys', 200, 'RS256', /no key for ES256/],
    ['fails', 'an error', 500, 'ES256', /can't be read: status 500/],
    ['fails', 'a page', 200, null, /can't be read: SyntaxError/],
  ])('%s the issuer that answers with %s', async (verdict, _, status, alg, said) => {
    await using issuer = await keySetServer(status, alg)
    const found = await finding('jwks', jwt(issuer.url))
    expect(found).toMatchObject({
      status: verdict.replace(/e?s$/, ''),
      message: expect.stringMatching(said),
    })
    expect(JSON.stringify(found)).not.toContain('hidden')
  })

  it('fails the issuer that does not answer', async () => {
    expect(await finding('jwks', jwt('http://127.0.0.1:9/hidden'))).toMatchObject({
      status: 'fail',
    })
  })

  it('returns the names of the pairs, and finds another pair by its name', async () => {
    const worker = await environment({
      ...good,
      ADMIN_ACCESS_KEY_ID: 'id',
      ADMIN_SECRET_ACCESS_KEY: 'secret',
    })
    expect(writtenFor(worker, 'files')).toEqual({
      endpoint: 'https://s3.example.com',
      reads: 'S3',
      uploads: 'S3_WRITE',
    })
    expect(namedCredentials(worker, 'ADMIN')).toMatchObject({ accessKeyId: 'id' })
    expect(() => namedCredentials(worker, 'OTHER')).toThrow(/OTHER_ACCESS_KEY_ID is missing/)
  })

  it.each([
    ['a missing configuration', { config: 'missing.toml' }, /no such file/],
    ['a missing env file', { envFile: 'missing.env' }, /ENOENT/],
    ['a missing environment', { environment: 'live' }, /no \[env\.live\]/],
  ])('refuses %s in one line', async (_, sources, said) => {
    const config = join(directory, 'good.toml')
    await writeFile(config, BINDINGS)
    const warnings = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    const read = readEnvironment({ config, ...sources })
    await expect(read).rejects.toThrow(UsageError)
    await expect(read).rejects.toThrow(said)
    warnings.mockRestore()
  })

  it('shows nothing of a configuration that is not TOML', async () => {
    const read = environment(good, 'SECRET = "hidden\nvars = [')
    await expect(read).rejects.toThrow(UsageError)
    await expect(read).rejects.not.toThrow(/hidden/)
  })
})

/** An issuer whose key set has one key for `alg`. With null, it answers with a page. */
async function keySetServer(status: number, alg: string | null) {
  const keyPair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])
  const jwk = await crypto.subtle.exportKey('jwk', keyPair.publicKey)
  const body = alg === null ? '<html>' : JSON.stringify({ keys: [{ ...jwk, alg }] })
  const server = createServer((_, response) => response.writeHead(status).end(body))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/hidden/jwks.json`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
