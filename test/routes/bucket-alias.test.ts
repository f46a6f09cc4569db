import { expect, inject, it } from 'vitest'
import { baseVariables, s3rverBucket, testWorker } from '../support/worker.ts'

/** The bucket "files" of s3rver, under the alias "photos". */
const worker = testWorker({
  ...baseVariables(),
  BUCKETS: { photos: { ...s3rverBucket(), bucket: 'files' } },
})

interface Answer {
  readonly key: string
  readonly bucket: string
  readonly uploadId: string
  readonly uploadUrl: string
  readonly files: { readonly bucket: string }[]
}

const post = async (path: string, body: object): Promise<Answer> =>
  (await worker.post(path, body)).json()
const get = async (path: string): Promise<Answer> => (await worker.fetch(path)).json()

it('names a bucket by its alias in every response, and by its real name only in URLs', async () => {
  const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
  const upload = await post('/files/upload-url', file)
  expect(upload.bucket).toBe('photos')
  expect(upload.uploadUrl).toContain(`${inject('s3Endpoint')}/files/`)
  await fetch(upload.uploadUrl, {
    method: 'PUT',
    body: 'hello',
    headers: { 'Content-Type': 'text/plain' },
  })

  const path = `/files/${encodeURIComponent(upload.key)}`
  const recorded = await worker.post('/files', { key: upload.key, name: 'a.txt' })
  expect(recorded.headers.get('Location')).toBe(`${path}?bucket=photos`)
  expect(await recorded.json()).toMatchObject({ bucket: 'photos' })
  expect((await get(`${path}/url`)).bucket).toBe('photos')
  expect((await get(path)).bucket).toBe('photos')
  expect((await get('/files')).files.map(({ bucket }) => bucket)).toEqual(['photos'])
  await worker.fetch(path, { method: 'DELETE' })
  expect((await get('/files')).files).toEqual([])
  expect((await post('/multipart', file)).bucket).toBe('photos')
})

it('accepts the alias in requests, and not the real name', async () => {
  expect((await worker.fetch('/files?bucket=photos')).status).toBe(200)
  expect((await worker.fetch('/files?bucket=files')).status).toBe(404)
})
