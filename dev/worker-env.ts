import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SCOPES } from '../src/access/scopes.ts'
import type { ApiKey } from '../src/access/settings.ts'
import type { S3Server } from './s3-server.ts'

const SIGNING_SECRETS = /^SIGNING_SECRETS='(dev:[\w-]{43})'$/m

/**
 * Writes the Worker's variables for `wrangler dev --env-file`, readable by this user alone. The
 * signing secret is made once and kept, so that tokens and cursors outlive a restart. `apiKey` may
 * do everything.
 */
export async function writeWorkerEnv(file: string, s3: S3Server, apiKey: string): Promise<void> {
  const bucket = {
    endpoint: s3.endpoint,
    region: s3.region,
    bucket: s3.bucket,
    addressing: 'path',
    credentials: 'S3',
    uploadCredentials: 'S3_WRITE',
  }
  const variables = {
    BUCKETS: JSON.stringify({ files: bucket }),
    S3_ACCESS_KEY_ID: s3.accessKeyId,
    S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    S3_WRITE_ACCESS_KEY_ID: s3.writer.accessKeyId,
    S3_WRITE_SECRET_ACCESS_KEY: s3.writer.secretAccessKey,
    SIGNING_SECRETS: (await keptSecrets(file)) ?? `dev:${randomBytes(32).toString('base64url')}`,
    OPEN_ACCESS: '', // whatever wrangler.toml says
    API_KEYS: JSON.stringify([localKey(apiKey)]),
  }
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'\n`)
  const text = ['# Written by "npm run dev" at each start.\n', ...lines].join('')
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text, { mode: 0o600 })
  await chmod(file, 0o600) // the mode above counts for a new file only
}

const localKey = (apiKey: string): ApiKey => ({
  id: 'localhost',
  sha256: createHash('sha256').update(apiKey).digest('hex'),
  scopes: [...SCOPES],
  prefix: '',
})

/** The signing secrets in the file of an earlier run. */
async function keptSecrets(file: string): Promise<string | undefined> {
  try {
    return SIGNING_SECRETS.exec(await readFile(file, 'utf8'))?.[1]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
