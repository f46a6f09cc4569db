import * as z from 'zod/mini'
import { METADATA_NAME } from '../../../src/bucket/upload-fields.ts'

/** A schema of JSON Schema 2020-12, as OpenAPI 3.1 accepts it. */
export type JsonSchema = z.core.JSONSchema.BaseSchema

/** An object's members by name, and which of them are required. `isClosed` if others are refused. */
export interface ObjectSchema {
  readonly members: Readonly<Record<string, JsonSchema>>
  readonly required: readonly string[]
  readonly isClosed: boolean
}

/** What a client may send as JSON. */
export const bodySchema = (schema: z.ZodMiniType<object>): ObjectSchema =>
  toObject(z.toJSONSchema(schema, { io: 'input', override: tidy }))

/**
 * What a client may send as a query. In a query, everything is text. Integers and booleans get their
 * own types, because OpenAPI defines how to write them as text.
 */
export function querySchema(schema: z.ZodMiniType<object>): ObjectSchema {
  const sent = bodySchema(schema)
  const meant = z.toJSONSchema(schema, { io: 'output', override: tidy, unrepresentable: 'any' })
  const members = Object.entries(sent.members).map(([name, text]) => {
    const member = meant.properties?.[name]
    if (typeof member === 'object' && member.type === 'integer')
      return [name, text.default === undefined ? member : { default: text.default, ...member }]
    return [name, asValue(text)]
  })
  return { ...sent, members: Object.fromEntries(members) }
}

function asValue(text: JsonSchema): JsonSchema {
  if (text.pattern?.startsWith('^\\d{')) return { type: 'integer', minimum: 0 }
  if (text.enum?.join() === 'true,false')
    return { type: 'boolean', default: text.default === 'true' }
  return text
}

/** The schemas of responses by their names in `registry`. A schema refers to those that it contains. */
export function answerSchemas(
  registry: z.core.$ZodRegistry<{ id: string }>,
): Record<string, JsonSchema> {
  const { schemas } = z.toJSONSchema(registry, { io: 'input', override: tidy, uri: schemaRef })
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema, $id, ...schema }]) => [name, schema]),
  )
}

/** The reference to the schema of this name in the document. */
export const schemaRef = (name: string): string => `#/components/schemas/${name}`

function toObject({
  properties = {},
  required = [],
  additionalProperties,
}: JsonSchema): ObjectSchema {
  const members = Object.entries(properties).map(([name, member]) => {
    if (typeof member !== 'object') throw new Error(`The member ${name} has no schema.`)
    return [name, member]
  })
  const isClosed = additionalProperties === false
  return { members: Object.fromEntries(members), required, isClosed }
}

/**
 * Removes what doesn't help a reader: the limits of safe integers, and patterns that only repeat a
 * format. Adds the names of metadata, whose schema has only the values, and defaults.
 */
function tidy({ zodSchema, jsonSchema }: { zodSchema: object; jsonSchema: JsonSchema }): void {
  if ('usual' in zodSchema) {
    const { ...others } = jsonSchema
    for (const name in others) delete jsonSchema[name]
    Object.assign(jsonSchema, { default: zodSchema.usual }, others)
  }
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
  if (jsonSchema.format === 'date-time' || jsonSchema.format === 'uuid') delete jsonSchema.pattern
  if (jsonSchema.format === 'starts_with') delete jsonSchema.format // zod's own
  const [only, ...others] = jsonSchema.enum ?? []
  if (only !== undefined && others.length === 0) {
    jsonSchema.const = only
    delete jsonSchema.enum
  }
  const { properties, additionalProperties: values, propertyNames } = jsonSchema
  if (typeof values === 'object' && properties && Object.keys(properties).length === 0) {
    delete jsonSchema.properties
    delete jsonSchema.additionalProperties
    if (values.type === 'string')
      jsonSchema.propertyNames = { type: 'string', pattern: METADATA_NAME[0].source }
    jsonSchema.additionalProperties = values
  }
  if (typeof propertyNames === 'object' && propertyNames.pattern === undefined)
    delete jsonSchema.propertyNames
}
