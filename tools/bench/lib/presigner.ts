import { createHash } from 'node:crypto'
import type { TracedServer } from './allocation.ts'
import { type Bundle, bundle, compatibilityDate } from './build.ts'
import {
  type Binding,
  type RunningServer,
  startTracedWorkerd,
  startWorkerd,
  type WorkerdOptions,
} from './workerd.ts'

/** The API key that all servers of the bench accept. */
export const API_KEY = `ep_bench_${'0123456789abcdef'.repeat(3).slice(0, 43)}`
export const API_KEY_SHA256 = createHash('sha256').update(API_KEY).digest('hex')
/** AWS's own example credentials. */
export const ACCESS_KEY_ID = 'AKIAIOSFODNN7EXAMPLE'
export const SECRET_ACCESS_KEY = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'

const BUCKET = {
  endpoint: 'https://s3.us-east-1.amazonaws.com',
  region: 'us-east-1',
  bucket: 'acme-files',
  addressing: 'virtual',
  credentials: 'S3',
}

/** Variables and secrets of this project's Worker. */
export const variables = (
  bucket: object = BUCKET,
  [accessKeyId, secretAccessKey] = [ACCESS_KEY_ID, SECRET_ACCESS_KEY],
) => ({
  BUCKETS: { files: bucket },
  S3_ACCESS_KEY_ID: accessKeyId,
  S3_SECRET_ACCESS_KEY: secretAccessKey,
  SIGNING_SECRETS: `k1:${'0123456789abcdef'.repeat(2)}`,
  API_KEYS: [
    {
      id: 'bench',
      sha256: API_KEY_SHA256,
      scopes: ['files:upload', 'files:read', 'files:list', 'links:create', 'grants:create'],
      prefix: '',
    },
  ],
})

/**
 * A rate limit for workerd, which has none. It counts in memory, like Cloudflare's own servers, and
 * allows every request. Use it as `extensions`, and bind it with RATE_LIMITER_BINDING.
 */
export const RATE_LIMITER = {
  'bench:rate-limiter': `
const counts = new Map()
export default () => ({
  async limit({ key }) {
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    return { success: count > 0 }
  },
})`,
}

export const RATE_LIMITER_BINDING = { raw: 'wrapped = (moduleName = "bench:rate-limiter")' }

export interface Presigner {
  readonly bundle: Bundle
  /** Starts another process of it. `kvPort` is the port of a server that replaces Workers KV. */
  start(kvPort?: number): Promise<RunningServer>
  /** Starts a process of it that counts what V8 allocates. */
  startTraced(): Promise<TracedServer>
}

/** One of this project's Workers in its deployed form, for bare workerd. */
export async function buildPresigner(config: string): Promise<Presigner> {
  const built = await bundle(config)
  const date = await compatibilityDate()
  const bindings = Object.fromEntries(
    Object.entries(variables()).map(([name, value]): [string, Binding] => [
      name,
      typeof value === 'string' ? { text: value } : { json: value },
    ]),
  )
  const options = (kvPort: number): WorkerdOptions => ({
    script: built.script,
    compatibilityDate: date,
    bindings: {
      ...bindings,
      FILE_INDEX: { raw: 'kvNamespace = "kv"' },
      RATE_LIMITER: RATE_LIMITER_BINDING,
    },
    services: [`(name = "kv", external = (address = "127.0.0.1:${kvPort}", http = ()))`],
    extensions: RATE_LIMITER,
  })
  return {
    bundle: built,
    start: (kvPort = 9) => startWorkerd(options(kvPort)),
    startTraced: () => startTracedWorkerd(options(9)),
  }
}

/** Returns an object key in the form of the Worker's keys: 51 characters. */
export const keyOf = (i: number): string =>
  `uploads/7h2kz0m4w${String(i).padStart(11, '0')}-my-photo-${String(i % 1000).padStart(3, '0')}.jpg`

/** Returns `count` of these keys. */
export const keys = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => keyOf(from + i))
