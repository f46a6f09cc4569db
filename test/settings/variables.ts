import { env } from 'cloudflare:workers'
import { expect } from 'vitest'
import type { Issue } from '../../src/errors/api-error.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'

/** Part of every secret in the valid configuration. No issue may ever show it. */
export const CANARY = 'canary'

/** Every setting, as tables. */
export const fullVariables = () => ({
  FILE_INDEX: env.FILE_INDEX,
  RATE_LIMITER: env.RATE_LIMITER,
  BUCKETS: {
    files: {
      endpoint: 'https://s3.eu-central-1.amazonaws.com',
      region: 'eu-central-1',
      bucket: 'acme-files',
      addressing: 'virtual',
      credentials: 'S3',
      uploadCredentials: 'S3_WRITE',
      maxBytes: 104_857_600,
      managedPrefixes: ['avatars/', ''],
      allowedTypes: ['image/*', 'Application/PDF'],
      maxExpiresIn: { upload: 600, view: 3600, stream: 7200, email: 86_400, link: 2_592_000 },
      defaultExpiresIn: { upload: 600, email: 43_200, link: 1_296_000 },
      edgeTtl: 3600,
      imageQuality: 70,
      crossOriginResourcePolicy: 'same-site',
    },
    archive: {
      endpoint: 'http://ceph.internal:7480/store/',
      publicEndpoint: 'https://ceph.example.com/s3',
      region: 'auto',
      bucket: 'My.Bucket_1',
      addressing: 'path',
      credentials: 'CEPH',
    },
  } as Record<string, Record<string, unknown>>,
  S3_ACCESS_KEY_ID: `${CANARY}-s3-id`,
  S3_SECRET_ACCESS_KEY: `${CANARY}-s3-secret`,
  S3_SESSION_TOKEN: `${CANARY}-s3-token`,
  S3_CREDENTIAL_EXPIRATION: '2026-11-24T13:00:00+01:00',
  S3_WRITE_ACCESS_KEY_ID: `${CANARY}-write-id`,
  S3_WRITE_SECRET_ACCESS_KEY: `${CANARY}-write-secret`,
  CEPH_ACCESS_KEY_ID: `${CANARY}-ceph-id`,
  CEPH_SECRET_ACCESS_KEY: `${CANARY}-ceph-secret`,
  SIGNING_SECRETS: `k2:${CANARY}-0123456789abcdef0123456789ab, k1:${CANARY}:0123456789abcdef0123456789cd`,
  API_KEYS: [
    { id: 'admin', sha256: 'a'.repeat(64), scopes: ['files:upload', 'files:list'], prefix: '' },
    { id: 'team-a', sha256: '0'.repeat(64), scopes: ['files:read'], prefix: 'team-a/' },
  ] as Record<string, unknown>[],
  CORS_ORIGINS: ['https://app.example.com', 'http://localhost:8787', 'https://*.app.pages.dev'],
  CORS_COOKIE_ORIGINS: ['https://intranet.example.com'],
  JWT: {
    issuer: 'https://issuer.example.com/',
    audience: ['presigner'],
    algorithms: ['ES256', 'EdDSA'],
    jwksUrl: 'https://issuer.example.com/jwks.json',
    prefix: 'users/{sub}/',
    scopes: ['files:upload', 'files:read'],
    header: 'Cf-Access-Jwt-Assertion',
  } as Record<string, unknown>,
  LINK_ORIGIN: 'https://files.example.com',
  IMAGE_WIDTHS: [{ width: 96, height: 96, fit: 'cover' }, 320],
  NOTIFICATION_SECRETS: `${CANARY}-0123456789abcdef0123456789, ${CANARY}-abcdef0123456789abcdef0123`,
  UPKEEP: { mode: 'record', buckets: ['files'] },
  OPEN_ACCESS: 'localhost',
})

/** The minimal settings of the Worker. */
export const leastVariables = (): Record<string, unknown> => ({
  FILE_INDEX: env.FILE_INDEX,
  RATE_LIMITER: env.RATE_LIMITER,
  BUCKETS: {
    files: {
      endpoint: 'https://s3.us-east-1.amazonaws.com',
      region: 'us-east-1',
      bucket: 'acme-files',
      credentials: 'S3',
    },
  },
  S3_ACCESS_KEY_ID: 'id',
  S3_SECRET_ACCESS_KEY: 'secret',
  SIGNING_SECRETS: `k1:${'s'.repeat(32)}`,
})

/** Returns the issues of variables that must not load. None shows a value. */
export function issuesIn(variables: object): readonly Issue[] {
  const loaded = loadEnvironment(variables)
  if (loaded.ok) throw new Error('This configuration must not load.')
  expect(JSON.stringify(loaded.issues).toLowerCase()).not.toContain(CANARY)
  return loaded.issues
}

/** Returns the issues of all variables with `changes`. */
export const issuesOf = (changes: Record<string, unknown>): readonly Issue[] =>
  issuesIn({ ...fullVariables(), ...changes })

export const paths = (changes: Record<string, unknown>): string[] =>
  issuesOf(changes).map(({ path }) => path)

export const loads = (changes: Record<string, unknown>): boolean =>
  loadEnvironment({ ...fullVariables(), ...changes }).ok
