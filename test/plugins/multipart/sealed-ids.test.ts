import { expect, it } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { partUrls, startUpload } from '../../support/parts.ts'
import { readableIn } from '../../support/readable.ts'
import { testWorker } from '../../support/worker.ts'

// @threat upload-hijacked
it('signs no part of an upload with anything that another principal can read from its upload id', async () => {
  const alice = await testApiKey('alice', SCOPES)
  const bob = await testApiKey('bob', SCOPES)
  const worker = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [alice.entry, bob.entry] })
  const upload = await startUpload(worker, {}, bearer(alice.token))
  const [url = ''] = await partUrls(worker, upload, [1], bearer(alice.token))
  const s3UploadId = new URL(url).searchParams.get('uploadId') ?? ''

  /**
   * Returns S3's id of the upload whose first part `who` can write, through Uppy's `signRequest`.
   */
  const partOf = async (uploadId: string, who = bob): Promise<string | null> => {
    const request = { method: 'PUT', key: upload.key, partNumber: 1, uploadId }
    const response = await worker.post('/s3/sign', request, bearer(who.token))
    if (response.status !== 200) return null
    const signed: { url: string } = await response.json()
    return new URL(signed.url).searchParams.get('uploadId')
  }
  expect(await partOf(upload.uploadId, alice)).toBe(s3UploadId)
  expect(await partOf(s3UploadId)).toBeNull()
  expect(await partOf(s3UploadId, alice)).toBeNull()

  const readable = readableIn(upload.uploadId)
  expect(readable).toEqual(expect.arrayContaining([upload.key, 'key:alice']))
  for (const text of readable) {
    expect(text).not.toContain(s3UploadId)
    expect(await partOf(text)).toBeNull()
  }
})
