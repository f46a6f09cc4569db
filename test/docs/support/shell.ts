import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * Runs `script` in a POSIX shell that stops at the first error, in an empty folder, and resolves
 * with its output. Rejects when it fails.
 */
export async function runShell(script: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  try {
    const options = { cwd, env: { ...process.env, ...env } }
    return (await run('sh', ['-eu', '-c', script], options)).stdout
  } finally {
    await rm(cwd, { recursive: true })
  }
}

/**
 * Returns whether to skip tests that need curl: when it isn't installed, but never under CI. Prints
 * a message.
 */
export async function withoutCurl(): Promise<boolean> {
  if (process.env.CI === 'true') return false
  try {
    await run('curl', ['--version'])
    return false
  } catch {
    console.warn('LEFT OUT: the examples with curl, as curl is not installed.')
    return true
  }
}
