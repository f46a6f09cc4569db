import type { Background, ConfiguredBucket } from '../../bucket/bucket.ts'
import { openBucket } from '../../bucket/credential-source.ts'
import { withWalkingKeys } from '../../bucket/walking-keys.ts'
import { purgeJobs } from '../../core/purge.ts'
import type { Instance } from '../../http/app-env.ts'
import { NOBODY } from '../../records/file-event.ts'
import { timedIndex } from '../../records/file-index.ts'
import type { Settings } from '../../settings/settings.ts'
import { stateObjectIn } from '../../state/object.ts'
import type { Upkeep } from './cloudflare.ts'
import type { UpkeepSettings } from './options.ts'
import type { Walk } from './pass.ts'
import type { Import, Mode } from './state.ts'
import { type WalkObject, walkName } from './walk-object.ts'

/** How much a step does. */
export interface StepSize {
  readonly pageSize: number
  readonly maxRequests: number
}

/** An execution context, whose exports have the Durable Objects. */
type ExecutionContext = Parameters<Instance['objects']>[0]

/** Who walks. */
export interface Walker {
  readonly instance: Instance
  readonly settings: Settings
  readonly upkeep: UpkeepSettings
  readonly context: ExecutionContext
}

/** What to do in a bucket. */
export interface Order extends StepSize {
  readonly mode: Mode
  readonly import: Import | null
  readonly keep: Walk['keep']
  readonly operations: Walk['operations']
}

/** Returns the buckets that upkeep walks through. */
export const walkedBuckets = (
  { buckets }: Pick<Settings, 'buckets'>,
  upkeep: Pick<UpkeepSettings, 'buckets'>,
): readonly ConfiguredBucket[] =>
  buckets.filter(({ alias }) => upkeep.buckets?.includes(alias) ?? true)

/** Returns the aliases of the bucket that `alias` names, with `alias` itself. */
export function aliasesOf({ buckets }: Pick<Settings, 'buckets'>, alias: string): string[] {
  const addressOf = ({ origin, basePath }: ConfiguredBucket) => origin + basePath
  const named = buckets.filter((bucket) => bucket.alias === alias).map(addressOf)
  return buckets.filter((bucket) => named.includes(addressOf(bucket))).map((one) => one.alias)
}

/** Returns the object of a bucket's walk. Throws what `stateObjectIn` throws. */
export const walkObject = (
  { context, settings }: Pick<Walker, 'context' | 'settings'>,
  alias: string,
): WalkObject => stateObjectIn<Upkeep>(context, settings, 'Upkeep', walkName(alias))

/** Returns the walk through a bucket of the settings. Its events have no principal, like those of notifications. */
export async function walkThrough(
  { instance, settings, upkeep, context }: Walker,
  bucket: ConfiguredBucket,
  { mode, import: given, keep, pageSize, maxRequests, operations }: Order,
  now: Date,
): Promise<Walk> {
  const { after, appMilliseconds, enqueue, fileIndex } = instance
  const background: Background = context
  const aliases = aliasesOf(settings, bucket.alias)
  const first = walkedBuckets(settings, upkeep).find(({ alias }) => aliases.includes(alias))
  return {
    bucket: await openBucket(withWalkingKeys(bucket), now, background),
    aliases: settings.buckets.map(({ alias }) => alias),
    isFirst: given !== null || bucket.alias === first?.alias,
    siblings: aliases.filter((alias) => alias !== bucket.alias),
    index: timedIndex(fileIndex, now, appMilliseconds),
    async purge(purged, keys) {
      try {
        await instance.objects(context).purge(purged, keys)
      } catch (error) {
        if (enqueue === null) throw error
        await enqueue(...purgeJobs(purged, keys))
      }
    },
    announce:
      after &&
      ((change, about, at = new Date(), isRepeat = false) =>
        after({ ...change, ...NOBODY }, about, at, background, isRepeat)),
    ...{ mode, owner: upkeep.owner, import: given },
    ...{ pageSize, maxRequests, operations, keep },
    eventRequests: after === null ? 0 : (after.requests ?? 1),
  }
}
