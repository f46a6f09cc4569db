import { HonoBase } from 'hono/hono-base'
import { TrieRouter } from 'hono/router/trie-router'
import type { AppEnv } from './app-env.ts'

/** An empty Hono app on the one router that takes a key with slashes in the middle of a route. */
export const newApp = () => new HonoBase<AppEnv>({ router: new TrieRouter() })
