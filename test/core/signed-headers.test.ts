import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CONTENT_DISPOSITION, CONTENT_ENCODING } from '../../src/bucket/upload-fields.ts'
import { attachment } from '../../src/core/content-disposition.ts'
import { uploadHeaders } from '../../src/core/signed-headers.ts'
import { fromBase64 } from '../support/base64.ts'
import { runs } from '../support/fuzz.ts'
import { hostileText } from '../support/hostile.ts'

const PLAIN = { uploadHeaders: null }

const metadataHeader = (value: string): string | undefined =>
  uploadHeaders(PLAIN, { mimetype: 'image/png', metadata: { note: value } })['x-amz-meta-note']

describe('the headers of an upload', () => {
  it('are only Content-Type by default', () => {
    expect(uploadHeaders(PLAIN, { mimetype: 'image/png' })).toEqual({ 'Content-Type': 'image/png' })
    expect(uploadHeaders(PLAIN, { mimetype: 'image/png', overwrite: true, metadata: {} })).toEqual({
      'Content-Type': 'image/png',
    })
  })

  it("include everything that the caller asks for, under S3's names", () => {
    const sha256 = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    expect(
      uploadHeaders(PLAIN, {
        mimetype: 'text/plain; charset=utf-8',
        sha256,
        cacheControl: 'private, max-age=60',
        contentDisposition: 'inline; filename="a.txt"',
        contentEncoding: 'gzip',
        overwrite: false,
        metadata: { author: 'me', 'photo-id': '42' },
      }),
    ).toEqual({
      'Content-Type': 'text/plain; charset=utf-8',
      'Cache-Control': 'private, max-age=60',
      'Content-Disposition': 'inline; filename="a.txt"',
      'Content-Encoding': 'gzip',
      'If-None-Match': '*',
      'x-amz-checksum-sha256': sha256,
      'x-amz-meta-author': 'me',
      'x-amz-meta-photo-id': '42',
    })
  })

  it("include the bucket's own, which a caller can't replace", () => {
    const bucket = { uploadHeaders: { 'x-amz-acl': 'private', 'x-amz-meta-note': 'bucket' } }
    expect(uploadHeaders(bucket, { mimetype: 'image/png', metadata: { note: 'caller' } })).toEqual({
      'Content-Type': 'image/png',
      'x-amz-acl': 'private',
      'x-amz-meta-note': 'bucket',
    })
  })
})

describe('a Content-Disposition', () => {
  it.each([
    'attachment',
    'inline',
    'attachment; filename="My report (final).pdf"',
    'attachment; filename=report.pdf',
    'attachment;filename="a.pdf"; filename*=UTF-8\'\'%e2%82%ac.pdf',
    'attachment; filename="a \\"quoted\\" name; with=marks.pdf"',
    'form-data; name="field"',
    attachment('Größe + 100% "漢字" 😀.pdf'),
  ])('is valid: %s', (value) => {
    expect(value).toMatch(CONTENT_DISPOSITION)
    expect(new Headers({ a: value }).get('a')).toBe(value)
  })

  it.each([
    '',
    ' attachment',
    'attachment ',
    'attachment; ',
    'attachment; filename',
    'attachment; filename=',
    'attachment; filename=my report.pdf',
    'attachment; filename="a',
    'attachment; filename="a"b',
    'attachment; filename="a" "b"',
    'attachment; filename="two  spaces"',
    'attachment; filename="é.pdf"',
    'attachment; filename="a\\"',
    'attachment\r\nx-amz-acl: public-read',
    'attachment; filename="a\r\nx-amz-acl: public-read"',
    'attachment, inline',
    '=?UTF-8?Q?attachment?=',
  ])('is invalid: %j', (value) => {
    expect(value).not.toMatch(CONTENT_DISPOSITION)
  })

  it('is checked in time that grows with its length only', () => {
    for (const part of ['; a="\\"', '; a=b', '\\"', '; a="', 'a'])
      expect(`a${part.repeat(100_000)}\n`).not.toMatch(CONTENT_DISPOSITION)
  })
})

describe('a Content-Encoding', () => {
  it.each(['gzip', 'br', 'zstd', 'x-gzip', 'gzip, br', 'gzip,br'])('is valid: %s', (value) => {
    expect(value).toMatch(CONTENT_ENCODING)
  })

  it.each([
    '',
    'gzip ',
    'gzip,',
    ',gzip',
    'gzip br',
    'gzip;q=1',
    'gzip\r\nx-amz-acl: public-read',
    'aws-chunked',
    'AWS-Chunked, gzip',
    'gzip,aws-chunked',
  ])('is invalid: %j', (value) => {
    expect(value).not.toMatch(CONTENT_ENCODING)
  })
})

describe('a metadata value', () => {
  it.each(['plain', 'with single spaces', '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~', '', 'a'])(
    'stays unchanged when a header can carry it: %j',
    (value) => {
      expect(metadataHeader(value)).toBe(value)
    },
  )

  it.each([
    ['é', '=?UTF-8?B?w6k=?='],
    ['漢字 😀', '=?UTF-8?B?5ryi5a2XIPCfmIA=?='],
    [' leading', '=?UTF-8?B?IGxlYWRpbmc=?='],
    ['trailing ', '=?UTF-8?B?dHJhaWxpbmcg?='],
    ['two  spaces', '=?UTF-8?B?dHdvICBzcGFjZXM=?='],
    ['a\r\nx-amz-acl: public-read', '=?UTF-8?B?YQ0KeC1hbXotYWNsOiBwdWJsaWMtcmVhZA==?='],
    ['a\tb', '=?UTF-8?B?YQli?='],
    ['a\u0000', '=?UTF-8?B?YQA=?='],
    ['\u007f', '=?UTF-8?B?fw==?='],
    ['=?UTF-8?B?w6k=?=', '=?UTF-8?B?PT9VVEYtOD9CP3c2az0/PQ==?='],
  ])(
    'is an RFC 2047 encoded word when a header cannot carry it, or when it looks like one: %j',
    (value, header) => {
      expect(metadataHeader(value)).toBe(header)
    },
  )

  it('is unchanged after decoding by RFC 2047, and fits into a header', () => {
    fc.assert(
      fc.property(fc.oneof(hostileText, fc.string({ unit: 'binary-ascii' })), (value) => {
        const header = metadataHeader(value) ?? 'absent'
        expect(header).toMatch(/^(?:[!-~]+(?: [!-~]+)*)?$/)
        expect(new Headers({ a: header }).get('a')).toBe(header)
        const [, word] = /^=\?UTF-8\?B\?([^?]*)\?=$/.exec(header) ?? []
        const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
        const read = word === undefined ? header : decoder.decode(fromBase64(word))
        expect(read).toBe(value)
      }),
      { numRuns: runs(500) },
    )
  })
})

describe('all metadata values', () => {
  const upload = (metadata: Record<string, string>) => () =>
    uploadHeaders(PLAIN, { mimetype: 'image/png', metadata })
  const tooLarge = expect.objectContaining({
    code: 'invalid_request',
    issues: [{ path: 'metadata', message: 'must not be longer than 2048 bytes' }],
  })

  it('have at most 2048 bytes in names and values', () => {
    expect(upload({ note: 'a'.repeat(2044) })).not.toThrow()
    expect(upload({ note: 'a'.repeat(2045) })).toThrow(tooLarge)
    expect(upload({ a: 'a'.repeat(1023), b: 'b'.repeat(1023) })).not.toThrow()
    expect(upload({ a: 'a'.repeat(1023), bb: 'b'.repeat(1023) })).toThrow(tooLarge)
  })

  it('count in their encoded form', () => {
    // 12 characters around the base64 of 1524 bytes, which has 2032 characters.
    expect(upload({ note: 'é'.repeat(762) })).not.toThrow()
    expect(upload({ note: 'é'.repeat(763) })).toThrow(tooLarge)
  })
})
