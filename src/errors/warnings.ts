/** Warnings in the log. The request continues. docs/troubleshooting.md has the fixes. */
export const WARNINGS = [
  'rate limit not applied',
  'index entries unreadable',
  'objects left out',
  'image not resized',
  'delivery cut',
  'export cut',
  'edge copy not purged',
  'files not deleted',
  'files not recorded',
  'files not copied',
  'files not moved',
  'keys not released',
  'reservation not undone',
  'parts and their size not checked',
  'complete failed although the object exists',
  'metadata left out',
  'clock of the bucket ahead',
  'notifications dropped',
  'notifications failed',
  'key set not read',
  'credentials not renewed',
  'each request has its own environment',
  'The Cache API failed to match.',
  'The Cache API failed to put.',
  "The presigner's log failed",
  'plugin missing',
  'webhooks are not queued',
  'fetch is not strictly public',
  'images are not resized',
  'links need linkBase',
  'grants need Durable Objects',
  'drop boxes need Durable Objects',
  'upkeep needs Durable Objects',
  'upkeep stopped',
  'upkeep failed',
  'event not sent',
  'resized images are not kept',
  'webhook not delivered',
  'webhook lost',
  'job not done',
  'job lost',
] as const

export type Warning = (typeof WARNINGS)[number]

/** A warning, with or without its reason. */
export type WarningText = Warning | `${Warning}: ${string}`

/** Writes a warning about work that belongs to no request. */
export function logWarning(warning: Warning, members: object): void {
  console.warn(JSON.stringify({ warning, ...members }))
}
