import { fork } from 'node:child_process'
import { once } from 'node:events'
import { bundle, compatibilityDate } from './build.ts'
import {
  ACCESS_KEY_ID,
  API_KEY_SHA256,
  RATE_LIMITER,
  RATE_LIMITER_BINDING,
  SECRET_ACCESS_KEY,
} from './presigner.ts'
import { pidOf, stop } from './process.ts'
import type { RunningServer, WorkerdOptions } from './workerd.ts'

/** The configuration of every peer, in the form of its platform. */
const SETTINGS = { ACCESS_KEY_ID, SECRET_ACCESS_KEY, API_KEY_SHA256 }

/** A Worker of tools/bench/peers/, for workerd. */
export async function buildPeer(
  name: 'hello' | 'bare' | 'hono' | 'better-upload' | 'core',
): Promise<WorkerdOptions> {
  const { script } = await bundle(`tools/bench/peers/${name}.ts`)
  const bindings = Object.fromEntries(
    Object.entries(SETTINGS).map(([variable, text]) => [variable, { text }]),
  )
  return {
    script,
    compatibilityDate: await compatibilityDate(),
    bindings: { ...bindings, RATE_LIMITER: RATE_LIMITER_BINDING },
    extensions: RATE_LIMITER,
  }
}

/** Starts a program that sends `{port}` to its parent when it listens. Discards its log. */
export async function startNodeServer(
  file: string,
  env: Readonly<Record<string, string>> = SETTINGS,
): Promise<RunningServer & { readonly message: Readonly<Record<string, unknown>> }> {
  const child = fork(new URL(`../${file}`, import.meta.url), {
    env: { ...process.env, NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  const [message]: { readonly port: number }[] = await once(child, 'message')
  if (message === undefined) throw new Error(`${file} did not report its port.`)
  return {
    port: message.port,
    pid: pidOf(child),
    message: { ...message },
    async close() {
      process.off('exit', kill)
      await stop(child)
    },
  }
}
