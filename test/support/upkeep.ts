import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import type { ExecutionContext } from 'hono'
import { bucketUrl } from '../../src/bucket/bucket-url.ts'
import {
  createPresigner,
  defineSettings,
  type FileIndex,
  type FileRecord,
  type LogLine,
  type PresignerOptions,
  type SettingsInput,
} from '../../src/index.ts'
import { apiKeys } from '../../src/plugins/api-keys/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { tokens } from '../../src/plugins/tokens/index.ts'
import { drive, objectName, runSchedule } from '../../src/plugins/upkeep/driver.ts'
import { type UpkeepInput, upkeep } from '../../src/plugins/upkeep/index.ts'
import { upkeepRule } from '../../src/plugins/upkeep/options.ts'
import type { WalkState } from '../../src/plugins/upkeep/state.ts'
import { WalkStore } from '../../src/plugins/upkeep/store.ts'
import { requireSettings } from '../../src/settings/define.ts'
import { check } from '../../src/settings/rules.ts'
import { ORIGIN, type SettingsChanges } from './app.ts'
import { bearer, type TestApiKey } from './credentials.ts'
import { ETAG, LONG_AGO } from './listed-bucket.ts'
import { stateStub } from './state-stub.ts'

type Bucket = SettingsInput['buckets'][string]

/** Returns the settings of a bucket at `https://s3.example`. */
export const bucketAt = (name: string, changes: Partial<Bucket> = {}): Bucket => ({
  ...{ endpoint: 'https://s3.example', region: 'us-east-1', bucket: name },
  credentials: { accessKeyId: 'READER', secretAccessKey: 'secret' },
  uploadCredentials: { accessKeyId: 'WRITER', secretAccessKey: 'secret' },
  ...changes,
})

export interface UpkeepApp {
  readonly name: string
  readonly lines: LogLine[]
  readonly index: FileIndex
  /** Sends a request with a key, and `body` as JSON. */
  ask(route: string, key: TestApiKey, body?: unknown): Promise<Response>
  /** Runs as a Cron Trigger does, at `now`. Wakes objects, which do nothing by themselves here. */
  run(now: Date): Promise<void>
  /** Does the steps that are due at `now` in all buckets, as their objects do. Returns how many. */
  tick(now: Date): Promise<number>
  /** Does one step that is due in the bucket of this alias. */
  step(now: Date, alias?: string): Promise<boolean>
  /** Returns what is known of a walk, by the alias of its bucket. */
  state(alias?: string, name?: string): Promise<WalkState | undefined>
  store(alias?: string): WalkStore
  /** Names of the objects that were woken. */
  readonly woken: string[]
  /** Calls `presigner.scheduled`. */
  scheduled(context?: ExecutionContext): Promise<boolean>
}

/** Each app has its own name, so that it shares no Durable Object. */
let count = 0

/** Objects that remember what the Worker's own do, and are woken by no alarm. */
const sleepers = (woken: string[]) => ({
  getByName: (id: string) => ({
    run: (statements: never) => stateStub('Upkeep', id).run(statements),
    async wake() {
      woken.push(id)
      return false
    },
  }),
})

/** Returns an app with upkeep. Without `context`, the storage of its walks is that of the Worker's objects. */
export function upkeepApp({
  settings: input = {},
  buckets = { files: bucketAt('one') },
  keys = [],
  name = `upkeep-${count++}`,
  index = memoryFileIndex(),
  context: given,
  more = {},
  options = {},
}: {
  readonly settings?: UpkeepInput
  readonly buckets?: SettingsInput['buckets']
  readonly keys?: readonly TestApiKey[]
  readonly name?: string
  readonly index?: FileIndex
  readonly context?: () => ExecutionContext
  readonly more?: SettingsChanges
  readonly options?: Pick<PresignerOptions, 'beforeDelete'>
} = {}): UpkeepApp {
  const lines: LogLine[] = []
  const woken: string[] = []
  const newContext =
    given ??
    (() => Object.assign(createExecutionContext(), { exports: { Upkeep: sleepers(woken) } }))
  const presigner = createPresigner(
    defineSettings(() => ({
      ...{ name, buckets, signingSecrets: 'k1:0123456789abcdef0123456789abcdef', ...more },
    })),
    {
      plugins: [
        ...[upkeep({ settings: input }), files({ index }), tokens()],
        apiKeys({ keys: keys.map(({ entry }) => entry) }),
      ],
      log: (line) => void lines.push(line),
      ...options,
    },
  )
  const driver = () => {
    const checked = check(upkeepRule(null), input)
    if (!checked.ok) throw new Error('These settings are not valid.')
    const instance = presigner.instance({})
    return {
      ...{ instance, settings: requireSettings(instance.settings), upkeep: checked.value },
      context: newContext(),
    }
  }
  const bucketOf = (alias = 'files') => {
    const bucket = driver().settings.buckets.find((one) => one.alias === alias)
    if (bucket === undefined) throw new Error('There is no such bucket.')
    return bucket
  }
  const app: UpkeepApp = {
    ...{ name, lines, index, woken },
    async ask(route, key, body) {
      const [method = '', path = ''] = route.split(' ')
      const headers = new Headers(bearer(key.token).headers)
      if (body !== undefined) headers.set('Content-Type', 'application/json')
      const context = newContext()
      const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }
      const response = await presigner.fetch(new Request(`${ORIGIN}${path}`, init), {}, context)
      if (given === undefined) await waitOnExecutionContext(context as never)
      return response
    },
    async run(now) {
      let time = now.getTime()
      // Each look at the clock is a millisecond later.
      await runSchedule(driver(), () => new Date(time++))
    },
    async tick(now) {
      let count = 0
      for (const { alias } of driver().settings.buckets)
        while (await app.step(now, alias)) {
          count += 1
          if (count > 500) throw new Error('The walk does not end.')
        }
      return count
    },
    step: (now, alias) => drive(driver(), app.store(alias), bucketUrl(bucketOf(alias)), now),
    state: async (alias = 'files', of = alias) => (await app.store(alias).states([of])).get(of),
    store: (alias) =>
      new WalkStore(async (sql) =>
        stateStub('Upkeep', `${name}/${objectName(bucketUrl(bucketOf(alias)))}`).run(sql),
      ),
    scheduled: (context = newContext()) =>
      presigner.scheduled({ scheduledTime: Date.now(), cron: '7 * * * *' }, {}, context),
  }
  return app
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
