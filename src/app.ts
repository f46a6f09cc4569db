import type { H, RouterRoute } from 'hono/types'
import { downloadUrlRoutes } from './core/download-urls.ts'
import { healthRoutes } from './core/health.ts'
import { limitRoutes } from './core/limits.ts'
import { uploadUrlRoutes } from './core/uploads.ts'
import { ApiError, type Issue } from './errors/api-error.ts'
import { admit } from './http/admit.ts'
import type { AppContext, Seams } from './http/app-env.ts'
import { cors } from './http/cors.ts'
import { endInTime } from './http/deadline.ts'
import { GO_ON } from './http/frame.ts'
import { linkHost } from './http/link-host.ts'
import { meet, newApp, takes } from './http/new-app.ts'
import { NO_ROUTE } from './http/responses.ts'
import type { Plugin, Routes, Setup } from './plugin.ts'

/** The parts of a plugin that don't depend on the environment. */
type Parts = Omit<Joined<never>, 'setup'>

const CORE: Parts = {
  name: 'core',
  open: healthRoutes,
  api: newApp().route('/', uploadUrlRoutes).route('/', downloadUrlRoutes).route('/', limitRoutes),
}

/** Returns the plugins and those that are options of others, each once. */
export function listPlugins<B>(plugins: readonly Plugin<B>[]): readonly Plugin<B>[] {
  const all = new Set([plugins].flat())
  for (const plugin of all) for (const given of [plugin?.plugins ?? []].flat()) all.add(given)
  return [...all]
}

/**
 * Returns all routes. `/u/:token/…` is the same API, for clients that can't send headers. A request
 * that no route matches ends there: the API below would require credentials again.
 */
export function createApp(plugins: readonly Parts[]) {
  const parts = [CORE, ...plugins]
  const api = newApp().use(admit)
  for (const part of parts) add(api, part, part.api)
  api.all('*', onMissing)
  const app = newApp().use(linkHost, cors)
  for (const part of parts) add(app, part, part.open)
  return app.route('/u/:token', api).route('/', api)
}

/**
 * Adds the routes of a plugin, which end in time, as those of the core do by themselves. Hono's own `route` would wrap each handler of an app that has an
 * `onError` or comes from another copy of Hono. A middleware would then answer instead of the route
 * behind it.
 */
function add(app: ReturnType<typeof newApp>, part: Parts, added: Routes | undefined): void {
  for (const { method, path, handler } of added?.routes ?? [])
    app.on(method, path, part === CORE ? handler : ending(handler))
}

/** Returns a handler of a plugin with the deadline of the request. */
const ending =
  (handler: H): H =>
  (c, next) => {
    const response = handler(c, next)
    return response instanceof Promise && response !== GO_ON ? endInTime(c, response) : response
  }

/** The paths of the package's plugins, to say which one is missing. The first one that matches counts. */
const PATHS: Readonly<Record<string, string>> = {
  multipart: 'multipart',
  uppy: 's3',
  tokens: 'tokens',
  links: 'links|files/(?:purge|.+/link)|[fi]',
  grants: 'grants|g',
  dropBoxes: 'drop-boxes|d',
  copies: 'files/(?:copy|move)',
  userData: 'files/delete-all|export',
  upkeep: 'upkeep',
  notifications: 'notifications',
  fileAdmin: 'objects|index',
  files: 'files|stats',
}

/** Throws `not_found`, with the plugin to add if it is one of the package's. */
function onMissing(c: AppContext): never {
  const path = c.req.path.replace(/^\/u\/[^/]+/, '')
  const [name] =
    Object.entries(PATHS).find(([, start]) => new RegExp(`^/(?:${start})(?:/|$)`).test(path)) ?? []
  const isMissing = name !== undefined && !c.env.instance.plugins.includes(name)
  throw new ApiError('not_found', isMissing ? `This route needs the plugin ${name}().` : NO_ROUTE)
}

/** A plugin that has what it needs. */
export interface Joined<in B = unknown> {
  readonly name: string
  readonly open?: Routes | undefined
  readonly api?: Routes | undefined
  readonly setup: (setup: Setup<B>) => Partial<Seams>
}

interface JoinedPlugins<B> {
  readonly plugins: readonly Joined<B>[]
  readonly issues: Issue[]
}

/**
 * Gives each plugin those that it needs. Returns issues in place of plugins for mistakes: not a plugin, one
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
      ...{ ...plugin, open: made(open), api: made(api) },
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
  return plugins.flatMap((one, i) =>
    plugins.slice(i + 1).flatMap((two) => {
      if (one.name === two.name) return `must have only one line "${one.name}(),"`
      const shared = sharedPath(one, two)
      return shared ? `must not share ${shared}: ${one.name}, ${two.name}` : []
    }),
  )
}

/** Returns a path for which both plugins have a handler, so that their order would matter. */
function sharedPath(one: Parts, two: Parts): string | undefined {
  const others = routesOf(two)
  return routesOf(one).find((a) =>
    others.some(
      (b) =>
        (a.method === b.method || [a.method, b.method].includes('ALL')) &&
        (meet(a.path, b.path) || (one === CORE && takes(b.path, a.path))),
    ),
  )?.path
}

/** Returns the routes of a plugin, also those of its API below a token. */
const routesOf = ({ open, api }: Parts): readonly Pick<RouterRoute, 'method' | 'path'>[] => [
  ...[open, api].flatMap((app) => app?.routes ?? []),
  ...(api?.routes ?? []).map(({ method, path }) => ({ method, path: `/u/:token${path}` })),
]
