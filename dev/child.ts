import { type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'

const GRACE_MILLISECONDS = 8000
const isWindows = process.platform === 'win32'

/**
 * A program that this process started, in a process group of its own: a Ctrl-C in the terminal
 * doesn't reach it. Windows has no such groups, and a new one would open a window: there, what it
 * started is found by its parents.
 */
export interface Child {
  readonly pid: number
  /** Its standard output and standard error, as far as they are piped. */
  readonly streams: readonly Readable[]
  /** Its exit code, 1 where a signal ended it. */
  readonly exited: Promise<number>
  /** Asks it to end, and after eight seconds makes it; what it started ends too. */
  close(): Promise<void>
}

/** Starts `command`. Rejects where there is no such program. */
export async function startChild(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Child> {
  const child = spawn(command, args, { ...options, detached: !isWindows, windowsHide: true })
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code) => resolve(code ?? 1))
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`${command} did not start.`)

  const killGroup = () => {
    if (!isWindows) signal(-pid, 'SIGKILL')
    else spawnSync('taskkill', ['/pid', String(pid), '/T', '/F'], { windowsHide: true })
  }
  process.once('exit', killGroup) // also where this process ends by an error
  return {
    pid,
    streams: [child.stdout, child.stderr].filter((stream) => stream !== null),
    exited,
    async close() {
      if (child.exitCode === null && child.signalCode === null) {
        // Windows has no SIGTERM, and finds what a process has started only while it runs.
        if (isWindows) killGroup()
        else signal(pid, 'SIGTERM')
      }
      const patience = new AbortController()
      await Promise.race([
        exited,
        delay(GRACE_MILLISECONDS, undefined, { signal: patience.signal }).catch(() => undefined),
      ])
      patience.abort()
      killGroup()
      process.off('exit', killGroup)
      await exited
    },
  }
}

/**
 * Sends `name` to a process, or a group where `pid` is negative; one that has ended already is
 * fine.
 */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
