import { afterEach, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { captureLog } from '../support/capture-log.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { putPart } from '../support/parts.ts'
import { stubUnreachable, UNREACHABLE } from '../support/unreachable.ts'
import { baseVariables, testWorker } from '../support/worker.ts'

afterEach(() => vi.restoreAllMocks())

it('names the route of an upload, but nothing that the client sent', async () => {
  const lines = captureLog()
  const worker = testWorker()
  await worker.fetch('/s3/params?filename=canary.txt')
  await worker.fetch('/s3/multipart/canary/7?key=canary')
  await worker.fetch('/multipart/canary?key=canary')
  await worker.post('/s3/sign', { method: 'DELETE', key: 'canary' })
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { method: 'GET', route: '/s3/params', status: 200, bucket: 'files', principal: 'localhost' },
    { route: '/s3/multipart/:uploadId/:partNumber', status: 400, code: 'invalid_upload_id' },
    { route: '/multipart/:uploadId', status: 400, code: 'invalid_upload_id', bucket: 'files' },
    { method: 'POST', route: '/s3/sign', status: 400, code: 'invalid_request' },
  ])
  expect(lines.join()).not.toContain('canary')
})

it('contains no key, id, ETag, policy or signature of an upload, whatever the request', async () => {
  const apiKey = await testApiKey('ci', SCOPES)
  const variables = {
    OPEN_ACCESS: undefined,
    API_KEYS: [apiKey.entry],
  }
  const worker = testWorker(variables)
  const as = bearer(apiKey.token)
  const minted = await worker.post('/tokens', { scopes: ['files:upload'] }, as)
  const { token }: { token: string } = await minted.json()
  const lines = captureLog()
  const secrets = new Set(['canary', token, apiKey.token])

  const remember = async (response: Response) => {
    const text = await response.text()
    for (const pattern of [
      /(?<="(?:key|uploadId|Policy|X-Amz-Credential|X-Amz-Signature)":")[^"]+/g,
      /(?<=[?&](?:uploadId|X-Amz-Credential|X-Amz-Signature)=)[^&"]+/g,
    ])
      for (const [value] of text.matchAll(pattern)) secrets.add(value)
    return text
  }
  const json = async (response: Response): Promise<Record<string, string>> =>
    JSON.parse(await remember(response))

  const file = {
    fileName: 'canary.txt',
    mimetype: 'text/plain',
    size: 5,
    metadata: { canary: 'canary' },
  }
  stubUnreachable()
  const unreachable = testWorker({
    ...variables,
    BUCKETS: { files: { ...baseVariables().BUCKETS.files, endpoint: UNREACHABLE } },
  })
  for (const base of ['', `/u/${token}`]) {
    const init = base === '' ? as : {}
    const ours = await json(await worker.post(`${base}/multipart`, file, init))
    const uppy = await json(await worker.post(`${base}/s3/multipart`, { filename: 'canary' }, init))
    const { key = '', uploadId = '' } = ours
    const path = `${base}/multipart/${uploadId}`
    const urls = await worker.post(`${path}/urls`, { key, partNumbers: [1] }, init)
    const [url = ''] = /http[^"]+/.exec(await remember(urls)) ?? []
    const etag = await putPart(url, 'canry')
    secrets.add(etag.replaceAll('"', ''))
    for (const client of [unreachable, worker]) {
      await remember(await client.post(`${path}/urls`, { key, partNumbers: [9] }, init))
      await remember(await client.fetch(`${path}?key=${key}`, init))
      await remember(await client.fetch(`${path}?key=canary`, init))
      await remember(await client.fetch(`${path}x?key=${key}`, { ...init, method: 'DELETE' }))
      const parts = [{ partNumber: 1, etag }]
      await remember(await client.post(`${path}/complete`, { key, parts, name: 'canary' }, init))
      await remember(await client.fetch(`${base}/s3/params?filename=canary`, init))
      const s3 = `${base}/s3/multipart/${uppy.uploadId}`
      await remember(await client.fetch(`${s3}?key=${uppy.key}`, init))
      await remember(await client.fetch(`${s3}/1?key=${uppy.key}`, init))
      await remember(await client.fetch(`${s3}/batch?key=${uppy.key}&partNumbers=1`, init))
      await remember(await client.fetch(`${s3}?key=${uppy.key}`, { ...init, method: 'DELETE' }))
      await remember(await client.post(`${s3}/complete?key=canary`, { parts: 'canary' }, init))
      for (const request of [
        { method: 'PUT', key: 'canary' },
        { method: 'GET', key, uploadId: 'canary' },
      ])
        await remember(await client.post(`${base}/s3/sign`, request, init))
    }
  }
  expect(secrets.size).toBeGreaterThan(30)
  expect(lines.length).toBeGreaterThan(50)
  const log = lines.join('\n')
  for (const secret of secrets) expect(log, secret).not.toContain(secret)
})
