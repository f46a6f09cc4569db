import { describe, expect, it, vi } from 'vitest'
import type { Issue } from '../../src/errors/api-error.ts'
import { isPresignerError } from '../../src/errors/api-error.ts'
import { defineSettings, loadedBy } from '../../src/settings/define.ts'
import type { SettingsInput } from '../../src/settings/input.ts'

const CANARY = 'canary'

/** The minimal settings. */
const least = (): SettingsInput => ({
  buckets: {
    files: {
      endpoint: 'https://s3.eu-central-1.amazonaws.com',
      region: 'eu-central-1',
      bucket: 'acme-files',
      credentials: { accessKeyId: `${CANARY}-id`, secretAccessKey: `${CANARY}-secret` },
    },
  },
  signingSecrets: `k1:${CANARY}-0123456789abcdef0123456789ab`,
})

const load = (changes: object) => defineSettings(() => ({ ...least(), ...changes }))({})

function issuesOf(changes: object): readonly Issue[] {
  const loaded = loadedBy(
    defineSettings(() => ({ ...least(), ...changes })),
    {},
  )
  if (loaded.ok) throw new Error('These settings must not load.')
  expect(JSON.stringify(loaded.issues).toLowerCase()).not.toContain(CANARY)
  return loaded.issues
}

const paths = (changes: object): string[] => issuesOf(changes).map(({ path }) => path)

const withFiles = (changes: object) => ({
  buckets: { files: { ...least().buckets.files, ...changes } },
})

describe('settings in code', () => {
  it('have defaults for everything except buckets and secrets', () => {
    expect(load({})).toMatchObject({
      buckets: [{ alias: 'files', origin: 'https://s3.eu-central-1.amazonaws.com' }],
      signingSecrets: [{ name: '', kid: 'k1' }],
      corsOrigins: [],
      corsCookieOrigins: [],
      linkBase: null,
      linkHostOnly: false,
      openOnLocalhost: false,
    })
  })

  it('give every signing secret the name of the instance', () => {
    const secret = '0123456789abcdef0123456789abcdef'
    const { signingSecrets } = load({ name: 'media', signingSecrets: `k2:${secret}, k1:${secret}` })
    expect(signingSecrets).toEqual([
      { name: 'media', kid: 'k2', secret },
      { name: 'media', kid: 'k1', secret },
    ])
  })

  it.each(['Media', 'a/b', 'a b', 'a'.repeat(33), 'é'])('refuse the name %j', (name) => {
    expect(paths({ name })).toEqual(['name'])
  })

  it.each([
    'https://app.example.com',
    'https://app.example.com/media',
    'http://localhost:8787/t/a%20b',
  ])('accept the link base %j', (linkBase) => {
    expect(load({ linkBase }).linkBase).toBe(linkBase)
  })

  it.each([
    'https://app.example.com/',
    'https://app.example.com/media/',
    'https://app.example.com/media?x=1',
    'https://app.example.com/a/../media',
    'https://user@app.example.com/media',
    'https://app.example.com//media',
    'ftp://app.example.com/media',
    '/media',
  ])('refuse the link base %j', (linkBase) => {
    expect(paths({ linkBase })).toEqual(['linkBase'])
  })

  it('need a link base for a host that serves only links', () => {
    expect(issuesOf({ linkHostOnly: true })).toEqual([
      { path: '', message: 'linkHostOnly needs a linkBase' },
    ])
  })

  it('keep the expiry of temporary credentials', () => {
    const credentials = {
      accessKeyId: 'id',
      secretAccessKey: 'secret',
      sessionToken: 'token',
      expiresAt: new Date('2026-11-25T12:00:00Z'),
    }
    expect(load(withFiles({ credentials })).buckets[0].credentials).toEqual({
      ...credentials,
      expiresAt: Date.UTC(2026, 10, 25, 12),
    })
  })

  it.each([
    ['credentials', { accessKeyId: '', secretAccessKey: 'canary' }, 'credentials.accessKeyId'],
    ['credentials', { accessKeyId: 'canary' }, 'credentials.secretAccessKey'],
    [
      'credentials',
      { accessKeyId: 'canary', secretAccessKey: 'your-secret-access-key' },
      'credentials.secretAccessKey',
    ],
    ['credentials', undefined, 'credentials'],
    ['credentials', 'CANARY', 'credentials'],
    [
      'credentials',
      { accessKeyId: 'a', secretAccessKey: 'b', expiresAt: new Date('x') },
      'credentials.expiresAt',
    ],
    ['uploadCredentials', {}, 'uploadCredentials.accessKeyId'],
    ['endpoint', 'canary', 'endpoint'],
    ['edgeTtl', '1', 'edgeTtl'],
  ])('refuse a bucket whose %s is %j', (member, value, path) => {
    expect(paths(withFiles({ [member]: value }))).toContain(`buckets.files.${path}`)
  })

  it('report all issues at once, including unknown members', () => {
    expect(
      paths({
        ...withFiles({ region: 'Canary !', maxbytes: 1 }),
        signingSecrets: 'canary',
        jwks: 1,
      }),
    ).toEqual(['', 'buckets.files', 'buckets.files.region', 'signingSecrets'])
  })

  it.each([
    [
      withFiles({ credentials: 'CANARY' }),
      'must be an object: { accessKeyId, secretAccessKey, sessionToken, expiresAt }',
    ],
    [withFiles({ region: 1 }), 'must be a string'],
    [withFiles({ allowedTypes: 'image/*' }), 'must be an array'],
    [{ buckets: [] }, 'must be an object'],
    [
      { buckets: undefined },
      'is missing. Add one: { files: { endpoint, region, bucket, credentials } }.',
    ],
    [
      { corsOrigins: 'https://canary.example' },
      'must be an array, such as ["https://app.example.com"]',
    ],
    [
      { buckets: { files: 'canary' } },
      expect.stringMatching(/^must be an object: \{ endpoint, publicEndpoint, /),
    ],
    [{ signingSecrets: 1 }, expect.stringContaining('openssl rand -hex 32')],
  ])('describe issues in the terms of TypeScript: %#', (changes, message) => {
    expect(issuesOf(changes).map((issue) => issue.message)).toEqual([message])
  })

  it('sign for the public endpoint when clients reach the bucket by another host', () => {
    const [bucket] = load(
      withFiles({ endpoint: 'http://minio:9000/s3', publicEndpoint: 'https://files.example.com' }),
    ).buckets
    expect(bucket).toMatchObject({
      origin: 'http://minio:9000',
      basePath: '/s3/acme-files/',
      publicAddress: { origin: 'https://files.example.com', basePath: '/acme-files/' },
    })
  })

  it.each(['endpoint', 'publicEndpoint'])('recognize a server by its %s', (member) => {
    const endpoints = { endpoint: 'http://proxy:9000', publicEndpoint: 'https://files.example.com' }
    const of = (endpoint: string) =>
      load(withFiles({ ...endpoints, [member]: endpoint })).buckets[0]
    expect(of('https://account.r2.cloudflarestorage.com')).toMatchObject({
      postUploads: false,
      normalizesKeys: true,
      conditionalComplete: false,
    })
    expect(of('https://s3.eu-central-1.amazonaws.com')).toMatchObject({
      postUploads: true,
      normalizesKeys: false,
      conditionalComplete: true,
    })
  })

  it('throw an error with a code and the issues', () => {
    try {
      load({ signingSecrets: 'canary' })
      expect.unreachable()
    } catch (error) {
      expect(isPresignerError(error)).toBe(true)
      expect(error).toMatchObject({
        code: 'misconfigured',
        issues: [{ path: 'signingSecrets' }],
        message: expect.stringContaining('signingSecrets must be kid:secret'),
      })
    }
  })
})

describe('a settings function', () => {
  // @threat environment-mixed
  it('runs once for each environment', () => {
    const read = vi.fn((env: { secret: string }) => ({ ...least(), signingSecrets: env.secret }))
    // Its length is 0, as if it accepted no arguments.
    const settingsFor = defineSettings((...given: [{ secret: string }]) => read(...given))
    const [one, other] = ['1', '2'].map((digit) => ({ secret: `k1:${digit.repeat(32)}` }))
    if (one === undefined || other === undefined) throw new Error('There are two.')
    expect(settingsFor(one)).toBe(settingsFor(one))
    expect(settingsFor(other).signingSecrets[0].secret).toBe('2'.repeat(32))
    expect(read).toHaveBeenCalledTimes(2)
  })

  it('runs once for what is no object, as in a signer without an environment', () => {
    const read = vi.fn(least)
    const settingsFor = defineSettings(read)
    expect(settingsFor(undefined)).toBe(settingsFor(null))
    expect(read).toHaveBeenCalledOnce()
  })

  it.each([
    ['throws', () => new Error('not yet')],
    ['returns invalid settings', () => null],
  ])('that %s runs again', (_, fail) => {
    const failure = fail()
    let fails = true
    const settingsFor = defineSettings(() => {
      if (fails && failure !== null) throw failure
      return fails ? { ...least(), signingSecrets: '' } : least()
    })
    const env = {}
    expect(loadedBy(settingsFor, env).ok).toBe(false)
    fails = false
    expect(settingsFor(env)).toBe(settingsFor(env))
  })

  it('is reported once if each request has its own environment', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const settingsFor = defineSettings(least)
    for (let i = 0; i < 99; i++) settingsFor({})
    expect(warn).not.toHaveBeenCalled()
    for (let i = 0; i < 200; i++) settingsFor({})
    expect(warn.mock.calls.map(([line]) => JSON.parse(line))).toEqual([
      {
        warning: 'each request has its own environment',
        reason: 'pass a value instead of a function',
      },
    ])
    warn.mockRestore()
  })

  it('that throws leaves the presigner misconfigured, and only the log has its message', () => {
    const settingsFor = defineSettings((env: { a: { b: string } }) => ({
      ...least(),
      signingSecrets: env.a.b,
    }))
    expect(loadedBy(settingsFor, Object({}))).toEqual({
      ok: false,
      issues: [{ path: 'settings', message: 'could not be read: TypeError' }],
      thrown: [expect.stringMatching(/^TypeError: Cannot read [^\n]+\n\s+at /)],
    })
  })
})

it.each([least(), defineSettings(least())({}), undefined])(
  'settings that did not go through defineSettings are named, case %#',
  (given) => {
    expect(loadedBy(given as never, {})).toEqual({
      ok: false,
      issues: [{ path: 'settings', message: 'must be from defineSettings' }],
    })
  },
)

it('settings that are not a function apply to every environment', () => {
  const settingsFor = defineSettings(least())
  expect(settingsFor({})).toBe(settingsFor({}))
  expect(settingsFor(undefined)).toBe(settingsFor({}))
})
