/**
 * `npm run --silent openapi`: prints the API for programs, an OpenAPI document, from the routes and schemas of
 * src/ and the texts in tools/dev/openapi/. The Worker serves it at `/openapi.json`.
 */
import { registerHooks } from 'node:module'
import { buildDropBox } from './build-drop-box.ts'
import { openApiDocument } from './openapi/document.ts'
import { readSources } from './openapi/sources.ts'

// Node has no such module. The routes are only read here, not called.
const WORKERS_MODULE = 'export const exports = {}; export class WorkerEntrypoint {}'
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'cloudflare:workers'
      ? { url: `data:text/javascript,${WORKERS_MODULE}`, shortCircuit: true }
      : next(specifier, context),
})

await buildDropBox()
process.stdout.write(`${JSON.stringify(openApiDocument(await readSources()), null, 2)}\n`)
