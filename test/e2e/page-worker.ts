import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { startS3rver } from '../../cli/s3rver.ts'
import { buildPage } from '../../tools/dev/build-page.ts'
import { type OwnWorker, startOwnWorker } from './built-worker.ts'
import { connectChromium } from './chromium.ts'

/** An API key with its secret, of which the Worker gets only the digest. */
export interface PageKey {
  readonly id: string
  readonly token: string
  readonly scopes: readonly string[]
  readonly prefix: string
}

export interface PageWorker extends AsyncDisposable {
  readonly worker: OwnWorker
  readonly browser: Browser
}

/**
 * Starts the built Worker with its page and a bucket of s3rver, and Chromium. `configIn` returns the path of
 * a configuration that it has written into a folder, instead of the one of the repository.
 */
export async function startPageWorker(
  keys: readonly PageKey[],
  configIn?: (directory: string) => Promise<string>,
): Promise<PageWorker> {
  await using starting = new AsyncDisposableStack()
  await buildPage()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  starting.defer(() => rm(directory, { recursive: true }))
  const s3 = await startS3rver({
    port: 0,
    directory: join(directory, 'bucket'),
    corsOrigins: ['http://localhost'],
    loopbackOrigins: true,
  })
  starting.defer(() => s3.close())
  const { endpoint, region, bucket } = s3
  const entries = keys.map(({ token, ...key }) => ({
    ...key,
    sha256: createHash('sha256').update(token).digest('hex'),
  }))
  const worker = await startOwnWorker({
    ...(configIn && { configPath: await configIn(directory) }),
    buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
    accessKeys: { S3: s3 },
    variables: { API_KEYS: JSON.stringify(entries) },
  })
  starting.defer(() => worker.close())
  const browser = await connectChromium()
  starting.defer(() => browser.close())
  const started = starting.move()
  return { worker, browser, [Symbol.asyncDispose]: () => started.disposeAsync() }
}
