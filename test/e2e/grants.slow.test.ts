import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { answers, waitUntil } from '../../cli/wait-until.ts'
import { shared } from './shared.ts'

/* A real `wrangler dev` that is killed between a use and its redirect. */

const WRANGLER = join(import.meta.dirname, '../../node_modules/wrangler/bin/wrangler.js')
const grantSchema = z.object({ id: z.string(), url: z.string(), usesLeft: z.number() })
const uploadSchema = z.object({
  ...{ key: z.string(), uploadUrl: z.string() },
  headers: z.record(z.string(), z.string()),
})

let directory: string
let s3: S3Server
/** Answers nothing: the object asks it after it has taken a use. */
let gate: Server
let held = 0
let child: ChildProcess | undefined

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'grants-'))
  const place = { port: 0, directory: join(directory, 's3') }
  s3 = await startS3rver({ ...place, corsOrigins: ['http://localhost'] })
  gate = createServer(() => {
    held += 1
  }).listen(0, '127.0.0.1')
  await once(gate, 'listening')
  await writeWorker()
})
afterAll(async () => {
  await kill()
  gate.closeAllConnections()
  gate.close()
  await s3.close()
  await rm(directory, { recursive: true })
})

/** Writes the configuration of the Worker, whose object stops at the gate. */
async function writeWorker(): Promise<void> {
  const built = await shared('worker')
  const { port } = gate.address() as AddressInfo
  const bundle = JSON.stringify(join(dirname(built), 'worker.js'))
  await writeFile(
    join(directory, 'main.js'),
    `import worker, { DropBoxes, Grants as Real, Objects, Upkeep } from ${bundle}
export class Grants extends Real {
  async take(...given) {
    const taken = await super.take(...given)
    // Leaves the object only after what it has written is stored.
    if (taken?.grant.used === 1) await fetch('http://127.0.0.1:${port}')
    return taken
  }
}
export { DropBoxes, Objects, Upkeep }
export default worker
`,
  )
  const text = await readFile(built, 'utf8')
  await writeFile(
    join(directory, 'wrangler.toml'),
    text.replace('main = "worker.js"\nno_bundle = true', 'main = "main.js"'),
  )
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = s3
  const variables = {
    BUCKETS: JSON.stringify({
      files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' },
    }),
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
    SIGNING_SECRETS: `test:${'0123456789abcdef'.repeat(2)}`,
    OPEN_ACCESS: 'localhost',
  }
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'`)
  await writeFile(join(directory, '.dev.vars'), lines.join('\n'))
}

/** Starts the Worker with the storage of the one before. Returns its origin. */
async function start(): Promise<string> {
  const port = await freePort()
  const options = ['--port', `${port}`, '--inspector-port', '0', '--persist-to', 'state']
  child = spawn(process.execPath, [WRANGLER, 'dev', ...options], {
    cwd: directory,
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, CI: '1', WRANGLER_SEND_METRICS: 'false' },
  })
  const origin = `http://localhost:${port}`
  await waitUntil('wrangler dev starts', () => answers(`${origin}/healthz`, 200), 240)
  return origin
}

/** Kills wrangler and workerd, which are in one group, at the same moment. */
async function kill(): Promise<void> {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  process.kill(-child.pid, 'SIGKILL')
  await ended
}

async function send(url: string, body?: object): Promise<unknown> {
  const init = body && {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  }
  return (await fetch(url, init)).json()
}

// @threat grant-used-twice
it('a use that was taken is lost with its Worker, and never given twice', async () => {
  let origin = await start()
  const file = { fileName: 'a.txt', mimetype: 'text/plain' }
  const { key, uploadUrl } = uploadSchema.parse(await send(`${origin}/files/upload-url`, file))
  const headers = { 'Content-Type': 'text/plain' }
  expect((await fetch(uploadUrl, { method: 'PUT', headers, body: 'a' })).status).toBe(200)
  const deadline = new Date(Date.now() + 3_600_000).toISOString()
  const body = { key, deadline, uses: 2 }
  const { id, url } = grantSchema.parse(await send(`${origin}/grants`, body))
  const use = () =>
    fetch(origin + new URL(url).pathname, { method: 'POST', redirect: 'manual' }).then(
      ({ status }) => status,
      () => 'lost' as const,
    )
  const left = async () => grantSchema.parse(await send(`${origin}/grants/${id}`)).usesLeft

  const using = use()
  await waitUntil('the object has taken a use', async () => held === 1, 240)
  await kill()
  expect(await using).toBe('lost')
  origin = await start()
  expect(await left()).toBe(1)
  expect(await use()).toBe(303)
  expect(await use()).toBe(410)
  expect(await left()).toBe(0)
})

const MOST_FILES = 12
const SIZE = 1000
const boxSchema = z.object({
  id: z.string(),
  url: z.string(),
  received: z.object({ files: z.int(), bytes: z.int() }),
})
const startedSchema = z.object({ key: z.string(), uploadId: z.string() })
const urlsSchema = z.object({ urls: z.array(z.object({ url: z.url() })) })
const keysSchema = z.object({ files: z.array(z.object({ key: z.string(), size: z.int() })) })

// @threat box-over-limit box-state-unavailable
it('a drop box keeps its limit and what it has counted when its Worker is killed in a burst', async () => {
  await kill()
  let origin = await start()
  const deadline = new Date(Date.now() + 3_600_000).toISOString()
  const words = { prefix: 'burst/', deadline, from: 'A', title: 'B' }
  const limits = { maxFiles: MOST_FILES, maxBytes: SIZE, maxTotalBytes: MOST_FILES * SIZE }
  const box = boxSchema.parse(await send(`${origin}/drop-boxes`, { ...words, ...limits }))
  const page = new URL(box.url).pathname
  const recorded: string[] = []
  const burst = Promise.withResolvers<void>()
  let ready = 0
  let isKilled = false
  let before: string[] = []

  /** One sender, from its own network, who tries again until the file has arrived or the box is full. */
  async function sendFile(i: number): Promise<void> {
    let sent: { key: string; path: string; parts: object[] } | undefined
    for (let attempt = 0; attempt < 200; attempt++) {
      try {
        const call = async (path: string, body: object, token?: string) => {
          const response = await fetch(origin + path, {
            method: 'POST',
            headers: {
              'Content-Type': 'application/json',
              'CF-Connecting-IP': `203.0.${i}.1`,
              ...(token !== undefined && { Authorization: `Bearer ${token}` }),
            },
            body: JSON.stringify(body),
          })
          return { status: response.status, body: await response.json() }
        }
        const entered = await call(`${page}/token`, { sender: { name: `Sender ${i}` } })
        const { token } = z.object({ token: z.string() }).parse(entered.body)
        if (sent === undefined) {
          const file = { fileName: `${i}.txt`, mimetype: 'text/plain', size: SIZE }
          const begun = await call('/multipart', file, token)
          if (begun.status === 409) return
          const { key, uploadId } = startedSchema.parse(begun.body)
          const path = `/multipart/${uploadId}`
          const signed = await call(`${path}/urls`, { key, partNumbers: [1] }, token)
          const url = urlsSchema.parse(signed.body).urls[0]?.url ?? ''
          const put = await fetch(url, { method: 'PUT', body: 'x'.repeat(SIZE) })
          expect(put.status).toBe(200)
          sent = { key, path, parts: [{ partNumber: 1, etag: put.headers.get('ETag') }] }
        }
        const { key, path, parts } = sent
        // The others record in one moment, in which the Worker is killed.
        if (++ready > 3) await burst.promise
        const { status } = await call(`${path}/complete`, { key, name: `${i}.txt`, parts }, token)
        if (status !== 201 && status !== 200) throw new Error(`${status}`)
        recorded.push(key)
        if (recorded.length === 3 && !isKilled) {
          isKilled = true
          burst.resolve()
          await new Promise((resolve) => setTimeout(resolve, 5))
          await kill()
          before = [...recorded]
          origin = await start()
        }
        return
      } catch {
        // The Worker is gone, or others are sending.
        await new Promise((resolve) => setTimeout(resolve, isKilled ? 250 : 100))
        if (isKilled && recorded.length >= MOST_FILES) return
      }
    }
  }

  await Promise.all(Array.from({ length: 40 }, (_, i) => sendFile(i)))
  expect(before.length).toBeLessThan(MOST_FILES)
  const list = async (path: string) => keysSchema.parse(await send(origin + path)).files
  const received = await list(`/drop-boxes/${box.id}/files?limit=100`)
  const keys = received.map(({ key }) => key)
  expect(keys).toEqual(expect.arrayContaining(before))
  expect(keys.toSorted()).toEqual(recorded.toSorted())
  const seen = boxSchema.parse(await send(`${origin}/drop-boxes/${box.id}`)).received
  expect(seen).toEqual({ files: keys.length, bytes: keys.length * SIZE })
  expect(keys.length).toBeLessThanOrEqual(MOST_FILES)
  expect(keys.length).toBeGreaterThan(before.length)
  const files = await list('/files?prefix=burst/&limit=100')
  expect(files.map(({ key }) => key).toSorted()).toEqual(keys.toSorted())
})
