import { HonoBase } from 'hono/hono-base'
import { TrieRouter } from 'hono/router/trie-router'
import type { AppEnv } from './app-env.ts'

/**
 * An empty Hono app on the one router that takes a key with slashes in the middle of a route. It
 * matches the path as it is written; only parameters are decoded, once.
 */
export const newApp = () =>
  new HonoBase<AppEnv>({
    router: new TrieRouter(),
    getPath: ({ url }, options) => rawPath(url, options?.env?.host.mountPath ?? ''),
  })

/**
 * TrieRouter keeps patterns and literal segments under the same names: it would find the handlers
 * of `*` twice for a segment `*`, and those of `:token` once more, without the parameter, for a
 * segment `:token`. So such segments are percent-encoded; a parameter comes out as it was sent.
 */
function rawPath(url: string, mountPath: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3) + mountPath.length
  const end = url.indexOf('?', start)
  const path = end === -1 ? url.slice(start) : url.slice(start, end)
  return path === '' ? '/' : path.replaceAll('/*', '/%2A').replaceAll('/:', '/%3A')
}
