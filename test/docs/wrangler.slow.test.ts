import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { ROOT, wranglerCommands } from './support/markdown.ts'

const run = promisify(execFile)

/** Runs the installed wrangler, which takes more than a second to start. */
async function wrangler(...args: readonly string[]): Promise<string> {
  const program = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')
  const env = { ...process.env, WRANGLER_SEND_METRICS: 'false' }
  return (await run(process.execPath, [program, ...args], { cwd: ROOT, env })).stdout
}

it.each(wranglerCommands('docs/import-and-repair.md'))(
  'docs/import-and-repair.md names only options that wrangler has: %s',
  async (command) => {
    const words = command.trim().split(/\s+/)
    const options = words.flatMap((word) => /^--[a-z-]+/.exec(word)?.[0] ?? [])
    const names = words.slice(
      0,
      words.findIndex((word) => /^(?:edge|acme)-/.test(word)),
    )
    const help = await wrangler(...names, '--help')
    for (const option of options) expect(help).toContain(option)
    for (const type of command.match(/object-\w+/g) ?? []) expect(help).toContain(`"${type}"`)
  },
)
