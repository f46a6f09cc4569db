/**
 * `npx edge-presigner keys` creates, rotates, revokes and checks API keys, and sends the list to the Worker.
 * The file contains only digests. A key itself is printed once and never stored.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import * as z from 'zod/mini'
import { KEY_SCOPES } from '../src/access/scopes.ts'
import { type ApiKey, apiKeysRule } from '../src/plugins/api-keys/options.ts'
import { check as checkRule } from '../src/settings/rules.ts'
import { parseOptions, UsageError } from './command.ts'
import { replaceText, textIfThere } from './replace-text.ts'
import { shellWord } from './shell-word.ts'
import { runWrangler } from './wrangler.ts'

/** The list of keys, next to `wrangler.toml`. */
export const KEYS_FILE = 'api-keys.json'

/** What follows `npx edge-presigner keys`, and which of the notes explain it. */
export const COMMANDS = {
  create: {
    usage: ['create --id ID --scopes SCOPE[,SCOPE] [--prefix PREFIX/] [--buckets ALIAS[,ALIAS]]'],
    notes: ['scope', 'alias', 'file'],
  },
  rotate: {
    usage: [
      'rotate ID            (adds a second key; the first one keeps working)',
      'rotate ID --finish   (removes the first one)',
      'rotate ID --now      (replaces all keys of ID: after a leak)',
    ],
    notes: ['file'],
  },
  revoke: { usage: ['revoke ID'], notes: ['file'] },
  list: { usage: ['list'], notes: ['file'] },
  check: { usage: ['check                (reads a key from standard input)'], notes: ['file'] },
  push: {
    usage: [
      'push [--remove KEY[,KEY]] [--restore KEY[,KEY]] [--replace-all] [--env NAME] [--config FILE]',
    ],
    notes: ['file', 'push', 'key'],
  },
} as const

const NOTES = {
  scope: `SCOPE is one of ${KEY_SCOPES.join(', ')}.`,
  alias: `ALIAS is a bucket of the configuration. The first one is the default of the key. Without --buckets, a
key can use all of them.`,
  file: '--file FILE names the list of keys (default: api-keys.json). It contains digests, not keys.',
  push: `push sends the file to the deployed Worker. The other commands only change the file. --env and --config
name the Worker, as for wrangler.`,
  key: `KEY is ID:DIGEST, with the first 8 digits of the digest. --remove also accepts an ID that the file no
longer contains.`,
} as const

type Command = keyof typeof COMMANDS

const isCommand = (name: string | undefined): name is Command =>
  name !== undefined && Object.hasOwn(COMMANDS, name)

/** Returns the usage of one command, or of all. */
function usageOf(only?: Command): string {
  const shown = Object.entries(COMMANDS).filter(([name]) => only === undefined || name === only)
  const explained = new Set<string>(shown.flatMap(([, { notes }]) => notes))
  return [
    ...shown.flatMap(([, { usage }]) => usage.map((line) => `npx edge-presigner keys ${line}`)),
    '',
    ...Object.entries(NOTES).flatMap(([name, note]) => (explained.has(name) ? [note] : [])),
  ].join('\n')
}

/** Cloudflare's limit for one secret: "Environment variable size" in Workers' limits. */
const MAX_SECRET_BYTES = 5 * 1024
/**
 * The name of a marker secret, which contains a digest that is deployed (`LIST`) or was removed
 * (`GONE`). Only the names of secrets can be read back.
 */
const MARKER = /^API_KEYS_(LIST|GONE)_([a-z0-9-]{1,32})_([0-9a-f]{8})$/

/** Runs `npx edge-presigner keys` with these arguments. Resolves with the exit code. */
export async function keys(args: readonly string[]): Promise<number> {
  try {
    await runCommand(args)
    return 0
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(error.message)
    return 1
  }
}

async function runCommand(args: readonly string[]): Promise<void> {
  const { values, positionals } = readArguments(args)
  const { file } = values
  const [command, id, ...rest] = positionals
  if (values.help) return console.log(usageOf(isCommand(command) ? command : undefined))
  if (command === undefined) throw new UsageError(usageOf())
  if (!isCommand(command)) throw new UsageError(`Unknown command "${command}".\n\n${usageOf()}`)
  const named = command === 'rotate' || command === 'revoke'
  if (named && id === undefined)
    throw new UsageError(`${command} needs the id of a key.\n\n${usageOf(command)}`)
  const extra = named ? rest[0] : id
  if (extra !== undefined)
    throw new UsageError(`${command} does not accept "${extra}".\n\n${usageOf(command)}`)
  switch (command) {
    case 'create':
      return create(values, file)
    case 'rotate':
      return rotate(id ?? '', values, file)
    case 'revoke':
      return revoke(id ?? '', file)
    case 'list':
      return list(file)
    case 'check':
      return check(file)
    case 'push':
      return push(values, file)
  }
}

function readArguments(args: readonly string[]) {
  return parseOptions(
    {
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', default: false },
        id: { type: 'string' },
        scopes: { type: 'string' },
        prefix: { type: 'string', default: '' },
        buckets: { type: 'string' },
        file: { type: 'string', default: KEYS_FILE },
        finish: { type: 'boolean', default: false },
        now: { type: 'boolean', default: false },
        remove: { type: 'string', default: '' },
        restore: { type: 'string', default: '' },
        'replace-all': { type: 'boolean', default: false },
        env: { type: 'string' },
        config: { type: 'string' },
      },
    },
    usageOf(args.find(isCommand)),
  )
}

interface Places {
  readonly file: string
  readonly env?: string | undefined
  readonly config?: string | undefined
}

/** Returns a command for the same list, and for `push` the same Worker. */
export const commandFor = (words: string, { file, env, config }: Places): string =>
  [
    `npx edge-presigner keys ${words}`,
    ...(file === KEYS_FILE ? [] : [`--file ${shellWord(file)}`]),
    ...(env === undefined ? [] : [`--env ${shellWord(env)}`]),
    ...(config === undefined ? [] : [`--config ${shellWord(config)}`]),
  ].join(' ')

interface CreateOptions {
  readonly id?: string | undefined
  readonly scopes?: string | undefined
  readonly prefix: string
  readonly buckets?: string | undefined
}

async function create({ id, scopes, prefix, buckets }: CreateOptions, file: string): Promise<void> {
  if (id === undefined || scopes === undefined)
    throw new UsageError(`create needs --id and --scopes.\n\n${usageOf('create')}`)
  const key = newKey(id)
  const entry = {
    id,
    sha256: digestOf(key),
    scopes: scopes.split(','),
    prefix,
    buckets: buckets?.split(','),
  }
  const keys = await writeKeys(file, [...(await readKeys(file)), entry])
  console.log(`The key, shown only once:\n\n  ${key}\n
Its entry, added to ${file}:\n\n  ${JSON.stringify(keys.at(-1))}\n
Commit ${file}, then send it to the Worker:\n\n  ${commandFor('push', { file })}`)
}

/**
 * Replaces the keys of an id. The id stays the same, and so does the owner of its uploaded files.
 */
async function rotate(
  id: string,
  { finish, now }: { finish: boolean; now: boolean },
  file: string,
): Promise<void> {
  if (finish && now) throw new UsageError('Use either --finish or --now.')
  const keys = await readKeys(file)
  const digests = [entryOf(keys, id, file).sha256].flat()
  const [newest = ''] = digests
  const replace = (sha256: string | string[]) =>
    writeKeys(
      file,
      keys.map((key) => (key.id === id ? { ...key, sha256 } : key)),
    )
  const pushRemoved = (removed: readonly string[]) =>
    `Commit ${file}, then send it to the Worker:\n\n  ${commandFor('push', { file })} --remove ${removed
      .map((digest) => keyName(id, digest))
      .join(',')}`

  if (finish) {
    if (digests.length < 2)
      throw new UsageError(
        `${id} has only one key. First run: ${commandFor(`rotate ${id}`, { file })}`,
      )
    await replace(newest)
    console.log(`Removed the older key of ${id}. ${pushRemoved(digests.slice(1))}`)
    return
  }
  if (digests.length > 1 && !now)
    throw new UsageError(
      `${id} already has two keys. First remove the older one: ${commandFor(`rotate ${id} --finish`, { file })}`,
    )
  const key = newKey(id)
  await replace(now ? digestOf(key) : [digestOf(key), newest])
  console.log(`The new key, shown only once:\n\n  ${key}\n`)
  console.log(
    now
      ? `Removed all earlier keys of ${id} from ${file}. ${pushRemoved(digests)}`
      : `The earlier key of ${id} still works. Commit ${file}, then send it to the Worker:\n
  ${commandFor('push', { file })}\n
When every client has the new key, remove the earlier one:\n
  ${commandFor(`rotate ${id} --finish`, { file })}`,
  )
}

async function revoke(id: string, file: string): Promise<void> {
  const keys = await readKeys(file)
  const entry = entryOf(keys, id, file)
  await writeKeys(
    file,
    keys.filter((key) => key !== entry),
  )
  console.log(`Removed ${id} from ${file}. It works until you send the file to the Worker:\n
  ${commandFor('push', { file })} --remove ${id}`)
}

async function list(file: string): Promise<void> {
  const keys = await readKeys(file)
  if (keys.length === 0) console.log(`${file} contains no keys.`)
  for (const { id, sha256, scopes, prefix, buckets } of keys) {
    const inBuckets = buckets === undefined ? '' : `\tin ${buckets.join(',')}`
    const two = [sha256].flat().length > 1 ? '\t(two keys: in rotation)' : ''
    const under = prefix === '' ? '(every key)' : prefix
    console.log(`${id}\t${scopes.join(',')}\t${under}${inBuckets}${two}`)
  }
}

async function check(file: string): Promise<void> {
  const digest = digestOf((await text(process.stdin)).trim())
  const known = (await readKeys(file)).find(({ sha256 }) => [sha256].flat().includes(digest))
  if (known === undefined) throw new UsageError(`No. This key is not in ${file}.`)
  const { id, scopes, prefix, buckets } = known
  const inBuckets = buckets === undefined ? '' : ` in ${buckets.join(', ')}`
  console.log(`Yes: ${id} may ${scopes.join(', ')} under "${prefix}"${inBuckets}.`)
}

interface PushOptions extends Omit<Places, 'file'> {
  readonly remove: string
  readonly restore: string
  readonly 'replace-all': boolean
}

async function push(options: PushOptions, file: string): Promise<void> {
  if (!existsSync(file))
    throw new UsageError(
      `${file} is missing. Get it (git pull), or create a key: ${commandFor('create', { file })}`,
    )
  const keys = await readKeys(file)
  const where = (['config', 'env'] as const).flatMap((name) => {
    const value = options[name]
    return value === undefined ? [] : [`--${name}`, value]
  })
  checkSize(keys, file)
  const change = changeOfSecrets(keys, await deployedSecrets(where), { ...options, file })
  await setSecrets(change, where)
  console.log(
    `The Worker has ${keys.length === 1 ? 'this key' : `these ${keys.length} keys`}: ${
      keys.map(({ id }) => id).join(', ') || 'none'
    }.`,
  )
}

/** Throws UsageError if the list is too long for one secret. */
export function checkSize(keys: readonly ApiKey[], file: string): void {
  const bytes = Buffer.byteLength(JSON.stringify(keys))
  if (bytes > MAX_SECRET_BYTES)
    throw new UsageError(
      `${file} has ${bytes} bytes. Cloudflare accepts ${MAX_SECRET_BYTES} in one secret. Revoke keys, or mint tokens with one key: POST /tokens.`,
    )
}

/**
 * Returns the secrets that send the list to the Worker. Cloudflare never shows a secret again, so the
 * same request sets a marker for each digest: a secret whose name contains the id and the digest. The
 * next push, from any clone, compares the markers with its file. The marker of a removed digest stays,
 * under another name, so that a clone whose file still lists it doesn't bring it back. `secrets` are
 * the names of the Worker's secrets. Throws UsageError if the Worker would lose or regain a key that
 * the options don't name.
 */
export function changeOfSecrets(
  keys: readonly ApiKey[],
  secrets: readonly string[],
  options: PushOptions & {
    readonly file: string
    /** The command that accepts `--replace-all`, if it isn't push. */
    readonly command?: string
  },
): Record<string, string | null> {
  const { file } = options
  const push = commandFor('push', options)
  const marked = (state: string) =>
    secrets.flatMap((name) => {
      const [, marker, id = '', digest = ''] = MARKER.exec(name) ?? []
      return marker === state ? [keyName(id, digest)] : []
    })
  const [deployed, gone] = [marked('LIST'), marked('GONE')]
  const local = keys.flatMap(({ id, sha256 }) =>
    [sha256].flat().map((digest) => keyName(id, digest)),
  )
  const removed = deployed.filter((key) => !local.includes(key))
  const restored = gone.filter((key) => local.includes(key))
  if (!options['replace-all']) {
    if (deployed.length + gone.length === 0 && secrets.includes('API_KEYS'))
      throw new UsageError(`The Worker's API_KEYS was not set by push, and a secret can't be read back. So this file may lack
some of its keys. If ${file} is complete, or the Worker's list is empty, replace it:\n\n  ${options.command ?? push} --replace-all`)
    const toRestore = options.restore.split(',')
    refuse(
      restored.filter((key) => !toRestore.includes(key)),
      `${file} contains keys that were removed from the Worker`,
      `Get the newest ${file} (git pull). To make these keys valid again`,
      `${push} --restore`,
    )
    const toRemove = options.remove.split(',')
    // An id names all its keys only if the file has none of them. Otherwise, one that a colleague has
    // created since would also be removed.
    const isRevoked = (id: string) => toRemove.includes(id) && !keys.some((key) => key.id === id)
    refuse(
      removed.filter((key) => !toRemove.includes(key) && !isRevoked(idOf(key))),
      `The Worker would lose keys that are missing from ${file}`,
      `If someone else created them, get the newest ${file} (git pull). To remove them`,
      `${push} --remove`,
    )
  }
  const forgotten = options['replace-all'] ? gone : restored
  // An empty list has no markers. If it stayed, the next push could not tell what is in it.
  const isGone = options['replace-all'] && keys.length === 0 && secrets.includes('API_KEYS')
  return Object.fromEntries([
    ['API_KEYS', isGone ? null : JSON.stringify(keys)],
    ...forgotten.map((key) => [markerOf('GONE', key), null]),
    ...local.map((key) => [markerOf('LIST', key), 'listed']),
    ...removed.flatMap((key) => [
      [markerOf('LIST', key), null],
      [markerOf('GONE', key), 'removed'],
    ]),
  ])
}

/** How a command line names one key. */
const keyName = (id: string, digest: string): string => `${id}:${digest.slice(0, 8)}`

const idOf = (key: string): string => key.replace(/:.*/, '')

const markerOf = (state: 'LIST' | 'GONE', key: string): string =>
  `API_KEYS_${state}_${key.replace(':', '_')}`

/** Throws UsageError with the keys, if there are any, and the command that accepts them. */
function refuse(keys: readonly string[], problem: string, fix: string, command: string): void {
  if (keys.length === 0) return
  throw new UsageError(`${problem}:\n
${keys.map((key) => `  ${key}`).join('\n')}\n
${fix}:\n
  ${command} ${keys.join(',')}`)
}

const secretNames = z.array(z.object({ name: z.string() }))

/**
 * Returns the names of the Worker's secrets, and none before the first deploy. `where` are the
 * options that name the Worker.
 */
export async function deployedSecrets(where: readonly string[]): Promise<string[]> {
  const { stdout, stderr, ok } = await runWrangler(['secret', 'list', '--format', 'json', ...where])
  if (!ok && /Worker "[^"]*".* not found/.test(stdout + stderr)) return []
  if (!ok)
    throw new UsageError(
      `wrangler could not list the secrets. If you are not logged in, run \`npx wrangler login\`, or set CLOUDFLARE_API_TOKEN.\n\n${stdout}${stderr}`,
    )
  return secretNames.parse(JSON.parse(stdout)).map(({ name }) => name)
}

/** Sets the Worker's secrets, and deletes those that are null. Creates the Worker if necessary. */
export async function setSecrets(
  change: Readonly<Record<string, string | null>>,
  where: readonly string[],
): Promise<void> {
  const { stdout, stderr, ok } = await runWrangler(
    ['secret', 'bulk', ...where],
    JSON.stringify(change),
  )
  if (!ok) throw new UsageError(`wrangler could not set the secrets.\n\n${stdout}${stderr}`)
}

/** Returns the keys of a file, and none if the file is missing. */
export async function readKeys(file: string): Promise<ApiKey[]> {
  const json = await textIfThere(file)
  if (json === undefined) return []
  try {
    return parseKeys(JSON.parse(json))
  } catch (error) {
    throw new UsageError(
      `${file} is not a list of API keys. ${error instanceof Error ? error.message : ''}`,
    )
  }
}

/**
 * Writes one entry per line, so that git can merge what two people add. Returns the checked
 * entries.
 */
export async function writeKeys(file: string, value: unknown): Promise<ApiKey[]> {
  const keys = parseKeys(value)
  const lines = keys.map((key) => `  ${JSON.stringify(key)}`).join(',\n')
  const text = keys.length === 0 ? '[]\n' : `[\n${lines}\n]\n`
  await replaceText(file, await textIfThere(file), text)
  return keys
}

function entryOf(keys: readonly ApiKey[], id: string, file: string): ApiKey {
  const entry = keys.find((key) => key.id === id)
  if (entry !== undefined) return entry
  const known = keys.map((key) => key.id).join(', ')
  throw new UsageError(`${file} has no key "${id}". Its keys: ${known || 'none'}.`)
}

/** Returns a new key, which only its user keeps. */
export const newKey = (id: string): string => `ep_${id}_${randomBytes(32).toString('base64url')}`

export const digestOf = (value: string): string => createHash('sha256').update(value).digest('hex')

/** Returns the checked list. Throws UsageError if it is invalid. */
export function parseKeys(value: unknown): ApiKey[] {
  const checked = checkRule(apiKeysRule(null), value)
  if (checked.ok) return checked.value
  const errors = checked.issues.map(({ path, message }) =>
    [...path.split('.').slice(1), message].join(': '),
  )
  throw new UsageError(errors.join('\n'))
}

if (import.meta.main) process.exitCode = await keys(process.argv.slice(2))
