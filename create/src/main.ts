#!/usr/bin/env node
import { createInterface } from 'node:readline'
import { type Ask, readAnswers, readFlags, USAGE, UsageError } from './answers.ts'
import { readApp, writeApp } from './app.ts'
import { projectFiles } from './files.ts'
import { folderError, summary, writeNew } from './project.ts'

const NEEDED_NODE = 20
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
    const { app, answers } = await withPrompt(flags.yes === true, async (ask) => {
      const app = await readApp(flags, ask)
      return app
        ? { app, answers: null }
        : { app: null, answers: await readAnswers(flags, ask, folderError) }
    })
    if (app) console.log(await writeApp(app))
    else {
      await writeNew(answers.folder, projectFiles(answers))
      console.log(summary(answers))
    }
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

process.exitCode = await main(process.argv.slice(2))
