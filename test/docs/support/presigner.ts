import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startS3rver } from '../../../cli/s3rver.ts'
import { KEY_SCOPES } from '../../../src/access/scopes.ts'
import { configWithD1, startBuiltWorker } from '../../e2e/built-worker.ts'

/** The secret that servers send with notifications. */
export const NOTIFICATION_SECRET = '0123456789abcdef'.repeat(4)

/** An API key with every scope. Without it, `OPEN_ACCESS` applies. */
export const ADMIN_KEY = `ep_admin_${'A'.repeat(43)}`

const DOCUMENTED_ORIGIN = 'http://localhost:8787'

/** What `npm run dev` starts, on its own ports. */
export interface Presigner {
  /** The Worker's origin: `http://localhost:PORT`. */
  readonly origin: string
  /** Returns an example of the documentation with this Worker's origin. */
  here(example: string): string
  /** Name of the bucket. */
  readonly bucket: string
  /** Makes all objects an hour old, so that notifications about them count. */
  age(): Promise<void>
  close(): Promise<void>
}

/** Starts s3rver and the built Worker, with OPEN_ACCESS for localhost, and an index in D1 if asked. */
export async function startPresigner({ withD1 = false } = {}): Promise<Presigner> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const s3 = await startS3rver({ port: 0, directory, corsOrigins: [DOCUMENTED_ORIGIN] })
  stack.defer(() => s3.close())
  const { endpoint, region, bucket } = s3
  const config = withD1 && (await mkdtemp(join(tmpdir(), 'edge-presigner-')))
  if (config) stack.defer(() => rm(config, { recursive: true }))
  const files = { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } as const
  const { origin, close } = await startBuiltWorker({
    ...(config && { configPath: await configWithD1(config) }),
    // Forms go through the Worker, as on R2, so that it answers every documented request.
    buckets: { files: { ...files, postUploads: false } },
    accessKeys: { S3: s3 },
    variables: {
      OPEN_ACCESS: 'localhost',
      NOTIFICATION_SECRETS: NOTIFICATION_SECRET,
      API_KEYS: JSON.stringify([
        {
          id: 'admin',
          sha256: createHash('sha256').update(ADMIN_KEY).digest('hex'),
          scopes: KEY_SCOPES,
          prefix: '',
        },
      ]),
    },
  })
  stack.defer(close)
  const all = stack.move()
  return {
    origin,
    here: (example) => example.replaceAll(DOCUMENTED_ORIGIN, origin),
    bucket,
    async age() {
      const hourAgo = new Date(Date.now() - 3_600_000)
      const objects = await readdir(join(directory, bucket), { recursive: true })
      for (const name of objects) await utimes(join(directory, bucket, name), hourAgo, hourAgo)
    },
    close: () => all.disposeAsync(),
  }
}
