import { Hono } from 'hono'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Scope } from '../../../src/access/scopes.ts'
import { ApiError } from '../../../src/errors/api-error.ts'
import type { Step } from '../../../src/http/host.ts'
import {
  createPresigner,
  defineSettings,
  type PresignerOptions,
  type SettingsInput,
} from '../../../src/index.ts'
import { copies } from '../../../src/plugins/copies/index.ts'
import { files } from '../../../src/plugins/files/index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { ANN } from '../../support/ann.ts'
import { jsonOf, settingsInput } from '../../support/app.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { clientOf } from '../../support/mount.ts'

const MIB = 1024 ** 2
const SIZE = 13.5 * MIB
const FROM = 'parts/source.bin'
const bytes = new Uint8Array(SIZE).map((_, i) => (i / MIB) ^ (i % 251))

/** `toEqual` takes seconds for this many bytes. */
const isWhole = (copy: Uint8Array): boolean =>
  copy.length === SIZE && copy.every((byte, i) => byte === bytes[i])

let number = 0
const newKey = (): string => {
  number += 1
  return `parts/${number}.bin`
}

/** A presigner whose large objects have more than 2 MiB. A call copies up to 11 parts, or fewer. */
function presigner(
  id = 'ann',
  maxRequests = 20,
  { plugins = [], ...more }: Partial<PresignerOptions> = {},
  settings: Partial<SettingsInput> = {},
) {
  const index = memoryFileIndex()
  const { app } = createPresigner(
    defineSettings(() => settingsInput(settings)),
    {
      plugins: [
        files({ index }),
        copies({ maxRequests }, { wholeBytes: 2 * MIB, partBytes: MIB }),
        ...plugins,
      ],
      authenticate: () => ({ ...ANN, id }),
      log: () => undefined,
      ...more,
    },
  )
  return clientOf(new Hono().route('/media', app))
}

const put = (key: string, body: BodyInit) =>
  bucketFetch(key, {
    method: 'PUT',
    body,
    headers: {
      'Content-Type': 'video/mp4',
      'x-amz-meta-color': 'red',
      'Cache-Control': 'max-age=9',
    },
  })

/**
 * Lets the bucket count tags in its responses to HEAD, unless `count` is null, and answer GetObjectTagging
 * with `xml`, or for null with 403. Returns the tags that each new copy in parts is begun with.
 */
function stubTags(count: string | null, xml: string | null): readonly (string | null)[] {
  const begun: (string | null)[] = []
  const real = fetch
  vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
    if (input.includes('tagging'))
      return xml === null
        ? new Response('<Error><Code>AccessDenied</Code></Error>', { status: 403 })
        : new Response(xml)
    if (input.endsWith('?uploads=')) begun.push(new Headers(init.headers).get('x-amz-tagging'))
    const response = await real(input, init)
    if (init.method !== 'HEAD' || count === null) return response
    const headers = new Headers(response.headers)
    headers.set('x-amz-tagging-count', count)
    return new Response(null, { status: response.status, headers })
  })
  return begun
}

interface Answer {
  readonly cursor?: string
  readonly copied?: number
  readonly size?: number
  readonly key?: string
  readonly code?: string
}

const send = async (
  app: ReturnType<typeof presigner>,
  kind: string,
  body: object,
): Promise<Answer & { status: number }> => {
  const response = await app.post(`/media/files/${kind}`, body)
  return { status: response.status, ...(await jsonOf<Answer>(response)) }
}

/** Notes `key` for each upload in parts to it that is aborted from now on. */
function abortsOf(key: string): string[] {
  const aborted: string[] = []
  const real = fetch
  vi.stubGlobal('fetch', (input: string, init: RequestInit = {}) => {
    if (init.method === 'DELETE' && input.includes(`${key}?uploadId=`)) aborted.push(key)
    return real(input, init)
  })
  return aborted
}

beforeAll(async () => {
  await put(FROM, bytes)
})
afterEach(() => vi.unstubAllGlobals())

describe('a large object', () => {
  it('is copied in parts, over several calls, with its type and metadata', async () => {
    const to = newKey()
    const app = presigner()
    const first = await send(app, 'copy', { from: FROM, to })
    expect(first).toMatchObject({ status: 202, from: FROM, to, size: SIZE })
    expect(first.copied).toBeGreaterThan(0)
    expect((await bucketFetch(to)).status).toBe(404)
    const { cursor } = first
    const last = await send(app, 'copy', { from: FROM, to, cursor })
    expect(last).toMatchObject({ status: 201, key: to, size: SIZE, mimetype: 'video/mp4' })
    const copy = await bucketFetch(to)
    expect(copy.headers.get('x-amz-meta-color')).toBe('red')
    expect(copy.headers.get('Cache-Control')).toBe('max-age=9')
    expect(new Uint8Array(await copy.arrayBuffer())).toSatisfy(isWhole)
    expect((await bucketFetch(FROM, { method: 'HEAD' })).status).toBe(200)
    // The response to the last call got lost.
    expect(await send(app, 'copy', { from: FROM, to, cursor })).toMatchObject({
      status: 201,
      key: to,
    })
  })

  // @threat move-loses
  it.each([
    ['2', 'scan=clean&a%20%26=%C3%BC%2B'],
    ['0', null],
    [null, null],
  ])('keeps its tags, of which the bucket counts %s', async (count, expected) => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes.slice(0, 3 * MIB))
    const tags = [
      ['scan', 'clean'],
      ['a &amp;', 'ü+'],
    ].map(([name, value]) => `<Tag><Key>${name}</Key><Value>${value}</Value></Tag>`)
    const sent = stubTags(count, `<Tagging><TagSet>${tags.join('')}</TagSet></Tagging>`)
    const answer = await send(presigner('ann', 45), 'move', { from, to })
    expect(answer).toMatchObject({ status: 201, key: to })
    expect(sent).toEqual([expected])
  })

  // @threat move-loses
  it('is not moved if its tags can not be read', async () => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes.slice(0, 3 * MIB))
    stubTags('1', null)
    const answer = await send(presigner('ann', 45), 'move', { from, to })
    vi.unstubAllGlobals()
    expect(answer).toMatchObject({ status: 502, code: 'storage_error' })
    expect((await bucketFetch(from, { method: 'HEAD' })).status).toBe(200)
  })

  it('does not read tags that the app replaces', async () => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes.slice(0, 3 * MIB))
    const sent = stubTags('1', null)
    const app = presigner('ann', 45, { beforeUpload: () => ({ tags: { scan: 'new' } }) })
    expect(await send(app, 'move', { from, to })).toMatchObject({ status: 201, key: to })
    expect(sent).toEqual(['scan=new'])
  })

  it('is moved in parts, and the source is deleted after the last one', async () => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes)
    const app = presigner('ann', 26)
    let answer = await send(app, 'move', { from, to })
    for (let calls = 0; answer.status === 202; calls += 1) {
      expect(calls).toBeLessThan(3)
      expect((await bucketFetch(from, { method: 'HEAD' })).status).toBe(200)
      answer = await send(app, 'move', { from, to, cursor: answer.cursor })
    }
    expect(answer).toMatchObject({ status: 201, key: to, size: SIZE })
    expect((await bucketFetch(from, { method: 'HEAD' })).status).toBe(404)
    expect(new Uint8Array(await (await bucketFetch(to)).arrayBuffer())).toSatisfy(isWhole)
    expect(await send(app, 'move', { from, to })).toMatchObject({ status: 201, key: to })
  })

  // @threat copy-bypasses
  it('is not read further if the app refuses its download in a later call', async () => {
    const to = newKey()
    let refuse: string | undefined
    const app = presigner('ann', 20, { beforeDownload: () => (refuse ? { refuse } : undefined) })
    const { cursor, status } = await send(app, 'copy', { from: FROM, to })
    expect(status).toBe(202)
    refuse = 'It is in quarantine.'
    const answer = await send(app, 'copy', { from: FROM, to, cursor })
    expect(answer).toMatchObject({ status: 403, code: 'forbidden' })
    expect((await bucketFetch(to)).status).toBe(404)
  })

  // @threat copy-bypasses
  it.each([
    ['413 file_too_large', { maxBytes: MIB }],
    ['400 mimetype_not_allowed', { allowedTypes: ['image/*'] }],
  ] as const)('is %s in a later call within limits %j', async (expected, narrower) => {
    const to = newKey()
    let limits = {}
    const app = presigner('ann', 20, { authenticate: () => ({ ...ANN, limits }) })
    const { cursor } = await send(app, 'copy', { from: FROM, to })
    limits = narrower
    const { status, code } = await send(app, 'copy', { from: FROM, to, cursor })
    expect(`${status} ${code}`).toBe(expected)
    expect((await bucketFetch(to)).status).toBe(404)
  })

  it('does not replace an object if the caller may no longer delete files in a later call', async () => {
    const to = newKey()
    await put(to, 'older')
    let scopes: readonly Scope[] = ANN.scopes
    const app = presigner('ann', 20, { authenticate: () => ({ ...ANN, scopes }) })
    const { cursor } = await send(app, 'copy', { from: FROM, to, overwrite: true })
    scopes = scopes.filter((scope) => scope !== 'files:delete')
    const answer = await send(app, 'copy', { from: FROM, to, cursor })
    expect(answer).toMatchObject({ status: 403, code: 'forbidden' })
    expect(await (await bucketFetch(to)).arrayBuffer()).toHaveProperty('byteLength', 5)
  })

  it('is not copied further if a plugin refuses the step in a later call', async () => {
    const to = newKey()
    const step = vi.fn<Step>()
    const app = presigner('ann', 20, { plugins: [{ name: 'asking', setup: () => ({ step }) }] })
    const { cursor } = await send(app, 'copy', { from: FROM, to })
    expect(step).not.toHaveBeenCalled()
    step.mockImplementationOnce(() => {
      throw new ApiError('forbidden', 'Not now.')
    })
    const answer = await send(app, 'copy', { from: FROM, to, cursor })
    expect(answer).toMatchObject({ status: 403, code: 'forbidden' })
    expect((await bucketFetch(to)).status).toBe(404)
    const told = { type: 'parts', bucket: 'files', key: to, size: SIZE }
    expect(step.mock.calls[0]?.[0]).toEqual(told)
    expect(await send(app, 'copy', { from: FROM, to, cursor })).toMatchObject({ status: 201 })
  })

  // @threat copy-bypasses
  it('is not deleted if the app refuses that in a later call of a move', async () => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes)
    let refuse: string | undefined
    const app = presigner('ann', 26, { beforeDelete: () => (refuse ? { refuse } : undefined) })
    const { cursor } = await send(app, 'move', { from, to })
    refuse = 'It is in use.'
    const answer = await send(app, 'move', { from, to, cursor })
    expect(answer).toMatchObject({ status: 403, code: 'forbidden' })
    expect((await bucketFetch(from, { method: 'HEAD' })).status).toBe(200)
  })

  // @threat move-loses
  it('of which the bucket has a part that is too short is not moved', async () => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes.slice(0, 3 * MIB))
    const real = fetch
    vi.stubGlobal('fetch', async (input: string, init?: RequestInit) => {
      const response = await real(input, init)
      if (!input.includes('max-parts')) return response
      return new Response((await response.text()).replace(`<Size>${MIB}<`, `<Size>${MIB - 1}<`))
    })
    const answer = await send(presigner('ann', 45), 'move', { from, to })
    vi.unstubAllGlobals()
    expect(answer).toMatchObject({ status: 502, code: 'storage_error' })
    expect((await bucketFetch(from, { method: 'HEAD' })).status).toBe(200)
  })

  // @threat move-loses
  it('that is replaced during the last call is not moved, even if the server does not notice', async () => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes.slice(0, 3 * MIB))
    const real = fetch
    let looks = 0
    vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
      const response = await real(input, init)
      const isLook = init.method === 'HEAD' && input.endsWith(from)
      // At first, the Worker looks what to copy, and which headers it has.
      if (!isLook || ++looks !== 3) return response
      const headers = new Headers(response.headers)
      headers.set('ETag', '"other"')
      return new Response(null, { headers })
    })
    const answer = await send(presigner('ann', 45), 'move', { from, to })
    vi.unstubAllGlobals()
    expect(answer).toMatchObject({ status: 409, code: 'file_replaced' })
    expect((await bucketFetch(from, { method: 'HEAD' })).status).toBe(200)
    expect((await bucketFetch(to)).status).toBe(404)
  })

  it('has as many parts as S3 takes', async () => {
    const to = newKey()
    const real = fetch
    const ranges: (string | null)[] = []
    vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
      const sent = new Headers(init.headers)
      if (sent.has('x-amz-copy-source')) {
        ranges.push(sent.get('x-amz-copy-source-range'))
        return new Response('<CopyPartResult/>')
      }
      const response = await real(input, init)
      const headers = new Headers(response.headers)
      if (init.method === 'HEAD' && input.endsWith(FROM))
        headers.set('Content-Length', String(15_000 * MIB))
      return new Response(response.body, { status: response.status, headers })
    })
    expect((await send(presigner(), 'copy', { from: FROM, to })).status).toBe(202)
    expect(ranges[0]).toBe(`bytes=0-${2 * MIB - 1}`)
  })

  it('is begun with the access key that copies, and not with that for uploads', async () => {
    const to = newKey()
    const [bucket] = Object.values(settingsInput().buckets)
    if (bucket === undefined) throw new Error('There is no bucket.')
    const uploadCredentials = { accessKeyId: 'WRITER', secretAccessKey: 'UNKNOWN' }
    const settings = { buckets: { files: { ...bucket, uploadCredentials } } }
    expect(
      (await send(presigner('ann', 45, {}, settings), 'copy', { from: FROM, to })).status,
    ).toBe(201)
  })

  // @threat move-loses
  it('of which the bucket lost a part is not moved', async () => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes.slice(0, 3 * MIB))
    const real = fetch
    vi.stubGlobal('fetch', (input: string, init?: RequestInit) =>
      input.includes('partNumber=2')
        ? Promise.resolve(new Response('<CopyPartResult><ETag>"e"</ETag></CopyPartResult>'))
        : real(input, init),
    )
    const answer = await send(presigner('ann', 45), 'move', { from, to })
    vi.unstubAllGlobals()
    expect(answer).toMatchObject({ status: 502, code: 'storage_error' })
    expect((await bucketFetch(to)).status).toBe(404)
    expect((await bucketFetch(from, { method: 'HEAD' })).status).toBe(200)
  })

  it('is not what somebody else has stored since the last call of a move', async () => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes)
    const app = presigner('ann', 20)
    const { cursor } = await send(app, 'move', { from, to })
    await bucketFetch(from, { method: 'DELETE' })
    await put(to, bytes)
    const answer = await send(app, 'move', { from, to, cursor })
    expect(answer).toMatchObject({ status: 404, code: 'object_not_found' })
  })

  it('goes on in each call, however many others it is sent with', async () => {
    const from = newKey()
    await put(from, bytes.slice(0, 3 * MIB))
    // As many requests as three files need without any part.
    const app = presigner('ann', 27)
    let files: { from: string; to: string }[] = [newKey(), newKey(), newKey()].map((to) => ({
      ...{ from, to },
    }))
    const done: Answer[] = []
    for (let calls = 1; files.length > 0; calls += 1) {
      expect(calls).toBeLessThan(6)
      const response = await app.post('/media/files/copy', { files })
      const { files: answers } = await jsonOf<{ files: Answer[] }>(response)
      files = files.flatMap((file, i) => {
        const { cursor, key } = answers[i] ?? {}
        if (key !== undefined) done.push(answers[i] ?? {})
        return key === undefined ? [{ ...file, ...(cursor && { cursor }) }] : []
      })
    }
    expect(done.map(({ size }) => size)).toEqual([3 * MIB, 3 * MIB, 3 * MIB])
  })

  // @threat copy-other-object
  it('that is replaced between two calls is not copied', async () => {
    const [from, to] = [newKey(), newKey()]
    await put(from, bytes)
    const app = presigner()
    const { cursor } = await send(app, 'move', { from, to })
    await put(from, bytes.slice(MIB))
    const aborted = abortsOf(to)
    const answer = await send(app, 'move', { from, to, cursor })
    expect(answer).toMatchObject({ status: 409, code: 'file_replaced' })
    expect(aborted).toEqual([to])
    expect((await bucketFetch(from, { method: 'HEAD' })).status).toBe(200)
    expect((await bucketFetch(to)).status).toBe(404)
  })

  it('does not replace an object that appears between two calls', async () => {
    const to = newKey()
    const app = presigner()
    const { cursor } = await send(app, 'copy', { from: FROM, to })
    await put(to, 'other')
    const aborted = abortsOf(to)
    const answer = await send(app, 'copy', { from: FROM, to, cursor })
    expect(answer).toMatchObject({ status: 409, code: 'object_exists' })
    expect(aborted).toEqual([to])
    expect(await (await bucketFetch(to)).arrayBuffer()).toHaveProperty('byteLength', 5)
  })
})

// @threat credential-misused
describe('a cursor', () => {
  it('is only for its principal, kind, source and target, and shows no id of S3', async () => {
    const to = newKey()
    const app = presigner()
    const { cursor = '' } = await send(app, 'copy', { from: FROM, to })
    const other = newKey()
    await put(other, bytes)
    const misuses = [
      [presigner('bob'), 'copy', { from: FROM, to, cursor }],
      [app, 'move', { from: FROM, to, cursor }],
      [app, 'copy', { from: FROM, to: newKey(), cursor }],
      [app, 'copy', { from: other, to, cursor }],
      [app, 'copy', { from: FROM, to, cursor: `${cursor}A` }],
      [app, 'copy', { from: FROM, to, cursor: 'x' }],
    ] as const
    for (const [who, kind, body] of misuses)
      expect
        .soft(await send(who, kind, body))
        .toMatchObject({ status: 400, code: 'invalid_cursor' })
    const [, claims = ''] = cursor.split('.')
    const content = JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/')))
    expect(Object.keys(content).toSorted()).toEqual([
      'etag',
      'exp',
      'name',
      'next',
      'overwrite',
      'partSize',
      'scope',
      'secret',
      'size',
      'version',
    ])
  })
})
