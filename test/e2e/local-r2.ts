import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../cli/ports.ts'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { createWriteLimit } from '../../tools/dev/r2.ts'
import { callAt } from '../setup/calls.ts'
import { countingProxy } from '../setup/counting-proxy.ts'
import { shared } from './shared.ts'

const ACCESS_KEY = { accessKeyId: 'LOCALR2', secretAccessKey: 'local-secret' }

/**
 * Starts the R2 that `wrangler dev` serves over S3, with empty buckets. In front of it is R2's limit of one
 * write per second to a key, which it lacks. `now` is in milliseconds.
 */
export async function startLocalR2(
  { directory, otherBuckets = [] }: S3ServerOptions,
  now: () => number,
): Promise<S3Server> {
  const configPath = join(directory, 'wrangler.toml')
  await writeFile(join(directory, 'worker.js'), NOTHING)
  await writeFile(configPath, WORKER + ['files', ...otherBuckets].map(bucketBlock).join(''))
  const host = await shared('workerHost')
  const options = { configPath, others: [], secrets: {} }
  const inner = String(await callAt(host, 'start', [options]))
  const port = await freePort()
  const limited = countingProxy(Number(inner), createWriteLimit(now)).listen(port, '127.0.0.1')
  await once(limited, 'listening')
  return {
    name: "Cloudflare's local R2",
    endpoint: `http://127.0.0.1:${port}/cdn-cgi/local/r2/s3`,
    virtualEndpoint: `http://s3.localhost:${port}`,
    region: 'auto',
    bucket: 'files',
    ...ACCESS_KEY,
    writer: ACCESS_KEY,
    async close() {
      await limited[Symbol.asyncDispose]()
      await callAt(host, 'close', [inner])
    },
  }
}

const NOTHING = 'export default { fetch: () => new Response(null, { status: 404 }) }'
const WORKER = `
name = "local-r2"
main = "worker.js"
no_bundle = true
compatibility_date = "2026-11-01"
`

const bucketBlock = (name: string, index: number): string => `
[[r2_buckets]]
binding = "BUCKET_${index}"
bucket_name = ${JSON.stringify(name)}
[r2_buckets.local_dev.experimental_s3_credentials]
accessKeyId = ${JSON.stringify(ACCESS_KEY.accessKeyId)}
secretAccessKey = ${JSON.stringify(ACCESS_KEY.secretAccessKey)}
`
