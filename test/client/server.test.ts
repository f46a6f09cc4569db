import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  createServerClient,
  type DropBoxOptions,
  type PresignerError,
  type ReceivedFile,
} from '../../client/src/server.ts'
import { bucketFetch } from '../support/bucket.ts'
import { boxRequest, inFuture, outcome, visit } from '../support/drop-boxes.ts'
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
    const { key } = await client.upload(new TextEncoder().encode('hello'), {
      mimetype: 'text/plain',
    })
    expect(await (await bucketFetch(key)).text()).toBe('hello')
    const blob = new Blob(['hi'], { type: 'text/plain' })
    expect(await client.upload(blob)).toMatchObject({ size: 2, mimetype: 'text/plain' })
    const recording = new Blob(['hi'], { type: 'video/webm;codecs=vp8,opus' })
    expect(await client.upload(recording)).toMatchObject({ mimetype: 'video/webm' })
  })

  it('uploads to a key whose end is no file name', async () => {
    const key = `names/${crypto.randomUUID()}/photo\u202egpj.exe`
    const named = { key, name: 'photo_gpj.exe' }
    expect(await client.upload(new Uint8Array(5), { key })).toMatchObject(named)
    expect(
      await client.upload(stream(6), { key, overwrite: true, partSize: 5 * MIB }),
    ).toMatchObject(named)
    const unnamed = client.upload(new Uint8Array(5), { fileName: ' ' })
    await expect(unnamed).rejects.toMatchObject({ code: 'invalid_name', retryable: false })
  })

  // @threat replaced-unseen
  it('replaces only the object with the ETag of ifMatch, in one request and in parts', async () => {
    const key = `seen/${crypto.randomUUID()}`
    const { etag: seen } = await client.upload(new Uint8Array(5), { key })
    const replacing = { key, overwrite: true, partSize: 5 * MIB } as const
    const { etag } = await client.upload(new Uint8Array(6), { ...replacing, ifMatch: seen })
    for (const input of [new Uint8Array(7), stream(6)]) {
      const stale = client.upload(input, { ...replacing, ifMatch: seen })
      await expect(stale).rejects.toMatchObject({ code: 'precondition_failed', status: 412, etag })
    }
    const record = await client.upload(stream(6), { ...replacing, ifMatch: etag })
    expect(record).toMatchObject({ key, size: 6 * MIB })
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
    const { key } = await client.upload(body, { mimetype: 'text/plain' })
    expect(await (await bucketFetch(key)).text()).toBe('hello')
  })

  it('reports a path that does not exist', async () => {
    await expect(client.upload('/tmp/missing')).rejects.toMatchObject({
      code: 'ENOENT',
      message: 'upload("/tmp/missing"): no such file. To upload text, pass Buffer.from(text).',
    })
    expect(calls).toEqual([])
  })

  it('reports an error of the API with its id', async () => {
    const error: PresignerError = await client.url('../a').catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'invalid_key', status: 400, retryable: false })
    expect(error.requestId).toMatch(/^[0-9a-f-]{36}$/)
  })

  // @threat server-key-leaks
  it('refuses to run in a page', () => {
    vi.stubGlobal('window', globalThis)
    vi.stubGlobal('document', {})
    expect(() => createServerClient({ baseUrl: 'https://a', apiKey: 'b' })).toThrow(
      expect.objectContaining({ code: 'invalid_options' }),
    )
  })
})

describe('the methods of the server client', () => {
  const hello = (fileName: string) =>
    client.upload(new TextEncoder().encode('hello'), { fileName, mimetype: 'text/plain' })

  it('create a token with the limits of a user', async () => {
    const { token, expiresAt } = await client.tokens.create({
      scopes: ['files:upload'],
      subject: 'alice',
      buckets: ['files'],
      maxBytes: 10,
      allowedTypes: ['image/*'],
      maxExpiresIn: 60,
      context: { plan: 'pro' },
    })
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now())
    const user = createServerClient({
      baseUrl: 'http://localhost:8787',
      apiKey: token,
      fetch: worker.fetch,
    })
    expect(await user.limits()).toMatchObject({
      scopes: ['files:upload'],
      buckets: [{ bucket: 'files', maxBytes: 10, allowedTypes: ['image/*'] }],
    })
  })

  it('sign, rename, list and delete', async () => {
    const { key } = await hello('a.txt')
    const record = await client.rename(key, 'B.txt')
    expect(record).toMatchObject({ key, name: 'B.txt' })
    expect(await client.record(key, 'C.txt')).toEqual(record)
    const names: string[] = []
    for await (const { name } of client.list({ prefix: key, urls: 'view' })) names.push(name)
    expect(names).toEqual(['B.txt'])
    const { url } = await client.url(key, { download: 'D.txt' })
    expect((await fetch(url)).headers.get('Content-Disposition')).toMatch(/D\.txt/)
    const { link } = await client.link(key, { expiresIn: 60 })
    expect(await (await worker.fetch(link)).text()).toBe('hello')
    const [, folder = '', name = ''] = /^(.*\/)(.*)$/.exec(key) ?? []
    const { base } = await client.folderLink(folder, { expiresIn: 60 })
    expect(await (await worker.fetch(base + name)).text()).toBe('hello')
    await client.remove(key)
    await client.remove(key)
    await expect(client.rename(key, 'E.txt')).rejects.toMatchObject({ code: 'object_not_found' })
  })

  it('create, list, change and withdraw grants', async () => {
    const { key } = await hello('a.txt')
    const deadline = inFuture()
    const one = await client.createGrant(key, { deadline, uses: 1, label: 'for Ada' })
    expect(one).toMatchObject({ key, name: 'a.txt', uses: 1, usesLeft: 1, label: 'for Ada' })
    const restrictions = { notBefore: deadline, countries: ['DE'] }
    const other = await client.createGrant(key, { deadline, restrictions, password: 'xxxxxxxx' })
    expect(other).toMatchObject({ uses: null, hasPassword: true, restrictions })
    const listed: string[] = []
    for await (const { id } of client.listGrants({ pageSize: 1 })) {
      listed.push(id)
      if (listed.length === 2) break
    }
    expect(new Set(listed)).toEqual(new Set([one.id, other.id]))
    expect((await worker.fetch(one.url, { method: 'POST', redirect: 'manual' })).status).toBe(303)
    expect(await client.getGrant(one.id)).toMatchObject({ usesLeft: 0 })
    expect(await client.updateGrant(one.id, { uses: 3, label: null })).toMatchObject({
      ...{ uses: 3, usesLeft: 2, label: null, deadline },
    })
    await client.withdrawGrant(one.id)
    await client.withdrawGrant(one.id)
    await expect(client.getGrant(one.id)).rejects.toMatchObject({ code: 'not_found', status: 404 })
  })

  it('create drop boxes, list what they received, and close them', async () => {
    const { prefix, ...terms } = boxRequest({ message: 'Please.', allowedTypes: ['text/*'] })
    const options = terms as unknown as DropBoxOptions
    const box = await client.createDropBox(String(prefix), options)
    expect(box).toMatchObject({ prefix, ...terms, hasPassword: false })
    const sender = await visit(box, { sender: { name: 'Ada' } })
    for (const fileName of ['a.txt', 'b.txt'])
      expect((await sender.send('hello', { fileName })).status).toBe(201)
    const received: ReceivedFile[] = []
    for await (const file of client.listReceived(box.id, { pageSize: 1 })) received.push(file)
    expect(received).toMatchObject([
      { size: 5, mimetype: 'text/plain', sender: { name: 'Ada', note: '' } },
      { size: 5, mimetype: 'text/plain', sender: { name: 'Ada', note: '' } },
    ])
    const counted = { received: { files: 2, bytes: 10 } }
    expect(await client.getDropBox(box.id)).toMatchObject(counted)
    const { value } = await client.listDropBoxes().next()
    expect(value).toMatchObject({ id: box.id, ...counted })
    await client.closeDropBox(box.id)
    await client.closeDropBox(box.id)
    await expect(client.getDropBox(box.id)).rejects.toMatchObject({ code: 'not_found' })
    expect(await outcome(await sender.begin())).toBe('410 drop_box_closed')
  })

  it('report the error of one file among many', async () => {
    const [one, two] = [await hello('a.txt'), await hello('b.txt')]
    const keys = [one.key, '../x', two.key]
    const invalid = { error: { code: 'invalid_key' } }
    expect((await client.urls(keys)).urls).toMatchObject([
      { key: one.key, url: expect.stringMatching(/^http/) },
      { key: '../x', ...invalid },
      { key: two.key, url: expect.stringMatching(/^http/) },
    ])
    expect((await client.links(keys)).links).toMatchObject([{}, invalid, {}])
    expect((await client.removeMany(keys)).deleted).toMatchObject([
      { key: one.key },
      { key: '../x', ...invalid },
      { key: two.key },
    ])
    expect((await bucketFetch(one.key)).status).toBe(404)
    const { uploads } = await client.uploadUrls([
      { fileName: 'c.txt', mimetype: 'text/plain', size: 5 },
      { fileName: 'd.txt', mimetype: 'nonsense' },
    ])
    expect(uploads).toMatchObject([
      { method: 'PUT', bucket: 'files' },
      { fileName: 'd.txt', error: { code: 'invalid_mimetype' } },
    ])
  })
})
