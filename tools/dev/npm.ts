import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * Returns the program and arguments that run npm. On Windows, `npm` is a batch file that only a shell
 * can start, so they run the script of the npm that runs this process.
 */
function command(args: readonly string[]): readonly [program: string, args: readonly string[]] {
  const script = process.env.npm_execpath
  return script?.endsWith('npm-cli.js') ? [process.execPath, [script, ...args]] : ['npm', args]
}

const shell = process.platform === 'win32'

/** Runs npm with `args` in `cwd`. Resolves with the output. Rejects if npm fails. */
export async function npm(args: readonly string[], cwd: string): Promise<string> {
  const [program, all] = command(args)
  const { stdout } = await run(program, all, { cwd, shell: shell && program === 'npm' })
  return stdout
}

/** The same at the terminal of this process. Resolves with the exit code. */
export async function npmInTerminal(args: readonly string[], cwd: string): Promise<number> {
  const [program, all] = command(args)
  const child = spawn(program, all, { cwd, shell: shell && program === 'npm', stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  return code ?? 1
}
