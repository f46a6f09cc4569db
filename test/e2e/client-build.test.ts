import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const CLIENT = join(ROOT, 'client')
const MAX_BYTES = 5120

/** Compiles only if the types are there, and are not `any`. */
const MISUSE = `
import { createClient } from 'edge-presigner-client'
import { uppyOptions } from 'edge-presigner-client/uppy'
// @ts-expect-error
createClient({ baseUrl: 1 })
// @ts-expect-error
uppyOptions(createClient({ baseUrl: '' }), { directory: 1 })
`

const run = promisify(execFile)

describe('the package of the client', () => {
  let directory: string
  let installed: string

  /** Runs a program of this project's, and shows what it said if it failed. */
  const npx = (cwd: string, program: string, ...args: string[]): Promise<unknown> =>
    run(join(ROOT, 'node_modules/.bin', program), args, { cwd }).catch((error: unknown) => {
      throw new Error(String(Reflect.get(Object(error), 'stdout')), { cause: error })
    })

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    installed = join(directory, 'node_modules/edge-presigner-client')
    const dist = join(installed, 'dist')
    await npx(CLIENT, 'vite', 'build', '--outDir', dist, '--emptyOutDir', '--logLevel', 'warn')
    await npx(CLIENT, 'tsc', '-p', 'tsconfig.build.json', '--outDir', dist)
    await cp(join(CLIENT, 'package.json'), join(installed, 'package.json'))
    await symlink(join(ROOT, 'node_modules/@uppy'), join(directory, 'node_modules/@uppy'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  it.each(['index.js', 'uppy.js'])('has at most 5 KB in %s, with gzip', async (file) => {
    const bytes = gzipSync(await readFile(join(installed, 'dist', file))).length
    console.info(`${file}: ${bytes} bytes with gzip`)
    expect(bytes).toBeLessThanOrEqual(MAX_BYTES)
  })

  it('has no scripts but these two, and no dependencies', async () => {
    const files = await readdir(join(installed, 'dist'))
    expect(files.filter((file) => file.endsWith('.js')).toSorted()).toEqual(['index.js', 'uppy.js'])
    const imports = (code: string) => code.match(/\bimport\b[^"]*"[^"]*"|\bimport\(/g) ?? []
    expect(imports(await readFile(join(installed, 'dist/index.js'), 'utf8'))).toEqual([])
    expect(imports(await readFile(join(installed, 'dist/uppy.js'), 'utf8'))).toEqual([
      expect.stringMatching(/from"\.\/index\.js"$/),
    ])
    expect(JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))).not.toHaveProperty(
      'dependencies',
    )
  })

  it.each(['bundler', 'nodenext'])(
    'has types for the examples of its README, resolved as %s',
    async (how) => {
      const readme = await readFile(join(CLIENT, 'README.md'), 'utf8')
      const examples = [...readme.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = '']) => code)
      expect(examples.length).toBeGreaterThan(3)
      const folder = join(directory, how)
      await mkdir(folder)
      await Promise.all(
        [MISUSE, ...examples].map((code, index) =>
          writeFile(join(folder, `example-${index}.ts`), code),
        ),
      )
      const compilerOptions = {
        target: 'es2022',
        lib: ['es2024', 'dom', 'dom.iterable'],
        module: how === 'bundler' ? 'esnext' : how,
        moduleResolution: how,
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        noEmit: true,
        skipLibCheck: true,
      }
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
      await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
      await npx(folder, 'tsc', '-p', '.')
    },
  )
})
