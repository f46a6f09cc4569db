import type { RouterRoute } from 'hono/types'
import { downloadUrlRoutes } from './core/download-urls.ts'
import { healthRoutes } from './core/health.ts'
import { limitRoutes } from './core/limits.ts'
import { uploadUrlRoutes } from './core/uploads.ts'
import type { Issue } from './errors/api-error.ts'
import { admit } from './http/admit.ts'
import { cors } from './http/cors.ts'
import { linkHost } from './http/link-host.ts'
import { meet, newApp } from './http/new-app.ts'
import { onNotFound } from './http/responses.ts'
import type { Plugin, Routes } from './plugin.ts'

const CORE: Plugin = {
  name: 'core',
  open: healthRoutes,
  api: newApp().route('/', uploadUrlRoutes).route('/', downloadUrlRoutes).route('/', limitRoutes),
}

/** Returns the plugins and those that they were given, each once. */
export function listPlugins<B>(plugins: readonly Plugin<B>[]): readonly Plugin<B>[] {
  const all = new Set([plugins].flat())
  for (const plugin of all) for (const given of [plugin?.plugins ?? []].flat()) all.add(given)
  return [...all]
}

/**
 * Returns all routes. `/u/:token/…` is the same API, for clients that can't send headers. A request
 * that no route matches ends there: the API below would require credentials again.
 */
export function createApp(plugins: readonly Pick<Plugin, 'open' | 'api'>[]) {
  const parts = [CORE, ...plugins]
  const api = newApp().use(admit)
  for (const part of parts) add(api, part.api)
  api.all('*', onNotFound)
  const app = newApp().use(linkHost, cors)
  for (const part of parts) add(app, part.open)
  return app.route('/u/:token', api).route('/', api)
}

/**
 * Adds the routes of a plugin. Hono's own `route` would wrap each handler of an app that has an
 * `onError` or comes from another copy of Hono. A middleware would then answer instead of the route
 * behind it.
 */
function add(app: ReturnType<typeof newApp>, added: Routes | undefined): void {
  for (const { method, path, handler } of added?.routes ?? []) app.on(method, path, handler)
}

/** Returns mistakes: not a plugin, a path that `newApp` can't match, a shared name or path. */
export function pluginIssues(plugins: readonly Plugin<never>[]): Issue[] {
  const issue = (message: string) => [{ path: 'plugins', message }]
  if (!plugins.every(isPlugin)) return issue('must contain only plugins, such as files()')
  const odd = plugins.flatMap(routesOf).find(({ path }) => /[?{}]|\*.|[^/]\*/.test(path))
  if (odd) return issue(`must not have this kind of path: ${odd.path}`)
  return [CORE, ...plugins].flatMap((one, i, all) =>
    all.slice(i + 1).flatMap((two) => {
      const shared = one.name === two.name ? 'a name' : sharedPath(one, two)
      return shared ? issue(`must not share ${shared}: ${one.name}, ${two.name}`) : []
    }),
  )
}

const isPlugin = (one: Plugin<never> | undefined): boolean =>
  typeof one === 'object' &&
  typeof one?.name === 'string' &&
  [one.open, one.api].every((app) => app === undefined || Array.isArray(app?.routes))

/** Returns a path for which both plugins have a handler, so that their order would matter. */
function sharedPath(one: Plugin<never>, two: Plugin<never>): string | undefined {
  const others = routesOf(two)
  return routesOf(one).find((a) =>
    others.some(
      (b) =>
        (a.method === b.method || [a.method, b.method].includes('ALL')) && meet(a.path, b.path),
    ),
  )?.path
}

/** Returns the routes of a plugin, also those of its API below a token. */
const routesOf = ({
  open,
  api,
}: Plugin<never>): readonly Pick<RouterRoute, 'method' | 'path'>[] => [
  ...[open, api].flatMap((app) => app?.routes ?? []),
  ...(api?.routes ?? []).map(({ method, path }) => ({ method, path: `/u/:token${path}` })),
]
