import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'

const PROGRAMS = join(import.meta.dirname, '../../cli')

/** A command that runs as a program of its own, so that it can be killed. */
export interface CommandCall {
  /** The file in `cli`. */
  readonly program: string
  readonly args: readonly string[]
  readonly folder: string
  /** The API key, or undefined for none. */
  readonly key?: string | undefined
}

/** Starts a command. */
export const startCommand = ({ program, args, folder, key = '' }: CommandCall): ChildProcess =>
  spawn(process.execPath, [join(PROGRAMS, program), ...args], {
    env: { ...process.env, EDGE_PRESIGNER_KEY: key },
    cwd: folder,
  })

/** Runs a command, which must never print its key. */
export async function runCommand(call: CommandCall) {
  const child = startCommand(call)
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new Error('No output.')
  const [output, errors, [code]] = await Promise.all([
    text(stdout),
    text(stderr),
    once(child, 'close'),
  ])
  if (call.key) expect(output + errors).not.toContain(call.key)
  return { code, output, errors }
}
