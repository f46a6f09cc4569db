import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type RunningServer, startWorkerd } from '../../tools/bench/lib/workerd.ts'

const ROOT = join(import.meta.dirname, '../..')
/** How long the other requests have to arrive. Nothing shows from outside when they have. */
const ARRIVAL_MILLISECONDS = 500

/** The bundle of the app with the function. */
let script: string
let service: Server
/** Calls of the service that the test has not answered yet. */
let calls: ServerResponse[]
let count: number
let worker: RunningServer

beforeAll(async () => {
  const outdir = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const wrangler = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')
  const config = 'test/mount/credentials-host/wrangler.toml'
  const args = ['deploy', '--dry-run', '--config', config, '--outdir', outdir]
  await promisify(execFile)(process.execPath, [wrangler, ...args], { cwd: ROOT })
  script = await readFile(join(outdir, 'worker.js'), 'utf8')
  await rm(outdir, { recursive: true })
})

/**
 * workerd itself, since the proxy of `wrangler dev` doesn't end a request whose client has gone, and a
 * service that answers when the test says so.
 */
beforeEach(async () => {
  calls = []
  count = 0
  service = createServer((_, response) => {
    count += 1
    calls.push(response)
  }).listen(0, '127.0.0.1')
  await once(service, 'listening')
  const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`
  worker = await startWorkerd({
    script,
    compatibilityDate: '2026-11-01',
    bindings: { CREDENTIALS_URL: { text: url } },
  })
})

afterEach(async () => {
  await worker.close()
  service.close()
  service.closeAllConnections()
})

/** Answers all calls that wait. */
function answer(): void {
  const expiration = new Date(Date.now() + 3_600_000).toISOString()
  const pair = { accessKeyId: 'ASIA', secretAccessKey: 's', sessionToken: 't', expiration }
  for (const call of calls.splice(0)) call.end(JSON.stringify(pair))
}

const ask = async (): Promise<number> => {
  const response = await fetch(`http://127.0.0.1:${worker.port}/media/files/a.png/url`)
  await response.body?.cancel()
  return response.status
}

/** Sends the same request, and returns how to reset its connection. */
async function askRaw(): Promise<() => void> {
  const socket = connect(worker.port, '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(`GET /media/files/a.png/url HTTP/1.1\r\nHost: 127.0.0.1:${worker.port}\r\n\r\n`)
  return () => socket.resetAndDestroy()
}

// @threat credentials-crowd
it('one call serves 40 real requests, although the client that caused it resets its connection', async () => {
  const reset = await askRaw()
  await expect.poll(() => count).toBe(1)
  const others = Promise.all(Array.from({ length: 40 }, ask))
  await wait(ARRIVAL_MILLISECONDS)
  reset()
  await wait(ARRIVAL_MILLISECONDS)
  answer()
  expect(await others).toEqual(Array(40).fill(200))
  expect(count).toBe(1)
  expect(await (await fetch(`http://127.0.0.1:${worker.port}/environments`)).json()).toBe(1)
})

// @threat credentials-crowd
it('requests that wait end although all of their predecessors reset their connections', async () => {
  const resets = await Promise.all([askRaw(), askRaw(), askRaw()])
  await expect.poll(() => count).toBe(1)
  for (const reset of resets) reset()
  const others = Promise.all([ask(), ask()])
  await wait(ARRIVAL_MILLISECONDS)
  answer()
  expect(await others).toEqual([200, 200])
  expect(count).toBe(1)
})
