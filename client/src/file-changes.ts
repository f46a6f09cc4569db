import type { FileRecord } from './answers/files.ts'
import { oneEach } from './one-each.ts'
import type { Session } from './session.ts'

/** How long the index may show an old state in other locations: docs/maintainers/stored-data.md. */
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

const changesOf = oneEach<Session, Changes>(() => ({ listeners: new Set(), recent: new Map() }))

/** Returns what the page changed so recently that a list from the index may not show it. */
export function recentChanges(session: Session): FileChange[] {
  const { recent } = changesOf(session)
  for (const [key, { at }] of recent)
    if (at < Date.now() - INDEX_DELAY_MILLISECONDS) recent.delete(key)
  return [...recent.values()]
}

/** Tells all lists of `session` on this page about a change. */
export function announce(session: Session, key: string, record: FileRecord | null): void {
  const { listeners, recent } = changesOf(session)
  recentChanges(session) // drops old ones
  recent.delete(key)
  recent.set(key, { key, record, at: Date.now() })
  for (const listener of [...listeners]) listener({ key, record })
}

/** Calls `listener` for each change. Returns a function that ends this. */
export function onChange(session: Session, listener: Listener): () => void {
  const { listeners } = changesOf(session)
  listeners.add(listener)
  return () => listeners.delete(listener)
}
