import type { FileRecord } from './responses.ts'
import type { Uploader } from './upload-queue.ts'

/** How long the index may show an old state in other locations: docs/maintainers/kv-schema.md. */
const INDEX_DELAY_MILLISECONDS = 60_000

/** What the page did to a file: its new record, or null after a delete. */
export interface FileChange {
  readonly key: string
  readonly record: FileRecord | null
}

type Listener = (change: FileChange) => void

interface Changes {
  readonly listeners: Set<Listener>
  /** By key, the newest last. */
  readonly recent: Map<string, FileChange & { readonly at: number }>
}

const ofClients = new WeakMap<Uploader, Changes>()

function changesOf(client: Uploader): Changes {
  const known = ofClients.get(client)
  if (known) return known
  const changes: Changes = { listeners: new Set(), recent: new Map() }
  ofClients.set(client, changes)
  return changes
}

/** Returns what the page changed so recently that a list from the index may not show it. */
export function recentChanges(client: Uploader): FileChange[] {
  const { recent } = changesOf(client)
  for (const [key, { at }] of recent)
    if (at < Date.now() - INDEX_DELAY_MILLISECONDS) recent.delete(key)
  return [...recent.values()]
}

/** Tells all lists of `client` on this page about a change. */
export function announce(client: Uploader, key: string, record: FileRecord | null): void {
  const { listeners, recent } = changesOf(client)
  recentChanges(client) // drops old ones
  recent.delete(key)
  recent.set(key, { key, record, at: Date.now() })
  for (const listener of [...listeners]) listener({ key, record })
}

/** Calls `listener` for each change. Returns a function that ends this. */
export function onChange(client: Uploader, listener: Listener): () => void {
  const { listeners } = changesOf(client)
  listeners.add(listener)
  return () => listeners.delete(listener)
}
