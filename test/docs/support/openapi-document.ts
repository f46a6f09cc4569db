import * as z from 'zod/mini'
import { printedDocument } from '../../../tools/dev/openapi/printed.ts'

/**
 * The objects of OpenAPI 3.1.0 and the keywords of JSON Schema 2020-12 that the document uses.
 * Any other member is an error.
 */

const text = z.string().check(z.minLength(1))
const optionalText = z.optional(text)
const count = z.optional(z.int().check(z.minimum(0)))
const pattern = text.check(z.refine((source) => isPattern(source), 'must be a regular expression'))

const typeName = z.enum(['string', 'integer', 'boolean', 'object', 'array', 'null'])

const schemaObject = z.strictObject({
  $ref: optionalText,
  type: z.optional(z.union([typeName, z.array(typeName)])),
  description: optionalText,
  default: z.optional(z.union([z.string(), z.number(), z.boolean()])),
  examples: z.optional(z.array(z.union([z.string(), z.array(z.string())]))),
  enum: z.optional(z.array(z.string()).check(z.minLength(1))),
  const: z.optional(z.string()),
  format: z.optional(z.enum(['uri', 'date-time', 'uuid'])),
  pattern: z.optional(pattern),
  minLength: count,
  maxLength: count,
  minimum: z.optional(z.number()),
  maximum: z.optional(z.number()),
  minItems: count,
  maxItems: count,
  required: z.optional(z.array(text)),
  get items() {
    return z.optional(schemaObject)
  },
  get properties() {
    return z.optional(z.record(text, schemaObject))
  },
  get propertyNames() {
    return z.optional(schemaObject)
  },
  get additionalProperties() {
    return z.optional(z.union([z.boolean(), schemaObject]))
  },
  get anyOf() {
    return z.optional(z.array(schemaObject))
  },
  get allOf() {
    return z.optional(z.array(schemaObject))
  },
})

const reference = z.strictObject({ $ref: z.string().check(z.startsWith('#/')) })
const content = z.optional(
  z
    .record(text, z.strictObject({ schema: z.optional(schemaObject) }))
    .check(z.refine((types) => Object.keys(types).length === 1, 'must be one type')),
)

const responseObject = z.strictObject({
  description: text,
  headers: z.optional(z.record(text, z.strictObject({ description: text, schema: schemaObject }))),
  content,
})

const parameterObject = z.strictObject({
  name: text,
  in: z.enum(['path', 'query', 'header']),
  description: text,
  required: z.optional(z.boolean()),
  style: z.optional(z.enum(['form', 'deepObject'])),
  explode: z.optional(z.boolean()),
  schema: schemaObject,
})

const serverObject = z.strictObject({
  url: z.string().check(z.regex(/^[^/]/, 'must be relative to the document')),
  description: optionalText,
  variables: z.optional(z.record(text, z.strictObject({ default: text }))),
})

const operationObject = z.strictObject({
  operationId: z.string().check(z.regex(/^[a-z]+(?:[A-Z][a-z]+)+$/)),
  tags: z.array(text).check(z.length(1)),
  summary: text,
  description: optionalText,
  servers: z.optional(z.array(serverObject)),
  security: z.array(z.record(text, z.array(text))),
  parameters: z.optional(z.array(parameterObject)),
  requestBody: z.optional(z.strictObject({ required: z.literal(true), content })),
  responses: z.record(
    z.string().check(z.regex(/^(?:[2-5]\d\d|4XX)$/)),
    z.union([reference, responseObject]),
  ),
})

const pathItemObject = z.partialRecord(
  z.enum(['get', 'post', 'delete', 'patch', 'put']),
  operationObject,
)

const documentObject = z.strictObject({
  openapi: z.literal('3.1.0'),
  info: z.strictObject({
    title: text,
    version: text,
    description: text,
    license: z.strictObject({ name: text, identifier: text }),
  }),
  externalDocs: z.strictObject({ description: text, url: z.url() }),
  servers: z.array(serverObject),
  tags: z.array(z.strictObject({ name: text, description: text })),
  paths: z.record(z.string().check(z.startsWith('/')), pathItemObject),
  components: z.strictObject({
    schemas: z.record(text, schemaObject),
    responses: z.record(text, responseObject),
    securitySchemes: z.record(
      text,
      z.strictObject({
        type: z.literal('http'),
        scheme: z.literal('bearer'),
        bearerFormat: text,
        description: text,
      }),
    ),
  }),
})

export type SchemaObject = z.infer<typeof schemaObject>
export type ResponseObject = z.infer<typeof responseObject>
export type ParameterObject = z.infer<typeof parameterObject>
export type OperationObject = z.infer<typeof operationObject>
export type OpenApiDocument = z.infer<typeof documentObject>

/** Reads what the Worker serves at `/openapi.json`. Throws when it is not an OpenAPI document. */
export const readDocument = (): OpenApiDocument =>
  documentObject.parse(JSON.parse(printedDocument()))

/** An operation, with its path and method. */
export interface Located {
  readonly method: string
  /** A template: `/files/{key}`. */
  readonly path: string
  readonly operation: OperationObject
}

export const operationsOf = ({ paths }: OpenApiDocument): Located[] =>
  Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      operation,
    })),
  )

/** Returns the response of `operation` for `status`, or undefined. */
export function responseOf(
  { components }: OpenApiDocument,
  { responses }: OperationObject,
  status: number | string,
): ResponseObject | undefined {
  const response = responses[status]
  if (response === undefined || !('$ref' in response)) return response
  return components.responses[response.$ref.replace('#/components/responses/', '')]
}

/** Returns every `$ref` in `value`. */
export function referencesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]: [string, unknown]) =>
    name === '$ref' && typeof member === 'string' ? [member] : referencesIn(member),
  )
}

/** Returns the schemas with examples inside a value. */
export function schemasWithExamples(value: unknown): SchemaObject[] {
  if (typeof value !== 'object' || value === null) return []
  const own = 'examples' in value ? [schemaObject.parse(value)] : []
  return [...own, ...Object.values(value).flatMap(schemasWithExamples)]
}

function isPattern(source: string): boolean {
  try {
    return new RegExp(source, 'u') !== null
  } catch {
    return false
  }
}
