import type { Issue } from '../src/errors/api-error.ts'
import { DEPLOY_ADVICE, variableRules } from '../src/worker/variables.ts'

const SETTINGS = Object.keys(variableRules({})).filter(
  (name) => name !== 'FILE_INDEX' && name !== 'RATE_LIMITER', // bindings
)
/** The settings that are secrets, besides the access keys and `API_KEYS`. */
const SECRETS = ['SIGNING_SECRETS', 'NOTIFICATION_SECRETS', 'WEBHOOKS']
const KEY_PARTS = ['ACCESS_KEY_ID', 'SECRET_ACCESS_KEY', 'SESSION_TOKEN', 'CREDENTIAL_EXPIRATION']
const ACCESS_KEY = new RegExp(`^[A-Z][A-Z0-9_]*_(?:${KEY_PARTS.join('|')})$`)
/** What `npx edge-presigner keys push` sets beside `API_KEYS`, and what wrangler, npm and Node read. */
const FOR_OTHERS = /^(?:API_KEYS_LIST|CLOUDFLARE|WRANGLER|NODE|NPM)_/i
const MAX_TYPOS = 2

export interface UnknownName {
  readonly name: string
  /** The setting that was probably meant. */
  readonly meant: string | undefined
}

/** Returns the names with a value in an env file that the Worker doesn't read. */
export const unknownNames = (variables: Readonly<Record<string, unknown>>): UnknownName[] =>
  Object.entries(variables)
    .filter(([name, value]) => value && !isKnown(name))
    .map(([name]) => ({ name, meant: settingLike(name) }))

/** Says that the Worker doesn't read a name in `file`. */
export const unknownText = (file: string, { name, meant }: UnknownName): string =>
  `${file} sets ${name}, which is no setting.${meant === undefined ? '' : ` Did you mean ${meant}?`}`

/** Returns what the Worker says about a setting, without its advice for a deployed secret. */
export const withoutDeployAdvice = (message: string): string =>
  message.replace(` ${DEPLOY_ADVICE}`, '')

/** Says what is wrong with a setting, and in which file. */
export function issueInFiles(
  { path, message }: Issue,
  file: string,
  given: Readonly<Record<string, unknown>>,
): string {
  const [name = ''] = path.split('.')
  const isMissing = message.startsWith('is missing') && path === name
  if (!isMissing) return `${given[name] ? file : 'wrangler.toml'}: ${path} ${message}`
  const local = withoutDeployAdvice(message)
  return `${file}: ${path} ${local === 'is missing.' ? 'is missing. Add it to the file.' : local}`
}

/** Why a deployment leaves out a name that the Worker doesn't read. */
export const NO_SETTING = 'no setting'

/**
 * Returns why a deployment leaves out a name of an env file, or null if it is a secret that the Worker
 * needs. `pairs` are the names of the buckets' access keys, such as `S3`. Only `wrangler.toml` has the
 * other settings of a deployed Worker.
 */
export function whyNotSent(name: string, pairs: readonly string[]): string | null {
  if (SECRETS.includes(name)) return null
  if (name === 'API_KEYS') return 'api-keys.json has the list'
  if (ACCESS_KEY.test(name))
    return pairs.some((pair) => KEY_PARTS.some((part) => name === `${pair}_${part}`))
      ? null
      : 'no bucket uses it'
  return SETTINGS.includes(name) ? 'no secret, so set it in wrangler.toml' : NO_SETTING
}

const isKnown = (name: string): boolean =>
  SETTINGS.includes(name) || ACCESS_KEY.test(name) || FOR_OTHERS.test(name)

function settingLike(name: string): string | undefined {
  const [pair = ''] = name.toUpperCase().split('_')
  const known = [...SETTINGS, ...KEY_PARTS.map((part) => `${pair}_${part}`)]
  return known
    .map((setting) => ({ setting, typos: distance(name.toUpperCase(), setting) }))
    .filter(({ typos }) => typos <= MAX_TYPOS)
    .toSorted((a, b) => a.typos - b.typos)[0]?.setting
}

/** Returns how many letters to add, remove or replace, to make `a` from `b` (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...b].entries())
      next.push(
        Math.min(
          (next[j] ?? 0) + 1,
          (row[j + 1] ?? 0) + 1,
          (row[j] ?? 0) + (letter === other ? 0 : 1),
        ),
      )
    row = next
  }
  return row[b.length] ?? 0
}
