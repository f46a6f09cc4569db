import type { Bucket, Credentials } from '../../src/bucket/bucket.ts'
import type { LinkPlace } from '../../src/plugins/links/serve-link.ts'
import type { ObjectSource } from '../../src/storage/object-source.ts'

/** The example credentials of AWS's documentation. */
export const EXAMPLE_CREDENTIALS: Credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  sessionToken: null,
  expiresAt: Number.POSITIVE_INFINITY,
}

const ADDRESS = { origin: 'https://examplebucket.s3.amazonaws.com', basePath: '/' }

/** Clients reach it at the Worker's endpoint, unless `changes` say otherwise. */
const originAndPath = ({ origin, basePath }: Partial<Bucket>) => ({
  ...(origin !== undefined && { origin }),
  ...(basePath !== undefined && { basePath }),
})

/** Returns a bucket as `loadEnvironment` would create it, with `changes` applied. */
export const testBucket = (changes: Partial<Bucket> = {}): Bucket => ({
  alias: 'files',
  origin: ADDRESS.origin,
  basePath: ADDRESS.basePath,
  publicAddress: { ...ADDRESS, ...originAndPath(changes) },
  name: 'examplebucket',
  region: 'us-east-1',
  credentials: EXAMPLE_CREDENTIALS,
  uploadCredentials: EXAMPLE_CREDENTIALS,
  maxBytes: null,
  postUploads: true,
  normalizesKeys: false,
  conditionalPut: false,
  conditionalReplace: false,
  conditionalDelete: false,
  conditionalComplete: false,
  managedPrefixes: [],
  allowedTypes: null,
  maxExpiresIn: { upload: 3600, view: 604_800, stream: 604_800, email: 604_800, link: 31_536_000 },
  defaultExpiresIn: { upload: 300, view: 900, stream: 7200, email: 172_800, link: 86_400 },
  uploadHeaders: null,
  requestHeaders: null,
  edgeTtlSeconds: 86_400,
  imageQuality: 80,
  crossOriginResourcePolicy: 'cross-origin',
  ...changes,
})

/** Returns a place to serve links of a test bucket from `objects`. */
export const testPlace = (objects: ObjectSource): LinkPlace => ({
  bucket: testBucket(),
  objects,
  images: null,
  sharesOrigin: false,
  requestId: '0f0c6a0e-53a5-4f7b-8c86-5f1d4d8c7a35',
})
