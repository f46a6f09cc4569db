import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')
export const REPOSITORY = 'https://github.com/edge-presigner/edge-presigner'

/** The pages that `reference.ts` writes, next to this file. */
export const REFERENCE = 'tools/site/reference'

/** What a reader wants, and the pages for it, in the order in which people need them. */
const GROUPS: readonly (readonly [text: string, pages: readonly string[]])[] = [
  ['Start', ['README.md', ...docs('try', 'deploy', 'login', 'comparison', 'tried')]],
  [
    'Build your app',
    docs('mount', 'upload', 'pictures', 'share', 'files', 'events', 'server', 'uppy'),
  ],
  ['Run it', docs('operate', 'import-and-repair', 'cost', 'troubleshooting', 'doctor', 'security')],
]

function docs(...names: readonly string[]): readonly string[] {
  return names.map((name) => `docs/${name}.md`)
}

export interface SidebarItem {
  readonly text: string
  readonly link?: string
  readonly collapsed?: boolean
  readonly items?: readonly SidebarItem[]
}

/** Returns the text of a page. `path` is relative to the repository, as everywhere in this file. */
export const readPage = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

/** Returns the pages of the site that are files of the repository. */
export const sourcePages = (): string[] => [
  'README.md',
  'client/README.md',
  ...globSync('docs/**/*.md', { cwd: ROOT })
    .map((path) => path.replaceAll('\\', '/'))
    .toSorted(),
]

/** Returns where a Markdown file is on the site, such as `recipes/index.md`, or null. */
export function sitePath(path: string): string | null {
  if (path === 'README.md') return 'index.md'
  if (path === 'client/README.md') return 'client.md'
  const [, inside] = /^(?:docs|tools\/site)\/((?:.*\/)?[^/]+\.md)$/.exec(path) ?? []
  return inside?.replace(/(^|\/)README\.md$/, '$1index.md') ?? null
}

/** Returns GitHub's fragment for a heading, which is also its id on the site. */
export const fragment = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')

/** Returns where a link of a page leads on the site. Throws if the repository has no such file. */
export function siteLink(page: string, target: string): string {
  if (/^(?:[a-z]+:|#|\/)/.test(target)) return target
  const [file = '', id] = target.split('#')
  const path = posix.normalize(posix.join(posix.dirname(page), file))
  const hash = id === undefined ? '' : `#${id}`
  const isWritten = path.startsWith(`${REFERENCE}/`) // by the build
  if (!isWritten && !existsSync(join(ROOT, path)))
    throw new Error(`${page}: ${target}: no such file`)
  const onSite = path.endsWith('.md') ? sitePath(path) : null
  if (onSite !== null) return `/${onSite.replace(/(^|\/)index\.md$/, '$1')}${hash}`
  const kind = statSync(join(ROOT, path)).isDirectory() ? 'tree' : 'blob'
  return `${REPOSITORY}/${kind}/main/${path}${hash}`
}

/** Returns the first heading of a page, without the marks of code. */
function title(path: string, markdown = readPage(path)): string {
  const [, heading = path] = /^# (.+)$/m.exec(markdown) ?? []
  return heading.replaceAll('`', '')
}

/** Pages whose heading says less on the site than on GitHub or npm. */
const SHORT: Readonly<Record<string, string>> = {
  'README.md': 'Overview',
  'client/README.md': 'The client for pages',
  'docs/recipes/README.md': 'All recipes',
  'docs/api.md': 'API guide',
}

const item = (path: string): SidebarItem => ({
  text: SHORT[path] ?? title(path),
  link: siteLink('README.md', path),
})

/** Returns pages in the order in which another one links to them. */
function inOrderOf(list: string, paths: readonly string[]): readonly string[] {
  const text = readPage(list)
  const place = (path: string): number => text.indexOf(`(${posix.basename(path)})`)
  return paths.toSorted((one, other) => place(one) - place(other))
}

/** A page of the API reference: its path in the repository, and its Markdown. */
export type ReferencePage = readonly [path: string, markdown: string]

/** Returns the sidebar, with each page once, except those for maintainers. */
export function sidebar(reference: readonly ReferencePage[]): readonly SidebarItem[] {
  const pages = sourcePages()
  const recipes = pages.filter((path) => /^docs\/recipes\/(?!README\.md)/.test(path))
  return [
    ...GROUPS.map(([text, items]) => ({ text, items: items.map(item) })),
    {
      text: 'Recipes',
      collapsed: false,
      items: [
        item('docs/recipes/README.md'),
        ...inOrderOf('docs/recipes/README.md', recipes).map(item),
      ],
    },
    {
      text: 'Reference',
      items: [
        item('docs/api.md'),
        ...reference.map(([path, markdown]) => ({
          text: `API: ${title(path, markdown)}`,
          link: siteLink('README.md', path),
        })),
        ...['docs/configuration.md', 'client/README.md', 'docs/versioning.md'].map(item),
      ],
    },
  ]
}

/** Returns the links of a sidebar, in order. */
export const sidebarLinks = (items: readonly SidebarItem[]): string[] =>
  items.flatMap(({ link, items = [] }) => [
    ...(link === undefined ? [] : [link]),
    ...sidebarLinks(items),
  ])
