import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * Runs npm with `args` in `cwd`. Uses the script of the npm that runs this process, since on
 * Windows `npm` is a batch file that only a shell can start. Resolves with the output. Rejects if
 * npm fails.
 */
export async function npm(args: readonly string[], cwd: string): Promise<string> {
  const script = process.env.npm_execpath
  const { stdout } = script?.endsWith('npm-cli.js')
    ? await run(process.execPath, [script, ...args], { cwd })
    : await run('npm', args, { cwd, shell: process.platform === 'win32' })
  return stdout
}
