import { type Issue, unknownMembers } from '../errors/api-error.ts'

/** The names of value types in the language of the settings. */
export interface Words {
  readonly text: string
  readonly list: string
  /** `names` are the allowed members. Empty if any name is allowed. */
  table(names: readonly string[]): string
}

export const TYPESCRIPT: Words = {
  text: 'a string',
  list: 'an array',
  table: (names) => (names.length === 0 ? 'an object' : `an object: { ${names.join(', ')} }`),
}

/** The path of a value, the list of issues, and the words for them. */
export interface Context {
  /** Dotted path from the root. */
  readonly path: string
  readonly issues: Issue[]
  readonly words: Words
  /** Gets the values that only a plugin reads. */
  readonly uses: PluginUse[]
}

/** A value that only plugins read: the one of this name, or `one() or other`. */
export interface PluginUse {
  readonly path: string
  readonly plugin: string
}

/** What a rule returns for an invalid value, after it has added an issue. */
export const BROKEN: unique symbol = Symbol('broken')

/** Checks one value and returns it, or a converted value. */
export type Rule<T> = (value: unknown, context: Context) => T | typeof BROKEN

/** Returns what is wrong with a value, in words that follow its name, or null if it is valid. */
export type FindError<T> = (value: T) => string | null

/** Adds an issue. It names the path, never the value, which may be a secret. */
export function breaks({ path, issues }: Context, message: string): typeof BROKEN {
  issues.push({ path, message })
  return BROKEN
}

/** Returns the result of `rule` for `value`, or the issues. */
export function check<T>(
  rule: Rule<T>,
  value: unknown,
  words: Words = TYPESCRIPT,
):
  | { readonly ok: true; readonly value: T; readonly uses: readonly PluginUse[] }
  | { readonly ok: false; readonly issues: Issue[] } {
  const issues: Issue[] = []
  const uses: PluginUse[] = []
  const result = rule(value, { path: '', issues, words, uses })
  return result === BROKEN || issues.length > 0
    ? { ok: false, issues }
    : { ok: true, value: result, uses }
}

/** Marks a value that only `plugin` reads. */
export const usedBy =
  <T>(plugin: string, rule: Rule<T>): Rule<T> =>
  (value, context) => {
    if ([value ?? []].flat().length > 0) context.uses.push({ path: context.path, plugin })
    return rule(value, context)
  }

/** The names of this computer, as `URL` spells them. */
export const LOCAL_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

/** Tells whether a host name always means this computer (RFC 6761, section 6.3). */
export const isThisComputer = (hostname: string): boolean =>
  LOCAL_HOSTS.includes(hostname) || hostname.endsWith('.localhost')

/** Returns what is wrong with the scheme of a URL to send requests to, or null. */
export const schemeError = ({ protocol, hostname }: URL): string | null =>
  protocol === 'https:' || (protocol === 'http:' && LOCAL_HOSTS.includes(hostname))
    ? null
    : 'must start with https://'

/** Adds a check to `rule`. */
export const also =
  <T>(rule: Rule<T>, findError: FindError<T>): Rule<T> =>
  (value, context) => {
    const result = rule(value, context)
    const message = result === BROKEN ? null : findError(result)
    return message === null ? result : breaks(context, message)
  }

/** Converts the result of `rule`. */
export const into =
  <T, Result>(rule: Rule<T>, convert: (value: T) => Result): Rule<Result> =>
  (value, context) => {
    const result = rule(value, context)
    return result === BROKEN ? BROKEN : convert(result)
  }

/** Accepts undefined, and replaces it by `fallback` if given. */
export function optional<T>(rule: Rule<T>): Rule<T | undefined>
export function optional<T, Fallback>(rule: Rule<T>, fallback: Fallback): Rule<T | Fallback>
export function optional<T>(rule: Rule<T>, fallback?: unknown): Rule<unknown> {
  return (value, context) => (value === undefined ? fallback : rule(value, context))
}

/** Adds advice to the issue of a missing value. */
export const needed =
  <T>(rule: Rule<T>, advice: string): Rule<T> =>
  (value, context) =>
    value === undefined ? breaks(context, `is missing. ${advice}`) : rule(value, context)

export const text = (findError: FindError<string>): Rule<string> =>
  also(
    (value, context) =>
      typeof value === 'string' ? value : breaks(context, missing(value, context.words.text)),
    findError,
  )

export const anyText: Rule<string> = text(() => null)

export const matching = (pattern: RegExp, message: string): Rule<string> =>
  text((value) => (pattern.test(value) ? null : message))

export const notEmpty: Rule<string> = text((value) => (value === '' ? 'must not be empty' : null))

/** Starts of what documentation prints in context of a secret: this one, and that of Standard Webhooks. */
const PRINTED = /^(?:your-|replace-|whsec_(?:MDEyMzQ1Njc4OWFi|MfKQ9r8GKYqrTwjU))/

/** Returns why `value` can't be a secret, since documentation prints it, or null. */
export const printedError: FindError<string> = (value) =>
  PRINTED.test(value) ? 'still has a placeholder that documentation prints' : null

/** Accepts a part of an access key. */
export const accessKey: Rule<string> = also(notEmpty, (value) => {
  const error = printedError(value)
  return error && `${error}. Replace it with your own access key`
})

export const oneOf =
  <const T extends string>(...values: readonly T[]): Rule<T> =>
  (value, context) =>
    values.find((candidate) => candidate === value) ??
    breaks(context, `must be one of ${values.join(', ')}`)

export const flag: Rule<boolean> = (value, context) =>
  typeof value === 'boolean' ? value : breaks(context, 'must be true or false')

export const whole =
  (min: number, max: number): Rule<number> =>
  (value, context) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? value
      : breaks(context, `must be a whole number from ${min} to ${max}`)

/** Accepts a list of at least `min` items. `example` is for issues: `, such as ["a"]`. */
export const list =
  <T>(rule: Rule<T>, min = 0, example = ''): Rule<T[]> =>
  (value, context) => {
    const { words } = context
    if (!Array.isArray(value)) return breaks(context, missing(value, words.list + example))
    if (value.length < min) return breaks(context, 'must not be empty')
    const results = value.map((item: unknown, i) => rule(item, inside(context, String(i))))
    return results.includes(BROKEN) ? BROKEN : (results as T[])
  }

/** Accepts one item, or a list of items without errors. Returns a list. */
export const oneOrMore = <T>(rule: Rule<T>, findError: FindError<T[]> = () => null): Rule<T[]> => {
  const one = into(rule, (item) => [item])
  const more = also(list(rule, 1), findError)
  return (value, context) => (Array.isArray(value) ? more : one)(value, context)
}

/** Returns an error that names two items of a list with the same `name` by their indexes, or null. */
export const repeats =
  <T>(what: string, name: (item: T) => string | number): FindError<readonly T[]> =>
  (items) => {
    const names = items.map(name)
    const first = names.findIndex((one, i) => names.lastIndexOf(one) > i)
    const last = names.lastIndexOf(names[first] ?? '')
    return first < 0 ? null : `must not repeat ${what} (entries ${first} and ${last})`
  }

/**
 * Accepts members by name, and keeps their order. Leaves out those that are undefined. `byName` returns
 * the rule of a member, or what is wrong with its name. The path of such a member has its index instead,
 * since the name may be a secret.
 */
export const record =
  <T>(byName: (name: string) => Rule<T | undefined> | string): Rule<Record<string, T>> =>
  (value, context) => {
    if (!isTable(value)) return breaks(context, missing(value, context.words.table([])))
    const result: Record<string, T> = {}
    let isBroken = false
    Object.entries(value).forEach(([key, member], i) => {
      const rule = byName(key)
      const checked =
        typeof rule === 'string'
          ? breaks(inside(context, String(i)), rule)
          : rule(member, inside(context, key))
      if (checked === BROKEN) isBroken = true
      else if (checked !== undefined) result[key] = checked
    })
    return isBroken ? BROKEN : result
  }

type Members = Readonly<Record<string, Rule<unknown>>>
type ResultOf<R> = R extends Rule<infer T> ? T : never
type TableOf<M extends Members> = { -readonly [Name in keyof M]: ResultOf<M[Name]> }

/**
 * Accepts a table with these members. Refuses other members, since a misspelled name would
 * otherwise disable a limit silently. With `open`, ignores them instead.
 */
export const table =
  <M extends Members>(members: M, open: 'open' | null = null): Rule<TableOf<M>> =>
  (value, context) => {
    const names = Object.keys(members)
    if (!isTable(value)) return breaks(context, missing(value, context.words.table(names)))
    const unknown = open === null ? unknownMembers(value, names) : null
    let isBroken = unknown !== null
    if (unknown !== null) breaks(context, unknown)
    const result: Record<string, unknown> = {}
    for (const [name, rule] of Object.entries(members)) {
      const member = rule(
        Object.hasOwn(value, name) ? value[name] : undefined,
        inside(context, name),
      )
      if (member === BROKEN) isBroken = true
      else if (member !== undefined) result[name] = member
    }
    return isBroken ? BROKEN : (result as TableOf<M>)
  }

/** Freezes `value` and everything in it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze)
    Object.freeze(value)
  }
  return value
}

/**
 * Returns what a function of the app returned where it can't be async. A promise is not valid there,
 * and must not end a process in Node when it is rejected.
 */
export function quiet<T>(value: T): T {
  if (value instanceof Promise) value.catch(() => null)
  return value
}

/** Tells whether `value` is an object that is not a list. */
const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const inside = (context: Context, name: string): Context => ({
  ...context,
  path: context.path === '' ? name : `${context.path}.${name}`,
})

const missing = (value: unknown, kind: string): string =>
  value === undefined ? 'is missing' : `must be ${kind}`
