import { lstatSync, statSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { shellWord } from '../../cli/shell-word.ts'
import { type Answers, UsageError } from './answers.ts'
import { PATHS, SECRETS_FILE, secretNames } from './files.ts'

/** Tells whether there is a file, a folder or a link, even one that leads nowhere. */
export function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return false // nothing is below a file
    throw error
  }
}

/** Returns why no project can be written to `folder`, or null. Nothing is ever overwritten. */
export function folderError(folder: string): string | null {
  try {
    if (isThere(folder) && !statSync(folder).isDirectory()) return 'is a file'
    const existing = PATHS.filter((path) => isThere(join(folder, path)))
    return existing.length === 0
      ? null
      : `already has ${existing.join(', ')}. Choose another one, or move what is there`
  } catch (error) {
    return `can't be read: ${systemCode(error)}`
  }
}

/** Returns the code of a system error, such as `EACCES`. Throws any other error. */
function systemCode(error: unknown): string {
  if (error instanceof Error && 'code' in error) return String(error.code)
  throw error
}

/** Writes the files. Throws UsageError if that fails, and then leaves none behind. */
export async function writeNew(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  const written: string[] = []
  try {
    for (const [path, text] of files) {
      const file = join(folder, path)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, text, { flag: 'wx', ...(path === SECRETS_FILE && { mode: 0o600 }) })
      written.push(file)
    }
  } catch (error) {
    for (const file of written) await rm(file)
    throw new UsageError(`${folder} can't be written: ${systemCode(error)}.`)
  }
}

interface Commands {
  readonly install: readonly string[]
  /** Adds packages to the project. */
  readonly add: string
  /** Runs a program of the project. */
  readonly exec: string
}

/** The commands of the package manager that runs this, which names itself first in this variable. */
export function commands(agent = process.env.npm_config_user_agent): Commands {
  const [name] = (agent ?? '').split('/')
  // pnpm runs no install scripts before that, such as the one of the package `node`.
  if (name === 'pnpm')
    return {
      install: ['pnpm install', 'pnpm approve-builds --all'],
      add: 'pnpm add',
      exec: 'pnpm exec',
    }
  if (name === 'yarn') return { install: ['yarn install'], add: 'yarn add', exec: 'yarn' }
  if (name === 'bun') return { install: ['bun install'], add: 'bun add', exec: 'bunx' }
  return { install: ['npm install'], add: 'npm install', exec: 'npx' }
}

/** Returns what was written, and what to do next. */
export function summary(
  answers: Answers,
  { isInstalled = false }: { isInstalled?: boolean } = {},
): string {
  const { folder, bucket } = answers
  const { install, exec } = commands()
  const steps = [
    ...(bucket === undefined
      ? ['Name your bucket in wrangler.toml: the file says where the tables of providers are.']
      : []),
    `Write the bucket's access keys into .dev.vars: ${secretNames(answers).join(', ')}`,
    `${exec} wrangler login`,
    `${exec} edge-presigner deploy`,
  ]
  const first = [
    ...(folder === '.' ? [] : [`cd ${shellWord(folder)}`]),
    ...(isInstalled ? [] : install),
    `${exec} edge-presigner dev`,
  ]
  return `Created in ${folder}: ${PATHS.join(', ')}

Try it on this machine, without an account:

${first.map((line) => `  ${line}`).join('\n')}

Then put it on Cloudflare:

${steps.map((step, index) => `  ${index + 1}. ${step}`).join('\n')}`
}
