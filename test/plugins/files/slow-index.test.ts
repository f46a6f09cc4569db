import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { captureLog } from '../../support/capture-log.ts'
import { testDatabase } from '../../support/d1.ts'
import { putObject } from '../../support/links.ts'
import { baseVariables, testWorker } from '../../support/worker.ts'

/** Never answers, and moves the clock ten seconds ahead. */
function hang(): Promise<never> {
  queueMicrotask(() => vi.advanceTimersByTime(10_000))
  return new Promise(() => {})
}

const workerOn = (changes: Partial<KVNamespace>) =>
  testWorker({ ...baseVariables(), FILE_INDEX: { ...kv, ...changes } })

/** The real namespace, method by method. */
const kv = {
  getWithMetadata: (name: string) => env.FILE_INDEX.getWithMetadata(name),
  put: (name: string, value: string, options: object) => env.FILE_INDEX.put(name, value, options),
  delete: (name: string) => env.FILE_INDEX.delete(name),
  list: (options: object) => env.FILE_INDEX.list(options),
} as unknown as KVNamespace

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

it('reports a half-done delete when KV hangs, logs it, and completes it when it is repeated', async () => {
  const key = await putObject('a.txt', 'hello', 'text/plain')
  const path = `/files/${encodeURIComponent(key)}`
  expect((await workerOn({}).post('/files', { key, name: 'a.txt' })).status).toBe(201)

  const lines = captureLog()
  const half = await workerOn({ delete: hang }).fetch(path, { method: 'DELETE' })
  expect(half.status).toBe(503)
  expect(await half.json()).toMatchObject({ code: 'unavailable', reason: 'index' })
  const line = lines.find((text) => text.includes('"DELETE"'))
  expect(JSON.parse(line ?? '')).toMatchObject({
    status: 503,
    code: 'unavailable',
    reason: expect.stringMatching(/^index: .*did not respond within 10 seconds/),
  })
  expect((await workerOn({}).fetch(path)).status).toBe(200)

  expect((await workerOn({}).fetch(path, { method: 'DELETE' })).status).toBe(204)
  expect((await workerOn({}).fetch(path)).status).toBe(404)
})

it.each([
  ['GET /files', { list: hang }, '/files', 'GET'],
  ['GET /files/:key', { getWithMetadata: hang }, '/files/a.txt', 'GET'],
])('answers %s with unavailable when KV hangs', async (_, changes, path, method) => {
  captureLog()
  const response = await workerOn(changes as Partial<KVNamespace>).fetch(path, { method })
  expect(response.status).toBe(503)
  expect(await response.json()).toMatchObject({ code: 'unavailable', reason: 'index' })
})

it('says that a hanging D1 has recorded nothing, and records when it is repeated', async () => {
  const key = await putObject('a.txt', 'hello', 'text/plain')
  let hangs = true
  const FILES_DB = {
    prepare: (sql: string) => testDatabase.prepare(sql),
    batch: (statements: D1PreparedStatement[]) => (hangs ? hang() : testDatabase.batch(statements)),
  }
  const worker = testWorker({ ...baseVariables(), FILE_INDEX: undefined, FILES_DB })
  captureLog()
  for (const [path, method] of [
    ['/files', 'GET'],
    ['/files/a.txt', 'GET'],
    ['/files', 'POST'],
  ] as const) {
    const body = method === 'POST' ? { key, name: 'a.txt' } : undefined
    const response = await (body ? worker.post(path, body) : worker.fetch(path))
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({ code: 'unavailable', reason: 'index' })
  }
  hangs = false
  expect((await worker.post('/files', { key, name: 'a.txt' })).status).toBe(201)
  const listed = (await (await worker.fetch('/files')).json()) as { files: unknown[] }
  expect(listed.files).toMatchObject([{ key }])
})
