import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { verifyWebhook } from '../../client/src/server.ts'
import { type BuiltWorker, startBuiltWorker } from './built-worker.ts'
import { shared } from './shared.ts'
import { configWith } from './worker-config.ts'

/*
 * The built Worker with the real queue of workerd, as wrangler.toml describes it, and endpoints that
 * are real HTTP servers. The queue has only the real clock, and a retry takes ten seconds: so all of
 * them fail at the same time.
 */

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const FILES = 12
const ORIGIN = 'http://localhost'

interface Received {
  readonly id: string
  readonly key: string
  readonly milliseconds: number
}

/** An endpoint whose server can be killed and started again on the same port. */
class Endpoint {
  readonly port: number
  readonly #answer: (response: ServerResponse, arrived: number, attempt: number) => void
  readonly accepted: Received[] = []
  /** Everything that arrived, also what was accepted. */
  readonly arrived: Received[] = []
  #server: Server | undefined

  /** `answer` gets how many requests have arrived, and how many of them with the same event. */
  constructor(
    port: number,
    answer: (response: ServerResponse, arrived: number, attempt: number) => void,
  ) {
    this.port = port
    this.#answer = answer
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => void this.#handle(request, response))
    await new Promise<void>((resolve) => this.#server?.listen(this.port, '127.0.0.1', resolve))
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const milliseconds = performance.now()
    const body = await text(request)
    const headers = request.headers as Record<string, string>
    new Webhook(SECRET).verify(body, headers)
    const event = await verifyWebhook({ headers: request.headers, body }, SECRET)
    const received = { id: String(headers['webhook-id']), key: event.data.file.key, milliseconds }
    this.arrived.push(received)
    response.on('finish', () => {
      if (response.statusCode < 300) this.accepted.push(received)
    })
    const attempt = this.arrived.filter(({ id }) => id === received.id).length
    this.#answer(response, this.arrived.length, attempt)
  }

  kill(): void {
    this.#server?.closeAllConnections()
    this.#server?.close()
  }
}

const status =
  (code: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse) =>
    void response.writeHead(code, headers).end('a body that nobody reads')

let worker: BuiltWorker
let s3: S3Server
let directory: string
const keys: string[] = []

const endpoints = {
  steady: new Endpoint(await freePort(), status(204)),
  /** Dies in the middle of its fourth request. */
  killed: new Endpoint(await freePort(), (response, arrived) => {
    if (arrived === 4) endpoints.killed.kill()
    else status(200)(response)
  }),
  failing: new Endpoint(await freePort(), (response, _, attempt) =>
    status(attempt === 1 ? 500 : 200)(response),
  ),
  busy: new Endpoint(await freePort(), (response, _, attempt) =>
    status(attempt === 1 ? 503 : 200, { 'Retry-After': '13' })(response),
  ),
  redirecting: new Endpoint(await freePort(), (response, _, attempt) =>
    attempt === 1
      ? status(307, { Location: `http://127.0.0.1:${endpoints.stranger.port}/` })(response)
      : status(200)(response),
  ),
  stranger: new Endpoint(await freePort(), status(200)),
  gone: new Endpoint(await freePort(), status(410)),
}
/** Never answers the first request. */
const hanging = new Endpoint(await freePort(), (response, arrived) => {
  if (arrived > 1) status(200)(response)
})

const all = [...Object.values(endpoints), hanging]
const configured = all.filter((endpoint) => endpoint !== endpoints.stranger)

async function post(path: string, body: object): Promise<Response> {
  const headers = { 'Content-Type': 'application/json' }
  return fetch(worker.origin + path, { method: 'POST', headers, body: JSON.stringify(body) })
}

/** Uploads and records a file. Returns its key. */
async function upload(name: string): Promise<string> {
  const asked = await post('/files/upload-url', { fileName: name, mimetype: 'text/plain' })
  const { key, uploadUrl, headers } = (await asked.json()) as {
    key: string
    uploadUrl: string
    headers: Record<string, string>
  }
  await fetch(uploadUrl, { method: 'PUT', headers, body: name })
  const recorded = await post('/files', { key, name })
  expect(recorded.status).toBe(201)
  return key
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'webhooks-'))
  const port = await freePort()
  s3 = await startS3rver({ port, directory: join(directory, 's3'), corsOrigins: [ORIGIN] })
  await Promise.all(all.map((endpoint) => endpoint.start()))
  worker = await startBuiltWorker({
    configPath: await configWith('queues', directory, await shared('worker')),
    buckets: {
      files: {
        endpoint: `http://127.0.0.1:${port}`,
        region: 'us-east-1',
        bucket: 'files',
        addressing: 'path',
        credentials: 'S3',
      },
    },
    accessKeys: { S3: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' } },
    variables: {
      OPEN_ACCESS: 'localhost',
      WEBHOOKS: JSON.stringify(
        configured.map((endpoint) => ({
          url: `http://127.0.0.1:${endpoint.port}/hooks`,
          secret: SECRET,
          private: true,
        })),
      ),
    },
  })
  for (let i = 0; i < FILES; i += 1) keys.push(await upload(`${i}.txt`))
})
afterAll(async () => {
  for (const endpoint of all) endpoint.kill()
  await worker?.close()
  await s3?.close()
  await rm(directory, { recursive: true, force: true })
})

const received = ({ accepted }: Endpoint) => [...new Set(accepted.map(({ key }) => key))].toSorted()
/** The milliseconds from the first attempt for each event until it was accepted. */
const waits = ({ accepted, arrived }: Endpoint) =>
  accepted.map(
    ({ id, milliseconds }) =>
      milliseconds - (arrived.find((one) => one.id === id)?.milliseconds ?? milliseconds),
  )
const everyKey = () => keys.toSorted()

describe('with the queue of wrangler.toml, every event reaches', () => {
  it('an endpoint that is always there, once', async () => {
    await expect.poll(() => received(endpoints.steady)).toEqual(everyKey())
    expect(endpoints.steady.arrived.length).toBe(FILES)
    expect(new Set(endpoints.steady.accepted.map(({ id }) => id)).size).toBe(FILES)
  })

  // @threat event-lost
  it('an endpoint that was killed in the middle of a request and starts again', async () => {
    await expect.poll(() => endpoints.killed.arrived.length).toBe(4)
    expect(received(endpoints.killed).length).toBeLessThanOrEqual(3)
    await endpoints.killed.start()
    await expect.poll(() => received(endpoints.killed)).toEqual(everyKey())
  })

  it('an endpoint that answers 500 first, ten seconds later, with the same ids', async () => {
    const { failing } = endpoints
    await expect.poll(() => received(failing)).toEqual(everyKey())
    expect(new Set(failing.arrived.map(({ id }) => id)).size).toBe(FILES)
    expect(Math.min(...waits(failing))).toBeGreaterThan(9_000)
  })

  it('an endpoint that asks for a longer wait, after it', async () => {
    const { busy } = endpoints
    await expect.poll(() => received(busy)).toEqual(everyKey())
    expect(Math.min(...waits(busy))).toBeGreaterThan(12_000)
  })

  // @threat event-diverted
  it('an endpoint that redirects first, but never where it redirects to', async () => {
    await expect.poll(() => received(endpoints.redirecting)).toEqual(everyKey())
    expect(endpoints.stranger.arrived.length).toBe(0)
  })

  // @threat event-endpoint-hangs
  it('an endpoint that hangs first, which is given up after ten seconds', async () => {
    await expect.poll(() => received(hanging)).toEqual(everyKey())
    expect(hanging.arrived).toHaveLength(FILES + 1)
    expect(Math.max(...waits(hanging))).toBeGreaterThan(18_000)
  })
})

it('an endpoint that answers 410 gets each event once, and is not asked again', async () => {
  await expect.poll(() => received(endpoints.busy)).toEqual(everyKey())
  expect(endpoints.gone.arrived.length).toBe(FILES)
})
