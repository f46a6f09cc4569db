/**
 * `npm run changeset`: changesets, which lives in dev/release with its own lock file, for both
 * packages. It takes the packages from `workspaces`, and a root package counts only if it is listed
 * there. npm would link the root into itself, so "." is in the list while the command runs.
 */
import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installOwnPackages } from './own-packages.ts'

const FOLDER = join(import.meta.dirname, 'release')
const PROGRAM = join(FOLDER, 'node_modules/@changesets/cli/bin.js')
const MANIFEST = 'package.json'
const CLIENT = '"workspaces": [\n    "client"\n'
const BOTH = '"workspaces": [\n    ".",\n    "client"\n'

/** Replaces a part of package.json, which must be there. */
async function replace(from: string, to: string): Promise<void> {
  const manifest = await readFile(MANIFEST, 'utf8')
  if (!manifest.includes(from)) throw new Error(`package.json lacks ${from.trim()}`)
  await writeFile(MANIFEST, manifest.replace(from, to))
}

await installOwnPackages(FOLDER)
process.on('SIGINT', () => {}) // The command gets it too; package.json is still to be restored.
await replace(CLIENT, BOTH)
try {
  const child = spawn(process.execPath, [PROGRAM, ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
} finally {
  await replace(BOTH, CLIENT)
}
