import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/** Returns the OpenAPI document as text. Another process reads the routes, since that takes a module of Workers. */
export const printedDocument = (): string =>
  execFileSync(process.execPath, [join(import.meta.dirname, '../openapi.ts')], {
    encoding: 'utf8',
    maxBuffer: 16 * 1024 ** 2,
  })
