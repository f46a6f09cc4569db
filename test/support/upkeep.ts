import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import type { ExecutionContext } from 'hono'
import {
  createPresigner,
  defineSettings,
  type FileIndex,
  type FileRecord,
  type LogLine,
  type SettingsInput,
} from '../../src/index.ts'
import { apiKeys } from '../../src/plugins/api-keys/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { tokens } from '../../src/plugins/tokens/index.ts'
import { type UpkeepInput, upkeep } from '../../src/plugins/upkeep/index.ts'
import { upkeepRule } from '../../src/plugins/upkeep/options.ts'
import { runUpkeep } from '../../src/plugins/upkeep/run.ts'
import { check } from '../../src/settings/rules.ts'
import { ORIGIN } from './app.ts'
import { bearer, type TestApiKey } from './credentials.ts'
import { ETAG, LONG_AGO } from './listed-bucket.ts'

type Bucket = SettingsInput['buckets'][string]

/** Returns the settings of a bucket at `https://s3.example`. */
export const bucketAt = (name: string, changes: Partial<Bucket> = {}): Bucket => ({
  ...{ endpoint: 'https://s3.example', region: 'us-east-1', bucket: name },
  credentials: { accessKeyId: 'READER', secretAccessKey: 'secret' },
  uploadCredentials: { accessKeyId: 'WRITER', secretAccessKey: 'secret' },
  ...changes,
})

export interface UpkeepApp {
  readonly lines: LogLine[]
  readonly index: FileIndex
  /** Sends a request with a key, and `body` as JSON. */
  ask(route: string, key: TestApiKey, body?: unknown): Promise<Response>
  /** Runs as a Cron Trigger does, at `now`. */
  run(now: Date): Promise<void>
  /** Calls `presigner.scheduled`. */
  scheduled(context?: ExecutionContext): Promise<boolean>
}

/** Each app has its own name, so that it shares no Durable Object. */
let count = 0

/** Returns an app with upkeep. Without `context`, it has the Durable Objects of the Worker. */
export function upkeepApp({
  settings: input = {},
  buckets = { files: bucketAt('one') },
  keys = [],
  name = `upkeep-${count++}`,
  index = memoryFileIndex(),
  context: newContext = createExecutionContext,
  more = {},
}: {
  readonly settings?: UpkeepInput
  readonly buckets?: SettingsInput['buckets']
  readonly keys?: readonly TestApiKey[]
  readonly name?: string
  readonly index?: FileIndex
  readonly context?: () => ExecutionContext
  readonly more?: Partial<SettingsInput>
} = {}): UpkeepApp {
  const lines: LogLine[] = []
  const records = files({ index })
  const presigner = createPresigner(
    defineSettings(() => ({
      ...{ name, buckets, signingSecrets: 'k1:0123456789abcdef0123456789abcdef', ...more },
    })),
    {
      plugins: [
        ...[records, upkeep({ files: records, settings: input }), tokens()],
        apiKeys({ keys: keys.map(({ entry }) => entry) }),
      ],
      log: (line) => void lines.push(line),
    },
  )
  return {
    lines,
    index,
    async ask(route, key, body) {
      const [method = '', path = ''] = route.split(' ')
      const headers = new Headers(bearer(key.token).headers)
      if (body !== undefined) headers.set('Content-Type', 'application/json')
      const context = newContext()
      const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }
      const response = await presigner.fetch(new Request(`${ORIGIN}${path}`, init), {}, context)
      if (newContext === createExecutionContext) await waitOnExecutionContext(context as never)
      return response
    },
    async run(now) {
      const checked = check(upkeepRule(null), input)
      if (!checked.ok) throw new Error('These settings are not valid.')
      let time = now.getTime()
      // Each look at the clock is a millisecond later.
      await runUpkeep(
        { instance: presigner.instance({}), context: newContext(), upkeep: checked.value },
        () => new Date(time++),
      )
    },
    scheduled: (context = newContext()) =>
      presigner.scheduled({ scheduledTime: Date.now(), cron: '7 * * * *' }, {}, context),
  }
}

/** Returns a generated key with this name. */
export const newKey = (name: string): string => `uploads/${'0123456789abcdefghjk'}-${name}`

/** Returns the record of an object in a bucket that answers by script. */
export const recordOf = (key: string, changes: Partial<FileRecord> = {}): FileRecord =>
  ({
    ...{ key, bucket: 'files', name: 'Cat.png', size: 6, mimetype: 'image/png', etag: ETAG },
    ...{ owner: 'app:ann', createdAt: LONG_AGO, ...changes },
  }) as FileRecord

/** An execution context as on Node: without exports. */
export const withoutObjects = (): ExecutionContext => ({
  waitUntil: () => undefined,
  passThroughOnException: () => undefined,
  props: {},
})
