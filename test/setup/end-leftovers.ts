import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'

/** Names the run in the environment of each process that it starts, directly or not. */
export const RUN_VARIABLE = 'EDGE_PRESIGNER_TEST_RUN'

/**
 * Starts a process that waits for this one to end. If it ends without cleaning up, as after SIGKILL, the
 * new process kills everything that still has `run` in its environment: browsers, S3 servers,
 * workerd, and `npm run dev`. Only on Linux, which shows the environment of a process in /proc. End
 * it with `kill()`.
 */
export function startWatchman(run: string): ChildProcess | null {
  if (process.platform !== 'linux') return null
  const { [RUN_VARIABLE]: _, ...env } = process.env
  const watchman = spawn(process.execPath, [import.meta.filename, run], {
    env,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watchman.unref()
  return watchman
}

/** Returns the processes that have `run` in their environment. */
async function processesOf(run: string): Promise<readonly number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    // A process may end while the list is read.
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '')
    if (environment.split('\0').includes(`${RUN_VARIABLE}=${run}`)) found.push(Number(name))
  }
  return found
}

/** Kills processes until none is left: one that is about to start another may escape once. */
async function endLeftovers(run: string): Promise<void> {
  for (;;) {
    const left = await processesOf(run)
    if (left.length === 0) return
    for (const id of left)
      try {
        process.kill(id, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

if (import.meta.main) {
  const [run = ''] = process.argv.slice(2)
  process.stdin.resume().once('end', () => endLeftovers(run))
}
