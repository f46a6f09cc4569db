import { env } from 'cloudflare:workers'
import { afterEach, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { bucketFetch } from '../support/bucket.ts'
import { captureLog } from '../support/capture-log.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { jwtVariable, testIssuer } from '../support/issuer.ts'
import { linkTo, open, putObject, textOf } from '../support/links.ts'
import { putPart } from '../support/parts.ts'
import { stubUnreachable, UNREACHABLE } from '../support/unreachable.ts'
import { baseVariables, testWorker } from '../support/worker.ts'

afterEach(() => vi.restoreAllMocks())

it('writes one JSON line for each request', async () => {
  const lines = captureLog()
  const worker = testWorker()
  await worker.fetch('/files/a%20b.txt/url?use=email')
  await worker.fetch('/files/..%2Fb/url')
  await worker.fetch('/nowhere/at/all?x=1')
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      method: 'GET',
      route: '/files/:key/url',
      status: 200,
      milliseconds: expect.any(Number),
      principal: 'localhost',
      bucket: 'files',
    },
    expect.objectContaining({ route: '/files/:key/url', status: 400, code: 'invalid_key' }),
    {
      requestId: expect.any(String),
      method: 'GET',
      status: 404,
      milliseconds: expect.any(Number),
      principal: 'localhost',
      code: 'not_found',
    },
  ])
})

it('shows whether the edge had a copy for a link', async () => {
  const key = await putObject('log.png', 'x')
  const { link } = await linkTo(key)
  const lines = captureLog()
  await textOf(await open(link))
  await textOf(await open(link))
  await open(link.replace('exp=', 'exp=1'))
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { route: '/i/:bucket/:key', bucket: 'counted', cache: 'edge-presigner; fwd=uri-miss' },
    { route: '/i/:bucket/:key', bucket: 'counted', cache: 'edge-presigner; hit' },
    {
      route: '/i/:bucket/:key',
      status: 403,
      code: 'link_invalid',
      reason: 'link signature wrong',
    },
  ])
})

it('ignores a request id from the client', async () => {
  const lines = captureLog()
  const response = await testWorker().fetch('/healthz', { headers: { 'X-Request-Id': 'canary' } })
  expect(response.headers.get('X-Request-Id')).toMatch(/^[0-9a-f-]{36}$/)
  expect(lines.join('')).not.toContain('canary')
})

it('gives a more exact reason for refused credentials than the response', async () => {
  const lines = captureLog()
  const response = await testWorker({ OPEN_ACCESS: undefined }).fetch('/files', bearer('ep_x_y'))
  expect(await response.text()).not.toContain('api key malformed')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ status: 401, reason: 'api key malformed' })
})

it('gives the cause of an internal error, which the response does not', async () => {
  const lines = captureLog()
  const broken = { list: () => Promise.reject(new Error('boom https://x.example/?secret=1')) }
  const response = await testWorker({ FILE_INDEX: broken }).fetch('/files')
  expect(await response.text()).not.toContain('boom')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    code: 'unavailable',
    reason: 'index: Error: boom (URL)',
  })
})

it("gives the bucket's error for a link, which the response does not", async () => {
  const lines = captureLog()
  for (const [failure, code, reason] of [
    ['403', 'storage_error', 'StorageFailure: GetObject 403 AccessDenied'],
    ['no-bucket', 'storage_error', 'StorageFailure: GetObject 404 NoSuchBucket'],
    ['busy', 'unavailable', 'storage: StorageFailure: GetObject 503 SlowDown'],
  ] as const) {
    const { link } = await linkTo(`${failure}/${crypto.randomUUID()}.png`, {}, 'faulty')
    const text = await (await open(link)).text()
    expect(text).not.toContain('StorageFailure')
    const line: unknown = JSON.parse(lines.at(-1) ?? '')
    expect(line).toMatchObject({ code, reason, message: JSON.parse(text).message })
    expect(lines.at(-1)).not.toContain('canary')
  }
})

it("gives the bucket's error for HEAD of a link, which the response does not", async () => {
  const lines = captureLog()
  for (const [failure, status, reason] of [
    ['403', 502, 'StorageFailure: HeadObject 403 AccessDenied'],
    ['busy', 503, 'storage: StorageFailure: HeadObject 503'],
  ] as const) {
    const { link } = await linkTo(`${failure}/${crypto.randomUUID()}.png`, {}, 'faulty')
    const { headers } = await open(link, {}, 'HEAD')
    expect(JSON.stringify([...headers])).not.toContain('StorageFailure')
    const message = expect.stringMatching(/^The bucket /)
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ status, reason, message })
  }
})

it('names the failed operation and its error for each request to the bucket', async () => {
  const lines = captureLog()
  const denied = '<Error><Code>AccessDenied</Code><Message>canary</Message></Error>'
  vi.stubGlobal('fetch', async (_: string, { method }: RequestInit) => {
    if (method === 'POST') throw new TypeError('no route to https://x.example/a?X-Amz-Signature=1')
    return new Response(method === 'HEAD' ? null : denied, { status: 403 })
  })
  const worker = testWorker()
  await worker.post('/files', { key: 'canary.txt', name: 'canary' })
  await worker.fetch('/files/canary.txt', { method: 'DELETE' })
  await worker.post('/multipart', { fileName: 'canary.txt', mimetype: 'text/plain', size: 5 })
  vi.unstubAllGlobals()
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    {
      status: 502,
      code: 'storage_error',
      message: 'The bucket answered HeadObject with AccessDenied.',
      reason: 'StorageFailure: HeadObject 403 AccessDenied',
    },
    {
      message: 'The bucket answered DeleteObject with AccessDenied.',
      reason: 'StorageFailure: DeleteObject 403 AccessDenied',
    },
    {
      message: 'The bucket did not respond.',
      reason: 'StorageFailure: CreateMultipartUpload no response; TypeError: no route to (URL)',
    },
  ])
  expect(lines.join()).not.toContain('canary')
})

it('warns about a complete that failed although the object exists', async () => {
  const lines = captureLog()
  const worker = testWorker()
  const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
  const started = await worker.post('/multipart', file)
  const { key, uploadId }: { key: string; uploadId: string } = await started.json()
  const signed = await worker.post(`/multipart/${uploadId}/urls`, { key, partNumbers: [1] })
  const { urls }: { urls: { url: string }[] } = await signed.json()
  const etag = await putPart(urls[0]?.url ?? '', 'hello')
  const body = { key, parts: [{ partNumber: 1, etag }] }
  for (let i = 0; i < 2; i++) {
    const response = await worker.post(`/multipart/${uploadId}/complete`, body)
    expect(response.status).toBe(201)
  }
  const s3 = { parts: [{ PartNumber: 1, ETag: etag }] }
  await worker.post(`/s3/multipart/${uploadId}/complete?key=${encodeURIComponent(key)}`, s3)
  expect(lines.slice(2).map((line) => JSON.parse(line).warning)).toEqual([
    undefined,
    expect.stringMatching(/^complete failed although the object exists: /),
    expect.stringMatching(/^complete failed although the object exists: /),
  ])
})

// @threat log-incomplete
it('contains every warning of a request', async () => {
  const lines = captureLog()
  const limit = () => Promise.reject(new Error('limiter down'))
  await env.FILE_INDEX.put('file:files:warned/a', '', { metadata: { none: 'of ours' } })
  await testWorker({ RATE_LIMITER: { limit } }).fetch('/files?prefix=warned/')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    status: 200,
    warning: 'rate limit not applied: Error: limiter down; index entries unreadable: 1',
  })
})

// @threat log-secrets
it('contains no key material, signature, token, query or body, whatever the request', async () => {
  const issuer = await testIssuer()
  const apiKey = await testApiKey('ci', SCOPES)
  const variables = {
    OPEN_ACCESS: undefined,
    API_KEYS: [apiKey.entry],
    S3_SESSION_TOKEN: 'canary-session-token',
    JWT: jwtVariable(issuer),
  }
  const { SIGNING_SECRETS } = baseVariables()
  const jwt = await issuer.sign()
  const secrets = [
    SIGNING_SECRETS.slice(3),
    'S3RVER',
    'canary',
    apiKey.token.slice('ep_ci_'.length),
    apiKey.entry.sha256,
    jwt,
    jwt.split('.')[2] ?? '',
  ]
  const lines = captureLog()
  const worker = testWorker(variables)
  stubUnreachable()
  const unreachable = testWorker({
    ...variables,
    BUCKETS: { files: { ...baseVariables().BUCKETS.files, endpoint: UNREACHABLE } },
  })

  const remember = async (response: Response) => {
    const text = await response.text()
    secrets.push(
      ...(text.match(/(?<=X-Amz-(?:Signature|Credential|Security-Token)=)[^&"]+/g) ?? []),
    )
    secrets.push(...(text.match(/(?<="(?:token|cursor)":")[^"]+/g) ?? []))
    return text
  }
  const body = (fileName: string) => ({ fileName, mimetype: 'text/plain' })
  await bucketFetch('log/a.txt', { method: 'PUT', body: 'a' })
  for (const client of [worker, unreachable])
    for (const token of [apiKey.token, jwt, `${apiKey.token}canary`, 'canary.canary.canary']) {
      const as = bearer(token)
      await remember(await client.post('/files/upload-url', body('canary.txt'), as))
      await remember(await client.post('/files/upload-url', { canary: 1 }, as))
      await remember(await client.post('/tokens', { scopes: ['files:read'] }, as))
      await remember(await client.post('/files', { key: 'log/a.txt', name: 'canary' }, as))
      await remember(await client.fetch('/files/canary.txt/url?download=canary&stable=true', as))
      await remember(await client.fetch('/files/canary%zz/url?canary=canary', as))
      await remember(await client.fetch('/files?limit=1&prefix=log/&cursor=canary', as))
      await remember(await client.fetch('/files/log%2Fa.txt?canary=1', as))
      await remember(await client.fetch('/canary?canary=1', as))
    }
  const token: { token: string } = await (
    await worker.post('/tokens', { scopes: SCOPES }, bearer(apiKey.token))
  ).json()
  secrets.push(token.token)
  await worker.fetch(`/u/${token.token}/files/a.txt/url`)
  await worker.fetch(`/u/${token.token}canary/files/a.txt/url`)
  await worker.fetch(`/u/${token.token}/nowhere`)
  const made = await worker.post(
    '/files/log%2Fa.txt/link',
    { download: 'canary' },
    bearer(apiKey.token),
  )
  const { link }: { link: string } = await made.json()
  secrets.push(new URL(link).searchParams.get('sig') ?? '')
  await worker.fetch(link)
  await worker.fetch(`${link}canary`)

  expect(secrets.length).toBeGreaterThan(20)
  expect(lines.length).toBeGreaterThan(70)
  const log = lines.join('\n')
  for (const secret of secrets) expect(log, secret).not.toContain(secret)
})
