import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { buildAnswers } from './build-answers.ts'
import { digestOf, readIfPresent, writeFiles } from './built-files.ts'

const ROOT = join(import.meta.dirname, '../..')
const FOLDER = join(ROOT, 'drop-box/dist')
const SOURCES = ['drop-box/src', 'client/src', 'tools/dev/build-drop-box.ts', 'package-lock.json']

const TYPES = `/** The file name of the script, with the digest of its text. */
export const PAGE_SCRIPT_NAME: \`page-\${string}.js\`
/** The script of the page of a drop box. */
export const PAGE_SCRIPT: string
`

/**
 * Bundles drop-box/src, the script of the pages of drop boxes, into a module in drop-box/dist, unless it is
 * up to date. The Worker serves the script, since a mounted app has no static files.
 */
export async function buildDropBox(): Promise<void> {
  await buildAnswers()
  const stamp = `// Built from drop-box/src and client/src, ${await digestOf(SOURCES)}`
  const [built] = await readIfPresent(join(FOLDER, 'page-script.js'))
  if (built?.toString().startsWith(stamp)) return
  const script = await bundleScript()
  const digest = createHash('sha256').update(script).digest('hex').slice(0, 16)
  const module = `${stamp}
export const PAGE_SCRIPT_NAME = 'page-${digest}.js'
export const PAGE_SCRIPT = ${JSON.stringify(script)}
`
  await writeFiles(FOLDER, [
    ['page-script.d.ts', TYPES],
    ['page-script.js', module],
  ])
}

/** Resolves with the text of the script. */
export async function bundleScript(): Promise<string> {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, 'drop-box/src/main.ts')],
    ...{ bundle: true, minify: true, write: false, format: 'esm', charset: 'utf8' },
    target: 'es2022',
    tsconfigRaw: {},
    // Checks of responses that the script doesn't read.
    pure: ['isObject', 'isListOf', 'isEither', 'isNullOr', 'isOptional'],
  })
  return outputFiles[0]?.text.trim() ?? ''
}

if (import.meta.main) await buildDropBox()
