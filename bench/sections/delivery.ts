import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { httpRequest } from '../lib/load.ts'
import { startMiniflare } from '../lib/miniflare.ts'
import { startNodeServer } from '../lib/peers.ts'
import { API_KEY, variables } from '../lib/presigner.ts'
import { residentMebibytes } from '../lib/process.ts'
import { interleave, ratio, spread } from '../lib/rounds.ts'
import { atMost, type Section, type Tools } from '../lib/section.ts'
import type { RunningServer } from '../lib/workerd.ts'

const CONNECTIONS = 16
const SECONDS = 1.5
const SAMPLE_MILLISECONDS = 10

const bucketSchema = z.object({
  endpoint: z.string(),
  region: z.string(),
  bucket: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
})

/**
 * Compares a link's edge copy with the bucket itself, and measures memory while a large object
 * streams. Uses Miniflare, since bare workerd has no cache.
 */
export async function measureDelivery({ presigner, generator, rounds }: Tools): Promise<Section> {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-bench-'))
  const bucket = await startNodeServer('servers/bucket.ts', { BUCKET_DIRECTORY: directory })
  const s3 = bucketSchema.parse(bucket.message)
  const table = {
    endpoint: s3.endpoint,
    region: s3.region,
    bucket: s3.bucket,
    addressing: 'path',
    credentials: 'S3',
  }
  const bindings = variables(table, [s3.accessKeyId, s3.secretAccessKey])
  const miniflare = await startMiniflare([
    {
      name: 'presigner',
      script: presigner.bundle.script,
      bindings,
      kvNamespaces: { FILE_INDEX: 'index' },
    },
  ])
  const server = miniflare.servers.presigner
  if (server === undefined) throw new Error('Miniflare started no Worker.')

  const link = await linkTo(server, 'image.jpg')
  await waitForCopy(server, link)
  const presigned = await presignedUrl(server, 'image.jpg')
  const load = (target: RunningServer, path: string) => () =>
    generator.load(target, {
      requests: [httpRequest(path, '', undefined, `127.0.0.1:${target.port}`)],
      connections: CONNECTIONS,
      seconds: SECONDS,
    })
  const subjects = { hit: load(server, link), direct: load(bucket, presigned) }
  for (const warm of Object.values(subjects)) await warm()
  const measured = await interleave(subjects, rounds)
  const perSecond = (name: keyof typeof subjects) =>
    measured[name].map(({ requestsPerSecond }) => requestsPerSecond)

  const streams: Stream[] = []
  for (const i of [0, 1, 2])
    streams.push(await streamLarge(server, await linkTo(server, `video-${i}.mp4`)))
  const peak = spread(streams.map(({ mebibytes }) => mebibytes))
  await miniflare.close()
  await bucket.close()
  await rm(directory, { recursive: true })
  const row = (name: string, subject: keyof typeof subjects) => ({
    name,
    values: {
      requestsPerSecond: spread(perSecond(subject)),
      ofBucket: ratio(perSecond(subject), perSecond('direct')),
      megabytesPerSecond: spread(measured[subject].map((one) => one.megabytesPerSecond)),
      p50Milliseconds: spread(measured[subject].map((one) => one.p50Milliseconds)),
    },
  })
  return {
    id: 'delivery',
    columns: {
      requestsPerSecond: 'requests/s',
      ofBucket: 'relative to the bucket',
      megabytesPerSecond: 'MB/s',
      p50Milliseconds: 'p50, ms',
      mebibytes: 'additional memory, MiB',
    },
    rows: [
      row('a link, hit of the edge copy, 100 KB', 'hit'),
      row('the same object from the bucket, presigned', 'direct'),
      {
        name: 'a link, miss, 100 MB: at the peak',
        values: {
          megabytesPerSecond: spread(streams.map((one) => one.megabytesPerSecond)),
          mebibytes: peak,
        },
      },
    ],
    targets: [atMost('Additional memory while a miss streams 100 MB, MiB', peak, 50)],
    chart: {
      title: 'An object of 100 KB: requests a second',
      unit: '/s',
      bars: [
        { label: 'link, edge copy', value: spread(perSecond('hit')) },
        { label: 'bucket, presigned', value: spread(perSecond('direct')) },
      ],
    },
  }
}

/** Returns the path and query of a stream link. */
async function linkTo({ port }: RunningServer, key: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/links`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${API_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ keys: [key] }),
  })
  const schema = z.object({ links: z.tuple([z.object({ link: z.string() })]) })
  const { links } = schema.parse(await response.json())
  const { pathname, search } = new URL(links[0].link)
  return pathname + search
}

async function presignedUrl({ port }: RunningServer, key: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/files/${key}/url`, {
    headers: { Authorization: `Bearer ${API_KEY}` },
  })
  const { url } = z.object({ url: z.string() }).parse(await response.json())
  const { pathname, search } = new URL(url)
  return pathname + search
}

/** Requests a link until the response comes from the copy. */
async function waitForCopy({ port }: RunningServer, link: string): Promise<void> {
  for (let i = 0; i < 50; i++) {
    const response = await fetch(`http://127.0.0.1:${port}${link}`)
    await response.arrayBuffer()
    if (response.headers.get('cache-status') === 'edge-presigner; hit') return
  }
  throw new Error('The edge copy was never stored.')
}

interface Stream {
  readonly megabytesPerSecond: number
  /** Peak of the resident memory, above the memory at the start. */
  readonly mebibytes: number
}

/**
 * Reads a large object through its link at full speed, and measures the memory of the process
 * meanwhile.
 */
async function streamLarge({ port, pid }: RunningServer, link: string): Promise<Stream> {
  const before = residentMebibytes(pid)
  let peak = before
  const timer = setInterval(() => {
    peak = Math.max(peak, residentMebibytes(pid))
  }, SAMPLE_MILLISECONDS)
  const start = performance.now()
  const response = await fetch(`http://127.0.0.1:${port}${link}`)
  let bytes = 0
  for await (const chunk of response.body ?? []) bytes += chunk.byteLength
  clearInterval(timer)
  const seconds = (performance.now() - start) / 1000
  return { megabytesPerSecond: bytes / 1e6 / seconds, mebibytes: peak - before }
}
