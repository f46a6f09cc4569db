/**
 * `npm run changeset` runs changesets for all packages. The program is in tools/dev/release, with its
 * own lock file. It reads the packages from `workspaces`, and includes the root package only if the
 * list has ".". With "." in the list, npm links the root into itself, so "." is in the list only
 * while the command runs.
 */
import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installOwnPackages } from './own-packages.ts'

const FOLDER = join(import.meta.dirname, 'release')
const PROGRAM = join(FOLDER, 'node_modules/@changesets/cli/bin.js')
const MANIFEST = 'package.json'
const OTHERS = '"workspaces": [\n    "client",\n'
const ALL = '"workspaces": [\n    ".",\n    "client",\n'

/** Replaces a part of package.json. Throws if the part is missing. */
async function replace(from: string, to: string): Promise<void> {
  const manifest = await readFile(MANIFEST, 'utf8')
  if (!manifest.includes(from)) throw new Error(`package.json lacks ${from.trim()}`)
  await writeFile(MANIFEST, manifest.replace(from, to))
}

await installOwnPackages(FOLDER)
process.on('SIGINT', () => {}) // The command gets the signal too. This process must restore package.json first.
await replace(OTHERS, ALL)
try {
  const child = spawn(process.execPath, [PROGRAM, ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
} finally {
  await replace(ALL, OTHERS)
}
