import { REFERENCE } from './pages.ts'

/**
 * Returns the Markdown that the search indexes: of code only names, of the reference only what a route does
 * and the names of its members, and a page for maintainers as one section without its measurements.
 */
export function searchedMarkdown(page: string, markdown: string): string {
  const isRecipe = page.startsWith('docs/recipes/')
  const text = markdown
    .replaceAll(/<!-- bench: ([\w-]+) -->[\s\S]*?<!-- \/bench: \1 -->/g, '')
    .replaceAll(/^ *```[\s\S]*?^ *```$/gm, (code) => (isRecipe ? '' : namesInCode(code)))
  if (page.startsWith('docs/maintainers/')) return text.replaceAll(/^##+ /gm, '')
  if (!page.startsWith(`${REFERENCE}/`)) return text
  return text
    .split(/^(?=## )/m)
    .map(searchedRoute)
    .join('')
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
export const processTerm = (word: string): string | null => {
  const term = word.toLowerCase()
  const saysNothing = [
    'about above after again ago all almost already also although always am an and another',
    'any are as at be because been before being below between both but by can could did do',
    'does doesn don done during each either else even every everything few first for from get',
    'gets had has have he her here his how i if in instead into is isn it its itself just',
    'later least less like ll many may might more most much must need needs neither never no',
    'nor not nothing now of on once one only or other our out over own rather re same second',
    'see she should since so some something still such than that the their them then there',
    'these they this though three through to together too two until up us use used ve very',
    'was way we well were what when where whether which while who whom whose will with within',
    'without would yet you your',
  ]
  if (term.length < 2 || saysNothing.some((words) => ` ${words} `.includes(` ${term} `)))
    return null
  // Of numbers, only the status of a response is a word.
  return /^\d+$/.test(term) && !/^[345]\d\d$/.test(term)
    ? null
    : term.replace(/(?<=\w{4}[^s])s$/, '')
}

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
