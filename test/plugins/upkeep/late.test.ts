import { afterEach, describe, expect, it, vi } from 'vitest'
import { recordUpload } from '../../../src/core/record.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { renameFile } from '../../../src/plugins/files/rename.ts'
import { CLOSED_SECONDS, refuseLate, settleLate } from '../../../src/plugins/upkeep/late.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { MemoryBucket } from '../../support/memory-bucket.ts'
import { testBucket } from '../../support/test-bucket.ts'
import { at, DAY, generated, indexSince, NOON, recordOf } from './support/walks.ts'

const DAYS = 30
const SECONDS = DAYS * 86_400
/** An upload that nobody can confirm any more, and may expire in an hour. */
const CLOSED = NOON - (SECONDS - CLOSED_SECONDS) * 1000

afterEach(() => void vi.unstubAllGlobals())

// @threat upkeep-expires-confirmed
describe('an upload that may expire within an hour', () => {
  const object = { etag: '"e"', size: 1, mimetype: 'text/plain', time: CLOSED }
  const file = (changes: Partial<FileRecord> = {}, key: string = generated()) =>
    recordOf(key, object, changes)
  const unconfirmed = file({ status: 'unconfirmed', owner: null })
  const settle = (record: FileRecord, known: readonly FileRecord[]) =>
    refuseLate({ type: 'recorded', file: record }, known, SECONDS, at(0))

  it('can no longer be recorded, copied over or renamed', () => {
    const refusal = { code: 'object_not_found', message: expect.stringMatching('30 days') }
    for (const type of ['recorded', 'replaced', 'renamed'] as const)
      expect(() => refuseLate({ type, file: file() }, [unconfirmed], SECONDS, at(0)), type).toThrow(
        expect.objectContaining(refusal),
      )
  })

  it.each<[string, FileRecord, FileRecord[]]>([
    ['younger', file({ createdAt: new Date(CLOSED + 1000).toISOString() }), [unconfirmed]],
    ['confirmed already', file(), [file()]],
    ['confirmed under another alias', file(), [unconfirmed, file()]],
    ['found, which never expires', file(), [file({ status: 'found', owner: null })]],
    ['unknown to the index', file(), []],
    ['of a chosen key', file({}, 'managed/a'), [unconfirmed]],
  ])('is accepted if it is %s', (_, record, known) => {
    expect(() => settle(record, known)).not.toThrow()
  })

  it('may be deleted', () => {
    const change = { type: 'deleted', file: { bucket: 'files', key: generated() } } as const
    expect(() => refuseLate(change, [unconfirmed], SECONDS, at(0))).not.toThrow()
  })
})

// @threat upkeep-expires-confirmed
describe('the seam for records', () => {
  const bucket = testBucket()

  async function stored(changes: Partial<FileRecord>) {
    const memory = new MemoryBucket()
    const index = indexSince(at(-90 * DAY))
    const key = generated()
    const record = recordOf(key, memory.put(key, CLOSED), changes)
    await index.put(record)
    const aliasesOf = vi.fn((alias: string) => [alias, 'other'])
    const settle = settleLate(aliasesOf, SECONDS, () => at(0))
    const announce = async (change: Parameters<typeof settle>[0]) =>
      void (await settle(change, { principal: { kind: 'key', id: 'key:app' } as never, index }))
    return { index, key, record, announce }
  }

  it('refuses to record and to rename, and the record stays as it is', async () => {
    const { index, key, record, announce } = await stored({ status: 'unconfirmed', owner: null })
    const request = { key, name: 'a', owner: 'key:app' }
    const recorded = recordUpload(bucket, index, request, at(0), announce)
    await expect(recorded).rejects.toMatchObject({ code: 'object_not_found' })
    const renamed = renameFile(bucket, index, key, record.name, null, at(0), announce)
    await expect(renamed).rejects.toMatchObject({ code: 'object_not_found' })
    expect(await index.get('files', key)).toEqual(record)
  })

  it('accepts a repeat for a confirmed file, and one that another alias has confirmed', async () => {
    const confirmed = await stored({})
    const request = { key: confirmed.key, name: 'a', owner: 'key:app' }
    const { index, announce } = confirmed
    const { record } = await recordUpload(bucket, index, request, at(0), announce)
    expect(record).toEqual(confirmed.record)
    const other = await stored({ status: 'unconfirmed', owner: null })
    await other.index.put({ ...other.record, bucket: 'other', owner: 'key:app' })
    const { status: _, ...elsewhere } = { ...other.record, bucket: 'other', owner: 'key:app' }
    await other.index.put(elsewhere)
    const again = { key: other.key, name: 'a', owner: 'key:app' }
    const accepted = await recordUpload(bucket, other.index, again, at(0), other.announce)
    expect(accepted.record).toMatchObject({ owner: 'key:app' })
    expect(accepted.record).not.toHaveProperty('status')
  })

  it('reads no index for a young upload or a chosen key', async () => {
    const index = indexSince(at(0))
    const get = vi.spyOn(index, 'get')
    const settle = settleLate(
      (alias) => [alias],
      SECONDS,
      () => at(0),
    )
    const by = { principal: { kind: 'key', id: 'key:app' } as never, index }
    const object = { etag: '"e"', size: 1, mimetype: 'text/plain', time: NOON }
    await settle({ type: 'recorded', file: recordOf(generated(), object) }, by)
    const old = recordOf(parseObjectKey('managed/a'), { ...object, time: CLOSED })
    await settle({ type: 'recorded', file: old }, by)
    expect(get).not.toHaveBeenCalled()
  })
})
