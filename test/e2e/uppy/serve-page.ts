import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'vite'
import * as z from 'zod/mini'

const lockFile = z.object({
  packages: z.record(z.string(), z.object({ version: z.optional(z.string()) })),
})
const installedPackage = z.object({ version: z.string() })

/**
 * Serves the page of one version of Uppy, bundled from its real packages. Those of Uppy 5 are
 * installed first if they are missing.
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

/**
 * Installs the packages of `root` unless all that its lock file names are there. Without them the
 * page would silently get the Uppy 6 of the parent folders.
 */
async function installOwnPackages(root: string): Promise<void> {
  const { packages } = lockFile.parse(await readJson(join(root, 'package-lock.json')))
  const isInstalled = async ([path, { version }]: [string, { version?: string | undefined }]) => {
    if (version === undefined) return true // `root` itself
    const manifest = await readJson(join(root, path, 'package.json'))
    return installedPackage.safeParse(manifest).data?.version === version
  }
  const installed = await Promise.all(Object.entries(packages).map(isInstalled))
  if (!installed.includes(false)) return
  try {
    await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: root })
  } catch (cause) {
    throw new Error('The packages of Uppy 5 are missing. Run: npm --prefix test/e2e/uppy-5 ci', {
      cause,
    })
  }
}

/** The JSON in a file; null if there is no such file. */
const readJson = async (path: string): Promise<unknown> => {
  const text = await readFile(path, 'utf8').catch(() => 'null')
  return JSON.parse(text)
}
