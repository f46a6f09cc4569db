import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { AwsV4Signer } from 'aws4fetch'
import { isOpen } from '../../../src/bucket/credential-source.ts'
import { type ObjectKey, parseObjectKey } from '../../../src/keys/object-key.ts'
import { defineSettings } from '../../../src/settings/define.ts'
import { presign } from '../../../src/signing/presign.ts'
import { presignMany } from '../../../src/signing/presign-many.ts'

/**
 * Presigns `?count=` GETs one after another, in the way that the path names. Returns the last URL.
 * All ways run in one isolate.
 */
export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url)
    const signer = ways[pathname.slice(1)]
    if (signer === undefined) return new Response(null, { status: 404 })
    const now = new Date()
    now.setUTCMilliseconds(0)
    const sign = await signer(now)
    let url = ''
    for (let i = 0; i < Number(searchParams.get('count')); i++)
      url = await sign(keys[i % keys.length] ?? FIRST_KEY)
    return new Response(url)
  },
} satisfies ExportedHandler

const REGION = 'us-east-1'
const SECONDS = 900
const settings = defineSettings(() => ({
  buckets: {
    files: {
      endpoint: `https://s3.${REGION}.amazonaws.com`,
      region: REGION,
      bucket: 'acme-files',
      addressing: 'virtual',
      credentials: {
        accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
        secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      },
    },
  },
  signingSecrets: `k1:${'s'.repeat(32)}`,
}))
const [bucket] = settings({}).buckets
if (!isOpen(bucket)) throw new Error('The credentials are values.')
const { credentials } = bucket

const derivedKeys = new Map<string, ArrayBuffer>()
const client = new S3Client({
  region: REGION,
  credentials: {
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: credentials.secretAccessKey,
  },
})

const template = (signedAt: Date) =>
  ({ bucket, credentials, method: 'GET', query: {}, signedAt, signedSeconds: SECONDS }) as const

type Sign = (key: ObjectKey) => Promise<string>

const ways: Readonly<Record<string, (now: Date) => Sign | Promise<Sign>>> = {
  presignMany: (now) => presignMany(template(now)),
  presign: (now) => (key) => presign({ ...template(now), key }),
  aws4fetch: (now) => async (key) => {
    const { url } = await new AwsV4Signer({
      method: 'GET',
      url: `${bucket.origin}/${key}?X-Amz-Expires=${SECONDS}`,
      accessKeyId: credentials.accessKeyId,
      secretAccessKey: credentials.secretAccessKey,
      service: 's3',
      region: REGION,
      datetime: now.toISOString().replace(/[:-]|\.\d{3}/g, ''),
      cache: derivedKeys,
      signQuery: true,
      allHeaders: true,
    }).sign()
    return url.href
  },
  'aws-sdk': (now) => (key) =>
    getSignedUrl(client, new GetObjectCommand({ Bucket: 'acme-files', Key: key }), {
      expiresIn: SECONDS,
      signingDate: now,
    }),
}

const FIRST_KEY = parseObjectKey('uploads/7h2kz0m4w00000000000-my-photo.jpg')
const keys = Array.from({ length: 1000 }, (_, i) =>
  parseObjectKey(`uploads/7h2kz0m4w${String(i).padStart(11, '0')}-my-photo.jpg`),
)
