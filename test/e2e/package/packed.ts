import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import * as z from 'zod/mini'

export const ROOT = join(import.meta.dirname, '../../..')

const run = promisify(execFile)

/** Runs a program, and shows its output if it fails. Resolves with its standard output. */
export async function exec(cwd: string, program: string, ...args: string[]): Promise<string> {
  try {
    return (await run(program, args, { cwd })).stdout
  } catch (error) {
    const { stdout, stderr } = Object(error)
    throw new Error(`${program} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error })
  }
}

/** Runs a program of the project's packages in another folder. */
export const projectBin = (cwd: string, program: string, ...args: string[]): Promise<string> =>
  exec(cwd, join(ROOT, 'node_modules/.bin', program), ...args)

/** Type-checks the project in a folder. On one thread, the compiler works a fifth less. */
export const typeCheck = (folder: string, ...options: string[]): Promise<string> =>
  projectBin(folder, 'tsc', '-p', '.', '--singleThreaded', ...options)

/** What a clone needs to build the packages. */
const SOURCES = [
  ...['package.json', 'README.md', 'LICENSE', 'tsconfig.json', 'tsconfig.build.json'],
  ...['src', 'cli', 'demo', 'drop-box', 'tools/dev', 'client', 'create', 'examples/everything'],
  'docs/troubleshooting.md',
]

/** The folders of the packages that npm publishes. */
export const PACKAGES = {
  'edge-presigner': '.',
  'edge-presigner-client': 'client',
  'create-edge-presigner': 'create',
} as const
export type PackageName = keyof typeof PACKAGES

/**
 * Packs a package into `directory` as `npm publish` does, after `change` to the copied sources. Resolves
 * with the path of the tarball. It packs a copy, because another test may build at the same time.
 */
export async function pack(
  name: PackageName,
  directory: string,
  change?: (clone: string) => Promise<void>,
): Promise<string> {
  const clone = await mkdtemp(join(directory, 'clone-'))
  const filter = (path: string) => !/[\\/](?:node_modules|dist)$/.test(path)
  for (const path of SOURCES)
    await cp(join(ROOT, path), join(clone, path), { recursive: true, filter })
  await symlink(join(ROOT, 'node_modules'), join(clone, 'node_modules'), 'junction')
  await change?.(clone)
  const args = ['pack', '--silent', '--pack-destination', directory]
  const output = await exec(join(clone, PACKAGES[name]), 'npm', ...args)
  await rm(clone, { recursive: true })
  return join(directory, output.trim().split('\n').at(-1) ?? '')
}

const rehearsal = z.object({
  size: z.number(),
  files: z.array(z.object({ path: z.string(), size: z.number() })),
})

/**
 * Rehearses `npm publish` of a tarball. Resolves with its bytes, and with its files. `--force` leaves out
 * the question to the registry whether it has the version.
 */
export async function rehearsePublish(
  name: PackageName,
  tarball: string,
): Promise<z.infer<typeof rehearsal>> {
  const options = ['--dry-run', '--json', '--force', '--access', 'public']
  const output = await exec(dirname(tarball), 'npm', 'publish', tarball, ...options)
  const printed: unknown = JSON.parse(output.slice(output.search(/^\{$/m)))
  return rehearsal.parse(Reflect.get(Object(printed), name) ?? printed)
}

/**
 * Installs the dependencies of package.json in `folder`, without its development packages, and also
 * `packages`.
 */
export const install = (folder: string, ...packages: readonly string[]): Promise<string> =>
  exec(
    folder,
    ...(['npm', 'install', '--prefer-offline', '--no-audit', '--no-fund'] as const),
    ...['--omit=dev', '--no-save', ...packages],
  )
