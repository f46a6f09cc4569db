import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createTestHarness } from 'wrangler'

const ROOT = join(import.meta.dirname, '../..')

let service: Server
/** Calls of the service that the test has not answered yet. */
let calls: ServerResponse[]
let count: number
let worker: ReturnType<typeof createTestHarness>
let port: number

/** A Worker in workerd, behind a real port, and a service that answers when the test says so. */
beforeEach(async () => {
  calls = []
  count = 0
  service = createServer((_, response) => {
    count += 1
    calls.push(response)
  }).listen(0, '127.0.0.1')
  await once(service, 'listening')
  const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`
  worker = createTestHarness({
    root: ROOT,
    workers: [
      { configPath: 'test/mount/credentials-host/wrangler.toml', vars: { CREDENTIALS_URL: url } },
    ],
  })
  port = Number((await worker.listen()).url.port)
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
  const response = await fetch(`http://localhost:${port}/media/files/a.png/url`)
  await response.body?.cancel()
  return response.status
}

/** Sends the same request, and returns how to reset its connection. */
async function askRaw(): Promise<() => void> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(`GET /media/files/a.png/url HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`)
  return () => socket.resetAndDestroy()
}

// @threat credentials-crowd
it('one call serves 40 real requests, although the client that caused it resets its connection', async () => {
  const reset = await askRaw()
  await vi.waitFor(() => expect(count).toBe(1))
  const others = Promise.all(Array.from({ length: 40 }, ask))
  // A few of them are there, and wait.
  await new Promise((resolve) => setTimeout(resolve, 500))
  reset()
  await new Promise((resolve) => setTimeout(resolve, 500))
  answer()
  expect(await others).toEqual(Array(40).fill(200))
  expect(count).toBe(1)
  expect(await (await fetch(`http://localhost:${port}/environments`)).json()).toBe(1)
})

// @threat credentials-crowd
it('requests that wait end although all of their predecessors reset their connections', async () => {
  const resets = await Promise.all([askRaw(), askRaw(), askRaw()])
  await vi.waitFor(() => expect(count).toBe(1))
  for (const reset of resets) reset()
  const others = Promise.all([ask(), ask()])
  await new Promise((resolve) => setTimeout(resolve, 500))
  answer()
  expect(await others).toEqual([200, 200])
  expect(count).toBe(1)
})
