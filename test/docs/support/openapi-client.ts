import { fromJSONSchema } from 'zod'
import * as z from 'zod/mini'
import {
  type Located,
  type OpenApiDocument,
  operationsOf,
  type ParameterObject,
  responseOf,
  type SchemaObject,
} from './openapi-document.ts'

/** The input of an operation: `parameters` by name, for the path, the query and the headers. */
export interface CallInput {
  readonly parameters?: Readonly<Record<string, unknown>>
  /** A string or a form is sent unchanged, everything else as JSON. */
  readonly body?: unknown
  /** Header fields that the document describes only in words. */
  readonly headers?: Readonly<Record<string, string>>
  /** The API's base below the origin: one of the document's servers, by default the first. */
  readonly base?: string
}

/** A client of the Worker that reads only the document. */
export interface DocumentClient {
  /**
   * Calls an operation and resolves with the JSON of the response. Throws when the input or the
   * response doesn't match the document.
   */
  call(operationId: string, status: number, input?: CallInput): Promise<unknown>
  /** The same for a response that is not JSON. Resolves with its text. */
  text(operationId: string, status: number, input?: CallInput): Promise<string>
  /** The ids of the operations that were called with success. */
  readonly succeeded: ReadonlySet<string>
}

export function createDocumentClient(document: OpenApiDocument, origin: string): DocumentClient {
  const operations = new Map(
    operationsOf(document).map((located) => [located.operation.operationId, located]),
  )
  const succeeded = new Set<string>()

  async function call(
    operationId: string,
    status: number,
    { parameters = {}, body, headers = {}, base = '' }: CallInput = {},
  ): Promise<{ readonly text: string; readonly json: unknown }> {
    const located = operations.get(operationId)
    if (located === undefined) throw new Error(`There is no operation ${operationId}.`)
    const { operation, method } = located
    if (operation.requestBody !== undefined) {
      const schema = operation.requestBody.content?.['application/json']?.schema
      toZod(document, schema).parse(body)
    }
    const isPlain = body instanceof FormData || typeof body === 'string'
    const response = await fetch(origin + base + target(document, located, parameters), {
      method,
      headers: {
        ...headers,
        ...headerParameters(located, parameters),
        ...(body === undefined || isPlain ? {} : { 'Content-Type': 'application/json' }),
      },
      body: isPlain ? body : body === undefined ? null : JSON.stringify(body),
      redirect: 'manual',
    })
    const text = await response.text()
    if (response.status !== status)
      throw new Error(`${operationId} answered ${response.status}: ${text}`)
    if (status < 400) succeeded.add(operationId)
    return { text, json: checkAnswer(document, located, response, text) }
  }

  return {
    succeeded,
    call: async (...input) => (await call(...input)).json,
    text: async (...input) => (await call(...input)).text,
  }
}

/** Checks a response against the document, and returns its JSON. */
export function checkAnswer(
  document: OpenApiDocument,
  { operation }: Located,
  { status, headers }: Response,
  text: string,
): unknown {
  const response = responseOf(document, operation, status)
  if (response === undefined) throw new Error(`${operation.operationId}: no response ${status}`)
  for (const name of Object.keys(response.headers ?? {}))
    if (!headers.has(name) && !MAY_LACK.includes(name) && !isUnknownSize(status, name))
      throw new Error(`${operation.operationId}: ${status} without ${name}`)
  const [type, media] = Object.entries(response.content ?? {})[0] ?? []
  if (type === undefined && text !== '') throw new Error(`${operation.operationId}: a body`)
  if (media?.schema === undefined) return undefined
  const answer: unknown = JSON.parse(text)
  const failure = answerError(document, media.schema, answer)
  if (failure !== null) throw new Error(`${operation.operationId} ${status}: ${failure}`)
  return answer
}

/** Returns why `answer` doesn't match `schema`, including undescribed members, or null. */
export function answerError(
  document: OpenApiDocument,
  schema: SchemaObject,
  answer: unknown,
): string | null {
  for (const part of schema.allOf ?? [closed(schema)]) {
    const { error } = toZod(document, part).safeParse(answer)
    if (error) return z.prettifyError(error)
  }
  return null
}

/** Headers that only some of the responses have. */
const MAY_LACK = ['Retry-After', 'ETag', 'Last-Modified']

/** Whether the bucket decides: s3rver doesn't send the size in its 416. */
const isUnknownSize = (status: number, name: string): boolean =>
  status === 416 && name === 'Content-Range'

/** Returns a validator for `schema`, built only from the document's JSON. */
function toZod(document: OpenApiDocument, schema: SchemaObject = {}): z.ZodMiniType {
  const $defs = Object.fromEntries(
    Object.entries(document.components.schemas).map(([name, shared]) => [name, closed(shared)]),
  )
  const json = JSON.stringify({ ...schema, $defs })
  return fromJSONSchema(JSON.parse(json.replaceAll('#/components/schemas/', '#/$defs/')))
}

/**
 * Returns `schema` without additional members, because the document must describe everything that
 * the Worker returns.
 */
function closed(schema: SchemaObject): SchemaObject {
  const { properties, items, anyOf, ...rest } = schema
  return {
    ...rest,
    ...(items && { items: closed(items) }),
    ...(anyOf && { anyOf: anyOf.map(closed) }),
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, member]) => [name, closed(member)]),
      ),
      additionalProperties: false,
    }),
  }
}

/**
 * Returns the path and the query of a request, with the values encoded as the parameters define.
 */
function target(
  document: OpenApiDocument,
  { path, operation }: Located,
  values: Readonly<Record<string, unknown>>,
): string {
  const declared = operation.parameters ?? []
  const search = new URLSearchParams()
  let filled = path
  for (const [name, value] of Object.entries(values)) {
    const parameter = declared.find((candidate) => candidate.name === name)
    if (parameter === undefined) throw new Error(`${operation.operationId} has no ${name}.`)
    toZod(document, parameter.schema).parse(value)
    if (parameter.in === 'path')
      filled = filled.replace(`{${name}}`, encodeURIComponent(String(value)))
    if (parameter.in === 'query')
      for (const [written, text] of queryPairs(parameter, value)) search.set(written, text)
  }
  const missing = declared.filter(({ required, name }) => required && !(name in values))
  if (missing.length > 0)
    throw new Error(`${operation.operationId} needs ${missing.map(({ name }) => name).join(', ')}.`)
  return search.size > 0 ? `${filled}?${search}` : filled
}

function queryPairs({ name, style, explode }: ParameterObject, value: unknown): [string, string][] {
  if (style === 'deepObject')
    return Object.entries(z.record(z.string(), z.string()).parse(value)).map(([member, text]) => [
      `${name}[${member}]`,
      text,
    ])
  if (Array.isArray(value) && explode !== false) throw new Error(`${name}: not written here.`)
  return [[name, String(value)]]
}

const headerParameters = (
  { operation }: Located,
  values: Readonly<Record<string, unknown>>,
): Record<string, string> =>
  Object.fromEntries(
    (operation.parameters ?? [])
      .filter((parameter) => parameter.in === 'header' && parameter.name in values)
      .map(({ name }) => [name, String(values[name])]),
  )
