import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

/**
 * Writes `wrangler.toml` with its commented blocks for queues switched on into `directory`, and
 * returns the path.
 */
export async function configWithQueues(directory: string): Promise<string> {
  const text = await readFile(join(ROOT, 'wrangler.toml'), 'utf8')
  const commented = /^# \[\[queues\.[\s\S]*?(?=\n\n)/gm
  if (!commented.test(text)) throw new Error('wrangler.toml has no block for queues.')
  const absolute = text
    .replace(commented, (block) => block.replace(/^# ?/gm, ''))
    .replace(/^main = "/m, `main = "${ROOT}/`)
    .replace(/^directory = "/m, `directory = "${ROOT}/`)
    .replace(/^watch_dir = .*$/m, `cwd = ${JSON.stringify(ROOT)}`)
  const path = join(directory, 'wrangler.toml')
  await writeFile(path, absolute)
  return path
}
