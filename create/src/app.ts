import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { shellWord } from '../../cli/shell-word.ts'
import { type Answer, type Ask, answerer, type Flags, refuse, UsageError } from './answers.ts'
import { APP_FILES } from './app-files.ts'
import { DOCS } from './files.ts'
import { commands, isThere, writeNew } from './project.ts'

interface Framework {
  readonly title: string
  /** The package that an app of it has. */
  readonly package: string
  readonly recipe: string
  /** A file without which the framework's app is in JavaScript, and these files don't fit. */
  readonly typed?: string
  /** The file with the app's variables. */
  readonly env: string
  readonly variables: readonly string[]
  /** Files that many apps have already. An existing one stays as it is, and its owner adds the lines of the recipe. */
  readonly shared: readonly string[]
  /** More packages for development. */
  readonly tools?: readonly string[]
  /** The commands that start the app, and the address of its page. */
  readonly start: readonly string[]
  readonly page: string
}

/** On Node, nothing else tells the presigner its public URL, and where its list survives a deploy. */
const ON_NODE = ['LINK_BASE=http://localhost:3000/api/media', 'FILES_DB=data/files.db']

/** In the order in which an app is recognized: one with Next.js may also have Hono, which edge-presigner needs. */
const FRAMEWORKS: Readonly<Record<string, Framework>> = {
  next: {
    ...{ title: 'Next.js', package: 'next', recipe: 'next', env: '.env.local', shared: [] },
    typed: 'tsconfig.json',
    variables: ON_NODE,
    start: ['npm run dev'],
    page: 'http://localhost:3000/files',
  },
  sveltekit: {
    ...{ title: 'SvelteKit', package: '@sveltejs/kit', recipe: 'astro-sveltekit', env: '.env' },
    shared: [],
    variables: ON_NODE,
    start: ['npm run dev -- --port 3000'],
    page: 'http://localhost:3000/files',
  },
  astro: {
    ...{ title: 'Astro', package: 'astro', recipe: 'astro-sveltekit', env: '.env', shared: [] },
    variables: ON_NODE,
    start: ['node --env-file=.env node_modules/astro/bin/astro.mjs dev --port 3000'],
    page: 'http://localhost:3000/files',
  },
  express: {
    ...{ title: 'Express', package: 'express', recipe: 'express', env: '.env' },
    shared: ['server.mjs'],
    variables: ON_NODE,
    start: ['node --env-file=.env server.mjs'],
    page: 'http://localhost:3000/files.html',
  },
  hono: {
    ...{ title: 'Hono on Workers', package: 'hono', recipe: 'hono', env: '.dev.vars' },
    shared: ['src/index.ts', 'wrangler.toml'],
    tools: ['wrangler'],
    variables: [],
    start: ['npx wrangler dev --port 3000'],
    page: 'http://localhost:3000/files.html',
  },
}

/** The API in an app that exists. */
export interface App {
  readonly folder: string
  readonly framework: Framework
  readonly files: ReadonlyMap<string, string>
}

const NAMES = Object.keys(FRAMEWORKS)

/**
 * Resolves with the app that gets the API, or with null for a Worker of its own: by a flag, or by what `ask`
 * gets. Options of the Worker answer the question too.
 */
export async function readApp(flags: Flags, ask: Ask | null): Promise<App | null> {
  const { app, yes, folder = '.', ...others } = flags
  const given = Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : name))
  if (app === undefined && (ask === null || yes || given.length > 0)) return null
  if (app !== undefined && given.length > 0)
    throw new UsageError(`--${given[0]} has no effect with --app. Leave it out.`)
  const found = recognized(folder)
  const answer = answerer(flags, ask)
  if (app === undefined && (await askPlace(answer, found)) === 'worker') return null
  const name = found && app === undefined ? found : await askFramework(answer)
  return appFor(folder, name)
}

const askPlace = (answer: Answer, found: string | undefined): Promise<string> =>
  answer({
    text: `Where should the API run?
  app     in your app${found ? `: ${FRAMEWORKS[found]?.title}` : ` (${titles()})`}
  worker  on Cloudflare, in a Worker of its own
Place`,
    fallback: found ? 'app' : 'worker',
    read: (line) => (line === 'app' || line === 'worker' ? line : refuse('must be app or worker')),
  })

const askFramework = (answer: Answer): Promise<string> =>
  answer({
    flag: 'app',
    text: `What is your app made with? ${NAMES.join(', ')}\nFramework`,
    read: (line) => (NAMES.includes(line) ? line : refuse(`must be one of ${NAMES.join(', ')}`)),
  })

const titles = () =>
  Object.values(FRAMEWORKS)
    .map(({ title }) => title)
    .join(', ')

/** Returns the name of the framework in the package.json of a folder, if there is one. */
function recognized(folder: string): string | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const packages = { ...manifest.dependencies, ...manifest.devDependencies }
    return NAMES.find((name) => Object.hasOwn(packages, FRAMEWORKS[name]?.package ?? ''))
  } catch {
    return undefined
  }
}

/** Next.js looks into src/ only if neither of its folders is next to that. */
const isBelowSrc = (folder: string): boolean => {
  const has = (path: string) => existsSync(join(folder, path))
  return !has('app') && !has('pages') && (has('src/app') || has('src/pages'))
}

function appFor(folder: string, name: string): App {
  const framework = FRAMEWORKS[name]
  if (framework === undefined) throw new Error(`There is no framework ${name}.`)
  const { env, variables } = framework
  const start = name === 'next' && isBelowSrc(folder) ? 'src/' : ''
  const files = Object.entries(APP_FILES[name] ?? {}).map(([path, text]): [string, string] => [
    start + path,
    text,
  ])
  return {
    ...{ folder, framework },
    files: new Map(variables.length > 0 ? [...files, [env, `${variables.join('\n')}\n`]] : files),
  }
}

/**
 * Writes the files of an app, and resolves with what to do next. Overwrites nothing. Throws UsageError if one of
 * them is there already, except those that many apps have.
 */
export async function writeApp({ folder, framework, files }: App): Promise<string> {
  const { env, shared, recipe, variables } = framework
  const isIn = (path: string) => isThere(join(folder, path))
  if (!isIn('package.json'))
    throw new UsageError(`${folder} has no package.json. Name the folder of your app.`)
  // Next.js would make this file, and then ignore the jsconfig.json of the app.
  if (framework.typed && !isIn(framework.typed))
    throw new UsageError(
      `${folder} has no ${framework.typed}, and the files are in TypeScript. Write those of ${page(recipe)} in JavaScript.`,
    )
  const existing = [...files.keys()].filter(isIn)
  const taken = existing.filter((path) => path !== env && !shared.includes(path))
  if (taken.length > 0)
    throw new UsageError(
      `${folder} already has ${taken.join(', ')}. Move them, or write the files of ${page(recipe)} yourself.`,
    )
  const ignored = ignoredLines(folder, env)
  const written = new Map([...files].filter(([path]) => !existing.includes(path)))
  if (!isIn(GITIGNORE)) written.set(GITIGNORE, ignored.map((line) => `${line}\n`).join(''))
  await writeNew(folder, written)
  const { add, exec } = commands()
  const notes = [
    ...existing.map((path) =>
      path === env
        ? `${env} is there already. Add, unless it has them: ${variables.join(', ')}`
        : `${path} is there already. Add what ${page(recipe)} shows`,
    ),
    ...(written.has(GITIGNORE) || ignored.length === 0
      ? []
      : [`Add to ${GITIGNORE}: ${ignored.join(', ')}`]),
  ]
  const steps = [
    ...(folder === '.' ? [] : [`cd ${shellWord(folder)}`]),
    `${add} edge-presigner edge-presigner-client hono`,
    `${add} -D ${['@20minutes/s3rver@5', ...(framework.tools ?? [])].join(' ')}`,
    `${exec} edge-presigner dev --bucket ${env}`,
    ...framework.start,
  ]
  return `Written: ${[...written.keys()].join(', ')}
${notes.map((note) => `${note}.\n`).join('')}
Try it, with a bucket on this machine, which needs a terminal of its own:

${steps.map((line) => `  ${line}`).join('\n')}

Then open ${framework.page}. ${page(recipe)} explains the files, and what production needs.`
}

const GITIGNORE = '.gitignore'

/** Returns what .gitignore lacks: packages, secrets, the list of files, and the bucket of `dev`. */
function ignoredLines(folder: string, env: string): readonly string[] {
  const path = join(folder, GITIGNORE)
  const lines = existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .map((line) => line.trim().replaceAll(/^\/|\/$/g, ''))
    : []
  const isListed = (name: string) =>
    lines.includes(name) || (name.startsWith('.env') && lines.includes('.env*'))
  return ['node_modules', env, 'data', '.dev'].filter((name) => !isListed(name))
}

const page = (recipe: string) => `${DOCS}/recipes/${recipe}.md`
