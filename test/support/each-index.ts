import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect } from 'vitest'
import { d1FileIndex } from '../../src/plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../../src/plugins/files/kv-file-index.ts'
import type { FileIndex } from '../../src/records/file-index.ts'
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
