import type { H } from 'hono/types'
import { downloadUrlRoutes } from './core/download-urls.ts'
import { healthRoutes } from './core/health.ts'
import { limitRoutes } from './core/limits.ts'
import { uploadUrlRoutes } from './core/uploads.ts'
import { ApiError } from './errors/api-error.ts'
import { admit } from './http/admit.ts'
import type { AppContext } from './http/app-env.ts'
import { cors } from './http/cors.ts'
import { endInTime } from './http/deadline.ts'
import { GO_ON } from './http/frame.ts'
import { linkHost } from './http/link-host.ts'
import { newApp } from './http/new-app.ts'
import { NO_ROUTE } from './http/responses.ts'
import type { Routes } from './plugin.ts'

/** The routes of a plugin that has what it needs. */
export interface Parts {
  readonly name: string
  readonly open?: Routes | undefined
  readonly api?: Routes | undefined
}

export const CORE: Parts = {
  name: 'core',
  open: healthRoutes,
  api: newApp().route('/', uploadUrlRoutes).route('/', downloadUrlRoutes).route('/', limitRoutes),
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
 * Adds the routes of a plugin. They end in time, as those of the core do by themselves. Hono's own
 * `route` would wrap each handler of an app that has an `onError` or comes from another copy of Hono. A
 * middleware would then answer instead of the route behind it.
 */
function add(app: ReturnType<typeof newApp>, part: Parts, added: Routes | undefined): void {
  for (const { method, path, handler } of added?.routes ?? [])
    app.on(method, path, part === CORE ? handler : ending(handler))
}

/** Returns a handler of a plugin with the deadline of the request, and what docs/openapi.json reads of it. */
const ending = (handler: H): H =>
  Object.assign<H, H>((c, next) => {
    const response = handler(c, next)
    return response instanceof Promise && response !== GO_ON ? endInTime(c, response) : response
  }, handler)

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
