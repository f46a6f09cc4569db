import { patternBytes } from '../../test/e2e/pattern-bytes.ts'
import { type Client, createClient, type FileRecord, PresignerError } from '../src/index.ts'
import type { ClientPage, Outcome, PageFault } from './page-api.ts'

let client: Client = createClient({ baseUrl: '' })
let tokenCalls = 0
let sent: number[] = []
let controller = new AbortController()
let upload: Promise<Outcome<FileRecord>> | undefined

const page: ClientPage = {
  connect({ token, headers, headersByFunction, ...options }) {
    tokenCalls = 0
    let turn = 0
    client = createClient({
      ...options,
      headers: headersByFunction ? async () => ({ ...headers, 'X-Turn': String(++turn) }) : headers,
      token:
        token &&
        (async () => {
          tokenCalls++
          return token
        }),
    })
  },
  tokenCalls: () => tokenCalls,
  begin({ name, type, size, lastModified }, options = {}) {
    const file = new File([patternBytes(size)], name, { type, lastModified })
    sent = []
    controller = new AbortController()
    const { signal } = controller
    const onProgress = ({ loaded, total }: { loaded: number; total: number }) =>
      sent.push(total === size ? loaded : Number.NaN)
    upload = settle(client.upload(file, { ...options, onProgress, signal }))
  },
  async abort() {
    controller.abort()
    await upload
  },
  end: () => upload ?? Promise.reject(new Error('There is no upload.')),
  progress: () => sent,
  uploadBlob: (text) => settle(client.upload(new Blob([text], { type: 'text/plain' }))),
  call: (method, ...args) => settle(Reflect.apply(client[method], client, args)),
  forbidStorage() {
    Object.defineProperty(globalThis, 'localStorage', {
      get() {
        throw new DOMException('No storage here.', 'SecurityError')
      },
    })
  },
  stored: () => Object.keys(localStorage),
}

async function settle<T>(promise: Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await promise, fault: null }
  } catch (error) {
    return { value: null, fault: faultOf(error) }
  }
}

function faultOf(error: unknown): PageFault {
  if (error instanceof PresignerError) {
    const { name, message, code, status, requestId = '', issues } = error
    return { name, message, type: 'PresignerError', code, status, requestId, issues }
  }
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  return { name, message, type: error instanceof DOMException ? 'DOMException' : 'other' }
}

Object.assign(globalThis, { page })
