import type { Bucket, Credentials } from '../../src/bucket/bucket.ts'

/** The example credentials of AWS's documentation. */
export const EXAMPLE_CREDENTIALS: Credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  sessionToken: null,
  expiresAt: Number.POSITIVE_INFINITY,
}

/** A bucket as `loadEnvironment` would make it, changed by `changes`. */
export const testBucket = (changes: Partial<Bucket> = {}): Bucket => ({
  alias: 'files',
  origin: 'https://examplebucket.s3.amazonaws.com',
  basePath: '/',
  name: 'examplebucket',
  region: 'us-east-1',
  credentials: EXAMPLE_CREDENTIALS,
  uploadCredentials: EXAMPLE_CREDENTIALS,
  maxBytes: null,
  postUploads: true,
  normalizesKeys: false,
  conditionalComplete: false,
  allowedTypes: null,
  maxExpiresIn: { upload: 3600, view: 604_800, stream: 604_800, email: 604_800, link: 31_536_000 },
  edgeTtlSeconds: 86_400,
  crossOriginResourcePolicy: 'cross-origin',
  ...changes,
})
