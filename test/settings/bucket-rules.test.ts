import { describe, expect, it } from 'vitest'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { fullVariables, issuesIn, leastVariables, loads } from './variables.ts'

const paths = (variables: object): string[] => issuesIn(variables).map(({ path }) => path)

/** Returns the full configuration with changes to its table "files". */
function withBucket(changes: Record<string, unknown>) {
  const variables = fullVariables()
  Object.assign(variables.BUCKETS.files ?? {}, changes)
  return variables
}

const withVariables = (changes: Record<string, unknown>) => ({ ...fullVariables(), ...changes })

describe('a table of BUCKETS', () => {
  it.each([
    ['endpoint', 'canary'],
    ['endpoint', 'ftp://canary.example.com'],
    ['endpoint', 'https://user:canary@example.com'],
    ['endpoint', 'https://canary@example.com'],
    ['endpoint', 'https://example.com/?canary=1'],
    ['endpoint', 'https://example.com?'],
    ['endpoint', 'https://example.com/#canary'],
    ['endpoint', 'https://example.com/canary path'],
    ['endpoint', 'https://example.com/can%61ry'],
    ['endpoint', 42],
    ['publicEndpoint', 'canary'],
    ['publicEndpoint', 'ftp://canary.example.com'],
    ['publicEndpoint', 'https://user:canary@example.com'],
    ['publicEndpoint', 'https://example.com/?canary=1'],
    ['publicEndpoint', ''],
    ['region', 'Canary East'],
    ['region', ''],
    ['bucket', 'canary/other'],
    ['bucket', '..'],
    ['bucket', '.canary'],
    ['bucket', 'c'],
    ['addressing', 'Canary'],
    ['credentials', 'canary'],
    ['credentials', '__proto__'],
    ['credentials', 'AKIAIOSFODNN7EXAMPLE'],
    ['uploadCredentials', 'ASIAIOSFODNN7EXAMPLE'],
    ['uploadCredentials', 'canary'],
    ['maxBytes', '100'],
    ['maxBytes', 0],
    ['maxBytes', 1.5],
    ['managedPrefixes', 'canary/'],
    ['allowedTypes', []],
    ['allowedTypes', 'canary/*'],
    ['maxExpiresIn', 60],
    ['defaultExpiresIn', 60],
    ['edgeTtl', -1],
    ['edgeTtl', 31_536_001],
    ['edgeTtl', 'canary'],
    ['crossOriginResourcePolicy', 'canary'],
  ])('has a valid %s, not %j', (name, value) => {
    const changes = { addressing: 'path', [name]: value }
    expect(paths(withBucket(changes))).toEqual([`BUCKETS.files.${name}`])
  })

  it('lists managed prefixes that are empty or end with a slash', () => {
    for (const prefix of ['canary', '../canary/', '/', 'canary//', 'e\u0301/'])
      expect(paths(withBucket({ managedPrefixes: ['avatars/', prefix] }))).toEqual([
        'BUCKETS.files.managedPrefixes.1',
      ])
    expect(loadEnvironment(withBucket({ managedPrefixes: ['', 'avatars/', 'a/b/'] })).ok).toBe(true)
  })

  it('lists types as type/subtype or type/*', () => {
    for (const type of ['canary', '*/*', 'canary/', '/canary', 'image/can*', 'a/b;canary=1'])
      expect(paths(withBucket({ allowedTypes: ['image/png', type] })), type).toEqual([
        'BUCKETS.files.allowedTypes.1',
      ])
  })

  it.each([
    ['upload', 3601],
    ['view', 604_801],
    ['stream', 0],
    ['email', -1],
    ['link', 31_536_001],
    ['view', 1.5],
    ['view', 'canary'],
  ])('limits "%s" within bounds, not to %j', (use, seconds) => {
    expect(paths(withBucket({ maxExpiresIn: { [use]: seconds } }))).toEqual([
      `BUCKETS.files.maxExpiresIn.${use}`,
    ])
  })

  it.each([
    ['upload', 0],
    ['upload', 3601],
    ['view', 604_801],
    ['email', 1.5],
    ['link', 15_768_001],
    ['stream', 'canary'],
  ])('sets the default of "%s" within bounds, not to %j', (use, seconds) => {
    expect(paths(withBucket({ defaultExpiresIn: { [use]: seconds } }))).toEqual([
      `BUCKETS.files.defaultExpiresIn.${use}`,
    ])
  })

  it.each([
    ['upload', 601, 'at most 600, maxExpiresIn.upload'],
    ['view', 3601, 'at most 3600, maxExpiresIn.view'],
    ['link', 1_296_001, 'at most 1296000, half of maxExpiresIn.link'],
  ])('has no default for "%s" above its own limit', (use, seconds, words) => {
    const issues = issuesIn(withBucket({ defaultExpiresIn: { [use]: seconds } }))
    expect(issues).toEqual([{ path: 'BUCKETS.files', message: expect.stringContaining(words) }])
    const fits = withBucket({ defaultExpiresIn: { [use]: seconds - 1 } })
    expect(loadEnvironment(fits).ok).toBe(true)
  })

  it('caps a default that it does not set at its limit', () => {
    const changes = { defaultExpiresIn: undefined, maxExpiresIn: { view: 60, link: 60 } }
    expect(loadEnvironment(withBucket(changes)).ok).toBe(true)
  })

  it.each(['endpoint', 'region', 'bucket', 'credentials'])('must have %s', (name) => {
    expect(paths(withBucket({ [name]: undefined }))).toEqual([`BUCKETS.files.${name}`])
  })

  // @threat settings-typo
  it('has no unknown member, such as a misspelled one', () => {
    for (const [path, changes] of [
      ['BUCKETS.files', { maxbytes: 'canary' }],
      ['BUCKETS.files', { secretAccessKey: 'canary' }],
      ['BUCKETS.files.maxExpiresIn', { maxExpiresIn: { views: 'canary' } }],
    ] as const) {
      const issues = issuesIn(withBucket(changes))
      const message = expect.stringMatching(/^has unknown members: 1\. Known members: /)
      expect(issues).toEqual([{ path, message }])
    }
  })

  it('has a name that fits into a host with virtual addressing', () => {
    for (const bucket of ['my.canary', 'MyCanary', 'my_canary'])
      expect(issuesIn(withBucket({ bucket }))).toEqual([
        { path: 'BUCKETS.files', message: expect.stringContaining('Use "path"') },
      ])
  })

  it('makes a valid host with virtual addressing', () => {
    for (const changes of [
      { endpoint: 'http://127.0.0.1:9000' },
      { endpoint: 'http://[::1]:9000' },
      { publicEndpoint: 'http://127.0.0.1:9000' },
    ])
      expect(issuesIn(withBucket(changes)), JSON.stringify(changes)).toEqual([
        { path: 'BUCKETS.files', message: expect.stringContaining('Use "path"') },
      ])
  })
})

describe('BUCKETS', () => {
  it.each([
    'Constructor',
    'my_files',
    '-files',
    'a.b',
    '',
    'a'.repeat(33),
    'files ',
    'é',
    '7',
    '42',
  ])('refuses the alias %j', (alias) => {
    const table = fullVariables().BUCKETS.files
    expect(paths(withVariables({ BUCKETS: { [alias]: table } }))).toEqual(['BUCKETS.0'])
  })

  it.each([
    ['nothing', undefined],
    ['an empty string', ''],
    ['an empty table', {}],
    ['an empty table as JSON', '{}'],
    ['malformed JSON', '{"canary": '],
    ['a different JSON value', '"canary"'],
    ['a list', []],
    ['null', 'null'],
  ])('refuses %s', (_, BUCKETS) => {
    expect(paths(withVariables({ BUCKETS }))).toEqual(['BUCKETS'])
  })

  it('reports every error of every table at once', () => {
    const variables = withBucket({ region: 'Canary', maxBytes: 0 })
    Object.assign(variables.BUCKETS.archive ?? {}, { bucket: '/canary' })
    expect(paths(variables).sort()).toEqual([
      'BUCKETS.archive.bucket',
      'BUCKETS.files.maxBytes',
      'BUCKETS.files.region',
    ])
  })
})

describe('the bindings', () => {
  it.each(['FILE_INDEX', 'RATE_LIMITER'])('need %s, and refuse text for it', (name) => {
    for (const value of [undefined, null, '', 'canary'])
      expect(paths(withVariables({ [name]: value }))).toEqual([name])
  })

  it('need no FILE_INDEX with FILES_DB, and refuse text for either', () => {
    const both = (FILES_DB: unknown, FILE_INDEX: unknown) =>
      loads({ FILES_DB, FILE_INDEX }) ? [] : paths(withVariables({ FILES_DB, FILE_INDEX }))
    for (const absent of [undefined, '']) {
      expect(both({}, absent)).toEqual([])
      expect(both(absent, {})).toEqual([])
      expect(both(absent, absent)).toEqual(['FILE_INDEX'])
    }
    expect(both('canary', {})).toEqual(['FILES_DB'])
    expect(both({}, 'canary')).toEqual(['FILE_INDEX'])
  })
})

describe('the credentials of a bucket', () => {
  it.each([
    'S3_ACCESS_KEY_ID',
    'S3_SECRET_ACCESS_KEY',
    'S3_WRITE_ACCESS_KEY_ID',
    'S3_WRITE_SECRET_ACCESS_KEY',
    'CEPH_ACCESS_KEY_ID',
    'CEPH_SECRET_ACCESS_KEY',
  ])('need %s', (name) => {
    for (const value of [undefined, '', { canary: 1 }])
      expect(paths(withVariables({ [name]: value }))).toEqual([name])
  })

  it('expire at an instant in ISO 8601', () => {
    for (const text of ['canary', '2026-11-24', '1795521600', '2026-13-01T00:00:00Z'])
      expect(paths(withVariables({ S3_CREDENTIAL_EXPIRATION: text }))).toEqual([
        'S3_CREDENTIAL_EXPIRATION',
      ])
  })

  it('are named one by one when all are missing', () => {
    const { S3_ACCESS_KEY_ID: _, S3_SECRET_ACCESS_KEY: __, ...variables } = leastVariables()
    expect(paths(variables)).toEqual(['S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'])
  })
})

describe('the message for a common mistake', () => {
  const message = (variables: object) => issuesIn(variables).map((issue) => issue.message)

  it('names the placeholder of wrangler.toml', () => {
    expect(message(withBucket({ bucket: 'my-bucket' }))).toEqual([
      expect.stringContaining('placeholder "my-bucket"'),
    ])
    const own = { bucket: 'my-bucket', endpoint: 'https://minio.example.com', addressing: 'path' }
    expect(loadEnvironment(withBucket(own)).ok).toBe(true)
  })

  it.each([
    ['https://account.r2.cloudflarestorage.com/photos', 'path'],
    ['https://account.r2.cloudflarestorage.com/photos/', 'path'],
    ['https://photos.s3.eu-central-1.amazonaws.com', 'virtual'],
    ['https://photos.s3.eu-central-1.wasabisys.com', 'path'],
  ])('reports the name of the bucket in the endpoint: %s', (endpoint, addressing) => {
    expect(message(withBucket({ bucket: 'photos', endpoint, addressing }))).toEqual([
      expect.stringContaining('has the bucket name in its endpoint'),
    ])
  })

  it('reports the name of the bucket in the public endpoint', () => {
    for (const addressing of ['path', 'virtual']) {
      const publicEndpoint = 'https://photos.s3.eu-central-1.amazonaws.com'
      const bucket = {
        bucket: 'photos',
        endpoint: 'http://gateway:9000',
        publicEndpoint,
        addressing,
      }
      expect(message(withBucket(bucket))).toEqual([
        expect.stringContaining('has the bucket name in its publicEndpoint'),
      ])
    }
  })

  it('is absent for a host or a path with the same name as the bucket', () => {
    for (const [bucket, endpoint] of [
      ['nyc3', 'https://nyc3.digitaloceanspaces.com'],
      ['media', 'https://gateway.example.com/tenants/media'],
    ]) {
      const changes = { bucket, endpoint, addressing: 'path' }
      expect(loadEnvironment(withBucket(changes)).ok, endpoint).toBe(true)
    }
  })

  it.each(['https://photos.example.com', 'https://s3.example.com/photos-store'])(
    'is absent for an endpoint that only looks similar: %s',
    (endpoint) => {
      const bucket = { bucket: 'photos', endpoint, addressing: 'path' }
      expect(loadEnvironment(withBucket(bucket)).ok).toBe(true)
    },
  )

  it('suggests BUCKETS for a table BUCKET, and a new table for none', () => {
    const { BUCKETS, ...others } = fullVariables()
    expect(issuesIn({ ...others, BUCKET: BUCKETS })).toEqual([
      { path: 'BUCKETS', message: 'is missing. Rename BUCKET to BUCKETS.' },
    ])
    expect(issuesIn(others)).toEqual([
      {
        path: 'BUCKETS',
        message: 'is missing. Add a [vars.BUCKETS.files] table to wrangler.toml.',
      },
    ])
  })

  it('suggests the name for one without its final S', () => {
    const { SIGNING_SECRETS, CORS_ORIGINS, ...others } = fullVariables()
    const misspelt = { ...others, SIGNING_SECRET: SIGNING_SECRETS, CORS_ORIGIN: CORS_ORIGINS }
    expect(issuesIn(misspelt)).toEqual([
      { path: 'SIGNING_SECRETS', message: 'is missing. Rename SIGNING_SECRET to SIGNING_SECRETS.' },
      { path: 'CORS_ORIGINS', message: 'is missing. Rename CORS_ORIGIN to CORS_ORIGINS.' },
    ])
    expect(loadEnvironment({ ...fullVariables(), CORS_ORIGIN: 'x' }).ok).toBe(true)
  })

  it('shows how to add a missing binding', () => {
    expect(issuesIn(withVariables({ FILE_INDEX: undefined, RATE_LIMITER: undefined }))).toEqual([
      {
        path: 'RATE_LIMITER',
        message:
          'must be bound to a rate limit. Add a [[ratelimits]] block with this name to wrangler.toml.',
      },
      {
        path: 'FILE_INDEX',
        message:
          'must be bound to a KV namespace, or FILES_DB to a D1 database. Add a [[kv_namespaces]] block with this name to wrangler.toml.',
      },
    ])
  })

  it('uses the terms of TOML', () => {
    expect(
      message(withBucket({ endpoint: 42, maxExpiresIn: 60, allowedTypes: 'image/*' })),
    ).toEqual([
      'must be text',
      'must be a list',
      'must be a table with upload, view, stream, email, link',
    ])
  })

  it('shows how to set a missing secret', () => {
    const { S3_SECRET_ACCESS_KEY: _, ...others } = fullVariables()
    expect(issuesIn(others)).toEqual([
      {
        path: 'S3_SECRET_ACCESS_KEY',
        message: 'is missing. Write it to .dev.vars, and run `npx edge-presigner deploy`.',
      },
    ])
    const { SIGNING_SECRETS: _secret, ...rest } = fullVariables()
    expect(issuesIn(rest)).toEqual([
      {
        path: 'SIGNING_SECRETS',
        message: expect.stringMatching(/ Write it to \.dev\.vars, and run `.* deploy`\.$/),
      },
    ])
  })
})
