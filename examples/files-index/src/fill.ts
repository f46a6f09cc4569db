import { createServerClient } from 'edge-presigner-client/server'
import { applyEvent } from './file-events'

/** Adds all files of the presigner's list. Its key needs the scope `files:list`. */
export async function fill(db: D1Database, baseUrl: string, apiKey: string): Promise<number> {
  let count = 0
  for await (const file of createServerClient({ baseUrl, apiKey }).list()) {
    await applyEvent(db, { type: 'recorded', file }, file.createdAt)
    count++
  }
  return count
}
