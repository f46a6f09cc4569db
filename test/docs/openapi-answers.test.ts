import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { checkAnswer, createDocumentClient, type DocumentClient } from './support/openapi-client.ts'
import { type Located, operationsOf, readDocument } from './support/openapi-document.ts'
import {
  ADMIN_KEY,
  NOTIFICATION_SECRET,
  type Presigner,
  startPresigner,
} from './support/presigner.ts'

const DOCUMENT = readDocument()
const OPERATIONS = operationsOf(DOCUMENT)
const CONTENT = 'not really a picture'

/** Operations that never succeed here. */
const NEVER_SUCCEED = ['getUppyCredentials']
/** Its URL has a key with slashes, which OpenAPI can't describe as a parameter. */
const BY_ITS_URL = ['openFolderLink']

let presigner: Presigner
let client: DocumentClient
beforeAll(async () => {
  presigner = await startPresigner({ withD1: true })
  client = createDocumentClient(DOCUMENT, presigner.origin)
})
afterAll(() => presigner.close())

const read =
  <Schema extends z.ZodMiniType>(schema: Schema) =>
  async (answer: Promise<unknown>): Promise<z.output<Schema>> =>
    schema.parse(await answer)

const readUpload = read(
  z.object({ uploadUrl: z.string(), key: z.string(), headers: z.record(z.string(), z.string()) }),
)
const readUploads = read(
  z.object({
    uploads: z.array(
      z.object({
        uploadUrl: z.optional(z.string()),
        key: z.optional(z.string()),
        headers: z.optional(z.record(z.string(), z.string())),
      }),
    ),
  }),
)
const readStarted = read(z.object({ uploadId: z.string(), key: z.string() }))
const readUrl = read(z.object({ url: z.string() }))
const readPartUrls = read(z.object({ urls: z.array(z.object({ url: z.string() })) }))
const readLink = read(z.object({ link: z.string() }))
const readBase = read(z.object({ base: z.string() }))
const readGrant = read(z.object({ id: z.string(), url: z.string() }))
const readToken = read(z.object({ token: z.string() }))
const readForm = read(z.object({ fields: z.record(z.string(), z.string()) }))
const readSigned = read(
  z.object({
    url: z.string(),
    key: z.string(),
    headers: z._default(z.record(z.string(), z.string()), {}),
  }),
)

/** PUTs the content to a signed URL, and returns its ETag. */
async function put(url: string, headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(url, { method: 'PUT', headers, body: CONTENT })
  expect(response.status).toBe(200)
  return response.headers.get('ETag') ?? ''
}

/** Uploads and records a file, and returns its key. */
async function uploadedFile(): Promise<string> {
  const body = { fileName: 'a.png', mimetype: 'image/png' }
  const { uploadUrl, key, headers } = await readUpload(
    client.call('createUploadUrl', 200, { body }),
  )
  await put(uploadUrl, headers)
  await client.call('recordFile', 201, { body: { key, name: 'A picture' } })
  return key
}

function operation(id: string): Located {
  const located = OPERATIONS.find((one) => one.operation.operationId === id)
  if (located === undefined) throw new Error(`There is no operation ${id}.`)
  return located
}

describe('a client that reads only the OpenAPI document', () => {
  it('uploads, records, lists, shows and deletes a file', async () => {
    const { uploadUrl, key, headers } = await readUpload(
      client.call('createUploadUrl', 200, {
        body: {
          fileName: 'My Photo.JPG',
          mimetype: 'image/jpeg',
          size: CONTENT.length,
          metadata: { camera: 'old' },
          cacheControl: 'no-cache',
          directory: '2026/november',
          overwrite: false,
          expiresIn: 60,
          bucket: 'files',
        },
      }),
    )
    await put(uploadUrl, headers)
    await client.call('getFile', 200, { parameters: { key } })
    await client.call('recordFile', 201, { body: { key, name: 'My Photo.JPG' } })
    await client.call('getFile', 200, { parameters: { key, bucket: 'files' } })
    await client.call('listFiles', 200, { parameters: { prefix: 'uploads/', limit: 1000 } })
    await client.call('listFiles', 200, { parameters: { urls: 'stream' } })
    const asked = { q: 'photo', sort: '-size', type: 'image/*', minSize: 1, maxSize: 1000 }
    const dates = { createdAfter: '2026-01-01T00:00:00Z', createdBefore: '2100-01-01T00:00:00Z' }
    const found = await client.call('listFiles', 200, { parameters: { ...asked, ...dates } })
    expect(found).toMatchObject({ files: [{ key }] })
    await client.call('listFiles', 200, { parameters: { delimiter: '/', prefix: 'uploads/' } })
    await client.call('listFiles', 400, { parameters: { delimiter: '/', q: 'photo' } })
    await client.call('getStats', 200, { parameters: { prefix: 'uploads/' } })
    for (const groupBy of ['type', 'owner', 'day', 'folder'])
      await client.call('getStats', 200, { parameters: { groupBy } })
    const shown = { use: 'email', expiresIn: 60, download: 'a.jpg', inline: true, stable: true }
    const { url } = await readUrl(
      client.call('getFileUrl', 200, { parameters: { key, ...shown, bucket: 'files' } }),
    )
    expect(await (await fetch(url)).text()).toBe(CONTENT)
    const keys = [key, '../secret']
    await client.call('getFileUrls', 200, { body: { keys, use: 'view', expiresIn: 60 } })
    await client.call('deleteFile', 204, { parameters: { key } })
    await client.call('getFile', 404, { parameters: { key } })
  })

  it('uploads, renames and deletes many files', async () => {
    const files = [
      { fileName: 'a.png', mimetype: 'image/png', size: CONTENT.length },
      { fileName: 'b.png', mimetype: 'no type' },
      { fileName: 'c.txt', mimetype: 'text/html' },
      { fileName: 'd.webp', mimetype: 'image/webp' },
    ]
    const { uploads } = await readUploads(
      client.call('createUploadUrls', 200, { body: { files, expiresIn: 60, bucket: 'files' } }),
    )
    const [{ uploadUrl = '', key = '', headers } = {}] = uploads
    await put(uploadUrl, headers)
    const other = uploads.at(-1)
    await put(other?.uploadUrl ?? '', other?.headers)
    const parameters = { key }
    const body = { name: 'Holiday.png', bucket: 'files' }
    await client.call('renameFile', 404, { parameters, body })
    await client.call('recordFile', 201, { body: { key, name: 'a.png' } })
    await client.call('renameFile', 200, { parameters, body })
    await client.call('recordFiles', 200, { body: { files: [{ key }, { key: '../secret' }] } })
    const copy = { from: key, to: `${key}/copy.png` }
    await client.call('copyFiles', 201, { body: copy })
    await client.call('copyFiles', 409, { body: { from: other?.key, to: copy.to } })
    await client.call('copyFiles', 200, { body: { files: [copy, { ...copy, to: '../x' }] } })
    const move = { from: copy.to, to: `${key}/moved.png`, name: 'moved.png' }
    await client.call('moveFiles', 201, { body: move })
    await client.call('moveFiles', 200, { body: { files: [{ ...move, to: 'nowhere' }] } })
    await client.call('deleteFiles', 200, { body: { keys: [key, '../secret'], bucket: 'files' } })
  })

  it('exports records, and deletes everything below a prefix', async () => {
    await uploadedFile()
    await client.call('exportFiles', 200, { parameters: { prefix: 'uploads/' } })
    const body = { prefix: 'nobody/', before: '2026-11-24T12:00:00Z' }
    await client.call('deleteAll', 200, { body })
    await client.call('deleteAll', 400, { body: { ...body, before: '2999-01-01T00:00:00Z' } })
    await client.call('deleteAll', 400, { body: { ...body, cursor: 'x' } })
  })

  it('follows the pages of the list', async () => {
    await Promise.all([uploadedFile(), uploadedFile()])
    const page = await client.call('listFiles', 200, { parameters: { limit: 1 } })
    const { cursor } = z.object({ cursor: z.string() }).parse(page)
    await client.call('listFiles', 200, { parameters: { limit: 1, cursor } })
    await client.call('listFiles', 400, { parameters: { prefix: 'other/', cursor } })
  })

  it('creates links, and reads their objects', async () => {
    const key = await uploadedFile()
    const parameters = { key, bucket: 'files' }
    const ask = async (body: object) =>
      (await readLink(client.call('createLink', 200, { parameters, body }))).link
    await client.call('createLinks', 200, { body: { keys: [key, '../secret'], expiresIn: 60 } })
    const streamed = await ask({ expiresIn: 60, download: 'a.png' })
    const redirected = await ask({ delivery: 'redirect' })
    const get = async (link: string, status: number, headers: Record<string, string> = {}) => {
      const response = await fetch(link, { headers, redirect: 'manual' })
      expect(response.status).toBe(status)
      checkAnswer(DOCUMENT, operation('openLink'), response, await response.text())
      return response
    }
    const etag = (await get(streamed, 200)).headers.get('ETag') ?? ''
    await get(streamed, 206, { Range: 'bytes=0-2' })
    await get(streamed, 304, { 'If-None-Match': etag })
    await get(streamed, 412, { 'If-Match': '"another"' })
    await get(streamed, 416, { Range: 'bytes=1000-' })
    await get(redirected, 302)
    await get(`${streamed}0`, 403)
    await client.call('purgeCopies', 200, { body: { keys: [key, '../secret'], bucket: 'files' } })
    const hourAgo = new Date(Date.now() - 3_600_000).toISOString()
    const restrictions = { notBefore: hourAgo, ips: ['127.0.0.0/8', '::1'] }
    await get(await ask(restrictions), 200)
    await get(await ask({ ...restrictions, ips: ['192.0.2.0/24'] }), 403)

    const { pathname, searchParams } = new URL(streamed)
    const [, , bucket] = pathname.split('/')
    const exp = Number(searchParams.get('exp'))
    const ofLink = { bucket, key, ...Object.fromEntries(searchParams), exp }
    await client.call('openLink', 200, { parameters: ofLink })
  })

  it('creates a folder link, and reads a file by it', async () => {
    const key = await uploadedFile()
    const { base } = await readBase(
      client.call('createFolderLink', 200, { body: { prefix: 'uploads/', expiresIn: 60 } }),
    )
    const get = async (url: string, status: number, headers: Record<string, string> = {}) => {
      const response = await fetch(url, { headers })
      expect(response.status).toBe(status)
      checkAnswer(DOCUMENT, operation('openFolderLink'), response, await response.text())
      return response
    }
    const file = key.replace('uploads/', base)
    const etag = (await get(file, 200)).headers.get('ETag') ?? ''
    await get(file, 206, { Range: 'bytes=0-2' })
    await get(file, 304, { 'If-None-Match': etag })
    await get(`${base}none`, 404)
    await get(base, 403)
  })

  it('creates, lists, changes, uses and withdraws a grant', async () => {
    const key = await uploadedFile()
    const deadline = new Date(Date.now() + 3_600_000).toISOString()
    const restrictions = { notBefore: '2026-11-24T18:00:00Z', ips: ['127.0.0.0/8', '::1'] }
    const body = {
      key,
      bucket: 'files',
      deadline,
      uses: 3,
      password: 'open door',
      label: 'For you',
    }
    const grant = await readGrant(
      client.call('createGrant', 201, { body: { ...body, download: 'a.png', restrictions } }),
    )
    const direct = { key, deadline, direct: true }
    const { url } = await readGrant(client.call('createGrant', 201, { body: direct }))
    const page = await client.call('listGrants', 200, { parameters: { limit: 1 } })
    const { cursor } = z.object({ cursor: z.string() }).parse(page)
    await client.call('listGrants', 200, { parameters: { cursor } })
    const { id } = grant
    await client.call('getGrant', 200, { parameters: { id } })
    const changes = { uses: null, label: null, deadline }
    await client.call('changeGrant', 200, { parameters: { id }, body: changes })
    const get = (of: string, status: number) =>
      client.text('openGrant', status, { parameters: { secret: of.slice(-22) } })
    await get(grant.url, 200)
    await get(url, 302)
    const use = (form: string, status: number) =>
      client.text('useGrant', status, {
        parameters: { secret: grant.url.slice(-22) },
        body: form,
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      })
    await use('password=wrong', 403)
    await use('password=open+door', 303)
    await client.call('withdrawGrant', 204, { parameters: { id } })
    await get(grant.url, 410)
    await client.call('getGrant', 404, { parameters: { id } })
  })

  it('creates, lists, fills and closes a drop box', async () => {
    const limits = { maxFiles: 3, maxBytes: 1000, maxTotalBytes: 3000, allowedTypes: ['image/*'] }
    const texts = { from: 'Example GmbH', title: 'Your documents', message: 'Both pages' }
    const deadline = new Date(Date.now() + 3_600_000).toISOString()
    const terms = { prefix: 'inbox/', bucket: 'files', deadline, ...limits, ...texts }
    const create = { body: { ...terms, password: 'open door' } }
    await client.call('createDropBox', 201, create)
    const { id, url } = await readGrant(client.call('createDropBox', 201, create))
    const secret = url.slice(-22)
    await client.text('openDropBox', 200, { parameters: { secret } })
    const sender = { name: 'Ann', note: 'Both pages' }
    const enter = (password: string, status: number) =>
      client.call('createDropBoxToken', status, {
        parameters: { secret },
        body: { password, sender },
      })
    await enter('wrong', 403)
    const { token } = await readToken(enter('open door', 200))
    const headers = { Authorization: `Bearer ${token}` }
    const file = { fileName: 'a.png', mimetype: 'image/png', size: CONTENT.length }
    for (let i = 0; i < 2; i++) {
      const { key, uploadId } = await readStarted(
        client.call('startMultipart', 200, { body: file, headers }),
      )
      const parameters = { uploadId }
      const signed = { parameters, headers, body: { key, partNumbers: [1] } }
      const [part] = (await readPartUrls(client.call('signParts', 200, signed))).urls
      const parts = [{ partNumber: 1, etag: await put(part?.url ?? '') }]
      const body = { key, name: 'a', parts }
      await client.call('completeMultipart', 201, { parameters, headers, body })
    }
    const readPage = read(z.object({ cursor: z.string() }))
    const boxes = await readPage(client.call('listDropBoxes', 200, { parameters: { limit: 1 } }))
    await client.call('listDropBoxes', 200, { parameters: { cursor: boxes.cursor } })
    const files = { id, limit: 1 }
    const { cursor } = await readPage(client.call('listReceivedFiles', 200, { parameters: files }))
    await client.call('listReceivedFiles', 200, { parameters: { id, cursor } })
    await client.call('getDropBox', 200, { parameters: { id } })
    await client.call('closeDropBox', 204, { parameters: { id } })
    await client.call('getDropBox', 404, { parameters: { id } })
    await client.text('openDropBox', 410, { parameters: { secret } })
  })

  it('mints a token, and sends it in the path', async () => {
    const body = { scopes: ['files:list'], prefix: 'team-a/', expiresIn: 60 }
    const { token } = await readToken(client.call('createToken', 200, { body }))
    const [, tokenPath] = DOCUMENT.servers
    const base = `/${tokenPath?.url.replace('{token}', token)}`
    await client.call('listFiles', 200, { base })
    await client.call('createUploadUrl', 403, {
      base,
      body: { fileName: 'a', mimetype: 'text/plain' },
    })
  })

  it('limits a token to a user, and shows its limits', async () => {
    const limits = {
      buckets: ['files'],
      maxBytes: 1000,
      allowedTypes: ['image/*'],
      maxExpiresIn: 60,
    }
    const body = { scopes: ['files:upload'], subject: 'alice', ...limits, context: { plan: 'pro' } }
    const { token } = await readToken(client.call('createToken', 200, { body }))
    const base = `/u/${token}`
    const shown = await client.call('getLimits', 200, { base })
    expect(shown).toMatchObject({ buckets: [{ bucket: 'files', maxBytes: 1000 }] })
    await client.call('getLimits', 200)
    await client.call('createToken', 403, { body: { ...body, maxExpiresIn: 31_536_001 } })
    await client.call('createToken', 404, { body: { ...body, buckets: ['nope'] } })
    // The longest token fits into a path.
    const longest = {
      ...body,
      prefix: `${'p'.repeat(1023)}/`,
      subject: 's'.repeat(128),
      allowedTypes: Array.from({ length: 6 }, (_, i) => `image/${'x'.repeat(90)}${i}`),
      context: 'c'.repeat(1022),
    }
    const { token: long } = await readToken(client.call('createToken', 200, { body: longest }))
    expect(long.length).toBeGreaterThan(3900)
    await client.call('getLimits', 200, { base: `/u/${long}` })
  })

  it('uploads in parts', async () => {
    const file = { fileName: 'Film.mp4', mimetype: 'video/mp4', size: CONTENT.length }
    const { key, uploadId } = await readStarted(client.call('startMultipart', 200, { body: file }))
    const parameters = { uploadId }
    const { urls } = await readPartUrls(
      client.call('signParts', 200, {
        parameters,
        body: { key, partNumbers: [1], expiresIn: 60, bucket: 'files' },
      }),
    )
    const etag = await put(urls[0]?.url ?? '')
    const body = { key, name: 'Film', parts: [{ partNumber: 1, etag }] }
    await client.call('signParts', 400, { parameters, body: { key, partNumbers: [2] } })
    await client.call('listParts', 200, { parameters: { uploadId, key } })
    await client.call('listParts', 400, { parameters: { uploadId, key: 'uploads/another' } })
    await client.call('completeMultipart', 201, { parameters, body })
    await client.call('abortMultipart', 204, { parameters: { uploadId, key } })
  })

  it('lists the bucket, and reads and writes the records of an index', async () => {
    const asked = { fileName: 'a.txt', mimetype: 'text/plain' }
    const { key, uploadUrl, headers } = await readUpload(
      client.call('createUploadUrl', 200, { body: asked }),
    )
    await put(uploadUrl, headers)
    await client.call('recordFile', 201, { body: { key } })
    await client.call('listObjects', 200, { parameters: { prefix: 'uploads/', limit: 1 } })
    await client.call('listObjects', 200, { parameters: { prefix: 'uploads/', delimiter: '/' } })
    const admin = { Authorization: `Bearer ${ADMIN_KEY}` }
    const read = { parameters: { from: 'd1', limit: 1 }, headers: admin }
    const page = z
      .object({ records: z.array(z.record(z.string(), z.unknown())) })
      .parse(await client.call('readIndex', 200, read))
    const other = { ...page.records[0], key: '../b' }
    const body = { to: 'kv', records: [...page.records, other] }
    await client.call('writeIndex', 200, { body, headers: admin })
    await client.call('writeIndex', 200, { body: { ...body, to: 'd1' }, headers: admin })
  })

  it('walks through the bucket, and lists orphans and kept records', async () => {
    const headers = { Authorization: `Bearer ${ADMIN_KEY}` }
    await client.call('getUpkeep', 200)
    const walk = z.object({ startedAt: z.string(), phase: z.string() })
    const order = async (body: object) =>
      walk.parse(await client.call('walkUpkeep', 200, { body, headers }))
    const { startedAt: pass } = await order({ restart: true })
    await expect.poll(async () => (await order({ pass })).phase, { timeout: 20_000 }).toBe('idle')
    const imported = { import: { prefix: 'a/', owner: 'a/{owner}/', ownerAs: 'app:{owner}' } }
    await order({ ...imported, mode: 'report' })
    await client.call('goOnWithUpkeep', 204, { body: { bucket: 'files' }, headers })
    const query = { prefix: 'uploads/', olderThanDays: 1 }
    await client.call('listOrphans', 200, { parameters: query, headers })
    await client.call('deleteOrphans', 200, { body: query, headers })
    await client.call('listKept', 200, { parameters: { limit: 1 }, headers })
    await client.call('restoreKept', 200, { body: { keys: ['a', '../b'] }, headers })
  })

  it('calls the routes for Uppy in Companion mode', async () => {
    const file = { filename: 'Film.mp4', type: 'video/mp4', metadata: { name: 'Film' } }
    const { fields } = await readForm(client.call('getUppyForm', 200, { parameters: file }))
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.set(name, value)
    form.set('file', new Blob([CONTENT]))
    await client.call('uploadUppyForm', 201, { body: form })
    await client.call('getUppyCredentials', 501)
    const { key, uploadId } = await readStarted(
      client.call('startUppyMultipart', 200, { body: { ...file, metadata: { rating: 5 } } }),
    )
    const parameters = { uploadId, key }
    await client.call('signUppyParts', 200, { parameters: { ...parameters, partNumbers: [1, 2] } })
    const { url } = await readUrl(
      client.call('signUppyPart', 200, { parameters: { ...parameters, partNumber: 1 } }),
    )
    const parts = [{ PartNumber: 1, ETag: await put(url) }]
    await client.call('listUppyParts', 200, { parameters })
    await client.call('completeUppyMultipart', 200, { parameters, body: { parts } })
    await client.call('abortUppyMultipart', 200, { parameters })
  })

  it('calls the routes for Uppy in signRequest mode', async () => {
    const { url, key, headers } = await readSigned(
      client.call('signUppyRequest', 200, {
        body: { method: 'PUT', key: 'a.txt', contentType: 'text/plain', size: CONTENT.length },
      }),
    )
    await put(url, headers)
    await client.call('signUppyRequest', 400, { body: { method: 'DELETE', key } })

    const begin = { method: 'POST', key: 'film.mp4' }
    const begun = await readSigned(client.call('signUppyRequest', 200, { body: begin }))
    const step = (url: string) => ({ step: new URL(url).searchParams.get('step') ?? '' })
    const created = await client.text('beginUppyUpload', 200, { parameters: step(begun.url) })
    const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created)?.[1]
    const part = { key: begun.key, uploadId, expiresIn: 60 }
    const signed = await readUrl(
      client.call('signUppyRequest', 200, { body: { method: 'PUT', partNumber: 1, ...part } }),
    )
    const etag = await put(signed.url)
    await client.call('signUppyRequest', 200, { body: { method: 'GET', ...part } })
    const { url: complete } = await readUrl(
      client.call('signUppyRequest', 200, { body: { method: 'POST', ...part } }),
    )
    await client.text('completeUppyUpload', 200, {
      parameters: step(complete),
      body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`,
    })
  })

  it('reports an upload as a server does', async () => {
    const body = { fileName: 'a.png', mimetype: 'image/png' }
    const asked = await readUpload(client.call('createUploadUrl', 200, { body }))
    await put(asked.uploadUrl, asked.headers)
    const record = {
      eventName: 's3:ObjectCreated:Put',
      eventTime: new Date(Date.now() - 3_600_000).toISOString(),
      s3: { bucket: { name: 'files' }, object: { key: encodeURIComponent(asked.key) } },
    }
    const notification = { body: { Records: [record] } }
    const headers = { Authorization: `Bearer ${NOTIFICATION_SECRET}` }
    await client.call('receiveNotifications', 503, { ...notification, headers })
    await presigner.age()
    expect(await client.call('receiveNotifications', 200, { ...notification, headers })).toEqual({
      counts: { recorded: 1 },
    })
    await client.call('receiveNotifications', 401, notification)
  })

  it('checks the health of the Worker', async () => {
    await client.call('getHealth', 200)
  })

  it('has called every operation with success', () => {
    const ids = OPERATIONS.map(({ operation }) => operation.operationId)
    expect([...client.succeeded, ...NEVER_SUCCEED, ...BY_ITS_URL].toSorted()).toEqual(
      ids.toSorted(),
    )
  })
})

describe('every operation that needs credentials', () => {
  const guarded = OPERATIONS.filter(({ operation }) => operation.security.length > 0)
  const send = async (located: Located, init: RequestInit): Promise<number> => {
    const { method, path } = located
    const response = await fetch(presigner.origin + path.replaceAll(/[{}]/g, ''), {
      method,
      ...init,
    })
    checkAnswer(DOCUMENT, located, response, await response.text())
    return response.status
  }

  /**
   * Sends one byte more than the route accepts. For a much larger body, the Worker closes the
   * connection, and a client may see that before the response.
   */
  const oversized = async (located: Located): Promise<number> => {
    const headers = { 'Content-Type': 'application/json' }
    for (const limit of [64 * 1024, 1024 ** 2]) {
      const status = await send(located, { headers, body: ' '.repeat(limit + 1) })
      if (status === 413) return status
    }
    return send(located, { headers, body: ' '.repeat(2 * 1024 ** 2 + 1) })
  }

  it.each(guarded)('describes its 401: $operation.operationId', async (located) => {
    const headers = { Authorization: 'Bearer ept_nonsense' }
    expect(await send(located, { headers })).toBe(401)
  })

  it.each(guarded.filter(({ operation }) => operation.requestBody))(
    'describes its errors for a body: $operation.operationId',
    async (located) => {
      const search = located.path.startsWith('/s3/multipart/') ? '?key=a' : ''
      const path = located.path + search
      const json = { 'Content-Type': 'application/json' }
      const refusals = [
        await send({ ...located, path }, { body: '{}' }),
        await send({ ...located, path }, { headers: json, body: '{' }),
        await send({ ...located, path }, { headers: json, body: '[]' }),
        await oversized({ ...located, path }),
      ]
      expect(refusals).toEqual([415, 400, 400, 413])
    },
  )
})
