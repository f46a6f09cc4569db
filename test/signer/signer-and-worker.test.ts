import { afterEach, expect, inject, it, vi } from 'vitest'
import { createSigner, type SettingsFor } from '../../src/signer.ts'
import { bucketFetch } from '../support/bucket.ts'
import { environmentSettings } from '../support/environment-settings.ts'
import { textOf } from '../support/links.ts'
import { baseVariables, s3rverBucket, testWorker } from '../support/worker.ts'

const variables = { ...baseVariables(), BUCKETS: { files: s3rverBucket() } }
const worker = testWorker(variables)
const loaded = { ...environmentSettings(variables), linkBase: 'http://localhost:8787' }
const settings = (() => loaded) as unknown as SettingsFor<unknown>

afterEach(() => {
  vi.useRealTimers()
})

it('signs the same download URLs and links as the Worker', async () => {
  vi.useFakeTimers({ now: new Date('2026-11-25T12:00:00Z'), toFake: ['Date'] })
  const signer = createSigner(settings, {})
  for (const key of ['a/b.png', 'é +%/x.svg', 'uploads/*/:key']) {
    const path = `/files/${encodeURIComponent(key)}`
    expect(await signer.downloadUrl(key, { use: 'stream', stable: true })).toEqual(
      await (await worker.fetch(`${path}/url?use=stream&stable=true`)).json(),
    )
    const request = { expiresIn: 3600, download: 'Ä "1".png' }
    expect(await signer.link(key, request)).toEqual(
      await (await worker.post(`${path}/link`, request)).json(),
    )
  }
})

it('signs a link that the Worker accepts', async () => {
  const key = `signer/${crypto.randomUUID()}/a b.png`
  const signer = createSigner(settings, {})
  const { uploadUrl } = await signer.uploadUrl({ fileName: 'x.png', mimetype: 'image/png' })
  expect(new URL(uploadUrl).origin).toBe(inject('s3Endpoint'))
  await bucketFetch(key.split('/').map(encodeURIComponent).join('/'), {
    method: 'PUT',
    body: 'pixels',
    headers: { 'Content-Type': 'image/png' },
  })
  const { link } = await signer.link(key)
  const response = await worker.fetch(link)
  expect(response.status).toBe(200)
  expect(await textOf(response)).toBe('pixels')
})

it('signs for the public host when clients reach the bucket by another host', async () => {
  const publicEndpoint = inject('s3Endpoint').replace('127.0.0.1', 'localhost')
  const table = { ...s3rverBucket(), publicEndpoint }
  const signer = createSigner(environmentSettings, { ...variables, BUCKETS: { files: table } })
  const { uploadUrl, headers, key } = await signer.uploadUrl({
    fileName: 'x.png',
    mimetype: 'image/png',
  })
  expect(new URL(uploadUrl).origin).toBe(publicEndpoint)
  expect((await fetch(uploadUrl, { method: 'PUT', headers, body: 'pixels' })).status).toBe(200)
  const { url } = await signer.downloadUrl(key)
  expect(new URL(url).origin).toBe(publicEndpoint)
  expect(await textOf(await fetch(url))).toBe('pixels')
})

it('signs an upload URL that the bucket accepts and the Worker records', async () => {
  const signer = createSigner(settings, {})
  const made = await signer.uploadUrl({ fileName: 'x.png', mimetype: 'image/png', size: 6 })
  const put = await fetch(made.uploadUrl, { method: 'PUT', headers: made.headers, body: 'pixels' })
  expect(put.status).toBe(200)
  const recorded = await worker.post('/files', { key: made.key, name: 'x.png' })
  expect(await recorded.json()).toMatchObject({ size: 6, mimetype: 'image/png' })
})
