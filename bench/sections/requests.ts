import { httpRequest, type LoadOrder, type Measured } from '../lib/load.ts'
import { startNodeServer, startPeerWorker } from '../lib/peers.ts'
import { API_KEY, keyOf } from '../lib/presigner.ts'
import { interleave, ratio, spread } from '../lib/rounds.ts'
import { atLeast, type Section, type Tools } from '../lib/section.ts'
import type { RunningServer } from '../lib/workerd.ts'

const CONNECTIONS = 16
const SECONDS = 1.5

const NAMES = {
  hello: 'a Worker that answers "hello"',
  bare: 'the work of the GET without router, checks or URL',
  hono: 'Hono with eight empty middlewares, the same answer',
  get: '**`GET /files/:key/url`**',
  expressGet: 'the same, Express and AWS SDK in Node',
  post: '**`POST /files/upload-url`**',
  betterUpload: 'the same, better-upload on Hono in workerd',
  expressPost: 'the same, Express and AWS SDK in Node',
} as const

type Name = keyof typeof NAMES

/**
 * Requests a second over loopback HTTP, keep-alive, a fixed number of connections; each server in
 * its own process.
 */
export async function measureRequests(tools: Tools): Promise<Section> {
  const presigner = await tools.presigner.start()
  const hello = await startPeerWorker('hello')
  const bare = await startPeerWorker('bare')
  const hono = await startPeerWorker('hono')
  const betterUpload = await startPeerWorker('better-upload')
  const express = await startNodeServer('peers/express.ts')

  const load = (server: RunningServer, requests: string[]) => () =>
    tools.generator.load(server, {
      requests,
      connections: CONNECTIONS,
      seconds: SECONDS,
    } satisfies Omit<LoadOrder, 'port'>)
  const subjects: Record<Name, () => Promise<Measured>> = {
    hello: load(hello, [httpRequest('/', '')]),
    bare: load(bare, [httpRequest('/', API_KEY)]),
    hono: load(hono, thousand(getUrl)),
    get: load(presigner, thousand(getUrl)),
    expressGet: load(express, thousand(getUrl)),
    post: load(presigner, thousand(uploadUrl)),
    betterUpload: load(betterUpload, thousand(betterUploadUrl)),
    expressPost: load(express, thousand(uploadUrl)),
  }
  for (const warm of Object.values(subjects)) await warm()
  const measured = await interleave(subjects, tools.rounds)
  for (const server of [presigner, hello, bare, hono, betterUpload, express]) await server.close()

  const perSecond = (name: Name) => measured[name].map(({ requestsPerSecond }) => requestsPerSecond)
  const over = (a: Name, b: Name) => ratio(perSecond(a), perSecond(b))
  return {
    id: 'requests',
    columns: {
      requestsPerSecond: 'requests/s',
      ofHello: 'of hello',
      cpuMicroseconds: 'CPU of the process, µs a request',
      p50Milliseconds: 'p50, ms',
      p99Milliseconds: 'p99, ms',
    },
    rows: (Object.keys(NAMES) as Name[]).map((name) => ({
      name: NAMES[name],
      values: {
        requestsPerSecond: spread(perSecond(name)),
        ofHello: over(name, 'hello'),
        cpuMicroseconds: spread(measured[name].map((one) => one.cpuMilliseconds * 1000)),
        p50Milliseconds: spread(measured[name].map((one) => one.p50Milliseconds)),
        p99Milliseconds: spread(measured[name].map((one) => one.p99Milliseconds)),
      },
    })),
    targets: [
      atLeast('`GET /files/:key/url`, requests a second, of hello', over('get', 'hello'), 0.55),
      atLeast('`GET /files/:key/url`, of Express', over('get', 'expressGet'), 3),
      atLeast('`POST /files/upload-url`, of better-upload', over('post', 'betterUpload'), 1.3),
      atLeast('`POST /files/upload-url`, of Express', over('post', 'expressPost'), 2),
    ],
    chart: {
      title: 'Requests a second, one process each',
      unit: '/s',
      bars: [
        { label: 'hello', value: spread(perSecond('hello')) },
        { label: 'work of the GET, bare', value: spread(perSecond('bare')) },
        { label: 'Hono, empty', value: spread(perSecond('hono')) },
        { label: 'GET url', value: spread(perSecond('get')) },
        { label: 'GET, Express', value: spread(perSecond('expressGet')) },
        { label: 'POST upload-url', value: spread(perSecond('post')) },
        { label: 'POST, better-upload', value: spread(perSecond('betterUpload')) },
        { label: 'POST, Express', value: spread(perSecond('expressPost')) },
      ],
    },
  }
}

const thousand = (make: (i: number) => string): string[] =>
  Array.from({ length: 1000 }, (_, i) => make(i))

const getUrl = (i: number): string =>
  httpRequest(`/files/${encodeURIComponent(keyOf(i))}/url`, API_KEY)

const uploadUrl = (i: number): string =>
  httpRequest('/files/upload-url', API_KEY, {
    fileName: `My Photo ${i}.JPG`,
    mimetype: 'image/jpeg',
    size: 48_213,
  })

const betterUploadUrl = (i: number): string =>
  httpRequest('/upload', API_KEY, {
    route: 'files',
    files: [{ name: `My Photo ${i}.JPG`, type: 'image/jpeg', size: 48_213 }],
  })
