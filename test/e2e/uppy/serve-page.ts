import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { build } from 'vite'
import { installOwnPackages } from '../../../dev/own-packages.ts'

/**
 * Serves the page of one version of Uppy, bundled from its real packages. Those of Uppy 5 are
 * installed first if they are missing: else it would silently get the Uppy 6 of the parent folders.
 */
export async function serveUppyPage(version: 5 | 6, outDir: string): Promise<Server> {
  const root = join(import.meta.dirname, `../uppy-${version}`)
  if (version === 5) await installOwnPackages(root)
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
