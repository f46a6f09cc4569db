import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * Copies the configuration of a bundle, with the commented blocks of `wrangler.toml` whose name starts
 * with `table` switched on, into `directory`. Returns the path of the copy.
 */
export async function configWith(
  table: 'queues' | 'd1_databases',
  directory: string,
  bundle: string,
): Promise<string> {
  const text = await readFile(bundle, 'utf8')
  const commented = new RegExp(`^# \\[\\[${table}[\\s\\S]*?(?=\\n\\n)`, 'gm')
  if (!commented.test(text)) throw new Error(`wrangler.toml has no block for ${table}.`)
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
