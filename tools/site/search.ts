import { REFERENCE } from './pages.ts'

/**
 * Returns the Markdown that the search indexes: of code only names, no tables of measurements, and of the
 * reference only what a route does and the names of its members.
 */
export function searchedMarkdown(page: string, markdown: string): string {
  const text = markdown
    .replaceAll(/<!-- bench: ([\w-]+) -->[\s\S]*?<!-- \/bench: \1 -->/g, '')
    .replaceAll(/^ *```[\s\S]*?^ *```$/gm, namesInCode)
  return page.startsWith(`${REFERENCE}/`)
    ? text
        .split(/^(?=## )/m)
        .map(searchedRoute)
        .join('')
    : text
}

/** Returns the names in code that are no plain words: `uploadHeaders`, `CORS_ORIGINS`. */
const namesInCode = (code: string): string =>
  [...new Set(code.match(/\b[a-zA-Z]+(?:[A-Z_][a-zA-Z]+)+\b/g))].join(' ')

function searchedRoute(section: string): string {
  const [about = ''] = section.split(/^### /m)
  const names = [...section.matchAll(/^\| `([\w.[\]-]+)`/gm)].map(([, name]) => `\`${name}\``)
  return `${about}\n\n${[...new Set(names)].join(' ')}\n\n`
}

// VitePress sends the source of these functions to the browser, so they use nothing around them.

/** An error code or a variable is a word, and so are its parts, except in a title. */
export const tokenize = (text: string, field?: string): string[] =>
  (text.match(/[\p{L}\p{N}_]+/gu) ?? []).flatMap((word) =>
    word.includes('_') && field !== 'title' ? [word, ...word.split('_')] : [word],
  )

/** Returns a word as the index has it, without a plural s, or null for one that says nothing. */
export const processTerm = (word: string): string | null =>
  word.length < 2 ||
  /^(?:the|and|or|of|to|in|on|at|by|is|are|be|it|its|an|as|if|so|no|not|for|from|with|without|that|this|these|than|then|they|them|their|there|you|your|one|may|can|has|have|had|was|when|which|what|who|does|do|only|also|each|every|all|any|other|another|but|own|same|such|once|until|between|use|used|get|gets|needs?|here|into|out|over|more|most|first|second|both|two|three|see|way|too|doesn|isn|don|(?!30\d|4\d\d|5\d\d)\d+)$/i.test(
    word,
  )
    ? null
    : word.toLowerCase().replace(/(?<=\w{4}[^s])s$/, '')

/** What one does comes before settings, then recipes, then the reference, then everything for maintainers. */
export const boostDocument = (
  id: unknown,
  _term: string,
  fields?: Readonly<Record<string, unknown>>,
): number => {
  const path = String(id)
  if (path.includes('/maintainers/')) return 0.001
  if (path.includes('/reference/')) return 0.3
  const isTop = Array.isArray(fields?.titles) && fields.titles.length === 0
  return (/\/(?:recipes\/|comparison|versioning)/.test(path) ? 0.7 : 1) * (isTop ? 1.5 : 1)
}
