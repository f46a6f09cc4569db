import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { countingProxy } from '../setup/counting-proxy.ts'
import { type ApiClient, createApiClient } from './api-client.ts'
import { startBuiltWorker } from './built-worker.ts'
import { apiKeyEntry } from './contract/context.ts'
import { sharedCeph } from './shared.ts'
import { describeWith, RADOSGW } from './system-package.ts'

interface Context {
  readonly api: ApiClient
  /** The server itself, as clients reach it. */
  readonly publicEndpoint: string
  /** A proxy in front of the server that only the Worker uses. */
  readonly endpoint: string
  /** Returns how many requests for an object the Worker has sent. */
  requestsFor(key: string): Promise<number>
  close(): Promise<void>
}

type Start = (options: S3ServerOptions) => Promise<S3Server>

async function startContext(start: Start, publicHost: string): Promise<Context> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const server = await start({ port: 0, directory, corsOrigins: ['http://localhost:8787'] })
  stack.defer(() => server.close())
  const proxyPort = await freePort()
  const proxy = countingProxy(Number(new URL(server.endpoint).port)).listen(proxyPort, '127.0.0.1')
  await once(proxy, 'listening')
  stack.defer(() => proxy[Symbol.asyncDispose]())

  const endpoint = `http://127.0.0.1:${proxyPort}`
  const publicEndpoint = server.endpoint.replace('127.0.0.1', publicHost)
  const { region, bucket } = server
  const apiKey = `ep_test_${randomBytes(32).toString('base64url')}`
  const table = { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } as const
  const worker = await startBuiltWorker({
    buckets: {
      files: { ...table, publicEndpoint },
      internal: table,
    },
    accessKeys: { S3: server },
    variables: { API_KEYS: JSON.stringify([apiKeyEntry(apiKey)]) },
  })
  stack.defer(() => worker.close())
  const all = stack.move()
  return {
    ...{ endpoint, publicEndpoint },
    api: createApiClient(worker.origin, apiKey),
    async requestsFor(key) {
      const query = new URLSearchParams({ path: `/${bucket}/${key}` })
      return Number(await (await fetch(`${endpoint}/.count?${query}`)).text())
    },
    close: () => all.disposeAsync(),
  }
}

const text = { fileName: 'a.txt', mimetype: 'text/plain' }
const originOf = (url: string): string => new URL(url).origin

/**
 * What a client sends to a bucket at the public host, and what the Worker sends at another host.
 */
function rules(start: Start, publicHost: string): void {
  let started: Context | undefined
  const context = (): Context => {
    if (started === undefined) throw new Error('The server is not running.')
    return started
  }
  beforeAll(async () => {
    started = await startContext(start, publicHost)
  })
  afterAll(() => started?.close())

  const put = async (url: string, body: string, headers: Record<string, string> = {}) => {
    const response = await fetch(url, { method: 'PUT', headers, body })
    if (response.status !== 200) throw new Error(`PUT answered ${response.status}`)
    return response.headers.get('ETag') ?? ''
  }
  const upload = async (body: string): Promise<string> => {
    const { uploadUrl, headers, key } = await context().api.uploadUrl(text)
    await put(uploadUrl, body, headers)
    return key
  }

  it('uploads and downloads at the public host, while the Worker uses its own', async () => {
    const { api, publicEndpoint, requestsFor } = context()
    const { uploadUrl, headers, key } = await api.uploadUrl(text)
    expect(originOf(uploadUrl)).toBe(publicEndpoint)
    await put(uploadUrl, 'text', headers)
    expect(await requestsFor(key)).toBe(0)
    expect(await api.confirm({ key, name: 'a.txt' })).toMatchObject({ size: 4 })
    const asked = await requestsFor(key)
    expect(asked).toBeGreaterThan(0)
    for (const query of [{}, { stable: 'true' }, { download: 'b.txt' }]) {
      const { url } = await api.url(key, query)
      expect(originOf(url)).toBe(publicEndpoint)
      expect(await (await fetch(url)).text()).toBe('text')
    }
    expect(await requestsFor(key)).toBe(asked)
    await api.remove(key)
    expect(await requestsFor(key)).toBe(asked + 1)
    expect((await fetch((await api.url(key)).url)).status).toBe(404)
  })

  it('uploads in parts at the public host', async () => {
    const { api, publicEndpoint, requestsFor } = context()
    const { key, uploadId } = await api.startMultipart({ ...text, size: 5 })
    const [part] = await api.partUrls(uploadId, { key, partNumbers: [1] })
    expect(originOf(part?.url ?? '')).toBe(publicEndpoint)
    const before = await requestsFor(key)
    const etag = await put(part?.url ?? '', 'parts')
    expect(await requestsFor(key)).toBe(before)
    const parts = [{ partNumber: 1, etag }]
    expect(await api.complete(uploadId, { key, parts })).toMatchObject({ size: 5 })
    expect(await requestsFor(key)).toBeGreaterThan(before)
  })

  it('uploads a form at the public host', async () => {
    const { api, publicEndpoint } = context()
    const { url, fields } = await api.form('a.txt', 'text/plain')
    expect(originOf(url)).toBe(publicEndpoint)
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.set(name, value)
    form.set('file', new Blob(['form']))
    expect((await fetch(url, { method: 'POST', body: form })).status).toBe(201)
    expect(await api.confirm({ key: fields.key, name: 'a.txt' })).toMatchObject({ size: 4 })
  })

  it("delivers a link's bytes from its own host, and redirects to the public one", async () => {
    const { api, publicEndpoint, requestsFor } = context()
    const key = await upload('link')
    const link = await api.link(key)
    expect(await (await fetch(link)).text()).toBe('link')
    expect(await requestsFor(key)).toBe(1)
    const redirect = await fetch(await api.link(key, { delivery: 'redirect' }), {
      redirect: 'manual',
    })
    const target = redirect.headers.get('Location') ?? ''
    expect(originOf(target)).toBe(publicEndpoint)
    expect(await (await fetch(target)).text()).toBe('link')
    expect(await requestsFor(key)).toBe(1)
  })

  // @threat url-changed
  it('signs for one host: the server refuses the URL at another', async () => {
    const { api, endpoint, publicEndpoint } = context()
    const key = await upload('one host')
    const { url } = await api.url(key)
    expect((await fetch(url.replace(publicEndpoint, endpoint))).status).toBe(403)
    const internal = (await api.url(key, { bucket: 'internal' })).url
    expect(await (await fetch(internal)).text()).toBe('one host')
    expect((await fetch(internal.replace(endpoint, publicEndpoint))).status).toBe(403)
  })
}

describe('a bucket with a publicEndpoint, on s3rver', () => rules(startS3rver, 'localhost'))
// Ceph RGW treats an unknown host, such as localhost, as the name of a bucket.
describeWith([RADOSGW], 'a bucket with a publicEndpoint, on Ceph RGW', () =>
  rules(sharedCeph, '127.0.0.1'),
)
