import { HonoBase } from 'hono/hono-base'
import { TrieRouter } from 'hono/router/trie-router'
import type { AppEnv } from './app-env.ts'

/**
 * An empty Hono app on the one router that takes a key with slashes in the middle of a route. It
 * matches the path as it is written; only parameters are decoded, once.
 */
export const newApp = () =>
  new HonoBase<AppEnv>({ router: new TrieRouter(), getPath: ({ url }) => rawPath(url) })

function rawPath(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3)
  const end = url.indexOf('?', start)
  return end === -1 ? url.slice(start) : url.slice(start, end)
}
