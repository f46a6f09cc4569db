import { mkdir, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { UsageError } from './command.ts'
import { loadS3, OBJECTS_FOLDER } from './embedded-bucket.ts'
import { requireFreePort } from './ports.ts'
import { replaceText, requireIgnored, textIfThere } from './replace-text.ts'
import type { S3Server } from './s3-server.ts'
import { bucketNames, randomSecret, readSecret } from './worker-env.ts'

export interface OnlyBucket {
  /** The file of variables that gets the settings of the bucket. */
  readonly file: string
  readonly port: number
  /** Folder for the objects. */
  readonly data: string
  /** Origins of pages that may use the bucket, in addition to localhost. */
  readonly origins: readonly string[]
}

/** Tells whether the first line of a text that is no comment is a variable, or there is none. */
function hasVariables(text: string): boolean {
  const lines = text.split('\n').map((line) => line.trim())
  const first = lines.find((line) => line !== '' && !line.startsWith('#'))
  return first === undefined || /^(?:export\s+)?[A-Za-z_][\w.]*\s*=/.test(first)
}

/**
 * Starts the embedded bucket, for an app that has the API itself, and adds the variables of
 * `settingsFromEnv` to `file` that it doesn't have. Throws an Error if the file names another bucket.
 */
export async function startOnlyBucket(only: OnlyBucket): Promise<S3Server> {
  const { file, port, origins } = only
  const startS3 = await loadS3(false)
  if (!/env|vars/i.test(basename(file)))
    throw new UsageError(
      `--bucket takes a file of variables, such as .env.local. The name ${file} has neither "env" nor "vars".`,
    )
  await requireIgnored(file)
  const before = await textIfThere(file)
  if (before !== undefined && !hasVariables(before))
    throw new UsageError(`${file} is not a file of variables, with lines such as NAME=value.`)
  const given = parseEnv(before ?? '')
  const kept = readSecret(given.S3_SECRET_ACCESS_KEY)
  const endpoint = `http://127.0.0.1:${port}`
  if (bucketNames(given).length > 0 && !(kept !== undefined && given.S3_ENDPOINT === endpoint))
    throw new Error(
      `${file} has the settings of another bucket. To use one on this machine, remove ${bucketNames(given).join(', ')}, or name another file.`,
    )
  await requireFreePort(port, '--s3-port')
  const data = resolve(only.data)
  // A new folder of an app, whose .gitignore doesn't know it. An earlier folder keeps its own.
  const isNew = (await mkdir(data, { recursive: true })) !== undefined
  if (isNew) await writeFile(join(data, '.gitignore'), '*\n', { flag: 'wx' })
  const s3 = await startS3({
    port,
    directory: join(data, OBJECTS_FOLDER),
    corsOrigins: [endpoint, ...origins],
    loopbackOrigins: true,
    secretAccessKey: kept ?? randomSecret(),
  })
  const missing = Object.entries({
    S3_ENDPOINT: s3.endpoint,
    S3_REGION: s3.region,
    S3_BUCKET: s3.bucket,
    S3_ACCESS_KEY_ID: s3.accessKeyId,
    S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    SIGNING_SECRETS: `k1:${randomSecret()}`,
  }).filter(([name]) => !given[name])
  try {
    if (missing.length > 0) {
      const start = before === undefined || /(?:^|\n)$/.test(before) ? before : `${before}\n`
      const mode = before === undefined ? 0o600 : undefined
      const lines = missing.map(([name, value]) => `${name}=${value}\n`)
      await replaceText(file, before, (start ?? '') + lines.join(''), mode)
    }
  } catch (error) {
    await s3.close()
    throw error
  }
  return s3
}
