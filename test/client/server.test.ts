import { afterEach, describe, expect, it, vi } from 'vitest'
import { createServerClient, type PresignerError } from '../../client/src/server.ts'
import { bucketFetch } from '../support/bucket.ts'
import { testWorker } from '../support/worker.ts'

const MIB = 1024 ** 2
const worker = testWorker()
const calls: string[] = []
const client = createServerClient({
  baseUrl: 'http://localhost:8787/',
  apiKey: 'unused-on-localhost',
  fetch(url, init) {
    calls.push(`${init.method} ${new URL(url).pathname}`)
    // `npm run dev` needs no credentials, and refuses wrong ones.
    const headers = new Headers(init.headers)
    headers.delete('Authorization')
    return worker.fetch(url, { ...init, headers })
  },
})

afterEach(() => {
  calls.length = 0
  vi.unstubAllGlobals()
})

/** Returns a stream of `count` chunks of 1 MiB. */
function stream(count: number): ReadableStream<Uint8Array> {
  let sent = 0
  return new ReadableStream({
    pull(controller) {
      if (sent++ < count) controller.enqueue(new Uint8Array(MIB).fill(sent))
      else controller.close()
    },
  })
}

describe('the server client in workerd', () => {
  it('uploads bytes, and text as a Blob', async () => {
    const { key } = await client.upload(new TextEncoder().encode('hello'), { fileName: 'a.txt' })
    expect(await (await bucketFetch(key)).text()).toBe('hello')
    const blob = new Blob(['hi'], { type: 'text/plain' })
    expect(await client.upload(blob)).toMatchObject({ size: 2, mimetype: 'text/plain' })
  })

  it('uploads a stream of unknown length in parts', async () => {
    const record = await client.upload(stream(10), { fileName: 'a.bin' })
    expect(record.size).toBe(10 * MIB)
    expect(calls).toContain('POST /multipart')
    const bytes = new Uint8Array(await (await bucketFetch(record.key)).arrayBuffer())
    const firsts = Array.from({ length: 10 }, (_, index) => bytes[index * MIB])
    expect(firsts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it('uploads the body of a request', async () => {
    const { body } = new Request('https://app.example.com', { method: 'POST', body: 'hello' })
    if (body === null) throw new Error('The request has no body.')
    const { key } = await client.upload(body, { fileName: 'b.txt' })
    expect(await (await bucketFetch(key)).text()).toBe('hello')
  })

  it('reports a path that does not exist', async () => {
    await expect(client.upload('/tmp/missing')).rejects.toMatchObject({ code: 'ENOENT' })
    expect(calls).toEqual([])
  })

  it('reports an error of the API with its id', async () => {
    const error: PresignerError = await client.url('../a').catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'invalid_key', status: 400, retryable: false })
    expect(error.requestId).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('refuses to run in a page', () => {
    vi.stubGlobal('window', globalThis)
    vi.stubGlobal('document', {})
    expect(() => createServerClient({ baseUrl: 'https://a', apiKey: 'b' })).toThrow(
      expect.objectContaining({ code: 'invalid_options' }),
    )
  })
})
