import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { AccessKey } from '../../cli/s3-server.ts'
import type { UploadHeaders } from '../../src/settings/upload-headers-rule.ts'
import { callAt } from '../setup/calls.ts'
import type { HostedWorkerOptions, WorkerHost } from '../setup/worker-host.ts'
import { shared } from './shared.ts'

/** The bundled Worker, running in workerd behind a real port. */
export interface BuiltWorker {
  /** `http://localhost:PORT` */
  readonly origin: string
  /** Returns what the Worker has written to the console. */
  logs(): Promise<string>
  close(): Promise<void>
}

/** A Worker in the process of the test. */
export interface OwnWorker extends BuiltWorker {
  /** Returns the Worker's bindings, as proxies. */
  bindings(): Promise<Record<string, unknown>>
}

/** A table of `BUCKETS`. */
export interface BucketTable {
  readonly endpoint: string
  readonly publicEndpoint?: string
  readonly region: string
  readonly bucket: string
  readonly addressing: 'path' | 'virtual'
  readonly credentials: string
  readonly uploadCredentials?: string
  readonly normalizesKeys?: boolean
  readonly postUploads?: boolean
  readonly conditionalPut?: boolean
  readonly conditionalReplace?: boolean
  readonly maxBytes?: number
  readonly uploadHeaders?: UploadHeaders
  readonly maxExpiresIn?: { readonly upload: number }
}

export interface BuiltWorkerOptions {
  readonly buckets: Readonly<Record<string, BucketTable>>
  /** Access keys by the name that a bucket's `credentials` uses. */
  readonly accessKeys: Readonly<Record<string, AccessKey>>
  /** Other variables, such as API_KEYS. A developer's own .dev.vars has no effect. */
  readonly variables: Readonly<
    Partial<
      Record<
        | 'API_KEYS'
        | 'CORS_ORIGINS'
        | 'CORS_COOKIE_ORIGINS'
        | 'JWT'
        | 'LINK_ORIGIN'
        | 'NOTIFICATION_SECRETS'
        | 'OPEN_ACCESS'
        | 'UPKEEP'
        | 'WEBHOOKS',
        string
      >
    >
  >
  /** Path of another configuration than `wrangler.toml`, which then needs a bundle of its own. */
  readonly configPath?: string
  /** Paths of the configurations of other Workers next to it. */
  readonly others?: readonly string[]
}

/** A bucket at a port where nothing listens, for tests that need none. */
export const UNREACHABLE: Pick<BuiltWorkerOptions, 'buckets' | 'accessKeys'> = {
  buckets: {
    files: {
      endpoint: 'http://127.0.0.1:9',
      region: 'us-east-1',
      bucket: 'files',
      addressing: 'path',
      credentials: 'S3',
    },
  },
  accessKeys: { S3: { accessKeyId: 'a', secretAccessKey: 'b' } },
}

/** Writes the configuration of the bundle, with the block for D1, to `folder`, and returns its path. */
export async function configWithD1(folder: string): Promise<string> {
  const bundle = await shared('worker')
  const plain = await readFile(bundle, 'utf8')
  const commented = /^# \[\[d1_databases\]\][\s\S]*?(?=\n\n)/m
  if (!commented.test(plain)) throw new Error('wrangler.toml has no commented block for D1.')
  const path = join(folder, 'wrangler.toml')
  const main = JSON.stringify(join(dirname(bundle), 'worker.js'))
  await writeFile(
    path,
    plain
      .replace(commented, (block) => block.replace(/^# ?/gm, ''))
      .replace('main = "worker.js"', `main = ${main}`),
  )
  return path
}

/** Starts the Worker, built as a deployment does, with an empty index. */
export async function startBuiltWorker(options: BuiltWorkerOptions): Promise<BuiltWorker> {
  const host = await shared('workerHost')
  const call = async (name: keyof WorkerHost, argument: unknown) =>
    String(await callAt(host, name, [argument]))
  const port = await call('start', await hostedOptions(options))
  return {
    origin: `http://localhost:${port}`,
    logs: () => call('logs', port),
    close: async () => void (await call('close', port)),
  }
}

/** The same in this process, which then has to load wrangler: for tests that need the bindings. */
export async function startOwnWorker(options: BuiltWorkerOptions): Promise<OwnWorker> {
  const { createWorker } = await import('../setup/worker-host.ts')
  const { miniflare, lines } = createWorker(await hostedOptions(options))
  const { port } = await miniflare.ready
  return {
    origin: `http://localhost:${port}`,
    bindings: () => miniflare.getBindings(),
    logs: async () => lines.join('\n'),
    close: () => miniflare.dispose(),
  }
}

async function hostedOptions(options: BuiltWorkerOptions): Promise<HostedWorkerOptions> {
  const accessKeys = Object.entries(options.accessKeys).flatMap(([name, accessKey]) => [
    [`${name}_ACCESS_KEY_ID`, accessKey.accessKeyId],
    [`${name}_SECRET_ACCESS_KEY`, accessKey.secretAccessKey],
  ])
  return {
    configPath: options.configPath ?? (await shared('worker')),
    others: options.others ?? [],
    secrets: {
      BUCKETS: JSON.stringify(options.buckets),
      SIGNING_SECRETS: `test:${'0123456789abcdef'.repeat(2)}`,
      API_KEYS: '',
      CORS_ORIGINS: '',
      CORS_COOKIE_ORIGINS: '',
      OPEN_ACCESS: '',
      ...Object.fromEntries(accessKeys),
      ...options.variables,
    },
  }
}
