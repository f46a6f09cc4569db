import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Child, startChild } from '../../cli/child.ts'
import { freePort } from '../../cli/ports.ts'
import { answers, waitUntil } from '../../cli/wait-until.ts'
import { createServerClient, type ServerClient } from '../../client/src/server.ts'
import { type BuiltWorker, startBuiltWorker } from './built-worker.ts'
import { sdkClient } from './contract/context.ts'
import { describeWith, MOTO } from './system-package.ts'

const KEY = { accessKeyId: 'MOTO', secretAccessKey: 'MOTOSECRET' }
const PREFIX = 'users/alice/'
/** moto's clock is that of this machine. */
const soon = () => new Date(Date.now() + 60_000)

/** moto has versions, markers and lists of uploads at once. It checks no signatures. */
describeWith([MOTO], 'everything below a prefix, in the built Worker with moto', () => {
  let moto: Child
  let s3: S3Client
  let worker: BuiltWorker
  let client: ServerClient
  const put = (bucket: string, Key: string) =>
    s3.send(new PutObjectCommand({ Bucket: bucket, Key, Body: 'hello' }))

  beforeAll(async () => {
    const port = await freePort()
    moto = await startChild('/usr/bin/moto_server', ['-H', '127.0.0.1', '-p', String(port)], {
      stdio: 'ignore',
    })
    const endpoint = `http://127.0.0.1:${port}`
    await waitUntil('moto', () => answers(endpoint), 60)
    s3 = sdkClient({ endpoint, region: 'us-east-1' }, KEY)
    for (const Bucket of ['plain', 'versioned']) await s3.send(new CreateBucketCommand({ Bucket }))
    const VersioningConfiguration = { Status: 'Enabled' } as const
    await s3.send(new PutBucketVersioningCommand({ Bucket: 'versioned', VersioningConfiguration }))
    const table = { endpoint, region: 'us-east-1', addressing: 'path', credentials: 'S3' } as const
    worker = await startBuiltWorker({
      buckets: {
        plain: { ...table, bucket: 'plain' },
        versioned: { ...table, bucket: 'versioned' },
      },
      accessKeys: { S3: KEY },
      variables: { OPEN_ACCESS: 'localhost' },
    })
    client = createServerClient({ baseUrl: worker.origin, bucket: 'versioned' })
  })
  afterAll(async () => {
    await worker?.close()
    s3?.destroy()
    await moto?.close()
  })

  const versionsIn = async (Bucket: string) => {
    const { Versions = [], DeleteMarkers = [] } = await s3.send(
      new ListObjectVersionsCommand({ Bucket }),
    )
    return [...Versions, ...DeleteMarkers].map(({ Key }) => Key)
  }

  it('leaves no version, delete marker, record or unfinished upload', async () => {
    for (let i = 100; i < 160; i++) {
      await put('versioned', `${PREFIX}${i}.txt`)
      await put('versioned', `${PREFIX}${i}.txt`)
    }
    await put('versioned', `${PREFIX}deleted earlier & <once>.txt`)
    await s3.send(
      new DeleteObjectCommand({
        Bucket: 'versioned',
        Key: `${PREFIX}deleted earlier & <once>.txt`,
      }),
    )
    await put('versioned', 'users/alice2/a.txt')
    const file = await client.upload(new Uint8Array(5), {
      fileName: 'a.txt',
      mimetype: 'text/plain',
    })
    await client.record(`${PREFIX}100.txt`, '100.txt')
    for (const Key of [...Array.from({ length: 60 }, (_, i) => `${PREFIX}${i}.bin`), 'other.bin'])
      await s3.send(new CreateMultipartUploadCommand({ Bucket: 'versioned', Key }))

    const progress: number[] = []
    const result = await client.deleteAll({
      prefix: PREFIX,
      before: soon(),
      onProgress: ({ versions }) => progress.push(versions ?? -1),
    })
    // Each file has two versions and a marker. One more was deleted earlier.
    expect(result).toMatchObject({
      ...{ deleted: 60, uploads: 60, versions: 120 + 60 + 2, unreadable: 0, failures: [] },
    })
    expect(progress.length).toBeGreaterThan(3)
    expect((await versionsIn('versioned')).toSorted()).toEqual(
      [file.key, 'users/alice2/a.txt'].toSorted(),
    )
    const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: 'versioned' }))
    expect(Uploads.map(({ Key }) => Key)).toEqual(['other.bin'])
    const exported = await client.exportFiles({ prefix: PREFIX })
    expect(await exported.text()).toBe('{"records":0}\n')
    expect(await (await client.exportFiles()).text()).toContain(file.key)
  })

  it('deletes objects of a bucket without versions', async () => {
    const plain = createServerClient({ baseUrl: worker.origin, bucket: 'plain' })
    for (let i = 0; i < 15; i++) await put('plain', `${PREFIX}${i}.txt`)
    await put('plain', 'users/alice2/a.txt')
    expect(await plain.deleteAll({ prefix: PREFIX, before: '2020-01-01' })).toMatchObject({
      deleted: 0,
    })
    expect(await plain.deleteAll({ prefix: PREFIX, before: soon() })).toMatchObject({
      ...{ deleted: 15, versions: 0, uploads: 0, failures: [] },
    })
    expect(await versionsIn('plain')).toEqual(['users/alice2/a.txt'])
  })
})
