import type { Bucket, Credentials } from '../bucket/bucket.ts'
import type { ApiKey } from '../plugins/api-keys/options.ts'
import type { WebhookInput } from '../plugins/events/options.ts'
import type { JwtInput } from '../plugins/jwt/options.ts'
import type { SizeInput } from '../plugins/links/images/options.ts'
import type { UpkeepInput } from '../plugins/upkeep/options.ts'
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

/** The settings of the Worker, and the options of its plugins as these read them. */
export interface WorkerSettings extends Settings<Bucket> {
  readonly apiKeys: readonly ApiKey[] | undefined
  readonly jwt: JwtInput | undefined
  readonly imageWidths: readonly SizeInput[] | undefined
  readonly notificationSecrets: string | undefined
  readonly webhooks: readonly WebhookInput[] | undefined
  readonly upkeep: UpkeepInput | undefined
}

/** Returns the rule of a variable. `settings` is null until everything else is valid. */
export type PluginRule = (settings: Settings | null) => Rule<unknown>

/**
 * Rules of the variables that only one plugin reads, by its name. Plugins bring them, so that a bundle has
 * no rule of a plugin that is not listed.
 */
export type PluginRules = Readonly<Record<string, PluginRule | undefined>>

/** The settings of each environment whose settings are valid, for the plugins. */
export const validSettings = new WeakMap<object, WorkerSettings>()

/** Returns the settings in `env`, or the issues. Issues name paths, never values. */
export function loadVariables(env: object, own: PluginRules): LoadedSettings<WorkerSettings> {
  // An environment file may list a variable without a value.
  const variables = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const loaded = loadWith(environmentRule(variables, own), variables, TOML)
  if (loaded.ok) validSettings.set(env, loaded.settings)
  return loaded
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
export const variableRules = (variables: Readonly<Record<string, unknown>>, own: PluginRules) => ({
  FILE_INDEX: indexRule(variables, own),
  FILES_DB: r.optional(binding('a D1 database', '[[d1_databases]]')),
  RATE_LIMITER: binding('a rate limit', '[[ratelimits]]'),
  BUCKETS: r.needed(
    tableOrJson(bucketsRule(credentialsNamed(variables))),
    misspelt(variables, 'BUCKET') ?? 'Add a [vars.BUCKETS.files] table to wrangler.toml.',
  ),
  SIGNING_SECRETS: r.needed(
    signingSecretsRule,
    misspelt(variables, 'SIGNING_SECRET') ??
      `Set it to "k1:" and the output of \`openssl rand -hex 32\`. ${DEPLOY_ADVICE}`,
  ),
  API_KEYS: r.optional(tableOrJson(forPlugin<ApiKey[]>('apiKeys', own))),
  CORS_ORIGINS: unlessMisspelt(
    misspelt(variables, 'CORS_ORIGIN'),
    oneIsNoList(corsOriginsRule),
    [],
  ),
  CORS_COOKIE_ORIGINS: r.optional(oneIsNoList(cookieOriginsRule), []),
  JWT: r.optional(tableOrJson(forPlugin<JwtInput>('jwt', own))),
  LINK_ORIGIN: r.optional(originRule, null),
  IMAGE_WIDTHS: r.optional(tableOrJson(forPlugin<SizeInput[]>('images', own))),
  NOTIFICATION_SECRETS: unlessMisspelt(
    misspelt(variables, 'NOTIFICATION_SECRET'),
    forPlugin<string>('notifications', own),
    undefined,
  ),
  WEBHOOKS: r.optional(tableOrJson(forPlugin<WebhookInput[]>('events', own))),
  UPKEEP: r.optional(tableOrJson(forPlugin<UpkeepInput>('upkeep', own))),
  EVENTS: r.optional(binding('a queue', '[[queues.producers]]')),
  IMAGES: r.optional(binding('Cloudflare Images', '[images]')),
  OPEN_ACCESS: r.optional(r.oneOf('localhost'), null),
})

const environmentRule = (
  variables: Readonly<Record<string, unknown>>,
  own: PluginRules,
): Rule<WorkerSettings> =>
  r.into(
    r.table(variableRules(variables, own), 'open'),
    (given): WorkerSettings => ({
      buckets: given.BUCKETS,
      signingSecrets: given.SIGNING_SECRETS,
      apiKeys: given.API_KEYS,
      jwt: given.JWT,
      corsOrigins: [...given.CORS_ORIGINS, ...given.CORS_COOKIE_ORIGINS],
      corsCookieOrigins: given.CORS_COOKIE_ORIGINS,
      linkBase: given.LINK_ORIGIN,
      linkHostOnly: given.LINK_ORIGIN !== null,
      imageWidths: given.IMAGE_WIDTHS,
      notificationSecrets: given.NOTIFICATION_SECRETS,
      webhooks: given.WEBHOOKS,
      upkeep: given.UPKEEP,
      openOnLocalhost: given.OPEN_ACCESS !== null,
    }),
  )

/** The namespace of the index, unless that is in D1. */
function indexRule({ FILES_DB }: Readonly<Record<string, unknown>>, own: PluginRules) {
  const rule = own.files?.(null) ?? anything
  return FILES_DB ? r.optional(rule) : rule
}

const anything: Rule<unknown> = (value) => value

/** Accepts an option of a plugin, which reads it again. */
function forPlugin<T>(plugin: string, own: PluginRules): Rule<T> {
  const check = r.usedBy(plugin, own[plugin]?.(null) ?? anything)
  return (value, place) =>
    check(value, place) === r.BROKEN ? r.BROKEN : structuredClone(value as T)
}

/** Returns advice for a variable whose name lacks the final S, or null. */
const misspelt = (variables: Readonly<Record<string, unknown>>, name: string): string | null =>
  name in variables ? `Rename ${name} to ${name}S.` : null

/** Accepts undefined, unless there is advice about a variable with almost this name. */
const unlessMisspelt = <T, F>(advice: string | null, rule: Rule<T>, fallback: F): Rule<T | F> =>
  advice === null ? r.optional(rule, fallback) : r.needed(rule, advice)

/** Accepts what wrangler.toml binds in a table. */
export const binding =
  (kind: string, table: string): Rule<object> =>
  (value, place) =>
    typeof value === 'object' && value !== null
      ? value
      : r.breaks(
          place,
          `must be bound to ${kind}. Add a ${table} block with this name to wrangler.toml.`,
        )

/** Accepts a list of origins, and refuses a single origin as text. */
const oneIsNoList =
  (rule: Rule<string[]>): Rule<string[]> =>
  (value, place) =>
    typeof value === 'string' && /^https?:/.test(value)
      ? rule({}, place)
      : tableOrJson(rule)(value, place)

/** Accepts a table from wrangler.toml, or JSON text from an environment file. */
const tableOrJson =
  <T>(rule: Rule<T>): Rule<T> =>
  (value, place) => {
    if (typeof value !== 'string') return rule(value, place)
    let parsed: unknown
    try {
      parsed = JSON.parse(value)
    } catch (error) {
      return r.breaks(
        place,
        /^\s*[[{]/.test(value)
          ? `is not valid JSON${placeIn(error)}`
          : `must be ${place.words.table([])}, or JSON text`,
      )
    }
    return rule(parsed, place)
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
