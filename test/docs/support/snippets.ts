import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import manifest from '../../../package.json' with { type: 'json' }
import { ROOT } from './markdown.ts'

const sourceOf = (built: string) => built.replace('/dist/', '/src/').replace(/\.js$/, '.ts')

const run = promisify(execFile)

/** The files behind the package's names. */
export const ENTRIES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Object.entries(manifest.exports).flatMap(([name, entry]) =>
      typeof entry === 'string'
        ? []
        : [[`edge-presigner${name.slice(1)}`, join(ROOT, sourceOf(entry.default))]],
    ),
  ),
  'edge-presigner-client': join(ROOT, 'client', 'src', 'index.ts'),
  'edge-presigner-client/dropzone': join(ROOT, 'client', 'src', 'dropzone.tsx'),
  'edge-presigner-client/dropzone.css': join(ROOT, 'client', 'dropzone.css'),
  'edge-presigner-client/react': join(ROOT, 'client', 'src', 'react.ts'),
  'edge-presigner-client/server': join(ROOT, 'client', 'src', 'server.ts'),
  'edge-presigner-client/uppy': join(ROOT, 'client', 'src', 'uppy.ts'),
}

/** Compiler options for files that run in a browser. */
export const BROWSER = {
  types: [],
  lib: ['es2024', 'dom', 'dom.iterable', 'dom.asynciterable'],
  jsx: 'react-jsx',
}

/** Differences from an app on Workers with this project's packages. */
export interface SnippetOptions {
  /** The folder with their packages. */
  readonly packages?: string
  readonly compilerOptions?: object
  /** Additional names of files, with their paths in the folder. */
  readonly aliases?: Readonly<Record<string, string>>
}

/** Files in a folder outside the repository, as a reader of the documentation has them. */
export interface Snippets {
  readonly directory: string
  /** Returns the compiler's errors for all files; empty when there are none. */
  typeErrors(): Promise<string>
  /** Runs `file` in Node and resolves with its output. Rejects when it fails. */
  run(file: string, env: NodeJS.ProcessEnv): Promise<string>
  remove(): void
}

export function writeSnippets(
  files: Readonly<Record<string, string>>,
  { packages = join(ROOT, 'node_modules'), compilerOptions, aliases = {} }: SnippetOptions = {},
): Snippets {
  const directory = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
  symlinkSync(packages, join(directory, 'node_modules'))
  const entries = { ...ENTRIES }
  for (const [name, path] of Object.entries(aliases)) entries[name] = join(directory, path)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
  const tsconfig = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      types: ['@cloudflare/workers-types'],
      paths: Object.fromEntries(Object.entries(entries).map(([name, path]) => [name, [path]])),
      ...compilerOptions,
    },
    include: ['**/*.ts', '**/*.tsx'],
    exclude: ['node_modules'],
  }
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(tsconfig))
  writeFileSync(join(directory, 'hooks.mjs'), hooksOf(entries))
  return {
    directory,
    async typeErrors() {
      try {
        await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', directory, '--singleThreaded'], {
          cwd: directory,
        })
        return ''
      } catch (error) {
        return error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
      }
    },
    async run(file, env) {
      const hooks = pathToFileURL(join(directory, 'hooks.mjs')).href
      const args = ['--no-warnings', '--import', hooks, join(directory, file)]
      return (await run(process.execPath, args, { env: { ...process.env, ...env } })).stdout
    },
    remove: () => rmSync(directory, { recursive: true }),
  }
}

/** Makes Node resolve the packages' entries to src/, and the aliases. */
const hooksOf = (entries: Readonly<Record<string, string>>): string => `
import { registerHooks } from 'node:module'
const entries = ${JSON.stringify(
  Object.fromEntries(
    Object.entries(entries).map(([name, path]) => [name, pathToFileURL(path).href]),
  ),
)}
registerHooks({ resolve: (name, context, next) => next(entries[name] ?? name, context) })
`
