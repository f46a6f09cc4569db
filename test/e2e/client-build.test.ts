import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { install, pack, projectBin, ROOT } from './package/packed.ts'

const MAX_BYTES = 5376

/** Compiles only if the types exist, and are not `any`. */
const MISUSE = `
import { createClient } from 'edge-presigner-client'
import { uppyOptions } from 'edge-presigner-client/uppy'
// @ts-expect-error
createClient({ baseUrl: 1 })
// @ts-expect-error
uppyOptions(createClient({ baseUrl: '' }), { directory: 1 })
`

describe('the client package', () => {
  let directory: string
  let installed: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    installed = join(directory, 'node_modules/edge-presigner-client')
    await install(directory, await pack('edge-presigner-client', directory))
    await symlink(join(ROOT, 'node_modules/@uppy'), join(directory, 'node_modules/@uppy'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  it.each(['index.js', 'uppy.js'])('has at most 5.25 KiB in %s, with gzip', async (file) => {
    const bytes = gzipSync(await readFile(join(installed, 'dist', file))).length
    console.info(`${file}: ${bytes} bytes with gzip`)
    expect(bytes).toBeLessThanOrEqual(MAX_BYTES)
  })

  it('has only these two scripts, with source maps, and no dependencies', async () => {
    expect(await readdir(join(directory, 'node_modules'))).toEqual([
      '.package-lock.json',
      '@uppy',
      'edge-presigner-client',
    ])
    const files = await readdir(join(installed, 'dist'))
    expect(files.filter((file) => file.endsWith('.map'))).toEqual(['index.js.map', 'uppy.js.map'])
    expect(files.filter((file) => file.endsWith('.js')).toSorted()).toEqual(['index.js', 'uppy.js'])
    const imports = (code: string) => code.match(/\bimport\b[^"]*"[^"]*"|\bimport\(/g) ?? []
    expect(imports(await readFile(join(installed, 'dist/index.js'), 'utf8'))).toEqual([])
    expect(imports(await readFile(join(installed, 'dist/uppy.js'), 'utf8'))).toEqual([
      expect.stringMatching(/from"\.\/index\.js"$/),
    ])
  })

  it.each(['bundler', 'nodenext'])(
    'has types for the examples of its README, resolved as %s',
    async (how) => {
      const readme = await readFile(join(installed, 'README.md'), 'utf8')
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
        lib: ['es2024', 'dom', 'dom.iterable', 'esnext.disposable'],
        module: how === 'bundler' ? 'esnext' : how,
        moduleResolution: how,
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        noEmit: true,
        skipLibCheck: false,
      }
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
      await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
      await projectBin(folder, 'tsc', '-p', '.')
    },
  )
})
