import fc from 'fast-check'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { SCOPES, type Scope } from '../../src/access/scopes.ts'
import type { NewFile, UploadChanges } from '../../src/index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, settingsInput } from '../support/app.ts'
import { bucketFetch } from '../support/bucket.ts'
import { runs } from '../support/fuzz.ts'
import { maybeKey } from '../support/hostile.ts'
import { textOf } from '../support/links.ts'
import { type Mounted, type MountOptions, mount } from '../support/mount.ts'
import { putPart } from '../support/parts.ts'
import { failNextPurge } from '../support/purge.ts'
import { answer, found, scriptedBucket, started } from '../support/scripted-bucket.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { formRequest } from '../support/uppy.ts'

afterEach(() => vi.unstubAllGlobals())

let serial = 0
/** A key of the app that no other test uses. */
const newKey = (name = 'avatar.png') => `named/${++serial}-${crypto.randomUUID()}/${name}`

const file = { fileName: 'cat.png', mimetype: 'image/png' }
/** May neither choose keys nor delete files. */
const UPLOADER: readonly Scope[] = ['files:upload', 'files:read']
const authenticate = () => ({ ...ANN, scopes: UPLOADER })
/** Everyone is a user who may only upload and read, and the app answers `changes`. */
const naming = (changes: UploadChanges, more: MountOptions = {}): Mounted =>
  mount({ authenticate, beforeUpload: () => changes, ...more })

interface Signed {
  readonly key: string
  readonly uploadUrl: string
  readonly headers: Record<string, string>
}
const sign = async (app: Mounted, request: object = file): Promise<Signed> => {
  const response = await app.post('/media/files/upload-url', request)
  if (response.status !== 200) throw new Error(await response.text())
  return response.json()
}
const send = async ({ uploadUrl, headers }: Signed, body: string): Promise<string> => {
  const sent = await fetch(uploadUrl, { method: 'PUT', headers, body })
  expect(sent.status).toBe(200)
  return sent.headers.get('ETag') ?? ''
}
const record = (app: Mounted, key: string, more: object = {}) =>
  app.post('/media/files', { key, ...more })

async function expectError(response: Response, expected: string, label?: string): Promise<void> {
  const { code }: { code?: string } = await response.json()
  expect.soft(`${response.status} ${code}`, label).toBe(expected)
}

/** Every request that starts an upload. */
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
const keyOf = async (response: Response): Promise<string> => {
  const body = await jsonOf<{ key?: string; fields?: { key?: string } }>(response)
  return body.key ?? body.fields?.key ?? JSON.stringify(body)
}

describe('a key from beforeUpload', () => {
  it('names the object in each request that starts an upload, without keys:choose', async () => {
    for (const [name, start] of Object.entries(STARTS)) {
      const key = newKey()
      const response = await start(naming({ key }))
      expect.soft(response.status, name).toBe(200)
      expect.soft(await keyOf(response), name).toBe(key)
    }
    const key = newKey()
    const many = await naming({ key }).post('/media/files/upload-urls', { files: [file] })
    expect(await jsonOf(many)).toMatchObject({ uploads: [{ key }] })
  })

  it('replaces the key and the folder that the client asked for', async () => {
    const key = newKey()
    const seen: NewFile[] = []
    const app = mount({
      beforeUpload(asked) {
        seen.push(asked)
        return { key }
      },
    })
    const { mimetype } = file
    expect((await sign(app, { mimetype, key: newKey() })).key).toBe(key)
    expect((await sign(app, { ...file, directory: 'a' })).key).toBe(key)
    expect(seen.map(({ fileName }) => fileName)).toEqual(['avatar.png', 'cat.png'])
  })

  // @threat app-names-object
  it('is uploaded, recorded and read by its user alone', async () => {
    const key = newKey()
    const app = naming({ key })
    const etag = await send(await sign(app), 'mine')
    const bob = naming({ key }, { authenticate: () => ({ ...authenticate(), id: 'bob' }) })
    await expectError(await record(bob, key), '403 forbidden')
    const recorded = await record(app, key, { name: 'Cat.png', etag })
    expect(recorded.status).toBe(201)
    expect(await jsonOf(recorded)).toMatchObject({ key, name: 'Cat.png', owner: 'app:ann' })
    expect((await record(app, key)).status).toBe(201)
    const batch = await app.post('/media/files/batch', { files: [{ key }] })
    expect(await jsonOf(batch)).toMatchObject({ files: [{ key, name: 'Cat.png' }] })
  })

  // @threat app-names-object
  it('proves nothing about an object that somebody else has put there', async () => {
    const key = newKey()
    const app = naming({ key, overwrite: true })
    const { headers } = await sign(app)
    await bucketFetch(key, { method: 'PUT', body: 'of another program' })
    await expectError(await record(app, key), '403 forbidden')
    await expectError(await record(app, newKey()), '403 forbidden') // no object, and the same answer
    const mark = headers['x-amz-meta-edge-presigner-upload'] ?? ''
    for (const wrong of [
      'x',
      mark.slice(0, -1),
      `${mark}.x`,
      mark.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')),
    ]) {
      const marked = { 'x-amz-meta-edge-presigner-upload': wrong }
      await bucketFetch(key, { method: 'PUT', body: 'forged', headers: marked })
      await expectError(await record(app, key), '403 forbidden', wrong)
    }
    // The proof of one key is not one of another, which the same user names.
    const other = newKey()
    const copied = { 'x-amz-meta-edge-presigner-upload': mark }
    await bucketFetch(other, { method: 'PUT', body: 'copied', headers: copied })
    await expectError(await record(app, other), '403 forbidden')
  })

  // @threat app-names-object
  it('belongs to the user of the last upload, if it may be replaced', async () => {
    const key = newKey('team.png')
    const app = mount({
      authenticate: (c) => ({ ...authenticate(), id: c.req.header('X-User') ?? 'ann' }),
      beforeUpload: () => ({ key, overwrite: true }),
    })
    const as = (id: string): Mounted => ({
      ...app,
      fetch: (path, init = {}) =>
        app.fetch(path, {
          ...init,
          headers: { ...Object.fromEntries(new Headers(init.headers)), 'X-User': id },
        }),
      post: (path, body, init = {}) => app.post(path, body, { ...init, headers: { 'X-User': id } }),
    })
    await send(await sign(as('ann')), 'of ann')
    expect(await jsonOf(await record(as('ann'), key))).toMatchObject({ owner: 'app:ann', size: 6 })
    await send(await sign(as('bob')), 'of bob!')
    await expectError(await record(as('ann'), key), '403 forbidden')
    expect(await jsonOf(await record(as('bob'), key))).toMatchObject({ owner: 'app:bob', size: 7 })
  })

  it('is still proven with an older signing secret', async () => {
    const key = newKey()
    const secrets = (signingSecrets: string) => ({ settings: { signingSecrets } })
    const [old, next] = ['k1:0123456789abcdef0123456789abcdef', `k2:${'x'.repeat(32)}`]
    await send(await sign(naming({ key }, secrets(old))), 'old')
    await expectError(await record(naming({ key }, secrets(next)), key), '403 forbidden')
    expect((await record(naming({ key }, secrets(`${next},${old}`)), key)).status).toBe(201)
  })

  it('carries an upload in parts from its start to its record, in each dialect', async () => {
    const key = newKey('film.mp4')
    const app = naming({ key, overwrite: true })
    const begun = await app.post('/media/multipart', { ...file, size: 5 })
    const { uploadId } = await jsonOf<{ uploadId: string }>(begun)
    const path = `/media/multipart/${uploadId}`
    const urls = await app.post(`${path}/urls`, { key, partNumbers: [1] })
    const [part] = (await jsonOf<{ urls: { url: string }[] }>(urls)).urls
    const parts = [{ partNumber: 1, etag: await putPart(part?.url ?? '', 'hello') }]
    const complete = () => app.post(`${path}/complete`, { key, parts })
    const completed = await complete()
    expect(completed.status).toBe(201)
    const made = await jsonOf(completed)
    expect(made).toMatchObject({ key, name: 'cat.png', owner: 'app:ann', size: 5 })
    expect(await jsonOf(await complete())).toEqual(made)
    expect((await record(app, key)).status).toBe(201) // as Uppy does after every upload

    const asked = { method: 'POST', key: 'cat.png', contentType: 'image/png' }
    const signed = await jsonOf<{ url: string }>(await app.post('/media/s3/sign', asked))
    const created = await (await app.fetch(signed.url, { method: 'POST' })).text()
    const id = /<UploadId>(.+)<\/UploadId>/.exec(created)?.[1]
    const next = (more: object) => app.post('/media/s3/sign', { key, uploadId: id, ...more })
    const put = await jsonOf<{ url: string }>(await next({ method: 'PUT', partNumber: 1 }))
    const etag = await putPart(put.url, 'by uppy')
    const end = await jsonOf<{ url: string }>(await next({ method: 'POST' }))
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
    expect((await app.fetch(end.url, { method: 'POST', body })).status).toBe(200)
    expect(await jsonOf(await record(app, key))).toMatchObject({ key, size: 7 })
  })

  it.each([true, false])('may be sent in a form: to the bucket %j', async (postUploads) => {
    const key = newKey()
    const [files] = Object.values(settingsInput().buckets)
    if (files === undefined) throw new Error('There is a bucket.')
    const settings = { buckets: { files: { ...files, postUploads } } }
    const app = naming({ key, overwrite: true, contentDisposition: 'attachment' }, { settings })
    const response = await app.fetch('/media/s3/params?filename=cat.png&type=image/png')
    const { url, fields } = await jsonOf<{ url: string; fields: Record<string, string> }>(response)
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    form.append('file', new Blob(['form']))
    // A form to the Worker is the credential itself.
    const sent = postUploads
      ? await fetch(url, { method: 'POST', body: form })
      : await app.fetch(url, await formRequest(form))
    expect(sent.status).toBe(201)
    expect(await jsonOf(await record(app, key))).toMatchObject({ key, owner: 'app:ann', size: 4 })
    const { headers } = await bucketFetch(key)
    expect(headers.get('Content-Disposition')).toBe('attachment')
  })

  it('is also that of repeated starts with one startId', async () => {
    const key = newKey()
    const app = naming({ key })
    const startId = `${Date.now()}-0123456789abcdef`
    const begin = async () =>
      jsonOf<{ key: string; uploadId: string }>(
        await app.post('/media/multipart', { ...file, size: 5, startId }),
      )
    const [one, two] = [await begin(), await begin()]
    expect([one.key, two.key]).toEqual([key, key])
    const finish = async ({ uploadId }: { uploadId: string }) => {
      const path = `/media/multipart/${uploadId}`
      const urls = await app.post(`${path}/urls`, { key, partNumbers: [1] })
      const [part] = (await jsonOf<{ urls: { url: string }[] }>(urls)).urls
      const parts = [{ partNumber: 1, etag: await putPart(part?.url ?? '', 'hello') }]
      return app.post(`${path}/complete`, { key, parts })
    }
    expect((await finish(two)).status).toBe(201)
    await expectError(await finish(one), '409 object_exists')
  })
})

describe('overwrite from beforeUpload', () => {
  // @threat app-names-object object-replaced
  it('is false by default, whatever the client sends', async () => {
    const key = newKey()
    await bucketFetch(key, { method: 'PUT', body: 'older' })
    const app = naming({ key })
    for (const asked of [file, { ...file, overwrite: true }])
      await expectError(await app.post('/media/files/upload-url', asked), '409 object_exists')
    const chooser = mount({ beforeUpload: () => ({ key }) })
    const chosen = { mimetype: 'image/png', key: newKey(), overwrite: true }
    await expectError(await chooser.post('/media/files/upload-url', chosen), '409 object_exists')
    expect(await textOf(await bucketFetch(key))).toBe('older')
  })

  it('replaces an object without files:delete', async () => {
    const key = newKey()
    await bucketFetch(key, { method: 'PUT', body: 'older' })
    await send(await sign(naming({ key, overwrite: true })), 'newer')
    expect(await textOf(await bucketFetch(key))).toBe('newer')
  })

  // @threat copy-outdated
  it('shows the new object by the same link once it is recorded, also without an index', async () => {
    const key = newKey()
    const scopes: Scope[] = [...UPLOADER, 'links:create']
    const app = naming(
      { key, overwrite: true },
      { files: {}, authenticate: () => ({ ...ANN, scopes }) },
    )
    const replace = async (body: string) => {
      await send(await sign(app), body)
      return record(app, key)
    }
    await replace('older')
    const made = await app.post(`/media/files/${encodeURIComponent(key)}/link`, {})
    const { link } = await jsonOf<{ link: string }>(made)
    expect(await textOf(await app.fetch(link))).toBe('older')
    expect((await replace('newer')).status).toBe(201)
    expect(await textOf(await app.fetch(link))).toBe('newer')
    await send(await sign(app), 'newest')
    await app.post('/media/files/batch', { files: [{ key }] })
    expect(await textOf(await app.fetch(link))).toBe('newest')
    const purge = failNextPurge(new Error('unused'))
    const generated = mount({ files: {} })
    const signed = await sign(generated)
    await send(signed, 'only')
    expect((await record(generated, signed.key)).status).toBe(201)
    expect(purge).not.toHaveBeenCalled()
  })

  it("changes the client's own for a key that the client chose", async () => {
    const scopes = SCOPES.filter((scope) => scope !== 'files:delete')
    const chosen = (overwrite: boolean) =>
      mount({ authenticate: () => ({ ...ANN, scopes }), beforeUpload: () => ({ overwrite }) })
    const key = newKey()
    await bucketFetch(key, { method: 'PUT', body: 'older' })
    const asked = { mimetype: 'image/png', key }
    expect((await chosen(true).post('/media/files/upload-url', asked)).status).toBe(200)
    const begun = await chosen(true).post('/media/multipart', { ...asked, size: 5 })
    const { uploadId } = await jsonOf<{ uploadId: string }>(begun)
    const urls = { key, partNumbers: [1] }
    const signed = await chosen(true).post(`/media/multipart/${uploadId}/urls`, urls)
    expect(signed.status).toBe(200)
    const refused = await chosen(false).post('/media/files/upload-url', asked)
    await expectError(refused, '409 object_exists')
  })
})

// @threat object-replaced
it('an undefined member from beforeUpload leaves what the client sent', async () => {
  const key = newKey()
  await bucketFetch(key, { method: 'PUT', body: 'older' })
  const undefinedMembers: Required<UploadChanges> = {
    ...{ key: undefined, overwrite: undefined, directory: undefined, metadata: undefined },
    ...{ contentDisposition: undefined, cacheControl: undefined, tags: undefined },
    ...{ storageClass: undefined, refuse: undefined },
  }
  const app = mount({ beforeUpload: () => undefinedMembers })
  const headers = { contentDisposition: 'attachment', cacheControl: 'no-cache' }
  const sent = { ...file, ...headers, directory: 'pets', metadata: { a: 'b' } }
  const signed = await sign(app, sent)
  expect(signed.key).toMatch(/^uploads\/pets\/[^/]+$/)
  expect(signed.headers).toEqual({
    ...{ 'Content-Type': 'image/png', 'Content-Disposition': 'attachment' },
    ...{ 'Cache-Control': 'no-cache', 'x-amz-meta-a': 'b' },
  })
  const chosen = { mimetype: 'image/png', key }
  await expectError(await app.post('/media/files/upload-url', chosen), '409 object_exists')
})

describe('the headers from beforeUpload', () => {
  const changes = {
    contentDisposition: 'attachment; filename="a b.png"',
    cacheControl: 'private, no-cache',
    tags: { team: 'web', 'cost center': 'ä/1' },
    storageClass: 'STANDARD_IA',
  }
  const HEADERS = {
    'Content-Disposition': 'attachment; filename="a b.png"',
    'Cache-Control': 'private, no-cache',
    'x-amz-tagging': 'team=web&cost%20center=%C3%A4%2F1',
    'x-amz-storage-class': 'STANDARD_IA',
  }

  it('are signed, instead of those of the client', async () => {
    const app = naming(changes)
    const sent = {
      ...file,
      cacheControl: 'public',
      contentDisposition: 'inline',
      contentEncoding: 'gzip',
    }
    const { headers, uploadUrl } = await sign(app, sent)
    expect(headers).toEqual({ 'Content-Type': 'image/png', 'Content-Encoding': 'gzip', ...HEADERS })
    const verify = (given: Record<string, string>) =>
      verifyPresigned(
        { method: 'PUT', url: uploadUrl, headers: given },
        { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', region: 'us-east-1', now: new Date() },
      )
    expect(verify(headers)).toMatchObject({ ok: true })
    for (const name of Object.keys(HEADERS)) {
      const { [name]: _, ...rest } = headers
      expect.soft(verify(rest), name).toMatchObject({ ok: false })
      expect.soft(verify({ ...headers, [name]: 'other' }), name).toMatchObject({ ok: false })
    }
  })

  it('are sent when an upload in parts starts, in each dialect', async () => {
    for (const [name, start] of Object.entries(STARTS)) {
      if (!/multipart|create/.test(name)) continue
      const sent = scriptedBucket({ CreateMultipartUpload: started('i') })
      const app = naming(changes)
      const response = await start(app)
      // Here the upload starts at the signed URL.
      if (name.includes('create'))
        await app.fetch((await jsonOf<{ url: string }>(response)).url, { method: 'POST' })
      for (const [header, value] of Object.entries(HEADERS))
        expect.soft(sent[0]?.headers.get(header), `${name}, ${header}`).toBe(value)
      vi.unstubAllGlobals()
    }
  })

  it('are fields of a form with exact conditions', async () => {
    const response = await naming(changes).fetch('/media/s3/params?filename=cat.png&type=image/png')
    const { fields } = await jsonOf<{ fields: Record<string, string> }>(response)
    const expected = {
      'content-disposition': HEADERS['Content-Disposition'],
      'cache-control': HEADERS['Cache-Control'],
      'x-amz-storage-class': 'STANDARD_IA',
      tagging:
        '<Tagging><TagSet><Tag><Key>team</Key><Value>web</Value></Tag><Tag><Key>cost center</Key><Value>ä/1</Value></Tag></TagSet></Tagging>',
    }
    expect(fields).toMatchObject(expected)
    const policy = new TextDecoder().decode(
      Uint8Array.from(atob(fields.Policy ?? ''), (char) => char.charCodeAt(0)),
    )
    const { conditions } = JSON.parse(policy)
    for (const [name, value] of Object.entries(expected))
      expect(conditions).toContainEqual({ [name]: value })
  })

  it('are sent to the bucket by a form through the Worker, and no field can be changed', async () => {
    const [files] = Object.values(settingsInput().buckets)
    if (files === undefined) throw new Error('There is a bucket.')
    const app = naming(changes, {
      settings: { buckets: { files: { ...files, postUploads: false } } },
    })
    const response = await app.fetch('/media/s3/params?filename=cat.png&type=image/png')
    const { url, fields } = await jsonOf<{ url: string; fields: Record<string, string> }>(response)
    const post = async (given: Record<string, string>) => {
      const form = new FormData()
      for (const [name, value] of Object.entries(given)) form.append(name, value)
      form.append('file', new Blob(['form']))
      return app.fetch(url, await formRequest(form))
    }
    for (const name of [
      'x-amz-tagging',
      'x-amz-storage-class',
      'cache-control',
      'content-disposition',
    ]) {
      const { [name]: _, ...rest } = fields
      expect.soft((await post(rest)).status, name).toBe(403)
      expect.soft((await post({ ...fields, [name]: 'other' })).status, name).toBe(403)
    }
    const sent = scriptedBucket({
      PutObject: answer(200, null, { ETag: '"abc-2"' }),
      HeadObject: found(4),
    })
    expect((await post(fields)).status).toBe(201)
    for (const [header, value] of Object.entries(HEADERS))
      expect.soft(sent[0]?.headers.get(header), header).toBe(value)
  })

  it('may be empty tags, which are none', async () => {
    const { headers } = await sign(naming({ tags: {} }))
    expect(headers).toEqual({ 'Content-Type': 'image/png' })
  })
})

const tooMany = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`t${i}`, '']))
const [FILES] = Object.values(settingsInput().buckets)

describe('beforeUpload', () => {
  // @threat app-before-upload
  it.each<readonly [string, unknown]>([
    ['a key outside the prefix of the principal', { key: 'bob/a.png' }],
    ['a key that is the prefix', { key: 'ann/' }],
    ['an empty key', { key: '' }],
    ['a key that is not a string', { key: 7 }],
    ['a key with a dot segment', { key: 'ann/../bob/a.png' }],
    ['a key with a control character', { key: 'ann/a\u0000.png' }],
    ['a key that ends with a slash', { key: 'ann/a/' }],
    ['a key that looks generated', { key: `ann/uploads/${'y0'.repeat(10)}-a.png` }],
    ['a key in another spelling', { key: 'ann/cafe\u0301.png' }],
    ['a key that is too long', { key: `ann/${'x'.repeat(1024)}` }],
    ['a key and a directory', { key: 'ann/a.png', directory: 'b' }],
    ['overwrite without a key', { overwrite: true }],
    ['overwrite that is not a boolean', { key: 'ann/a.png', overwrite: 'yes' }],
    ['an invalid Content-Disposition', { contentDisposition: 'attachment\r\nX: y' }],
    ['an invalid Cache-Control', { cacheControl: 'é' }],
    ['tags that are not text', { tags: { a: 1 } }],
    ['tags as a list', { tags: ['a'] }],
    ['a tag of AWS', { tags: { 'aws:x': '1' } }],
    ['a tag with a character that S3 refuses', { tags: { a: 'b!' } }],
    ['a tag with half of a character', { tags: { a: '\ud800' } }],
    ['a tag without a name', { tags: { '': 'a' } }],
    ['too many tags', { tags: tooMany }],
    ['an invalid storage class', { storageClass: 'standard' }],
    ['an empty storage class', { storageClass: '' }],
    ["the bucket's own tags", { tags: { a: 'b' } }],
    ["the bucket's own storage class", { storageClass: 'STANDARD' }],
  ])(
    'that returns %s is a mistake of the app: 500, and nothing is signed',
    async (name, changes) => {
      if (FILES === undefined) throw new Error('There is a bucket.')
      const uploadHeaders = name.includes("bucket's")
        ? ({ 'x-amz-tagging': 'team=web', 'x-amz-storage-class': 'STANDARD_IA' } as const)
        : undefined
      const sent = scriptedBucket({})
      const app = mount({
        authenticate: () => ({ ...ANN, prefix: 'ann/' }),
        beforeUpload: () => changes as UploadChanges,
        settings: { buckets: { files: { ...FILES, normalizesKeys: true, uploadHeaders } } },
      })
      for (const [route, start] of Object.entries(STARTS)) {
        const response = await start(app)
        expect.soft(response.status, route).toBe(500)
        expect.soft(await jsonOf(response), route).toMatchObject({ code: 'internal' })
        expect.soft(app.lines.at(-1)?.reason, route).toMatch(/beforeUpload returned|URIError/)
      }
      expect(sent).toEqual([])
    },
  )

  it('that names a key without the extension of a script blames the type of the client', async () => {
    const app = naming({ key: newKey('page.png') })
    const asked = { fileName: 'page.html', mimetype: 'text/html' }
    await expectError(await app.post('/media/files/upload-url', asked), '400 type_mismatch')
  })

  it('never signs another path than its key, below the prefix, whatever it returns', async () => {
    let key = ''
    let signed = 0
    const app = mount({
      authenticate: () => ({ ...authenticate(), prefix: 'ann/' }),
      beforeUpload: () => ({ key, overwrite: true }),
    })
    await fc.assert(
      fc.asyncProperty(maybeKey, fc.boolean(), async (text, below) => {
        key = below ? `ann/${text}` : text
        const response = await app.post('/media/files/upload-url', file)
        if (response.status === 500) return
        expect(response.status).toBe(200)
        signed += 1
        const { uploadUrl } = await jsonOf<{ uploadUrl: string }>(response)
        expect(key.startsWith('ann/')).toBe(true)
        const { pathname, host } = new URL(uploadUrl)
        expect(host).toBe(new URL(inject('s3Endpoint')).host)
        expect(decodeURIComponent(pathname)).toBe(`/files/${key}`)
      }),
      { numRuns: runs(300) },
    )
    expect(signed).toBeGreaterThan(30)
  })
})
