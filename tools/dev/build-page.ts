import { readFile, rm } from 'node:fs/promises'
import { join, type PlatformPath } from 'node:path'
import { buildDropBox } from './build-drop-box.ts'
import { digestOf, filesUnder, readIfPresent, writeFiles } from './built-files.ts'
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
 * Bundles the script of drop boxes. Then bundles demo/ into public/, which the Worker serves at `/`, and
 * describes its API in public/openapi.json, unless they are up to date. Resolves with whether it wrote
 * anything to public/.
 */
export async function buildPage(): Promise<boolean> {
  await buildDropBox()
  const page = await digestOf(PAGE_SOURCES)
  const api = await digestOf(API_SOURCES)
  const [stamp = ''] = await readIfPresent(join(PUBLIC, STAMP))
  const [oldPage, oldApi] = stamp.toString().split(' ')
  if (page === oldPage && api === oldApi) return false
  const files: Files = page === oldPage ? new Map() : await bundle()
  const isServed = { has: (path: string) => path === DOCUMENT || files.has(path) }
  const old = page === oldPage ? [] : staleFiles(PUBLIC, await filesUnder(PUBLIC), isServed)
  if (api !== oldApi) files.set(DOCUMENT, printedDocument())
  // The stamp comes last. So public/ is never empty, and a parallel build writes the same files.
  await writeFiles(PUBLIC, [...files, [STAMP, `${page} ${api}`]])
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

if (import.meta.main)
  console.log((await buildPage()) ? 'Built the page.' : 'The page is up to date.')
