import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { httpRequest } from '../lib/load.ts'
import { startMiniflare } from '../lib/miniflare.ts'
import { startNodeServer } from '../lib/peers.ts'
import { API_KEY, variables } from '../lib/presigner.ts'
import { interleave, ratio, spread } from '../lib/rounds.ts'
import { atMost, type Section, type Tools } from '../lib/section.ts'
import type { RunningServer } from '../lib/workerd.ts'

/** An object of 100 KB. */
const KEY = 'image.jpg'
const CONNECTIONS = 16
const SECONDS = 1.5
/** Each counts its own uses, as in a mail to many people. */
const GRANTS = 64
const bucketSchema = z.object({
  endpoint: z.string(),
  region: z.string(),
  bucket: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
})

/**
 * Compares the use of a grant, which asks a Durable Object and the bucket, with a link to the same
 * object, which asks neither.
 */
export async function measureGrants({ everything, generator, rounds }: Tools): Promise<Section> {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-bench-'))
  const bucket = await startNodeServer('servers/bucket.ts', { BUCKET_DIRECTORY: directory })
  const s3 = bucketSchema.parse(bucket.message)
  const { endpoint, region } = s3
  const table = { endpoint, region, bucket: s3.bucket, addressing: 'path', credentials: 'S3' }
  const miniflare = await startMiniflare([
    {
      name: 'presigner',
      script: everything.bundle.script,
      bindings: variables(table, [s3.accessKeyId, s3.secretAccessKey]),
      kvNamespaces: { FILE_INDEX: 'index' },
      classes: ['Grants', 'DropBoxes'],
    },
  ])
  const server = miniflare.servers.presigner
  if (server === undefined) throw new Error('Miniflare started no Worker.')
  const host = `127.0.0.1:${server.port}`
  const paths = await Promise.all(Array.from({ length: GRANTS }, () => grantTo(server, KEY)))
  const link = await linkOf(server, paths[0] ?? '')
  const load = (requests: readonly string[], status?: number) => () =>
    generator.load(server, {
      requests,
      connections: CONNECTIONS,
      seconds: SECONDS,
      ...(status && { status }),
    })
  const use = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\n\r\n`
  const subjects = {
    link: load([httpRequest(link, '', undefined, host)]),
    page: load(paths.map((path) => httpRequest(path, '', undefined, host))),
    use: load(paths.map(use), 303),
    useOne: load([use(paths[0] ?? '')], 303),
  }
  for (const warm of Object.values(subjects)) await warm()
  const measured = await interleave(subjects, rounds)
  await miniflare.close()
  await bucket.close()
  await rm(directory, { recursive: true })

  const cpu = (name: keyof typeof subjects) =>
    measured[name].map(({ cpuMilliseconds }) => cpuMilliseconds)
  const row = (name: string, subject: keyof typeof subjects) => ({
    name,
    values: {
      cpuMilliseconds: spread(cpu(subject)),
      ofLink: subject === 'link' ? 1 : ratio(cpu(subject), cpu('link')),
      requestsPerSecond: spread(measured[subject].map((one) => one.requestsPerSecond)),
      p50Milliseconds: spread(measured[subject].map((one) => one.p50Milliseconds)),
    },
  })
  const rows = [
    row('a link, hit of the edge copy, 100 KB', 'link'),
    row('`GET /g/:id`, the page of a grant', 'page'),
    row(`\`POST /g/:id\`, a use of one of ${GRANTS} grants`, 'use'),
    row('`POST /g/:id`, a use of one grant', 'useOne'),
  ]
  return {
    id: 'grants',
    columns: {
      cpuMilliseconds: 'CPU of the process, ms a request',
      ofLink: 'relative to the link',
      requestsPerSecond: 'requests/s',
      p50Milliseconds: 'p50, ms',
    },
    rows,
    targets: [atMost('CPU for a use of a grant, ms', spread(cpu('use')), 10)],
    chart: {
      title: 'CPU of one request (the free plan allows 10 ms)',
      unit: 'ms',
      bars: rows.map(({ name, values }) => ({
        label: name.replaceAll('`', ''),
        value: values.cpuMilliseconds,
      })),
    },
  }
}

/** Creates a grant for any number of uses. Returns the path of its page. */
async function grantTo({ port }: RunningServer, key: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/grants`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${API_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ key, deadline: new Date(Date.now() + 3_600_000).toISOString() }),
  })
  return new URL(z.object({ url: z.string() }).parse(await response.json()).url).pathname
}

/** Takes a use. Returns the path and query of the link, once it is answered from its edge copy. */
async function linkOf({ port }: RunningServer, path: string): Promise<string> {
  const origin = `http://127.0.0.1:${port}`
  const use = await fetch(origin + path, { method: 'POST', redirect: 'manual' })
  const { pathname, search } = new URL(use.headers.get('Location') ?? '')
  for (let i = 0; i < 50; i++) {
    const response = await fetch(origin + pathname + search)
    await response.arrayBuffer()
    if (response.headers.get('cache-status') === 'edge-presigner; hit') return pathname + search
  }
  throw new Error('The edge copy was never stored.')
}
