import { freePort } from '../../cli/ports.ts'
import type { TestPorts } from '../support/provided-context.ts'

/**
 * Returns free ports. They are chosen before the tests start, because the Worker's bindings name
 * them.
 */
export const testPorts = async (): Promise<TestPorts> => ({
  s3: await freePort(),
  r2: await freePort(),
  counting: await freePort(),
  faulty: await freePort(),
})

const bucketAt = (port: number) => ({
  endpoint: `http://127.0.0.1:${port}`,
  region: 'us-east-1',
  bucket: 'files',
  addressing: 'path',
  credentials: 'S3',
})

/** Returns the variables and secrets of the Worker under test, and of its `Objects` entrypoint. */
export const testBindings = ({ s3, counting, faulty }: TestPorts) => ({
  BUCKETS: {
    files: bucketAt(s3),
    photos: bucketAt(s3),
    counted: bucketAt(counting),
    uncached: { ...bucketAt(s3), edgeTtl: 0 },
    faulty: bucketAt(faulty),
  },
  S3_ACCESS_KEY_ID: 'S3RVER',
  S3_SECRET_ACCESS_KEY: 'S3RVER',
  SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
  OPEN_ACCESS: 'localhost',
})
