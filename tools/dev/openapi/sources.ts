import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as z from 'zod/mini'
import type { WhenByCode } from './error-responses.ts'
import type { RegisteredRoute, Sources } from './request.ts'

const ROOT = join(import.meta.dirname, '../../..')

const isSchema = z.custom<z.ZodMiniType<object>>((value) => value instanceof z.core.$ZodType)

const appSchema = z.object({
  routes: z.array(
    z.object({
      method: z.string(),
      path: z.string(),
      handler: z.pipe(
        z.transform((handler) => ({ ...Object(handler) })),
        z.object({ body: z.optional(isSchema), query: z.optional(isSchema) }),
      ),
    }),
  ),
})

const functionSchema = z.custom<(...given: unknown[]) => unknown>(
  (value) => typeof value === 'function',
)
const createAppSchema = z.object({ createApp: functionSchema })
const joinPluginsSchema = z.object({ joinPlugins: functionSchema })
const joinedSchema = z.object({ plugins: z.unknown() })

/** Returns the exports of a module that uses the types of Workers, which this program lacks. */
const importSource = (path: string): Promise<unknown> =>
  import(pathToFileURL(join(ROOT, path)).href)

/** Reads the routes of the Worker with all plugins. */
export async function readRoutes(): Promise<readonly RegisteredRoute[]> {
  const { createApp } = createAppSchema.parse(await importSource('src/app.ts'))
  const { joinPlugins } = joinPluginsSchema.parse(await importSource('src/join-plugins.ts'))
  const { PLUGINS } = z
    .object({ PLUGINS: z.unknown() })
    .parse(await importSource('examples/everything/src/presigner.ts'))
  return appSchema.parse(createApp(joinedSchema.parse(joinPlugins(PLUGINS)).plugins)).routes
}

/**
 * Reads the routes of the Worker, which need a module `cloudflare:workers`, the version, and the
 * table of errors.
 */
export async function readSources(): Promise<Sources> {
  const manifest: unknown = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const page = await readFile(join(ROOT, 'docs', 'troubleshooting.md'), 'utf8')
  return {
    routes: await readRoutes(),
    version: z.object({ version: z.string() }).parse(manifest).version,
    when: whenByCode(page),
  }
}

/**
 * Reads the table of errors. test/docs/troubleshooting.test.ts checks that it has a row for each code.
 */
function whenByCode(page: string): WhenByCode {
  const [, table = ''] = page.split('<!-- test: codes -->')
  const rows = table.matchAll(/^\| `(\w+)` \| (?:\d{3}|4XX) \| (.+) \| .+ \|$/gm)
  const withoutLinks = (text: string) => text.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
  return new Map([...rows].map(([, code = '', when = '']) => [code, withoutLinks(when)]))
}
