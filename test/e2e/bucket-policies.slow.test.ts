import { randomBytes } from 'node:crypto'
import {
  DeletePublicAccessBlockCommand,
  GetBucketPolicyCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketCorsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KMS_KEY_ID } from '../../cli/ceph.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import type { UploadHeaders } from '../../src/settings/upload-headers-rule.ts'
import { markedBlock } from '../docs/support/markdown.ts'
import { type ApiClient, createApiClient } from './api-client.ts'
import { startBuiltWorker } from './built-worker.ts'
import { apiKeyEntry, sdkClient } from './contract/context.ts'
import { findingsOf, ORIGIN, variables } from './doctor/run.ts'
import { shared } from './shared.ts'
import { describeWith, RADOSGW } from './system-package.ts'

const VERSIONED = 'versioned'
const ENCRYPTION = 's3:x-amz-server-side-encryption'

interface Policy {
  readonly Version: string
  readonly Statement: readonly { readonly Condition?: Readonly<Record<string, unknown>> }[]
}

/** The policy of docs/security.md for the bucket and the key of this server. */
function documentedPolicy(bucket: string): Policy {
  const text = markedBlock('docs/security.md', 'kms-policy')
    .replaceAll('arn:aws:s3:::acme-files', `arn:aws:s3:::${bucket}`)
    .replaceAll(/arn:aws:kms:[^"]+/g, KMS_KEY_ID)
  expect(text).not.toContain('acme')
  return JSON.parse(text)
}

/** The table `uploadHeaders` of docs/security.md, with the key of this server. */
const KMS: UploadHeaders = {
  'x-amz-server-side-encryption': 'aws:kms',
  'x-amz-server-side-encryption-aws-kms-key-id': KMS_KEY_ID,
}

describeWith([RADOSGW], 'a bucket of Ceph RGW', () => {
  const closing: (() => unknown)[] = []
  let server: Omit<S3Server, 'close'>
  let s3: S3Client
  let api: ApiClient

  beforeAll(async () => {
    const corsOrigins = ['http://localhost:8787'] as const
    server = await shared('ceph', { corsOrigins, otherBuckets: [VERSIONED] })
    s3 = sdkClient(server, server)
    closing.push(() => s3.destroy())
    const { endpoint, region, bucket } = server
    const files = { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } as const
    const tags = { 'x-amz-tagging': 'team=web&cost-center=a%20b' } as const
    const apiKey = `ep_test_${randomBytes(32).toString('base64url')}`
    const worker = await startBuiltWorker({
      buckets: {
        files: { ...files, uploadHeaders: { ...KMS, ...tags } },
        writer: { ...files, uploadCredentials: 'S3_WRITE', uploadHeaders: KMS },
        plain: files,
        weak: { ...files, uploadHeaders: { 'x-amz-server-side-encryption': 'AES256' } },
        other: {
          ...files,
          uploadHeaders: { ...KMS, 'x-amz-server-side-encryption-aws-kms-key-id': 'other-key' },
        },
        versions: { ...files, bucket: VERSIONED },
      },
      accessKeys: { S3: server, S3_WRITE: server.writer },
      variables: { API_KEYS: JSON.stringify([apiKeyEntry(apiKey)]) },
    })
    closing.push(() => worker.close())
    api = createApiClient(worker.origin, apiKey)
  })
  afterAll(async () => {
    for (const close of closing.toReversed()) await close()
  })

  /** Adds the statements of `policy` to the bucket's own, which let the writer upload. */
  async function applyPolicy(policy: Policy): Promise<void> {
    const Bucket = server.bucket
    // RGW takes a statement for everyone as a public policy, even if it denies.
    await s3.send(new DeletePublicAccessBlockCommand({ Bucket }))
    own ??= JSON.parse((await s3.send(new GetBucketPolicyCommand({ Bucket }))).Policy ?? '')
    const Statement = [...(own?.Statement ?? []), ...policy.Statement]
    const Policy = JSON.stringify({ ...policy, Statement })
    await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }))
  }
  let own: Policy | undefined

  const upload = async (bucket: string, body = 'text') => {
    const request = { fileName: 'a.txt', mimetype: 'text/plain', bucket }
    const { uploadUrl, key, headers } = await api.uploadUrl(request)
    const { status } = await fetch(uploadUrl, { method: 'PUT', headers, body })
    return { status, key }
  }

  const encryptionOf = async (Key: string) => {
    const head = await s3.send(new HeadObjectCommand({ Bucket: server.bucket, Key }))
    return [head.ServerSideEncryption, head.SSEKMSKeyId]
  }

  describe('with a policy that requires one KMS key', () => {
    beforeAll(() => applyPolicy(documentedPolicy(server.bucket)))

    it.each(['files', 'writer'])(
      'takes an upload with uploadHeaders, encrypts it and returns it: %s',
      async (bucket) => {
        const { status, key } = await upload(bucket)
        expect(status).toBe(200)
        expect(await encryptionOf(key)).toEqual(['aws:kms', KMS_KEY_ID])
        expect((await api.confirm({ key, name: 'a.txt', bucket })).size).toBe(4)
        expect(await (await fetch((await api.url(key, { bucket })).url)).text()).toBe('text')
      },
    )

    it.each(['plain', 'weak', 'other'])(
      'refuses one without them, with another encryption or another key: %s',
      async (bucket) => {
        expect((await upload(bucket)).status).toBe(403)
      },
    )

    it('takes a form with their fields, and stores the tags', async () => {
      const { url, fields } = await api.form('a.txt', 'text/plain')
      const post = async (changes: Record<string, string | undefined>) => {
        const form = new FormData()
        for (const [name, value] of Object.entries({ ...fields, ...changes }))
          if (value !== undefined) form.set(name, value)
        form.set('file', new Blob(['text']), 'a.txt')
        return (await fetch(url, { method: 'POST', body: form })).status
      }
      for (const missing of ['x-amz-server-side-encryption', 'tagging'])
        expect([400, 403]).toContain(await post({ [missing]: undefined }))
      expect(await post({})).toBe(201)
      const key = fields.key ?? ''
      expect(await encryptionOf(key)).toEqual(['aws:kms', KMS_KEY_ID])
      const tags = await s3.send(new GetObjectTaggingCommand({ Bucket: server.bucket, Key: key }))
      expect(tags.TagSet).toEqual([
        { Key: 'cost-center', Value: 'a b' },
        { Key: 'team', Value: 'web' },
      ])
    })

    it.each(['plain', 'weak', 'other'])(
      'refuses the start of an upload in parts: %s',
      async (bucket) => {
        const body = { fileName: 'a.bin', mimetype: 'application/x-bin', size: 4, bucket }
        expect((await api.refusal('POST', '/multipart', body)).code).toBe('storage_error')
      },
    )
  })

  // RGW also looks for the header in each part, which S3 doesn't allow there: docs/security.md.
  describe('with the same policy, except the statement about a missing header', () => {
    beforeAll(() => {
      const policy = documentedPolicy(server.bucket)
      const Statement = policy.Statement.filter(({ Condition }) => !('Null' in (Condition ?? {})))
      expect(Statement).toHaveLength(policy.Statement.length - 1)
      expect(JSON.stringify(Statement)).toContain(ENCRYPTION)
      return applyPolicy({ ...policy, Statement })
    })

    it.each(['files', 'writer'])(
      'takes an upload in parts, and encrypts it: %s',
      async (bucket) => {
        const file = { fileName: 'a.bin', mimetype: 'application/x-bin', size: 4, bucket }
        const { key, uploadId } = await api.startMultipart(file)
        const [part] = await api.partUrls(uploadId, { key, partNumbers: [1], bucket })
        const put = await fetch(part?.url ?? '', { method: 'PUT', body: 'text' })
        expect(put.status).toBe(200)
        const parts = [{ partNumber: 1, etag: put.headers.get('ETag') }]
        expect((await api.complete(uploadId, { key, parts, bucket })).size).toBe(4)
        expect(await encryptionOf(key)).toEqual(['aws:kms', KMS_KEY_ID])
      },
    )

    it('passes doctor, which sends the headers with everything that it stores', async () => {
      const findings = await doctor(['*'])
      const failed = findings.filter(({ status }) => status === 'fail')
      expect(failed).toEqual([])
      for (const check of ['upload', 'post-policies', 'parts', 'cors', 'clean-up'])
        expect(findings.map((finding) => finding.check)).toContain(`bucket.${check}`)
      expect(findings.find(({ check }) => check === 'bucket.post-policies')?.message).toContain(
        'a form is accepted',
      )
      expect(findings.find(({ check }) => check === 'bucket.acl')?.message).toContain(
        "An upload URL can't make an object public",
      )
    })

    it('fails the CORS check of doctor when its rules do not allow the headers', async () => {
      const resultOf = async (headers: string[]) =>
        (await doctor(headers)).find(({ check }) => check === 'bucket.cors')
      expect(await resultOf(['content-type'])).toMatchObject({
        status: 'fail',
        message: expect.stringContaining(': PUT: the preflight is refused'), // RGW names no header
      })
      // Without the headers of sha256, metadata and other options, it only warns.
      expect(await resultOf(['content-type', ...Object.keys(OF_DOCTOR)])).toMatchObject({
        status: 'warn',
        message: expect.stringContaining('PUT with sha256'),
      })
    })

    /** A signed ACL, since the bucket has no public access block now, and RGW accepts an unsigned one. */
    const OF_DOCTOR: UploadHeaders = { ...KMS, 'x-amz-acl': 'private' }

    /** Runs doctor for a bucket with CORS rules that allow these headers. */
    async function doctor(AllowedHeaders: string[]) {
      const { endpoint, accessKeyId, secretAccessKey, bucket } = server
      const rule = {
        AllowedOrigins: [ORIGIN],
        AllowedMethods: ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
        AllowedHeaders,
        ExposeHeaders: ['ETag', 'Location'],
      }
      await s3.send(
        new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules: [rule] } }),
      )
      return findingsOf({
        ...variables(endpoint, {
          bucket,
          uploadCredentials: 'S3',
          conditionalPut: false,
          conditionalComplete: false,
          conditionalReplace: false,
          uploadHeaders: OF_DOCTOR,
        }),
        S3_ACCESS_KEY_ID: accessKeyId,
        S3_SECRET_ACCESS_KEY: secretAccessKey,
      })
    }

    it('refuses the start of one with another encryption', async () => {
      const body = { fileName: 'a.bin', mimetype: 'application/x-bin', size: 4, bucket: 'weak' }
      expect((await api.refusal('POST', '/multipart', body)).code).toBe('storage_error')
    })
  })

  it('with versions returns the one that a URL names, also after a delete', async () => {
    const versioning = { Status: 'Enabled' } as const
    await s3.send(
      new PutBucketVersioningCommand({ Bucket: VERSIONED, VersioningConfiguration: versioning }),
    )
    const bucket = 'versions'
    const request = { fileName: 'a.txt', mimetype: 'text/plain', bucket }
    const { uploadUrl, key, headers } = await api.uploadUrl(request)
    for (const body of ['one', 'two'])
      expect((await fetch(uploadUrl, { method: 'PUT', headers, body })).status).toBe(200)
    const listed = await s3.send(new ListObjectVersionsCommand({ Bucket: VERSIONED, Prefix: key }))
    const [newer = '', older = ''] = (listed.Versions ?? []).map(({ VersionId = '' }) => VersionId)
    const read = async (versionId: string) => {
      const { url } = await api.url(key, { bucket, versionId })
      const response = await fetch(url)
      return response.status === 200 ? response.text() : response.status
    }
    expect(await read(newer)).toBe('two')
    expect(await read(older)).toBe('one')
    await api.confirm({ key, name: 'a.txt', bucket })
    await api.remove(key, { bucket })
    expect((await fetch((await api.url(key, { bucket })).url)).status).toBe(404)
    expect(await read(older)).toBe('one')
    for (const unknown of ['nope', 'null', 'x'.repeat(1024)]) expect(await read(unknown)).toBe(404)
  })
})
