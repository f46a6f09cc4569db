import type { SigningSecret, SigningSettings } from '../access/settings.ts'
import { ApiError, asApiError, type Issue } from '../errors/api-error.ts'
import { classOf, stackOf } from '../errors/describe.ts'
import { logWarning } from '../errors/warnings.ts'
import { bucketsRule } from './bucket-rules.ts'
import { credentialsRule } from './credentials-rule.ts'
import type { SettingsInput } from './input.ts'
import type { PluginUse, Rule, Words } from './rules.ts'
import * as r from './rules.ts'
import type { Settings } from './settings.ts'

declare const bindings: unique symbol

/**
 * Settings for environments of the type `B`. Not a function type, so that TypeScript infers `B` for
 * the options of plugins too.
 */
export interface SettingsFor<in B> {
  readonly [bindings]: (env: B) => void
}

/** Returns the settings for one environment. Throws ApiError `misconfigured` with the issues. */
export type DefinedSettings<B, S extends Settings = Settings> = SettingsFor<B> & ((env: B) => S)

export type LoadedSettings<S extends Settings = Settings> =
  | { readonly ok: true; readonly settings: S; readonly uses: readonly PluginUse[] }
  | InvalidSettings

interface InvalidSettings {
  readonly ok: false
  /** For everyone. */
  readonly issues: readonly Issue[]
  /** What the app's functions have thrown, with stacks. Only for the log. */
  readonly thrown?: readonly string[]
}

/** Returns valid settings. Throws `misconfigured`, which `/healthz` explains. */
export function requireSettings<S extends Settings>(loaded: LoadedSettings<S>): S {
  if (loaded.ok) return loaded.settings
  throw new ApiError('misconfigured', 'The settings are not valid. /healthz names each one.', {
    reason: 'settings',
    cause: whyInvalid(loaded),
  })
}

/** Returns what is wrong with settings, for the log. */
export const whyInvalid = ({ issues, thrown = [] }: InvalidSettings): string =>
  [issues.map(({ path }) => path || 'settings').join(', '), ...thrown].join('; ')

/**
 * Returns settings that depend only on the environment. A function runs once for each environment
 * object, and again after it has thrown or returned invalid settings. Settings that are not a
 * function apply to every environment. Issues name paths, never values.
 */
export const defineSettings = <B = unknown>(
  given: SettingsInput | ((env: B) => SettingsInput),
): DefinedSettings<B> =>
  typeof given === 'function'
    ? keepFor((env) => loadNamed(r.quiet(given(env))))
    : keepFor(() => loadNamed(given), 'once')

/** Marks settings that were read from variables: their names by the paths of the settings, and which are missing. */
export const VARIABLES = Symbol.for('edge-presigner.variables')
export interface Variables {
  readonly names: Readonly<Record<string, string>>
  readonly missing: readonly string[]
}

/** Checks settings. Issues name the variables from which they come, if `settingsFromEnv` has read them. */
function loadNamed(input: unknown): LoadedSettings {
  const loaded = loadWith(settingsRule(), input)
  const variables: Variables | undefined = Reflect.get(Object(input), VARIABLES)
  if (loaded.ok || variables === undefined) return loaded
  const issues = loaded.issues.map(({ path, message }) => {
    const name = variables.names[path]
    if (name === undefined) return { path, message }
    return { path: name, message: variables.missing.includes(name) ? 'is missing' : message }
  })
  return { ok: false, issues }
}

/** Marks settings that were checked, also by another copy of this package, with their uses. */
const CHECKED = Symbol.for('edge-presigner.settings')

/** Checks `input`, and freezes it. By default, issues use TypeScript's terms. */
export function loadWith<S extends Settings>(
  rule: Rule<S>,
  input: unknown,
  words?: Words,
): LoadedSettings<S> {
  const checked = r.check(rule, input, words)
  if (!checked.ok) return checked
  const { value, uses } = checked
  return {
    ok: true,
    settings: r.deepFreeze(Object.defineProperty(value, CHECKED, { value: uses })),
    uses,
  }
}

/** From this many environments on, each request seems to have its own. */
const MANY_ENVIRONMENTS = 100

/**
 * Caches the result of `make` for each environment object, or for all of them. Doesn't cache errors,
 * or results that `isFinal` refuses. Warns if each request seems to have its own environment.
 */
export function keepEach<E, T>(
  make: (env: E) => T,
  times: 'each' | 'once' = 'each',
  isFinal: (value: T) => boolean = () => true,
): (env: E) => T {
  const kept = new WeakMap<object, { readonly value: T }>()
  const everyone = {}
  let count = 0
  return (env) => {
    const owner = times === 'each' && typeof env === 'object' && env !== null ? env : everyone
    const known = kept.get(owner)
    if (known !== undefined) return known.value
    const value = make(env)
    if (isFinal(value)) {
      kept.set(owner, { value })
      count += 1
      if (count === MANY_ENVIRONMENTS)
        logWarning('each request has its own environment', {
          reason: 'pass a value instead of a function',
        })
    }
    return value
  }
}

/** Runs `load` once, or for each environment, until it succeeds. Throws `misconfigured`. */
export function keepFor<B, S extends Settings>(
  load: (env: B) => LoadedSettings<S>,
  times: 'each' | 'once' = 'each',
): DefinedSettings<B, S> {
  const kept = keepEach(load, times, ({ ok }) => ok)
  const settingsFor = (env: B) => {
    const loaded = kept(env)
    if (loaded.ok) return loaded.settings
    const { issues } = loaded
    const list = issues.map(({ path, message }) => `${path} ${message}`.trim()).join('; ')
    throw new ApiError('misconfigured', `The settings are not valid: ${list}.`, {
      reason: 'settings',
      issues,
    })
  }
  return settingsFor as DefinedSettings<B, S>
}

/** Returns the settings for `env`, or the issues. */
export function loadedBy<B>(settingsFor: SettingsFor<B>, env: B): LoadedSettings {
  try {
    const settings =
      typeof settingsFor === 'function' && r.quiet((settingsFor as DefinedSettings<B>)(env))
    const uses: readonly PluginUse[] | undefined = Reflect.get(Object(settings), CHECKED)
    return settings && uses
      ? { ok: true, settings, uses }
      : { ok: false, issues: [{ path: 'settings', message: 'must be from defineSettings' }] }
  } catch (error) {
    const known = asApiError(error)
    if (known?.reason === 'settings') return { ok: false, issues: known.issues }
    return {
      ok: false,
      issues: [{ path: 'settings', message: `could not be read: ${classOf(error)}` }],
      thrown: [stackOf(error)],
    }
  }
}

/** The settings of presigners that no request has used yet: those of one Worker, when it starts. */
let unused: readonly SettingsFor<never>[] = []

/**
 * Returns a function that loads `settings`, as `loadedBy` does. With a secret and the name of settings
 * that came first, and with other buckets, they are invalid: a token would be valid for both.
 */
export function settingsApart<B>(settings: SettingsFor<B>): (env: B) => LoadedSettings {
  const others = unused
  unused = [...unused, settings]
  return (env) => {
    unused = []
    const loaded = loadedBy(settings, env)
    if (!loaded.ok) return loaded
    const { secrets, places } = tokensFor(loaded)
    const message = 'must differ from that of another presigner with the same signingSecrets'
    return others.some((other) => {
      const { secrets: theirs, places: elsewhere } = tokensFor(loadedBy(other, env as never))
      return places !== elsewhere && secrets.some((secret) => theirs.includes(secret))
    })
      ? { ok: false, issues: [{ path: 'name', message }] }
      : loaded
  }
}

/** Returns what tokens are signed with, and the places of buckets that they are valid for. */
const tokensFor = (loaded: LoadedSettings) =>
  loaded.ok
    ? {
        secrets: loaded.settings.signingSecrets.map((secret) => JSON.stringify(secret)),
        places: JSON.stringify(
          loaded.settings.buckets.map(({ alias, origin, basePath }) => [alias, origin, basePath]),
        ),
      }
    : { secrets: [], places: '' }

const isOrigin = (value: string): boolean =>
  URL.canParse(value) && new URL(value).origin === value && !value.includes('*')

const originError: r.FindError<string> = (value) =>
  isOrigin(value) ? null : 'must be an exact origin, such as https://app.example.com'

/** Accepts one exact origin. */
export const originRule: Rule<string> = r.text(originError)

/** Some suffixes under which anyone can register names. Browsers know thousands more. */
const SHARED =
  /^(?:(?:pages|workers|r2|fly|deno)\.dev|(?:vercel|netlify|web|ngrok-free)\.app|git(?:hub|lab)\.io|(?:firebase|heroku|amplify)app\.com|(?:onrender|trycloudflare)\.com|cloudfront\.net|azurewebsites\.net|(?:co|com|org|net)\.[a-z]{2})$/

/** Accepts one exact origin, or one with a star as its first label. */
const corsOriginRule: Rule<string> = r.text((value) => {
  if (!value.includes('*')) return originError(value)
  const [, behind = ''] = /^https:\/\/\*\.([^*/]+)$/.exec(value) ?? []
  if (!isOrigin(`https://a.${behind}`) || !/^[^.]+\.[^.]/.test(behind))
    return 'must have its star as the first label, and then at least two more, as in https://*.app.pages.dev'
  return SHARED.test(behind.replace(/:\d+$/, ''))
    ? 'must not have its star before a public suffix. Put your own name between them, as in https://*.app.pages.dev'
    : null
})

const ORIGINS = ', such as ["https://app.example.com"]'

/** Accepts origins of pages that may use the API. */
export const corsOriginsRule: Rule<string[]> = r.list(corsOriginRule, 0, ORIGINS)
/** Accepts origins of pages that may also send cookies. They can't have a star. */
export const cookieOriginsRule: Rule<string[]> = r.list(originRule, 0, ORIGINS)

const linkBaseRule = (): Rule<string> =>
  r.text((value) => {
    if (URL.canParse(value)) {
      const { protocol, origin, pathname } = new URL(value)
      const path = pathname === '/' ? '' : pathname
      const isPlain = /^(?:\/[A-Za-z0-9_.~%-]+)*$/.test(path)
      if (/^https?:$/.test(protocol) && origin + path === value && isPlain) return null
    }
    return 'must be an origin and a path without "/" at the end, such as https://app.example.com/media'
  })

const SECRETS_ADVICE = 'Set it to "k1:" and the output of `openssl rand -hex 32`.'

type Secrets = SigningSettings['signingSecrets']

/** Accepts kid:secret[,kid:secret], for an instance without a name. */
export const signingSecretsRule: Rule<Secrets> = (value, place) => {
  const refuse = (message: string): typeof r.BROKEN =>
    r.breaks(place, `${message}. ${SECRETS_ADVICE}`)
  if (value === undefined) return refuse('is missing')
  const secrets: SigningSecret[] = []
  for (const entry of typeof value === 'string' ? value.split(',') : ['']) {
    const [, kid, secret] = /^([A-Za-z0-9-]{1,16}):([^,]{32,})$/.exec(entry.trim()) ?? []
    if (kid === undefined || secret === undefined)
      return refuse(
        'must be kid:secret[,kid:secret], each secret of at least 32 characters without ","',
      )
    const printed = r.printedError(secret)
    if (printed !== null) return refuse(printed)
    if (secrets.some((other) => other.kid === kid)) return r.breaks(place, 'must not repeat a kid')
    secrets.push({ name: '', kid, secret })
  }
  const [first, ...others] = secrets
  return first === undefined ? r.BROKEN : [first, ...others]
}

const settingsRule = (): Rule<Settings> =>
  r.also(
    r.into(
      r.table({
        name: r.optional(
          r.matching(/^[a-z0-9-]{0,32}$/, 'must be up to 32 of a-z, 0-9 and "-"'),
          '',
        ),
        buckets: r.needed(
          bucketsRule(credentialsRule),
          'Add one: { files: { endpoint, region, bucket, credentials } }.',
        ),
        signingSecrets: signingSecretsRule,
        corsOrigins: r.optional(corsOriginsRule, []),
        corsCookieOrigins: r.optional(cookieOriginsRule, []),
        linkBase: r.optional(linkBaseRule(), null),
        linkHostOnly: r.optional(r.flag, false),
      }),
      ({ name, signingSecrets: [first, ...others], ...given }): Settings => ({
        ...given,
        corsOrigins: [...given.corsOrigins, ...given.corsCookieOrigins],
        signingSecrets: [{ ...first, name }, ...others.map((secret) => ({ ...secret, name }))],
        openOnLocalhost: false,
      }),
    ),
    ({ linkBase, linkHostOnly }) =>
      linkHostOnly && linkBase === null ? 'linkHostOnly needs a linkBase' : null,
  )
