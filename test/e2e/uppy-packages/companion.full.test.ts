import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startChild } from '../../../cli/child.ts'
import { freePort } from '../../../cli/ports.ts'
import type { S3Server } from '../../../cli/s3-server.ts'
import { answers, waitUntil } from '../../../cli/wait-until.ts'
import { startBuiltWorker } from '../built-worker.ts'
import { shared, sharedCeph } from '../shared.ts'
import { describeWith, RADOSGW } from '../system-package.ts'
import { docTable } from './doc-table.ts'

/** One of the two servers, with a multipart upload whose first part has been sent. */
interface Side {
  readonly base: string
  readonly key: string
  readonly uploadId: string
  readonly etag: string
  /** Another multipart upload. */
  readonly other: { readonly key: string; readonly uploadId: string }
}

const COMPANION = 'Companion 6.2.2'
const WORKER = 'The Worker'

/** A body of bytes has no Content-Type. */
type Ask = (side: Side) => readonly [method: string, path: string, body?: unknown]

const query = (values: Record<string, string>): string => String(new URLSearchParams(values))
const inUpload =
  (method: string, step: string, values: Record<string, string> = {}, body?: unknown): Ask =>
  ({ key, uploadId }) => [
    method,
    `/s3/multipart/${encodeURIComponent(uploadId)}${step}?${query({ key, ...values })}`,
    body,
  ]
const withoutKey =
  (method: string, step: string, body?: unknown): Ask =>
  ({ uploadId }) => [method, `/s3/multipart/${encodeURIComponent(uploadId)}${step}`, body]
const params =
  (values: Record<string, string>): Ask =>
  () => ['GET', `/s3/params?${query(values)}`]
const start =
  (body: unknown): Ask =>
  () => ['POST', '/s3/multipart', body]

const named = (metadata: unknown) => ({ filename: 'a.txt', type: 'text/plain', metadata })
const LONG = 'a'.repeat(1025)

/** In this order, because the last ones end the upload. */
const REQUESTS: Readonly<Record<string, Ask>> = {
  'params: a file': params({ filename: 'Grüße 1.txt', type: 'text/plain' }),
  'params: metadata': params({ filename: 'a', type: 'a/b', 'metadata[user.name]': 'Zoë' }),
  'params: no name': params({ type: 'a/b' }),
  'params: an empty name': params({ filename: '' }),
  'params: `filename` twice': () => ['GET', '/s3/params?filename=a&filename=b&type=a/b'],
  'params: no type': params({ filename: 'a' }),
  'params: the type `weird`': params({ filename: 'a', type: 'weird' }),
  'params: the type `text/html` for `a.png`': params({ filename: 'a.png', type: 'text/html' }),
  'params: metadata named `größe`': params({ filename: 'a', 'metadata[größe]': '1' }),
  'params: 3 KB of metadata': params({ filename: 'a', 'metadata[a]': 'x'.repeat(3000) }),
  'params: a name of 1025 characters': params({ filename: LONG }),
  'multipart: a file': start(named({ name: 'Grüße.txt' })),
  'multipart: metadata that is no text': start(named({ 'user.name': 'x', n: 1, list: ['a'] })),
  'multipart: `metadata: null`': start(named(null)),
  'multipart: metadata named `größe`': start(named({ größe: '1' })),
  'multipart: 3 KB of metadata': start(named({ a: 'x'.repeat(3000) })),
  'multipart: no name': start({ type: 'a/b' }),
  'multipart: a name of 1025 characters': start({ filename: LONG, type: 'a/b' }),
  'multipart: no type': start({ filename: 'a' }),
  'multipart: a type that is no text': start({ filename: 'a', type: 7 }),
  'multipart: the type `weird`': start({ filename: 'a', type: 'weird' }),
  'multipart: the type `text/html` for `a.png`': start({ filename: 'a.png', type: 'text/html' }),
  'multipart: not JSON': start('{'),
  'multipart: no Content-Type': start(new TextEncoder().encode('{"filename":"a","type":"a/b"}')),
  'multipart: a body of 200 KB': start(named({ a: 'x'.repeat(200_000) })),
  'list: its parts': inUpload('GET', ''),
  'list: no key': withoutKey('GET', ''),
  'list: an unknown upload': ({ key }) => ['GET', `/s3/multipart/unknown?${query({ key })}`],
  'part: one': inUpload('GET', '/2'),
  'part: number 0': inUpload('GET', '/0'),
  'part: number 10001': inUpload('GET', '/10001'),
  'part: number `x`': inUpload('GET', '/x'),
  'part: number `1x`': inUpload('GET', '/1x'),
  'part: number 1.5': inUpload('GET', '/1.5'),
  'part: number -1': inUpload('GET', '/-1'),
  'part: no key': withoutKey('GET', '/1'),
  'batch: three': inUpload('GET', '/batch', { partNumbers: '1,2,3' }),
  'batch: 101': inUpload('GET', '/batch', { partNumbers: Array(101).fill(1).join() }),
  'batch: no list': inUpload('GET', '/batch'),
  'batch: a part `x`': inUpload('GET', '/batch', { partNumbers: '1,x' }),
  'batch: a part `1x`': inUpload('GET', '/batch', { partNumbers: '1x' }),
  'batch: no key': withoutKey('GET', '/batch'),
  'complete: no parts': inUpload('POST', '/complete', {}, {}),
  'complete: parts that are none': inUpload('POST', '/complete', {}, { parts: [1] }),
  'complete: an empty list': inUpload('POST', '/complete', {}, { parts: [] }),
  'complete: a wrong ETag': inUpload(
    'POST',
    '/complete',
    {},
    { parts: [{ PartNumber: 1, ETag: 'x' }] },
  ),
  'complete: no key': withoutKey('POST', '/complete', { parts: [] }),
  'complete: the part': (side) =>
    inUpload('POST', '/complete', {}, { parts: [{ PartNumber: 1, ETag: side.etag }] })(side),
  'complete: once more': (side) =>
    inUpload('POST', '/complete', {}, { parts: [{ PartNumber: 1, ETag: side.etag }] })(side),
  'list: a complete upload': inUpload('GET', ''),
  'abort: no key': withoutKey('DELETE', ''),
  'abort: an upload': ({ other: { key, uploadId } }) => [
    'DELETE',
    `/s3/multipart/${encodeURIComponent(uploadId)}?${query({ key })}`,
  ],
  'abort: a complete upload': inUpload('DELETE', ''),
  'sts: temporary credentials': () => ['GET', '/s3/sts'],
  'an unknown path': () => ['GET', '/s3/unknown'],
  'a slash at the end': () => ['GET', `/s3/params/?${query({ filename: 'a', type: 'a/b' })}`],
  'a slash more in front': () => ['GET', `//s3/params?${query({ filename: 'a', type: 'a/b' })}`],
}

/** The members of the Worker's errors besides `error`. */
const OUR_ERROR = ['message', 'code', 'requestId', 'issues']

/** The status, and the members of the response with their types, or the message of an error. */
interface Answer {
  readonly status: number
  readonly says: readonly string[]
}

/** Returns each member by path and type, recursively and sorted. */
function membersOf(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [`${path}: ${typeof value}`]
  const kind = Array.isArray(value) ? [`${path}: list`] : []
  const members = Object.entries(value).flatMap(([name, member]) =>
    membersOf(member, `${path}.${name}`),
  )
  return [...kind, ...members].toSorted()
}

async function answerOf(side: Side, ask: Ask): Promise<Answer> {
  const [method, path, body] = ask(side)
  const response = await fetch(side.base + path, {
    method,
    ...(body === undefined
      ? {}
      : body instanceof Uint8Array
        ? { body }
        : {
            headers: { 'Content-Type': 'application/json' },
            body: typeof body === 'string' ? body : JSON.stringify(body),
          }),
  })
  const { status, ok, headers } = response
  const text = await response.text()
  if (ok) return { status, says: membersOf(JSON.parse(text)) }
  if (!headers.get('Content-Type')?.startsWith('application/json')) return { status, says: [] }
  const refusal: Record<string, unknown> = JSON.parse(text)
  expect(
    Object.keys(refusal).filter((name) => name !== 'error' && !OUR_ERROR.includes(name)),
  ).toEqual([])
  return { status, says: [String(refusal.error)] }
}

/** Returns a response as the table shows it: what the other one doesn't have. */
function cell({ status, says }: Answer, other: Answer): string {
  const own =
    status < 400 && other.status >= 400 ? [] : says.filter((one) => !other.says.includes(one))
  return [status, ...own].join(' ')
}

async function begin(base: string): Promise<Side> {
  const startOne = async (): Promise<Side['other']> => {
    const started = await fetch(`${base}/s3/multipart`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(named({})),
    })
    return (await started.json()) as Side['other']
  }
  const side = { base, ...(await startOne()), etag: '', other: await startOne() }
  const [, path] = inUpload('GET', '/1')(side)
  const { url } = (await (await fetch(base + path)).json()) as { url: string }
  const sent = await fetch(url, { method: 'PUT', body: 'hello' })
  return { ...side, etag: sent.headers.get('ETag') ?? '' }
}

async function startCompanion(server: S3Server, directory: string): Promise<string> {
  const folder = join(import.meta.dirname, 'companion')
  const port = await freePort()
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = server
  const s3 = { endpoint, region, bucket, accessKeyId, secretAccessKey }
  // Nothing here may send requests to AWS: nothing listens on this port.
  const env = { ...process.env, AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${await freePort()}` }
  const options = { env, stdio: 'ignore' } as const
  const settings = JSON.stringify({ port, directory, ...s3 })
  companion = await startChild(process.execPath, [join(folder, 'server.js'), settings], options)
  const base = `http://127.0.0.1:${port}`
  await waitUntil('Companion answers', () => answers(base), 30)
  return base
}

let companion: Awaited<ReturnType<typeof startChild>> | undefined

describeWith([RADOSGW], 'Companion and the Worker, in front of the same bucket', () => {
  const stack = new AsyncDisposableStack()
  let sides: readonly [Side, Side]
  const table = docTable('companion', ['Request', COMPANION, WORKER])

  beforeAll(async () => {
    await shared('ownPackages', import.meta.dirname)
    const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const server = await sharedCeph({ port: 0, directory, corsOrigins: ['http://localhost:1'] })
    const { endpoint, region, bucket } = server
    const files = { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } as const
    const worker = await startBuiltWorker({
      buckets: { files },
      accessKeys: { S3: server },
      variables: { OPEN_ACCESS: 'localhost' },
    })
    stack.defer(() => worker.close())
    const base = await startCompanion(server, directory)
    stack.defer(async () => companion?.close())
    sides = [await begin(base), await begin(worker.origin)]
  })
  afterAll(() => stack.disposeAsync())

  it.each(Object.entries(REQUESTS))('%s', async (request, ask) => {
    const [theirs, ours] = [await answerOf(sides[0], ask), await answerOf(sides[1], ask)]
    const isSame = JSON.stringify(theirs) === JSON.stringify(ours)
    if (isSame) expect(table.said(request, WORKER), 'results.md lists it').toBeUndefined()
    else {
      table.found(request, COMPANION, cell(theirs, ours))
      table.found(request, WORKER, cell(ours, theirs))
    }
  })

  it('differ only as results.md lists', () => table.finish())
})
