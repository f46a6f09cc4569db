import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { install, ROOT, typeCheck } from './package/packed.ts'
import { shared } from './shared.ts'

const MAX_BYTES = {
  'index.js': 10_112,
  'uppy.js': 2048,
  'react.js': 3456,
  'dropzone.js': 3840,
  'sharing.js': 1664,
  'server.js': 9792,
}

/** Compiles only if the types exist, and are not `any`. */
const MISUSE = `
import { createClient } from 'edge-presigner-client'
import { Dropzone } from 'edge-presigner-client/dropzone'
import { useDropBox, useFiles, useUpload } from 'edge-presigner-client/react'
import { createServerClient, verifyWebhook } from 'edge-presigner-client/server'
import { openDropBox, withSharing } from 'edge-presigner-client/sharing'
import { uppyOptions } from 'edge-presigner-client/uppy'
// @ts-expect-error
createClient({ baseUrl: 1 })
// @ts-expect-error
uppyOptions(createClient({ baseUrl: '' }), { directory: 1 })
// @ts-expect-error
Dropzone({ labels: { choose: 1 } })
// @ts-expect-error
useUpload('https://files.example.com')
// @ts-expect-error
useFiles(createClient({ baseUrl: '' }), { prefix: 1 })
// @ts-expect-error
useDropBox('https://files.example.com/d/…', { sender: 'Ada' })
// @ts-expect-error
openDropBox()
// @ts-expect-error
withSharing(createClient({ baseUrl: '' })).createGrant('a', {})
// @ts-expect-error
createServerClient({ apiKey: '' })
// @ts-expect-error
createServerClient({ baseUrl: '', apiKey: '' }).upload(1)
export const name = async (request: Request): Promise<string> => {
  const event = await verifyWebhook(request, ['whsec_'])
  // @ts-expect-error
  event.data.file.name
  return event.type === 'file.recorded' ? event.data.file.name : event.data.file.key
}
`

describe('the client package', () => {
  let directory: string
  let installed: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    installed = join(directory, 'node_modules/edge-presigner-client')
    await install(directory, await shared('tarball', 'edge-presigner-client'))
    for (const name of ['@uppy', '@types'])
      await symlink(join(ROOT, 'node_modules', name), join(directory, 'node_modules', name))
  })
  afterAll(() => rm(directory, { recursive: true }))

  it.each(Object.entries(MAX_BYTES))('has in %s at most %i bytes, with gzip', async (file, max) => {
    const bytes = gzipSync(await readFile(join(installed, 'dist', file))).length
    console.info(`${file}: ${bytes} bytes with gzip`)
    expect(bytes).toBeLessThanOrEqual(max)
  })

  it('has a drop zone that adds at most 8 KiB to the hooks, with its styles', async () => {
    const parts = await Promise.all(
      ['dist/dropzone.js', 'dropzone.css'].map((path) => readFile(join(installed, path))),
    )
    const bytes = parts.reduce((sum, part) => sum + gzipSync(part).length, 0)
    console.info(`dropzone.js and dropzone.css: ${bytes} bytes with gzip`)
    expect(bytes).toBeLessThanOrEqual(8192)
  })

  it('says in its README how large it is', async () => {
    const readme = await readFile(join(installed, 'README.md'), 'utf8')
    const stated = Array.from(readme.matchAll(/(\d+\.\d) KB\s+with gzip/g), ([, size]) =>
      Number(size),
    )
    const scripts = ['index.js', 'sharing.js', 'react.js', 'dropzone.js', 'server.js']
    expect(stated).toHaveLength(scripts.length)
    for (const [index, file] of scripts.entries()) {
      const { length } = gzipSync(await readFile(join(installed, 'dist', file)))
      expect(stated[index], file).toBeCloseTo(length / 1000, 1)
    }
  })

  it('has only these scripts, with source maps, and no dependencies', async () => {
    expect(await readdir(join(directory, 'node_modules'))).toEqual([
      '.package-lock.json',
      '@types',
      '@uppy',
      'edge-presigner-client',
    ])
    const files = await readdir(join(installed, 'dist'))
    const scripts = [
      ...['dropzone.js', 'index.js', 'react.js', 'server.js', 'sharing.js', 'uppy.js'],
    ]
    expect(files.filter((file) => file.endsWith('.js')).toSorted()).toEqual(scripts)
    const maps = scripts.map((script) => `${script}.map`)
    expect(files.filter((file) => file.endsWith('.map')).toSorted()).toEqual(maps)
    const imports = (code: string) => code.match(/\bimport\(|\bimport\b[^"]*"[^"]*"/g) ?? []
    expect(imports(await readFile(join(installed, 'dist/index.js'), 'utf8'))).toEqual([])
    for (const name of ['uppy.js', 'sharing.js'])
      expect(imports(await readFile(join(installed, 'dist', name), 'utf8'))).toEqual([
        expect.stringMatching(/from"\.\/index\.js"$/),
      ])
    const hooks = await readFile(join(installed, 'dist/react.js'), 'utf8')
    expect(imports(hooks)).toEqual([
      expect.stringMatching(/from"\.\/index\.js"$/),
      expect.stringMatching(/from"\.\/sharing\.js"$/),
      expect.stringMatching(/from"react"$/),
    ])
    const dropzone = await readFile(join(installed, 'dist/dropzone.js'), 'utf8')
    expect(imports(dropzone)).toEqual([
      expect.stringMatching(/from"\.\/index\.js"$/),
      expect.stringMatching(/from"\.\/react\.js"$/), // with the same context
      expect.stringMatching(/from"react"$/),
      expect.stringMatching(/from"react\/jsx-runtime"$/),
    ])
    for (const code of [hooks, dropzone]) expect(code).toMatch(/^"use client";/)
    // Only for a path.
    const server = await readFile(join(installed, 'dist/server.js'), 'utf8')
    expect(imports(server)).toEqual(['import('])
    expect(server).toMatch(/import\([^)]*`node:fs\/promises`\)/)
  })

  it('costs a page that only uploads nothing for grants and drop boxes', async () => {
    const entry = join(directory, 'uploads.js')
    await writeFile(
      entry,
      `import { createClient } from 'edge-presigner-client'
import { useUpload } from 'edge-presigner-client/react'
globalThis.uses = [createClient, useUpload]`,
    )
    const outDir = join(directory, 'bundle')
    await build({
      root: directory,
      configFile: false,
      logLevel: 'silent',
      build: {
        outDir,
        lib: { entry, formats: ['es'], fileName: () => 'page.js' },
        rolldownOptions: { external: ['react'] },
      },
    })
    const code = await readFile(join(outDir, 'page.js'), 'utf8')
    expect(code).toContain('/files/upload-url')
    expect(code).not.toMatch(/drop.?box|\/grants/i)
  })

  it('has styles that a bundler keeps', async () => {
    const entry = join(directory, 'styles.js')
    await writeFile(entry, "import 'edge-presigner-client/dropzone.css'")
    const built = await build({
      root: directory,
      configFile: false,
      logLevel: 'silent',
      build: { write: false, rolldownOptions: { input: entry } },
    })
    expect(JSON.stringify(built)).toContain('.ep-dropzone-zone')
  })

  it.each(['bundler', 'nodenext'])(
    'has types for the examples of its README, resolved as %s',
    async (how) => {
      const readme = await readFile(join(installed, 'README.md'), 'utf8')
      const examples = [...readme.matchAll(/^```tsx?\n(.*?)^```/gms)].map(([, code = '']) => code)
      expect(examples.length).toBeGreaterThan(3)
      const folder = join(directory, how)
      await mkdir(folder)
      await Promise.all(
        [MISUSE, ...examples].map((code, index) => {
          const isToken = code.includes('export function fileToken(')
          return writeFile(join(folder, isToken ? 'file-token.ts' : `example-${index}.tsx`), code)
        }),
      )
      const compilerOptions = {
        target: 'es2022',
        lib: ['es2024', 'dom', 'dom.iterable', 'esnext.disposable'],
        module: how === 'bundler' ? 'esnext' : how,
        moduleResolution: how,
        jsx: 'react-jsx',
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        noEmit: true,
        skipLibCheck: false,
      }
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
      await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
      await typeCheck(folder)
    },
  )
})
