import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'vite'
import { installOwnPackages } from '../../tools/dev/own-packages.ts'

const CLIENT = join(import.meta.dirname, '../../client')

interface Bundle {
  /** The module in client/test. */
  readonly entry: string
  /** The folder with the packages of React. */
  readonly react?: string
  readonly format?: 'es'
}

/** React 18 and 19. Their development builds mount twice in StrictMode, and print warnings. */
const bundlesOfReact = (version: number, react: string): Readonly<Record<string, Bundle>> => ({
  [`react-${version}.js`]: { entry: 'react-page.tsx', react },
  [`dropzone-${version}.js`]: { entry: 'dropzone-page.tsx', react },
  [`react-${version}-server.js`]: { entry: 'react-server.tsx', react, format: 'es' },
})

const BUNDLES: Readonly<Record<string, Bundle>> = {
  'page.js': { entry: 'page.ts' },
  'uppy.js': { entry: 'uppy-page.ts' },
  ...bundlesOfReact(18, join(CLIENT, '../test/e2e/react-18')),
  ...bundlesOfReact(19, join(CLIENT, '../test/docs/recipes')),
}

/** Builds the client's package as it is published into `outDir`. */
export const buildClient = (outDir: string): Promise<unknown> =>
  build({ root: CLIENT, logLevel: 'warn', build: { outDir, emptyOutDir: true } })

/** Bundles the script of a page with the client built in `dist`. Resolves with the script. */
export async function bundleClientPage(
  name: string,
  { dist, outDir }: { readonly dist: string; readonly outDir: string },
): Promise<string> {
  const { entry, react, format = 'iife' } = BUNDLES[name] ?? { entry: name }
  if (react) await installOwnPackages(react)
  await build({
    configFile: false,
    logLevel: 'warn',
    define: { 'process.env.NODE_ENV': react ? '"development"' : '"production"' },
    resolve: {
      alias: [
        { find: /^\.\.\/src\/(index|uppy|react|dropzone)\.tsx?$/, replacement: `${dist}/$1.js` },
        ...(react
          ? [{ find: /^react(?=$|-dom|\/)/, replacement: `${react}/node_modules/react` }]
          : []),
      ],
    },
    build: {
      outDir,
      emptyOutDir: false,
      minify: false,
      lib: { entry: join(CLIENT, 'test', entry), formats: [format], name: 'testPage' },
      rolldownOptions: {
        output: { entryFileNames: name },
        onLog: (level, log, handle) => {
          if (log.code !== 'MODULE_LEVEL_DIRECTIVE') handle(level, log)
        },
      },
    },
  })
  return readFile(join(outDir, name), 'utf8')
}
