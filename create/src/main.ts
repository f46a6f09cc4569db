#!/usr/bin/env node
import { lstatSync, statSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { shellWord } from '../../cli/shell-word.ts'
import { type Answers, type Ask, readAnswers, readFlags, USAGE, UsageError } from './answers.ts'
import { PATHS, projectFiles, SECRETS_FILE, secretNames } from './files.ts'

const NEEDED_NODE = 22
/** The exit code that shells expect after Ctrl-C. */
const CANCELED = 130

/** The user has ended the dialog. */
class Canceled extends Error {}

/** Creates the project. Resolves with the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const { node } = process.versions
  if (Number.parseInt(node, 10) < NEEDED_NODE) {
    console.error(`create-edge-presigner needs Node ${NEEDED_NODE} or newer. This is Node ${node}.`)
    return 1
  }
  try {
    const flags = readFlags(args)
    if (flags.help) {
      console.log(USAGE)
      return 0
    }
    const answers = await withPrompt(flags.yes === true, (ask) =>
      readAnswers(flags, ask, folderError),
    )
    const files = projectFiles(answers)
    await writeNew(answers.folder, files)
    console.log(summary(answers, [...files.keys()]))
    return 0
  } catch (error) {
    if (error instanceof Canceled) {
      console.error('\nCanceled. Nothing was written.')
      return CANCELED
    }
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\nAll options: npm create edge-presigner@latest -- --help`)
    return 1
  }
}

/** Returns why no project can be written to `folder`, or null. Nothing is ever overwritten. */
function folderError(folder: string): string | null {
  const isThere = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined
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

/** Calls `work` with a prompt, or with null if nobody can answer. Throws Canceled. */
async function withPrompt<T>(isSilent: boolean, work: (ask: Ask | null) => Promise<T>): Promise<T> {
  if (isSilent || !process.stdin.isTTY || !process.stdout.isTTY) return work(null)
  const reader = createInterface({ input: process.stdin, output: process.stdout })
  // Keeps lines that arrive before their question, as from a paste.
  const lines = reader[Symbol.asyncIterator]()
  try {
    return await work(async (question) => {
      // As a prompt, earlier lines would be erased when it is shown again.
      const start = question.lastIndexOf('\n') + 1
      process.stdout.write(question.slice(0, start))
      reader.setPrompt(question.slice(start))
      reader.prompt()
      const line = await lines.next()
      if (line.done) throw new Canceled() // Ctrl-C or Ctrl-D
      return line.value
    })
  } finally {
    reader.close()
  }
}

/** Writes the files. Throws UsageError if that fails, and then leaves none behind. */
async function writeNew(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
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
  readonly install: string
  /** Runs a program of the project. */
  readonly exec: string
}

/** The commands of the package manager that runs this, which names itself first in this variable. */
function commands(agent = process.env.npm_config_user_agent): Commands {
  const [name] = (agent ?? '').split('/')
  if (name === 'pnpm') return { install: 'pnpm install', exec: 'pnpm exec' }
  if (name === 'yarn') return { install: 'yarn install', exec: 'yarn' }
  if (name === 'bun') return { install: 'bun install', exec: 'bunx' }
  return { install: 'npm install', exec: 'npx' }
}

/** Returns what was written, and what to do next. */
function summary(answers: Answers, paths: readonly string[]): string {
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
  const enter = folder === '.' ? [] : [`cd ${shellWord(folder)}`]
  const first = [...enter, install, `${exec} edge-presigner dev`]
  return `Created in ${folder}: ${paths.join(', ')}

Try it on this machine, without an account:

${first.map((line) => `  ${line}`).join('\n')}

Then put it on Cloudflare:

${steps.map((step, index) => `  ${index + 1}. ${step}`).join('\n')}`
}

process.exitCode = await main(process.argv.slice(2))
