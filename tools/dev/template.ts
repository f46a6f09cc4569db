/**
 * `npm run template` writes what template/ and a new project have in common, and the Worker of the repository,
 * which is that of a new project. The deploy button copies template/. Its README, the names of its secrets and
 * their descriptions are written by hand.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { DOCS, projectFiles, WORKER } from '../../create/src/files.ts'

const ROOT = join(import.meta.dirname, '../..')
const TEMPLATE = join(ROOT, 'template')
/** The Worker of the repository. */
export const OWN_WORKER = join(ROOT, 'src/worker.ts')
const MANIFEST = 'package.json'
/** Files that also depend on what the button does. */
const BY_HAND = ['README.md', '.dev.vars']

const project = projectFiles({
  ...{ folder: 'template', name: 'my-files', provider: 'none', page: true },
  ...{ bucket: undefined, appOrigin: undefined },
})
const table = z.record(z.string(), z.unknown())

/** Returns the text of each file that a script writes, by its path below template/. */
export async function templateFiles(): Promise<ReadonlyMap<string, string>> {
  const files = new Map([...project].filter(([path]) => !BY_HAND.includes(path)))
  const manifest = table.parse(JSON.parse(files.get(MANIFEST) ?? ''))
  // Without a script `deploy`, Cloudflare runs `npx wrangler deploy`, which asks nothing.
  const { deploy: _, ...scripts } = table.parse(manifest.scripts)
  const { cloudflare } = table.parse(JSON.parse(await readFile(join(TEMPLATE, MANIFEST), 'utf8')))
  const text = JSON.stringify({ ...manifest, scripts, cloudflare }, null, 2)
  return files.set(MANIFEST, `${text}\n`)
}

/** Returns the Worker of a new project, with the modules of the repository. */
export const ownWorker = (): string =>
  WORKER.replaceAll("'edge-presigner/cloudflare'", "'./cloudflare.ts'")
    .replaceAll("'edge-presigner/worker'", "'./worker/index.ts'")
    .replaceAll(`${DOCS}/`, 'docs/')

if (import.meta.main) {
  for (const [path, text] of await templateFiles()) await writeFile(join(TEMPLATE, path), text)
  await writeFile(OWN_WORKER, ownWorker())
}
