import { env } from 'cloudflare:workers'

/** A real D1 database. It is emptied after each file. */
export const testDatabase: D1Database = Reflect.get(env, 'TEST_DB')
