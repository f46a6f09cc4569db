import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, type PlatformPath } from 'node:path'
import { printedDocument } from './openapi/printed.ts'
import { urlPath } from './url-path.ts'

const ROOT = join(import.meta.dirname, '../..')
const DEMO = join(ROOT, 'demo')
const PUBLIC = join(ROOT, 'public')
/** The sources of the page, and those of openapi.json. A change in one of them makes it stale. */
const PAGE_SOURCES = ['demo', 'client/src', 'tools/dev/build-page.ts', 'package-lock.json']
const API_SOURCES = [
  ...['src', 'examples/everything/src', 'tools/dev/openapi', 'tools/dev/openapi.ts'],
  'docs/troubleshooting.md',
  'package.json',
]
/**
 * The file in public/ with the digests of the sources. demo/public/.assetsignore excludes it from
 * the served files.
 */
const STAMP = '.build'
const DOCUMENT = 'openapi.json'

type Files = Map<string, string | Uint8Array>

/**
 * Bundles demo/ into public/, which the Worker serves at `/`, and describes its API in
 * public/openapi.json, unless they are up to date. Resolves with whether it wrote anything.
 */
export async function buildPage(): Promise<boolean> {
  const page = await digestOf(PAGE_SOURCES)
  const api = await digestOf(API_SOURCES)
  const [stamp = ''] = await read(join(PUBLIC, STAMP))
  const [oldPage, oldApi] = stamp.toString().split(' ')
  if (page === oldPage && api === oldApi) return false
  const files: Files = page === oldPage ? new Map() : await bundle()
  const isServed = { has: (path: string) => path === DOCUMENT || files.has(path) }
  const old = page === oldPage ? [] : staleFiles(PUBLIC, await filesUnder(PUBLIC), isServed)
  if (api !== oldApi) files.set(DOCUMENT, printedDocument())
  // Writes file by file, and the stamp last. So public/ is never empty, and a parallel build writes
  // the same files.
  await write([...files, [STAMP, `${page} ${api}`]])
  for (const path of old) await rm(path, { force: true })
  return true
}

/**
 * Returns the `present` files below `folder` that are no longer part of the page, except the stamp.
 */
export const staleFiles = (
  folder: string,
  present: readonly string[],
  page: { has(path: string): boolean },
  platform?: Pick<PlatformPath, 'relative' | 'sep'>,
): readonly string[] =>
  present.filter((file) => {
    const path = urlPath(folder, file, platform)
    return path !== STAMP && !page.has(path)
  })

/** Builds the page. Resolves with its contents by path below public/. */
async function bundle(): Promise<Files> {
  const { build } = await import('vite') // loading Vite takes a second, so only a build loads it
  const built = await build({
    root: DEMO,
    configFile: false,
    logLevel: 'warn',
    resolve: { alias: { '@transloadit/prettier-bytes': join(DEMO, 'src/prettier-bytes.ts') } },
    build: {
      ...{ write: false, target: 'es2023', modulePreload: { polyfill: false } },
      // The page has code of other packages, whose licenses require that it comes with their text.
      license: { fileName: 'assets/licenses.md' },
    },
  })
  const files: Files = new Map()
  for (const result of [built].flat())
    if ('output' in result)
      for (const file of result.output)
        files.set(file.fileName, file.type === 'chunk' ? file.code : file.source)
  const publicFolder = join(DEMO, 'public')
  for (const path of await filesUnder(publicFolder))
    files.set(urlPath(publicFolder, path), await readFile(path))
  return files
}

async function digestOf(sources: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const source of sources)
    for (const path of await filesUnder(join(ROOT, source)))
      for (const content of await read(path))
        hash.update(`${urlPath(ROOT, path)} ${content.length}\n`).update(content)
  return hash.digest('hex')
}

/**
 * Returns the files under `path` in a fixed order: `path` itself if it is a file, none if it is
 * missing.
 */
async function filesUnder(path: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(path, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort()
  } catch (error) {
    if (hasCode(error, 'ENOTDIR')) return [path]
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

/** Returns the content of a file, or nothing if the file is missing. */
async function read(path: string): Promise<readonly Buffer[]> {
  try {
    return [await readFile(path)]
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

/** Writes files of public/. A rename replaces each file atomically for its readers. */
async function write(files: Iterable<readonly [string, string | Uint8Array]>): Promise<void> {
  await mkdir(join(ROOT, '.wrangler'), { recursive: true })
  const drafts = await mkdtemp(join(ROOT, '.wrangler', 'page-'))
  for (const [name, content] of files) {
    const path = join(PUBLIC, name)
    const draft = join(drafts, 'draft')
    await writeFile(draft, content)
    await mkdir(dirname(path), { recursive: true })
    await rename(draft, path)
  }
  await rm(drafts, { recursive: true })
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

if (import.meta.main)
  console.log((await buildPage()) ? 'Built the page.' : 'The page is up to date.')
