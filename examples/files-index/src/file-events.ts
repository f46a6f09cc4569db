import type { FileRecord } from 'edge-presigner-client/server'

export type FileEvent =
  | {
      readonly type: 'recorded' | 'replaced' | 'renamed' | 'copied' | 'moved'
      readonly file: FileRecord
    }
  | { readonly type: 'deleted'; readonly file: { readonly bucket: string; readonly key: string } }

/** Updates the table. `at` is the time of the event, ISO 8601 in UTC. */
export async function applyEvent(db: D1Database, event: FileEvent, at: string): Promise<void> {
  const { bucket, key } = event.file
  if (event.type === 'deleted') {
    await db
      .prepare(
        `INSERT INTO files VALUES (?1, ?2, '', 0, '', '', NULL, '', ?3, 1)
        ON CONFLICT DO UPDATE SET is_deleted = 1, changed_at = excluded.changed_at
        WHERE excluded.changed_at >= changed_at`,
      )
      .bind(bucket, key, at)
      .run()
    return
  }
  const { name, size, mimetype, etag, owner, createdAt } = event.file
  const isRename = event.type === 'renamed' ? 1 : 0
  // A bucket notification doesn't know the owner and the name. If it comes after the event that
  // does, it must not remove them.
  await db
    .prepare(
      `INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)
      ON CONFLICT DO UPDATE SET
        name = excluded.name, size = excluded.size, mimetype = excluded.mimetype,
        etag = excluded.etag, owner = excluded.owner, created_at = excluded.created_at,
        changed_at = excluded.changed_at, is_deleted = 0
      WHERE excluded.changed_at > changed_at
        AND (?10 OR is_deleted OR excluded.owner IS NOT NULL OR excluded.etag <> etag)`,
    )
    .bind(bucket, key, name, size, mimetype, etag, owner, createdAt, at, isRename)
    .run()
}

const KEEP_MILLISECONDS = 30 * 86_400_000

/** Removes the rows of files that were deleted more than 30 days ago. */
export async function forgetDeleted(db: D1Database, now: Date): Promise<void> {
  const before = new Date(now.getTime() - KEEP_MILLISECONDS).toISOString()
  await db.prepare('DELETE FROM files WHERE is_deleted = 1 AND changed_at < ?1').bind(before).run()
}
