/**
 * `npm run keys`: makes and checks API keys. The file holds digests only; a key itself is printed
 * once and kept nowhere.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { SCOPES } from '../src/access/scopes.ts'
import type { ApiKey } from '../src/access/settings.ts'
import { apiKeysRule } from '../src/settings/access-rules.ts'
import { check as checkRule } from '../src/settings/rules.ts'

const USAGE = `npm run keys -- create --id ID --scopes SCOPE[,SCOPE] [--prefix PREFIX/] [--file FILE]
npm run keys -- list [--file FILE]
npm run keys -- check [--file FILE]     (reads a key from standard input)

SCOPE is one of ${SCOPES.join(', ')}.
FILE is api-keys.json unless told; it holds digests, no keys.`

/** What the user has to mend; everything else that is thrown is a bug. */
class UsageError extends Error {}

async function main(): Promise<void> {
  const { values, positionals } = readArguments()
  const { file } = values
  switch (positionals.join(' ')) {
    case 'create':
      return create(values.id ?? '', values.scopes?.split(',') ?? [], values.prefix, file)
    case 'list':
      return list(file)
    case 'check':
      return check(file)
    default:
      throw new UsageError(USAGE)
  }
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        id: { type: 'string' },
        scopes: { type: 'string' },
        prefix: { type: 'string', default: '' },
        file: { type: 'string', default: 'api-keys.json' },
      },
    })
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error}\n\n${USAGE}`)
  }
}

async function create(id: string, scopes: string[], prefix: string, file: string): Promise<void> {
  const key = `ep_${id}_${randomBytes(32).toString('base64url')}`
  const keys = parseKeys([
    ...(await readKeys(file)),
    { id, sha256: sha256Hex(key), scopes, prefix },
  ])
  await writeFile(file, `${JSON.stringify(keys)}\n`)
  console.log(`The key, shown this once:\n\n  ${key}\n
Its entry, added to ${file}:\n\n  ${JSON.stringify(keys.at(-1))}\n
Give the Worker the whole list:\n\n  npx wrangler secret put API_KEYS < ${file}`)
}

async function list(file: string): Promise<void> {
  const keys = await readKeys(file)
  if (keys.length === 0) console.log(`${file} holds no keys.`)
  for (const { id, scopes, prefix } of keys)
    console.log(`${id}\t${scopes.join(',')}\t${prefix === '' ? '(every key)' : prefix}`)
}

async function check(file: string): Promise<void> {
  const digest = sha256Hex((await text(process.stdin)).trim())
  const known = (await readKeys(file)).find(({ sha256 }) => sha256 === digest)
  if (known === undefined) throw new UsageError(`No: this is not a key of ${file}.`)
  console.log(`Yes: ${known.id} may ${known.scopes.join(', ')} under "${known.prefix}".`)
}

async function readKeys(file: string): Promise<ApiKey[]> {
  let json: string
  try {
    json = await readFile(file, 'utf8')
  } catch {
    return []
  }
  try {
    return parseKeys(JSON.parse(json))
  } catch (error) {
    throw new UsageError(
      `${file} is not a list of API keys. ${error instanceof Error ? error.message : ''}`,
    )
  }
}

const sha256Hex = (value: string): string => createHash('sha256').update(value).digest('hex')

function parseKeys(value: unknown): ApiKey[] {
  const checked = checkRule(apiKeysRule, value)
  if (checked.ok) return checked.value
  const faults = checked.issues.map(({ path, message }) =>
    [...path.split('.').slice(1), message].join(': '),
  )
  throw new UsageError(faults.join('\n'))
}

try {
  await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
