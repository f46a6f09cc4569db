import { expect } from 'vitest'
import { SCOPES, type Scope } from '../../src/access/scopes.ts'
import { bearer } from './credentials.ts'

/** A route that needs credentials, and how to call it. */
export interface ProtectedRoute {
  /** The method and the pattern as the app registers them. */
  readonly route: string
  /** Null when any principal may call it. */
  readonly scope: Scope | null
  /** Returns a request for `key`, or for what the route has instead of a key. */
  readonly request: (key: string, uploadId: string) => readonly [path: string, body?: object]
  /** False when the server chooses the key. */
  readonly takesKey: boolean
  /** Where the request names a bucket. Null for a route that only uses the default one, or none. */
  readonly bucketIn: 'body' | 'query' | null
  /** The outcome for an allowed caller, a missing object and an invalid upload id. */
  readonly allowed: string
  /** True when it only reads, so that pages of other origins need no check. */
  readonly reads?: true
  /** For a route that takes an upload id: the outcome for the owner of the upload. */
  readonly owned?: string
}

const encoded = encodeURIComponent
/** Not an upload id. The route must check scope and prefix first. */
const ID = 'eyJhbGciOiJIUzI1NiJ9.e30.AAAA'
/** What every upload in parts here consists of, and its ETag. */
export const PART = { content: 'hello', etag: '"5d41402abc4b2a76b9719d911017c592"' } as const
/** An id that nothing has. Withdrawing a grant with it succeeds, as with one that has ended. */
const UNKNOWN_ID = '0123456789abcdef'.repeat(2)
/** A record of a file that is not there. */
const RECORD = {
  ...{ key: 'nobody/recorded.txt', bucket: 'files', name: 'a.txt', size: 1 },
  ...{ mimetype: 'text/plain', etag: '"e"', owner: null, createdAt: '2026-11-24T12:00:00.000Z' },
}
const TOMORROW = new Date(Date.now() + 86_400_000).toISOString()
const BY_UPLOAD_ID = {
  scope: 'files:upload',
  takesKey: true,
  allowed: '400 invalid_upload_id',
} as const

/**
 * Routes that need no principal. The link itself is a credential, tested in
 * test/plugins/links/{links,folder-links}.test.ts. So is the secret id of a grant, tested in
 * test/plugins/grants/, and that of a drop box, in test/plugins/drop-boxes/. Notifications have their
 * own secret, tested in test/plugins/notifications/notifications.test.ts. Forms and steps are signed,
 * tested in test/plugins/uppy/.
 */
export const OPEN_ROUTES: readonly string[] = [
  'GET /healthz',
  'GET /d/:secret',
  'POST /d/:secret/token',
  'GET /f/:token/:key',
  'GET /g/:secret',
  'POST /g/:secret',
  'GET /i/:bucket/:key',
  'POST /notifications',
  'POST /s3/form',
  'POST /s3/uploads',
  'POST /s3/uploads/complete',
]

/**
 * Every route that needs credentials. test/routes/authorization.test.ts compares it with the app.
 */
export const ROUTES: readonly ProtectedRoute[] = [
  {
    route: 'POST /files/upload-url',
    scope: 'files:upload',
    request: () => ['/files/upload-url', { fileName: 'a.txt', mimetype: 'text/plain' }],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'POST /files/upload-urls',
    scope: 'files:upload',
    request: () => [
      '/files/upload-urls',
      { files: [{ fileName: 'a.txt', mimetype: 'text/plain' }] },
    ],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'PATCH /files/:key',
    scope: 'files:upload',
    request: (key) => [`/files/${encoded(key)}`, { name: 'a.txt' }],
    takesKey: true,
    bucketIn: 'body',
    allowed: '404 object_not_found',
  },
  {
    route: 'POST /files/delete',
    scope: 'files:delete',
    request: () => ['/files/delete', { keys: ['a.txt'] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'POST /files/delete-all',
    scope: 'files:delete-all',
    request: (key) => ['/files/delete-all', { prefix: `${key}/`, before: '2026-11-24T12:00:00Z' }],
    takesKey: true,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'GET /export',
    scope: 'files:list',
    request: (key) => [`/export?prefix=${encoded(key)}`],
    takesKey: true,
    bucketIn: 'query',
    allowed: '200',
    reads: true,
  },
  {
    route: 'POST /files/copy',
    scope: 'files:read',
    request: (key) => ['/files/copy', { from: key, to: `${key}.copy` }],
    takesKey: true,
    bucketIn: 'body',
    allowed: '404 object_not_found',
  },
  {
    route: 'POST /files/move',
    scope: 'files:delete',
    request: (key) => ['/files/move', { from: key, to: `${key}.copy` }],
    takesKey: true,
    bucketIn: 'body',
    // Workers KV has no locks.
    allowed: '501 not_supported',
  },
  {
    route: 'POST /files/purge',
    scope: 'files:purge',
    request: () => ['/files/purge', { keys: ['a.txt'] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'GET /files/:key/url',
    scope: 'files:read',
    request: (key) => [`/files/${encoded(key)}/url`],
    takesKey: true,
    bucketIn: 'query',
    allowed: '200',
    reads: true,
  },
  {
    route: 'POST /files',
    scope: 'files:upload',
    request: (key) => ['/files', { key, name: 'a.txt' }],
    takesKey: true,
    bucketIn: 'body',
    allowed: '404 object_not_found',
  },
  {
    route: 'POST /files/batch',
    scope: 'files:upload',
    request: () => ['/files/batch', { files: [{ key: 'a.txt' }] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'GET /files',
    scope: 'files:list',
    request: (key) => [`/files?prefix=${encoded(key)}`],
    takesKey: true,
    bucketIn: 'query',
    allowed: '200',
    reads: true,
  },
  {
    route: 'GET /stats',
    scope: 'files:list',
    request: (key) => [`/stats?prefix=${encoded(key)}`],
    takesKey: true,
    bucketIn: 'query',
    allowed: '501 not_supported',
    reads: true,
  },
  {
    route: 'GET /files/:key',
    scope: 'files:read',
    request: (key) => [`/files/${encoded(key)}`],
    takesKey: true,
    bucketIn: 'query',
    allowed: '404 object_not_found',
    reads: true,
  },
  {
    route: 'DELETE /files/:key',
    scope: 'files:delete',
    request: (key) => [`/files/${encoded(key)}`],
    takesKey: true,
    bucketIn: 'query',
    allowed: '204',
  },
  {
    route: 'POST /files/:key/link',
    scope: 'links:create',
    request: (key) => [`/files/${encoded(key)}/link`, {}],
    takesKey: true,
    bucketIn: 'query',
    allowed: '200',
  },
  {
    route: 'POST /files/urls',
    scope: 'files:read',
    request: () => ['/files/urls', { keys: ['a.txt'] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'POST /links',
    scope: 'links:create',
    request: () => ['/links', { keys: ['a.txt'] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'POST /links/folder',
    scope: 'links:create',
    request: (key) => ['/links/folder', { prefix: `${key}/` }],
    takesKey: true,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'POST /grants',
    scope: 'grants:create',
    request: (key) => ['/grants', { key, deadline: TOMORROW }],
    takesKey: true,
    bucketIn: 'body',
    allowed: '404 object_not_found',
  },
  {
    route: 'GET /grants',
    scope: 'grants:create',
    request: () => ['/grants'],
    takesKey: false,
    bucketIn: null,
    allowed: '200',
    reads: true,
  },
  {
    route: 'GET /grants/:id',
    scope: 'grants:create',
    request: () => [`/grants/${UNKNOWN_ID}`],
    takesKey: false,
    bucketIn: null,
    allowed: '404 not_found',
    reads: true,
  },
  {
    route: 'PATCH /grants/:id',
    scope: 'grants:create',
    request: () => [`/grants/${UNKNOWN_ID}`, { uses: 1 }],
    takesKey: false,
    bucketIn: null,
    allowed: '404 not_found',
  },
  {
    route: 'DELETE /grants/:id',
    scope: 'grants:create',
    request: () => [`/grants/${UNKNOWN_ID}`],
    takesKey: false,
    bucketIn: null,
    allowed: '204',
  },
  {
    route: 'POST /drop-boxes',
    scope: 'drop-boxes:create',
    request: (key) => [
      '/drop-boxes',
      {
        ...{ prefix: `${key}/`, deadline: TOMORROW, from: 'Example', title: 'Files' },
        ...{ maxFiles: 1, maxBytes: 1, maxTotalBytes: 1 },
      },
    ],
    takesKey: true,
    bucketIn: 'body',
    allowed: '201',
  },
  {
    route: 'GET /drop-boxes',
    scope: 'drop-boxes:create',
    request: () => ['/drop-boxes'],
    takesKey: false,
    bucketIn: null,
    allowed: '200',
    reads: true,
  },
  {
    route: 'GET /drop-boxes/:id',
    scope: 'drop-boxes:create',
    request: () => [`/drop-boxes/${UNKNOWN_ID}`],
    takesKey: false,
    bucketIn: null,
    allowed: '404 not_found',
    reads: true,
  },
  {
    route: 'GET /drop-boxes/:id/files',
    scope: 'drop-boxes:create',
    request: () => [`/drop-boxes/${UNKNOWN_ID}/files`],
    takesKey: false,
    bucketIn: null,
    allowed: '404 not_found',
    reads: true,
  },
  {
    route: 'DELETE /drop-boxes/:id',
    scope: 'drop-boxes:create',
    request: () => [`/drop-boxes/${UNKNOWN_ID}`],
    takesKey: false,
    bucketIn: null,
    allowed: '204',
  },
  {
    route: 'GET /objects',
    scope: 'objects:list',
    request: (key) => [`/objects?prefix=${encoded(key)}`],
    takesKey: true,
    bucketIn: 'query',
    allowed: '200',
    reads: true,
  },
  {
    route: 'GET /index',
    scope: 'index:write',
    request: () => ['/index?from=kv'],
    takesKey: false,
    bucketIn: 'query',
    allowed: '200',
    reads: true,
  },
  {
    route: 'PUT /index',
    scope: 'index:write',
    request: () => ['/index', { to: 'kv', records: [RECORD] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'GET /upkeep',
    scope: 'upkeep:read',
    request: () => ['/upkeep'],
    takesKey: false,
    bucketIn: null,
    allowed: '200',
    reads: true,
  },
  {
    route: 'POST /upkeep/walk',
    scope: 'upkeep:run',
    request: () => ['/upkeep/walk', {}],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'POST /upkeep/go-on',
    scope: 'upkeep:run',
    request: () => ['/upkeep/go-on', {}],
    takesKey: false,
    bucketIn: 'body',
    allowed: '204',
  },
  {
    route: 'GET /upkeep/orphans',
    scope: 'upkeep:read',
    request: () => ['/upkeep/orphans'],
    takesKey: false,
    bucketIn: 'query',
    allowed: '200',
    reads: true,
  },
  {
    route: 'POST /upkeep/orphans/delete',
    scope: 'upkeep:run',
    request: () => ['/upkeep/orphans/delete', { prefix: 'a/', olderThanDays: 30 }],
    takesKey: false,
    bucketIn: 'body',
    // No walk has ended.
    allowed: '412 precondition_failed',
  },
  {
    route: 'GET /upkeep/kept',
    scope: 'index:write',
    request: () => ['/upkeep/kept'],
    takesKey: false,
    bucketIn: 'query',
    allowed: '200',
    reads: true,
  },
  {
    route: 'POST /upkeep/restore',
    scope: 'index:write',
    request: () => ['/upkeep/restore', { keys: ['a.txt'] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'POST /tokens',
    scope: 'tokens:create',
    request: (key) => ['/tokens', { scopes: ['tokens:create'], prefix: `${key}/` }],
    takesKey: true,
    bucketIn: null,
    allowed: '200',
  },
  {
    route: 'GET /limits',
    scope: null,
    request: () => ['/limits'],
    takesKey: false,
    bucketIn: null,
    allowed: '200',
    reads: true,
  },
  {
    route: 'POST /multipart',
    scope: 'files:upload',
    request: () => ['/multipart', { fileName: 'a.txt', mimetype: 'text/plain', size: 1 }],
    takesKey: false,
    bucketIn: 'body',
    allowed: '200',
  },
  {
    route: 'POST /multipart/:uploadId/urls',
    request: (key, uploadId) => [`/multipart/${encoded(uploadId)}/urls`, { key, partNumbers: [1] }],
    bucketIn: 'body',
    owned: '200',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'GET /multipart/:uploadId',
    request: (key, uploadId) => [`/multipart/${encoded(uploadId)}?key=${encoded(key)}`],
    bucketIn: 'query',
    owned: '200',
    ...BY_UPLOAD_ID,
    reads: true,
  },
  {
    route: 'POST /multipart/:uploadId/complete',
    request: (key, uploadId) => [
      `/multipart/${encoded(uploadId)}/complete`,
      { key, parts: [{ partNumber: 1, etag: PART.etag }] },
    ],
    bucketIn: 'body',
    owned: '201',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'DELETE /multipart/:uploadId',
    request: (key, uploadId) => [`/multipart/${encoded(uploadId)}?key=${encoded(key)}`],
    bucketIn: 'query',
    owned: '204',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'GET /s3/params',
    scope: 'files:upload',
    request: () => ['/s3/params?filename=a.txt'],
    takesKey: false,
    bucketIn: null,
    allowed: '200',
  },
  {
    route: 'POST /s3/multipart',
    scope: 'files:upload',
    request: () => ['/s3/multipart', { filename: 'a.txt' }],
    takesKey: false,
    bucketIn: null,
    allowed: '200',
  },
  {
    route: 'GET /s3/multipart/:uploadId',
    request: (key, uploadId) => [`/s3/multipart/${encoded(uploadId)}?key=${encoded(key)}`],
    bucketIn: null,
    owned: '200',
    ...BY_UPLOAD_ID,
    reads: true,
  },
  {
    route: 'GET /s3/multipart/:uploadId/batch',
    request: (key, uploadId) => [
      `/s3/multipart/${encoded(uploadId)}/batch?key=${encoded(key)}&partNumbers=1`,
    ],
    bucketIn: null,
    owned: '200',
    ...BY_UPLOAD_ID,
    reads: true,
  },
  {
    route: 'GET /s3/multipart/:uploadId/:partNumber',
    request: (key, uploadId) => [`/s3/multipart/${encoded(uploadId)}/1?key=${encoded(key)}`],
    bucketIn: null,
    owned: '200',
    ...BY_UPLOAD_ID,
    reads: true,
  },
  {
    route: 'POST /s3/multipart/:uploadId/complete',
    request: (key, uploadId) => [
      `/s3/multipart/${encoded(uploadId)}/complete?key=${encoded(key)}`,
      { parts: [{ PartNumber: 1, ETag: PART.etag }] },
    ],
    bucketIn: null,
    owned: '200',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'DELETE /s3/multipart/:uploadId',
    request: (key, uploadId) => [`/s3/multipart/${encoded(uploadId)}?key=${encoded(key)}`],
    bucketIn: null,
    owned: '200',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'POST /s3/sign',
    request: (key, uploadId) => ['/s3/sign', { method: 'GET', key, uploadId }],
    bucketIn: 'body',
    owned: '200',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'GET /s3/sts',
    scope: null,
    request: () => ['/s3/sts'],
    takesKey: false,
    bucketIn: null,
    allowed: '501 not_supported',
    reads: true,
  },
]

const COPY_TARGET = {
  scope: 'keys:choose',
  takesKey: true,
  bucketIn: 'body',
  allowed: '404 object_not_found',
} as const

const CHOSEN = { scope: 'keys:choose', takesKey: true, allowed: '200' } as const

/** Copies, by their target. They need a source, which chosen keys of uploads don't. */
export const COPY_TARGET_ROUTES: readonly ProtectedRoute[] = [
  {
    route: 'POST /files/copy with its target',
    request: (key) => [
      '/files/copy',
      { from: key.replace(/[^/]*$/, 'nobody-uploaded-this.txt'), to: key },
    ],
    ...COPY_TARGET,
  },
  {
    route: 'POST /files/move with its target',
    request: (key) => [
      '/files/move',
      { from: key.replace(/[^/]*$/, 'nobody-uploaded-this.txt'), to: key },
    ],
    ...COPY_TARGET,
    allowed: '501 not_supported',
  },
]

/** The routes that take a key which the caller chooses. */
export const CHOSEN_KEY_ROUTES: readonly ProtectedRoute[] = [
  {
    route: 'POST /files/upload-url with a chosen key',
    bucketIn: 'body',
    request: (key) => ['/files/upload-url', { key, mimetype: 'text/plain' }],
    ...CHOSEN,
  },
  {
    route: 'POST /multipart with a chosen key',
    bucketIn: 'body',
    request: (key) => ['/multipart', { key, mimetype: 'text/plain', size: 1 }],
    ...CHOSEN,
  },
  {
    route: 'GET /s3/params with a chosen key',
    bucketIn: null,
    request: (key) => [`/s3/params?filename=a.txt&objectKey=${encoded(key)}`],
    ...CHOSEN,
  },
  {
    route: 'POST /s3/multipart with a chosen key',
    bucketIn: null,
    request: (key) => ['/s3/multipart', { filename: 'a.txt', objectKey: key }],
    ...CHOSEN,
  },
  {
    route: 'POST /s3/sign with a chosen key',
    bucketIn: 'body',
    request: (key) => ['/s3/sign', { method: 'PUT', key: 'a.txt', objectKey: key }],
    ...CHOSEN,
  },
  {
    route: 'POST /s3/sign with a chosen key, in parts',
    bucketIn: 'body',
    request: (key) => ['/s3/sign', { method: 'POST', key: 'a.txt', objectKey: key }],
    ...CHOSEN,
  },
]

/** The outcome for an allowed caller without an API key: no other credential has a scope of `KEY_SCOPES` alone. */
export const allowedWithoutKey = ({ scope, allowed }: ProtectedRoute): string =>
  scope === null || SCOPES.some((possible) => possible === scope) ? allowed : '403 forbidden'

/** Returns the path and the init of a request to a route for `key`. */
export function requestTo(
  { route, request, bucketIn }: ProtectedRoute,
  key: string,
  { uploadId = ID, bucket, token }: Readonly<Record<string, string | undefined>> = {},
): [path: string, init: RequestInit] {
  const [plain, body] = request(key, uploadId)
  const named = bucket === undefined ? {} : { bucket }
  const query = bucketIn === 'query' ? new URLSearchParams(named).toString() : ''
  const path = query === '' ? plain : `${plain}${plain.includes('?') ? '&' : '?'}${query}`
  const headers = new Headers(token === undefined ? {} : bearer(token).headers)
  const [method = ''] = route.split(' ')
  if (body === undefined) return [path, { method, headers }]
  headers.set('Content-Type', 'application/json')
  const json = JSON.stringify(bucketIn === 'body' ? { ...body, ...named } : body)
  return [path, { method, headers, body: json }]
}

/**
 * Returns the status of the response from a route, with the code if it is an error, after checking
 * its shape: Uppy's routes also have `error`.
 */
export async function outcomeOf({ route }: ProtectedRoute, response: Response): Promise<string> {
  if (response.ok) return `${response.status}`
  const { error, message, code }: Record<string, unknown> = await response.json()
  expect.soft(message, route).toMatch(/./)
  expect.soft(error, route).toBe(route.includes(' /s3/') ? message : undefined)
  return `${response.status} ${code}`
}
