import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { urlPath } from '../../../tools/dev/url-path.ts'

export const ROOT = join(import.meta.dirname, '..', '..', '..')

/**
 * A fenced code block. `mark` is the name in a comment `<!-- test: NAME -->` on the line before it,
 * or empty. A name with a slash is the path of the file that the block shows.
 */
export interface CodeBlock {
  readonly language: string
  readonly mark: string
  readonly code: string
}

/** Returns the text of a page. `path` is relative to the repository. */
export const readPage = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

/** Returns the paths of all pages: those at the root, and everything under docs/ and examples/. */
export function pagePaths(): string[] {
  const atRoot = readdirSync(ROOT).filter((name) => name.endsWith('.md'))
  const below = ['docs', 'examples'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
      .map((entry) => urlPath(ROOT, join(entry.parentPath, entry.name)))
      .filter((path) => !path.includes('node_modules/')),
  )
  return [...atRoot, ...below]
}

/** Returns all fenced blocks, without the indentation of a list around them. */
export function codeBlocks(text: string): CodeBlock[] {
  const pattern = /(?:<!-- test: ([\w./-]+) -->\n)?^( *)```(\w+)\n([\s\S]*?)^ *```$/gm
  return [...text.matchAll(pattern)].map(
    ([, mark = '', indent = '', language = '', code = '']) => ({
      language,
      mark,
      code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  )
}

/** Returns the block under `<!-- test: mark -->` in a page. Throws unless there is exactly one. */
export function markedBlock(path: string, mark: string): string {
  const [block, ...others] = codeBlocks(readPage(path)).filter((block) => block.mark === mark)
  if (block === undefined || others.length > 0)
    throw new Error(`${path} should have one block marked "${mark}".`)
  return block.code
}

/** Returns `text` without its fenced blocks. */
export const prose = (text: string): string => text.replaceAll(/^ *```[\s\S]*?^ *```$/gm, '')

/** Returns the rows of the tables, each as its cells. The first cell of a header keeps its bar. */
export const tableRows = (text: string): string[][] =>
  [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(' | '))

/** Returns the texts of the headings, in order. */
export const headings = (text: string): string[] =>
  [...prose(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => heading)

/** Returns the commands of wrangler for R2 and Queues on a page, without `npx wrangler`. */
export const wranglerCommands = (page: string): readonly string[] =>
  codeBlocks(readPage(page))
    .filter(({ language }) => language === 'sh')
    .flatMap(({ code }) => code.replaceAll('\\\n', ' ').split('\n'))
    .flatMap((line) => /npx wrangler ((?:r2|queues) .*)/.exec(line)?.[1] ?? [])
