/**
 * `npm run size` prints how much there is: files, lines and words by folder, what somebody reads for the
 * signer, the core and the Worker, and what each plugin adds to a bundle.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CORE, packageBundles, type SizedBundle, sizedBundle } from '../bench/lib/bundle-sizes.ts'

const ROOT = join(import.meta.dirname, '../..')

/** What counts as source or documentation, by the folder that a row names. */
const FOLDERS: Readonly<Record<string, string>> = {
  'client/src': '**/*.{ts,tsx}',
  cli: '**/*.ts',
  create: 'src/**/*.ts',
  demo: 'src/**/*.{ts,css,html}',
  'drop-box': 'src/**/*.ts',
  examples: '*/src/**/*.{ts,tsx}',
  tools: '{bench,dev,site}/**/*.ts',
  test: '**/*.{ts,tsx}',
  docs: '**/*.md',
}

/** What is read: the modules whose code is in the bundle of an entry. */
const READ: Readonly<Record<string, string>> = {
  'the signer': 'src/signer.ts',
  'the core': 'src/index.ts',
  'the default Worker': 'src/worker.ts',
  'the Worker with all plugins': 'examples/everything/src/worker.ts',
}

interface Count {
  readonly files: number
  readonly lines: number
  readonly words: number
}

const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

const count = (paths: readonly string[]): Count => {
  const texts = paths.map(textOf)
  const sum = (pattern: RegExp) =>
    texts.reduce((total, text) => total + (text.match(pattern)?.length ?? 0), 0)
  return { files: paths.length, lines: sum(/\n/g), words: sum(/\S+/g) }
}

const filesIn = (folder: string, pattern: string): string[] =>
  globSync(`${folder}/${pattern}`, { cwd: ROOT }).filter(
    (path) => !/node_modules|\/dist\/|^client\/src\/answers/.test(path),
  )

/** Returns the folder of a file of src/: `src/core`, `src/plugins/files`, or `src` for one directly in it. */
const folderOf = (path: string): string =>
  /^src\/(?:plugins\/)?[^/]+(?=\/)/.exec(path.replaceAll('\\', '/'))?.[0] ?? 'src'

/** Prints a table. Columns of numbers are on the right. */
function print(
  title: string,
  columns: readonly string[],
  rows: readonly (readonly (string | number)[])[],
) {
  const texts = [columns, ...rows].map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell)),
  )
  const widths = columns.map((_, i) => Math.max(...texts.map((row) => row[i]?.length ?? 0)))
  console.log(`\n${title}`)
  for (const row of texts)
    console.log(
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  '),
    )
}

function printFolders(): void {
  const src = Map.groupBy(filesIn('src', '**/*.ts'), folderOf)
  const rows: [string, Count][] = [...src].map(([folder, paths]) => [folder, count(paths)])
  rows.sort(([one], [other]) => (one < other ? -1 : 1))
  rows.push(['src in all', count([...src.values()].flat())])
  for (const [folder, pattern] of Object.entries(FOLDERS))
    rows.push([folder, count(filesIn(folder, pattern))])
  print(
    'By folder',
    ['', 'files', 'lines', 'words'],
    rows.map(([folder, { files, lines, words }]) => [folder, files, lines, words]),
  )
}

async function printRead(): Promise<void> {
  const bundles = await Promise.all(
    Object.entries(READ).map(async ([name, entry]): Promise<[string, SizedBundle]> => {
      const contents = `export * from './${entry}'${/worker/.test(entry) ? `\nexport { default } from './${entry}'` : ''}`
      return [
        name,
        await sizedBundle({ stdin: { contents, resolveDir: ROOT }, external: ['cloudflare:*'] }),
      ]
    }),
  )
  print(
    'What is read, with all that it imports, and its bundle',
    ['', 'files', 'lines', 'words', 'KiB', 'KiB gzip'],
    bundles.map(([name, { modules, bytes, gzipKib }]) => {
      const { files, lines, words } = count(modules.filter((path) => path.startsWith('src/')))
      return [name, files, lines, words, (bytes / 1024).toFixed(1), gzipKib.toFixed(1)]
    }),
  )
}

async function printBundles(): Promise<void> {
  const bundles = await packageBundles()
  const core = bundles.get(CORE)?.gzipKib ?? 0
  print(
    'Bundles of an app, KiB gzip',
    ['', 'in all', 'more than the core'],
    [...bundles].map(([name, { gzipKib }]) => [
      name,
      gzipKib.toFixed(1),
      (gzipKib - core).toFixed(1),
    ]),
  )
}

printFolders()
await printRead()
await printBundles()
