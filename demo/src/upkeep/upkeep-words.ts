import { ageInWords } from '../words.ts'
import type { BucketStatus, Counts, UpkeepStatus } from './status.ts'

/** What each mode does. */
const MODES: Readonly<Record<string, string>> = {
  report: 'It only reports, and changes nothing.',
  record: 'It repairs the list of files, and deletes no file.',
}

/** Returns what upkeep may do, or nothing for a mode of a later version. */
export const modeInWords = (mode: string): string => MODES[mode] ?? ''

/** A count, and what it counts: one, and several. */
type Row = readonly [name: string, one: string, several: string]

const FOUND: readonly Row[] = [
  ['unrecorded', 'file that is not in the list', 'files that are not in the list'],
  ['ownerless', 'file that nobody owns', 'files that nobody owns'],
  ['different', 'file that was replaced unnoticed', 'files that were replaced unnoticed'],
  ['gone', 'entry whose file is gone', 'entries whose file is gone'],
  ['oldUploads', 'unfinished upload, older than 8 days', 'unfinished uploads, older than 8 days'],
  ['unreadable', 'entry that nobody can read', 'entries that nobody can read'],
  ['foreign', 'entry of a removed bucket', 'entries of removed buckets'],
  ['refused', 'name that the list can’t store', 'names that the list can’t store'],
  ['failed', 'file that failed', 'files that failed'],
]

const DONE: readonly Row[] = [
  ['recorded', 'file added to the list', 'files added to the list'],
  ['returned', 'entry given back', 'entries given back'],
  ['updated', 'date updated', 'dates updated'],
  ['corrected', 'entry replaced', 'entries replaced'],
  ['dropped', 'entry removed', 'entries removed'],
  ['aborted', 'unfinished upload ended', 'unfinished uploads ended'],
]

const countInWords = (count: number, one: string, several: string): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : several}`

const rowsInWords = (counts: Counts, rows: readonly Row[]): readonly string[] =>
  rows.flatMap(([name, one, several]) =>
    counts[name] ? [countInWords(counts[name], one, several)] : [],
  )

/** Returns what a pass has found, without what it has already done. */
export const foundInWords = (counts: Counts): readonly string[] => rowsInWords(counts, FOUND)

/** Returns what a pass has done. */
export const doneInWords = (counts: Counts): readonly string[] => rowsInWords(counts, DONE)

/** Returns when a bucket was last looked through, and how far the current pass has come. */
export function lastInWords({ last, startedAt, counts }: BucketStatus, now: Date): string {
  const files = countInWords(counts.objects ?? 0, 'file', 'files')
  if (last !== null)
    return `Last look through all ${countInWords(last.counts.objects ?? 0, 'file', 'files')}: ${ageInWords(last.endedAt, now)}.`
  if (startedAt === null) return 'It has not run yet.'
  return `The first look began ${ageInWords(startedAt, now)}, and has seen ${files} so far.`
}

/** Returns what waits in a bucket. */
export const waitingInWords = ({ collected, failing }: BucketStatus): readonly string[] => [
  ...(collected > 0
    ? [countInWords(collected, 'entry waits for a second look.', 'entries wait for a second look.')]
    : []),
  ...(failing > 0
    ? [
        countInWords(
          failing,
          'file failed, and is tried again.',
          'files failed, and are tried again.',
        ),
      ]
    : []),
]

const STOPS: Readonly<Record<string, readonly [what: string, check: string]>> = {
  'another bucket': [
    'No file of the list is in the bucket.',
    'Check the endpoint and the name of the bucket.',
  ],
  'empty list': [
    'The bucket says that it is empty, but the list of files is not.',
    'Check the name of the bucket, and whether somebody has emptied it.',
  ],
  'many records differ': [
    'Many files in the list are gone from the bucket, or were replaced.',
    'Check whether somebody has deleted or replaced them, such as by a lifecycle rule.',
  ],
  'over 10,000 changes': [
    'More than 10,000 files in the list are gone from the bucket, or were replaced.',
    'Check whether this is the right bucket.',
  ],
}

/** Returns why upkeep stopped, and what to check first. */
export const stopInWords = (reason: string): readonly [what: string, check: string] =>
  STOPS[reason] ?? [
    `It has found something unusual: ${reason}.`,
    'See docs/import-and-repair.md#repair.',
  ]

/** What no mode repairs. */
const STAYS = FOUND.filter(([name]) => /^(?:unreadable|foreign|refused|failed)$/.test(name))

/** What a mode other than `report` repairs, or what it shows all the same. */
const REPAIRABLE = FOUND.filter(([name]) => name !== 'ownerless')

/** Returns the state of all buckets in a few words, or nothing before the first run. */
export function stateInWords({ mode, buckets }: UpkeepStatus): string {
  if (buckets.some(({ stopped }) => stopped !== null)) return 'stopped'
  if (buckets.some(({ collected, failing }) => collected + failing > 0)) return 'something waits'
  const rows = mode === 'report' ? REPAIRABLE : STAYS
  if (buckets.some(({ last }) => rowsInWords(last?.counts ?? {}, rows).length > 0))
    return 'found something'
  if (buckets.every(({ last }) => last !== null)) return 'all is well'
  return buckets.some(({ startedAt }) => startedAt !== null) ? 'at work' : ''
}
