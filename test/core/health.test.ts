import { expect, it } from 'vitest'
import { s3rverBucket, testWorker } from '../support/worker.ts'

it('answers 200 for a valid configuration', async () => {
  const response = await testWorker({ OPEN_ACCESS: undefined }).fetch('/healthz')
  expect(response.status).toBe(200)
  expect(await response.json()).toEqual({ status: 'ok', edgeCache: true, images: true })
})

it('says whether links can show resized images, and warns about sizes that have no use', async () => {
  const IMAGE_WIDTHS = [320]
  const healthWith = async (variables: object) =>
    (await testWorker({ ...variables }).fetch('/healthz')).json()
  const without = { status: 'ok', edgeCache: true }
  expect(await healthWith({ IMAGES: undefined })).toEqual(without)
  expect(await healthWith({ IMAGES: undefined, IMAGE_WIDTHS })).toEqual({
    ...without,
    warnings: ['images are not resized'],
  })
  expect(await healthWith({ IMAGE_WIDTHS })).toEqual({ ...without, images: true })
})

it('names each invalid setting but never its value, while every other route refuses', async () => {
  const canary = 'canary-value'
  const worker = testWorker({
    BUCKETS: { files: { ...s3rverBucket(), adressing: canary, region: `${canary} !` } },
    SIGNING_SECRETS: canary,
  })
  const health = await worker.fetch('/healthz')
  const text = await health.text()
  expect(health.status).toBe(503)
  expect(text).not.toContain(canary)
  expect(JSON.parse(text)).toMatchObject({ code: 'misconfigured' })
  const paths = JSON.parse(text).issues.map(({ path }: { path: string }) => path)
  expect(paths).toEqual(expect.arrayContaining(['BUCKETS.files.region', 'SIGNING_SECRETS']))
  for (const path of ['/files', '/files/a/url', '/nowhere', '/u/x/files', '/i/a/b', '/i/a']) {
    const response = await worker.fetch(path)
    expect(response.status, path).toBe(503)
    expect(await response.json(), path).toMatchObject({ code: 'misconfigured' })
  }
})

// @threat health-shows-secret
it('tells how many unknown names there are, and none of them, since one may be a secret', async () => {
  const canary = 'canary-secret-pasted-as-a-name'
  const bucket = s3rverBucket()
  for (const [variables, path, message] of [
    [
      { BUCKETS: { files: { ...bucket, [canary]: 1, [`${canary}2`]: 1 } } },
      'BUCKETS.files',
      'has unknown members: 2. Known members: endpoint, ',
    ],
    [{ BUCKETS: { files: bucket, [`${canary}_`]: bucket } }, 'BUCKETS.1', 'must be an alias'],
    [
      { BUCKETS: { files: { ...bucket, uploadHeaders: { [canary]: 'x' } } } },
      'BUCKETS.files.uploadHeaders.0',
      'is not a header to set here. Known headers: ',
    ],
    [{ API_KEYS: [{ [canary]: 1 }] }, 'API_KEYS.0', 'has unknown members: 1. '],
    [{ WEBHOOKS: [{ [canary]: 1 }] }, 'WEBHOOKS.0', 'has unknown members: 1. '],
    [{ JWT: { [canary]: 1 } }, 'JWT', 'has unknown members: 1. '],
  ] as const) {
    const text = await (await testWorker(variables).fetch('/healthz')).text()
    expect(text).not.toContain('canary')
    const { issues }: { issues: unknown[] } = JSON.parse(text)
    expect(issues).toContainEqual({ path, message: expect.stringContaining(message) })
  }
})

it('names a secret that is missing', async () => {
  const response = await testWorker({ S3_SECRET_ACCESS_KEY: undefined }).fetch('/healthz')
  expect(await response.json()).toMatchObject({
    issues: [{ path: 'S3_SECRET_ACCESS_KEY', message: expect.any(String) }],
  })
})

it('names a binding that is missing', async () => {
  const worker = testWorker({ FILE_INDEX: undefined, RATE_LIMITER: undefined })
  expect(await (await worker.fetch('/healthz')).json()).toMatchObject({
    issues: [
      { path: 'RATE_LIMITER', message: expect.stringContaining('[[ratelimits]]') },
      { path: 'FILE_INDEX', message: expect.stringContaining('[[kv_namespaces]]') },
    ],
  })
})

it('refuses everyone when no credentials are configured', async () => {
  const worker = testWorker({ OPEN_ACCESS: undefined })
  expect((await worker.fetch('/healthz')).status).toBe(200)
  for (const path of ['/files', '/files/a/url', '/files/a', '/nowhere'])
    expect((await worker.fetch(path)).status, path).toBe(401)
})
