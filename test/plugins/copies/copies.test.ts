import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import type { FileEvent, NewFile } from '../../../src/index.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { ANN } from '../../support/ann.ts'
import { jsonOf, settingsInput } from '../../support/app.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { type Mounted, type MountOptions, mount } from '../../support/mount.ts'
import { failNextPurge } from '../../support/purge.ts'

let events: FileEvent[] = []
let number = 0
/** Returns keys that no other test uses. */
const keys = (...names: string[]): string[] => {
  number += 1
  return names.map((name) => `copies/${number}/${name}`)
}

const [bucketInput] = Object.values(settingsInput().buckets)
if (bucketInput === undefined) throw new Error('There is no bucket.')

const mounted = (options: MountOptions = {}): Mounted =>
  mount({
    events: { onEvent: (event) => void events.push(structuredClone(event)) },
    settings: {
      buckets: {
        files: bucketInput,
        again: bucketInput,
        archive: { ...bucketInput, bucket: 'archive' },
        elsewhere: { ...bucketInput, endpoint: 'https://s3.example' },
        small: { ...bucketInput, maxBytes: 3 },
        images: { ...bucketInput, allowedTypes: ['image/*'] },
      },
    },
    ...options,
  })

const put = async (key: string, body = 'pixels', headers: Record<string, string> = {}) => {
  const response = await bucketFetch(key, {
    method: 'PUT',
    body,
    headers: { 'Content-Type': 'image/png', ...headers },
  })
  expect(response.status).toBe(200)
}
const contentOf = async (key: string) => {
  const response = await bucketFetch(key)
  const content = new TextDecoder().decode(await response.arrayBuffer())
  return response.status === 200 ? content : null
}

/** Returns the status with the code, or the whole body of a success. */
async function outcome(response: Response) {
  const body = await jsonOf<{ code?: string }>(response)
  return body.code === undefined ? body : `${response.status} ${body.code}`
}

beforeEach(() => {
  events = []
})
afterEach(() => vi.unstubAllGlobals())

describe('POST /files/copy', () => {
  it('copies an object with its type and metadata, records it, and announces both keys', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from, 'pixels', { 'x-amz-meta-color': 'red', 'Cache-Control': 'max-age=60' })
    const app = mounted()
    await app.post('/media/files', { key: from, name: 'Cat.png' })
    const response = await app.post('/media/files/copy', { from, to })
    expect(response.status).toBe(201)
    const location = `/media/files/${encodeURIComponent(to)}?bucket=files`
    expect(response.headers.get('Location')).toBe(location)
    const record = await jsonOf(response)
    expect(record).toMatchObject({
      ...{ key: to, bucket: 'files', name: 'Cat.png', size: 6, mimetype: 'image/png' },
      owner: 'app:ann',
    })
    const copy = await bucketFetch(to)
    expect(copy.headers.get('x-amz-meta-color')).toBe('red')
    expect(copy.headers.get('Cache-Control')).toBe('max-age=60')
    expect(await contentOf(to)).toBe('pixels')
    expect(await contentOf(from)).toBe('pixels')
    expect(events.map(({ type }) => type)).toEqual(['recorded', 'copied'])
    expect(events[1]).toMatchObject({ file: record, from: { bucket: 'files', key: from } })
    const known = await app.fetch(`/media/files/${encodeURIComponent(to)}`)
    expect(await jsonOf(known)).toEqual(record)
  })

  it('copies between buckets of one server', async () => {
    const [key = ''] = keys('a.png')
    await put(key)
    const app = mounted()
    const body = { from: key, to: key, bucket: 'files', toBucket: 'archive' }
    expect(await outcome(await app.post('/media/files/copy', body))).toMatchObject({
      ...{ key, bucket: 'archive', size: 6 },
    })
    const url = await app.fetch(`/media/files/${encodeURIComponent(key)}/url?bucket=archive`)
    expect(await (await fetch((await jsonOf<{ url: string }>(url)).url)).text()).toBe('pixels')
  })

  it('refuses a copy to another server', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    const response = await mounted().post('/media/files/copy', { from, to, toBucket: 'elsewhere' })
    expect(await outcome(response)).toBe('501 not_supported')
  })

  it('refuses to copy a file onto itself, also by two aliases of a bucket', async () => {
    const [key = ''] = keys('a.png')
    await put(key)
    for (const kind of ['copy', 'move'])
      for (const toBucket of [undefined, 'again']) {
        const body = { from: key, to: key, toBucket, overwrite: true }
        const response = await mounted().post(`/media/files/${kind}`, body)
        expect.soft(await outcome(response), `${kind} ${toBucket}`).toBe('400 invalid_request')
      }
    expect(await contentOf(key)).toBe('pixels')
  })

  it('reports a missing source, and another ETag than the one that the client saw', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    const app = mounted()
    expect(await outcome(await app.post('/media/files/copy', { from, to }))).toBe(
      '404 object_not_found',
    )
    await put(from)
    const response = await app.post('/media/files/copy', { from, to, etag: '"other"' })
    expect(await outcome(response)).toBe('409 file_replaced')
    expect(await contentOf(to)).toBe(null)
  })

  // @threat object-replaced
  it('replaces no object without overwrite', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    await put(to, 'other')
    const app = mounted()
    expect(await outcome(await app.post('/media/files/copy', { from, to }))).toBe(
      '409 object_exists',
    )
    expect(await contentOf(to)).toBe('other')
    const response = await app.post('/media/files/copy', { from, to, overwrite: true })
    expect(await outcome(response)).toMatchObject({ key: to })
    expect(await contentOf(to)).toBe('pixels')
  })

  it('answers a repeat with the same record, but not for the file of somebody else', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const index = memoryFileIndex()
    const app = mounted({ files: { index } })
    const copy = async (as: typeof app) => outcome(await as.post('/media/files/copy', { from, to }))
    const first = await copy(app)
    expect(first).toMatchObject({ key: to, owner: 'app:ann' })
    expect(await copy(app)).toEqual(first)
    const bob = mounted({ files: { index }, authenticate: () => ({ ...ANN, id: 'bob' }) })
    expect(await copy(bob)).toBe('409 object_exists')
  })

  it('takes no other file for the result of an earlier copy, even if it has the same bytes', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    await put(to)
    const app = mounted()
    for (const record of [false, true]) {
      if (record) await app.post('/media/files', { key: to })
      const response = await app.post('/media/files/copy', { from, to })
      expect(await outcome(response)).toBe('409 object_exists')
    }
  })

  it('copies without locks in the index, which a move needs', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    for (const files of [{ index: kvFileIndex(env.FILE_INDEX) }, {}]) {
      const app = mounted({ files })
      const body = { from, to, overwrite: true }
      expect(await outcome(await app.post('/media/files/copy', body))).toMatchObject({ key: to })
      const moved = await app.post('/media/files/move', body)
      expect(moved.status).toBe(501)
      expect(await jsonOf(moved)).toMatchObject({
        code: 'not_supported',
        message: expect.stringMatching(/D1.*FILES_DB/),
      })
    }
    expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', 'pixels'])
  })

  it('refuses an object above 5 GB, each for itself, and names the command that copies it', async () => {
    const [from = '', to = '', other = ''] = keys("it's big.mp4", 'b.mp4', 'c.png')
    await put(from, 'pixels', { 'Content-Type': 'video/mp4' })
    await put(other)
    const app = mounted()
    const real = fetch
    const methods: unknown[] = []
    vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
      if (input.includes('mp4')) methods.push(init.method)
      const response = await real(input, init)
      const headers = new Headers(response.headers)
      if (init.method !== 'HEAD' || !input.includes('big')) return response
      headers.set('Content-Length', '5000000001')
      return new Response(null, { status: response.status, headers })
    })
    await app.post('/media/files', { key: from, name: 'My film.mp4' })
    methods.length = 0
    const files = [
      { from, to },
      { from: other, to: `${other}.copy` },
    ]
    for (const [kind, command] of [
      ['copy', 'cp'],
      ['move', 'mv'],
    ] as const) {
      const response = await app.post(`/media/files/${kind}`, {
        ...{ bucket: 'files', toBucket: 'archive', files },
      })
      const { files: results } = await jsonOf<{
        files: { key?: string; error?: { code: string; message: string } }[]
      }>(response)
      expect(results[0]?.error?.code).toBe('file_too_large')
      const { message = '' } = results[0]?.error ?? {}
      const quoted = from.replace("'", `'\\''`)
      expect(message).toContain(`aws s3 ${command} 's3://files/${quoted}' 's3://archive/${to}'`)
      expect(message).toContain(`--endpoint-url ${inject('s3Endpoint')}`)
      expect(message).toContain('rclone')
      const record = JSON.stringify({ key: to, name: 'My film.mp4', bucket: 'archive' })
      expect(message).toContain(`POST /files with ${record}`)
      if (kind === 'copy') expect(results[1]).toMatchObject({ key: `${other}.copy` })
    }
    expect(methods).toEqual(['HEAD', 'HEAD'])
  })

  // @threat chosen-key-generated
  it('refuses a generated key as its target', async () => {
    const [from = ''] = keys('a.png')
    await put(from)
    const to = 'uploads/0123456789abcdefghjk-a.png'
    const response = await mounted().post('/media/files/copy', { from, to })
    expect(await outcome(response)).toBe('400 invalid_key')
    expect(await contentOf(to)).toBe(null)
  })

  // @threat copy-bypasses
  it("applies the limits of the target's bucket", async () => {
    const [from = '', to = ''] = keys('a.txt', 'b.txt')
    await put(from, 'long text', { 'Content-Type': 'text/plain' })
    const app = mounted()
    const copy = async (toBucket: string) =>
      outcome(await app.post('/media/files/copy', { from, to, toBucket }))
    expect(await copy('small')).toBe('413 file_too_large')
    expect(await copy('images')).toBe('400 mimetype_not_allowed')
    expect(await contentOf(to)).toBe(null)
  })

  // @threat copy-bypasses
  it('refuses a type that runs scripts under an extension that does not', async () => {
    const [from = '', to = ''] = keys('a.html', 'b.png')
    await put(from, '<p>', { 'Content-Type': 'text/html' })
    const response = await mounted().post('/media/files/copy', { from, to })
    expect(await outcome(response)).toBe('400 type_mismatch')
  })

  // @threat copy-bypasses
  it.each([
    ['a vacant key', false, {}],
    ['an older object', true, {}],
    ['a vacant key, with a header of the app', false, { cacheControl: 'no-cache' }],
  ])(
    'keeps no copy whose type changed after the check, with the same bytes (%s)',
    async (_, overwrite, changes) => {
      const index = memoryFileIndex()
      const app = mounted({ files: { index }, beforeUpload: () => changes })
      const real = fetch
      const results: string[] = []
      for (const at of [2, 3, 4]) {
        const [from = '', to = ''] = keys('a.html', 'b.png')
        await put(from, '<script>')
        if (overwrite) {
          await put(to, 'older')
          await app.post('/media/files', { key: to })
        }
        let requests = 0
        vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
          requests += 1
          if (requests === at) await put(from, '<script>', { 'Content-Type': 'text/html' })
          return real(input, init)
        })
        const response = await app.post('/media/files/copy', { from, to, overwrite })
        vi.unstubAllGlobals()
        const { headers } = await bucketFetch(to, { method: 'HEAD' })
        results.push(`${response.status} ${headers.get('Content-Type')}`)
      }
      // The last one changes when the server has the copy, or the Worker sends the type.
      expect(results.map((result) => result.slice(0, 3))).toEqual(['409', '409', '201'])
      expect(results.join()).not.toContain('text/html')
      const { records } = await index.list({ bucket: 'files', prefix: '', limit: 1000 })
      expect(records.map(({ mimetype }) => mimetype)).not.toContain('text/html')
    },
  )

  // @threat copy-bypasses
  it('asks beforeUpload, which sees the size and the type, and may refuse', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const asked: NewFile[] = []
    const app = mounted({
      beforeUpload(file) {
        asked.push(file)
        return { refuse: 'No.' }
      },
    })
    expect(await outcome(await app.post('/media/files/copy', { from, to }))).toBe('403 forbidden')
    expect(asked).toEqual([
      expect.objectContaining({
        ...{ bucket: 'files', key: to, overwrite: false, size: 6, mimetype: 'image/png' },
        fileName: 'b.png',
      }),
    ])
    expect(await contentOf(to)).toBe(null)
  })

  it('takes only the key that the client names, whatever the app would choose', async () => {
    const [from = '', to = '', other = ''] = keys('a.png', 'b.png', 'c.png')
    await put(from)
    const app = mounted({ beforeUpload: () => ({ key: other }) })
    for (const kind of ['copy', 'move'])
      expect(await outcome(await app.post(`/media/files/${kind}`, { from, to }))).toBe(
        '403 forbidden',
      )
    expect([await contentOf(from), await contentOf(to), await contentOf(other)]).toEqual([
      'pixels',
      null,
      null,
    ])
  })

  it('replaces an object if the app says so, and keeps the metadata of the source', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    const metadata = { 'x-amz-meta-color': 'red', 'x-amz-meta-edge-presigner-upload': 'mark' }
    await put(from, 'pixels', metadata)
    await put(to, 'older')
    const scopes = ANN.scopes.filter((scope) => scope !== 'files:delete')
    const app = mounted({
      authenticate: () => ({ ...ANN, scopes }),
      beforeUpload: () => ({ overwrite: true, cacheControl: 'no-cache' }),
    })
    expect(await outcome(await app.post('/media/files/copy', { from, to }))).toMatchObject({
      key: to,
    })
    const { headers } = await bucketFetch(to)
    expect(headers.get('x-amz-meta-color')).toBe('red')
    expect(headers.get('x-amz-meta-edge-presigner-upload')).toBe(null)
    expect(headers.get('Cache-Control')).toBe('no-cache')
    expect(await contentOf(to)).toBe('pixels')
  })

  it('does not copy the mark of the upload', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    const headers = { 'x-amz-meta-color': 'red', 'x-amz-meta-edge-presigner-upload': 'mark' }
    await put(from, 'pixels', { ...headers, 'Cache-Control': 'max-age=60' })
    const response = await mounted().post('/media/files/copy', { from, to })
    expect(await outcome(response)).toMatchObject({ key: to })
    const copy = await bucketFetch(to)
    expect(copy.headers.get('x-amz-meta-edge-presigner-upload')).toBe(null)
    expect(copy.headers.get('x-amz-meta-color')).toBe('red')
    expect(copy.headers.get('Cache-Control')).toBe('max-age=60')
    expect(copy.headers.get('Content-Type')).toBe('image/png')
  })

  it('asks beforeDownload about the source', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const beforeDownload = vi.fn(() => ({ refuse: 'Not for copies.' }))
    const app = mounted({ beforeDownload })
    expect(await outcome(await app.post('/media/files/copy', { from, to }))).toBe('403 forbidden')
    expect(beforeDownload).toHaveBeenCalledOnce()
    expect(await contentOf(to)).toBe(null)
  })

  /** What happens around CopyObject, and what the response is. */
  const AROUND: Readonly<
    Record<string, (from: string, to: string, copy: () => Promise<Response>) => Promise<Response>>
  > = {
    'has another source in a copy with another ETag': async (from, to, copy) => {
      await copy()
      await put(to, 'other!')
      await put(from, 'newer!')
      const etag = (await bucketFetch(to, { method: 'HEAD' })).headers.get('ETag')
      return new Response(`<CopyObjectResult><ETag>${etag}</ETag></CopyObjectResult>`)
    },
    'is refused since its source was replaced': async (from) => {
      await put(from, 'newer!')
      return new Response('<Error><Code>PreconditionFailed</Code></Error>', { status: 412 })
    },
    'has another size, with the same ETag': async (_, to, copy) => {
      const copied = await copy()
      const real = fetch
      vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
        const response = await real(input, init)
        if (init.method !== 'HEAD' || !input.includes(to) || !response.ok) return response
        const headers = new Headers(response.headers)
        headers.set('Content-Length', '5')
        return new Response(null, { headers })
      })
      return copied
    },
    'is replaced before it is recorded': async (_, to, copy) => {
      const copied = await copy()
      const real = fetch
      let looks = 0
      vi.stubGlobal('fetch', async (input: string, init?: RequestInit) => {
        looks += input.includes(to) ? 1 : 0
        if (looks === 2) await bucketFetch(to, { method: 'PUT', body: 'theirs' })
        return real(input, init)
      })
      return copied
    },
  }

  // @threat copy-other-object
  it.each(Object.keys(AROUND))('is file_replaced, and not recorded, if it %s', async (name) => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const real = fetch
    let isSent = false
    vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
      if (isSent || !new Headers(init.headers).has('x-amz-copy-source')) return real(input, init)
      isSent = true
      return (await AROUND[name]?.(from, to, () => real(input, init))) ?? real(input, init)
    })
    const app = mounted()
    const response = await app.post('/media/files/copy', { from, to })
    expect(await outcome(response)).toBe('409 file_replaced')
    vi.unstubAllGlobals()
    expect(events.filter(({ type }) => type === 'copied')).toEqual([])
  })

  // @threat copy-undeleted
  it('purges the target whose object was gone, but not its record', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    const app = mounted({ files: { index: memoryFileIndex() } })
    for (const key of [from, to]) {
      await put(key, key)
      await app.post('/media/files', { key })
    }
    await bucketFetch(to, { method: 'DELETE' })
    const purge = failNextPurge(new Error('never'))
    purge.mockReset().mockResolvedValue(null)
    expect(await outcome(await app.post('/media/files/copy', { from, to }))).toMatchObject({
      key: to,
    })
    expect(purge).toHaveBeenCalledWith('files', [to])
  })

  // @threat copy-undeleted
  it.each(['copy', 'move'])('purges the target of a %s that may have happened', async (kind) => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const purge = failNextPurge(new Error('rate limited'))
    const real = fetch
    vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
      const response = await real(input, init)
      if (!new Headers(init.headers).has('x-amz-copy-source')) return response
      return new Response('<Error><Code>InternalError</Code></Error>', { status: 502 })
    })
    const response = await mounted().post(`/media/files/${kind}`, { from, to })
    expect(await outcome(response)).toBe('502 storage_error')
    expect(purge).toHaveBeenCalledExactlyOnceWith('files', [to])
  })

  // @threat copy-undeleted
  it.each(['the client', 'the app'])(
    'purges the edge copies of an unrecorded object that %s lets it replace',
    async (who) => {
      const [from = '', to = ''] = keys('a.png', 'b.png')
      await put(from)
      await put(to, 'older')
      const overwrite = who === 'the client'
      const app = mounted({ beforeUpload: () => (overwrite ? {} : { overwrite: true }) })
      const purge = failNextPurge(new Error('rate limited'))
      const response = await app.post('/media/files/copy', { from, to, overwrite })
      expect(await outcome(response)).toMatchObject({ key: to })
      expect(purge).toHaveBeenCalledWith('files', [to])
    },
  )

  it.each([
    ['big', { size: 'big' }],
    [null, {}],
  ])(
    'stores the metadata of beforeUpload instead of that of the source (%s)',
    async (size, metadata) => {
      const [from = '', to = ''] = keys('a.png', 'b.png')
      await put(from, 'pixels', { 'x-amz-meta-color': 'red', 'Cache-Control': 'max-age=60' })
      const app = mounted({ beforeUpload: () => ({ metadata }) })
      expect(await outcome(await app.post('/media/files/copy', { from, to }))).toMatchObject({
        key: to,
      })
      const { headers } = await bucketFetch(to)
      expect(headers.get('x-amz-meta-color')).toBe(null)
      expect(headers.get('x-amz-meta-size')).toBe(size)
      expect(headers.get('Cache-Control')).toBe('max-age=60')
      expect(headers.get('Content-Type')).toBe('image/png')
    },
  )

  // @threat copy-bypasses
  it.each([
    ['copy', 'files:read', false],
    ['copy', 'files:upload', false],
    ['copy', 'keys:choose', false],
    ['copy', 'files:delete', true],
    ['move', 'files:read', false],
    ['move', 'files:upload', false],
    ['move', 'keys:choose', false],
    ['move', 'files:delete', false],
  ] as const)(
    'needs for a %s the scope %s (with overwrite: %s)',
    async (kind, scope, overwrite) => {
      const [from = '', to = ''] = keys('a.png', 'b.png')
      await put(from)
      const scopes = ANN.scopes.filter((other) => other !== scope)
      const app = mounted({ authenticate: () => ({ ...ANN, scopes }) })
      const one = await app.post(`/media/files/${kind}`, { from, to, overwrite })
      expect(await outcome(one)).toBe('403 forbidden')
      const many = await app.post(`/media/files/${kind}`, { files: [{ from, to, overwrite }] })
      expect(JSON.stringify(await outcome(many))).toMatch(/forbidden/)
      expect(await contentOf(from)).toBe('pixels')
      expect(await contentOf(to)).toBe(null)
    },
  )

  // @threat foreign-key
  it('refuses a source and a target outside of the prefix of the caller', async () => {
    const [own = '', other = ''] = keys('team-a/a.png', 'team-b/a.png')
    await put(own)
    await put(other)
    const prefix = own.slice(0, -'a.png'.length)
    const app = mounted({ authenticate: () => ({ ...ANN, prefix }) })
    for (const kind of ['copy', 'move'])
      for (const [from, to] of [
        [other, `${prefix}b.png`],
        [own, `${other}.png`],
      ]) {
        const response = await app.post(`/media/files/${kind}`, { from, to })
        expect.soft(await outcome(response), `${kind} ${from}`).toBe('403 forbidden')
      }
  })

  // @threat foreign-key
  it('does not show a record outside of the prefix as the result of an earlier move', async () => {
    const [own = '', other = ''] = keys('team-a/a.png', 'team-b/a.png')
    await put(other)
    const index = memoryFileIndex()
    await mounted({ files: { index } }).post('/media/files', { key: other })
    const prefix = own.slice(0, -'a.png'.length)
    const app = mounted({ files: { index }, authenticate: () => ({ ...ANN, prefix }) })
    const response = await app.post('/media/files/move', { from: own, to: other })
    expect(await outcome(response)).toBe('403 forbidden')
  })

  // @threat key-two-spellings
  it('refuses a second spelling of a source and of a target, where the bucket has only one', async () => {
    const [from = '', to = ''] = keys('e\u0301.png', 'b.png')
    const buckets = { files: { ...bucketInput, normalizesKeys: true } }
    const app = mounted({ settings: { buckets } })
    for (const kind of ['copy', 'move'])
      for (const file of [
        { from, to },
        { from: to, to: from },
      ]) {
        const response = await app.post(`/media/files/${kind}`, file)
        expect.soft(await outcome(response), kind).toBe('400 invalid_key')
      }
  })

  it('sends the headers of the bucket, and the condition on the source', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const sent: Headers[] = []
    const real = fetch
    vi.stubGlobal('fetch', (input: string, init: RequestInit = {}) => {
      const headers = new Headers(init.headers)
      if (headers.has('x-amz-copy-source')) sent.push(headers)
      return real(input, init)
    })
    const uploadHeaders = { 'x-amz-storage-class': 'STANDARD_IA', 'x-amz-tagging': 'a=b' }
    const app = mounted({
      settings: { buckets: { files: { ...bucketInput, uploadHeaders, conditionalPut: true } } },
    })
    expect(await outcome(await app.post('/media/files/copy', { from, to }))).toMatchObject({
      key: to,
    })
    const [headers] = sent
    expect(Object.fromEntries(headers ?? [])).toMatchObject({
      'x-amz-copy-source': `/files/${from}`,
      'x-amz-copy-source-if-match': expect.stringMatching(/^"[0-9a-f]{32}"$/),
      'x-amz-metadata-directive': 'COPY',
      'x-amz-storage-class': 'STANDARD_IA',
      'x-amz-tagging': 'a=b',
      'x-amz-tagging-directive': 'REPLACE',
      'if-none-match': '*',
    })
  })
})

describe('POST /files/move', () => {
  it('copies, records the target, and deletes the source with its record', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const index = memoryFileIndex()
    const app = mounted({ files: { index } })
    await app.post('/media/files', { key: from, name: 'Cat.png' })
    const response = await app.post('/media/files/move', { from, to })
    expect(response.status).toBe(201)
    expect(await jsonOf(response)).toMatchObject({ key: to, name: 'Cat.png' })
    expect([await contentOf(from), await contentOf(to)]).toEqual([null, 'pixels'])
    const { records } = await index.list({ bucket: 'files', prefix: '', limit: 1000 })
    expect(records.map(({ key }) => key)).toEqual([to])
    expect(events.map(({ type, file }) => `${type} ${file.key}`)).toEqual([
      `recorded ${from}`,
      `moved ${to}`,
      `deleted ${from}`,
    ])
  })

  it('keeps the owner of a file that another principal moves', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const index = memoryFileIndex()
    const bob = mounted({ files: { index }, authenticate: () => ({ ...ANN, id: 'bob' }) })
    await bob.post('/media/files', { key: from })
    const response = await mounted({ files: { index } }).post('/media/files/move', { from, to })
    expect(await outcome(response)).toMatchObject({ key: to, owner: 'app:bob' })
  })

  it('is done when it is repeated', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const app = mounted()
    const first = await jsonOf(await app.post('/media/files/move', { from, to }))
    const again = await app.post('/media/files/move', { from, to })
    expect(again.status).toBe(201)
    expect(await jsonOf(again)).toEqual(first)
    const { etag } = first
    expect((await app.post('/media/files/move', { from, to, etag })).status).toBe(201)
    const other = await app.post('/media/files/move', { from, to, etag: `"${'0'.repeat(32)}"` })
    expect(await outcome(other)).toBe('404 object_not_found')
  })

  it('is not done by what replaced the target since then', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const app = mounted()
    expect((await app.post('/media/files/move', { from, to })).status).toBe(201)
    await put(to, 'newer!')
    expect(await outcome(await app.post('/media/files/move', { from, to }))).toBe(
      '404 object_not_found',
    )
  })

  it('reports a missing source, whatever is under the target', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    const app = mounted()
    expect(await outcome(await app.post('/media/files/move', { from, to }))).toBe(
      '404 object_not_found',
    )
    await put(to)
    await app.post('/media/files', { key: to })
    expect(await outcome(await app.post('/media/files/move', { from, to }))).toBe(
      '404 object_not_found',
    )
    expect(await contentOf(to)).toBe('pixels')
  })

  // @threat copy-bypasses
  it('asks beforeDelete also when the source is gone', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    const index = memoryFileIndex()
    await put(from)
    const moved = await mounted({ files: { index } }).post('/media/files/move', { from, to })
    expect(moved.status).toBe(201)
    const app = mounted({ files: { index }, beforeDelete: () => ({ refuse: 'It is in use.' }) })
    expect(await outcome(await app.post('/media/files/move', { from, to }))).toBe('403 forbidden')
  })

  it('asks beforeDelete about the source before anything happens', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    const asked: unknown[] = []
    const app = mounted({
      beforeDelete(file) {
        asked.push(file)
        return { refuse: 'It is in use.' }
      },
    })
    expect(await outcome(await app.post('/media/files/move', { from, to }))).toBe('403 forbidden')
    expect(asked).toEqual([{ bucket: 'files', key: from, kind: 'request' }])
    expect([await contentOf(from), await contentOf(to)]).toEqual(['pixels', null])
  })
})

describe('many files', () => {
  it('each have a result, in their order', async () => {
    const [a = '', b = '', c = '', d = ''] = keys('a.png', 'b.png', 'c.png', 'd.png')
    await put(a)
    const files = [
      { from: a, to: b },
      { from: c, to: d },
      { from: a, to: '../x' },
      { from: a, to: b },
      { from: a, to: `${d}.png`, typo: 1 },
      { from: b, to: `${d}.png` },
    ]
    const response = await mounted().post('/media/files/copy', { files })
    expect(response.status).toBe(200)
    const { files: results } = await jsonOf<{ files: { error?: { code: string } }[] }>(response)
    expect(results.map(({ error }) => error?.code)).toEqual([
      undefined,
      'object_not_found',
      'invalid_key',
      'invalid_request',
      'invalid_request',
      'invalid_request',
    ])
    expect(results[1]).toMatchObject({ from: c, to: d })
  })

  // @threat move-loses
  it('may not depend on each other: they are copied at the same time', async () => {
    const [a = '', b = '', c = '', d = ''] = keys('a.png', 'b.png', 'c.png', 'd.png')
    await put(a)
    await put(b, 'other')
    const send = async (kind: string, files: object[]) => {
      const response = await mounted().post(`/media/files/${kind}`, { files })
      const { files: results } = await jsonOf<{ files: { error?: { code: string } }[] }>(response)
      return results.map(({ error }) => error?.code)
    }
    const twice = [
      { from: a, to: c },
      { from: a, to: d },
    ]
    expect(await send('copy', twice)).toEqual([undefined, undefined])
    const onto = { from: c, to: a, overwrite: true }
    expect(await send('copy', [{ from: a, to: b, overwrite: true }, onto])).toEqual([
      undefined,
      'invalid_request',
    ])
    const [e, f] = [`${c}-e`, `${c}-f`]
    expect(
      await send('move', [
        { from: c, to: e },
        { from: c, to: f },
      ]),
    ).toEqual([undefined, 'invalid_request'])
    expect([await contentOf(e), await contentOf(f)]).toEqual(['pixels', null])
  })

  it('beyond the requests of a call are not started, and can be sent again', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `${i}.png`)
    const sources = keys(...names)
    await Promise.all(sources.map((key) => put(key)))
    const app = mounted()
    let files = sources.map((from) => ({ from, to: `${from}-copy.png` }))
    let sent = 0
    const real = fetch
    vi.stubGlobal('fetch', (input: string, init?: RequestInit) => {
      sent += 1
      return real(input, init)
    })
    for (let calls = 1; files.length > 0; calls += 1) {
      expect(calls).toBeLessThan(5)
      sent = 0
      const response = await app.post('/media/files/move', { files })
      expect(sent).toBeLessThanOrEqual(45)
      const { files: results } = await jsonOf<{ files: { error?: { code: string } }[] }>(response)
      for (const { error } of results) expect(error?.code ?? 'unavailable').toBe('unavailable')
      files = files.filter((_, i) => results[i]?.error !== undefined)
    }
    vi.unstubAllGlobals()
    for (const from of sources)
      expect([await contentOf(from), await contentOf(`${from}-copy.png`)]).toEqual([null, 'pixels'])
  })

  it.each([
    ['free', false],
    ['taken', true],
  ])('are deleted and purged together by a move to keys that are %s', async (_, overwrite) => {
    const sources = keys(...Array.from({ length: 8 }, (_, i) => `${i}.png`))
    const targets = sources.map((key) => `${key}.moved`)
    await Promise.all(sources.map((key) => put(key, key)))
    if (overwrite) await Promise.all(targets.map((key) => put(key, 'older')))
    const app = mounted({ copies: { maxRequests: 1000 } })
    const purge = failNextPurge(new Error('never'))
    purge.mockReset().mockResolvedValue(null)
    const real = fetch
    const requests: string[] = []
    vi.stubGlobal('fetch', (input: string, init: RequestInit = {}) => {
      if (init.method === 'POST' || init.method === 'DELETE') requests.push(input)
      return real(input, init)
    })
    const files = sources.map((from, i) => ({ from, to: targets[i], overwrite }))
    const response = await app.post('/media/files/move', { files })
    vi.unstubAllGlobals()
    const { files: results } = await jsonOf<{ files: { key?: string }[] }>(response)
    expect(results.map(({ key }) => key)).toEqual(targets)
    expect(requests.map((url) => new URL(url).search)).toEqual(['?delete=', '?delete='])
    const purged = purge.mock.calls.map(([, names]) => names)
    expect(purged.map(({ length }) => length)).toEqual(overwrite ? [12, 4] : [6, 2])
    const stale = [...sources, ...(overwrite ? targets : [])]
    expect(purged.flat().toSorted()).toEqual(stale.toSorted())
    for (const [i, key] of sources.entries())
      expect([await contentOf(key), await contentOf(targets[i] ?? '')]).toEqual([null, key])
  })

  it.each([
    ['copy', 3],
    ['move', 2],
  ])(
    'are fewer in a %s with a webhook and no queue, which are requests too',
    async (kind, count) => {
      const sources = keys(...Array.from({ length: 4 }, (_, i) => `${i}.png`))
      await Promise.all(sources.map((key) => put(key)))
      const real = fetch
      vi.stubGlobal('fetch', async (input: string, init?: RequestInit) =>
        input.startsWith('https://hooks.example') ? new Response(null) : real(input, init),
      )
      const webhooks = [{ url: 'https://hooks.example/', secret: `whsec_${btoa('x'.repeat(24))}` }]
      const index = memoryFileIndex()
      // Without webhooks, that is four copies or three moves.
      const maxRequests = kind === 'copy' ? 40 : 46
      const app = mounted({ files: { index }, copies: { maxRequests }, events: { webhooks } })
      const files = sources.map((from) => ({ from, to: `${from}-${kind}.png` }))
      const response = await app.post(`/media/files/${kind}`, { files })
      const { files: results } = await jsonOf<{ files: { key?: string }[] }>(response)
      expect(results.filter(({ key }) => key !== undefined)).toHaveLength(count)
    },
  )

  it('are purged in both buckets by a move from one to the other', async () => {
    const [from = '', to = ''] = keys('a.png', 'b.png')
    await put(from)
    await bucketFetch(to, { method: 'PUT', body: 'older' }, 'archive')
    const app = mounted()
    const purge = failNextPurge(new Error('never'))
    purge.mockReset().mockResolvedValue(null)
    const body = { from, to, overwrite: true, toBucket: 'archive' }
    expect(await outcome(await app.post('/media/files/move', body))).toMatchObject({ key: to })
    expect(purge.mock.calls).toEqual([
      ['files', [from]],
      ['archive', [to]],
    ])
  })

  it('count against the rate limit when they start, and not before', async () => {
    const sources = keys(...Array.from({ length: 12 }, (_, i) => `${i}.png`))
    await Promise.all(sources.map((key) => put(key)))
    let counted = 0
    const rateLimiter = {
      limit: async () => {
        counted += 1
        return { success: counted <= 4 }
      },
    }
    const files = sources.map((from) => ({ from, to: `${from}-copy.png` }))
    const app = mounted({ rateLimiter: () => rateLimiter, copies: { maxRequests: 55 } })
    const response = await app.post('/media/files/copy', { files })
    const { files: results } = await jsonOf<{ files: { error?: { code: string } }[] }>(response)
    const codes = results.map(({ error }) => error?.code ?? 'copied').toSorted()
    expect(codes).toEqual([
      ...Array.from({ length: 4 }, () => 'copied'),
      'rate_limited',
      ...Array.from({ length: 7 }, () => 'unavailable'),
    ])
    // The first one has counted as the request.
    expect(counted).toBe(5)
  })

  it('have either one file or a list', async () => {
    const app = mounted()
    for (const body of [{}, { from: 'a' }, { from: 'a', to: 'b', files: [] }, { files: [] }]) {
      const response = await app.post('/media/files/copy', body)
      expect.soft(await outcome(response)).toBe('400 invalid_request')
    }
    const both = { from: 'a', to: 'b', files: [{ from: 'a', to: 'b' }] }
    expect(await outcome(await app.post('/media/files/move', both))).toBe('400 invalid_request')
  })
})
