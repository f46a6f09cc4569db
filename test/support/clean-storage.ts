import { reset } from 'cloudflare:test'
import { afterAll } from 'vitest'

/** Empties KV and the cache after each file, as all of them run in one workerd. */
afterAll(reset)
