import * as z from 'zod/mini'
import rows from './changed-settings.json' with { type: 'json' }

/**
 * A setting that a release has renamed or removed. A path has the form `JWT.issuer`. A star stands
 * for any one name: `BUCKETS.*.region`.
 */
const changedSetting = z.strictObject({
  /** The first version without the old setting. */
  version: z.string(),
  was: z.string(),
  /** The new path, with the same stars, or null if the setting has been removed. */
  now: z.nullable(z.string()),
  /** A sentence that says what to do, if it is not just to rename or remove the setting. */
  advice: z.optional(z.string()),
})

export type ChangedSetting = z.infer<typeof changedSetting>

/** The settings that have changed since the first release. Add a row with each such change. */
export const CHANGED_SETTINGS: readonly ChangedSetting[] = z.array(changedSetting).parse(rows)

/** A setting that no longer exists, as a project has it. */
export interface OldSetting extends Pick<ChangedSetting, 'version' | 'advice'> {
  /** Its path: `BUCKETS.files.region`. */
  readonly path: string
  readonly newPath: string | null
}

/** Returns the changed settings that `env` still contains. */
export const changedSettingsIn = (
  env: Readonly<Record<string, unknown>>,
  changes: readonly ChangedSetting[] = CHANGED_SETTINGS,
): OldSetting[] =>
  changes.flatMap(({ was, now, ...change }) =>
    pathsIn(env, was.split('.')).map((names) => ({
      ...change,
      path: names.join('.'),
      newPath: now === null ? null : withNames(now, was, names),
    })),
  )

/** Returns the paths in `value` that match the names of a pattern. */
function pathsIn(value: unknown, [first, ...rest]: readonly string[]): string[][] {
  if (first === undefined) return [[]]
  const table = z.safeParse(z.record(z.string(), z.unknown()), parsed(value)).data ?? {}
  return Object.entries(table)
    .filter(([name, member]) => (first === '*' || name === first) && member !== '')
    .flatMap(([name, member]) => pathsIn(member, rest).map((path) => [name, ...path]))
}

/** Returns a table or list, which may be JSON text in the settings. A list has numbers as names. */
function parsed(value: unknown): unknown {
  try {
    const table: unknown = typeof value === 'string' ? JSON.parse(value) : value
    return Array.isArray(table) ? { ...table } : table
  } catch {
    return undefined // `settings.valid` reports it
  }
}

/** Replaces the stars of `now` by the names that the stars of `was` stand for. */
function withNames(now: string, was: string, names: readonly string[]): string {
  const starred = was.split('.').flatMap((name, i) => (name === '*' ? [names[i] ?? ''] : []))
  return now
    .split('.')
    .map((name) => (name === '*' ? (starred.shift() ?? name) : name))
    .join('.')
}
