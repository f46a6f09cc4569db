import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utf8Length } from '../../../src/keys/encodings.ts'
import { fromMetadata, toMetadata } from '../../../src/plugins/files/kv-metadata.ts'
import { testRecord } from '../../../src/testing/test-record.ts'
import { runs } from '../../support/fuzz.ts'
import { hostileText } from '../../support/hostile.ts'

const { key, bucket, ...members } = testRecord('a.jpg')
const METADATA = { v: 1, ...members }

const bytes = (value: unknown): number => utf8Length(JSON.stringify(value))

describe('toMetadata', () => {
  it('has a version, and everything except the key and the bucket, which are in the KV key', () => {
    expect(toMetadata(testRecord('a.jpg'))).toEqual(METADATA)
    expect(toMetadata(testRecord('a.jpg', { owner: null })).owner).toBeNull()
  })

  it('cuts the name until everything fits into 1024 bytes', () => {
    const room = 1024 - bytes({ ...METADATA, name: '' })
    for (const [name, kept] of [
      ['a'.repeat(room), room],
      ['a'.repeat(room + 1), room],
      ['a'.repeat(5000), room],
      ['漢'.repeat(1000), Math.floor(room / 3)],
    ] as const) {
      const metadata = toMetadata(testRecord('a.jpg', { name }))
      expect(metadata.name).toBe(name.slice(0, kept))
      expect({ ...metadata, name }).toEqual({ ...METADATA, name })
      expect(bytes(metadata)).toBeLessThanOrEqual(1024)
    }
  })

  it('cuts between characters, however JSON escapes them', () => {
    const long = fc.array(
      fc.oneof(hostileText, fc.constantFrom('"', '\\', '\u0001', '\ud800', '😀')),
      {
        minLength: 200,
        maxLength: 600,
      },
    )
    fc.assert(
      fc.property(long, (pieces) => {
        const name = pieces.join('')
        const metadata = toMetadata(testRecord('a.jpg', { name }))
        expect(name.startsWith(metadata.name)).toBe(true)
        expect(bytes(metadata)).toBeLessThanOrEqual(1024)
        expect(bytes(metadata)).toBeGreaterThan(1024 - 13)
        const kept = Array.from(metadata.name).length
        expect(Array.from(name).slice(0, kept).join('')).toBe(metadata.name)
      }),
      { numRuns: runs(50) },
    )
  })
})

describe('fromMetadata', () => {
  it('reads what toMetadata wrote', () => {
    const record = testRecord('a.jpg', { name: '漢字 "x" 😀' })
    const stored: unknown = JSON.parse(JSON.stringify(toMetadata(record)))
    expect(fromMetadata('files', record.key, stored)).toEqual(record)
  })

  it('ignores a member that it does not know', () => {
    expect(fromMetadata('files', key, { ...METADATA, later: 1 })).toEqual(testRecord('a.jpg'))
  })

  it.each([
    ['nothing', null],
    ['no metadata', undefined],
    ['text', 'x'],
    ['a list', []],
    ['an empty object', {}],
    ['no version', members],
    ['a later version', { ...METADATA, v: 2 }],
    ['no name', { ...METADATA, name: undefined }],
    ['a negative size', { ...METADATA, size: -1 }],
    ['half a byte', { ...METADATA, size: 0.5 }],
    ['a size that is not a number', { ...METADATA, size: '1' }],
    ['no ETag', { ...METADATA, etag: null }],
    ['a malformed owner', { ...METADATA, owner: 1 }],
    ['a malformed date', { ...METADATA, createdAt: 'yesterday' }],
    ['a date in another zone', { ...METADATA, createdAt: '2026-11-24T12:00:00+01:00' }],
  ])('finds no record in %s', (_, metadata) => {
    expect(fromMetadata('files', key, metadata)).toBeNull()
  })
})
