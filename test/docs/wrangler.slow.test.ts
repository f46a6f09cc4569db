import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { markedBlock, ROOT, wranglerCommands } from './support/markdown.ts'

const run = promisify(execFile)

/** Runs the installed wrangler, which takes more than a second to start. */
async function wrangler(cwd: string, ...args: readonly string[]): Promise<string> {
  const program = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')
  const env = { ...process.env, WRANGLER_SEND_METRICS: 'false' }
  return (await run(process.execPath, [program, ...args], { cwd, env })).stdout
}

it.each(wranglerCommands('docs/notifications.md'))(
  'docs/notifications.md names only options that wrangler has: %s',
  async (command) => {
    const words = command.trim().split(/\s+/)
    const options = words.flatMap((word) => /^--[a-z-]+/.exec(word)?.[0] ?? [])
    const names = words.slice(
      0,
      words.findIndex((word) => /^(?:edge|acme)-/.test(word)),
    )
    const help = await wrangler(ROOT, ...names, '--help')
    for (const option of options) expect(help).toContain(option)
    for (const type of command.match(/object-\w+/g) ?? []) expect(help).toContain(`"${type}"`)
  },
)

/** A record as in `docs/kv-schema.md`. */
const METADATA = {
  name: 'My Photo.JPG',
  size: 48_213,
  mimetype: 'image/jpeg',
  etag: '"9dd4e461268c8034f5c8564e155c67a6"',
  owner: 'key:ci',
  createdAt: '2026-11-24T23:28:04.000Z',
}

it('docs/operations.md restores an exported index unchanged', async () => {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const config = 'name = "x"\ncompatibility_date = "2026-11-01"\n'
  await writeFile(join(directory, 'wrangler.toml'), config)
  const entries = [{ name: 'file:files:uploads/a.jpg', metadata: METADATA }]
  await writeFile(join(directory, 'index.json'), JSON.stringify(entries))
  await run('sh', ['-eu', '-c', markedBlock('docs/operations.md', 'restore')], { cwd: directory })
  const local = ['--namespace-id', 'index', '--local']
  await wrangler(directory, 'kv', 'bulk', 'put', 'restore.json', ...local)
  expect(JSON.parse(await wrangler(directory, 'kv', 'key', 'list', ...local))).toEqual(entries)
})
