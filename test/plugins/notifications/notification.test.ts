import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  candidatesOf,
  readR2Message,
  readS3Body,
} from '../../../src/plugins/notifications/notification.ts'
import { hostileText } from '../../support/hostile.ts'
import { testBucket } from '../../support/test-bucket.ts'

const NEW_KEY = 'uploads/ybqr1sgp7a270ajfewde-my-photo.jpg'
const ACCOUNT = '3f4b7e3dcab231cbfdaa90a6a28bd548'
const OTHER_ACCOUNT = '00000000000000000000000000000000'

/** The example of developers.cloudflare.com/r2/buckets/event-notifications. */
const r2Message = (changes: object = {}) => ({
  account: ACCOUNT,
  action: 'CopyObject',
  bucket: 'my-bucket',
  object: { key: 'my-new-object', size: 65536, eTag: 'c846ff7a18f28c2e262116d6e8719ef0' },
  eventTime: '2024-05-24T19:36:44.379Z',
  copySource: { bucket: 'my-bucket', object: 'my-original-object' },
  ...changes,
})

describe('a message of R2', () => {
  it('names account, bucket, key, time and ETag', () => {
    expect(readR2Message(r2Message())).toEqual({
      account: ACCOUNT,
      bucket: 'my-bucket',
      key: 'my-new-object',
      time: Date.parse('2024-05-24T19:36:44.379Z'),
      etag: 'c846ff7a18f28c2e262116d6e8719ef0',
    })
  })

  it.each([
    'PutObject',
    'CopyObject',
    'CompleteMultipartUpload',
    'DeleteObject',
    'LifecycleDeletion',
  ])('is read after %s, also without size and ETag', (action) => {
    const message = r2Message({ action, object: { key: 'a%20b+c' } })
    expect(readR2Message(message)).toMatchObject({ key: 'a%20b+c', etag: '' })
  })

  // @threat notification-loop
  it.each([
    ['other event', r2Message({ action: 'GetObject' })],
    ['malformed', r2Message({ account: undefined })],
    ['malformed', r2Message({ bucket: 1 })],
    ['malformed', r2Message({ object: {} })],
    ['malformed', r2Message({ object: { key: null } })],
    ['malformed', r2Message({ eventTime: 'yesterday' })],
    ['malformed', r2Message({ eventTime: undefined })],
    ['malformed', { Records: [] }],
    ['malformed', 'text'],
    ['malformed', null],
    ['malformed', undefined],
  ])('is dropped as "%s": %j', (drop, message) => {
    expect(readR2Message(message)).toBe(drop)
  })
})

/** What MinIO sends, from github.com/minio/minio. It encodes slashes too. */
const MINIO = {
  EventName: 's3:ObjectCreated:Put',
  Key: 'images/uploads/a b+é.jpg',
  Records: [
    {
      eventVersion: '2.0',
      eventSource: 'minio:s3',
      awsRegion: '',
      eventTime: '2019-10-22T09:27:27Z',
      eventName: 's3:ObjectCreated:Put',
      userIdentity: { principalId: 'AKIAIOSFODNN7EXAMPLE' },
      s3: {
        s3SchemaVersion: '1.0',
        configurationId: 'Config',
        bucket: { name: 'images', ownerIdentity: {}, arn: 'arn:aws:s3:::images' },
        object: { key: 'uploads%2Fa+b%2B%C3%A9.jpg', size: 224_662, eTag: 'e', sequencer: '1' },
      },
    },
  ],
}

/** What Ceph RGW sends, from docs.ceph.com/en/reef/radosgw/notifications. It encodes nothing. */
const CEPH = {
  Records: [
    {
      eventVersion: '2.1',
      eventSource: 'ceph:s3',
      awsRegion: 'zonegroup1',
      eventTime: '2019-11-22T13:47:35.124724Z',
      eventName: 'ObjectCreated:Put',
      s3: {
        s3SchemaVersion: '1.0',
        configurationId: 'mynotif1',
        bucket: { name: 'mybucket1', arn: 'arn:aws:s3:zonegroup1::mybucket1', id: '503a.38' },
        object: { key: 'uploads/a b+%41.jpg', size: '1024', eTag: 'e', versionId: '' },
      },
      eventId: '',
      opaqueData: 'me@example.com',
    },
  ],
}

/** S3's event on EventBridge, from AmazonS3/latest/userguide/ev-events. It encodes nothing. */
const eventBridge = (type = 'Object Created') => ({
  version: '0',
  id: '17793124-05d4-b198-2fde-7ededc63b103',
  'detail-type': type,
  source: 'aws.s3',
  account: '111122223333',
  time: '2021-11-12T00:00:00Z',
  region: 'ca-central-1',
  resources: ['arn:aws:s3:::amzn-s3-demo-bucket1'],
  detail: {
    version: '0',
    bucket: { name: 'amzn-s3-demo-bucket1' },
    object: { key: 'uploads/a b+%41.jpg', size: 5, etag: 'b1946ac92492d2347c6235b4d2611184' },
    'request-id': 'N4N7GDK58NMKJ12R',
    requester: '123456789012',
    reason: 'PutObject',
  },
})

/** One record with `changes`. */
const record = (changes: object) => ({ Records: [{ ...MINIO.Records[0], ...changes }] })
const named = (eventName: string) => record({ eventName })
const keyed = (key: string, eventSource = 'aws:s3') =>
  record({ eventSource, s3: { bucket: { name: 'images' }, object: { key } } })

describe('a request of a server', () => {
  it.each([
    ['MinIO, with its key decoded', MINIO, 'images', 'uploads/a b+é.jpg', 'e'],
    ['Ceph RGW, with its key as it is', CEPH, 'mybucket1', 'uploads/a b+%41.jpg', 'e'],
    [
      'EventBridge, with its key as it is',
      eventBridge(),
      'amzn-s3-demo-bucket1',
      'uploads/a b+%41.jpg',
      'b1946ac92492d2347c6235b4d2611184',
    ],
  ])('is read from %s', (_, body, bucket, key, etag) => {
    const time = expect.any(Number)
    expect(readS3Body(body)).toEqual([{ account: null, bucket, key, time, etag }])
  })

  it.each([
    ['a delete, which has none', named('s3:ObjectRemoved:Delete'), ''],
    ['a delete marker', named('ObjectRemoved:DeleteMarkerCreated'), ''],
    ['an expired object', named('ObjectLifecycle:Expiration:Current'), ''],
    ['a server that sends none', keyed('a'), undefined],
  ])('has the ETag of %s', (_, body, etag) => {
    expect(readS3Body(body)).toMatchObject([{ etag }])
  })

  it('has a result for each record', () => {
    const [minio, ceph] = [MINIO.Records[0], CEPH.Records[0]]
    expect(readS3Body({ Records: [minio, {}, ceph] })).toEqual([
      expect.objectContaining({ bucket: 'images' }),
      'malformed',
      expect.objectContaining({ bucket: 'mybucket1' }),
    ])
    expect(readS3Body({ Records: [] })).toEqual([])
  })

  it.each([
    named('ObjectCreated:Post'),
    named('s3:ObjectCreated:CompleteMultipartUpload'),
    named('s3:ObjectRemoved:Delete'),
    named('ObjectRemoved:DeleteMarkerCreated'),
    named('s3:LifecycleExpiration:Delete'),
    named('ObjectLifecycle:Expiration:Current'),
    eventBridge('Object Deleted'),
  ])('is read after a change: %j', (body) => {
    expect(readS3Body(body)).toEqual([expect.objectContaining({ account: null })])
  })

  // @threat notification-loop
  it.each([
    ['other event', named('s3:ObjectAccessed:Head')],
    ['other event', named('s3:ObjectAccessed:Get')],
    ['other event', named('s3:ObjectRestore:Completed')],
    ['other event', { Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: 'images' }],
    ['other event', eventBridge('Object Tags Added')],
    ['malformed', { ...eventBridge(), source: 'com.example' }],
    ['malformed', { ...eventBridge(), detail: {} }],
    ['malformed', keyed('%E0%A4%A')],
    ['malformed', keyed('%FF')],
    ['malformed', record({ eventTime: 'x' })],
    ['malformed', record({ s3: {} })],
    ['malformed', { Records: 'none' }],
    ['malformed', []],
    ['malformed', null],
    ['malformed', 5],
  ])('is dropped as "%s": %j', (drop, body) => {
    expect(readS3Body(body)).toEqual([drop])
  })

  it('gives back every key that was encoded as a form, and every key of Ceph', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const key = text.toWellFormed()
        const encoded = new URLSearchParams({ key }).toString().slice('key='.length)
        expect(readS3Body(keyed(encoded))).toMatchObject([{ key }])
        expect(readS3Body(keyed(key, 'ceph:s3'))).toMatchObject([{ key }])
      }),
    )
  })
})

describe('the places of a notification', () => {
  const files = testBucket()
  const notice = (changes: object = {}) => ({
    bucket: 'examplebucket',
    account: null,
    key: NEW_KEY,
    time: 0,
    ...changes,
  })
  const r2Bucket = (origin: string) =>
    testBucket({ name: 'my-bucket', origin, basePath: '/my-bucket/', normalizesKeys: true })
  const r2Notice = (changes: object = {}) =>
    notice({ bucket: 'my-bucket', account: ACCOUNT, ...changes })

  it('are the bucket with this name on its server', () => {
    expect(candidatesOf([files], notice())).toEqual([{ aliases: [files], key: NEW_KEY }])
    expect(candidatesOf([files], notice({ bucket: 'files' }))).toBe('unknown bucket')
    expect(candidatesOf([files], notice({ bucket: 'constructor' }))).toBe('unknown bucket')
  })

  it('join the aliases of one bucket, but not buckets of different servers', () => {
    const photos = testBucket({ alias: 'photos' })
    const mirror = testBucket({ alias: 'mirror', origin: 'https://minio.internal' })
    expect(candidatesOf([files, mirror, photos], notice())).toEqual([
      { aliases: [files, photos], key: NEW_KEY },
      { aliases: [mirror], key: NEW_KEY },
    ])
  })

  it.each([
    `https://${ACCOUNT}.r2.cloudflarestorage.com`,
    `https://${ACCOUNT.toUpperCase()}.eu.r2.cloudflarestorage.com`,
    `https://my-bucket.${ACCOUNT}.r2.cloudflarestorage.com`,
    'https://s3.example.com',
  ])('include a bucket of the account at %s', (origin) => {
    expect(candidatesOf([r2Bucket(origin)], r2Notice())).toHaveLength(1)
  })

  // @threat notification-foreign
  it.each([
    `https://${OTHER_ACCOUNT}.r2.cloudflarestorage.com`,
    `https://my-bucket.${OTHER_ACCOUNT}.fedramp.r2.cloudflarestorage.com`,
  ])("are missing for another account's bucket: %s", (origin) => {
    expect(candidatesOf([r2Bucket(origin)], r2Notice())).toBe('other account')
  })

  it('are missing for the bucket of another account behind a host of its own', () => {
    const hidden = testBucket({
      name: 'my-bucket',
      origin: 'http://proxy:9000',
      publicAddress: { origin: `https://${OTHER_ACCOUNT}.r2.cloudflarestorage.com`, basePath: '/' },
    })
    expect(candidatesOf([hidden], r2Notice())).toBe('other account')
  })

  // @threat notification-foreign
  it.each(['', '../secret', 'uploads/../x', 'a\u0000b', 'uploads/\ud800', 'x'.repeat(1025)])(
    'are missing for a key that is not an object key: %j',
    (key) => {
      expect(candidatesOf([files], notice({ key }))).toBe('invalid key')
    },
  )

  // @threat notification-foreign
  it('are missing for keys that the presigner neither made nor was told to manage', () => {
    const managing = testBucket({ managedPrefixes: ['avatars/', 'logos/'] })
    for (const key of ['avatars/42.png', 'logos/a/b.svg', NEW_KEY, `team-a/${NEW_KEY}`])
      expect(candidatesOf([managing], notice({ key }))).toHaveLength(1)
    for (const key of ['avatar/42.png', 'x/avatars/42.png', 'backups/db.sql', 'uploads/mine.jpg'])
      expect(candidatesOf([managing], notice({ key }))).toBe('key not managed')
    expect(candidatesOf([files], notice({ key: 'avatars/42.png' }))).toBe('key not managed')
    const everything = testBucket({ managedPrefixes: [''] })
    expect(candidatesOf([everything], notice({ key: 'backups/db.sql' }))).toHaveLength(1)
  })

  it('have the key as the bucket stores it', () => {
    const key = 'uploads/ybqr1sgp7a270ajfewde-e\u0301.jpg'
    expect(candidatesOf([r2Bucket('https://s3.example.com')], r2Notice({ key }))).toMatchObject([
      { key: key.normalize() },
    ])
    expect(candidatesOf([files], notice({ key }))).toMatchObject([{ key }])
  })
})
