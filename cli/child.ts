import { type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'

const GRACE_MILLISECONDS = 8000
const isWindows = process.platform === 'win32'

/**
 * A program that this process started, in its own process group, so that Ctrl-C in the terminal
 * doesn't reach it. Windows has no such groups, and a new one opens a window. There, taskkill finds
 * child processes by their parent.
 */
export interface Child {
  readonly pid: number
  /** Its standard output and standard error, if they are piped. */
  readonly streams: readonly Readable[]
  /** Its exit code, or 1 if a signal ended it. */
  readonly exited: Promise<number>
  /** Asks it to end, and kills it after eight seconds. Also ends its child processes. */
  close(): Promise<void>
}

/** Starts `command`. Rejects if the program is missing. */
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
  process.once('exit', killGroup) // also if this process ends with an error
  return {
    pid,
    streams: [child.stdout, child.stderr].filter((stream) => stream !== null),
    exited,
    async close() {
      if (child.exitCode === null && child.signalCode === null) {
        // Windows has no SIGTERM, and finds the children of a process only while it runs.
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
 * Sends `name` to a process, or to a group if `pid` is negative. Does nothing if it has already
 * ended.
 */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
