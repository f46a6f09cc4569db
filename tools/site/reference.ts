import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { printedDocument } from '../dev/openapi/printed.ts'
import { fragment, REFERENCE, type ReferencePage, ROOT, readPage } from './pages.ts'

/** The parts of OpenAPI 3.1 that the document uses. A test checks the document itself. */
interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly examples?: readonly (string | readonly string[])[]
  readonly enum?: readonly string[]
  readonly const?: string
  readonly format?: string
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
  readonly anyOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
}
interface Header {
  readonly description: string
}
interface Content {
  readonly [type: string]: { readonly schema?: Schema }
}
interface Response {
  readonly description: string
  readonly headers?: Readonly<Record<string, Header>>
  readonly content?: Content
}
interface Parameter {
  readonly name: string
  readonly in: string
  readonly description: string
  readonly required?: boolean
  readonly schema: Schema
}
interface Operation {
  readonly tags: readonly string[]
  readonly summary: string
  readonly description?: string
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content?: Content }
  readonly responses: Readonly<Record<string, Response | { readonly $ref: string }>>
}
interface Document {
  readonly info: { readonly description: string }
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>
    readonly responses: Readonly<Record<string, Response>>
  }
}

const DOCUMENT: Document = JSON.parse(printedDocument())
const TITLES: Readonly<Record<string, string>> = {
  files: 'Files',
  multipart: 'Uploads in parts',
  links: 'Links',
  grants: 'Grants',
  'drop-boxes': 'Drop boxes',
  tokens: 'Tokens and limits',
  admin: 'Objects and index',
  upkeep: 'Upkeep',
  notifications: 'Notifications',
  uppy: 'Routes for Uppy',
  health: 'Health',
}
/** The page that says when and how to use the routes of a tag. */
export const GUIDES: Readonly<Record<string, string>> = {
  files: 'docs/files.md',
  multipart: 'docs/upload.md',
  links: 'docs/pictures.md',
  grants: 'docs/share.md',
  'drop-boxes': 'docs/share.md',
  tokens: 'docs/login.md',
  admin: 'docs/import-and-repair.md',
  upkeep: 'docs/import-and-repair.md',
  notifications: 'docs/import-and-repair.md',
  uppy: 'docs/uppy.md',
  health: 'docs/doctor.md',
}

/** What the commands of the examples leave out. */
const ABOUT_EXAMPLES =
  'The examples send no credentials, because `npx edge-presigner dev` needs none. `$KEY` is an object key, `$ID` the id of a grant or a drop box.'

/** The commands and responses of the routes, by the route as the pages write it: `GET /files/:key/url`. */
const EXAMPLES = new Map(
  readPage('tools/dev/openapi/examples.md')
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.split('\n', 1).join(), section]),
)
const IN_ORDER = [...EXAMPLES.keys()]

interface Route {
  readonly route: string
  readonly operation: Operation
}

const ROUTES = Object.entries(DOCUMENT.paths)
  .flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]): Route => {
      const route = `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`
      return { route, operation }
    }),
  )
  .toSorted((a, b) => IN_ORDER.indexOf(a.route) - IN_ORDER.indexOf(b.route))

/** Returns the path of the page about a route, such as `/reference/files.md`, or null. */
export function referencePath(route: string): string | null {
  const found = ROUTES.find((one) => one.route === route)
  return found === undefined ? null : `/reference/${found.operation.tags[0]}.md`
}

/** Returns the pages of the reference: their paths in the repository, and their Markdown. */
export const referencePages = (): readonly ReferencePage[] =>
  DOCUMENT.tags.map(({ name, description }) => [
    `${REFERENCE}/${name}.md`,
    [
      `# ${TITLES[name] ?? name}`,
      `${description} [Guide](../../../${GUIDES[name]}).`,
      ...(name === 'uppy' ? [] : [ABOUT_EXAMPLES]),
      ...ROUTES.filter(({ operation }) => operation.tags[0] === name).flatMap(operationSection),
    ].join('\n\n'),
  ])

/** Writes the pages of the reference, and returns them. */
export function writeReference(): readonly ReferencePage[] {
  rmSync(join(ROOT, REFERENCE), { recursive: true, force: true })
  mkdirSync(join(ROOT, REFERENCE), { recursive: true })
  const pages = referencePages()
  for (const [path, markdown] of pages)
    writeFileSync(join(ROOT, path), `---\neditLink: false\noutline: 2\n---\n\n${markdown}\n`)
  return pages
}

function operationSection({ route, operation }: Route): string[] {
  const { parameters = [], requestBody } = operation
  const body = Object.entries(requestBody?.content ?? {})[0]
  return [
    `## ${route}`,
    `${operation.summary}. ${scopes(operation)}`,
    ...(operation.description === undefined ? [] : [operation.description]),
    ...(parameters.length === 0 ? [] : [heading('Parameters', route), parameterTable(parameters)]),
    ...(body === undefined
      ? []
      : [heading('Body', route), `\`${body[0]}\``, memberTable(body[1].schema ?? {}, true)]),
    ...example(route),
    heading('Responses', route),
    ...Object.entries(operation.responses).flatMap(([status, response]) =>
      status < '4' ? successSection(status, resolve(response)) : [],
    ),
    heading('Errors', route),
    errorTable(operation),
  ]
}

/** A heading whose id is unique on the page. */
const heading = (text: string, route: string): string =>
  `### ${text} {#${text.toLowerCase()}-${fragment(route)}}`

function scopes({ security }: Operation): string {
  const [first] = security
  if (first === undefined) return 'Needs no credentials.'
  const names = Object.values(first).flat()
  if (names.length === 0) return 'Needs credentials, of any scope.'
  return `Needs the scope ${names.map((name) => `\`${name}\``).join(', ')}.`
}

const blocksIn = (text: string, languages: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`(?:${languages})\\n[\\s\\S]*?^\`\`\`$`, 'gm'))].map(
    ([block]) => block,
  )

/**
 * Returns the command and the responses of an example, or the first response of the route that
 * `<!-- answer: ROUTE -->` names. Tests run them.
 */
function example(route: string): string[] {
  const text = EXAMPLES.get(route) ?? ''
  const [, same] = /^<!-- answer: (.+) -->$/m.exec(text) ?? []
  const blocks =
    same === undefined
      ? blocksIn(text, 'sh|json|http')
      : [...blocksIn(text, 'sh'), ...blocksIn(EXAMPLES.get(same) ?? '', 'json|http').slice(0, 1)]
  return blocks.length === 0 ? [] : [heading('Example', route), ...blocks]
}

const parameterTable = (parameters: readonly Parameter[]): string =>
  table(
    ['Parameter', 'In', 'Type', 'What it is'],
    parameters.map(({ name, in: place, description, required = false, schema }) => [
      `\`${name}\`${required ? ', required' : ''}`,
      place,
      type(schema),
      sentence(description, schema),
    ]),
  )

function successSection(status: string, { description, headers = {}, content }: Response) {
  const [media, body] = Object.entries(content ?? {})[0] ?? []
  const isJson = media === 'application/json' && body?.schema !== undefined
  const names = Object.entries(headers)
  return [
    `**${status}**: ${lowerFirst(description)}${media === undefined || isJson ? '' : ` Content-Type: \`${media}\`.`}`,
    ...(names.length === 0
      ? []
      : [
          table(
            ['Header', 'What it is'],
            names.map(([name, header]) => [`\`${name}\``, header.description]),
          ),
        ]),
    ...(isJson ? [memberTable(body.schema, false)] : []),
  ]
}

/** One row for each code: descriptions of responses are lists of codes, or one code. */
function errorTable({ responses }: Operation): string {
  const rows = Object.entries(responses).flatMap(([status, response]) =>
    status < '4' ? [] : errorRows(status, resolve(response).description),
  )
  return table(['Status', 'Code', 'When'], rows)
}

function errorRows(status: string, description: string): string[][] {
  const items = description.split('\n').map((line) => line.replace(/^- /, ''))
  return items.map((line) => {
    const [, code, when] = /^`([a-z_]+)`: (.*)$/.exec(line) ?? []
    return code === undefined ? [status, '', line] : [status, `\`${code}\``, when ?? '']
  })
}

/** Returns a table of the members of a body, those of nested objects with their path. */
function memberTable(schema: Schema, isRequest: boolean): string {
  const { items } = resolveSchema(schema)
  const rows = items === undefined ? nested(schema, '', isRequest) : nested(items, '[].', isRequest)
  if (rows.length === 0) return sentence(schema.description ?? 'Any value.', schema)
  return table(['Member', 'Type', 'What it is'], rows)
}

/** `elsewhere` describes members of the same names, for those without a description. */
function memberRows(
  schema: Schema,
  path: string,
  isRequest: boolean,
  elsewhere: NonNullable<Schema['properties']> = {},
): string[][] {
  const { properties = {}, required = [] } = schema
  const own = Object.entries(properties).flatMap(([name, member]) => {
    const resolved = resolveSchema(member)
    const isRequired = required.includes(name)
    const note = isRequest ? (isRequired ? ', required' : '') : isRequired ? '' : ', optional'
    const text = member.description ?? resolved.description ?? elsewhere[name]?.description ?? ''
    const row = [`\`${path}${name}\`${note}`, type(resolved), sentence(text, resolved)]
    return [row, ...nestedRows(resolved, `${path}${name}`, isRequest)]
  })
  return [...own, ...(schema.allOf ?? []).flatMap((part) => nested(part, path, isRequest))]
}

function nestedRows(schema: Schema, path: string, isRequest: boolean): string[][] {
  if (schema.items === undefined) return nested(schema, `${path}.`, isRequest)
  return nested(schema.items, `${path}[].`, isRequest, bodyOfNamedRoute(schema.description))
}

/** Returns the members of the body of the route that a description names, or none. */
function bodyOfNamedRoute(description = ''): NonNullable<Schema['properties']> {
  const [, method = '', path = ''] = /`([A-Z]+) (\/[^`]*)`/.exec(description) ?? []
  const body = DOCUMENT.paths[path]?.[method.toLowerCase()]?.requestBody
  return body?.content?.['application/json']?.schema?.properties ?? {}
}

/** Returns the rows of an object or of the objects that are possible, each member once. */
function nested(
  schema: Schema,
  path: string,
  isRequest: boolean,
  elsewhere: NonNullable<Schema['properties']> = {},
): string[][] {
  const resolved = resolveSchema(schema)
  const rows = [resolved, ...(resolved.anyOf ?? []).map(resolveSchema)].flatMap((one) =>
    memberRows(one, path, isRequest, elsewhere),
  )
  return rows.filter(([name], i) => rows.findIndex(([other]) => other === name) === i)
}

function type(schema: Schema): string {
  const { anyOf, items, format, additionalProperties } = resolveSchema(schema)
  const name = resolveSchema(schema).type
  if (anyOf !== undefined) return [...new Set(anyOf.map(type))].join(' or ')
  if (items !== undefined) return `list of ${plural(type(items))}`
  if (typeof additionalProperties === 'object') return 'object of texts'
  if (name === undefined) return 'any'
  const names = typeof name === 'string' ? [name] : name
  return names
    .map((one) => (format === 'date-time' && one === 'string' ? 'date' : one))
    .join(' or ')
}

const plural = (text: string): string =>
  text.startsWith('list') || text === 'any' ? text : text.replace(/^\w+/, '$&s')

/** Returns a description with the bounds, values and examples of its schema. */
function sentence(description: string, schema: Schema): string {
  const resolved = resolveSchema(schema)
  const items = resolved.items === undefined ? {} : resolveSchema(resolved.items)
  const values = resolved.const === undefined ? (resolved.enum ?? items.enum) : [resolved.const]
  const notes = [
    ...(values === undefined ? [] : [`One of ${codes(values)}.`.replace(/^One of (\S+\.)$/, '$1')]),
    ...bounds(resolved.minimum, resolved.maximum, ''),
    ...bounds(resolved.minLength, resolved.maxLength, ' characters'),
    ...bounds(resolved.minItems, resolved.maxItems, ' items'),
    ...(resolved.pattern === undefined ? [] : [`Pattern: \`${resolved.pattern}\`.`]),
    ...(resolved.default === undefined ? [] : [`Default: \`${resolved.default}\`.`]),
    ...(resolved.examples === undefined || resolved.const !== undefined
      ? []
      : [`Example: ${codes(resolved.examples.flat())}.`]),
  ]
  return [description, ...notes].filter(Boolean).join(' ')
}

const codes = (values: readonly string[]): string =>
  values.map((value) => `\`${value}\``).join(', ')

function bounds(from: number | undefined, to: number | undefined, unit: string): string[] {
  // JavaScript's largest integer tells a reader nothing.
  const most = to === Number.MAX_SAFE_INTEGER ? undefined : to
  if (most === undefined)
    return from === undefined || from === 0 ? [] : [`At least ${from}${unit}.`]
  return [from === undefined ? `At most ${most}${unit}.` : `${from} to ${most}${unit}.`]
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)

/** Returns a table. A bar in a cell would end it, also inside of code. */
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')

function resolveSchema(schema: Schema): Schema {
  if (schema.$ref === undefined) return schema
  const found = DOCUMENT.components.schemas[schema.$ref.replace('#/components/schemas/', '')]
  if (found === undefined) throw new Error(`The OpenAPI document has no ${schema.$ref}`)
  return found
}

function resolve(response: Response | { readonly $ref: string }): Response {
  if (!('$ref' in response)) return response
  const found = DOCUMENT.components.responses[response.$ref.replace('#/components/responses/', '')]
  if (found === undefined) throw new Error(`The OpenAPI document has no ${response.$ref}`)
  return found
}
