import { execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { waitUntil } from '../../cli/wait-until.ts'

const ROOT = join(import.meta.dirname, '../..')
/** Ends a wait for what never happens, a little before the test itself has to end. */
const SECONDS = 290

const run = promisify(execFile)

/**
 * An `npm` command as a terminal runs it: in its own process group, which gets the signals of
 * Ctrl-C.
 */
export interface NpmProcess extends AsyncDisposable {
  /** Standard output and standard error so far. */
  output(): string
  /**
   * Waits for a match in the output. Throws when the command ends before that, or after
   * 290 seconds.
   */
  printed(pattern: RegExp): Promise<void>
  signal(name: 'SIGINT' | 'SIGTERM'): void
  /** The same for npm's own process, but not for its child processes. */
  signalNpm(name: 'SIGTERM'): void
  /**
   * Waits until npm ends, and returns its exit code or the signal that ended it. Throws after
   * 290 seconds.
   */
  end(): Promise<number | NodeJS.Signals | null>
  /** Waits until everything that npm has started ends as well. Throws after 290 seconds. */
  gone(): Promise<void>
  /** Processes that the command started and that lead their own group. */
  children(): Promise<readonly number[]>
  /** Processes that still run in the command's group. */
  groupMembers(): Promise<readonly number[]>
}

/**
 * Starts npm with `args` in the project's folder. Leaving an `await using` scope ends everything
 * that still runs.
 */
export const startNpm = (...args: readonly string[]): NpmProcess => startNpmIn(ROOT, ...args)

/** Starts npm with `args` in another folder. */
export function startNpmIn(cwd: string, ...args: readonly string[]): NpmProcess {
  const child = spawn('npm', args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const { pid } = child
  if (pid === undefined) throw new Error('npm did not start.')
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  const running = () => child.exitCode === null && child.signalCode === null
  const groupMembers = async () =>
    (await processes()).filter(({ group }) => group === pid).map(({ id }) => id)
  const gone = () =>
    waitUntil('All that npm started ends', async () => (await groupMembers()).length === 0, SECONDS)

  return {
    output: () => output,
    printed: (pattern) =>
      waitUntil(
        `npm prints ${pattern}`,
        async () => {
          if (pattern.test(output)) return true
          if (running()) return false
          throw new Error(`npm ended with code ${child.exitCode}: ${output}`)
        },
        SECONDS,
      ),
    signal: (name) => process.kill(-pid, name),
    signalNpm: (name) => process.kill(pid, name),
    async end() {
      await waitUntil('npm ends', async () => !running(), SECONDS)
      return child.exitCode ?? child.signalCode
    },
    gone,
    async children() {
      const all = await processes()
      return all
        .filter(({ parent, group, id }) => {
          const byUs = all.some((other) => other.id === parent && other.group === pid)
          return byUs && group === id
        })
        .map(({ id }) => id)
    },
    groupMembers,
    async [Symbol.asyncDispose]() {
      if (running()) process.kill(-pid, 'SIGINT')
      await gone().catch(() => process.kill(-pid, 'SIGKILL'))
    },
  }
}

interface Process {
  readonly id: number
  readonly parent: number
  readonly group: number
}

/** All processes of this machine, except zombies. */
async function processes(): Promise<readonly Process[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=,pgid=,stat='])
  return stdout
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [id = '', parent = '', group = '', state = ''] = line.trim().split(/\s+/)
      if (state.startsWith('Z')) return []
      return [{ id: Number(id), parent: Number(parent), group: Number(group) }]
    })
}
