import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { environmentSettings } from '../support/environment-settings.ts'
import { CANARY, fullVariables, leastVariables } from './variables.ts'

function load(variables: object) {
  const loaded = loadEnvironment(variables)
  if (loaded.ok) return loaded.settings
  throw new Error(JSON.stringify(loaded.issues))
}

const S3 = {
  accessKeyId: `${CANARY}-s3-id`,
  secretAccessKey: `${CANARY}-s3-secret`,
  sessionToken: `${CANARY}-s3-token`,
  expiresAt: Date.UTC(2026, 10, 24, 12),
}
const WRITE = {
  accessKeyId: `${CANARY}-write-id`,
  secretAccessKey: `${CANARY}-write-secret`,
  sessionToken: null,
  expiresAt: Number.POSITIVE_INFINITY,
}
const CEPH = {
  ...WRITE,
  accessKeyId: `${CANARY}-ceph-id`,
  secretAccessKey: `${CANARY}-ceph-secret`,
}

const DEFAULT_LIMITS = {
  upload: 3600,
  view: 604_800,
  stream: 604_800,
  email: 604_800,
  link: 31_536_000,
}

const DEFAULTS = { upload: 300, view: 900, stream: 7200, email: 172_800, link: 86_400 }

const FULL: ReturnType<typeof load> = {
  buckets: [
    {
      alias: 'files',
      origin: 'https://acme-files.s3.eu-central-1.amazonaws.com',
      basePath: '/',
      publicAddress: {
        origin: 'https://acme-files.s3.eu-central-1.amazonaws.com',
        basePath: '/',
      },
      name: 'acme-files',
      postUploads: true,
      normalizesKeys: false,
      conditionalPut: true,
      conditionalReplace: true,
      conditionalDelete: false,
      conditionalComplete: true,
      managedPrefixes: ['avatars/', ''],
      region: 'eu-central-1',
      credentials: S3,
      uploadCredentials: WRITE,
      maxBytes: 104_857_600,
      allowedTypes: ['image/*', 'application/pdf'],
      maxExpiresIn: { upload: 600, view: 3600, stream: 7200, email: 86_400, link: 2_592_000 },
      defaultExpiresIn: {
        upload: 600,
        view: 900,
        stream: 7200,
        email: 43_200,
        link: 1_296_000,
      },
      uploadHeaders: null,
      requestHeaders: null,
      edgeTtlSeconds: 3600,
      imageQuality: 70,
      crossOriginResourcePolicy: 'same-site',
    },
    {
      alias: 'archive',
      origin: 'http://ceph.internal:7480',
      basePath: '/store/My.Bucket_1/',
      publicAddress: { origin: 'https://ceph.example.com', basePath: '/s3/My.Bucket_1/' },
      name: 'My.Bucket_1',
      postUploads: true,
      normalizesKeys: false,
      conditionalPut: false,
      conditionalReplace: false,
      conditionalDelete: false,
      conditionalComplete: false,
      managedPrefixes: [],
      region: 'auto',
      credentials: CEPH,
      uploadCredentials: CEPH,
      maxBytes: null,
      allowedTypes: null,
      maxExpiresIn: DEFAULT_LIMITS,
      defaultExpiresIn: DEFAULTS,
      uploadHeaders: null,
      requestHeaders: null,
      edgeTtlSeconds: 86_400,
      imageQuality: 80,
      crossOriginResourcePolicy: 'cross-origin',
    },
  ],
  signingSecrets: [
    { name: '', kid: 'k2', secret: `${CANARY}-0123456789abcdef0123456789ab` },
    { name: '', kid: 'k1', secret: `${CANARY}:0123456789abcdef0123456789cd` },
  ],
  corsOrigins: [
    'https://app.example.com',
    'http://localhost:8787',
    'https://*.app.pages.dev',
    'https://intranet.example.com',
  ],
  corsCookieOrigins: ['https://intranet.example.com'],
  linkBase: 'https://files.example.com',
  linkHostOnly: true,
  openOnLocalhost: true,
}

/** Returns the paths of everything that is not frozen. */
function unfrozen(value: unknown, path = 'config'): string[] {
  if (typeof value !== 'object' || value === null) return []
  return [
    ...(Object.isFrozen(value) ? [] : [path]),
    ...Object.entries(value).flatMap(([name, member]) => unfrozen(member, `${path}.${name}`)),
  ]
}

describe('the environment', () => {
  it('accepts every setting as a table', () => {
    expect(load(fullVariables())).toEqual(FULL)
  })

  it('accepts every table as JSON text too', () => {
    const { BUCKETS, API_KEYS, CORS_ORIGINS, CORS_COOKIE_ORIGINS, JWT, IMAGE_WIDTHS, ...others } =
      fullVariables()
    const tables = { BUCKETS, API_KEYS, CORS_ORIGINS, CORS_COOKIE_ORIGINS, JWT, IMAGE_WIDTHS }
    const texts = Object.entries(tables).map(([name, table]) => [name, JSON.stringify(table)])
    expect(load({ ...others, ...Object.fromEntries(texts) })).toEqual(FULL)
  })

  it('says where JSON text is invalid, and never shows the text', () => {
    const broken = (API_KEYS: string) => {
      const loaded = loadEnvironment({ ...leastVariables(), API_KEYS })
      return loaded.ok ? [] : loaded.issues
    }
    expect(broken('[{"id":"hidden" "sha256":1}]')).toEqual([
      { path: 'API_KEYS', message: 'is not valid JSON at position 16' },
    ])
    expect(broken('[hidden]')).toEqual([{ path: 'API_KEYS', message: 'is not valid JSON' }])
    expect(broken('hidden')).toEqual([
      { path: 'API_KEYS', message: 'must be a list, or JSON text' },
    ])
  })

  it('freezes the result deeply', () => {
    expect(unfrozen(load(fullVariables()))).toEqual([])
    expect(unfrozen(load(leastVariables()))).toEqual([])
  })

  it('does not change the variables', () => {
    const variables = fullVariables()
    load(variables)
    expect(variables).toEqual(fullVariables())
    for (const path of ['config.BUCKETS.files', 'config.IMAGE_WIDTHS.0'])
      expect(unfrozen(variables)).toContain(path)
  })

  it('fills in every default', () => {
    const credentials = {
      accessKeyId: 'id',
      secretAccessKey: 'secret',
      sessionToken: null,
      expiresAt: Number.POSITIVE_INFINITY,
    }
    expect(load(leastVariables())).toEqual({
      buckets: [
        {
          alias: 'files',
          origin: 'https://s3.us-east-1.amazonaws.com',
          basePath: '/acme-files/',
          publicAddress: { origin: 'https://s3.us-east-1.amazonaws.com', basePath: '/acme-files/' },
          name: 'acme-files',
          postUploads: true,
          normalizesKeys: false,
          conditionalPut: true,
          conditionalReplace: true,
          conditionalDelete: false,
          conditionalComplete: true,
          managedPrefixes: [],
          region: 'us-east-1',
          credentials,
          uploadCredentials: credentials,
          maxBytes: null,
          allowedTypes: null,
          maxExpiresIn: DEFAULT_LIMITS,
          defaultExpiresIn: DEFAULTS,
          uploadHeaders: null,
          requestHeaders: null,
          edgeTtlSeconds: 86_400,
          imageQuality: 80,
          crossOriginResourcePolicy: 'cross-origin',
        },
      ],
      signingSecrets: [{ name: '', kid: 'k1', secret: 's'.repeat(32) }],
      corsOrigins: [],
      corsCookieOrigins: [],
      linkBase: null,
      linkHostOnly: false,
      openOnLocalhost: false,
    })
  })

  it('fills in the limits that a table omits', () => {
    const variables = fullVariables()
    Object.assign(variables.BUCKETS.files ?? {}, { maxExpiresIn: { view: 60 } })
    expect(load(variables).buckets[0].maxExpiresIn).toEqual({ ...DEFAULT_LIMITS, view: 60 })
  })

  it('keeps the expiry of credentials, even the first second of 1970', () => {
    const variables = { ...leastVariables(), S3_CREDENTIAL_EXPIRATION: '1970-01-01T00:00:00Z' }
    expect(load(variables).buckets[0].credentials).toMatchObject({ expiresAt: 0 })
  })

  it('treats an empty variable as missing', () => {
    const empty = Object.fromEntries(
      ['API_KEYS', 'CORS_ORIGINS', 'JWT', 'LINK_ORIGIN', 'OPEN_ACCESS', 'S3_SESSION_TOKEN'].map(
        (name) => [name, ''],
      ),
    )
    const variables = { ...leastVariables(), ...empty, S3_CREDENTIAL_EXPIRATION: '' }
    expect(load(variables)).toEqual(load(leastVariables()))
  })

  it('ignores other bindings of the Worker', () => {
    expect(load({ ...leastVariables(), ASSETS: env.FILE_INDEX, OTHER: 'x' })).toEqual(
      load(leastVariables()),
    )
  })

  it('reads each environment once', () => {
    const variables = leastVariables()
    const first = environmentSettings(variables)
    delete variables.BUCKETS
    expect(environmentSettings(variables)).toBe(first)
    expect(() => environmentSettings({ ...variables })).toThrow('BUCKETS is missing')
    expect(environmentSettings(leastVariables())).not.toBe(first)
  })

  it('keeps the order of the buckets, so that the first is the default', () => {
    const { files } = fullVariables().BUCKETS
    const BUCKETS = { zeta: files, 'a-1': files, files, '2a': files }
    const aliases = load({ ...fullVariables(), BUCKETS }).buckets.map(({ alias }) => alias)
    expect(aliases).toEqual(['zeta', 'a-1', 'files', '2a'])
  })
})

describe('the URL of a bucket', () => {
  it.each([
    ['path', 'https://s3.example.com', 'https://s3.example.com', '/acme-files/'],
    ['path', 'https://S3.Example.com:443/', 'https://s3.example.com', '/acme-files/'],
    ['path', 'http://127.0.0.1:9000/a/b', 'http://127.0.0.1:9000', '/a/b/acme-files/'],
    ['path', 'http://[::1]:9000/a/b/', 'http://[::1]:9000', '/a/b/acme-files/'],
    ['virtual', 'https://s3.example.com', 'https://acme-files.s3.example.com', '/'],
    ['virtual', 'http://localhost:9000/a', 'http://acme-files.localhost:9000', '/a/'],
  ])('with addressing "%s" at %s starts with %s%s', (addressing, endpoint, origin, basePath) => {
    const variables = fullVariables()
    Object.assign(variables.BUCKETS.files ?? {}, { addressing, endpoint })
    expect(load(variables).buckets[0]).toMatchObject({ origin, basePath })
  })
})
