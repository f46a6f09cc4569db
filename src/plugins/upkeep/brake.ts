import type { Bucket } from '../../bucket/bucket.ts'
import type { Counts, PassSummary, StopReason, WalkState, Witness } from './state.ts'

/** In one pass, this many records may be without an object, whatever their share. */
const MAX_GONE = 20
/** Above `MAX_GONE`, at most one record in this many may be without an object. */
const GONE_SHARE = 100
/** A list may be much shorter than before if fewer objects than this are missing. */
const MAX_MISSING = 20

/** Returns what tells two buckets apart: keys and aliases may change. */
export const identityOf = ({
  origin,
  basePath,
  name,
}: Pick<Bucket, 'origin' | 'basePath' | 'name'>): string => `${origin}${basePath} ${name}`

/** What a step has read, before it changes anything. */
export interface Look {
  /** The counts of the pass with everything that the step has read. */
  readonly counts: Counts
  /** Whether the bucket has no objects after these. */
  readonly isListDone: boolean
}

/** Returns why a walk must not go on in this bucket, or null. */
export const stopAtStart = (
  { identity, accepted }: Pick<WalkState, 'identity' | 'accepted'>,
  bucket: Pick<Bucket, 'origin' | 'basePath' | 'name'>,
): StopReason | null =>
  identity === identityOf(bucket) || accepted.includes('another bucket') ? null : 'another bucket'

/** What the bucket and the index say about a witness: null if the index has another record, or none. */
export type Testimony = 'is there' | 'is missing' | null

/** Returns why a pass must not begin, or null: no witness is left that the index still knows. */
export function stopAtWitnesses(
  { accepted }: Pick<WalkState, 'accepted'>,
  testimonies: readonly Testimony[],
): StopReason | null {
  const heard = testimonies.filter((testimony) => testimony !== null)
  const isAnother = heard.length > 0 && heard.every((testimony) => testimony === 'is missing')
  return isAnother && !accepted.includes('another bucket') ? 'another bucket' : null
}

/** Returns why a step must not change anything after what it has read, or null. */
export function stopAfterLook(
  { accepted, last }: Pick<WalkState, 'accepted' | 'last'>,
  look: Look,
): StopReason | null {
  return reasonsIn(last, look).find((reason) => !accepted.includes(reason)) ?? null
}

/** Returns all reasons to stop, also those that a person has accepted. */
export function reasonsIn(
  last: PassSummary | null,
  { counts, isListDone }: Look,
): readonly StopReason[] {
  const { objects, records, gone } = counts
  const before = last?.counts.objects ?? 0
  const isEmpty = isListDone && objects === 0 && records > 0
  const isShorter = isListDone && 2 * objects < before && before - objects >= MAX_MISSING
  const isGone = gone > MAX_GONE && GONE_SHARE * gone > records
  return [
    ...(isEmpty ? (['empty list'] as const) : []),
    ...(isShorter ? (['shorter list'] as const) : []),
    ...(isGone ? (['many records without an object'] as const) : []),
  ]
}

/** Returns the witnesses with one from another page: the first one stays, and the later ones change. */
export function withWitness(
  witnesses: readonly Witness[],
  pages: number,
  witness: Witness | undefined,
): readonly Witness[] {
  if (witness === undefined) return witnesses
  if (witnesses.length < 3) return [...witnesses, witness]
  const [first, ...later] = witnesses
  return first === undefined ? [witness] : [first, ...later.with(pages % later.length, witness)]
}
