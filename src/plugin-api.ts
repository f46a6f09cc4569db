// biome-ignore-start lint/performance/noBarrelFile: the entry of the package
/*
 * What a plugin of your own needs: docs/recipes/plugin.md. Its routes are those of a Hono app, and
 * `c.get('principal')` is the caller.
 */

/** Throw if the principal lacks a scope, or the key or the prefix is outside the principal's own. */
export { requireKey, requirePrefix, requireScope } from './access/principal.ts'
export type { DownloadUrl } from './core/download-url.ts'
/** Checks what `GET /files/:key/url` checks, and returns the same signed GET URL. */
export { type CallerDownload, signDownload } from './core/download-urls.ts'
/** Ends a request with one of the API's error codes. */
export { ApiError } from './errors/api-error.ts'
/** Returns the settings in an open route. Throws `misconfigured`. */
export { configure } from './http/admit.ts'
export type { AppContext } from './http/app-env.ts'
/** Keeps what `setup` has read: `keep(setup, value)` there, `of(c.env.instance)` in a route. */
export { type Instance, Kept, type ScheduledEvent, type Seams } from './http/app-env.ts'
export type { Change, Check, Reserve } from './http/host.ts'
/** Creates the app for a plugin's routes. Its parameter `:key` may have slashes. */
export { newApp } from './http/new-app.ts'
/** Answers with JSON and the API's headers. */
export { json } from './http/responses.ts'
/** Return the checked key of the path, body and query. The schemas are from `zod/mini`. */
export { keyParam, validateJson, validateQuery } from './http/validate.ts'
export { type ObjectKey, parseObjectKey } from './keys/object-key.ts'
export type { Option, Plugin, Setup } from './plugin.ts'
/** Rules for `setup.read`: a boolean, one of some texts, a text, a whole number in a range. */
export { flag, oneOf, type Rule, text, whole } from './settings/rules.ts'
// biome-ignore-end lint/performance/noBarrelFile: the entry of the package
