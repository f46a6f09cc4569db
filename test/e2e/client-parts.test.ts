import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'

// Imported without types, because their types exclude Node.
const CLIENT = join(import.meta.dirname, '../../client/src')
const { sendParts } = await import(join(CLIENT, 'server/parts.ts'))
const { PresignerError } = await import(join(CLIENT, 'presigner-error.ts'))

interface Asked {
  readonly partNumbers: number[]
  readonly sizes?: number[]
}

/** The numbers of the parts in each request for URLs. */
let asked: number[][]
/** Answers a request for URLs. */
let urlsFor: (numbers: readonly number[]) => readonly number[]
/** Answers a PUT of this part. */
let answerPut: (partNumber: number, signal: AbortSignal) => Response | Promise<Response>

const stored = () => new Response(null, { headers: { ETag: '"e"' } })
const bytes = (size: number) => ({ size, blocks: [new Uint8Array(size)] })

beforeEach(() => {
  asked = []
  urlsFor = (numbers) => numbers
  answerPut = stored
  vi.stubGlobal('fetch', async (url: string, { signal }: { signal: AbortSignal }) =>
    answerPut(Number(new URL(url).pathname.slice(1)), signal),
  )
})
afterEach(() => vi.unstubAllGlobals())

/** Sends parts of one byte each, and an empty one at the end. */
function send(count: number, isSized = true): Promise<{ partNumber: number; etag: string }[]> {
  let left = count
  const api = async (
    _check: unknown,
    _method: string,
    _path: string,
    { body }: { body: Asked },
  ) => {
    asked.push(body.partNumbers)
    const expiresAt = new Date(Date.now() + 300_000).toISOString()
    const urlOf = (partNumber: number) => ({ partNumber, url: `https://bucket.test/${partNumber}` })
    return {
      urls: urlsFor(body.partNumbers).map((n) => ({ ...urlOf(n), expiresIn: 300, expiresAt })),
    }
  }
  const upload = { api, path: '/multipart/u', key: 'k', bucket: undefined, partSize: 1, isSized }
  return sendParts(upload, async () => bytes(left-- > 0 ? 1 : 0), undefined)
}

it('sends 10,000 parts, asks for no URL after them, and refuses one part more', async () => {
  const put = vi.fn(stored)
  answerPut = put
  await expect(send(10_001)).rejects.toMatchObject({ code: 'file_too_large' })
  expect(put.mock.calls.length).toBeGreaterThan(9990)
  expect(Math.max(...asked.flat())).toBe(10_000)
})

it('sends one empty part of an empty stream', async () => {
  expect(await send(0, false)).toEqual([{ partNumber: 1, etag: '"e"' }])
})

it.each([true, false])('fails if the API returns no URL for a part: sized %s', async (isSized) => {
  urlsFor = (numbers) => numbers.map((number) => number + 100)
  const failed = expect(send(isSized ? 3 : 0, isSized)).rejects
  await failed.toMatchObject({ code: 'bad_answer', message: 'No URL for part 1' })
})

it.each(['invalid_part', 'file_too_large'])(
  'signs a part alone if the API refuses the ones after it as %s',
  async (code) => {
    urlsFor = (numbers) => {
      if (numbers.length > 1) throw new PresignerError(code, 'No.', { status: 400 })
      return numbers
    }
    expect(await send(2)).toHaveLength(2)
    expect(asked.map(({ length }) => length)).toEqual([10, 1, 10, 1])
  },
)

it('fails if the bucket returns no ETag', async () => {
  answerPut = () => new Response(null)
  await expect(send(1)).rejects.toMatchObject({ code: 'bad_answer' })
})

it('has at most four parts on their way, and none after it failed', async () => {
  let running = 0
  let most = 0
  answerPut = async (partNumber, signal) => {
    most = Math.max(most, ++running)
    if (partNumber === 7) {
      running--
      return new Response('<Code>EntityTooLarge</Code>', { status: 413 })
    }
    // A request ends a moment after it is canceled.
    await new Promise((resolve) => {
      const end = () => setTimeout(resolve, 20)
      if (partNumber > 7) signal.addEventListener('abort', end)
      else setTimeout(resolve, 1)
    })
    running--
    signal.throwIfAborted()
    return stored()
  }
  await expect(send(20)).rejects.toMatchObject({ code: 'bucket_refused', status: 413 })
  expect(running).toBe(0)
  expect(most).toBe(4)
})
