/**
 * `npm run build:drop-box` bundles drop-box/src, the script of the pages of drop boxes, into a module
 * of the plugin. The Worker serves it, since a mounted app has no static files.
 */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'

const ROOT = join(import.meta.dirname, '../..')
export const DROP_BOX_MODULE = join(ROOT, 'src/plugins/drop-boxes/page-script.ts')

/** Resolves with the source of the module. */
export async function buildDropBox(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, 'drop-box/src/main.ts')],
    ...{ bundle: true, minify: true, write: false, format: 'esm', charset: 'utf8' },
    target: 'es2022',
    tsconfigRaw: {},
    // Checks of responses that the script doesn't read.
    pure: ['isObject', 'isListOf', 'isEither', 'isNullOr', 'isOptional'],
  })
  const script = outputFiles[0]?.text.trim() ?? ''
  const digest = createHash('sha256').update(script).digest('hex').slice(0, 16)
  return `// \`npm run build:drop-box\` wrote this file from drop-box/src and client/src.

/** The file name of the script, with the digest of its text. */
export const PAGE_SCRIPT_NAME: \`page-\${string}.js\` = 'page-${digest}.js'

/** The script of the page of a drop box. */
export const PAGE_SCRIPT: string =
  ${JSON.stringify(script)}
`
}

if (import.meta.main) await writeFile(DROP_BOX_MODULE, await buildDropBox())
