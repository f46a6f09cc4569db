import { join } from 'node:path'
import { readIfPresent, writeFiles } from './built-files.ts'
import { answers } from './openapi/answers.ts'
import { answerSchemas, type JsonSchema, schemaRef } from './openapi/json-schema.ts'

const SCHEMAS = answerSchemas(answers)
const FOLDER = join(import.meta.dirname, '../../client/src/answers')

/** The modules of client/src/answers, and the responses in each. What a response contains comes before it. */
const MODULES: Readonly<Record<string, readonly string[]>> = {
  'files.ts': [
    ...['ApiErrorCode', 'Reason', 'Scope', 'Issue', 'ItemError', 'RefusedKey'],
    ...['FileRecord', 'RecordedFile', 'ListedFile', 'Folder', 'FilePage', 'Group', 'Stats'],
    ...['FileUrl', 'Link', 'Links', 'FolderLink', 'Deleted', 'BucketLimits', 'Limits'],
  ],
  'uploads.ts': ['UploadUrl', 'StartedUpload', 'PartUrls', 'PartList'],
  'sharing.ts': ['Grant', 'GrantPage', 'DropBox', 'DropBoxPage', 'ReceivedFile', 'ReceivedPage'],
  'drop-box.ts': ['DropBoxToken'],
  'server.ts': [
    ...['RefusedFile', 'Token', 'FileUrls', 'UploadUrls', 'RecordedFiles', 'Purged'],
    ...['StoredObject', 'ObjectPage', 'Erasure'],
  ],
}

/**
 * Writes the types of responses for the client, and functions that check them, into client/src/answers, from the
 * schemas of the OpenAPI document. So that the client needs no zod, the functions are made of those in check.ts.
 */
export async function buildAnswers(): Promise<void> {
  const changed: [string, string][] = []
  for (const [file, names] of Object.entries(MODULES)) {
    const text = moduleOf(file, names)
    const [built] = await readIfPresent(join(FOLDER, file))
    if (built?.toString() !== text) changed.push([file, text])
  }
  await writeFiles(FOLDER, changed)
}

function moduleOf(file: string, names: readonly string[]): string {
  const declarations = names.map((name) => {
    const schema = only(SCHEMAS[name])
    return doc(schema) + (isWord(schema) ? wordType(name, schema) : typeAndCheck(name, schema))
  })
  const body = declarations.join('\n')
  const imports = Object.entries(MODULES).flatMap(([other, theirs]) => {
    const used = theirs.filter((name) => new RegExp(`\\b(?:is)?${name}\\b`).test(body))
    const wanted = used.flatMap((name) => [
      ...(new RegExp(`\\bis${name}\\b`).test(body) ? [`is${name}`] : []),
      ...(new RegExp(`\\b${name}\\b`).test(body) ? [`type ${name}`] : []),
    ])
    return other === file || wanted.length === 0
      ? []
      : [`import { ${wanted.join(', ')} } from './${other}'\n`]
  })
  const checks = [...new Set(body.match(CHECK))].sort()
  return `// Built from tools/dev/openapi/answers.ts.
import { type Check, ${checks.join(', ')} } from '../check.ts'
${imports.join('')}
${body}`
}

/** The functions of check.ts. */
const CHECK =
  /\b(?:each|is(?:Anything|Boolean|Either|ListOf|NullOr|Number|Object|Optional|Positive|String|StringMap))\b/g

const isWord = ({ enum: words }: JsonSchema): boolean => words !== undefined

/** A type of texts. A newer Worker may have others, so that no check needs to know them. */
const wordType = (name: string, { enum: words = [] }: JsonSchema): string =>
  `export type ${name} =\n${words.map((word) => `  | '${word}'\n`).join('')}`

function typeAndCheck(name: string, schema: JsonSchema): string {
  const isGeneric = membersOf(schema).some(([, member]) => isAnything(member))
  const members = membersOf(schema).map(
    (member) => `  ${doc(member[1], '  ')}${printMember(schema, member)}\n`,
  )
  return `export interface ${name}${isGeneric ? '<Data = unknown>' : ''} {
${members.join('')}}

export const is${name}: Check<${name}> = ${objectCheck(schema, '\n')}
`
}

const doc = ({ description }: JsonSchema, indent = ''): string =>
  description === undefined ? '' : `/** ${description} */\n${indent}`

const membersOf = ({ properties = {} }: JsonSchema): (readonly [string, JsonSchema])[] =>
  Object.entries(properties).flatMap(([name, member]) =>
    typeof member === 'object' ? [[name, member] as const] : [],
  )

const isRequired = ({ required = [] }: JsonSchema, name: string): boolean => required.includes(name)

function printMember(schema: JsonSchema, [name, member]: readonly [string, JsonSchema]): string {
  const type = typeOf(member)
  return isRequired(schema, name) ? `${name}: ${type}` : `${name}?: ${type} | undefined`
}

const nameIn = (ref: string): string => ref.slice(schemaRef('').length)

/** Tells whether a schema accepts everything. Only the app knows such a member. */
const isAnything = ({ description: _, ...schema }: JsonSchema): boolean =>
  Object.keys(schema).length === 0

/** Returns a schema of one type, or throws. */
const only = (schema: JsonSchema['items'] | JsonSchema['additionalProperties']): JsonSchema => {
  if (typeof schema === 'object' && !Array.isArray(schema)) return schema
  throw new Error(`Not one schema: ${JSON.stringify(schema)}`)
}

/** Returns the type of TypeScript that a schema describes. */
function typeOf(schema: JsonSchema): string {
  const { $ref, anyOf, items, type, additionalProperties: values } = schema
  if ($ref !== undefined) return nameIn($ref)
  if (schema.const !== undefined) return `'${schema.const}'`
  if (schema.enum) return schema.enum.map((word) => `'${word}'`).join(' | ')
  if (anyOf) return anyOf.map(typeOf).join(' | ')
  if (Array.isArray(type)) return type.join(' | ')
  if (isAnything(schema)) return 'Data'
  if (type === 'array') {
    const item = only(items)
    return item.anyOf ? `(${typeOf(item)})[]` : `${typeOf(item)}[]`
  }
  if (type === 'object' && schema.properties === undefined)
    return `Record<string, ${typeOf(only(values))}>`
  if (type === 'object')
    return `{ ${membersOf(schema)
      .map((member) => printMember(schema, member))
      .join('; ')} }`
  return type === 'integer' ? 'number' : String(type)
}

/** Returns the expression of a function that accepts what a schema describes. */
function checkOf(schema: JsonSchema): string {
  const { $ref, anyOf, items, type, minimum = 0 } = schema
  if ($ref !== undefined)
    return isWord(only(SCHEMAS[nameIn($ref)])) ? `isString<${nameIn($ref)}>` : `is${nameIn($ref)}`
  if (schema.const !== undefined || schema.enum) return `isString<${typeOf(schema)}>`
  if (anyOf) {
    const [first, second, ...more] = anyOf
    if (more.length > 0) throw new Error('More than two alternatives')
    const isNullable = second?.type === 'null'
    return isNullable
      ? `isNullOr(${checkOf(only(first))})`
      : `isEither(${checkOf(only(first))}, ${checkOf(only(second))})`
  }
  if (isAnything(schema)) return 'isAnything'
  if (Array.isArray(type)) return `isNullOr(${checkOf({ type: type[0] ?? 'null' })})`
  if (type === 'array') return `isListOf(${checkOf(only(items))})`
  if (type === 'object' && schema.properties === undefined) return 'isStringMap'
  if (type === 'object') return objectCheck(schema, ' ')
  if (type === 'integer') return minimum > 0 ? 'isPositive' : 'isNumber'
  return type === 'boolean' ? 'isBoolean' : 'isString'
}

/** Returns the check of an object, with `space` around its members. Those with the same check share one. */
function objectCheck(schema: JsonSchema, space: string): string {
  const names = new Map<string, string[]>()
  for (const [name, member] of membersOf(schema)) {
    const check = checkOf(member)
    const whole = isRequired(schema, name) ? check : `isOptional(${check})`
    names.set(whole, [...(names.get(whole) ?? []), name])
  }
  const each = ([check, same]: readonly [string, readonly string[]]) =>
    `each(${check}, ${same.map((name) => `'${name}'`).join(', ')})`
  const [first, ...others] = names
  if (first && others.length === 0 && first[1].length > 1) return `isObject(${each(first)})`
  const members = Array.from(names, (group) =>
    group[1].length === 1 ? `${group[1][0]}: ${group[0]}` : `...${each(group)}`,
  )
  const indent = space === '\n' ? '\n  ' : space
  return `isObject({${members.map((member) => indent + member).join(',')}${space}})`
}

if (import.meta.main) await buildAnswers()
