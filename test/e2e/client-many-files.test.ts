import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

// Imported without types, because their types exclude Node.
const CLIENT = join(import.meta.dirname, '../../client/src')
let createClient: (options: object) => { upload(file: File): Promise<{ name: string }> }
let createUploadQueue: (
  client: object,
  options: object,
) => { add(files: File[]): unknown; getSnapshot(): { status: string } }

/** Answers one PUT to the bucket. */
let answerPut: () => number
/** Answers the API, or undefined for the usual answer. */
let answerApi: (path: string, files: number) => Response | undefined
/** The requests so far, as `POST /files`, and how many files each has. */
let sent: { readonly request: string; readonly files: number }[]

class FakeRequest {
  readonly upload: { onprogress?: (event: { loaded: number }) => void } = {}
  onloadend?: () => void
  status = 0
  readonly responseText = ''
  open(): void {}
  setRequestHeader(): void {}
  abort(): void {}
  getResponseHeader = () => '"e"'
  getAllResponseHeaders = () => ''
  send(): void {
    sent.push({ request: 'PUT', files: 1 })
    setTimeout(() => {
      this.status = answerPut()
      if (this.status) this.upload.onprogress?.({ loaded: 1 })
      this.onloadend?.()
    }, 20)
  }
}

let lastKey = 0
const sign = () => ({
  ...{ uploadUrl: 'https://bucket.example.com/k', key: `k${++lastKey}`, headers: {} },
  ...{ expiresIn: 300, expiresAt: new Date(Date.now() + 300_000).toISOString() },
})
const recordOf = ({ key, name }: { key: string; name: string }) => ({
  ...{ key, bucket: 'files', name, size: 1, mimetype: 'a/b', etag: '"e"' },
  ...{ owner: null, createdAt: '2026-11-25T12:00:00.000Z' },
})

async function api(url: string, { body }: RequestInit): Promise<Response> {
  const path = url.replace('https://files.example.com', '')
  const { files = [0], ...asked } = JSON.parse(String(body))
  sent.push({ request: `POST ${path}`, files: files.length })
  await new Promise((resolve) => setTimeout(resolve, 50))
  const answer = answerApi(path, files.length)
  if (answer) return answer
  if (path === '/files/upload-urls') return Response.json({ uploads: files.map(sign) })
  if (path === '/files/upload-url') return Response.json(sign())
  if (path === '/files/batch') return Response.json({ files: files.map(recordOf) })
  return Response.json(recordOf(asked), { status: 201 })
}

const refusal = (status: number, code: string, headers = {}) =>
  Response.json({ code, message: 'No.', requestId: 'r' }, { status, headers })
const filesOf = (count: number) =>
  Array.from({ length: count }, (_, index) => new File(['x'], `${index}.txt`))
const client = () => createClient({ baseUrl: 'https://files.example.com' })
const count = (pattern: RegExp) => sent.filter(({ request }) => pattern.test(request)).length

beforeEach(async () => {
  // All uploads of a page share a line.
  vi.resetModules()
  createClient = (await import(join(CLIENT, 'index.ts'))).createClient
  createUploadQueue = (await import(join(CLIENT, 'upload-queue.ts'))).createUploadQueue
  vi.useFakeTimers()
  const page = new EventTarget()
  vi.stubGlobal('navigator', { onLine: true })
  vi.stubGlobal('location', { href: 'https://app.example.com/' })
  vi.stubGlobal('origin', 'https://app.example.com')
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page))
  vi.stubGlobal('XMLHttpRequest', FakeRequest)
  vi.stubGlobal('fetch', api)
  answerPut = () => 200
  answerApi = () => undefined
  sent = []
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

/** Uploads files all at once, and returns the names of those that are recorded. */
function uploadAll(count: number): { names: string[]; errors: unknown[] } {
  const outcome: { names: string[]; errors: unknown[] } = { names: [], errors: [] }
  const uploads = client()
  for (const file of filesOf(count))
    uploads.upload(file).then(
      ({ name }) => outcome.names.push(name),
      (error: unknown) => outcome.errors.push(error),
    )
  return outcome
}
const namesOf = (count: number) => filesOf(count).map(({ name }) => name)

describe('1,000 small files', () => {
  it('are signed by the hundred and recorded together', async () => {
    const { names, errors } = uploadAll(1000)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(errors).toEqual([])
    expect(names.toSorted()).toEqual(namesOf(1000).toSorted())
    expect(
      sent.filter(({ request }) => request.endsWith('urls')).map(({ files }) => files),
    ).toEqual(Array(10).fill(100))
    expect(count(/upload-url$/)).toBe(0)
    expect(Math.max(...sent.map(({ files }) => files))).toBe(100)
    // Four files at a time are sent in 20 ms, and a request takes 50 ms.
    expect(count(/POST \/files/)).toBeLessThan(150)
  })

  it('wait together if they are too many for the rate limit', async () => {
    let left = 300
    setInterval(() => {
      left = 300
    }, 60_000)
    answerApi = (path, files) => {
      left -= path === '/files/batch' ? files : 1
      return left < 0 ? refusal(429, 'rate_limited', { 'Retry-After': '60' }) : undefined
    }
    const { names, errors } = uploadAll(1000)
    let refused = 0
    const answer = answerApi
    answerApi = (...asked) => {
      const response = answer(...asked)
      if (response) refused++
      return response
    }
    await vi.advanceTimersByTimeAsync(900_000)
    expect(errors).toEqual([])
    expect(names).toHaveLength(1000)
    expect(refused).toBeLessThan(20)
  })
})

it('signs and records a file alone that was refused among others, and reports its error', async () => {
  answerApi = (path, files) =>
    path === '/files/upload-urls'
      ? Response.json({
          uploads: Array.from({ length: files }, (_, index) =>
            index === 1 ? { error: { code: 'type_mismatch', message: 'No.' } } : sign(),
          ),
        })
      : path === '/files/upload-url'
        ? refusal(400, 'type_mismatch')
        : undefined
  const { names, errors } = uploadAll(3)
  await vi.advanceTimersByTimeAsync(1000)
  expect(names.toSorted()).toEqual(['0.txt', '2.txt'])
  expect(errors).toMatchObject([{ code: 'type_mismatch', status: 400, requestId: 'r' }])
})

it('sends one file as before', async () => {
  const { names } = uploadAll(1)
  await vi.advanceTimersByTimeAsync(1000)
  expect(names).toEqual(['0.txt'])
  expect(sent.map(({ request }) => request)).toEqual([
    'POST /files/upload-url',
    'PUT',
    'POST /files',
  ])
})

describe('an outage of 20 seconds', () => {
  /** The API or the bucket does not respond, after one file has been uploaded. */
  async function outage(which: 'API' | 'bucket', start: () => unknown): Promise<number> {
    uploadAll(1)
    await vi.advanceTimersByTimeAsync(1000)
    let isDown = true
    setTimeout(() => {
      isDown = false
    }, 20_000)
    if (which === 'bucket') answerPut = () => (isDown ? 0 : 200)
    else
      answerApi = () => {
        if (isDown) throw new TypeError('fetch failed')
        return undefined
      }
    sent = []
    start()
    await vi.advanceTimersByTimeAsync(20_000)
    return sent.length
  }

  it.each([
    ['API', 12],
    ['bucket', 14],
  ] as const)('of the %s costs at most %i requests for 100 files', async (which, most) => {
    let outcome: { names: string[] } | undefined
    const requests = await outage(which, () => {
      outcome = uploadAll(100)
    })
    expect(requests).toBeGreaterThan(3)
    expect(requests).toBeLessThanOrEqual(most)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(outcome?.names).toHaveLength(100)
  })

  it.each(['API', 'bucket'] as const)('of the %s costs no more in a queue', async (which) => {
    const queue = createUploadQueue(client(), { concurrency: 100 })
    const requests = await outage(which, () => queue.add(filesOf(100)))
    expect(requests).toBeLessThanOrEqual(14)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(queue.getSnapshot().status).toBe('done')
  })
})
