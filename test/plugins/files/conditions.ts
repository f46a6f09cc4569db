import { beforeEach, expect, it } from 'vitest'
import type { FileIndex } from '../../../src/records/file-index.ts'
import { testRecord } from './records.ts'

/** Declares the rules of a conditional `FileIndex`. `open` returns an empty index. */
export function declareConditions(open: () => FileIndex): void {
  let index: FileIndex
  beforeEach(() => {
    index = open()
  })

  const first = testRecord('a', { createdAt: '2026-11-24T12:00:05.000Z' })
  const { key } = first
  const earlier = { ...first, etag: '"e-0"', createdAt: '2026-11-24T12:00:04.000Z' }
  const sameSecond = { ...first, etag: '"e-1"' }
  const later = { ...first, etag: '"e-2"', createdAt: '2026-11-24T12:00:06.000Z', owner: null }
  const nobodys = { ...first, name: 'a', owner: null }

  it.each([
    ['keeps the record of a later object', earlier, first],
    ['keeps the record of another object of the same date', sameSecond, first],
    ['keeps the owner of the same object', nobodys, first],
    ['replaces the record of an earlier object', later, later],
    ['keeps the name of the same object', { ...first, name: 'new' }, first],
    ['keeps the owner of the same object from another one', { ...first, owner: 'key:bob' }, first],
  ])('%s', async (_, written, kept) => {
    await index.put(first)
    expect(await index.put(written)).toEqual(kept)
    expect(await index.get('files', key)).toEqual(kept)
  })

  it('gives a provisional record its owner', async () => {
    await index.put(nobodys)
    expect(await index.put(first)).toEqual(first)
  })

  // @threat confirmed-becomes-found
  it.each([
    ['keeps a confirmed record', first, { ...first, status: 'found' }],
    ['keeps a record of an older version', nobodys, { ...nobodys, status: 'found' }],
    ['keeps a guessed owner', { ...first, status: 'found' }, nobodys],
  ] as const)('%s of the same object', async (_, old, written) => {
    await index.put(old)
    for (const replaces of [undefined, null, { ...old, name: 'other' }])
      expect(await index.put(written, replaces)).toStrictEqual(old)
    expect(await index.put(written, old)).toStrictEqual(written)
  })

  it('lets a copy replace what nobody has confirmed only if the copy is confirmed', async () => {
    for (const old of [nobodys, { ...first, status: 'found' }] as const) {
      await index.put(old)
      for (const copy of [nobodys, { ...first, name: 'b', status: 'found' }] as const)
        expect(await index.put(copy, null)).toStrictEqual(old)
      expect(await index.put(first, null)).toStrictEqual(first)
      await index.remove('files', key)
    }
  })

  it('replaces exactly the record that it names, with its status', async () => {
    const found = { ...first, status: 'found' } as const
    await index.put(found)
    const bobs = { ...found, owner: 'key:bob' }
    expect(await index.put(bobs, first)).toEqual(found)
    expect(await index.put(bobs, found)).toStrictEqual(bobs)
    // Twice the same status.
    for (const name of ['x', 'y', 'z']) {
      const old = await index.get('files', key)
      expect(await index.put({ ...bobs, name }, old ?? bobs)).toStrictEqual({ ...bobs, name })
    }
  })

  it('removes a record whose owner is a guess, or that of such a record', async () => {
    const guess = { ...first, owner: 'key:bob', status: 'found' } as const
    for (const [stored, of] of [
      [guess, first],
      [first, guess],
    ] as const) {
      await index.put(stored)
      await index.remove('files', key, { ...of, etag: '"e-9"' })
      expect(await index.get('files', key)).toEqual(stored)
      await index.remove('files', key, of)
      expect(await index.get('files', key)).toBeNull()
    }
  })

  it('keeps a provisional record of another object of the same date', async () => {
    await index.put(nobodys)
    expect(await index.put(sameSecond)).toEqual(nobodys)
  })

  it('replaces any record that it names, if nothing has changed it', async () => {
    await index.put(first)
    for (const change of [{ name: 'b' }, { size: 1 }, { owner: null }, { mimetype: 'text/plain' }])
      expect(await index.put(earlier, { ...first, ...change })).toEqual(first)
    expect(await index.put(earlier, first)).toEqual(earlier)
    const provisional = await index.put({ ...earlier, ...nobodys })
    expect(await index.put(sameSecond, provisional)).toEqual(sameSecond)
  })

  it('renames the same object, and gives it another owner, if nothing has changed it', async () => {
    await index.put(first)
    const renamed = { ...first, name: 'new' }
    expect(await index.put(renamed, first)).toEqual(renamed)
    const bobs = { ...first, owner: 'key:bob' }
    expect(await index.put(bobs, first)).toEqual(renamed)
    expect(await index.put(bobs, renamed)).toEqual(bobs)
  })

  it('removes the record of an object or of an earlier one only', async () => {
    await index.put(first)
    for (const of of [earlier, sameSecond, { ...first, owner: 'key:bob' }])
      await index.remove('files', key, of)
    expect(await index.get('files', key)).toEqual(first)
    for (const of of [{ ...first, name: 'old', owner: null }, later]) {
      await index.put(first)
      await index.remove('files', key, of)
      expect(await index.get('files', key)).toBeNull()
    }
  })
}
