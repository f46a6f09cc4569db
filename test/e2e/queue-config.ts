import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * Copies the configuration of a bundle, with the commented blocks for queues of `wrangler.toml`
 * switched on, into `directory`. Returns the path of the copy.
 */
export async function configWithQueues(directory: string, bundle: string): Promise<string> {
  const text = await readFile(bundle, 'utf8')
  const commented = /^# \[\[queues\.[\s\S]*?(?=\n\n)/gm
  if (!commented.test(text)) throw new Error('wrangler.toml has no block for queues.')
  const path = join(directory, 'wrangler.toml')
  const main = JSON.stringify(join(dirname(bundle), 'worker.js'))
  await writeFile(
    path,
    text
      .replace(commented, (block) => block.replace(/^# ?/gm, ''))
      .replace('main = "worker.js"', `main = ${main}`),
  )
  return path
}
