import { basename, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { parsingError } from '../../cli/command.ts'
import { bucketsRule } from '../../src/settings/bucket-rules.ts'
import { corsOriginsRule } from '../../src/settings/define.ts'
import { check, type Rule, text } from '../../src/settings/rules.ts'
import { type BucketProvider, PROVIDER_ROWS, PROVIDERS, type Provider } from './providers.ts'

/** The members of a bucket's table in wrangler.toml. */
export interface BucketTable {
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  readonly addressing: 'path' | 'virtual'
  readonly credentials: 'S3'
  /** Missing if the provider has no write-only keys. */
  readonly uploadCredentials?: 'S3_WRITE'
}

/** What a project is made of. */
export interface Answers {
  /** As the user wrote it. */
  readonly folder: string
  /** The name of the Worker. */
  readonly name: string
  readonly provider: Provider
  /** Undefined without a provider. */
  readonly bucket: BucketTable | undefined
  /** The origin of the app's pages. Undefined if there is none yet. */
  readonly appOrigin: string | undefined
  /** Whether the Worker has a page at `/`. */
  readonly page: boolean
}

/** A flag or an answer that can't be used. The message is for the user. */
export class UsageError extends Error {}

/** Asks a question, and resolves with the line that the user enters. */
export type Ask = (question: string) => Promise<string>

export const USAGE = `Usage: npm create edge-presigner@latest [FOLDER] -- [options]

Puts edge-presigner into your app, or creates a project that deploys it as a Cloudflare Worker. Asks for what you leave out.

  --app FRAMEWORK     writes the files for your app in FOLDER, by default this one: next, sveltekit, astro, express, hono
  --provider NAME     ${PROVIDERS.join(', ')}
  --bucket NAME       the name of your bucket
  --region REGION     its region (R2: auto; MinIO and Ceph: us-east-1)
  --account-id ID     R2: the id of your Cloudflare account
  --endpoint URL      MinIO and Ceph: the URL of the server, without the bucket
  --app-origin URL    the origin of your app's pages, such as https://app.example.com
  --page, --no-page   with or without a page for uploads at the Worker's root
  --name NAME         the name of the Worker (default: the folder's name)
  --yes               asks nothing, and takes the defaults: no bucket yet, and the page
  --help`

export type Flags = ReturnType<typeof readFlags>

/** Reads the command line. Throws UsageError if it can't be understood. */
export function readFlags(args: readonly string[]) {
  const value = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        ...{ provider: value, bucket: value, region: value, endpoint: value, name: value },
        ...{ app: value, 'account-id': value, 'app-origin': value, yes: flag, help: flag },
        // Node before 20.17 can't read the second from the first.
        ...{ page: flag, 'no-page': flag },
      },
    })
    const [folder, ...others] = positionals
    if (others.length > 0) throw new UsageError(`Unexpected: ${others.join(' ')}`)
    const { 'no-page': noPage, ...flags } = values
    return { ...flags, page: noPage ? false : flags.page, folder }
  } catch (error) {
    throw new UsageError(parsingError(error))
  }
}

/** The flags that have a text. The folder has no name on the command line. */
type TextFlag = {
  [Name in keyof Flags]-?: Flags[Name] extends string | undefined ? Name : never
}[keyof Flags]

interface Question<T> {
  /** The flag that answers it. */
  readonly flag?: TextFlag
  readonly text: string
  /** Returns the value. Throws UsageError with words that follow the name of the flag. */
  readonly read: (line: string) => T
  /** What an empty line stands for. */
  readonly fallback?: string | undefined
}

/** Resolves with the value of a flag, or asks until the answer is valid. */
export type Answer = <T>(question: Question<T>) => Promise<T>

/**
 * Resolves with the answers: flags, then what `ask` gets. With null, nothing is asked: throws
 * UsageError that names the missing flags. `folderError` says why a folder can't be used.
 */
export async function readAnswers(
  flags: Flags,
  ask: Ask | null,
  folderError: (folder: string) => string | null,
): Promise<Answers> {
  if (ask === null) refuseMissing(flags)
  const answer = answerer(flags, ask)
  const folder = await answer({
    flag: 'folder',
    text: 'Folder',
    fallback: 'my-files',
    read: (line) => {
      if (!/^\P{Cc}+$/u.test(line)) refuse('must be a path without control characters')
      const error = folderError(line)
      return error === null ? line : refuse(error)
    },
  })
  const name = await readName(folder, flags, answer)
  const provider = await answer({
    flag: 'provider',
    text: `Where are your files?\n${providerList()}\nProvider`,
    fallback: 'none',
    read: readProvider,
  })
  refuseUnused(flags, provider)
  const bucket = provider === 'none' ? undefined : await readBucket(provider, flags, answer)
  const appOrigin = await answer({
    flag: 'app-origin',
    text: 'Origin of your app, such as https://app.example.com (empty: none yet)',
    // The address bar of a browser shows an origin with a slash.
    read: (line) =>
      line === '' ? undefined : valid(corsOriginsRule, [line.replace(/(?<=[^/])\/$/, '')])[0],
  })
  const page =
    flags.page ??
    (await answer({
      text: "A page for uploads at the Worker's root? (y/n)",
      fallback: 'y',
      read: (line) =>
        /^(?:y|yes|n|no)$/i.test(line) ? /^y/i.test(line) : refuse('must be y or n'),
    }))
  return { folder, name, provider, bucket, appOrigin, page }
}

/** Returns what answers questions: flags, then what `ask` gets. */
export const answerer =
  (flags: Flags, ask: Ask | null): Answer =>
  async ({ flag, text, read, fallback = '' }) => {
    const given = flag && flags[flag]
    if (given !== undefined || ask === null)
      return prefixed(flag === 'folder' ? 'The folder' : `--${flag}`, () => read(given ?? fallback))
    let hint = ''
    for (;;) {
      const line = (await ask(`${hint}${text}${fallback && ` [${fallback}]`}: `)).trim()
      try {
        return prefixed('It', () => read(line === '' ? fallback : line))
      } catch (error) {
        if (!(error instanceof UsageError)) throw error
        hint = `  ${error.message}\n`
      }
    }
  }

/** Returns the result of `read`. Puts `name` before the message of a UsageError. */
function prefixed<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`${name} ${error.message}.`) : error
  }
}

/** Throws UsageError. */
export function refuse(message: string): never {
  throw new UsageError(message)
}

/** Returns what the Worker's own `rule` accepts. Throws UsageError with its first message. */
function valid<T>(rule: Rule<T>, value: unknown): T {
  const checked = check(rule, value)
  return checked.ok ? checked.value : refuse(checked.issues[0]?.message ?? 'is invalid')
}

/** Throws UsageError if a flag is missing that has no default. */
function refuseMissing(flags: Flags): void {
  const { folder, provider, endpoint, yes } = flags
  const row = provider !== undefined && isWithBucket(provider) ? PROVIDER_ROWS[provider] : undefined
  const needed: (keyof Flags)[] = []
  if (!yes) needed.push('provider')
  if (row !== undefined) needed.push('bucket')
  if (row?.asks === 'region') needed.push('region')
  if (row?.asks === 'accountId' && endpoint === undefined) needed.push('account-id')
  if (row?.asks === 'endpoint') needed.push('endpoint')
  const missing = needed.filter((name) => flags[name] === undefined).map((name) => `--${name}`)
  if (folder === undefined) missing.unshift('FOLDER')
  if (missing.length > 0)
    throw new UsageError(
      `${yes ? 'With --yes, nothing is asked' : 'There is no terminal to ask at'}. Add ${missing.join(', ')}. With npm, options follow a "--".`,
    )
}

/** Throws UsageError if a flag has no effect with this provider. */
function refuseUnused(flags: Flags, provider: Provider): void {
  const unused: (keyof Flags)[] =
    provider === 'none'
      ? ['bucket', 'region', 'endpoint', 'account-id']
      : provider === 'r2' && flags.endpoint === undefined
        ? []
        : ['account-id']
  const given = unused.find((name) => flags[name] !== undefined)
  if (given === undefined) return
  const reason = provider === 'r2' ? '--endpoint' : `--provider ${provider}`
  throw new UsageError(`--${given} has no effect with ${reason}. Leave it out.`)
}

/** Names of Workers: one label of a host name. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** A project can't depend on a package with the same name. */
const TAKEN = ['edge-presigner', 'hono', 'wrangler']

function nameError(name: string): string | null {
  if (TAKEN.includes(name)) return 'must not be the name of a package that the project installs'
  return NAME.test(name) ? null : 'must be up to 63 of a-z, 0-9 and "-", such as "my-files"'
}

/** The name of the Worker: the folder's, if that is possible. */
async function readName(folder: string, flags: Flags, answer: Answer): Promise<string> {
  const own = basename(resolve(folder))
  const error = nameError(own)
  if (flags.name === undefined && error === null) return own
  return answer({
    flag: 'name',
    text: `The folder's name can't be that of the Worker: it ${error}.\nName of the Worker`,
    read: (line) => {
      const message = nameError(line)
      if (message === null) return line
      return refuse(line === '' ? `is missing. The folder's name ${error}` : message)
    },
  })
}

const providerList = (): string =>
  PROVIDERS.map((name) => `  ${name.padEnd(7)} ${titleOf(name)}`).join('\n')

const titleOf = (name: Provider): string =>
  name === 'none' ? "I don't know yet" : PROVIDER_ROWS[name].title

const readProvider = (line: string): Provider =>
  PROVIDERS.find((name) => name === line.toLowerCase()) ??
  refuse(`must be one of ${PROVIDERS.join(', ')}`)

const isWithBucket = (name: string): name is BucketProvider => Object.hasOwn(PROVIDER_ROWS, name)

/** Accepts tables of buckets as the Worker does, before there are secrets. */
const tablesRule = bucketsRule(text(() => null))

/** A table that is valid with any provider, to check one member of another. */
const SAMPLE: BucketTable = {
  ...{ endpoint: 'https://s3.example.com', region: 'auto', bucket: 'files' },
  ...{ addressing: 'path', credentials: 'S3' },
}

const checkTable = (members: Partial<BucketTable>): void => {
  valid(tablesRule, { files: { ...SAMPLE, ...members } })
}

/** Asks what the provider's table needs. */
async function readBucket(
  provider: BucketProvider,
  flags: Flags,
  answer: Answer,
): Promise<BucketTable> {
  const row = PROVIDER_ROWS[provider]
  const bucket = await answer({
    flag: 'bucket',
    text: 'Name of the bucket',
    read: (line) => {
      checkTable({ bucket: line, ...(row.asks === 'region' && { endpoint: row.endpoint('eu') }) })
      return line
    },
  })
  const isRegionKnown = row.asks === 'accountId' && flags.region === undefined
  const region = await (isRegionKnown
    ? 'auto'
    : answer({
        flag: 'region',
        text: row.asks === 'region' ? `Region of the bucket, ${row.hint}` : 'Region',
        fallback: row.region,
        read: (line) => {
          checkTable({ region: line })
          return line
        },
      }))
  const endpoint =
    flags.endpoint !== undefined || row.asks === 'endpoint'
      ? await answer({
          flag: 'endpoint',
          text: `URL of the server, ${row.hint}`,
          read: (line) => readEndpoint(line, bucket),
        })
      : row.endpoint(row.asks === 'region' ? region : await readAccountId(row.hint, answer))
  const table: BucketTable = {
    endpoint,
    region,
    bucket,
    addressing: row.virtual && /^[a-z0-9-]+$/.test(bucket) ? 'virtual' : 'path',
    credentials: 'S3',
    ...(row.writeOnlyKeys && { uploadCredentials: 'S3_WRITE' }),
  }
  prefixed('The bucket', () => checkTable(table))
  return table
}

const readAccountId = (hint: string, answer: Answer): Promise<string> =>
  answer({
    flag: 'account-id',
    text: `Id of your Cloudflare account, ${hint}`,
    read: (line) => (/^[0-9a-f]{32}$/.test(line) ? line : refuse('must be 32 of 0-9 and a-f')),
  })

/** Returns the endpoint as `URL` spells it, without a slash at its end. */
function readEndpoint(line: string, bucket: string): string {
  checkTable({ endpoint: line, bucket })
  const { origin, host, pathname } = new URL(line)
  if (!/^[\w.:[\]-]+$/.test(host)) refuse('must have a host of a-z, 0-9, "." and "-"')
  return origin + pathname.replace(/\/+$/, '')
}
