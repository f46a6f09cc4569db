import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { RUN_VARIABLE, startWatchman } from '../setup/end-leftovers.ts'

/** A server that outlives its parent, as workerd and radosgw do. */
function startServer(run: string): ChildProcess {
  const env = { ...process.env, [RUN_VARIABLE]: run }
  const server = spawn('sleep', ['300'], { env, detached: true, stdio: 'ignore' })
  return server
}

const isRunning = ({ exitCode, signalCode }: ChildProcess) =>
  exitCode === null && signalCode === null

it('ends all servers of a run that was killed, and none of another run', async () => {
  const [own, other] = [startServer('killed-run'), startServer('other-run')]
  const watchman = startWatchman('killed-run')
  expect(isRunning(own)).toBe(true)
  const ended = once(own, 'exit')
  watchman?.stdin?.destroy() // what the end of its parent does
  expect(await ended).toEqual([null, 'SIGKILL'])
  expect(isRunning(other)).toBe(true)
  other.kill()
})

it('is started by the run that this test belongs to', () => {
  expect(process.env[RUN_VARIABLE]).toMatch(/^[\da-f-]{36}$/)
})
