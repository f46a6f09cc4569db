import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

// Imported without types, because their types exclude Node.
const CLIENT = join(import.meta.dirname, '../../client/src')
let createClient: (options: object) => {
  upload(file: File, options?: object): Promise<{ name: string }>
}
let createUploadQueue: (
  client: object,
  options: object,
) => { add(files: File[]): unknown; getSnapshot(): { status: string } }

/** Answers one PUT to the bucket, which has its bytes before. */
let answerPut: () => number
/** Answers the API, or undefined for the usual answer. */
let answerApi: (
  path: string,
  files: number,
  body: string,
) => Response | Promise<Response> | undefined
/** The requests so far, as `POST /files`, and how many files each has. */
let sent: { readonly request: string; readonly files: number }[]

class FakeRequest {
  /** How long a PUT takes. */
  static milliseconds = 20
  readonly upload: { onprogress?: (event: { loaded: number }) => void } = {}
  onloadend?: () => void
  status = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  readonly responseText = ''
  open(): void {}
  setRequestHeader(): void {}
  abort(): void {
    clearTimeout(this.timer)
    this.onloadend?.()
  }
  getResponseHeader = () => '"e"'
  getAllResponseHeaders = () => ''
  send(): void {
    sent.push({ request: 'PUT', files: 1 })
    this.timer = setTimeout(() => {
      this.status = answerPut()
      if (this.status) this.upload.onprogress?.({ loaded: 1 })
      this.onloadend?.()
    }, FakeRequest.milliseconds)
  }
}

let lastKey = 0
const sign = () => ({
  ...{ uploadUrl: 'https://bucket.example.com/k', key: `k${++lastKey}`, headers: {} },
  ...{ bucket: 'files', method: 'PUT' },
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
  const answer = answerApi(path, files.length, String(body))
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
  // The origins that have responded.
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
  return uploadWith(client(), filesOf(count))
}
function uploadWith(
  uploads: ReturnType<typeof client>,
  files: File[],
): { names: string[]; errors: unknown[] } {
  const outcome: { names: string[]; errors: unknown[] } = { names: [], errors: [] }
  for (const file of files)
    uploads.upload(file).then(
      ({ name }) => outcome.names.push(name),
      (error: unknown) => outcome.errors.push(error),
    )
  return outcome
}
const namesOf = (count: number) => filesOf(count).map(({ name }) => name)

it.each([
  { title: 'has no connection', code: 'network', status: 0 },
  { title: 'asks a server that is not available', code: 'bad_answer', status: 503 },
])('uploads wait while their token function $title', async ({ code, status }) => {
  const { PresignerError } = await import(join(CLIENT, 'index.ts'))
  let isDown = true
  const token = async () => {
    if (isDown) throw new PresignerError(code, 'No token', { status })
    return 'ept_a'
  }
  const uploads = createClient({ baseUrl: 'https://files.example.com', token })
  const outcome = uploadWith(uploads, filesOf(3))
  await vi.advanceTimersByTimeAsync(20_000)
  expect(outcome).toEqual({ names: [], errors: [] })
  isDown = false
  await vi.advanceTimersByTimeAsync(20_000)
  expect(outcome.errors).toEqual([])
  expect(outcome.names.toSorted()).toEqual(namesOf(3))
})

it('a recording has its type without its codecs, whose comma the API refuses', async () => {
  let types: unknown
  answerApi = (path, _files, body) => {
    const { files } = JSON.parse(body)
    if (path.endsWith('urls')) types = files.map(({ mimetype }: { mimetype: string }) => mimetype)
    return undefined
  }
  const outcome = uploadWith(
    client(),
    [
      'video/webm;codecs=vp8,opus',
      'video/mp4; codecs="avc1.4d, mp4a"',
      'audio/webm;codecs=opus',
    ].map((type) => new File(['x'], 'a', { type })),
  )
  await vi.advanceTimersByTimeAsync(2000)
  expect(outcome.errors).toEqual([])
  expect(types).toEqual(['video/webm', 'video/mp4', 'audio/webm;codecs=opus'])
})

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

describe('files on a line that is slow for its bytes', () => {
  /** One file in the slots of the bucket ends every `milliseconds`. */
  const slowPuts = (milliseconds: number) => {
    FakeRequest.milliseconds = 4 * milliseconds
  }
  afterEach(() => slowPuts(5))

  it('are recorded together, since a file waits for those that are on their way', async () => {
    slowPuts(100)
    const { names } = uploadAll(100)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(names).toHaveLength(100)
    expect(
      sent.filter(({ request }) => request.endsWith('batch')).map(({ files }) => files),
    ).toEqual([...Array(6).fill(16), 4])
  })

  it('wait at most two seconds', async () => {
    slowPuts(1000)
    const { names } = uploadAll(8)
    await vi.advanceTimersByTimeAsync(4000 + 50 + 50)
    expect(names).toEqual([])
    await vi.advanceTimersByTimeAsync(2100)
    expect(names.length).toBeGreaterThan(0)
  })

  it('are recorded at once if no other is on its way, and after another fails', async () => {
    const { names } = uploadAll(1)
    await vi.advanceTimersByTimeAsync(150)
    expect(names).toHaveLength(1)
    const uploads = client()
    const stop = new AbortController()
    const [one = new File([], ''), other = new File([], '')] = filesOf(2)
    slowPuts(1000)
    const done = uploads.upload(one)
    await vi.advanceTimersByTimeAsync(3000)
    const canceled = uploads.upload(other, { signal: stop.signal }).catch(() => 'canceled')
    await vi.advanceTimersByTimeAsync(1200)
    expect(count(/files$/)).toBe(1)
    stop.abort()
    await vi.advanceTimersByTimeAsync(100)
    expect(await canceled).toBe('canceled')
    expect((await done).name).toBe(one.name)
  })
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
    const queue = createUploadQueue(client(), {})
    const requests = await outage(which, () => queue.add(filesOf(100)))
    expect(requests).toBeLessThanOrEqual(14)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(queue.getSnapshot().status).toBe('done')
  })
})

it('of a bucket that takes the bytes before it refuses them, costs no more with many files', async () => {
  answerPut = () => 503
  const { errors } = uploadAll(100)
  await vi.advanceTimersByTimeAsync(300_000)
  expect(errors).toHaveLength(100)
  // Four at a time, eleven times.
  expect(count(/PUT/)).toBeLessThanOrEqual(55)
})

describe('one upload', () => {
  it('of a client without a server does not fail those of another client', async () => {
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      if (url.startsWith('https://none.example.com')) throw new TypeError('fetch failed')
      return api(url, init)
    })
    const lost = createClient({ baseUrl: 'https://none.example.com' })
    const failed = Promise.allSettled(filesOf(10).map((file) => lost.upload(file)))
    const { names } = uploadAll(3)
    await vi.advanceTimersByTimeAsync(1000)
    expect(names).toHaveLength(3)
    await vi.advanceTimersByTimeAsync(100_000)
    for (const one of await failed) expect(one).toMatchObject({ reason: { code: 'unreachable' } })
  })

  it('that can not be recorded does not delay the others', async () => {
    answerApi = (path, _files, body) => {
      if (path === '/files' && body.includes('"0.txt"')) return refusal(500, 'internal')
      if (path !== '/files/batch') return undefined
      const asked: { files: { key: string; name: string }[] } = JSON.parse(body)
      const error = { code: 'internal', message: 'No.' }
      return Response.json({
        files: asked.files.map((file) => (file.name === '0.txt' ? { error } : recordOf(file))),
      })
    }
    const { names, errors } = uploadAll(20)
    await vi.advanceTimersByTimeAsync(2000)
    expect(names).toHaveLength(19)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(errors).toMatchObject([{ code: 'internal' }])
  })

  it.each(['upload-url', 'batch'])(
    'that makes the app throw does not fail the others: %s',
    async (route) => {
      const isBad = (path: string, body: string) =>
        (route === 'batch' ? /^\/files(\/batch)?$/ : /upload-url/).test(path) &&
        body.includes('"5.txt"')
      answerApi = (path, _files, body) => (isBad(path, body) ? refusal(500, 'internal') : undefined)
      const { names, errors } = uploadAll(20)
      await vi.advanceTimersByTimeAsync(3000)
      expect(names).toHaveLength(19)
      await vi.advanceTimersByTimeAsync(100_000)
      expect(errors).toMatchObject([{ code: 'internal' }])
    },
  )

  it.each(['while it waits for its record', 'as soon as it is sent'])(
    'that is canceled %s is not recorded',
    async (when) => {
      const bodies: string[] = []
      answerApi = (path, _files, body) => {
        if (!/^\/files(\/batch)?$/.test(path)) return undefined
        bodies.push(body)
        return bodies.length === 1
          ? new Promise((resolve) =>
              setTimeout(() => resolve(Response.json(recordOf(JSON.parse(body)))), 3000),
            )
          : undefined
      }
      const uploads = client()
      const stop = new AbortController()
      let answered = 0
      const start = (file: File) =>
        uploads.upload(file, file.name === '3.txt' ? { signal: stop.signal } : {}).catch(() => 'no')
      const [first = new File([], ''), ...others] = filesOf(4)
      const results = [start(first)]
      await vi.advanceTimersByTimeAsync(500) // its record takes three seconds
      results.push(...others.map(start))
      if (when === 'as soon as it is sent')
        answerPut = () => {
          if (++answered === 4) queueMicrotask(() => stop.abort())
          return 200
        }
      await vi.advanceTimersByTimeAsync(1000)
      stop.abort()
      await vi.advanceTimersByTimeAsync(10_000)
      expect(await Promise.all(results)).toMatchObject([{}, {}, {}, 'no'])
      expect(bodies.join()).toContain('2.txt')
      expect(bodies.join()).not.toContain('3.txt')
    },
  )

  it('that is canceled while it is signed with others is not sent', async () => {
    answerApi = (path, files) =>
      path === '/files/upload-urls'
        ? new Promise((resolve) => {
            const answer = { uploads: Array.from({ length: files }, sign) }
            setTimeout(() => resolve(Response.json(answer)), 3000)
          })
        : undefined
    const uploads = client()
    const stop = new AbortController()
    const results = Promise.allSettled(
      filesOf(6).map((file) => uploads.upload(file, { signal: stop.signal })),
    )
    await vi.advanceTimersByTimeAsync(1000)
    stop.abort()
    await vi.advanceTimersByTimeAsync(10_000)
    expect((await results).every(({ status }) => status === 'rejected')).toBe(true)
    expect(count(/PUT/)).toBe(0)
  })

  it('that is canceled in an outage leaves none for the next upload', async () => {
    const uploads = client()
    let tries = 0
    vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
      tries++
      if (tries === 1) throw new TypeError('fetch failed')
      return tries > 2
        ? api(url, init)
        : new Promise((_, reject) => {
            init.signal?.addEventListener('abort', () => reject(init.signal?.reason))
          })
    })
    const stop = new AbortController()
    const canceled = uploads.upload(filesOf(1)[0] as File, { signal: stop.signal })
    const ended = expect(canceled).rejects.toThrow(/abort/)
    await vi.advanceTimersByTimeAsync(5000)
    expect(tries).toBe(2)
    stop.abort()
    await vi.advanceTimersByTimeAsync(60_000)
    await ended
    const next = uploads.upload(filesOf(1)[0] as File)
    await vi.advanceTimersByTimeAsync(2000)
    expect((await next).name).toBe('0.txt')
    expect(tries).toBe(4)
  })

  it('that is canceled while its SHA-256 is computed is not signed with others', async () => {
    const uploads = client()
    const stop = new AbortController()
    const [file = new File([], '')] = filesOf(1)
    const canceled = uploads.upload(file, { signal: stop.signal, sha256: true })
    const failed = expect(canceled).rejects.toThrow(/abort/)
    stop.abort()
    await failed
    await file.arrayBuffer()
    for (let i = 0; i < 3; i++) await crypto.subtle.digest('SHA-256', new Uint8Array(1))
    const { names } = uploadWith(uploads, filesOf(2))
    await vi.advanceTimersByTimeAsync(2000)
    expect(names).toHaveLength(2)
    expect(sent[0]).toEqual({ request: 'POST /files/upload-urls', files: 2 })
  })

  it('that is canceled like all others of its request ends that request, in an outage too', async () => {
    const uploads = client()
    let begun = 0
    answerApi = (path, _files, body) => {
      if (path === '/files/batch') throw new TypeError('fetch failed')
      return path === '/files' && begun++ === 0
        ? new Promise((resolve) =>
            setTimeout(() => resolve(Response.json(recordOf(JSON.parse(body)))), 3000),
          )
        : undefined
    }
    const stop = new AbortController()
    const [first = new File([], ''), ...others] = filesOf(4)
    const recorded = uploads.upload(first)
    await vi.advanceTimersByTimeAsync(500)
    const results = Promise.allSettled([
      recorded,
      ...others.map((file) => uploads.upload(file, { signal: stop.signal })),
    ])
    await vi.advanceTimersByTimeAsync(5000)
    expect(count(/batch/)).toBeGreaterThan(1)
    const before = sent.length
    stop.abort()
    await vi.advanceTimersByTimeAsync(100_000)
    expect(sent).toHaveLength(before)
    expect((await results).map(({ status }) => status)).toEqual([
      'fulfilled',
      ...Array(3).fill('rejected'),
    ])
    expect(vi.getTimerCount()).toBe(0)
  })
})
