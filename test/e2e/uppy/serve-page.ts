import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { build } from 'vite'

/** Serves the page of one version of Uppy, bundled from its real packages. */
export async function serveUppyPage(version: 5 | 6, outDir: string): Promise<Server> {
  const root = join(import.meta.dirname, `../uppy-${version}`)
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
