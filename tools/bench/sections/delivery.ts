import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import * as z from 'zod/mini'
import { httpRequest } from '../lib/load.ts'
import { startMiniflare } from '../lib/miniflare.ts'
import { startNodeServer } from '../lib/peers.ts'
import { API_KEY, keyOf, variables } from '../lib/presigner.ts'
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

type Bucket = z.infer<typeof bucketSchema>

/** Keys in the form of the Worker's own. Without Workers Caching, their copies live for a minute. */
const [PHOTO, SAME_SIZE] = [keyOf(1), keyOf(2)]

/**
 * Compares a link's edge copy with the bucket itself, and a resized image with an original of the
 * same size. Measures memory while a large object streams. Uses Miniflare, since bare workerd has
 * no cache.
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
      images: 'IMAGES',
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
  const resized = await linkTo(server, PHOTO, { width: 320, format: 'webp' })
  const image = await waitForCopy(server, resized)
  await storeCopy(s3, SAME_SIZE, image)
  const sameSize = await linkTo(server, SAME_SIZE)
  await waitForCopy(server, sameSize)
  const misses = await resizeTimes(server)
  const subjects = {
    hit: load(server, link),
    direct: load(bucket, presigned),
    resized: load(server, resized),
    sameSize: load(server, sameSize),
  }
  for (const warm of Object.values(subjects)) await warm()
  const measured = await interleave(subjects, rounds)
  const perSecond = (name: keyof typeof subjects) =>
    measured[name].map(({ requestsPerSecond }) => requestsPerSecond)

  const streams: Stream[] = []
  for (const i of [0, 1, 2])
    streams.push(await streamLarge(server, await linkTo(server, `video-${i}.mp4`)))
  const cpu = (name: keyof typeof subjects) =>
    measured[name].map(({ cpuMilliseconds }) => cpuMilliseconds)
  const cost = ratio(cpu('resized'), cpu('sameSize'))
  const peak = spread(streams.map(({ mebibytes }) => mebibytes))
  await miniflare.close()
  await bucket.close()
  await rm(directory, { recursive: true })
  const kilobytes = Math.round(image.byteLength / 1000)
  const row = (name: string, subject: keyof typeof subjects) => ({
    name,
    values: {
      requestsPerSecond: spread(perSecond(subject)),
      ofBucket: ratio(perSecond(subject), perSecond('direct')),
      megabytesPerSecond: spread(measured[subject].map((one) => one.megabytesPerSecond)),
      p50Milliseconds: spread(measured[subject].map((one) => one.p50Milliseconds)),
      ...(subject === 'direct' ? {} : { cpuMilliseconds: spread(cpu(subject)) }),
    },
  })
  return {
    id: 'delivery',
    columns: {
      requestsPerSecond: 'requests/s',
      ofBucket: 'relative to the bucket',
      megabytesPerSecond: 'MB/s',
      p50Milliseconds: 'p50, ms',
      cpuMilliseconds: 'CPU for each request, ms',
      mebibytes: 'additional memory, MiB',
    },
    rows: [
      row('a link, hit of the edge copy, 100 KB', 'hit'),
      row('the same object from the bucket, presigned', 'direct'),
      row(`a link to a resized image, hit, ${kilobytes} KB`, 'resized'),
      row(`a link to an original of the same size, hit, ${kilobytes} KB`, 'sameSize'),
      {
        name: 'a link to a resized image, miss: 640 × 480 pixels, local version of Cloudflare Images',
        values: { p50Milliseconds: spread(misses) },
      },
      {
        name: 'a link, miss, 100 MB: at the peak',
        values: {
          megabytesPerSecond: spread(streams.map((one) => one.megabytesPerSecond)),
          mebibytes: peak,
        },
      },
    ],
    targets: [
      atMost('Additional memory while a miss streams 100 MB, MiB', peak, 50),
      atMost('CPU for the hit of a resized image, relative to an original of its size', cost, 1.1),
    ],
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
async function linkTo({ port }: RunningServer, key: string, options: object = {}): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/links`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${API_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...options, keys: [key] }),
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

/** Requests a link until the response comes from the copy. Returns its body. */
async function waitForCopy({ port }: RunningServer, link: string): Promise<ArrayBuffer> {
  for (let i = 0; i < 50; i++) {
    const response = await fetch(`http://127.0.0.1:${port}${link}`)
    const body = await response.arrayBuffer()
    if (response.headers.get('cache-status') === 'edge-presigner; hit') return body
  }
  throw new Error('The edge copy was never stored.')
}

/** Puts an image into the bucket, to compare its link with that of the resized one. */
async function storeCopy(s3: Bucket, key: string, body: ArrayBuffer): Promise<void> {
  const { accessKeyId, secretAccessKey, region, endpoint, bucket } = s3
  const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3' })
  const headers = { 'Content-Type': 'image/webp' }
  const response = await client.fetch(`${endpoint}/${bucket}/${key}`, {
    method: 'PUT',
    headers,
    body,
  })
  if (!response.ok) throw new Error(`The bucket refused ${key}: ${response.status}.`)
}

/** Returns how long the first request for each of some sizes takes, in milliseconds. */
async function resizeTimes(server: RunningServer): Promise<number[]> {
  const times: number[] = []
  for (const width of [128, 256, 384, 480])
    for (const format of ['jpeg', 'webp']) {
      const link = await linkTo(server, PHOTO, { width, format })
      const start = performance.now()
      const response = await fetch(`http://127.0.0.1:${server.port}${link}`)
      await response.arrayBuffer()
      if (!response.ok) throw new Error(`A resized image answered ${response.status}.`)
      times.push(performance.now() - start)
    }
  return times
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
