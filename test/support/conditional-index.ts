import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect } from 'vitest'
import { d1FileIndex } from '../../src/plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../../src/plugins/files/kv-file-index.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import type { FileIndex } from '../../src/records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../src/records/file-record.ts'
import { testDatabase } from './d1.ts'

/**
 * Declares tests for the indexes in KV and D1. In D1, the wait of 1100 milliseconds for Workers KV is an
 * error.
 */
export function withEachIndex(declare: (index: FileIndex) => void): void {
  describe('with Workers KV:', () => declare(kvFileIndex(env.FILE_INDEX)))
  describe('with D1:', () => {
    const { setTimeout } = globalThis
    let waits = 0
    beforeEach(() => {
      waits = 0
      globalThis.setTimeout = ((act: () => void, milliseconds?: number) => {
        if (milliseconds === 1100) waits += 1
        return setTimeout(act, milliseconds)
      }) as typeof setTimeout
    })
    declare(d1FileIndex(testDatabase))
    afterEach(() => {
      globalThis.setTimeout = setTimeout
      expect(waits).toBe(0)
    })
  })
}

/** Returns an index in memory with the conditions of D1, for tests with very many steps. */
export function conditionalMemoryIndex(): FileIndex {
  const index = memoryFileIndex()
  const fieldsOf = ({ name, size, mimetype, etag, owner, createdAt, status }: FileRecord) =>
    JSON.stringify([name, size, mimetype, etag, owner, createdAt, status])
  const keeps = (old: FileRecord, file: FileRecord) =>
    old.createdAt !== file.createdAt
      ? old.createdAt > file.createdAt
      : old.etag !== file.etag ||
        file.status !== undefined ||
        (old.owner !== null && (old.status === undefined || file.owner === null))
  return {
    ...index,
    isConditional: true,
    async put(file, replaces) {
      const old = await index.get(file.bucket, file.key)
      const isNamed = old && replaces && fieldsOf(old) === fieldsOf(replaces)
      const isCopy =
        replaces === null &&
        old?.createdAt === file.createdAt &&
        (isConfirmed(old) || !isConfirmed(file))
      return old && !isNamed && (keeps(old, file) || isCopy) ? old : index.put(file)
    },
    async remove(bucket, key, of) {
      const old = await index.get(bucket, key)
      const isOlder =
        !old ||
        !of ||
        old.createdAt < of.createdAt ||
        (old.createdAt === of.createdAt &&
          old.etag === of.etag &&
          (!isConfirmed(old) || !isConfirmed(of) || old.owner === of.owner))
      if (isOlder) await index.remove(bucket, key)
    },
  }
}
