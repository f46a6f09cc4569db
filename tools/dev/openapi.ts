/**
 * `npm run openapi`: writes docs/openapi.json, the API for programs, from the routes and schemas of
 * src/ and the texts in tools/dev/openapi/. With `--check` it writes nothing, and fails if the file is
 * stale.
 */
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openApiDocument } from './openapi/document.ts'
import { readSources } from './openapi/sources.ts'

const ROOT = join(import.meta.dirname, '../..')
const FILE = join(ROOT, 'docs', 'openapi.json')
const BIOME = join(ROOT, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')

// Node has no such module. The routes are only read here, not called.
const WORKERS_MODULE = 'export const exports = {}; export class WorkerEntrypoint {}'
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'cloudflare:workers'
      ? { url: `data:text/javascript,${WORKERS_MODULE}`, shortCircuit: true }
      : next(specifier, context),
})

/** Formats `value` as the linter requires for JSON files. */
const formatted = (value: object): string =>
  execFileSync(process.execPath, [BIOME, 'format', `--stdin-file-path=${FILE}`], {
    cwd: ROOT,
    input: JSON.stringify(value, null, 2),
    encoding: 'utf8',
  })

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const text = formatted(openApiDocument(await readSources()))
if (!values.check) {
  await writeFile(FILE, text)
} else if (text !== (await readFile(FILE, 'utf8').catch(() => ''))) {
  console.error('docs/openapi.json is stale: run "npm run openapi".')
  process.exitCode = 1
}
