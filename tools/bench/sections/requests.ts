import { allocatedKilobytes, type TracedServer } from '../lib/allocation.ts'
import { httpRequest, type LoadOrder, type Measured } from '../lib/load.ts'
import { buildPeer, startNodeServer } from '../lib/peers.ts'
import { API_KEY, keyOf } from '../lib/presigner.ts'
import { interleave, ratio, spread } from '../lib/rounds.ts'
import { atLeast, atMost, type Section, type Tools } from '../lib/section.ts'
import { type RunningServer, startTracedWorkerd, startWorkerd } from '../lib/workerd.ts'

const CONNECTIONS = 16
const SECONDS = 1.5

const NAMES = {
  hello: 'a Worker that returns "hello"',
  bare: 'the work of the GET without router, checks or URL',
  hono: 'Hono with eight empty middlewares, the same response',
  get: '**`GET /files/:key/url`**',
  nodeGet: 'the same in Node, with `@hono/node-server`',
  expressGet: 'the same, Express and AWS SDK in Node',
  post: '**`POST /files/upload-url`**',
  betterUpload: 'the same, better-upload on Hono in workerd',
  nodePost: 'the same in Node, with `@hono/node-server`',
  expressPost: 'the same, Express and AWS SDK in Node',
} as const

type Name = keyof typeof NAMES

/** The route of Express that does what a request does. */
const EXPRESS: Partial<Record<Name, Name>> = {
  get: 'expressGet',
  nodeGet: 'expressGet',
  post: 'expressPost',
  betterUpload: 'expressPost',
  nodePost: 'expressPost',
}

/**
 * Measures requests per second over loopback HTTP with keep-alive and a fixed number of
 * connections. Each server has its own process.
 */
export async function measureRequests(tools: Tools): Promise<Section> {
  const peers = {
    hello: await buildPeer('hello'),
    bare: await buildPeer('bare'),
    hono: await buildPeer('hono'),
    betterUpload: await buildPeer('better-upload'),
  }
  const presigner = await tools.presigner.start()
  const hello = await startWorkerd(peers.hello)
  const bare = await startWorkerd(peers.bare)
  const hono = await startWorkerd(peers.hono)
  const betterUpload = await startWorkerd(peers.betterUpload)
  const node = await startNodeServer('peers/node.ts')
  const express = await startNodeServer('peers/express.ts')

  const load = (server: RunningServer, name: Name) => () =>
    tools.generator.load(server, {
      requests: REQUESTS[name],
      connections: CONNECTIONS,
      seconds: SECONDS,
    } satisfies Omit<LoadOrder, 'port'>)
  const subjects: Record<Name, () => Promise<Measured>> = {
    hello: load(hello, 'hello'),
    bare: load(bare, 'bare'),
    hono: load(hono, 'hono'),
    get: load(presigner, 'get'),
    nodeGet: load(node, 'nodeGet'),
    expressGet: load(express, 'expressGet'),
    post: load(presigner, 'post'),
    betterUpload: load(betterUpload, 'betterUpload'),
    nodePost: load(node, 'nodePost'),
    expressPost: load(express, 'expressPost'),
  }
  for (const warm of Object.values(subjects)) await warm()
  const measured = await interleave(subjects, tools.rounds)
  for (const server of [presigner, hello, bare, hono, betterUpload, node, express])
    await server.close()

  const allocated: Partial<Record<Name, number>> = {}
  const traced: Partial<Record<Name, () => Promise<TracedServer>>> = {
    hello: () => startTracedWorkerd(peers.hello),
    bare: () => startTracedWorkerd(peers.bare),
    hono: () => startTracedWorkerd(peers.hono),
    get: tools.presigner.startTraced,
    post: tools.presigner.startTraced,
    betterUpload: () => startTracedWorkerd(peers.betterUpload),
  }
  for (const [name, start] of Object.entries(traced) as [Name, () => Promise<TracedServer>][]) {
    const server = await start()
    allocated[name] = await allocatedKilobytes(tools.generator, server, REQUESTS[name])
    await server.close()
  }

  const perSecond = (name: Name) => measured[name].map(({ requestsPerSecond }) => requestsPerSecond)
  const p99 = (name: Name) => measured[name].map(({ p99Milliseconds }) => p99Milliseconds)
  const over = (a: Name, b: Name) => ratio(perSecond(a), perSecond(b))
  const ofExpress = (name: Name) => {
    const express = EXPRESS[name]
    return express === undefined ? {} : { ofExpress: over(name, express) }
  }
  return {
    id: 'requests',
    columns: {
      requestsPerSecond: 'requests/s',
      ofBare: 'to the bare work',
      ofExpress: 'to Express',
      cpuMicroseconds: 'CPU, µs',
      p50Milliseconds: 'p50, ms',
      p99Milliseconds: 'p99, ms',
      allocatedKilobytes: 'KB allocated',
    },
    rows: (Object.keys(NAMES) as Name[]).map((name) => ({
      name: NAMES[name],
      values: {
        requestsPerSecond: spread(perSecond(name)),
        ofBare: over(name, 'bare'),
        ...ofExpress(name),
        cpuMicroseconds: spread(measured[name].map((one) => one.cpuMilliseconds * 1000)),
        p50Milliseconds: spread(measured[name].map((one) => one.p50Milliseconds)),
        p99Milliseconds: spread(p99(name)),
        ...(allocated[name] === undefined ? {} : { allocatedKilobytes: allocated[name] }),
      },
    })),
    targets: [
      atLeast(
        '`GET /files/:key/url`, requests a second relative to the bare work',
        over('get', 'bare'),
        0.76,
      ),
      atLeast(
        '`GET /files/:key/url`, requests a second relative to Express',
        over('get', 'expressGet'),
        2.5,
      ),
      atMost('`GET /files/:key/url`, KB allocated', allocated.get ?? Number.NaN, 9.8),
      atLeast(
        '`POST /files/upload-url`, requests a second relative to better-upload',
        over('post', 'betterUpload'),
        1.25,
      ),
      atMost('`POST /files/upload-url`, KB allocated', allocated.post ?? Number.NaN, 15),
      atLeast(
        '`POST /files/upload-url`, requests a second relative to Express',
        over('post', 'expressPost'),
        2,
      ),
    ],
    chart: {
      title: 'Requests a second, one process each',
      unit: '/s',
      bars: [
        { label: 'hello', value: spread(perSecond('hello')) },
        { label: 'work of the GET, bare', value: spread(perSecond('bare')) },
        { label: 'Hono, empty', value: spread(perSecond('hono')) },
        { label: 'GET url', value: spread(perSecond('get')) },
        { label: 'GET url, Node', value: spread(perSecond('nodeGet')) },
        { label: 'GET, Express', value: spread(perSecond('expressGet')) },
        { label: 'POST upload-url', value: spread(perSecond('post')) },
        { label: 'POST, better-upload', value: spread(perSecond('betterUpload')) },
        { label: 'POST upload-url, Node', value: spread(perSecond('nodePost')) },
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

const REQUESTS: Readonly<Record<Name, readonly string[]>> = {
  hello: [httpRequest('/', '')],
  bare: [httpRequest('/', API_KEY)],
  hono: thousand(getUrl),
  get: thousand(getUrl),
  nodeGet: thousand(getUrl),
  expressGet: thousand(getUrl),
  post: thousand(uploadUrl),
  betterUpload: thousand(betterUploadUrl),
  nodePost: thousand(uploadUrl),
  expressPost: thousand(uploadUrl),
}
