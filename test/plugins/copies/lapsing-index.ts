import type { FileIndex, KeyLock } from '../../../src/records/file-index.ts'

/** An operation of an index. Locks have three. */
export type Operation = 'get' | 'put' | 'remove' | 'lock' | 'note' | 'release'

/** Comes before an operation. May wait, fail or never return. */
export type Before = (operation: Operation) => Promise<void>

export interface LapsingIndex extends FileIndex {
  /** Ends all locks, as if five minutes had passed. */
  readonly lapse: () => Promise<void>
}

/** Returns `index` with a step before each operation, and with locks that a test can end. */
export function lapsingIndex(index: FileIndex, before: Before = async () => {}): LapsingIndex {
  const { lock } = index
  if (lock === undefined) throw new Error('This index has no locks.')
  const locks: KeyLock[] = []
  return {
    ...index,
    async get(...key) {
      await before('get')
      return index.get(...key)
    },
    async put(...record) {
      await before('put')
      return index.put(...record)
    },
    async remove(...key) {
      await before('remove')
      return index.remove(...key)
    },
    async lock(...keys) {
      await before('lock')
      const held = await lock(...keys)
      locks.push(held)
      return {
        ...held,
        async note(...noted) {
          await before('note')
          return held.note(...noted)
        },
        async release(released) {
          await before('release')
          return held.release(released)
        },
      }
    },
    async lapse() {
      for (const { held, release } of locks.splice(0)) await release([...held.keys()])
    },
  }
}
