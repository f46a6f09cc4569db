import { createHash } from 'node:crypto'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createServerClient, type ServerClient } from '../../../client/src/server.ts'
import { patternBytes } from '../pattern-bytes.ts'
import { etagOf } from '../uppy/context.ts'
import type { ServerContext } from './context.ts'
import { MIB, SMALL_BYTES } from './context.ts'
import { startSdkWorker } from './worker.ts'

const PART_BYTES = 8 * MIB
const CHUNK_BYTES = 300_000
/** Five parts, one more than the client sends at the same time. */
const STREAM_BYTES = 4 * PART_BYTES + 7
const CONTENT = patternBytes(PART_BYTES * 3 + 5)
const TYPE = { fileName: 'a.bin', mimetype: 'application/octet-stream' }

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Yields `bytes` in chunks, and counts them. */
async function* inChunks(bytes: Uint8Array, read: { bytes: number } = { bytes: 0 }) {
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    const chunk = bytes.subarray(start, start + CHUNK_BYTES)
    read.bytes += chunk.length
    yield chunk
  }
}

/** Uploads from Node, with the real Worker and bucket. Ceph RGW gets what depends on the bucket. */
export function uploadRules(context: () => ServerContext, isCeph: boolean): void {
  let client: ServerClient
  let folder: string
  beforeAll(async () => {
    client = createServerClient(context())
    folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  })
  afterEach(() => {
    context().api.reset()
    context().puts.reset()
  })
  afterAll(() => rm(folder, { recursive: true }))

  const partPuts = () => context().puts.requests.filter(({ partNumber }) => partNumber > 0)
  /** `partBytes` is null for an object from one PUT. */
  async function expectStored(
    { key }: { readonly key: string },
    bytes: Uint8Array,
    partBytes: number | null = PART_BYTES,
  ): Promise<void> {
    if (isCeph) expect(await context().etag(key)).toBe(etagOf(bytes, partBytes))
    else expect(await context().sha256(key)).toBe(sha256(bytes))
  }
  /** Expects that the bucket has neither the object nor the parts of the last upload. */
  const expectNothing = async (): Promise<void> => {
    const [first] = partPuts()
    if (!first) throw new Error('No part was sent.')
    expect(await context().parts(first.key, first.s3UploadId)).toBeNull()
    expect(await context().exists(first.key)).toBe(false)
  }

  /** Expects the same of an upload that may have failed before its first part was sent. */
  const expectAborted = async (): Promise<void> => {
    const { api, apiKey, baseUrl } = context()
    const [{ path } = { path: '' }] = api.calls.filter(({ method }) => method === 'DELETE')
    const headers = { Authorization: `Bearer ${apiKey}` }
    expect((await fetch(baseUrl + path, { headers })).status).toBe(404)
    expect(await context().exists(new URL(path, baseUrl).searchParams.get('key') ?? '')).toBe(false)
  }

  it('sends a long stream of unknown length in parts', async () => {
    const bytes = patternBytes(STREAM_BYTES)
    const record = await client.upload(inChunks(bytes), { ...TYPE, directory: 'streams' })
    expect(record).toMatchObject({ name: 'a.bin', size: bytes.length, owner: 'key:app' })
    expect(record.key).toMatch(/^uploads\/streams\//)
    await expectStored(record, bytes)
    const count = Math.ceil(bytes.length / PART_BYTES)
    expect(partPuts()).toHaveLength(count)
    expect(await client.url(record.key)).toMatchObject({ key: record.key })
  })

  it('sends a stream of exactly one part as one part', async () => {
    const content = patternBytes(PART_BYTES)
    const record = await client.upload(inChunks(content), TYPE)
    expect(partPuts()).toHaveLength(1)
    await expectStored(record, content)
  })

  it('uploads to a chosen key, and replaces only what it is told to replace', async () => {
    for (const [key, size] of [
      ['reports/small.bin', 5],
      ['reports/large.bin', 9 * MIB],
    ] as const) {
      const send = (options: object, bytes: number = size) =>
        client.upload(inChunks(patternBytes(bytes)), { mimetype: TYPE.mimetype, key, ...options })
      const name = key.slice('reports/'.length)
      expect(await send({})).toMatchObject({ key, name, size })
      await expect(send({})).rejects.toMatchObject({ code: 'object_exists', retryable: false })
      const replaced = await send({ overwrite: true, fileName: 'Report.bin' }, size + 1)
      expect(replaced).toMatchObject({ key, name: 'Report.bin', size: size + 1 })
    }
  })

  it('completes again after a lost response, and does not start again', async () => {
    const { api } = context()
    let failures = 1
    api.failure = ({ path }) => (path.endsWith('/complete') && failures-- > 0 ? 'lost' : null)
    const record = await client.upload(inChunks(CONTENT), TYPE)
    await expectStored(record, CONTENT)
    expect(api.calls.filter(({ path }) => path.endsWith('/complete'))).toHaveLength(2)

    api.reset()
    api.failure = ({ path }) => (path === '/multipart' ? 'lost' : null)
    const lost = client.upload(inChunks(CONTENT), TYPE)
    await expect(lost).rejects.toMatchObject({ code: 'network', retryable: true })
    expect(new Set(api.calls.map(({ path }) => path))).toEqual(new Set(['/multipart']))
  })

  it('leaves nothing in the bucket after an abort, and cancels the stream', async () => {
    const controller = new AbortController()
    let canceled: unknown
    const stream = new ReadableStream<Uint8Array>({
      pull: (source) => source.enqueue(new Uint8Array(CHUNK_BYTES)),
      cancel: () => {
        canceled = true
      },
    })
    context().puts.failure = ({ partNumber }) => {
      if (partNumber === 5) controller.abort(new Error('enough'))
      return null
    }
    const uploading = client.upload(stream, { ...TYPE, signal: controller.signal })
    await expect(uploading).rejects.toThrow('enough')
    expect(canceled).toBe(true)
    await expectNothing()
  })

  it('stops a stream beyond the largest file of the bucket, and leaves nothing', async () => {
    const small = createServerClient({ ...context(), bucket: 'small' })
    expect(await small.upload(inChunks(patternBytes(SMALL_BYTES)), TYPE)).toMatchObject({
      bucket: 'small',
      size: SMALL_BYTES,
    })
    context().api.reset()
    const read = { bytes: 0 }
    const endless = inChunks(new Uint8Array(200 * MIB), read)
    await expect(small.upload(endless, TYPE)).rejects.toMatchObject({ code: 'file_too_large' })
    expect(read.bytes).toBeLessThan(100 * MIB)
    await expectAborted()

    context().api.reset()
    const longer = small.upload(inChunks(patternBytes(SMALL_BYTES + 1)), TYPE)
    await expect(longer).rejects.toMatchObject({ code: 'file_too_large' })
    await expectAborted()
  })

  // The rest is the same with each bucket.
  if (isCeph) return

  it('reads no more than four parts before the bucket has one of them', async () => {
    const { puts } = context()
    const read = { bytes: 0 }
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let most = 0
    puts.failure = async () => {
      await held
      return null
    }
    const uploading = client.upload(inChunks(patternBytes(48 * MIB), read), TYPE)
    await expect.poll(() => partPuts().length).toBe(4)
    most = read.bytes
    release()
    expect((await uploading).size).toBe(48 * MIB)
    expect(most).toBeLessThan(4 * PART_BYTES + CHUNK_BYTES)
  })

  it.each([
    { what: 'an empty stream', bytes: 0 },
    { what: 'a stream of one byte', bytes: 1 },
    { what: 'a stream of less than one part', bytes: PART_BYTES - 1 },
  ])('sends $what with one PUT and its size', async ({ bytes }) => {
    const content = patternBytes(bytes)
    const record = await client.upload(new Blob([content]).stream(), TYPE)
    expect(record.size).toBe(bytes)
    expect(context().puts.requests).toHaveLength(1)
    expect(context().api.calls.map(({ path }) => path)).toEqual(['/files/upload-url', '/files'])
    await expectStored(record, content, null)
  })

  it('sends a Buffer, a typed array, a Blob, a File and text from Node', async () => {
    const hello = Buffer.from('hello')
    const sources = [
      hello,
      new Uint16Array([0x6568, 0x6c6c]),
      new Blob(['hello'], { type: 'text/plain' }),
      new File(['hello'], 'greeting.txt', { type: 'text/plain' }),
      Readable.from(['hel', 'lo']),
    ]
    const records = await Promise.all(sources.map((source) => client.upload(source)))
    expect(records.map(({ name, mimetype, size }) => [name, mimetype, size])).toEqual([
      ['file', 'application/octet-stream', 5],
      ['file', 'application/octet-stream', 4],
      ['file', 'text/plain', 5],
      ['greeting.txt', 'text/plain', 5],
      ['file', 'application/octet-stream', 5],
    ])
    for (const [index, text] of ['hello', 'hell', 'hello', 'hello', 'hello'].entries())
      await expectStored(records[index] ?? { key: '' }, Buffer.from(text), null)
  })

  it('sends a file on disk by its path, with its name', async () => {
    const path = join(folder, 'Report 1.bin')
    await writeFile(path, CONTENT)
    const small = await client.upload(path)
    expect(small).toMatchObject({ name: 'Report 1.bin', size: CONTENT.length })
    expect(partPuts()).toEqual([])
    await expectStored(small, CONTENT, null)
    const parted = await client.upload(path, { partSize: 5 * MIB })
    expect(partPuts()).toHaveLength(5)
    await expectStored(parted, CONTENT, 5 * MIB)
  })

  it('refuses a path that does not exist, a folder, and a file that changes', async () => {
    const missing = client.upload(join(folder, 'missing'))
    await expect(missing).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(client.upload(folder)).rejects.toMatchObject({ code: 'invalid_options' })
    const path = join(folder, 'growing.bin')
    await writeFile(path, CONTENT)
    context().puts.failure = async ({ partNumber }) => {
      if (partNumber !== 1) return null
      const file = await open(path, 'a')
      await file.write('more')
      await file.close()
      return null
    }
    const growing = client.upload(path, { partSize: 5 * MIB })
    await expect(growing).rejects.toMatchObject({ code: 'file_changed' })
    await expectNothing()
  })

  describe('a stream of stated size', () => {
    it.each([
      { size: 6, parts: undefined },
      { size: CONTENT.length, parts: 5 * MIB },
    ])('is refused if it has more or fewer than $size bytes', async ({ size, parts }) => {
      for (const length of [size - 1, size + 1]) {
        const stream = inChunks(patternBytes(length))
        const asked = client.upload(stream, { ...TYPE, size, partSize: parts })
        await expect(asked).rejects.toMatchObject({ code: 'size_mismatch' })
      }
      if (parts) await expectNothing()
      else expect(context().api.calls).toEqual([])
      const stream = inChunks(patternBytes(size))
      const options = { ...TYPE, size, partSize: parts }
      expect(await client.upload(stream, options)).toMatchObject({ size })
    })
  })

  it('sends only the part again whose connection was cut', async () => {
    const cut = new Set([2])
    context().puts.failure = ({ partNumber }) => (cut.delete(partNumber) ? 'cut' : null)
    const record = await client.upload(inChunks(CONTENT), TYPE)
    await expectStored(record, CONTENT)
    const numbers = partPuts().map(({ partNumber }) => partNumber)
    expect(numbers.toSorted()).toEqual([1, 2, 2, 3, 4])
  })

  it('sends a part again that the bucket refused for a moment, with a new URL if needed', async () => {
    const failures = [503, 403, 503]
    context().puts.failure = ({ partNumber }) =>
      partNumber === 3 ? (failures.shift() ?? null) : null
    const record = await client.upload(inChunks(CONTENT), TYPE)
    await expectStored(record, CONTENT)
    expect(partPuts()).toHaveLength(7)
  })

  it('leaves nothing in the bucket if the stream fails or hangs', async () => {
    async function* failing() {
      yield CONTENT
      await expect.poll(() => partPuts().length).toBe(3)
      throw new RangeError('broken')
    }
    await expect(client.upload(failing(), TYPE)).rejects.toBeInstanceOf(RangeError)
    await expectNothing()
    context().puts.reset()

    const hanging = new Readable({ read() {} })
    hanging.push(CONTENT)
    const controller = new AbortController()
    const uploading = client.upload(hanging, { ...TYPE, signal: controller.signal })
    await expect.poll(() => partPuts().filter(({ status }) => status === 200).length).toBe(3)
    controller.abort(new Error('too slow'))
    await expect(uploading).rejects.toThrow('too slow')
    expect(hanging.destroyed).toBe(true)
    await expectNothing()
  })

  it('sends a stream from a Worker without Node, and explains that it has no paths', async () => {
    await using worker = await startSdkWorker(context())
    expect(await worker.ask('/')).toMatchObject({ name: 'a.bin', size: 12 * MIB })
    expect(partPuts()).toHaveLength(2)
    expect(await worker.ask('/path')).toEqual({
      code: 'invalid_options',
      message: 'A path needs a file system, and this runtime has none. Pass a stream.',
    })
  })
}
