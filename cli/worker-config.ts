import { writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { experimental_readRawConfig } from 'wrangler'
import * as z from 'zod/mini'

const ROOT = join(import.meta.dirname, '..')
const BINDING = 'EVENTS'
const QUEUE = 'edge-presigner-jobs'

/** As in `wrangler.toml`, without the dead letter queue, which nobody reads here. */
const QUEUES = {
  producers: [{ binding: BINDING, queue: QUEUE }],
  consumers: [{ queue: QUEUE, max_batch_size: 10, max_batch_timeout: 1, max_retries: 24 }],
}

/** What changes in a configuration. Wrangler itself checks it. */
const configSchema = z.looseObject({
  assets: z.optional(z.looseObject({ directory: z.string() })),
  build: z.optional(z.looseObject({ watch_dir: z.optional(z.array(z.string())) })),
  queues: z._default(
    z.object({
      producers: z._default(z.array(z.looseObject({ binding: z.string() })), []),
      consumers: z._default(z.array(z.looseObject({ queue: z.string() })), []),
    }),
    { producers: [], consumers: [] },
  ),
})

/**
 * Writes the configuration of a Worker whose webhooks can be seen: `wrangler.toml` with the local
 * queue of the events, unless it has one, and with the entry that logs each attempt. Paths in a
 * configuration are relative to it.
 */
export async function writeConfigForWebhooks(file: string): Promise<void> {
  const { rawConfig } = experimental_readRawConfig({ config: join(ROOT, 'wrangler.toml') })
  const read = configSchema.parse(rawConfig)
  const { assets, build, queues } = read
  const hasQueue = queues.producers.some(({ binding }) => binding === BINDING)
  const from = (path: string) => relative(dirname(file), join(ROOT, path))
  const config = {
    ...read,
    main: from('cli/webhook-log.ts'),
    ...(assets && { assets: { ...assets, directory: from(assets.directory) } }),
    ...(build && { build: { ...build, cwd: ROOT, watch_dir: build.watch_dir?.map(from) } }),
    queues: hasQueue
      ? queues
      : {
          producers: [...queues.producers, ...QUEUES.producers],
          consumers: [...queues.consumers, ...QUEUES.consumers],
        },
  }
  await writeFile(file, JSON.stringify(config))
}
