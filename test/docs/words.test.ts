import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { printedDocument } from '../../tools/dev/openapi/printed.ts'
import { urlPath } from '../../tools/dev/url-path.ts'
import { pagePaths, ROOT, readPage } from './support/markdown.ts'

const GLOSSARY = 'CONTRIBUTING.md'
/** Changes are as they were written. */
const PAST = /^(?:client\/)?CHANGELOG\.md$/

/** Returns the phrases that the glossary's last column tells nobody to write. */
function phrases(): readonly string[] {
  const [, glossary = ''] = readPage(GLOSSARY).split('\n## Words\n')
  const rows = glossary.split('\n## ')[0]?.match(/^\|.*\|$/gm) ?? []
  return rows.flatMap((row) => {
    const last = row.split('|').at(-2) ?? ''
    return [...last.matchAll(/`([^`]+)`/g)].map(([, phrase = '']) => phrase)
  })
}

/** Matches each phrase as words, also in the plural and across lines, but not in "S3 multipart upload". */
const PATTERN = new RegExp(
  `(?<!S3(?:'s)?\\s)\\b(?:${phrases()
    .map((phrase) => phrase.replaceAll(' ', '[\\s*/]+'))
    .join('|')})s?\\b`,
  'gi',
)

/** Returns the sources with messages, comments and descriptions. */
const sources = (): readonly string[] =>
  ['src', 'cli', 'client/src', 'demo', 'drop-box', 'tools/dev/openapi'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(?:ts|tsx|html)$/.test(entry.name))
      .map((entry) => urlPath(ROOT, join(entry.parentPath, entry.name))),
  )

/** Returns the phrases in a text, without the glossary itself. */
const found = (path: string): readonly string[] => {
  const text = path === GLOSSARY ? readPage(path).replace(/^\|.*\|$/gm, '') : readPage(path)
  return (text.match(PATTERN) ?? []).map((phrase) => `${path}: ${phrase}`)
}

describe('the words of the glossary', () => {
  it('replace others in the documentation', () => {
    const pages = [...pagePaths(), 'client/README.md']
    expect(pages.filter((path) => !PAST.test(path)).flatMap(found)).toEqual([])
    expect(printedDocument().match(PATTERN)).toBeNull()
  })

  it('replace others in messages, comments and on the page', () => {
    expect(sources().length).toBeGreaterThan(200)
    expect(sources().flatMap(found)).toEqual([])
  })

  it.each([
    ['a presigned URL', ['presigned URL']],
    ['two signed\n * links', ['signed\n * links']],
    ['S3 multipart upload, multipart uploads', ['multipart uploads']],
    ["S3's multipart upload, a link", []],
  ])('are checked in %j', (text, expected) => {
    expect(text.match(PATTERN) ?? []).toEqual(expected)
  })
})
