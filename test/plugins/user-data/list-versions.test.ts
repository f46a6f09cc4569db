import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { listVersions } from '../../../src/plugins/user-data/list-versions.ts'
import { deletesMany, deleteVersions } from '../../../src/storage/delete-objects.ts'
import { answer, operations, s3Error, scriptedBucket } from '../../support/scripted-bucket.ts'
import { testBucket } from '../../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const DATE = '2026-11-01T00:00:00.000Z'
const bucket = testBucket()
const query = { prefix: 'a/', limit: 100 }

afterEach(() => void vi.unstubAllGlobals())

const entry = (name: string, key: string, versionId: string, isLatest: string, date = DATE) =>
  `<${name}><Key>${key}</Key><VersionId>${versionId}</VersionId><IsLatest>${isLatest}</IsLatest><LastModified>${date}</LastModified></${name}>`
const page = (entries: string, more = '<IsTruncated>false</IsTruncated>') =>
  answer(
    200,
    `<ListVersionsResult><EncodingType>url</EncodingType>${more}${entries}</ListVersionsResult>`,
  )
const truncated = (key: string, id: string) =>
  `<IsTruncated>true</IsTruncated><NextKeyMarker>${key}</NextKeyMarker><NextVersionIdMarker>${id}</NextVersionIdMarker>`

describe('listVersions', () => {
  it('returns versions and delete markers below the prefix, with decoded keys', async () => {
    const sent = scriptedBucket({
      ListObjectVersions: page(
        entry('DeleteMarker', 'a/b+c%20%C3%A9', 'm1', 'true') +
          entry('Version', 'a/b+c%20%C3%A9', 'v1', 'false') +
          entry('Version', 'a/%2E%2E/x', 'v2', 'true') +
          entry('Version', 'a/%2E%2E/x', 'v3', 'false') +
          entry('Version', 'b/x', 'v4', 'false') +
          entry('Version', 'a/z', '', 'true'),
        truncated('a/z', 'v9'),
      ),
    })
    const lastModified = Date.parse(DATE)
    expect(await listVersions(bucket, query, NOW)).toEqual({
      versions: [
        { key: 'a/b c é', versionId: 'v1', isMarker: false, isLatest: false, lastModified },
        { key: 'a/z', versionId: 'null', isMarker: false, isLatest: true, lastModified },
        { key: 'a/b c é', versionId: 'm1', isMarker: true, isLatest: true, lastModified },
      ],
      next: { key: 'a/z', versionId: 'v9' },
      unreadable: 2,
    })
    const { searchParams } = new URL(sent[0]?.url ?? '')
    expect(Object.fromEntries(searchParams)).toMatchObject({
      ...{ versions: '', prefix: 'a/', 'max-keys': '100', 'encoding-type': 'url' },
    })
  })

  it('starts a page where the marker says', async () => {
    const sent = scriptedBucket({ ListObjectVersions: page('') })
    await listVersions(bucket, { ...query, marker: { key: 'a/b c', versionId: 'v1' } }, NOW)
    await listVersions(bucket, { ...query, marker: { key: 'a/b c', versionId: '' } }, NOW)
    const [both, keyOnly] = sent.map(({ url }) => new URL(url).searchParams)
    expect([both?.get('key-marker'), both?.get('version-id-marker')]).toEqual(['a/b c', 'v1'])
    expect([keyOnly?.get('key-marker'), keyOnly?.has('version-id-marker')]).toEqual([
      'a/b c',
      false,
    ])
  })

  it('knows that what follows a version of its key is older', async () => {
    scriptedBucket({
      ListObjectVersions: page(
        entry('Version', 'a/b', 'v1', 'true') + entry('Version', 'a/c', 'v2', 'true'),
      ),
    })
    const marker = { key: 'a/b', versionId: 'v9' }
    const { versions } = await listVersions(bucket, { ...query, marker }, NOW)
    expect(versions.map(({ isLatest }) => isLatest)).toEqual([false, true])
  })

  it.each([
    ['the same page again', page('', truncated('a/k', 'v1'))],
    ['no next page', page('', '<IsTruncated>true</IsTruncated>')],
    ['a version without a date', page(entry('Version', 'a/b', 'v1', 'true', 'soon'))],
    ['a version without its place', page(entry('Version', 'a/b', 'v1', 'maybe'))],
    ['an error', s3Error(500, 'InternalError')],
  ])('throws storage_error for %s', async (_, given) => {
    scriptedBucket({ ListObjectVersions: given })
    const marker = { key: 'a/k', versionId: 'v1' }
    await expect(listVersions(bucket, { ...query, marker }, NOW)).rejects.toMatchObject({
      code: 'storage_error',
    })
  })

  it.each([
    ['refuses', s3Error(403, 'AccessDenied')],
    ['has no versions', s3Error(501, 'NotImplemented')],
    ['lists its objects', answer(200, '<ListBucketResult></ListBucketResult>')],
  ])('throws not_supported if the server %s', async (_, given) => {
    scriptedBucket({ ListObjectVersions: given })
    await expect(listVersions(bucket, query, NOW)).rejects.toMatchObject({ code: 'not_supported' })
  })
})

describe('deleteVersions', () => {
  const versions = ['v1', 'v2', 'null'].map((versionId) => ({
    key: parseObjectKey('a/b&c'),
    versionId,
  }))
  const codes = (deletions: Awaited<ReturnType<typeof deleteVersions>>) =>
    Array.from(deletions.values(), (failure) => failure?.message ?? null)

  it('names each version, and reads the result of each', async () => {
    const result = (name: string, id: string, code = '') =>
      `<${name}><Key>a/b&amp;c</Key>${id && `<VersionId>${id}</VersionId>`}${code && `<Code>${code}</Code>`}</${name}>`
    const sent = scriptedBucket({
      DeleteObjects: answer(
        200,
        `<DeleteResult>${result('Deleted', 'v1')}${result('Error', 'v2', 'AccessDenied')}${result('Deleted', '')}</DeleteResult>`,
      ),
    })
    expect(codes(await deleteVersions(testBucket(), versions, NOW))).toEqual([
      null,
      'The bucket answered DeleteObjects with AccessDenied.',
      null,
    ])
    expect(sent[0]?.body).toContain(
      '<Object><Key>a/b&amp;c</Key><VersionId>v2</VersionId></Object>',
    )
  })

  it('deletes one alone, and each alone on a server without DeleteObjects', async () => {
    const sent = scriptedBucket({
      DeleteObjects: s3Error(501, 'NotImplemented'),
      DeleteObject: answer(204),
    })
    const other = testBucket()
    expect(deletesMany(other)).toBe(undefined)
    expect(codes(await deleteVersions(other, versions.slice(0, 1), NOW))).toEqual([null])
    expect(codes(await deleteVersions(other, versions, NOW))).toEqual([null, null, null])
    expect(deletesMany(other)).toBe(false)
    expect(operations(sent).filter((one) => one === 'DeleteObject').length).toBe(4)
    const named = sent.map(({ url }) => new URL(url).searchParams.get('versionId'))
    expect(named).toEqual(['v1', null, 'v1', 'v2', 'null'])
  })
})
