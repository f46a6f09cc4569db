import { CORE, type Parts } from './app.ts'
import type { Issue } from './errors/api-error.ts'
import type { Seams } from './http/app-env.ts'
import { compared, meet, takes } from './http/new-app.ts'
import type { Plugin, Setup } from './plugin.ts'

/** Returns the plugins and those that are options of others, each once. */
export function listPlugins<B>(plugins: readonly Plugin<B>[]): readonly Plugin<B>[] {
  const all = new Set([plugins].flat())
  for (const plugin of all) for (const given of [plugin?.plugins ?? []].flat()) all.add(given)
  return [...all]
}

/** A plugin that has what it needs. */
export interface Joined<in B = unknown> extends Parts {
  readonly setup: (setup: Setup<B>) => Partial<Seams>
}

interface JoinedPlugins<B> {
  readonly plugins: readonly Joined<B>[]
  readonly issues: Issue[]
}

/**
 * Gives each plugin those that it needs. Returns issues instead of plugins for mistakes: not a plugin, one
 * that is missing, a path that `newApp` can't match, a shared name or path.
 */
export function joinPlugins<B>(given: readonly Plugin<B>[]): JoinedPlugins<B> {
  const failed = (messages: readonly string[]): JoinedPlugins<B> => ({
    plugins: [],
    issues: messages.map((message) => ({ path: 'plugins', message })),
  })
  const listed = listPlugins(given)
  if (!listed.every(isPlugin)) return failed([NO_PLUGIN])
  const named = new Map(listed.map((plugin) => [plugin.name, plugin]))
  const missing = listed.flatMap(({ name, needs = [] }) =>
    needs
      .filter((need) => !named.has(need))
      .map((need) => `must have ${need}(), which ${name}() needs. Add the line "${need}(),"`),
  )
  if (missing.length > 0) return failed(missing)
  const plugins = listed.map((plugin): Joined<B> => {
    const { needs = [], open, api, setup } = plugin
    // The plugin's own type says what each name is.
    const needed = Object.fromEntries(needs.map((need) => [need, named.get(need)])) as never
    const made = (routes: Plugin['api']) => (typeof routes === 'function' ? routes(needed) : routes)
    return {
      ...plugin,
      open: made(open),
      api: made(api),
      setup: (own) => setup?.(own, needed) ?? {},
    }
  })
  if (!plugins.every(hasRoutes)) return failed([NO_PLUGIN])
  const issues = pathIssues([CORE, ...plugins])
  return issues.length > 0 ? failed(issues) : { plugins, issues: [] }
}

const NO_PLUGIN = 'must contain only plugins, such as files()'

const isPlugin = (one: Plugin<never> | undefined): boolean =>
  typeof one === 'object' && typeof one?.name === 'string' && Array.isArray(one.needs ?? [])

const hasRoutes = ({ open, api }: Parts): boolean =>
  [open, api].every((app) => app === undefined || Array.isArray(app?.routes))

/** Returns messages about a path that `newApp` can't match, and a shared name or path. */
function pathIssues(plugins: readonly Parts[]): string[] {
  const odd = plugins.flatMap(routesOf).find(({ path }) => /[?{}]|\*.|[^/]\*/.test(path))
  if (odd) return [`must not have this kind of path: ${odd.path}`]
  const all = plugins.map((part) => ({ part, routes: routesOf(part).map(compared) }))
  return all.flatMap(({ part, routes }, i) =>
    all.slice(i + 1).flatMap((two) => {
      if (part.name === two.part.name) return `must have only one line "${part.name}(),"`
      // Their order would matter.
      const shared = routes.find((a) =>
        two.routes.some((b) => meet(a, b) || (part === CORE && takes(b, a))),
      )
      return shared ? `must not share ${shared.path}: ${part.name}, ${two.part.name}` : []
    }),
  )
}

/** Returns the routes of a plugin, also those of its API below a token. */
const routesOf = ({ open, api }: Parts) => [
  ...(open?.routes ?? []),
  ...(api?.routes ?? []),
  ...(api?.routes ?? []).map((route) => ({ ...route, path: `/u/:token${route.path}` })),
]
