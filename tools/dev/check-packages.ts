import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { npm } from './npm.ts'
import { installOwnPackages } from './own-packages.ts'

const ROOT = join(import.meta.dirname, '../..')
const TOOLS = join(import.meta.dirname, 'package-check')

/** Packs all packages, and checks them with publint and "Are the types wrong?". */
async function checkPackages(): Promise<void> {
  await installOwnPackages(TOOLS)
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  try {
    for (const folder of ['.', ...manifest.workspaces])
      await npm(['pack', '--pack-destination', directory], join(ROOT, folder))
    for (const name of await readdir(directory)) {
      const tarball = join(directory, name)
      await tool('publint', '--strict', tarball)
      await tool('attw', '--profile', 'esm-only', tarball)
    }
  } finally {
    await rm(directory, { recursive: true })
  }
}

async function tool(name: string, ...args: readonly string[]): Promise<void> {
  try {
    await npm(['exec', '--no', '--', name, ...args], TOOLS)
  } catch (cause) {
    throw new Error(`${name}: ${Reflect.get(Object(cause), 'stdout')}`, { cause })
  }
}

await checkPackages()
