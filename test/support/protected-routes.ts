import { expect } from 'vitest'
import type { Scope } from '../../src/access/scopes.ts'
import type { ErrorCode } from '../../src/errors/api-error.ts'

/** A route that needs credentials, and how to call it. */
export interface ProtectedRoute {
  /** The method and the pattern as the app registers them. */
  readonly route: string
  /** Null when any principal may call it. */
  readonly scope: Scope | null
  /** Returns a request for `key`, or for what the route has in place of a key. */
  readonly request: (key: string) => readonly [path: string, body?: unknown]
  /** False when the server chooses the key. */
  readonly takesKey: boolean
  /** Where the request names a bucket. Null for a route that only uses the default one, or none. */
  readonly bucketIn: 'body' | 'query' | null
  /** The status for a missing object, for an allowed caller. */
  readonly allowed: number
  /** The error code with that status. */
  readonly allowedCode?: ErrorCode
}

const encoded = encodeURIComponent
/** Not an upload id. The route must check scope and prefix first. */
const ID = 'eyJhbGciOiJIUzI1NiJ9.e30.AAAA'
const BY_UPLOAD_ID = {
  scope: 'files:upload',
  takesKey: true,
  allowed: 400,
  allowedCode: 'invalid_upload_id',
} as const

/**
 * Every route that needs credentials. If a route of the app is missing here, the first test fails.
 */
export const ROUTES: readonly ProtectedRoute[] = [
  {
    route: 'POST /files/upload-url',
    scope: 'files:upload',
    request: () => ['/files/upload-url', { fileName: 'a.txt', mimetype: 'text/plain' }],
    takesKey: false,
    bucketIn: 'body',
    allowed: 200,
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
    allowed: 200,
  },
  {
    route: 'PATCH /files/:key',
    scope: 'files:upload',
    request: (key) => [`/files/${encoded(key)}`, { name: 'a.txt' }],
    takesKey: true,
    bucketIn: 'body',
    allowed: 404,
  },
  {
    route: 'POST /files/delete',
    scope: 'files:delete',
    request: () => ['/files/delete', { keys: ['a.txt'] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: 200,
  },
  {
    route: 'GET /files/:key/url',
    scope: 'files:read',
    request: (key) => [`/files/${encoded(key)}/url`],
    takesKey: true,
    bucketIn: 'query',
    allowed: 200,
  },
  {
    route: 'POST /files',
    scope: 'files:upload',
    request: (key) => ['/files', { key, name: 'a.txt' }],
    takesKey: true,
    bucketIn: 'body',
    allowed: 404,
  },
  {
    route: 'GET /files',
    scope: 'files:list',
    request: (key) => [`/files?prefix=${encoded(key)}`],
    takesKey: true,
    bucketIn: 'query',
    allowed: 200,
  },
  {
    route: 'GET /files/:key',
    scope: 'files:read',
    request: (key) => [`/files/${encoded(key)}`],
    takesKey: true,
    bucketIn: 'query',
    allowed: 404,
  },
  {
    route: 'DELETE /files/:key',
    scope: 'files:delete',
    request: (key) => [`/files/${encoded(key)}`],
    takesKey: true,
    bucketIn: 'query',
    allowed: 204,
  },
  {
    route: 'POST /files/:key/link',
    scope: 'links:create',
    request: (key) => [`/files/${encoded(key)}/link`, {}],
    takesKey: true,
    bucketIn: 'query',
    allowed: 200,
  },
  {
    route: 'POST /files/urls',
    scope: 'files:read',
    request: () => ['/files/urls', { keys: ['a.txt'] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: 200,
  },
  {
    route: 'POST /links',
    scope: 'links:create',
    request: () => ['/links', { keys: ['a.txt'] }],
    takesKey: false,
    bucketIn: 'body',
    allowed: 200,
  },
  {
    route: 'POST /tokens',
    scope: 'tokens:create',
    request: (key) => ['/tokens', { scopes: ['tokens:create'], prefix: `${key}/` }],
    takesKey: true,
    bucketIn: null,
    allowed: 200,
  },
  {
    route: 'GET /limits',
    scope: null,
    request: () => ['/limits'],
    takesKey: false,
    bucketIn: null,
    allowed: 200,
  },
  {
    route: 'POST /multipart',
    scope: 'files:upload',
    request: () => ['/multipart', { fileName: 'a.txt', mimetype: 'text/plain', size: 1 }],
    takesKey: false,
    bucketIn: 'body',
    allowed: 200,
  },
  {
    route: 'POST /multipart/:uploadId/urls',
    request: (key) => [`/multipart/${ID}/urls`, { key, partNumbers: [1] }],
    bucketIn: 'body',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'GET /multipart/:uploadId',
    request: (key) => [`/multipart/${ID}?key=${encoded(key)}`],
    bucketIn: 'query',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'POST /multipart/:uploadId/complete',
    request: (key) => [`/multipart/${ID}/complete`, { key, parts: [{ partNumber: 1, etag: 'e' }] }],
    bucketIn: 'body',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'DELETE /multipart/:uploadId',
    request: (key) => [`/multipart/${ID}?key=${encoded(key)}`],
    bucketIn: 'query',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'GET /s3/params',
    scope: 'files:upload',
    request: () => ['/s3/params?filename=a.txt'],
    takesKey: false,
    bucketIn: null,
    allowed: 200,
  },
  {
    route: 'POST /s3/multipart',
    scope: 'files:upload',
    request: () => ['/s3/multipart', { filename: 'a.txt' }],
    takesKey: false,
    bucketIn: null,
    allowed: 200,
  },
  {
    route: 'GET /s3/multipart/:uploadId',
    request: (key) => [`/s3/multipart/${ID}?key=${encoded(key)}`],
    bucketIn: null,
    ...BY_UPLOAD_ID,
  },
  {
    route: 'GET /s3/multipart/:uploadId/batch',
    request: (key) => [`/s3/multipart/${ID}/batch?key=${encoded(key)}&partNumbers=1,2`],
    bucketIn: null,
    ...BY_UPLOAD_ID,
  },
  {
    route: 'GET /s3/multipart/:uploadId/:partNumber',
    request: (key) => [`/s3/multipart/${ID}/1?key=${encoded(key)}`],
    bucketIn: null,
    ...BY_UPLOAD_ID,
  },
  {
    route: 'POST /s3/multipart/:uploadId/complete',
    request: (key) => [
      `/s3/multipart/${ID}/complete?key=${encoded(key)}`,
      { parts: [{ PartNumber: 1, ETag: 'e' }] },
    ],
    bucketIn: null,
    ...BY_UPLOAD_ID,
  },
  {
    route: 'DELETE /s3/multipart/:uploadId',
    request: (key) => [`/s3/multipart/${ID}?key=${encoded(key)}`],
    bucketIn: null,
    ...BY_UPLOAD_ID,
  },
  {
    route: 'POST /s3/sign',
    request: (key) => ['/s3/sign', { method: 'GET', key, uploadId: ID }],
    bucketIn: 'body',
    ...BY_UPLOAD_ID,
  },
  {
    route: 'GET /s3/sts',
    scope: null,
    request: () => ['/s3/sts'],
    takesKey: false,
    bucketIn: null,
    allowed: 501,
    allowedCode: 'not_supported',
  },
]

const CHOSEN = { scope: 'keys:choose', takesKey: true, allowed: 200 } as const

/** The same routes as above, with a key that the caller chooses. */
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
]

/**
 * Returns the code of the error from `route`, after checking its shape: Uppy's routes also have
 * `error`.
 */
export async function codeOf({ route }: ProtectedRoute, response: Response): Promise<unknown> {
  const { error, message, code }: Record<string, unknown> = await response.json()
  expect(message).toMatch(/./)
  expect(error).toBe(route.includes(' /s3/') ? message : undefined)
  return code
}
