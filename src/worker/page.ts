import { loadedBy, type SettingsFor } from '../settings/define.ts'
import { asksLinkHost } from '../settings/settings.ts'
import type { WorkerEnv } from './plugins.ts'

/** The files of public/. A test compares them with the built files. */
const PAGE_FILE =
  /^https?:\/\/[^/?]+\/(?:(?:index\.html|theme\.js|icon\.svg|openapi\.json|assets\/[^?]+)?(?:\?|$))/

/** An origin on which a policy can name paths. IP addresses are not allowed. */
const NAMED_ORIGIN = /^https?:\/\/(?:[\w-]+\.)*[a-z][\w-]*(?::\d+)?$/

/**
 * Returns a file of the page at `/`, or undefined for other paths and for the host that serves only
 * links.
 *
 * With `'self'` in its policy, the page could load an uploaded script through a link on this
 * origin. So the policy names the paths of the page's own scripts and styles.
 */
export const pageFile = <B extends WorkerEnv>(
  request: Request,
  env: B,
  settings: SettingsFor<B>,
): Promise<Response | undefined> | undefined =>
  PAGE_FILE.test(request.url) ? fileOf(request, env, settings) : undefined

async function fileOf<B extends WorkerEnv>(
  request: Request,
  env: B,
  settings: SettingsFor<B>,
): Promise<Response | undefined> {
  const { url } = request
  if (env.ASSETS === undefined) return undefined
  const loaded = loadedBy(settings, env)
  if (loaded.ok && asksLinkHost(loaded.settings, url)) return undefined
  const file = await env.ASSETS.fetch(request)
  if (file.status === 404) return undefined
  const policy = file.headers.get('Content-Security-Policy')
  const { origin } = new URL(url)
  if (policy === null || !NAMED_ORIGIN.test(origin)) return file
  const named = new Response(file.body, file)
  named.headers.set(
    'Content-Security-Policy',
    policy.replace(/(script|style)-src 'self'/g, `$1-src ${origin}/assets/ ${origin}/theme.js`),
  )
  return named
}
