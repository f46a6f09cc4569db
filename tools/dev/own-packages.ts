import { readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import * as z from 'zod/mini'
import { npm } from './npm.ts'

const ROOT = join(import.meta.dirname, '../..')

const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.optional(z.string()), optional: z.optional(z.boolean()) }),
  ),
})
const installedPackage = z.object({ version: z.string() })

const installs = new Map<string, Promise<void>>()

/**
 * Installs the packages of a folder that has its own lock file, unless they are all installed. If
 * that fails, throws an Error that names the command to run. Calls of one process wait for each other.
 * Test files run in several processes: they call the shared `ownPackages`.
 */
export function installOwnPackages(folder: string): Promise<void> {
  const before = installs.get(folder) ?? Promise.resolve()
  const installed = before.catch(() => undefined).then(() => installMissing(folder))
  installs.set(folder, installed)
  return installed
}

async function installMissing(folder: string): Promise<void> {
  const { packages } = lockFile.parse(await readJson(join(folder, 'package-lock.json')))
  const isInstalled = async ([path, { version, optional }]: readonly [
    string,
    z.infer<typeof lockFile>['packages'][string],
  ]): Promise<boolean> => {
    if (path === '' || version === undefined) return true // the folder itself
    if (optional) return true // such as a binary for another platform
    const manifest = await readJson(join(folder, path, 'package.json'))
    return installedPackage.safeParse(manifest).data?.version === version
  }
  const installed = await Promise.all(Object.entries(packages).map(isInstalled))
  if (!installed.includes(false)) return
  const options = ['--no-audit', '--no-fund', '--prefer-offline']
  try {
    await npm(['ci', ...options], folder)
  } catch (cause) {
    const path = relative(ROOT, folder)
    throw new Error(`The packages of ${path} are missing. Run: npm --prefix ${path} ci`, { cause })
  }
}

/** Returns the JSON in a file, or null if the file is missing. */
const readJson = async (path: string): Promise<unknown> => {
  const text = await readFile(path, 'utf8').catch(() => 'null')
  return JSON.parse(text)
}
