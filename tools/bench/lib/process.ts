import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

/**
 * Milliseconds of one tick in /proc/PID/stat: Linux's USER_HZ is 100 on every architecture that
 * Node runs on.
 */
const TICK_MILLISECONDS = 10

/** Starts `command`. It ends with this process at the latest. */
export function start(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const child = spawn(command, args, options)
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  return child
}

/** Ends a process that `start` started. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/**
 * Runs `command` to its end. Returns its stdout and stderr. If it fails, throws an Error with that
 * text.
 */
export async function run(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<string> {
  const child = start(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
  await once(child, 'close')
  if (child.exitCode !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${text}`)
  return text
}

/** Returns the pid of a running child. */
export function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('A program did not start.')
  return pid
}

/**
 * Returns the milliseconds of CPU (user and system) of all threads of a process (proc(5),
 * `/proc/PID/stat`).
 */
export function cpuMilliseconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [utime = 0, stime = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number)
  return (utime + stime) * TICK_MILLISECONDS
}

/** Returns the resident memory of a process in MiB (proc(5), `VmRSS`). */
export function residentMebibytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024
}

/**
 * Returns the highest resident memory of a process so far in MiB (proc(5), `VmHWM`), or 0 if it has
 * ended.
 */
export function peakMebibytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

/**
 * Returns the pids of the programs called `name` that this process started, directly or through a
 * library.
 */
export const childrenNamed = (name: string): number[] =>
  readdirSync(`/proc/${process.pid}/task`)
    .flatMap((task) => readChildren(task))
    .filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name)

const readChildren = (task: string): number[] =>
  readFileSync(`/proc/${process.pid}/task/${task}/children`, 'utf8')
    .split(' ')
    .filter((pid) => pid !== '')
    .map(Number)
