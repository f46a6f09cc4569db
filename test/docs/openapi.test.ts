import { describe, expect, it, vi } from 'vitest'
import * as z from 'zod/mini'
import { STATUS_BY_CODE } from '../../src/errors/api-error.ts'
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
const PAGES = [readPage('docs/api.md'), readPage('docs/uppy.md')]

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

describe('what the OpenAPI document and the pages both list', () => {
  it('has the same scopes', () => {
    const rows = PAGES.flatMap((page) => [
      ...page.matchAll(/^\| \[`([A-Z]+ \/[^`]*)`\]\S* \| (?:`([\w:-]+)`|(none|any))/gm),
    ])
    const documented = rows.map(([, route, scope, word]) => [
      route,
      word === 'none' ? [] : [{ bearer: scope === undefined ? [] : [scope] }],
    ])
    const described = OPERATIONS.map((located) => [routeOf(located), located.operation.security])
    expect(Object.fromEntries(described)).toEqual(Object.fromEntries(documented))
  })

  it('has the errors that the sections of its routes name', () => {
    // Items of these responses have errors of their own.
    const lists =
      /^(?:POST \/(?:files\/(?:upload-urls|urls|batch|delete|purge)|links)|PUT \/index)$/
    const sections = PAGES.flatMap((page) => page.split(/^#{2,3} /m))
    const named = sections.flatMap((section) => {
      const route = section.split('\n', 1).join()
      const located = OPERATIONS.find((one) => routeOf(one) === route && !lists.test(route))
      // What the routes of an upload in parts return later.
      const text = section.replace(/\n\n(?:The upload id|If the response is lost).+(?:\n.+)*/g, '')
      const codes = [...text.matchAll(/`([a-z_]+)`/g)].map(([, code = '']) => code)
      return located === undefined
        ? []
        : unique(codes.filter((code) => Object.hasOwn(STATUS_BY_CODE, code))).map((code) => ({
            name: `${route}: ${code}`,
            code,
            possible: codesOf(located),
          }))
    })
    expect(named.length).toBeGreaterThan(20)
    for (const { name, code, possible } of named) expect.soft(possible, name).toContain(code)
  })
})

describe('an example in docs/api.md', () => {
  const examples = (PAGES[0] ?? '')
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
