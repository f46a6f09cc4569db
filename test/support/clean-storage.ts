import { reset } from 'cloudflare:test'
import { afterAll } from 'vitest'

/** Empties KV and the cache after each file, because all files run in one workerd. */
afterAll(reset)
