import { downloadUrlRoutes } from './core/download-urls.ts'
import { healthRoutes } from './core/health.ts'
import { limitRoutes } from './core/limits.ts'
import { uploadUrlRoutes } from './core/upload-urls.ts'
import type { Issue } from './errors/api-error.ts'
import { admit } from './http/admit.ts'
import { cors } from './http/cors.ts'
import { linkHost } from './http/link-host.ts'
import { meet, newApp } from './http/new-app.ts'
import { onNotFound } from './http/responses.ts'
import type { Plugin } from './plugin.ts'

/** The core's own routes, in the form of a plugin. */
const CORE: Plugin = {
  name: 'core',
  open: healthRoutes,
  api: newApp().route('/', uploadUrlRoutes).route('/', downloadUrlRoutes).route('/', limitRoutes),
}

/** Returns the plugins and those that they were given, each once. */
export const listPlugins = (plugins: readonly Plugin[]): readonly Plugin[] => [
  ...new Set(plugins.flatMap((plugin) => [...listPlugins(plugin?.plugins ?? []), plugin])),
]

/**
 * Returns all routes of a presigner with these plugins. `/u/:token/…` is the same API, for clients
 * that can't send headers. A request to the API always ends there, even if no route matches. Without
 * that, a request to `/u/:token` would also reach the API below, which would require credentials
 * again.
 */
export function createApp(plugins: readonly Plugin[]) {
  const parts = [CORE, ...plugins]
  const api = newApp().use(admit)
  for (const { api: routes } of parts) if (routes) api.route('/', routes)
  api.all('*', onNotFound)
  const app = newApp().use(linkHost, cors)
  for (const { open } of parts) if (open) app.route('/', open)
  return app.route('/u/:token', api).route('/', api)
}

/** Returns what is wrong with a list of plugins: one is none, or two share a name or a path. */
export function pluginIssues(plugins: readonly Plugin[]): Issue[] {
  const issue = (message: string) => [{ path: 'plugins', message }]
  if (plugins.some((one) => typeof (one ?? 0) !== 'object'))
    return issue('must contain only plugins, such as files()')
  return [CORE, ...plugins].flatMap((one, i, all) =>
    all.slice(i + 1).flatMap((two) => {
      const shared = one.name === two.name ? 'a name' : sharedPath(one, two)
      return shared ? issue(`must not share ${shared}: ${one.name}, ${two.name}`) : []
    }),
  )
}

/** Returns a path for which both plugins have a handler, so that their order would matter. */
const sharedPath = (one: Plugin, two: Plugin): string | undefined =>
  routesOf(one).find((a) =>
    routesOf(two).some(
      (b) =>
        (a.method === b.method || [a.method, b.method].includes('ALL')) && meet(a.path, b.path),
    ),
  )?.path

const routesOf = ({ open, api }: Plugin) => [open, api].flatMap((app) => app?.routes ?? [])
