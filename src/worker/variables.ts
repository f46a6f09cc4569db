import type { Bucket, Credentials } from '../bucket/bucket.ts'
import type { Issue } from '../errors/api-error.ts'
import type { Plugin, Setup } from '../plugin.ts'
import { bucketsRule } from '../settings/bucket-rules.ts'
import {
  cookieOriginsRule,
  corsOriginsRule,
  type LoadedSettings,
  loadWith,
  originRule,
  signingSecretsRule,
} from '../settings/define.ts'
import type { Rule, Words } from '../settings/rules.ts'
import * as r from '../settings/rules.ts'
import type { Settings } from '../settings/settings.ts'

/** The settings of the Worker. Its plugins read the variables that belong to them. */
export type WorkerSettings = Settings<Bucket>

/** Returns the settings in `env`, or the issues. Issues name paths, never values. */
export function loadVariables(env: object): LoadedSettings<WorkerSettings> {
  const variables = Object.fromEntries(Object.entries(env).filter(([, value]) => isSet(value)))
  return loadWith(environmentRule(variables), variables, TOML)
}

/**
 * Returns `plugin`, which reads those of its options that are undefined from the variables of the
 * environment. An issue names the variable.
 */
export const withVariables = <B>(plugin: Plugin<B>): Plugin<B> => ({
  ...plugin,
  // `listPlugins` has listed them, and a copy would be another one.
  plugins: [],
  setup: (setup, needed) => plugin.setup?.({ ...setup, read: variablesIn(setup) }, needed) ?? {},
})

/** Returns `setup.read` for an environment with variables. */
const variablesIn =
  <B>(setup: Setup<B>): Setup<B>['read'] =>
  (path, given, rule, variable) => {
    if (given !== undefined || variable === undefined) return setup.read(path, given, rule)
    const { value, issues } = readVariable(Object(setup.env), variable, rule)
    for (const { path, message } of issues) setup.issue(path, message)
    return value
  }

/** Reads a variable that only one plugin reads. `value` is null if it is missing or invalid. */
export function readVariable<T>(
  env: object,
  name: string,
  rule: Rule<T>,
): { readonly value: T | null; readonly issues: readonly Issue[] } {
  const given: unknown = Reflect.get(env, name)
  if (!isSet(given)) return { value: null, issues: [] }
  const issues: Issue[] = []
  const value = tableOrJson(rule)(given, { path: name, issues, words: TOML, uses: [] })
  return { value: value === r.BROKEN ? null : value, issues }
}

/** The terms of wrangler.toml. */
export const TOML: Words = {
  text: 'text',
  list: 'a list',
  table: (names) => (names.length === 0 ? 'a table' : `a table with ${names.join(', ')}`),
}

/** How a secret gets to the deployed Worker. */
export const DEPLOY_ADVICE = 'Write it to .dev.vars, and run `npx edge-presigner deploy`.'

/** Returns the rules of every variable, secret and binding, except the buckets' access keys. */
export const variableRules = (variables: Readonly<Record<string, unknown>>) => ({
  FILE_INDEX: r.optional(binding(NO_INDEX)),
  FILES_DB: r.optional(binding(unbound('a D1 database', '[[d1_databases]]'))),
  RATE_LIMITER: binding(unbound('a rate limit', '[[ratelimits]]')),
  BUCKETS: plural(
    variables,
    'BUCKET',
    r.needed(
      tableOrJson(bucketsRule(credentialsNamed(variables))),
      'Add a [vars.BUCKETS.files] table to wrangler.toml.',
    ),
  ),
  SIGNING_SECRETS: plural(
    variables,
    'SIGNING_SECRET',
    r.needed(
      signingSecretsRule,
      `Set it to "k1:" and the output of \`openssl rand -hex 32\`. ${DEPLOY_ADVICE}`,
    ),
  ),
  API_KEYS: readBy('apiKeys'),
  CORS_ORIGINS: plural(variables, 'CORS_ORIGIN', r.optional(tableOrJson(corsOriginsRule), [])),
  CORS_COOKIE_ORIGINS: r.optional(tableOrJson(cookieOriginsRule), []),
  JWT: readBy('jwt'),
  LINK_ORIGIN: r.optional(originRule, null),
  IMAGE_WIDTHS: readBy('images'),
  NOTIFICATION_SECRETS: plural(variables, 'NOTIFICATION_SECRET', readBy('notifications')),
  WEBHOOKS: readBy('events'),
  UPKEEP: readBy('upkeep'),
  EVENTS: r.optional(binding(unbound('a queue', '[[queues.producers]]'))),
  IMAGES: r.optional(binding(unbound('Cloudflare Images', '[images]'))),
  OPEN_ACCESS: r.optional(r.oneOf('localhost'), null),
})

const environmentRule = (variables: Readonly<Record<string, unknown>>): Rule<WorkerSettings> =>
  r.into(
    r.table(variableRules(variables), 'open'),
    (given): WorkerSettings => ({
      buckets: given.BUCKETS,
      signingSecrets: given.SIGNING_SECRETS,
      corsOrigins: [...given.CORS_ORIGINS, ...given.CORS_COOKIE_ORIGINS],
      corsCookieOrigins: given.CORS_COOKIE_ORIGINS,
      linkBase: given.LINK_ORIGIN,
      linkHostOnly: given.LINK_ORIGIN !== null,
      openOnLocalhost: given.OPEN_ACCESS !== null,
    }),
  )

/** Accepts anything, for a variable that only a plugin reads. */
const readBy = (plugin: string): Rule<unknown> => r.usedBy(plugin, (value) => value)

/** Reports a variable that is missing if there is one called `name`, without the final S. */
const plural = <T>(variables: object, name: string, rule: Rule<T>): Rule<T> =>
  name in variables ? r.needed(rule, `Rename ${name} to ${name}S.`) : rule

/** What is wrong with a binding. `table` is its table in wrangler.toml. */
const unbound = (kind: string, table: string): string =>
  `must be bound to ${kind}. Add a ${table} block with this name to wrangler.toml.`

/** The issue of FILE_INDEX without any index. */
export const NO_INDEX = unbound('a KV namespace, or FILES_DB to a D1 database', '[[kv_namespaces]]')

/** Tells whether an environment has an index. The rules of its bindings say whether that is one. */
export const hasIndex = (env: object): boolean =>
  Boolean(Reflect.get(env, 'FILES_DB')) || isSet(Reflect.get(env, 'FILE_INDEX'))

/** An environment file may list a variable without a value. */
const isSet = (value: unknown): boolean => value !== undefined && value !== ''

/** Accepts what wrangler.toml binds in a table. */
const binding =
  (message: string): Rule<object> =>
  (value, place) =>
    typeof value === 'object' && value !== null ? value : r.breaks(place, message)

/** Accepts a table or list of wrangler.toml, or its JSON text in an environment file. */
const tableOrJson =
  <T>(rule: Rule<T>): Rule<T> =>
  (value, place) => {
    if (typeof value !== 'string') return rule(value, place)
    if (!/^\s*[[{]/.test(value)) return rule(value, { ...place, words: TOML_OR_JSON })
    let parsed: unknown
    try {
      parsed = JSON.parse(value)
    } catch (error) {
      return r.breaks(place, `is not valid JSON${placeIn(error)}`)
    }
    return rule(parsed, place)
  }

/** The terms for a text. */
const TOML_OR_JSON: Words = {
  text: TOML.text,
  list: `${TOML.list}, or JSON text`,
  table: (names) => `${TOML.table(names)}, or JSON text`,
}

/** Returns where JSON.parse failed, without the text around it, which may be a secret. */
const placeIn = (error: unknown): string =>
  / at position \d+/.exec(error instanceof Error ? error.message : '')?.[0] ?? ''

/** Accepts a name, never an access key id, since an issue about a missing secret would show it. */
const credentialsName = r.matching(
  /^(?!(?:AKIA|ASIA)[A-Z0-9]{12,})[A-Z][A-Z0-9_]{0,63}$/,
  'must be a name in capitals, such as "S3", which reads S3_ACCESS_KEY_ID',
)

/** Returns a name's access keys. Reads each name once: a missing key is one issue. */
function credentialsNamed(variables: Readonly<Record<string, unknown>>): Rule<Credentials> {
  const known = new Map<string, Credentials | typeof r.BROKEN>()
  return (value, place) => {
    const name = credentialsName(value, place)
    if (name === r.BROKEN) return r.BROKEN
    const credentials = known.get(name) ?? accessKeys(name)(variables, { ...place, path: '' })
    known.set(name, credentials)
    return credentials
  }
}

/** Reads the access keys of a name: `S3_ACCESS_KEY_ID` and the others. */
export const accessKeys = (name: string): Rule<Credentials> =>
  r.into(
    r.table(
      {
        [`${name}_ACCESS_KEY_ID`]: r.needed(r.accessKey, DEPLOY_ADVICE),
        [`${name}_SECRET_ACCESS_KEY`]: r.needed(r.accessKey, DEPLOY_ADVICE),
        [`${name}_SESSION_TOKEN`]: r.optional(r.notEmpty, null),
        [`${name}_CREDENTIAL_EXPIRATION`]: r.optional(instant, null),
      },
      'open',
    ),
    (given) => ({
      accessKeyId: given[`${name}_ACCESS_KEY_ID`] ?? '',
      secretAccessKey: given[`${name}_SECRET_ACCESS_KEY`] ?? '',
      sessionToken: given[`${name}_SESSION_TOKEN`] ?? null,
      expiresAt: endOf(given[`${name}_CREDENTIAL_EXPIRATION`]),
    }),
  )

/** Returns milliseconds since 1970, or infinity for credentials that don't expire. */
const endOf = (instant: string | null | undefined): number =>
  instant === null || instant === undefined ? Infinity : Date.parse(instant)

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})$/

const instant = r.text((value) =>
  INSTANT.test(value) && !Number.isNaN(Date.parse(value))
    ? null
    : 'must be a time in ISO 8601, such as 2026-11-24T23:30:00Z',
)
