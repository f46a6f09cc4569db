import { patternBytes } from '../../test/e2e/pattern-bytes.ts'
import {
  type Client,
  createClient,
  type FileRecord,
  PresignerError,
  type Progress,
  type UploadHandle,
} from '../src/index.ts'
import type { ClientPage, Outcome, PageFailure, PageFile, PageUpload } from './page-api.ts'
import { userOptions } from './page-user.ts'

let client: Client = createClient({ baseUrl: '' })
let tokenCalls = 0
let sent: number[] = []
let stalls: string[] = []
let controller = new AbortController()
let upload: Promise<Outcome<FileRecord>> | undefined
let handle: UploadHandle<FileRecord> | undefined

const page: ClientPage = {
  connect({ token, staleToken, headers, headersByFunction, ...options }) {
    tokenCalls = 0
    let turn = 0
    client = createClient({
      ...options,
      headers: headersByFunction ? async () => ({ ...headers, 'X-Turn': String(++turn) }) : headers,
      ...(token && {
        token: async (refused) => {
          tokenCalls++
          return staleToken !== undefined && refused !== staleToken ? staleToken : token
        },
      }),
      ...userOptions(options),
    })
  },
  tokenCalls: () => tokenCalls,
  begin: (file, options) => begin(fileOf(file), options),
  start(file, options) {
    const own = client.start(fileOf(file), { ...options, onProgress: track(file.size) })
    handle = own
    upload = settle(own.done)
  },
  handle: (action) => handle?.[action](),
  endSession: () => client.end(),
  beginChosen(options) {
    const file = document.querySelector('input')?.files?.[0]
    if (file) begin(file, options)
  },
  uploadMany: (count, file) =>
    settle(
      Promise.all(
        Array.from({ length: count }, (_, index) =>
          client.upload(fileOf({ ...file, name: `${index}-${file.name}` })),
        ),
      ),
    ),
  async abort() {
    controller.abort()
    await upload
  },
  end: () => upload ?? Promise.reject(new Error('There is no upload.')),
  progress: () => sent,
  stalls: () => stalls,
  uploadBlob: (text) => settle(client.upload(new Blob([text], { type: 'text/plain' }))),
  call: (method, ...args) => settle(Reflect.apply(client[method], client, args)),
  forbidStorage() {
    Object.defineProperty(globalThis, 'localStorage', {
      get() {
        throw new DOMException('No storage here.', 'SecurityError')
      },
    })
  },
  expireStored(expiresAt) {
    for (const [name, kept] of Object.entries({ ...localStorage }))
      localStorage.setItem(name, JSON.stringify({ ...JSON.parse(kept), expiresAt }))
  },
  stored: () => Object.keys(localStorage).filter((name) => name.startsWith('edge-presigner:')),
}

const fileOf = ({ name, type, size, lastModified, changedAt }: PageFile): File => {
  const bytes = patternBytes(size)
  if (changedAt !== undefined) bytes[changedAt] = (bytes[changedAt] ?? 0) ^ 1
  return new File([bytes], name, { type, lastModified })
}

function begin(file: File, options: PageUpload = {}): void {
  controller = new AbortController()
  const { signal } = controller
  upload = settle(client.upload(file, { ...options, onProgress: track(file.size), signal }))
}

/** Returns a function that keeps the progress of a file. */
function track(size: number): (progress: Progress) => void {
  sent = []
  stalls = []
  return ({ loaded, total, stalled }) => {
    const told = total === size ? loaded : Number.NaN
    if (told !== sent.at(-1)) sent.push(told)
    const stall = stalled?.message ?? ''
    if (stall !== (stalls.at(-1) ?? '')) stalls.push(stall)
  }
}

async function settle<T>(promise: Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await promise, failure: null }
  } catch (error) {
    return { value: null, failure: failureOf(error) }
  }
}

function failureOf(error: unknown): PageFailure {
  if (error instanceof PresignerError) {
    const { name, message, code, status, reason, requestId = '', etag = null, issues } = error
    const said = { code, status, ...(reason !== undefined && { reason }), requestId, etag, issues }
    return { name, message, type: 'PresignerError', ...said }
  }
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  return { name, message, type: error instanceof DOMException ? 'DOMException' : 'other' }
}

Object.assign(globalThis, { page })
