import { expect, it } from 'vitest'
import { bucketFetch } from '../../support/bucket.ts'
import { putPart } from '../../support/parts.ts'
import { companionPath, startCompanion } from '../../support/uppy.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

it('leaves a file that was accepted where maxBytes is lower when the upload is completed again', async () => {
  const before = testWorker()
  const upload = await startCompanion(before)
  const signed = await before.fetch(companionPath(upload, '/1'))
  const { url } = await signed.json<{ url: string }>()
  const parts = [{ PartNumber: 1, ETag: await putPart(url, 'hello') }]
  const complete = companionPath(upload, '/complete')
  expect((await before.post(complete, { parts })).status).toBe(200)

  const after = testWorker({ BUCKETS: { files: { ...s3rverBucket(), maxBytes: 3 } } })
  await after.post(complete, { parts })
  expect((await bucketFetch(upload.key)).status).toBe(200)
})
