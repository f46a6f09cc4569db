import { answers } from './answers.ts'
import { errorCodes, errorResponses, headerFields } from './error-responses.ts'
import { documentFrame, HERE, securitySchemes } from './frame.ts'
import { answerSchemas, schemaRef } from './json-schema.ts'
import type { Answer, Operation, Operations } from './operation.ts'
import { adminOperations } from './operations/admin.ts'
import { dropBoxOperations } from './operations/drop-boxes.ts'
import { fileOperations } from './operations/files.ts'
import { grantOperations } from './operations/grants.ts'
import { healthOperations } from './operations/health.ts'
import { linkOperations } from './operations/links.ts'
import { multipartOperations } from './operations/multipart.ts'
import { notificationOperations } from './operations/notifications.ts'
import { tokenOperations } from './operations/tokens.ts'
import { upkeepOperations } from './operations/upkeep.ts'
import { uppyOperations } from './operations/uppy.ts'
import { type Checks, describeRequest, type RegisteredRoute, type Sources } from './request.ts'

export const OPERATIONS: Operations = {
  ...fileOperations,
  ...linkOperations,
  ...grantOperations,
  ...dropBoxOperations,
  ...multipartOperations,
  ...tokenOperations,
  ...adminOperations,
  ...upkeepOperations,
  ...notificationOperations,
  ...uppyOperations,
  ...healthOperations,
}

const TOKEN_PATH = '/u/:token'

/**
 * Returns the OpenAPI 3.1 document of the app. Throws for a route without a description, and for a
 * description without a route.
 */
export function openApiDocument({ routes, version, when }: Sources): object {
  const checks = checksByRoute(routes)
  requireSame([...checks.keys()], [...Object.keys(OPERATIONS), ...inTokenPath(OPERATIONS)])

  const paths: Record<string, Record<string, object>> = {}
  const sharedResponses: Record<string, object> = {}
  for (const [route, operation] of Object.entries(OPERATIONS)) {
    const [method = '', path = ''] = route.split(' ')
    const template = path.replaceAll(/:(\w+)/g, '{$1}')
    const { query = operation.query, body = operation.body } = checks.get(route) ?? {}
    const request = describeRequest(template, operation, { query, body })
    const codes = errorCodes(operation, { query: query !== undefined, body: body !== undefined })
    const schemaName = operation.tag === 'uppy' ? 'UppyError' : 'Error'
    const failures = errorResponses(codes, schemaName, when)
    Object.assign(sharedResponses, failures.shared)
    const { id: operationId, tag, summary, description } = operation
    paths[template] ??= {}
    paths[template][method.toLowerCase()] = {
      operationId,
      tags: [tag],
      summary,
      ...(description === undefined ? {} : { description }),
      ...access(operation),
      ...request,
      responses: { ...successes(operation), ...failures.responses },
    }
  }
  return {
    ...documentFrame(version),
    paths: sorted(mapValues(paths, sorted)),
    components: {
      schemas: sorted(answerSchemas(answers)),
      responses: sorted(sharedResponses),
      securitySchemes,
    },
  }
}

/** The checks of each route, by its method and its path as in docs/api.md. */
function checksByRoute(routes: readonly RegisteredRoute[]): Map<string, Partial<Checks>> {
  const handlers = routes.filter(({ method }) => method !== 'ALL')
  const checks = new Map<string, Partial<Checks>>()
  for (const { method, path, handler } of handlers) {
    const route = `${method} ${path}`
    checks.set(route, { ...checks.get(route), ...handler })
  }
  return checks
}

/**
 * The routes that must also exist under /u/:token: those that need credentials. The document states
 * this once, in its servers.
 */
const inTokenPath = (operations: Operations): string[] =>
  Object.entries(operations)
    .filter(([, { scopes }]) => scopes !== undefined)
    .map(([route]) => route.replace(' ', ` ${TOKEN_PATH}`))

function requireSame(actual: readonly string[], described: readonly string[]): void {
  const missing = actual.filter((route) => !described.includes(route))
  const surplus = described.filter((route) => !actual.includes(route))
  if (missing.length + surplus.length === 0) return
  throw new Error(
    [
      ...missing.map((route) => `${route} is not described in tools/dev/openapi/operations/.`),
      ...surplus.map((route) => `${route} is described, but the app has no such route.`),
    ].join('\n'),
  )
}

/** Only routes that need credentials exist under /u/:token. */
const access = ({ scopes }: Operation): object =>
  scopes === undefined
    ? { servers: [{ url: HERE }], security: [] }
    : { security: [{ bearer: scopes }] }

const successes = ({ answers }: Operation): Record<string, object> =>
  mapValues(answers, ({ description, headers, body }) => ({
    description,
    ...headerFields(headers),
    ...content(body),
  }))

function content(body: Answer['body']): object {
  if (body === undefined) return {}
  if (typeof body === 'string') return { content: { [body]: {} } }
  const name = answers.get(body)?.id
  if (name === undefined) throw new Error('A response has no name in tools/dev/openapi/answers.ts.')
  return { content: { 'application/json': { schema: { $ref: schemaRef(name) } } } }
}

const mapValues = <From, To>(
  record: Readonly<Record<string, From>>,
  change: (value: From) => To,
): Record<string, To> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]))

/** Returns `record` with its names sorted by their characters. */
const sorted = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)))
