/** Tells whether a value from outside is a `T`. */
export type Check<T> = (value: unknown) => value is T

/** Accepts any text. The type may be one of known texts, since a newer Worker may have others. */
export const isString = <T extends string = string>(value: unknown): value is T =>
  typeof value === 'string'

export const isNumber: Check<number> = (value) => typeof value === 'number'

export const isPositive: Check<number> = (value): value is number => isNumber(value) && value > 0

export const isBoolean: Check<boolean> = (value) => typeof value === 'boolean'

export const isAnything: Check<unknown> = (_): _ is unknown => true

/** Accepts a response without a body. */
export const isNothing: Check<undefined> = (value) => value === undefined

/** Accepts an object whose members are strings. */
export const isStringMap: Check<Record<string, string>> = (
  value,
): value is Record<string, string> =>
  typeof value === 'object' && value !== null && Object.values(value).every(isString)

/** Accepts a list of values that `check` accepts. */
export const isListOf =
  <T>(check: Check<T>): Check<T[]> =>
  (value): value is T[] =>
    Array.isArray(value) && value.every(check)

/** Accepts a member that may be missing. */
export const isOptional =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value): value is T | undefined =>
    value === undefined || check(value)

/** Accepts a value that passes one of two checks. */
export const isEither =
  <A, B>(first: Check<A>, second: Check<B>): Check<A | B> =>
  (value): value is A | B =>
    first(value) || second(value)

/** Accepts an object with these members. It may have others. */
export const isObject =
  <T extends object>(members: { readonly [Name in keyof T]-?: Check<T[Name]> }): Check<T> =>
  (value): value is T =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries<Check<unknown>>(members).every(([name, check]) =>
      check(Reflect.get(value, name)),
    )

/** Returns the members with these names, which all have the same check. */
export const each = <T, Name extends string>(
  check: Check<T>,
  ...names: Name[]
): Record<Name, Check<T>> =>
  Object.fromEntries(names.map((name) => [name, check])) as Record<Name, Check<T>>

/** The type that a check accepts. */
export type Checked<C> = C extends Check<infer T> ? T : never

/** Accepts a value that may be null. */
export const isNullOr = <T>(check: Check<T>): Check<T | null> =>
  isEither(check, (value) => value === null)
