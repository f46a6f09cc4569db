/**
 * Where `npx edge-presigner upkeep` keeps how far it has come: a file with the sealed cursor of each walk.
 * Only a Worker with the same secrets can read the cursors.
 */
import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import * as z from 'zod/mini'
import { UsageError } from './command.ts'
import { syncFolder } from './record-file.ts'
import { jsonOf } from './worker-client.ts'

const entrySchema = z.object({
  cursor: z.string(),
  /** ISO 8601. */
  savedAt: z.string(),
  /** Whether the pass has ended: the cursor is the start of the next one. */
  isDone: z.boolean(),
  /** Why the brake has stopped the walk, which the command has shown. `--go-on` then works. */
  stopped: z.nullable(z.string()),
})

/** How far one walk has come. */
export type SavedWalk = z.infer<typeof entrySchema>

const stateSchema = z.object({
  version: z.literal(1),
  walks: z.record(z.string(), entrySchema),
  /** The buckets that a Worker walks, by its URL. */
  buckets: z.record(z.string(), z.array(z.string())),
})

const walkNameSchema = z.tuple([z.string(), z.string()], z.unknown())

type State = z.infer<typeof stateSchema>

/** Which walk: two of them never share a cursor. */
export interface WalkName {
  readonly url: string
  readonly bucket: string
  readonly mode: 'report' | 'default'
  readonly import: object | null
}

const urlOf = (url: string): string => new URL(url).href.replace(/\/+$/, '')

const nameOf = ({ url, bucket, mode, import: order }: WalkName): string =>
  JSON.stringify([urlOf(url), bucket, mode, order])

/** Returns what is saved of a walk. Throws UsageError if the file is something else. */
export const savedWalk = async (file: string, name: WalkName): Promise<SavedWalk | undefined> =>
  (await stateIn(file)).walks[nameOf(name)]

/** Returns the buckets that the Worker at `url` walked the last time, or none. */
export const savedBuckets = async (file: string, url: string): Promise<readonly string[]> =>
  (await stateIn(file)).buckets[urlOf(url)] ?? []

/**
 * Saves how far a walk has come, or that there is nothing to continue. The other walks of the file stay.
 * The file is replaced at once, so a crash leaves the old or the new one.
 */
export async function saveWalk(
  file: string,
  name: WalkName,
  walk: SavedWalk | undefined,
  buckets?: readonly string[],
): Promise<void> {
  const state = await stateIn(file)
  if (walk === undefined) delete state.walks[nameOf(name)]
  else state.walks[nameOf(name)] = walk
  if (buckets !== undefined) state.buckets[urlOf(name.url)] = [...buckets]
  await write(file, state)
}

/**
 * Forgets the walks with this mode and import through the buckets of the Worker at `url`, or through one
 * of them. A report forgets nothing that the brake of another walk compares with.
 */
export async function forgetWalks(
  file: string,
  { url, bucket, mode, import: order }: Omit<WalkName, 'bucket'> & { bucket: string | undefined },
): Promise<void> {
  const state = await stateIn(file)
  for (const name of Object.keys(state.walks)) {
    const [, alias] = walkNameSchema.safeParse(jsonOf(name)).data ?? []
    if (alias === undefined || (bucket !== undefined && alias !== bucket)) continue
    if (name === nameOf({ url, bucket: alias, mode, import: order })) delete state.walks[name]
  }
  await write(file, state)
}

async function write(file: string, state: State): Promise<void> {
  const text = `${JSON.stringify(state, null, 2)}\n`
  const temporary = `${file}.${process.pid}.tmp`
  try {
    await rm(temporary, { force: true })
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw new UsageError(`${file} can't be written: ${codeOf(error)}.`)
  }
  await syncFolder(dirname(file))
}

async function stateIn(file: string): Promise<State> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { version: 1, walks: {}, buckets: {} }
    throw new UsageError(`${file} can't be read: ${codeOf(error)}.`)
  }
  const state = stateSchema.safeParse(jsonOf(text))
  if (state.success) return state.data
  throw new UsageError(
    `${file} is not a state of upkeep. Name another file with --state, or delete it to start again.`,
  )
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)
