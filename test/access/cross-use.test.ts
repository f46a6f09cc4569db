import { beforeAll, expect, it } from 'vitest'
import { purpose, purposeKey } from '../../src/access/purpose-key.ts'
import { SCOPES } from '../../src/access/scopes.ts'
import { toHex } from '../support/base64.ts'
import { bucketFetch } from '../support/bucket.ts'
import { bearer, type TestApiKey, testApiKey } from '../support/credentials.ts'
import { jwtVariable, testIssuer } from '../support/issuer.ts'
import { baseVariables, s3rverBucket, type TestWorker, testWorker } from '../support/worker.ts'

const UPLOAD = { fileName: 'a.txt', mimetype: 'text/plain', size: 1 }
let worker: TestWorker
let apiKey: TestApiKey
/** Each kind of credential that this Worker issues or accepts, by name. */
let made: Readonly<
  Record<
    'api key' | 'jwt' | 'token' | 'cursor' | 'link' | 'folder' | 'upload' | 'form' | 'step',
    string
  >
>
let uploadKey: string

beforeAll(async () => {
  const issuer = await testIssuer()
  apiKey = await testApiKey('ci', SCOPES)
  worker = testWorker({
    OPEN_ACCESS: undefined,
    API_KEYS: [apiKey.entry],
    BUCKETS: { files: { ...s3rverBucket(), postUploads: false } },
    JWT: jwtVariable(issuer),
  })
  for (const name of ['a', 'b']) {
    await bucketFetch(`cross/${name}.txt`, { method: 'PUT', body: name })
    await worker.post('/files', { key: `cross/${name}.txt`, name }, bearer(apiKey.token))
  }
  const minted: { token: string } = await (
    await worker.post('/tokens', { scopes: SCOPES }, bearer(apiKey.token))
  ).json()
  const page: { cursor: string } = await (
    await worker.fetch('/files?prefix=cross/&limit=1', bearer(apiKey.token))
  ).json()
  const { link }: { link: string } = await (
    await worker.post('/files/cross%2Fa.txt/link', {}, bearer(apiKey.token))
  ).json()
  const { base }: { base: string } = await (
    await worker.post('/links/folder', { prefix: 'cross/' }, bearer(apiKey.token))
  ).json()
  const upload: { key: string; uploadId: string } = await (
    await worker.post('/multipart', UPLOAD, bearer(apiKey.token))
  ).json()
  uploadKey = upload.key
  const signed: { url: string } = await (
    await worker.post('/s3/sign', { method: 'POST', key: 'a.txt' }, bearer(apiKey.token))
  ).json()
  const { fields }: { fields: { policy: string } } = await (
    await worker.fetch('/s3/params?filename=a.txt', bearer(apiKey.token))
  ).json()
  made = {
    'api key': apiKey.token,
    jwt: await issuer.sign(),
    token: minted.token,
    cursor: page.cursor,
    link: new URL(link).searchParams.get('sig') ?? '',
    folder: base.split('/')[4] ?? '',
    upload: upload.uploadId,
    form: fields.policy,
    step: new URL(signed.url).searchParams.get('step') ?? '',
  }
})

const asBearer = (value: string) => worker.fetch('/files/a.txt/url', bearer(value))
const inPath = (value: string) => worker.fetch(`/u/${encodeURIComponent(value)}/files/a.txt/url`)
const asLink = async (value: string) => {
  const made = await worker.post('/files/cross%2Fa.txt/link', {}, bearer(apiKey.token))
  const { link }: { link: string } = await made.json()
  const response = await worker.fetch(link.replace(/sig=.*/, `sig=${encodeURIComponent(value)}`))
  await response.arrayBuffer() // A body that nobody reads is still being copied when the test file ends
  return response
}
const asFolder = async (value: string) => {
  const response = await worker.fetch(`/f/${encodeURIComponent(value)}/cross/a.txt`)
  await response.arrayBuffer()
  return response
}
const asCursor = (value: string) =>
  worker.fetch(`/files?prefix=cross/&cursor=${encodeURIComponent(value)}`, bearer(apiKey.token))
const asUpload = (value: string) => {
  const path = `/multipart/${encodeURIComponent(value)}/urls`
  return worker.post(path, { key: uploadKey, partNumbers: [1] }, bearer(apiKey.token))
}

/** A form with the policy `value` and no other field. */
const asForm = (value: string) => {
  const part = (head: string, content: string) =>
    `--b\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`
  const file = part('name="file"; filename="a"', 'a')
  const body = `${part('name="policy"', value)}${file}--b--\r\n`
  const headers = {
    'Content-Type': 'multipart/form-data; boundary=b',
    'Content-Length': String(body.length),
  }
  return worker.fetch('/s3/form', { method: 'POST', headers, body })
}

const asStep = (value: string) =>
  worker.fetch(`/s3/uploads?step=${encodeURIComponent(value)}`, { method: 'POST' })

/** The signature of a JWS, which is as long as a link's signature. */
const lastPart = (jws: string) => jws.split('.').at(-1) ?? ''

it('accepts each credential in its own place', async () => {
  expect((await asBearer(made['api key'])).status).toBe(200)
  expect((await asBearer(made.jwt)).status).toBe(200)
  expect((await asBearer(made.token)).status).toBe(200)
  expect((await inPath(made.token)).status).toBe(200)
  expect((await asCursor(made.cursor)).status).toBe(200)
  expect((await asLink(made.link)).status).toBe(200)
  expect((await asFolder(made.folder)).status).toBe(200)
  expect((await asUpload(made.upload)).status).toBe(200)
  expect((await asStep(made.step)).status).toBe(200)
  // The route reads the policy, then reports a missing field.
  expect(await (await asForm(made.form)).json()).toHaveProperty('issues')
})

// @threat credential-misused form-changed upload-url-reused
it('refuses each credential in every other place', async () => {
  for (const kind of [
    ...(['api key', 'jwt', 'cursor', 'link', 'folder', 'upload', 'form', 'step'] as const),
  ])
    expect((await inPath(made[kind])).status, `${kind} in the path`).toBe(401)
  expect((await inPath(`ept_${made.upload}`)).status).toBe(401)
  for (const value of [
    made.cursor,
    `ept_${made.cursor}`,
    `ept_${made.jwt}`,
    `ep_${made.cursor}`,
    made.link,
    `ept_${made.link}`,
    made.folder,
    `ept_${made.folder}`,
    made.upload,
    `ept_${made.upload}`,
    `ep_${made.upload}`,
    made.form,
    `ept_${made.form}`,
    made.step,
    `ept_${made.step}`,
  ])
    expect((await asBearer(value)).status, value).toBe(401)
  for (const value of [
    made['api key'],
    made.jwt,
    made.token,
    made.token.slice('ept_'.length),
    made.link,
    made.folder,
    made.upload,
    made.form,
    made.step,
  ])
    expect((await asCursor(value)).status, value).toBe(400)
  expect((await asBearer(made.token.slice('ept_'.length))).status, 'token as JWT').toBe(401)
  for (const value of [
    made['api key'],
    made.jwt,
    made.token,
    made.cursor,
    made.folder,
    made.upload,
    made.form,
    lastPart(made.folder),
    lastPart(made.token),
    lastPart(made.cursor),
    lastPart(made.jwt),
    lastPart(made.upload),
    lastPart(made.form),
    lastPart(made.step),
  ])
    expect((await asLink(value)).status, value).toBe(403)
  for (const value of [
    made['api key'],
    made.jwt,
    made.token,
    made.token.slice('ept_'.length),
    made.cursor,
    made.link,
    made.folder,
    made.form,
    made.step,
  ])
    expect(await (await asUpload(value)).json(), value).toMatchObject({ code: 'invalid_upload_id' })
  for (const value of [
    made['api key'],
    made.jwt,
    made.token,
    made.token.slice('ept_'.length),
    made.cursor,
    made.link,
    made.folder,
    made.upload,
  ]) {
    const refusal = await (await asForm(value)).json()
    expect(refusal, value).toMatchObject({ code: 'forbidden' })
    expect(refusal, value).not.toHaveProperty('issues')
  }
  expect(await (await asForm(made.step)).json()).not.toHaveProperty('issues')
  for (const [kind, value] of Object.entries(made))
    if (kind !== 'step') expect((await asStep(value)).status, kind).toBe(403)
  for (const [kind, value] of Object.entries(made))
    if (kind !== 'folder') expect((await asFolder(value)).status, kind).toBe(403)
  expect((await asFolder(made.token.slice('ept_'.length))).status, 'token').toBe(403)
})

// @threat token-two-spellings link-two-spellings
it('refuses each of them in another spelling of its signature', async () => {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const spellings = (value: string) => [
    ...[1, 2, 3].map((bits) => {
      const last = digits.indexOf(value.at(-1) ?? '')
      return value.slice(0, -1) + digits.charAt(last ^ bits)
    }),
    ...['=', '==', '\n', ' '].map((text) => value + text),
  ]
  for (const value of spellings(made.token)) {
    expect((await inPath(value)).status, value).toBe(401)
    expect((await asBearer(value.trim())).status, value).toBe(
      value.trim() === made.token ? 200 : 401,
    )
  }
  for (const value of spellings(made.cursor)) expect((await asCursor(value)).status).toBe(400)
  for (const value of spellings(made.upload)) expect((await asUpload(value)).status).toBe(400)
  for (const value of spellings(made.link)) expect((await asLink(value)).status).toBe(403)
  for (const value of spellings(made.folder)) expect((await asFolder(value)).status).toBe(403)
  for (const value of spellings(made.step)) expect((await asStep(value)).status).toBe(403)
  for (const value of spellings(made.form))
    expect(await (await asForm(value)).json()).not.toHaveProperty('issues')
})

it('refuses a cursor of another prefix or bucket', async () => {
  const cursor = encodeURIComponent(made.cursor)
  for (const query of [`cursor=${cursor}`, `prefix=cross&cursor=${cursor}`]) {
    const response = await worker.fetch(`/files?${query}`, bearer(apiKey.token))
    expect(await response.json(), query).toMatchObject({ code: 'invalid_cursor' })
  }
  const { BUCKETS } = baseVariables()
  const other = testWorker({ BUCKETS: { other: BUCKETS.files } })
  const response = await other.fetch(`/files?prefix=cross/&cursor=${cursor}`)
  expect(await response.json()).toMatchObject({ code: 'invalid_cursor' })
})

// @threat credential-misused
it('derives a different key for each purpose and each secret', async () => {
  const data = new TextEncoder().encode('x')
  const secrets = [
    { name: '', kid: 'a', secret: 'a'.repeat(32) },
    { name: '', kid: 'b', secret: 'b'.repeat(32) },
  ]
  const signatures = await Promise.all(
    secrets.flatMap((secret) =>
      ['token', 'cursor', 'link', 'folder', 'upload', 'form', 'step'].map(async (name) => {
        const key = await purposeKey(secret, purpose(name))
        return toHex(await crypto.subtle.sign('HMAC', key, data))
      }),
    ),
  )
  expect(new Set(signatures).size).toBe(14)
})
