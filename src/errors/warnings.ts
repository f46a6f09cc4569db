/**
 * What the log warns of while requests go on. docs/troubleshooting.md says what to do about each.
 */
export const WARNINGS = [
  'rate limit not applied',
  'index entries unreadable',
  'edge copy not dropped',
  'parts and their size not checked',
  'complete failed although the object exists',
  'metadata left out',
  'key set not read',
  'The Cache API failed to match.',
  'The Cache API failed to put.',
  'The Cache API failed to delete.',
  "The presigner's log failed",
] as const

export type Warning = (typeof WARNINGS)[number]

/** A warning, with its reason or without. */
export type WarningText = Warning | `${Warning}: ${string}`
