import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, extname, join, relative, resolve, sep } from 'node:path'
import * as z from 'zod/mini'
import { configName, NO_CONFIG } from './config-name.ts'
import { loadWrangler } from './wrangler.ts'

const BINDING = 'EVENTS'
const QUEUE = 'edge-presigner-jobs'

/** As in `wrangler.toml`, without the dead letter queue, which nobody reads here. */
const QUEUES = {
  producers: [{ binding: BINDING, queue: QUEUE }],
  consumers: [{ queue: QUEUE, max_batch_size: 10, max_batch_timeout: 1, max_retries: 24 }],
}

/** What changes in a configuration. Wrangler itself checks it. */
const configSchema = z.looseObject({
  main: z.string(),
  tsconfig: z.optional(z.string()),
  base_dir: z.optional(z.string()),
  assets: z.optional(z.looseObject({ directory: z.string() })),
  build: z.optional(
    z.looseObject({
      cwd: z.optional(z.string()),
      watch_dir: z.optional(z.union([z.string(), z.array(z.string())])),
    }),
  ),
  queues: z._default(
    z.object({
      producers: z._default(z.array(z.looseObject({ binding: z.string() })), []),
      consumers: z._default(z.array(z.looseObject({ queue: z.string() })), []),
    }),
    { producers: [], consumers: [] },
  ),
})

/** The Worker with all plugins, in a clone. */
const ALL = 'examples/everything/wrangler.toml'

/**
 * Returns the path of the configuration in the current folder, or of the one for `all` plugins. Throws an
 * Error if there is none.
 */
export function findConfig(all = false): string {
  const name = all ? ALL : configName()
  if (name !== undefined && existsSync(name)) return resolve(name)
  throw new Error(
    all
      ? `--all: only a clone of the repository has ${ALL}. In your project, add the plugins in src/worker.ts.`
      : NO_CONFIG,
  )
}

/**
 * Writes the configuration of a Worker whose webhooks can be seen: that of the project with the local
 * queue of the events, unless it has one, and with an entry that logs each attempt. Paths in a
 * configuration are relative to it.
 */
export async function writeConfigForWebhooks(config: string, file: string): Promise<void> {
  const { experimental_readRawConfig } = await loadWrangler()
  const read = configSchema.parse(experimental_readRawConfig({ config }).rawConfig)
  const { main, tsconfig, base_dir, assets, build, queues } = read
  const hasQueue = queues.producers.some(({ binding }) => binding === BINDING)
  const root = dirname(config)
  const from = (path: string) => relative(dirname(file), resolve(root, path)).split(sep).join('/')
  const entry = await writeEntryForWebhooks(file, from(main))
  const changed = {
    ...read,
    main: relative(dirname(file), entry),
    ...(tsconfig && { tsconfig: from(tsconfig) }),
    ...(base_dir && { base_dir: from(base_dir) }),
    ...(assets && { assets: { ...assets, directory: from(assets.directory) } }),
    ...(build && {
      build: {
        ...build,
        cwd: resolve(root, build.cwd ?? ''),
        watch_dir: build.watch_dir && [build.watch_dir].flat().map(from),
      },
    }),
    queues: hasQueue
      ? queues
      : {
          producers: [...queues.producers, ...QUEUES.producers],
          consumers: [...queues.consumers, ...QUEUES.consumers],
        },
  }
  await writeFile(file, JSON.stringify(changed))
}

/** Writes an entry with the exports of `main`, and the code of webhook-log. Returns its path. */
async function writeEntryForWebhooks(file: string, main: string): Promise<string> {
  const extension = extname(import.meta.filename) // .ts in a clone, .js in the package
  const log = await readFile(join(import.meta.dirname, `webhook-log${extension}`), 'utf8')
  const path = JSON.stringify(main.startsWith('.') ? main : `./${main}`)
  const entry = file.replace(/\.json$/, extension)
  await writeFile(entry, `export * from ${path}\nexport { default } from ${path}\n${log}`)
  return entry
}
