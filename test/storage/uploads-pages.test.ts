import { afterEach, expect, it, vi } from 'vitest'
import { listUploadsPage } from '../../src/storage/multipart.ts'
import { answer, s3Error, scriptedBucket } from '../support/scripted-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const bucket = testBucket()

const upload = (key: string, id: string, initiated = '2026-11-01T00:00:00.000Z') =>
  `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${initiated}</Initiated></Upload>`
const page = (uploads: string, more = '<IsTruncated>false</IsTruncated>') =>
  answer(
    200,
    `<ListMultipartUploadsResult><EncodingType>url</EncodingType>${uploads}${more}</ListMultipartUploadsResult>`,
  )
const truncated = (key: string, id: string) =>
  `<IsTruncated>true</IsTruncated><NextKeyMarker>${key}</NextKeyMarker><NextUploadIdMarker>${id}</NextUploadIdMarker>`

afterEach(() => void vi.unstubAllGlobals())

it('lists the uploads of the whole bucket, without a prefix, and decodes keys', async () => {
  const sent = scriptedBucket({
    ListMultipartUploads: page(
      upload('a+b%2Bc%20%C3%A9', 'one') + upload('%2E%2E/x', 'two') + upload('d', 'three', 'soon'),
      truncated('a+b', 'two'),
    ),
  })
  expect(await listUploadsPage(bucket, undefined, NOW, 40)).toEqual({
    uploads: [
      { key: 'a b+c é', s3UploadId: 'one', initiated: new Date('2026-11-01T00:00:00.000Z') },
    ],
    unreadable: ['../x', 'd'],
    next: { keyMarker: 'a b', uploadIdMarker: 'two' },
  })
  const { searchParams } = new URL(sent[0]?.url ?? '')
  expect(Object.fromEntries(searchParams)).toMatchObject({
    uploads: '',
    'max-uploads': '40',
    'encoding-type': 'url',
  })
  expect(searchParams.has('prefix')).toBe(false)
})

it('starts a page after the upload that the marker names', async () => {
  const sent = scriptedBucket({ ListMultipartUploads: page('') })
  await listUploadsPage(bucket, { keyMarker: 'a b', uploadIdMarker: '2~x' }, NOW)
  await listUploadsPage(bucket, { keyMarker: 'a b', uploadIdMarker: '' }, NOW)
  const [both, keyOnly] = sent.map(({ url }) => new URL(url).searchParams)
  expect([both?.get('key-marker'), both?.get('upload-id-marker')]).toEqual(['a b', '2~x'])
  expect([keyOnly?.get('key-marker'), keyOnly?.has('upload-id-marker')]).toEqual(['a b', false])
})

it('throws for pages that never end', async () => {
  scriptedBucket({ ListMultipartUploads: page('', truncated('k', 'id')) })
  const again = listUploadsPage(bucket, { keyMarker: 'k', uploadIdMarker: 'id' }, NOW)
  await expect(again).rejects.toMatchObject({ code: 'storage_error' })
  scriptedBucket({ ListMultipartUploads: page('', '<IsTruncated>true</IsTruncated>') })
  const nowhere = listUploadsPage(bucket, undefined, NOW)
  await expect(nowhere).rejects.toMatchObject({ code: 'storage_error' })
})

it('throws not_supported if the server or the key refuses', async () => {
  for (const refusal of [s3Error(501, 'NotImplemented'), s3Error(403, 'AccessDenied')]) {
    scriptedBucket({ ListMultipartUploads: refusal })
    const page = listUploadsPage(bucket, undefined, NOW)
    await expect(page).rejects.toMatchObject({ code: 'not_supported' })
  }
})
