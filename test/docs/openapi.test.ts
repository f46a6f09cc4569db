import { describe, expect, it, vi } from 'vitest'
import * as z from 'zod/mini'
import { openApiDocument } from '../../tools/dev/openapi/document.ts'
import type { RegisteredRoute } from '../../tools/dev/openapi/request.ts'
import { readSources } from '../../tools/dev/openapi/sources.ts'
import { codeBlocks, readPage } from './support/markdown.ts'
import { answerError } from './support/openapi-client.ts'
import {
  type Located,
  operationsOf,
  readDocument,
  referencesIn,
  responseOf,
  schemasWithExamples,
} from './support/openapi-document.ts'

// Node has no such module. The routes are only listed here, not called.
vi.mock('cloudflare:workers', () => ({ env: {}, exports: {}, WorkerEntrypoint: class {} }))

const DOCUMENT = readDocument()
const OPERATIONS = operationsOf(DOCUMENT)
const SOURCES = await readSources()
/** Errors of routes that must stay in the document, since clients and pages handle them. */
const HANDLED: Readonly<Record<string, string>> = {
  'POST /files/upload-url': 'invalid_key type_mismatch',
  'GET /files': 'invalid_cursor invalid_request not_supported',
  'GET /stats': 'invalid_request not_supported',
  'GET /export': 'not_supported',
  'PATCH /files/:key': 'file_replaced object_not_found',
  'DELETE /files/:key': 'precondition_failed storage_error unavailable',
  'POST /files/delete-all': 'internal invalid_cursor not_supported',
  'POST /files/copy':
    'file_replaced file_too_large invalid_request not_supported object_exists unavailable',
  'POST /files/move': 'not_supported object_not_found',
  'POST /files/:key/link': 'forbidden',
  'POST /links/folder': 'invalid_key',
  'GET /i/:bucket/:key': 'link_invalid',
  'GET /f/:token/:key': 'link_invalid',
  'POST /grants': 'invalid_expiry object_not_found',
  'GET /grants': 'unavailable',
  'GET /grants/:id': 'not_found',
  'GET /g/:secret': 'grant_ended',
  'POST /g/:secret': 'forbidden password_wrong rate_limited unavailable',
  'POST /drop-boxes': 'forbidden invalid_expiry',
  'GET /drop-boxes': 'unavailable',
  'GET /drop-boxes/:id': 'not_found',
  'GET /d/:secret': 'drop_box_closed',
  'POST /d/:secret/token': 'forbidden password_wrong',
  'GET /multipart/:uploadId': 'not_supported',
  'POST /multipart/:uploadId/complete': 'file_too_large size_mismatch',
  'DELETE /multipart/:uploadId': 'not_supported',
  'POST /tokens': 'forbidden invalid_request',
  'GET /objects': 'invalid_cursor not_found not_supported',
  'GET /index': 'not_supported',
  'GET /upkeep': 'misconfigured not_supported',
  'POST /upkeep/walk': 'forbidden',
  'POST /upkeep/orphans/delete': 'precondition_failed',
  'GET /limits': 'user_changed',
  'POST /notifications': 'unavailable',
  'GET /healthz': 'misconfigured',
  'POST /s3/form': 'body_too_large forbidden unauthenticated',
  'GET /s3/multipart/:uploadId': 'upload_not_found',
  'GET /s3/multipart/:uploadId/:partNumber': 'file_too_large',
  'GET /s3/multipart/:uploadId/batch': 'invalid_request',
  'GET /s3/sts': 'not_supported',
  'POST /s3/sign': 'invalid_upload_id',
  'POST /s3/uploads': 'forbidden unauthenticated',
}

/** Returns a route as the pages write it: `GET /files/:key/url`. */
const routeOf = ({ method, path }: Located): string =>
  `${method} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`

const unique = (values: readonly string[]): string[] => [...new Set(values)].toSorted()

/** Returns the error codes of an operation. */
function codesOf({ operation }: Located): string[] {
  const responses = Object.keys(operation.responses).map((status) =>
    responseOf(DOCUMENT, operation, Number(status)),
  )
  const schemas = responses.flatMap((response) =>
    Object.values(response?.content ?? {}).flatMap(({ schema }) => schema?.allOf ?? []),
  )
  return schemas.flatMap(({ properties }) => properties?.code?.enum ?? [])
}

describe('the OpenAPI document', () => {
  it('has exactly the routes of the app, on its servers', () => {
    const described = OPERATIONS.flatMap((located) =>
      (located.operation.servers ?? DOCUMENT.servers).map(({ url }) => {
        const base = url === '.' ? '' : `/${url}`
        return routeOf({ ...located, path: base + located.path })
      }),
    )
    const registered = SOURCES.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path}`)
    expect(described.toSorted()).toEqual(unique(registered))
  })

  it('has servers relative to the mount path that serves it', () => {
    const urls = DOCUMENT.servers.map(({ url }) => {
      const base = new URL(url.replace('{token}', 'ept_1'), 'https://app.example/t/a/openapi.json')
      return `${base.href.replace(/\/$/, '')}/files`
    })
    expect(urls).toEqual(['https://app.example/t/a/files', 'https://app.example/t/a/u/ept_1/files'])
    const own = OPERATIONS.flatMap(({ operation }) => operation.servers ?? [])
    expect(unique(own.map(({ url }) => url))).toEqual(['.'])
  })

  it('has a unique id for each operation', () => {
    const ids = OPERATIONS.map(({ operation }) => operation.operationId)
    expect(ids.toSorted()).toEqual(unique(ids))
  })

  it('declares each parameter once, and path parameters in the order of the path', () => {
    for (const { path, operation } of OPERATIONS) {
      const { parameters = [] } = operation
      const names = parameters.map((parameter) => `${parameter.in} ${parameter.name}`)
      expect(names.toSorted()).toEqual(unique(names))
      const inPath = parameters.filter((parameter) => parameter.in === 'path')
      expect(inPath.every(({ required }) => required)).toBe(true)
      expect(inPath.map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? [])
    }
  })

  it('has no broken references and no unused components', () => {
    const { schemas, responses } = DOCUMENT.components
    const present = [
      ...Object.keys(schemas).map((name) => `#/components/schemas/${name}`),
      ...Object.keys(responses).map((name) => `#/components/responses/${name}`),
    ]
    expect(unique(referencesIn(DOCUMENT))).toEqual(present.toSorted())
  })

  it('has examples that their schemas accept', () => {
    const schemas = schemasWithExamples(DOCUMENT)
    expect(schemas.length).toBeGreaterThan(20)
    for (const schema of schemas)
      for (const example of schema.examples ?? [])
        expect.soft(answerError(DOCUMENT, schema, example), schema.description).toBeNull()
  })

  it('uses only tags and security schemes that it declares', () => {
    const tags = OPERATIONS.flatMap(({ operation }) => operation.tags)
    expect(unique(tags)).toEqual(DOCUMENT.tags.map(({ name }) => name).toSorted())
    const schemes = OPERATIONS.flatMap(({ operation }) => operation.security.flatMap(Object.keys))
    expect(unique(schemes)).toEqual(Object.keys(DOCUMENT.components.securitySchemes))
  })

  it('has a variable for each name in braces in a server', () => {
    for (const { url, variables = {} } of DOCUMENT.servers)
      expect(Object.keys(variables).map((name) => `{${name}}`)).toEqual(url.match(/\{\w+\}/g) ?? [])
  })
})

describe('the table of docs/api.md', () => {
  it('has the scopes of the OpenAPI document', () => {
    const [, section = ''] = readPage('docs/api.md').split('\n## Routes\n')
    const rows = section
      .split('\n## ')[0]
      ?.matchAll(/^\| `([A-Z]+ \/[^`]*)` \| (?:`([\w:-]+)`|(none|any))/gm)
    const documented = [...(rows ?? [])].map(([, route, scope, word]) => [
      route,
      word === 'none' ? [] : [{ bearer: scope === undefined ? [] : [scope] }],
    ])
    const described = OPERATIONS.map((located) => [routeOf(located), located.operation.security])
    expect(Object.fromEntries(described)).toEqual(Object.fromEntries(documented))
  })
})

it.each(Object.entries(HANDLED))(
  '%s has the errors that clients and pages handle',
  (route, codes) => {
    const located = OPERATIONS.find((one) => routeOf(one) === route)
    if (located === undefined) throw new Error('There is no such operation.')
    expect(codesOf(located)).toEqual(expect.arrayContaining(codes.split(' ')))
  },
)

describe('an example of the reference', () => {
  const examples = readPage('tools/dev/openapi/examples.md')
    .split(/^## /m)
    .filter((section) => /^[A-Z]+ \//.test(section))
    .flatMap((section) =>
      codeBlocks(section)
        .filter(({ language }) => language === 'json')
        .map(({ code }): [string, unknown] => [section.split('\n', 1).join(), JSON.parse(code)]),
    )

  it.each(examples)('matches its description: %s', (route, example) => {
    const located = OPERATIONS.find((one) => routeOf(one) === route)
    if (located === undefined) throw new Error('There is no such operation.')
    const isError = typeof example === 'object' && example !== null && 'code' in example
    const answers = Object.keys(located.operation.responses)
      .filter((status) => (isError ? status >= '400' : status < '400'))
      .map((status) => responseOf(DOCUMENT, located.operation, status))
      .flatMap((response) => response?.content?.['application/json']?.schema ?? [])
    expect(answers.map((schema) => answerError(DOCUMENT, schema, example))).toContain(null)
  })

  it('exists for most operations', () => {
    expect(examples.length).toBeGreaterThan(13)
  })
})

describe('the generator', () => {
  const change = (edit: (routes: RegisteredRoute[]) => RegisteredRoute[]) => () =>
    openApiDocument({ ...SOURCES, routes: edit([...SOURCES.routes]) })

  it('refuses a route without a description', () => {
    const added = { method: 'GET', path: '/files/:key/versions', handler: {} }
    expect(change((routes) => [...routes, added])).toThrow(/GET \/files\/:key\/versions/)
  })

  it('refuses a description of a removed route', () => {
    const gone = change((routes) => routes.filter(({ path }) => path !== '/tokens'))
    expect(gone).toThrow('POST /tokens')
  })

  it('refuses a route without its counterpart under /u/:token', () => {
    const gone = change((routes) => routes.filter(({ path }) => path !== '/u/:token/tokens'))
    expect(gone).toThrow('POST /u/:token/tokens')
  })

  it.each(['body', 'query'])('refuses a member of the %s without a description', (part) => {
    const schema = z.strictObject({ novelty: z.string() })
    const changed = change((routes) =>
      routes.map((route) =>
        route.handler.body || route.handler.query
          ? { ...route, handler: { [part]: schema } }
          : route,
      ),
    )
    expect(changed).toThrow(/"novelty"/)
  })
})
