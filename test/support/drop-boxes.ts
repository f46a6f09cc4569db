import {
  createExecutionContext,
  runDurableObjectAlarm,
  runInDurableObject,
  waitOnExecutionContext,
} from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, inject, vi } from 'vitest'
import { presigner } from '../../examples/everything/src/presigner.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import type { BoxObject, StoredBox } from '../../src/plugins/drop-boxes/box.ts'
import { Ledger } from '../../src/state/ledger.ts'
import { completeMultipartUpload } from '../../src/storage/multipart.ts'
import { bearer } from './credentials.ts'
import { type Begun, completeParts, type Started, sendPart } from './drop-box-parts.ts'
import { inWords } from './errors.ts'
import { stateStub } from './state-stub.ts'
import { testBucket } from './test-bucket.ts'
import { type TestWorker, testWorker } from './worker.ts'

/** A drop box as its creator sees it. */
export interface DropBox {
  readonly id: string
  readonly url: string
  readonly bucket: string
  readonly prefix: string
  readonly from: string
  readonly title: string
  readonly message: string | null
  readonly deadline: string
  readonly maxFiles: number
  readonly maxBytes: number
  readonly maxTotalBytes: number
  readonly allowedTypes: readonly string[] | null
  readonly hasPassword: boolean
  readonly createdAt: string
  readonly received: { readonly files: number; readonly bytes: number }
}

type Caller = Pick<TestWorker, 'fetch' | 'post'>

const worker: TestWorker = testWorker()

export const HOUR = 3_600_000

export const inFuture = (milliseconds = HOUR): string =>
  new Date(Date.now() + milliseconds).toISOString()

let made = 0

/** A valid request for a box below a new prefix. */
export const boxRequest = (changes: object = {}): Record<string, unknown> => ({
  prefix: `boxes/${Date.now()}-${made++}/`,
  deadline: inFuture(),
  maxFiles: 10,
  maxBytes: 1000,
  maxTotalBytes: 10_000,
  from: 'Example GmbH',
  title: 'Your documents',
  ...changes,
})

/** Creates a drop box. */
export async function createBox(
  changes: object = {},
  by: Caller = worker,
  init: RequestInit = {},
  base = '',
): Promise<DropBox> {
  const response = await by.post(`${base}/drop-boxes`, boxRequest(changes), init)
  const text = await response.text()
  expect(response.status, text).toBe(201)
  return JSON.parse(text)
}

/** How somebody comes to the page of a box. */
export interface Visitor {
  readonly ip?: string
  readonly country?: string
  readonly password?: string
  readonly sender?: { readonly name?: string; readonly note?: string }
  readonly headers?: Readonly<Record<string, string>>
}

/** Asks for a token like the page. */
export const askToken = (
  { url }: Pick<DropBox, 'url'>,
  { ip, country, password, sender, headers }: Visitor = {},
  by: Caller = worker,
): Promise<Response> =>
  by.post(
    `${url}/token`,
    { ...(password !== undefined && { password }), ...(sender && { sender }) },
    {
      headers: { ...(ip !== undefined && { 'CF-Connecting-IP': ip }), ...headers },
      ...(country === undefined ? {} : { cf: { country } as CfProperties }),
    },
  )

export async function tokenFor(
  box: Pick<DropBox, 'url'>,
  visitor: Visitor = {},
  by: Caller = worker,
): Promise<string> {
  const response = await askToken(box, visitor, by)
  const text = await response.text()
  expect(response.status, text).toBe(200)
  return JSON.parse(text).token
}

/** Requests with the token of one page. */
export interface Sender {
  readonly token: string
  post(path: string, body: object, country?: string): Promise<Response>
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Begins an upload of `size` bytes. */
  begin(size?: number, file?: object): Promise<Response>
  /** Begins an upload and sends its only part. Returns its key. */
  put(content?: string, file?: object): Promise<string>
  /** Completes an upload, also that of another sender, which records it. */
  record(key: string, more?: object): Promise<Response>
  /** Sends a whole file. */
  send(content?: string, file?: object): Promise<Response>
}

export const senderWith = (token: string, by: Caller = worker, base = ''): Sender => ({
  token,
  post: (path, body, country) =>
    by.post(base + path, body, {
      ...bearer(token),
      ...(country === undefined ? {} : { cf: { country } as CfProperties }),
    }),
  fetch: (path, init = {}) => by.fetch(base + path, { ...init, ...bearer(token) }),
  begin(size = 5, file = {}) {
    const asked = { fileName: 'a.txt', mimetype: 'text/plain', size, ...file }
    return this.post('/multipart', asked)
  },
  async put(content = 'hello', file = {}) {
    const response = await this.begin(content.length, file)
    const text = await response.text()
    expect(response.status, text).toBe(200)
    return putTo(this, JSON.parse(text), content)
  },
  record(key, more = {}) {
    const { uploadId, etag } = sent.get(key) ?? { uploadId: 'x', etag: '"x"' }
    return completeParts(this, { key, uploadId, etag }, more)
  },
  async send(content, file) {
    return this.record(await this.put(content, file))
  },
})

const S3RVER = {
  ...{ accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
  ...{ sessionToken: null, expiresAt: Number.POSITIVE_INFINITY },
}

/** The bucket of the tests, as its owner sees it. */
export const BUCKET = testBucket({
  ...{ origin: inject('s3Endpoint'), basePath: '/files/' },
  ...{ credentials: S3RVER, uploadCredentials: S3RVER },
})

/** What was sent, by key. */
const sent = new Map<string, Started>()

/** Sends the only part of an upload that has begun. Returns its key. */
export async function putTo(
  sender: Pick<Sender, 'post'>,
  begun: Begun,
  content: string,
): Promise<string> {
  sent.set(begun.key, await sendPart(sender, begun, content))
  return begun.key
}

/** Completes in the bucket what `putTo` has sent, as a Worker does that ends before it records it. */
export async function arrive(box: Pick<DropBox, 'id'>, key: string): Promise<void> {
  const s3UploadId = (await inBox(box, (ledger) => ledger.upload(key)?.s3_upload)) ?? ''
  const upload = { bucket: BUCKET, key: parseObjectKey(key), s3UploadId }
  const part = { partNumber: 1, etag: sent.get(key)?.etag ?? '' }
  await completeMultipartUpload(upload, [part], new Date())
}

/** Opens the page of a box and returns its sender. */
export const visit = async (
  box: Pick<DropBox, 'url'>,
  visitor: Visitor = {},
  by: Caller = worker,
  base = '',
): Promise<Sender> => senderWith(await tokenFor(box, visitor, by), by, base)

/** Returns the status, with the code of an error. */
export async function outcome(response: Response): Promise<string> {
  const text = await response.text()
  if (!/json/.test(response.headers.get('Content-Type') ?? '')) return `${response.status}`
  const body = JSON.parse(text)
  return body.code === undefined ? `${response.status}` : `${response.status} ${inWords(body)}`
}

/** Returns a box as its creator sees it now. */
export const currently = async (
  { id }: Pick<DropBox, 'id'>,
  by: Caller = worker,
  init: RequestInit = {},
): Promise<DropBox> => (await by.fetch(`/drop-boxes/${id}`, init)).json<DropBox>()

export interface ReceivedFile {
  readonly key: string
  readonly bucket: string
  readonly name: string
  readonly size: number
  readonly mimetype: string
  readonly receivedAt: string
  readonly sender: { readonly name: string; readonly note: string } | null
  readonly country: string | null
}

/** Returns what a box has received. */
export const receivedIn = async ({ id }: Pick<DropBox, 'id'>): Promise<readonly ReceivedFile[]> =>
  (await (await worker.fetch(`/drop-boxes/${id}/files`)).json<{ files: ReceivedFile[] }>()).files

/** Returns the object of a box. */
export const objectOf = ({ id }: Pick<DropBox, 'id'>): DurableObjectStub & BoxObject =>
  stateStub('DropBoxes', id) as unknown as DurableObjectStub & BoxObject

/** Runs `act` in the object of a box, with what it has reserved and received. */
export const inBox = <T>(
  box: Pick<DropBox, 'id'>,
  act: (ledger: Ledger<StoredBox>, storage: DurableObjectStorage) => T | Promise<T>,
): Promise<T> =>
  runInDurableObject(objectOf(box), (instance, { storage }) => {
    if (!(instance instanceof Ledger)) throw new Error('This object is not one of a drop box.')
    return act(instance, storage)
  })

/** Returns a Worker whose class of drop boxes is `DropBoxes`: an object with `getByName`. */
export const workerWith = (
  DropBoxes: { getByName(name: string, options?: object): object },
  variables: object = {},
): Caller => ({
  async fetch(path, init) {
    const context = createExecutionContext()
    const given = Reflect.get(context, 'exports') as object
    // The Worker's other exports stay.
    const all = new Proxy(given, {
      get: (target, name) => (name === 'DropBoxes' ? DropBoxes : Reflect.get(target, name)),
    })
    const own = new Proxy(context, {
      get: (target, name) => {
        if (name === 'exports') return all
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const request = new Request(new URL(path, 'http://localhost:8787'), init)
    const unlimited = { RATE_LIMITER: { limit: async () => ({ success: true }) } }
    const bindings = { ...env, ...unlimited, ...variables } as unknown as Env
    const response = await presigner.fetch(request, bindings, own)
    await waitOnExecutionContext(context)
    return response
  },
  post(path, body, init = {}) {
    const headers = new Headers(init.headers)
    headers.set('Content-Type', 'application/json')
    return this.fetch(path, { method: 'POST', ...init, headers, body: JSON.stringify(body) })
  },
})

/** What a Durable Object of a box knows of each key. */
export const holdsOf = (box: Pick<DropBox, 'id'>): Promise<{ key: string; state: string }[]> =>
  runInDurableObject(objectOf(box), (_, { storage }) =>
    storage.sql
      .exec<{ key: string; state: string }>(
        'SELECT key, state FROM uploads WHERE ends IS NOT NULL ORDER BY at, key',
      )
      .toArray(),
  )

/** Lets the object of a box do what is due after `milliseconds`. */
export async function passes(
  milliseconds: number,
  ...boxes: readonly Pick<DropBox, 'id'>[]
): Promise<void> {
  if (milliseconds > 0) {
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + milliseconds)
  }
  try {
    // What one run finds, the next one deletes.
    for (const box of boxes)
      for (let run = 0; run < 3; run++) await runDurableObjectAlarm(objectOf(box))
  } finally {
    vi.useRealTimers()
  }
}

export const MINUTE = 60_000
export const DAY = 24 * HOUR
