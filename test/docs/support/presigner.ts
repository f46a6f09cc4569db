import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestHarness } from 'wrangler'
import { startS3rver } from '../../../dev/s3rver.ts'
import { ROOT } from './markdown.ts'

/** The secret that servers send with notifications. */
export const NOTIFICATION_SECRET = '0123456789abcdef'.repeat(4)

const DOCUMENTED_ORIGIN = 'http://localhost:8787'

/** What `npm run dev` starts, on its own ports. */
export interface Presigner {
  /** The Worker's origin: `http://127.0.0.1:PORT`. */
  readonly origin: string
  /** Returns an example of the documentation with this Worker's origin. */
  here(example: string): string
  /** Name of the bucket. */
  readonly bucket: string
  /** Makes all objects an hour old, so that notifications about them count. */
  age(): Promise<void>
  close(): Promise<void>
}

/** Starts s3rver and the built Worker, with OPEN_ACCESS for localhost. */
export async function startPresigner(): Promise<Presigner> {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const s3 = await startS3rver({ port: 0, directory, corsOrigins: ['http://localhost:8787'] })
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = s3
  const worker = createTestHarness({
    workers: [
      {
        configPath: join(ROOT, 'wrangler.toml'),
        vars: {
          // Forms go through the Worker, as on R2, so that it answers every documented request.
          BUCKETS: {
            files: {
              endpoint,
              region,
              bucket,
              addressing: 'path',
              credentials: 'S3',
              postUploads: false,
            },
          },
          OPEN_ACCESS: 'localhost',
        },
        secrets: {
          S3_ACCESS_KEY_ID: accessKeyId,
          S3_SECRET_ACCESS_KEY: secretAccessKey,
          SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
          NOTIFICATION_SECRETS: NOTIFICATION_SECRET,
        },
      },
    ],
  })
  const close = async () => {
    await worker.close()
    await s3.close()
    await rm(directory, { recursive: true })
  }
  try {
    const { url } = await worker.listen()
    const here = (example: string) => example.replaceAll(DOCUMENTED_ORIGIN, url.origin)
    const age = async () => {
      const hourAgo = new Date(Date.now() - 3_600_000)
      const objects = await readdir(join(directory, bucket), { recursive: true })
      for (const name of objects) await utimes(join(directory, bucket, name), hourAgo, hourAgo)
    }
    return { origin: url.origin, bucket, here, age, close }
  } catch (error) {
    await close()
    throw error
  }
}
