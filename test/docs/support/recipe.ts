import { readPage } from './markdown.ts'

/**
 * The recipes of apps that have the API itself, by what `npm create edge-presigner -- --app` takes. In
 * in-app.full.test.ts, readers follow the section `begin` from an empty folder, then `run`.
 */
export const IN_APP = {
  next: { page: 'next', begin: '', run: 'Run it' },
  express: { page: 'express', begin: '', run: 'Run it' },
  hono: { page: 'hono', begin: '', run: 'Run it' },
  sveltekit: { page: 'astro-sveltekit', begin: 'SvelteKit', run: 'SvelteKit/Run it' },
  astro: { page: 'astro-sveltekit', begin: 'Astro', run: 'Astro/Run it' },
} as const
export type AppName = keyof typeof IN_APP
export const APP_NAMES = Object.keys(IN_APP) as readonly AppName[]
/** Their pages. */
export const IN_APP_PAGES = [...new Set(APP_NAMES.map((name) => IN_APP[name].page))]
/** The recipes that recipes.full.test.ts follows from an empty folder. */
export const FOLLOWED = [
  ...['README', 'plain-html', 'react', 'vue-svelte'],
  ...['from-better-upload', 'from-uppy-companion', 'd1-index'],
]

/**
 * A code block of a recipe, and what its reader does with it. The line above the block says so:
 * `` `src/app.ts`: `` names the file to write, and a line that begins with `Excerpt` shows code that
 * is not a step. A block of `sh` without such a line is commands, which run one after another.
 */
export interface Step {
  readonly kind: 'file' | 'commands' | 'excerpt' | 'unknown'
  /** The file of a `file` or an `excerpt`, if the page names it. Otherwise empty. */
  readonly path: string
  readonly code: string
  /** The headings of level 2 and 3 above it, such as `Tokens/Server`. Empty at the beginning. */
  readonly section: string
}

/** Returns all code blocks of `docs/recipes/NAME.md`, in order. */
export function recipeSteps(name: string): Step[] {
  const steps: Step[] = []
  let headings: readonly string[] = []
  let above = ''
  let open: { indent: string; language: string; code: string[] } | undefined
  for (const line of readPage(`docs/recipes/${name}.md`).split('\n')) {
    if (open === undefined) {
      const [, indent, language] = /^( *)```(\w+)$/.exec(line) ?? []
      const [, level = '', heading = ''] = /^(##+) (.+)$/.exec(line) ?? []
      if (indent !== undefined && language !== undefined) open = { indent, language, code: [] }
      else if (heading !== '') headings = [...headings.slice(0, level.length - 2), heading]
      else if (line.trim() !== '' && !line.trim().startsWith('<!--')) above = line.trim()
    } else if (line === `${open.indent}\`\`\``) {
      const code = open.code.map((text) => `${text}\n`).join('')
      steps.push({ ...kindOf(above, open.language), code, section: headings.join('/') })
      open = undefined
      above = ''
    } else open.code.push(line.slice(open.indent.length))
  }
  return steps
}

/**
 * Returns how often a reader acts from an empty folder until an upload is shown: one command, one file, the
 * address that they open, and the picture that they choose.
 */
export function countActions(app: AppName): number {
  const { page, begin, run } = IN_APP[app]
  const steps = recipeSteps(page).filter(({ section }) => section === begin || section === run)
  const acts = steps.flatMap(({ kind, code }) =>
    kind === 'file'
      ? [code]
      : kind === 'commands'
        ? code.replaceAll('\\\n', '').trim().split('\n')
        : [],
  )
  return acts.length + 2
}

function kindOf(above: string, language: string): Pick<Step, 'kind' | 'path'> {
  const [, path] = /^`([^`]+)`:$/.exec(above) ?? []
  if (path !== undefined) return { kind: 'file', path }
  const [excerpt, of = ''] = /^Excerpt of (?:`([^`]+)`|a terminal)[^:]*:$/.exec(above) ?? []
  if (excerpt !== undefined) return { kind: 'excerpt', path: of }
  return { kind: language === 'sh' ? 'commands' : 'unknown', path: '' }
}

/**
 * Returns the text of a file of a recipe, or of an excerpt. If the page shows several under this
 * name, the first one, or the one with the index `nth`.
 */
export function recipeFile(name: string, path: string, nth = 0): string {
  const step = recipeSteps(name).filter((each) => each.path === path)[nth]
  if (step === undefined) throw new Error(`docs/recipes/${name}.md has no file ${path}.`)
  return step.code
}
