import { type ErrorCode, isErrorCode, STATUS_BY_CODE } from '../../../src/errors/api-error.ts'
import { schemaRef } from './json-schema.ts'
import type { Operation } from './operation.ts'

/** When each code is returned, from docs/troubleshooting.md. */
export type WhenByCode = ReadonlyMap<string, string>

export interface ErrorResponses {
  /** By status: a response, or a reference to one of `shared`. */
  readonly responses: Readonly<Record<string, object>>
  readonly shared: Readonly<Record<string, object>>
}

const CODES = Object.keys(STATUS_BY_CODE).filter(isErrorCode)

const ALWAYS: readonly ErrorCode[] = ['misconfigured', 'internal']
const WITH_CREDENTIALS: readonly ErrorCode[] = [
  'malformed_url',
  'unauthenticated',
  'forbidden',
  'user_changed',
  'rate_limited',
  'refused',
  'auth_unavailable',
]
const WITH_BODY: readonly ErrorCode[] = [
  'invalid_request',
  'malformed_json',
  'body_too_large',
  'unsupported_media_type',
]

const RETRY_AFTER = {
  'Retry-After':
    'Seconds, with `purge_failed`, `storage_busy`, `credentials_unavailable` and `index_unavailable`.',
}

/** Errors of every request to a bucket. */
const AT_BUCKET: readonly ErrorCode[] = ['clock_skew', 'credentials_expired', 'credentials_invalid']

const HEADERS: Readonly<Partial<Record<ErrorCode, Readonly<Record<string, string>>>>> = {
  unauthenticated: { 'WWW-Authenticate': '`Bearer`, or `Bearer error="invalid_token"`.' },
  rate_limited: { 'Retry-After': 'Seconds.' },
  purge_failed: RETRY_AFTER,
  storage_busy: RETRY_AFTER,
  index_unavailable: RETRY_AFTER,
  credentials_unavailable: RETRY_AFTER,
}

/** Every error code that `operation` can return. */
export function errorCodes(
  { scopes, errors }: Operation,
  takes: { readonly query: boolean; readonly body: boolean },
): ErrorCode[] {
  const possible = new Set([
    ...ALWAYS,
    ...errors,
    ...(errors.includes('storage_error') ? AT_BUCKET : []),
    ...(errors.includes('credentials_expired') ? (['credentials_unavailable'] as const) : []),
    ...(scopes === undefined ? [] : WITH_CREDENTIALS),
    ...(scopes !== undefined && takes.query ? (['invalid_request'] as const) : []),
    // POST /notifications, which needs no credentials of the API, drops a malformed body.
    ...(scopes !== undefined && takes.body ? WITH_BODY : []),
  ])
  return CODES.filter((code) => possible.has(code))
}

/** The responses for `codes`. All operations share a response with a single code. */
export function errorResponses(
  codes: readonly ErrorCode[],
  schemaName: 'Error' | 'UppyError',
  when: WhenByCode,
): ErrorResponses {
  const responses: Record<string, object> = {}
  const shared: Record<string, object> = {}
  for (const [status, group] of Map.groupBy(codes, (code) => STATUS_BY_CODE[code])) {
    const response = errorResponse(group, schemaName, when)
    const [code, ...others] = group
    if (code === undefined || others.length > 0) {
      responses[status] = response
      continue
    }
    const name = pascalCase(schemaName === 'Error' ? code : `uppy_${code}`)
    shared[name] = response
    responses[status] = { $ref: `#/components/responses/${name}` }
  }
  return { responses, shared }
}

function errorResponse(codes: readonly ErrorCode[], schemaName: string, when: WhenByCode): object {
  const lines = codes.map((code) => {
    const text = when.get(code)
    return text === undefined ? `\`${code}\`` : `\`${code}\`: ${text}`
  })
  const headers = codes.flatMap((code) => Object.entries(HEADERS[code] ?? {}))
  const theseCodes = { type: 'object', properties: { code: { type: 'string', enum: codes } } }
  return {
    description: lines.length === 1 ? lines.join() : lines.map((line) => `- ${line}`).join('\n'),
    ...headerFields(Object.fromEntries(headers)),
    content: {
      'application/json': { schema: { allOf: [{ $ref: schemaRef(schemaName) }, theseCodes] } },
    },
  }
}

/** The header fields of a response, if any. All of them are text. */
export function headerFields(descriptions: Readonly<Record<string, string>> = {}): {
  headers?: object
} {
  const fields = Object.entries(descriptions).map(([name, description]) => [
    name,
    { description, schema: { type: 'string' } },
  ])
  return fields.length === 0 ? {} : { headers: Object.fromEntries(fields) }
}

const pascalCase = (code: string): string =>
  code.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
