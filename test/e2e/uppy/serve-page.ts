import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { build } from 'vite'
import { shared } from '../shared.ts'

export type UppyVersion = 2 | 3 | 4 | 5 | 6

/** The folder of each version's page, and the folder whose packages it needs. */
const FOLDERS: Readonly<Record<UppyVersion, readonly [page: string, packages: string | null]>> = {
  2: ['uppy-packages/2', 'uppy-packages'],
  3: ['uppy-packages/3', 'uppy-packages'],
  4: ['uppy-packages/4', 'uppy-packages'],
  5: ['uppy-5', 'uppy-5'],
  6: ['uppy-6', null],
}

/**
 * Serves the page of one version of Uppy, bundled from its real packages. Installs missing packages
 * of older versions first. Otherwise the page would silently get the Uppy 6 of the root.
 */
export async function serveUppyPage(version: UppyVersion, outDir: string): Promise<Server> {
  const [page, packages] = FOLDERS[version]
  const root = join(import.meta.dirname, '..', page)
  if (packages !== null) await shared('ownPackages', join(import.meta.dirname, '..', packages))
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    build: {
      outDir,
      emptyOutDir: true,
      minify: false,
      lib: { entry: join(root, 'page.ts'), formats: ['iife'], name: 'uppyPage', fileName: 'page' },
      rolldownOptions: { output: { entryFileNames: 'page.js' } },
    },
    define: { 'process.env.NODE_ENV': '"production"' },
  })
  const script = await readFile(join(outDir, 'page.js'))
  return createServer((request, response) => {
    if (request.url === '/page.js')
      response.setHeader('Content-Type', 'text/javascript').end(script)
    else
      response
        .setHeader('Content-Type', 'text/html; charset=utf-8')
        .end('<!doctype html><title>Uppy</title><script src="/page.js"></script>')
  })
}
