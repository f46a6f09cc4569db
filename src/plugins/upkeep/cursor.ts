import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { Import, Mode, WalkState } from './state.ts'
import type { DroppedName } from './walk-object.ts'

/** How long a cursor of a walk, with its second looks, is valid: a weekly cron on Node keeps one. */
const CURSOR_SECONDS = 90 * 86_400

/** What a walk by requests does. A cursor of another one is refused. */
export interface WalkScope {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly mode: Mode
  readonly import: Import | null
}

const scopeText = ({ bucket, mode, import: given }: WalkScope): string =>
  JSON.stringify([bucket, mode, given && [given.prefix, given.owner, given.ownerAs]])

/** Returns the state of a walk as a cursor for its client, bound to what the walk does. */
export const sealWalk = (
  { signingSecrets }: SigningSettings,
  scope: WalkScope,
  state: WalkState,
  now: Date,
): Promise<string> =>
  seal(signingSecrets, 'upkeep', {
    scope: scopeText(scope),
    state,
    exp: Math.floor(now.getTime() / 1000) + CURSOR_SECONDS,
  })

/** Returns the state in a cursor. Throws `invalid_cursor` for that of another walk, and for an old one. */
export async function openWalk(
  { signingSecrets }: SigningSettings,
  scope: WalkScope,
  cursor: string,
  now: Date,
): Promise<WalkState> {
  const unsealed = await unseal(signingSecrets, 'upkeep', cursor, now)
  const { scope: bound, state } = unsealed.ok ? unsealed.claims : {}
  if (bound === scopeText(scope) && isWalkState(state)) return state
  throw new ApiError(
    'invalid_cursor',
    'This cursor belongs to another walk, or has expired. Begin without one.',
  )
}

/** Tells a state of this version. Only `sealWalk` seals one. */
const isWalkState = (value: unknown): value is WalkState =>
  Reflect.get(Object(value), 'version') === 1

/** The list of dropped records that a cursor belongs to. */
interface DroppedScope {
  readonly bucket: string
  readonly prefix: string
}

export const sealDropped = (
  { signingSecrets }: SigningSettings,
  { bucket, prefix }: DroppedScope,
  { key, etag }: DroppedName,
): Promise<string> => seal(signingSecrets, 'upkeep', { dropped: [bucket, prefix], key, etag })

/** Returns where a page of dropped records starts, or null without a cursor. Throws `invalid_cursor`. */
export async function openDropped(
  { signingSecrets }: SigningSettings,
  { bucket, prefix }: DroppedScope,
  cursor: string | undefined,
  now: Date,
): Promise<DroppedName | null> {
  if (cursor === undefined) return null
  const unsealed = await unseal(signingSecrets, 'upkeep', cursor, now)
  const { dropped, key, etag } = unsealed.ok ? unsealed.claims : {}
  if (JSON.stringify(dropped) === JSON.stringify([bucket, prefix]))
    if (typeof key === 'string' && typeof etag === 'string') return { key, etag }
  throw new ApiError('invalid_cursor', 'This cursor is not valid for this list.')
}
