import type * as z from 'zod/mini'
import type { WhenByCode } from './error-responses.ts'
import { bodySchema, type JsonSchema, type ObjectSchema, querySchema } from './json-schema.ts'
import { COMMON_MEMBERS, PATH_PARAMETERS } from './members.ts'
import type { Member, Operation } from './operation.ts'

/** What a route checks: the schemas of its middlewares, or those that its operation states. */
export interface Checks {
  readonly query: z.ZodMiniType<object> | undefined
  readonly body: z.ZodMiniType<object> | undefined
}

/**
 * A handler of the app, or one of the checks before it. `handler` has the schema of such a check.
 */
export interface RegisteredRoute {
  readonly method: string
  readonly path: string
  readonly handler: { readonly [Name in keyof Checks]?: Checks[Name] | undefined }
}

/** The sources of the document outside tools/dev/openapi/. */
export interface Sources {
  readonly routes: readonly RegisteredRoute[]
  /** Of package.json. */
  readonly version: string
  readonly when: WhenByCode
}

/** OpenAPI's Parameter Object. */
interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly description: string
  readonly required?: boolean
  readonly style?: 'deepObject' | 'form'
  readonly explode?: boolean
  readonly schema: JsonSchema
}

/** A header of every request with credentials. */
const USER_TAG: Parameter = {
  name: 'X-User-Tag',
  in: 'header',
  description:
    'The `tag` of `GET /limits`. The Worker refuses the request if the caller has another one by now.',
  schema: { type: 'string' },
}

/**
 * Returns `parameters` and `requestBody` of an operation. Throws for a member without a description,
 * and for a description without a member.
 */
export function describeRequest(
  path: string,
  operation: Operation,
  { query, body }: Checks,
): { parameters?: readonly Parameter[]; requestBody?: object } {
  const queryMembers = query && describeMembers(querySchema(query), operation)
  const bodyMembers = body && describeMembers(bodySchema(body), operation)
  const known = { ...queryMembers?.members, ...bodyMembers?.members }
  for (const name of Object.keys(operation.members ?? {}))
    if (!(name in known)) throw new Error(`${operation.id} has no member "${name}" to describe.`)

  const parameters = [
    ...pathParameters(path),
    ...(operation.scopes ? [USER_TAG] : []),
    ...(queryMembers ? queryParameters(queryMembers) : []),
    ...Object.entries(operation.headers ?? {}).map(
      ([name, description]): Parameter => ({
        name,
        in: 'header',
        description,
        schema: { type: 'string' },
      }),
    ),
  ]
  return {
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(bodyMembers ? { requestBody: requestBody(bodyMembers) } : {}),
  }
}

/** An object whose members all have a description. */
interface DescribedObject extends ObjectSchema {
  readonly members: Readonly<Record<string, Member>>
}

function describeMembers(object: ObjectSchema, operation: Operation): DescribedObject {
  const members = Object.entries(object.members).map(([name, schema]) => {
    const member = operation.members?.[name] ?? COMMON_MEMBERS[name]
    if (member === undefined)
      throw new Error(
        `Describe the member "${name}" of ${operation.id} in tools/dev/openapi/operations/.`,
      )
    const { description, ...bounds } = member
    return [name, { description, ...schema, ...bounds }]
  })
  return { ...object, members: Object.fromEntries(members) }
}

const pathParameters = (path: string): Parameter[] =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => {
    const parameter = PATH_PARAMETERS[name]
    if (parameter === undefined) throw new Error(`Describe {${name}} of ${path} in members.ts.`)
    const { description, ...schema } = parameter
    return { name, in: 'path', description, required: true, schema }
  })

const queryParameters = ({ members, required }: DescribedObject): Parameter[] =>
  Object.entries(members).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    description,
    ...(required.includes(name) ? { required: true } : {}),
    ...serialization(schema),
    schema,
  }))

/** How a query contains a value of more than one text: `metadata[name]=…`, `partNumbers=1,2`. */
function serialization({ type }: JsonSchema): Pick<Parameter, 'style' | 'explode'> {
  if (type === 'object') return { style: 'deepObject', explode: true }
  if (type === 'array') return { style: 'form', explode: false }
  return {}
}

function requestBody({ members, required, isClosed }: DescribedObject): object {
  const schema = {
    type: 'object',
    properties: members,
    ...(required.length === 0 ? {} : { required }),
    ...(isClosed ? { additionalProperties: false } : {}),
  }
  return { required: true, content: { 'application/json': { schema } } }
}
