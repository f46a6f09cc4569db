import { type FileIndex, JOURNAL_SECONDS, type KeyLock } from '../records/file-index.ts'
import type { TestRunner } from './test-runner.ts'

const BUCKET = 'https://s3.example/files'

/** Declares tests of the rules of `lock`, which copies and moves need. `open` returns an empty index. */
export function declareLockContract(
  { beforeEach, expect, it }: TestRunner,
  open: () => FileIndex | Promise<FileIndex>,
): void {
  let index: FileIndex
  beforeEach(async () => {
    index = await open()
  })
  const lock = (keys: readonly string[], seconds = 300, bucket = BUCKET): Promise<KeyLock> => {
    if (index.lock === undefined) throw new Error('This index has no locks.')
    return index.lock(bucket, keys, seconds)
  }
  const heldBy = async (locking: Promise<KeyLock>) => [...(await locking).held.keys()]

  // @threat move-loses
  it('gives a key to one of many requests at once, and all keys of one request in one step', async () => {
    const locks = await Promise.all(
      Array.from({ length: 20 }, (_, i) => lock(i % 2 === 0 ? ['a', 'b'] : ['b', 'a'])),
    )
    expect(
      locks
        .map(({ held }) => held.size)
        .toSorted()
        .at(-1),
    ).toBe(2)
    expect(locks.flatMap(({ held }) => [...held.keys()]).toSorted()).toEqual(['a', 'b'])
  })

  it('gives the keys that nobody else holds, and tells when the others are free', async () => {
    await lock(['a'], 100)
    await lock(['b'], 200)
    const { held, busySeconds } = await lock(['a', 'b', 'c'])
    expect([...held]).toEqual([['c', null]])
    expect(busySeconds).toBeGreaterThan(190)
    expect(busySeconds).toBeLessThanOrEqual(200)
    expect((await lock(['d'])).busySeconds).toBe(0)
  })

  it('separates buckets, and keys of any text', async () => {
    const keys = ['a', 'A', 'ä', 'a\u0308', `'"%_*\\`, 'x'.repeat(1024), '__proto__', ' ']
    expect(await heldBy(lock(keys))).toEqual(keys)
    expect(await heldBy(lock(keys, 300, `${BUCKET}2`))).toEqual(keys)
    expect(await heldBy(lock(keys))).toEqual([])
  })

  it('gives a key again after its release, and only that one', async () => {
    const first = await lock(['a', 'b'])
    await first.release(['a'])
    expect(await heldBy(lock(['a', 'b']))).toEqual(['a'])
  })

  it('keeps the journal of a key, which the next holder gets', async () => {
    const first = await lock(['a', 'b'])
    expect(await first.note('a', 'one')).toBe(true)
    expect(await first.note('a', 'two')).toBe(true)
    await first.release(['a', 'b'])
    const second = await lock(['a', 'b'])
    expect([...second.held]).toEqual([
      ['a', 'two'],
      ['b', null],
    ])
    await second.release(['a'])
    expect((await lock(['a'])).held.get('a')).toBe('two')
  })

  // @threat move-loses
  it('lets nobody write or release a key whose lock has expired and who has lost it', async () => {
    const first = await lock(['a'], 0)
    const second = await lock(['a'])
    expect([...second.held.keys()]).toEqual(['a'])
    expect(await first.note('a', 'late')).toBe(false)
    await first.release(['a'])
    expect(await heldBy(lock(['a']))).toEqual([])
    expect(await second.note('b', 'never held')).toBe(false)
    await second.release(['a'])
    expect((await lock(['a'])).held.get('a')).toBe(null)
  })

  // @threat delete-all-rest
  it('forgets the keys below a prefix whose locks ended before a time, and no key that is held', async () => {
    const below = ['users/al/a', 'users/al/\u{10ffff}']
    const others = ['users/alice/a', 'users/am', 'users/al', 'USERS/AL/a']
    const held = await lock(['users/al/held'])
    for (const bucket of [BUCKET, `${BUCKET}2`]) {
      const ended = await lock([...below, ...others], -60, bucket)
      for (const key of ended.held.keys()) await ended.note(key, 'noted')
    }
    const journals = async (keys: readonly string[], bucket = BUCKET) => [
      ...(await lock(keys, -60, bucket)).held.values(),
    ]
    const forget = (seconds: number) =>
      index.forgetLocks?.(BUCKET, 'users/al/', new Date(Date.now() + 1000 * seconds))
    await forget(-120)
    expect(await journals(below)).toEqual(['noted', 'noted'])
    await forget(600)
    expect(await journals(below)).toEqual([null, null])
    expect(await journals(others)).toEqual(others.map(() => 'noted'))
    expect(await journals(below, `${BUCKET}2`)).toEqual(['noted', 'noted'])
    expect(await held.note('users/al/held', 'still held')).toBe(true)
  })

  it('forgets a journal some days after the end of its lock', async () => {
    for (const [seconds, expected] of [
      [60 - JOURNAL_SECONDS, 'noted'],
      [-60 - JOURNAL_SECONDS, null],
    ] as const) {
      const first = await lock(['a'], seconds)
      await first.note('a', 'noted')
      const second = await lock(['a'])
      expect(second.held.get('a')).toBe(expected)
      await second.release(['a'])
    }
  })
}
