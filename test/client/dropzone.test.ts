import { describe, expect, it } from 'vitest'
import { filesIn, refusalOf } from '../../client/src/added-files.ts'
import type { BucketLimits } from '../../client/src/answers/files.ts'
import { ENGLISH, sizeText, textsOf } from '../../client/src/dropzone-labels.ts'
import type { ErrorCode } from '../../client/src/error-code.ts'
import { canRetry, explain } from '../../client/src/explain.ts'
import { PresignerError } from '../../client/src/presigner-error.ts'

const file = (name: string, type = '', size = 5) => new File(['x'.repeat(size)], name, { type })
const limits = (more: Partial<BucketLimits>): BucketLimits => ({
  bucket: 'files',
  maxBytes: null,
  allowedTypes: null,
  maxExpiresIn: { upload: 1, view: 1, stream: 1, email: 1, link: 1 },
  ...more,
})
const codeFor = (...args: Parameters<typeof refusalOf>) => refusalOf(...args)?.code

describe('a file that somebody adds', () => {
  it.each<readonly [accept: string, name: string, type: string]>([
    ['image/*', 'a.png', 'image/png'],
    ['image/*', 'a.HEIC', ''], // which most browsers don't know
    ['*/*', 'a', ''],
    ['text/plain', 'a.txt', 'Text/Plain;charset=utf-8'],
    ['.jpg, .TXT', 'a.txt', ''],
    [' image/png , .pdf ', 'a.PDF', ''],
    ['', 'a.txt', 'text/plain'], // as for <input>
    [' , ', 'a.txt', 'text/plain'],
    ['*', 'a.txt', 'text/plain'],
    ['image/* ', 'a.png', 'image/png'],
  ])('is accepted by %s: %s of the type "%s"', (accept, name, type) => {
    expect(codeFor(file(name, type), accept, undefined)).toBeUndefined()
  })

  it.each<readonly [accept: string, name: string, type: string]>([
    ['image/*', 'a.txt', 'text/plain'],
    ['image/*', 'image/a', ''],
    ['image/png', 'a.png', 'image/png2'],
    ['image/png2', 'a.png', 'image/png'],
    ['.txt', 'a.txt.exe', 'text/plain'],
  ])('is refused by "%s": %s of the type "%s"', (accept, name, type) => {
    expect(codeFor(file(name, type), accept, undefined)).toBe('mimetype_not_allowed')
  })

  it('must fit the limits of the API too', () => {
    const own = limits({ maxBytes: 5, allowedTypes: ['image/*'] })
    expect(codeFor(file('a.png', 'image/png'), undefined, own)).toBeUndefined()
    expect(codeFor(file('a.png', 'image/png', 6), undefined, own)).toBe('file_too_large')
    expect(codeFor(file('a.txt', 'text/plain'), '.txt', own)).toBe('mimetype_not_allowed')
    expect(codeFor(file('a.png', 'image/png'), '.txt', own)).toBe('mimetype_not_allowed')
    expect(codeFor(file('a.png', 'image/png'), undefined, limits({ allowedTypes: [] }))).toBe(
      'mimetype_not_allowed',
    )
    expect(codeFor(file('a.txt', 'text/plain', 99), undefined, limits({}))).toBeUndefined()
  })
})

describe('a dropped folder', () => {
  const nameOf = (path: string) => path.replace(/.*\//, '')
  /** What no code here needs, but the types. */
  const filesystem: FileSystem = {
    name: '',
    get root(): FileSystemDirectoryEntry {
      throw new Error('There is no root.')
    },
  }
  const entryOf = (fullPath: string) => ({
    ...{ name: nameOf(fullPath), fullPath, filesystem },
    getParent() {},
  })
  const fileEntry = (path: string): FileSystemFileEntry => ({
    ...{ ...entryOf(path), isFile: true, isDirectory: false },
    file: (resolve) => resolve(file(nameOf(path))),
  })
  /** Returns its entries in batches, as Chromium does. */
  const folder = (path: string, ...batches: FileSystemEntry[][]): FileSystemDirectoryEntry => ({
    ...{ ...entryOf(path), isFile: false, isDirectory: true },
    getDirectory() {},
    getFile() {},
    createReader: () => ({ readEntries: (resolve) => resolve(batches.shift() ?? []) }),
  })

  it('has the files of all batches and subfolders, with their paths', async () => {
    const inner = folder('/trip/day', [fileEntry('/trip/day/c.txt')])
    const outer = folder('/trip', [fileEntry('/trip/a.txt'), inner], [fileEntry('/trip/b.txt')])
    const found = (await filesIn(outer)).map((each) => [each.name, each.webkitRelativePath])
    expect(found).toEqual([
      ['a.txt', 'trip/a.txt'],
      ['c.txt', 'trip/day/c.txt'],
      ['b.txt', 'trip/b.txt'],
    ])
  })

  it('is not added if one of its files can not be read', async () => {
    const unreadable: FileSystemFileEntry = {
      ...fileEntry('/trip/a.txt'),
      file: (_, reject) => reject?.(new DOMException('gone', 'NotFoundError')),
    }
    await expect(filesIn(folder('/trip', [unreadable]))).rejects.toThrow('gone')
  })
})

it.each([
  [1, '1 byte'],
  [999, '999 byte'],
  [1000, '1 kB'],
  [2_599_999, '2.5 MB'],
  [5_000_000_000, '5 GB'],
  [5_000_000_000_000, '5,000 GB'],
])('writes %i bytes as %s, rounded down', (bytes, text) => {
  expect(sizeText(bytes, 'en')).toBe(text)
})

it('writes sizes as the locale does', () => {
  expect(sizeText(2_500_000, 'de')).toBe('2,5 MB')
  // A part of an app must not end all of it.
  for (const locale of ['en_US', '']) expect(sizeText(2_500_000, locale)).toBe('2.5 MB')
})

it('has an English text for each one that is missing', () => {
  const { cancel, hide } = textsOf({ cancel: 'Abbrechen', hide: undefined })
  expect([cancel, hide]).toEqual(['Abbrechen', 'Hide'])
})

it('counts one file as one', () => {
  expect(ENGLISH.uploading(1)).toBe('Uploading 1 file.')
  expect(ENGLISH.tooMany(1)).toBe('You can add at most 1 file.')
  expect(ENGLISH.more(1)).toBe('1 more file was not added.')
  expect(ENGLISH.more(2)).toBe('2 more files were not added.')
})

describe('an error', () => {
  const error = (code: ErrorCode, more: object = {}) =>
    new PresignerError(code, 'The message.', { requestId: 'r1', ...more })

  it('has a message that says what to do', () => {
    const login = (reason: string) => explain(error('unauthenticated', { status: 401, reason }))
    expect(login('expired')).toBe('Your session has expired. Reload the page.')
    expect(login('missing')).toBe('Log in to use your files.')
    expect(login('malformed')).toBe('Your files are not available. (malformed, request r1)')
    expect(explain(error('file_too_large', { status: 413 }))).toBe('This file is too large.')
    expect(explain(error('internal', { status: 500 }))).toBe('The message. (request r1)')
    expect(explain(error('object_exists', { status: 409 }))).toBe('The message.')
    expect(explain(new Error('Own.'))).toBe('Own.')
    expect(explain('thrown')).toBe('Something went wrong.')
  })

  it('can be tried again if that may help', () => {
    expect(canRetry(error('network'))).toBe(true)
    expect(canRetry(error('unavailable', { status: 503 }))).toBe(true)
    expect(canRetry(error('unauthenticated', { status: 401 }))).toBe(true)
    expect(canRetry(new Error('of the app'))).toBe(true)
    expect(canRetry(error('file_too_large', { status: 413 }))).toBe(false)
    expect(canRetry(error('bucket_refused', { status: 400 }))).toBe(false)
  })
})
