import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  createPresigner,
  defineSettings,
  type FileEvent,
  type NewFile,
  type PresignerOptions,
  type UploadChanges,
} from '../../src/index.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { type FileIndex, noFileIndex } from '../../src/records/file-index.ts'
import type { BucketInput } from '../../src/settings/input.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, type SettingsChanges, settingsInput, upload } from '../support/app.ts'
import { everyPlugin } from '../support/every-plugin.ts'
import { clientOf, type Mounted, mount } from '../support/mount.ts'
import {
  answer,
  completed,
  found,
  listed,
  partXml,
  scriptedBucket,
  started,
} from '../support/scripted-bucket.ts'

afterEach(() => vi.unstubAllGlobals())

/** Returns the key in a response, wherever it is. */
async function keyOf(response: Response): Promise<string> {
  const body = await jsonOf<{ key?: string; fields?: { key?: string } }>(response)
  return body.key ?? body.fields?.key ?? JSON.stringify(body)
}

const file = { fileName: 'cat.png', mimetype: 'image/png' }

/** Every request that starts an upload, without options. */
const STARTS: Readonly<Record<string, (app: Mounted) => Promise<Response>>> = {
  'POST /files/upload-url': (app) => app.post('/media/files/upload-url', file),
  'POST /multipart': (app) => app.post('/media/multipart', { ...file, size: 5 }),
  'GET /s3/params': (app) => app.fetch('/media/s3/params?filename=cat.png&type=image/png'),
  'POST /s3/multipart': (app) =>
    app.post('/media/s3/multipart', { filename: 'cat.png', type: 'image/png' }),
  'POST /s3/sign (create)': (app) =>
    app.post('/media/s3/sign', { method: 'POST', key: 'cat.png', contentType: 'image/png' }),
  'POST /s3/sign (put)': (app) =>
    app.post('/media/s3/sign', { method: 'PUT', key: 'cat.png', contentType: 'image/png' }),
}

/** Returns settings with one bucket that has limits. */
const limited = (limits: Partial<BucketInput>): SettingsChanges => {
  const [files] = Object.values(settingsInput().buckets)
  if (files === undefined) throw new Error('There is a bucket.')
  return { buckets: { files: { ...files, ...limits } } }
}

/** The same requests for a chosen key. */
const CHOICES: typeof STARTS = {
  'POST /files/upload-url': (app) => app.post('/media/files/upload-url', { ...png, key: CHOSEN }),
  'POST /multipart': (app) => app.post('/media/multipart', { ...png, key: CHOSEN, size: 5 }),
  'GET /s3/params': (app) =>
    app.fetch(`/media/s3/params?filename=42.png&type=image/png&objectKey=${CHOSEN}`),
  'POST /s3/multipart': (app) =>
    app.post('/media/s3/multipart', { filename: '42.png', type: 'image/png', objectKey: CHOSEN }),
  'POST /s3/sign (create)': (app) => app.post('/media/s3/sign', { ...sign, method: 'POST' }),
  'POST /s3/sign (put)': (app) => app.post('/media/s3/sign', { ...sign, method: 'PUT' }),
}
const CHOSEN = 'no-such-avatars/42.png'
const png = { mimetype: 'image/png' }
const sign = { key: '42.png', contentType: 'image/png', objectKey: CHOSEN }

describe('beforeUpload, for each request that starts an upload with a chosen key,', () => {
  it('receives the key, and may refuse it', async () => {
    for (const [name, start] of Object.entries(CHOICES)) {
      const seen: NewFile[] = []
      const beforeUpload = (asked: NewFile) => {
        seen.push(asked)
        return { refuse: 'Not this one.' }
      }
      const response = await start(mount({ beforeUpload }))
      const refusal = { code: 'forbidden', message: 'Not this one.' }
      expect.soft(response.status, name).toBe(403)
      expect.soft(await response.json(), name).toMatchObject(refusal)
      const asked = { key: CHOSEN, overwrite: false, fileName: '42.png' }
      expect.soft(seen, name).toMatchObject([asked])
    }
  })

  it('may change the metadata, but a folder from it refuses the key', async () => {
    for (const [name, start] of Object.entries(CHOICES)) {
      const metadata = await start(mount({ beforeUpload: () => ({ metadata: { a: 'b' } }) }))
      expect.soft(await keyOf(metadata), name).toBe(CHOSEN)
      const directory = await start(mount({ beforeUpload: () => ({ directory: 'anns' }) }))
      expect.soft(directory.status, name).toBe(403)
      expect.soft(await directory.json(), name).toMatchObject({ code: 'forbidden' })
    }
  })
})

describe('beforeUpload, for each request that starts an upload,', () => {
  it('receives the file and its uploader', async () => {
    for (const [name, start] of Object.entries(STARTS)) {
      const beforeUpload = vi.fn((_: NewFile, __: unknown, c: { req: { path: string } }) => {
        expect.soft(c.req.path, name).toMatch('/media/')
        return undefined
      })
      const app = mount({ beforeUpload })
      expect.soft(await keyOf(await start(app)), name).toMatch(/^uploads\/[^/]+-cat\.png$/)
      const [asked, principal] = beforeUpload.mock.lastCall ?? []
      const { metadata, ...known } = asked ?? {}
      expect.soft(metadata ?? {}, name).toEqual({})
      expect.soft(known, name).toEqual({
        ...file,
        bucket: 'files',
        size: name === 'POST /multipart' ? 5 : undefined,
        directory: undefined,
      })
      expect.soft(principal, name).toMatchObject({ id: 'app:ann', prefix: '' })
      expect.soft(beforeUpload, name).toHaveBeenCalledTimes(1)
    }
  })

  it('gets the principal of a token, and in `c` the cookie that came with it', async () => {
    const seen: unknown[] = []
    const app = mount({
      authenticate: (c) => ({ ...ANN, id: c.req.header('Cookie') ?? 'ann', prefix: 'ann/' }),
      beforeUpload: (_, { id, prefix }, c) => void seen.push([id, prefix, c.req.header('Cookie')]),
    })
    const minted = await app.post('/media/tokens', { scopes: ['files:upload'] })
    const { token } = await jsonOf<{ token: string }>(minted)
    const headers = { Authorization: `Bearer ${token}`, Cookie: 'bob' }
    const path = '/media/files/upload-url'
    expect((await app.post(path, file, { headers })).status).toBe(200)
    expect((await app.post(path, file, { headers: { Cookie: 'bob' } })).status).toBe(200)
    expect(seen).toEqual([
      ['app:ann', 'ann/', 'bob'],
      ['app:bob', 'ann/', 'bob'],
    ])
  })

  it('replaces all metadata of the client, with more names than a client may send', async () => {
    const sent = { ...file, metadata: { mine: '1' } }
    const headersAfter = async (changes: UploadChanges) => {
      const app = mount({ beforeUpload: () => changes })
      const response = await app.post('/media/files/upload-url', sent)
      return (await jsonOf<{ headers: object }>(response)).headers
    }
    const type = { 'Content-Type': 'image/png' }
    expect(await headersAfter({ directory: 'a' })).toEqual({ ...type, 'x-amz-meta-mine': '1' })
    expect(await headersAfter({ metadata: {} })).toEqual(type)
    const metadata = { Camera_ID: '7', 'lens.mm': '50' }
    const named = { 'x-amz-meta-camera_id': '7', 'x-amz-meta-lens.mm': '50' }
    expect(await headersAfter({ metadata })).toEqual({ ...type, ...named })
  })

  it('blames the request for metadata and directories of the app that are too long', async () => {
    for (const [changes, code] of [
      [{ metadata: { a: 'x'.repeat(2048) } }, 'invalid_request'],
      [{ directory: 'x'.repeat(1000) }, 'invalid_key'],
    ] as const) {
      const app = mount({ beforeUpload: () => changes })
      const response = await app.post('/media/files/upload-url', file)
      expect(response.status).toBe(400)
      expect(await jsonOf(response)).toMatchObject({ code })
    }
  })

  it('accepts the upload if it returns nothing, in every way to write that', async () => {
    const seen: string[] = []
    const note = ({ fileName }: { fileName: string }): void => void seen.push(fileName)
    for (const beforeUpload of [
      note,
      async (file: NewFile) => note(file),
      async (file: NewFile): Promise<void> => note(file),
    ] satisfies NonNullable<PresignerOptions['beforeUpload']>[])
      expect((await mount({ beforeUpload }).post('/media/files/upload-url', file)).status).toBe(200)
    expect(seen).toHaveLength(3)
  })

  it('moves the file to a directory, and adds signed metadata', async () => {
    for (const [name, start] of Object.entries(STARTS)) {
      const sent = /multipart|create/.test(name)
        ? scriptedBucket({ CreateMultipartUpload: started('i') })
        : []
      const app = mount({
        authenticate: () => ({ ...ANN, prefix: 'ann/' }),
        beforeUpload: async () => ({ directory: 'avatars/2026', metadata: { owner: 'Änn' } }),
      })
      const response = await start(app)
      const text = await response.clone().text()
      const key = /^ann\/uploads\/avatars\/2026\/[^/]+-cat\.png$/
      expect.soft(await keyOf(response), name).toMatch(key)
      // Here the upload starts at the signed URL.
      if (name.includes('create')) await app.fetch(JSON.parse(text).url, { method: 'POST' })
      const signed = sent[0]?.headers.get('x-amz-meta-owner') ?? text
      const owner =
        name === 'GET /s3/params' ? /"x-amz-meta-owner":"Änn"/ : /=\?UTF-8\?B\?w4Rubg==\?=/
      expect.soft(signed, name).toMatch(owner)
      vi.unstubAllGlobals()
    }
  })

  // @threat app-before-upload
  it('refuses it with a message, before anything is signed or sent to the bucket', async () => {
    const sent = scriptedBucket({})
    const message = 'Your quota is used up.'
    const app = mount({ beforeUpload: () => ({ refuse: message }) })
    for (const [name, start] of Object.entries(STARTS)) {
      const response = await start(app)
      expect.soft(response.status, name).toBe(403)
      expect.soft(await jsonOf(response), name).toMatchObject({
        code: 'forbidden',
        message,
        ...(name.includes('/s3/') ? { error: message } : {}),
      })
      expect.soft(sent, name).toEqual([])
    }
  })

  it('is not called for a type that the bucket does not accept', async () => {
    const beforeUpload = vi.fn(() => undefined)
    const app = mount({ beforeUpload, settings: limited({ allowedTypes: ['video/*'] }) })
    for (const [name, start] of Object.entries(STARTS)) {
      const response = await start(app)
      expect.soft(response.status, name).toBe(400)
      expect.soft(await jsonOf(response), name).toMatchObject({ code: 'mimetype_not_allowed' })
      expect.soft(beforeUpload, name).not.toHaveBeenCalled()
    }
  })

  it('is not called for a principal that must not upload', async () => {
    const beforeUpload = vi.fn(() => undefined)
    const app = mount({ beforeUpload, authenticate: () => ({ ...ANN, scopes: ['files:read'] }) })
    for (const [name, start] of Object.entries(STARTS)) {
      expect.soft((await start(app)).status, name).toBe(403)
      expect.soft(beforeUpload, name).not.toHaveBeenCalled()
    }
  })
})

describe('beforeUpload', () => {
  it.each([
    ['/media/files/upload-url', { ...file, size: 101 }, 'file_too_large'],
    ['/media/files/upload-url', file, 'size_required'],
    ['/media/multipart', { ...file, size: 101 }, 'file_too_large'],
    ['/media/s3/sign', { method: 'PUT', key: 'cat.png', size: 101 }, 'file_too_large'],
    ['/media/s3/sign', { method: 'PUT', key: 'cat.png' }, 'size_required'],
  ])(
    'is not called for a size that the bucket does not accept: %s %j',
    async (path, body, code) => {
      const beforeUpload = vi.fn(() => undefined)
      const app = mount({ beforeUpload, settings: limited({ maxBytes: 100 }) })
      expect(await jsonOf(await app.post(path, body))).toMatchObject({ code })
      expect(beforeUpload).not.toHaveBeenCalled()
    },
  )

  // @threat app-before-upload
  it.each<readonly [string, unknown]>([
    ['false', false],
    ['a string', 'no'],
    ['an error', new Error('no')],
    ['an unknown member', { reject: 'no' }],
    ['an empty refusal', { refuse: '' }],
    ['a refusal without a message', { refuse: true }],
    ['a directory with a trailing slash', { directory: 'a/' }],
    ['a directory that starts with dot segments', { directory: '../ann' }],
    ['a directory that contains dot segments', { directory: 'a/../../b' }],
    ['an empty directory', { directory: '' }],
    ['a directory that is not a string', { directory: 7 }],
    ['a directory with a line break', { directory: 'a\nb' }],
    ['metadata with an invalid header name', { metadata: { 'A b': 'c' } }],
    ['metadata that is not a string', { metadata: { a: 7 } }],
    ['metadata with the name of the presigner', { metadata: { 'Edge-Presigner-Upload': 'x' } }],
    ['metadata called __proto__', { metadata: JSON.parse('{"__proto__":"x"}') }],
  ])(
    'that returns %s is an error in the app: answers 500 and signs nothing',
    async (_, changes) => {
      const app = mount({ beforeUpload: () => changes as UploadChanges })
      const response = await app.post('/media/files/upload-url', file)
      expect(response.status).toBe(500)
      expect(await jsonOf(response)).toMatchObject({ code: 'internal' })
      expect(app.lines[0]?.reason).toContain('beforeUpload returned an invalid value')
    },
  )

  it.each([undefined, null, {}])('that returns %j changes nothing', async (changes) => {
    const app = mount({ beforeUpload: () => changes as undefined })
    const response = await app.post('/media/files/upload-url', { ...file, directory: 'mine' })
    expect(await keyOf(response)).toMatch(/^uploads\/mine\/[^/]+-cat\.png$/)
  })

  it('is not called for the parts of an upload that it has allowed', async () => {
    const beforeUpload = vi.fn(() => undefined)
    const app = mount({ beforeUpload })
    const begun = await jsonOf(await app.post('/media/multipart', { ...file, size: 5 }))
    const parts = { key: begun.key, partNumbers: [1] }
    expect((await app.post(`/media/multipart/${begun.uploadId}/urls`, parts)).status).toBe(200)
    expect(beforeUpload).toHaveBeenCalledTimes(1)
  })
})

/** An app that records its events, and fails for the first `failures` of them. */
function listening(failures = 0, index: FileIndex = memoryFileIndex()) {
  const events: FileEvent[] = []
  let left = failures
  const app = mount({
    files: { index: () => index },
    events: {
      async onEvent(event) {
        await Promise.resolve()
        events.push(event)
        left -= 1
        if (left >= 0) throw new Error('the database is down')
      },
    },
  })
  return { app, events }
}

/** Returns a value that contains itself. */
function cycle(): object {
  const value: { self?: object } = {}
  value.self = value
  return value
}

describe('onEvent', () => {
  it('receives a recorded and a deleted file, before the client gets the response', async () => {
    const { app, events } = listening()
    const key = await upload(app, '/media')
    const record = await jsonOf(await app.post('/media/files', { key, name: 'Cat.png' }))
    const timestamp = expect.stringMatching(/^20\d\d-\d\d-\d\dT.*Z$/)
    const actor = { principal: 'app:ann', subject: null, context: null, timestamp }
    expect(events).toEqual([{ type: 'recorded', file: record, ...actor }])

    expect((await app.fetch(`/media/files/${key}`, { method: 'DELETE' })).status).toBe(204)
    expect(events.at(-1)).toEqual({ type: 'deleted', file: { bucket: 'files', key }, ...actor })
    expect(events).toHaveLength(2)
  })

  it('receives "replaced" when the index had a different upload under the key', async () => {
    let tag = '"one"'
    const head = (size: number) => (sent: Parameters<ReturnType<typeof found>>[0]) => {
      const response = found(size)(sent) as Response
      const headers = new Headers(response.headers)
      headers.set('ETag', tag)
      return new Response(null, { headers })
    }
    scriptedBucket({ HeadObject: head(5) })
    const { app, events } = listening()
    const body = { key: 'a.mp4', name: 'a.mp4' }
    await app.post('/media/files', body)
    await app.post('/media/files', body)
    tag = '"two"'
    await app.post('/media/files', body)
    expect(events.map(({ type }) => type)).toEqual(['recorded', 'recorded', 'replaced'])
    expect(events.map(({ file }) => 'etag' in file && file.etag)).toEqual([
      '"one"',
      '"one"',
      '"two"',
    ])
  })

  it.each([
    ['POST /multipart/:uploadId/complete', '/media/multipart'],
    ['POST /s3/multipart/:uploadId/complete', '/media/s3/multipart'],
  ])(
    'receives a multipart upload from %s, and receives it again after a failure',
    async (_, base) => {
      scriptedBucket({
        CreateMultipartUpload: started('i'),
        ListParts: listed([partXml(1, 5, '"e1"')]),
        CompleteMultipartUpload: [
          completed,
          answer(404, '<Error><Code>NoSuchUpload</Code></Error>'),
        ],
        HeadObject: found(5),
      })
      const { app, events } = listening(1)
      const isUppy = base.includes('/s3/')
      const begun = await jsonOf<{ key: string; uploadId: string }>(
        await app.post(
          base,
          isUppy
            ? { filename: 'a.mp4', type: 'video/mp4' }
            : { fileName: 'a.mp4', mimetype: 'video/mp4', size: 5 },
        ),
      )
      const complete = () => {
        const path = `${base}/${begun.uploadId}/complete`
        return isUppy
          ? app.post(`${path}?key=${encodeURIComponent(begun.key)}`, {
              parts: [{ PartNumber: 1, ETag: 'e1' }],
            })
          : app.post(path, { key: begun.key, parts: [{ partNumber: 1, etag: 'e1' }] })
      }
      const failed = await complete()
      expect(failed.status).toBe(503)
      expect(await jsonOf(failed)).toMatchObject({ code: 'unavailable', reason: 'events' })
      expect((await complete()).ok).toBe(true)
      const event = {
        type: 'recorded',
        principal: 'app:ann',
        file: expect.objectContaining({ key: begun.key, name: 'a.mp4', size: 5 }),
      }
      expect(events).toMatchObject([event, event])
    },
  )

  it('that throws causes a 503, and a repeated request sends the event again', async () => {
    const { app, events } = listening(1)
    const key = await upload(app, '/media')
    const record = () => app.post('/media/files', { key, name: 'Cat.png' })
    expect((await record()).status).toBe(503)
    expect(app.lines.at(-1)?.reason).toContain('the database is down')
    expect((await record()).status).toBe(201)
    expect(events).toMatchObject([
      { type: 'recorded', file: { key } },
      { type: 'recorded', file: { key } },
    ])
  })

  it('that throws for a deleted file leaves its record, and a repeated request sends the event again', async () => {
    const index = memoryFileIndex()
    const key = await upload(listening(0, index).app, '/media')
    const recording = mount({ files: { index: () => index } })
    expect((await recording.post('/media/files', { key, name: 'Cat.png' })).status).toBe(201)

    const gone = listening(1, index)
    const remove = () => gone.app.fetch(`/media/files/${key}`, { method: 'DELETE' })
    expect((await remove()).status).toBe(503)
    expect(await index.get('files', parseObjectKey(key))).not.toBeNull()
    expect((await remove()).status).toBe(204)
    expect((await remove()).status).toBe(204)
    const deleted = { type: 'deleted', file: { bucket: 'files', key } }
    expect(gone.events).toMatchObject([deleted, deleted])
    expect(await index.get('files', parseObjectKey(key))).toBeNull()
  })

  it('receives a deleted object even when the index fails, and the client gets the failure', async () => {
    const index = memoryFileIndex()
    let isDown = true
    const flaky: FileIndex = {
      ...index,
      remove: async (...given) => {
        if (isDown) throw new Error('index down')
        return index.remove(...given)
      },
    }
    const { app, events } = listening(0, flaky)
    const key = await upload(app, '/media')
    await app.post('/media/files', { key, name: 'Cat.png' })
    const remove = () => app.fetch(`/media/files/${key}`, { method: 'DELETE' })
    const failed = await remove()
    expect(failed.status).toBe(503)
    expect(await jsonOf(failed)).toMatchObject({ code: 'unavailable', reason: 'index' })
    expect(app.lines.at(-1)?.reason).toContain('index down')
    expect(events.map(({ type }) => type)).toEqual(['recorded', 'deleted'])
    isDown = false
    expect((await remove()).status).toBe(204)
    expect(events.map(({ type }) => type)).toEqual(['recorded', 'deleted', 'deleted'])
  })

  it('receives no event for a deleted key without a record, unless there is no index', async () => {
    const remove = (app: Mounted) => app.fetch('/media/files/none.png', { method: 'DELETE' })
    const { app, events } = listening()
    expect((await remove(app)).status).toBe(204)
    expect(events).toEqual([])
    const without = listening(0, noFileIndex)
    expect((await remove(without.app)).status).toBe(204)
    expect(without.events).toMatchObject([{ type: 'deleted', file: { key: 'none.png' } }])
  })

  // @threat app-changes
  it('receives a frozen event, so that it cannot change the record', async () => {
    const app = mount({
      events: {
        onEvent(event) {
          Reflect.set(event.file, 'owner', 'app:eve')
          Reflect.set(event, 'type', 'deleted')
        },
      },
    })
    const key = await upload(app, '/media')
    const recorded = await app.post('/media/files', { key, name: 'Cat.png' })
    expect(await jsonOf(recorded)).toMatchObject({ owner: 'app:ann' })
    const stored = await app.fetch(`/media/files/${key}`)
    expect(await jsonOf(stored)).toMatchObject({ owner: 'app:ann' })
  })

  it('adds the data that it returns to the response, also when the request is repeated', async () => {
    scriptedBucket({
      CreateMultipartUpload: started('i'),
      ListParts: listed([partXml(1, 5, '"e1"')]),
      CompleteMultipartUpload: completed,
      HeadObject: found(5),
    })
    const data = { id: 7, url: 'https://app.example/files/7' }
    const app = mount({ events: { onEvent: async ({ type }) => ({ data: { ...data, type } }) } })
    const body = { key: 'a.mp4', name: 'a.mp4' }
    for (const _ of [1, 2]) {
      const response = await app.post('/media/files', body)
      expect(await jsonOf(response)).toMatchObject({ ...body, data: { ...data, type: 'recorded' } })
    }
    const begun = await jsonOf<{ key: string; uploadId: string }>(
      await app.post('/media/multipart', { fileName: 'a.mp4', mimetype: 'video/mp4', size: 5 }),
    )
    const done = await app.post(`/media/multipart/${begun.uploadId}/complete`, {
      key: begun.key,
      parts: [{ partNumber: 1, etag: 'e1' }],
    })
    expect(await jsonOf(done)).toMatchObject({ key: begun.key, data })
  })

  // @threat event-data-shown
  it.each<readonly [string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a row', { id: 7, passwordHash: 'canary' }],
    ['the result of a driver', { data: [{ passwordHash: 'canary' }], error: null, status: 201 }],
    ['a list', [{ data: 'canary' }]],
    ['an object that inherits data', Object.create({ data: 'canary' })],
    ['a string', 'canary'],
    ['no data', { data: undefined }],
    ['a function as data', { data: () => 'canary' }],
  ])('that returns %s adds no member to the response', async (_, result) => {
    scriptedBucket({ HeadObject: found(5) })
    const app = mount({ events: { onEvent: () => result } })
    const response = await app.post('/media/files', { key: 'a.mp4', name: 'a.mp4' })
    expect(response.status).toBe(201)
    const text = await response.text()
    expect(JSON.parse(text)).not.toHaveProperty('data')
    expect(text).not.toContain('canary')
  })

  it.each<readonly [string, unknown]>([
    ['null', null],
    ['a string', 'id-7'],
    ['zero', 0],
    ['a list', [1, { id: 7 }]],
  ])('may return %s as data', async (_, data) => {
    scriptedBucket({ HeadObject: found(5) })
    const app = mount({ events: { onEvent: async () => ({ data }) } })
    const response = await app.post('/media/files', { key: 'a.mp4', name: 'a.mp4' })
    expect(await jsonOf(response)).toMatchObject({ data })
  })

  it.each<readonly [string, () => unknown]>([
    ['a BigInt', () => ({ id: 7n })],
    ['a cycle', cycle],
    ['a toJSON that throws', () => ({ toJSON: () => JSON.parse('{') })],
  ])('that returns data with %s is an error before the file is recorded', async (_, data) => {
    scriptedBucket({ HeadObject: found(5) })
    let isBroken = true
    const index = memoryFileIndex()
    const app = mount({
      files: { index: () => index },
      events: { onEvent: async () => ({ data: isBroken ? data() : 7 }) },
    })
    const record = () => app.post('/media/files', { key: 'a.mp4', name: 'a.mp4' })
    const failed = await record()
    expect(failed.status).toBe(503)
    expect(await jsonOf(failed)).toMatchObject({ code: 'unavailable', reason: 'events' })
    expect(app.lines[0]?.reason).toMatch(
      /^events: TypeError: onEvent returned data that JSON.*Error: /,
    )
    expect(await index.get('files', parseObjectKey('a.mp4'))).toBeNull()
    isBroken = false
    expect(await jsonOf(await record())).toMatchObject({ key: 'a.mp4', data: 7 })
  })

  it('sends the data as it was when the function returned it', async () => {
    scriptedBucket({ HeadObject: found(5) })
    const data = { id: 7, secret: undefined as string | undefined }
    const index = memoryFileIndex()
    const put: FileIndex['put'] = (file) => {
      data.secret = 'canary'
      return index.put(file)
    }
    const app = mount({
      files: { index: () => ({ ...index, put }) },
      events: { onEvent: () => ({ data }) },
    })
    const response = await app.post('/media/files', { key: 'a.mp4', name: 'a.mp4' })
    expect((await jsonOf(response)).data).toEqual({ id: 7 })
    expect(data.secret).toBe('canary')
  })

  it('is not called for failed operations', async () => {
    const { app, events } = listening()
    expect((await app.post('/media/files', { key: 'none', name: 'a' })).status).toBe(404)
    scriptedBucket({ DeleteObject: answer(403, '<Error><Code>AccessDenied</Code></Error>') })
    expect((await app.fetch('/media/files/a.png', { method: 'DELETE' })).status).toBe(502)
    expect(events).toEqual([])
  })

  it('has the environment of the request, and waitUntil', async () => {
    const done: unknown[] = []
    const app = mount({
      events: {
        onEvent: (_, { env, waitUntil }) => waitUntil(Promise.resolve().then(() => done.push(env))),
      },
    })
    const key = await upload(app, '/media')
    await app.post('/media/files', { key, name: 'Cat.png' })
    expect(done).toEqual([{}])
  })

  it('receives the id of the principal, also for a token', async () => {
    const { app, events } = listening()
    const { token } = await jsonOf<{ token: string }>(
      await app.post('/media/tokens', { scopes: ['files:delete', 'files:upload'] }),
    )
    const key = await upload(app, `/media/u/${token}`)
    await app.post(`/media/u/${token}/files`, { key, name: 'Cat.png' })
    await app.fetch(`/media/u/${token}/files/${key}`, { method: 'DELETE' })
    expect(events.map(({ principal }) => principal)).toEqual(['app:ann', 'app:ann'])
  })
})

describe('webhooks of an app', () => {
  const webhooks = [{ url: 'https://hooks.example/', secret: `whsec_${btoa('k'.repeat(32))}` }]

  it('use the queue of the plugin, and any name for it', async () => {
    scriptedBucket({ HeadObject: found(5) })
    const messages: { body: unknown }[] = []
    const queue = { sendBatch: async (batch: { body: unknown }[]) => void messages.push(...batch) }
    const env = {}
    const presigner = createPresigner(
      defineSettings(() => settingsInput()),
      {
        plugins: everyPlugin({
          events: { webhooks, queue: () => queue, queueName: 'acme-media' },
        }),
        authenticate: () => ANN,
        log: () => undefined,
      },
    )
    const response = await clientOf(presigner, env).post('/files', { key: 'a.mp4', name: 'a.mp4' })
    expect(response.status).toBe(201)
    expect(messages).toHaveLength(1)

    const hooks: string[] = []
    vi.stubGlobal('fetch', async (url: string) => {
      hooks.push(url)
      return new Response()
    })
    const message = { body: messages[0]?.body, attempts: 1, ack: vi.fn(), retry: vi.fn() }
    const batch = (name: string) => ({ queue: name, messages: [message] })
    expect(await presigner.queue(batch('edge-presigner-jobs'), env)).toBe(false)
    expect(message.ack).not.toHaveBeenCalled()
    expect(await presigner.queue(batch('acme-media'), env)).toBe(true)
    expect(hooks).toEqual(['https://hooks.example/'])
    expect(message.ack).toHaveBeenCalledOnce()
  })

  it('name an option queue that returns no queue', async () => {
    const app = mount({
      events: { queue: () => ({ send: async () => undefined }) as never },
    })
    expect(await jsonOf(await app.fetch('/media/healthz'))).toMatchObject({
      issues: [{ path: 'events.queue', message: 'must return an object with sendBatch()' }],
    })
  })
})
