import { readFileSync } from 'node:fs'
import { defineConfig } from 'vite'
import { APP_FILES } from './src/app-files.ts'

/**
 * Bundles the command into one file, with the Worker's rules for settings. So the package has no
 * dependencies, and runs on Node 20.
 */
export default defineConfig({
  plugins: [{ name: 'texts', enforce: 'pre', load: loadText }],
  build: {
    ssr: 'src/main.ts',
    target: 'node20',
    minify: false,
    rolldownOptions: { output: { entryFileNames: 'create-edge-presigner.js' } },
  },
  ssr: { noExternal: true },
})

/** Returns the files of apps, and of the repository's package.json what src/versions.ts reads. */
function loadText(id: string): string | undefined {
  if (/[\\/]app-files\.ts$/.test(id)) return `export const APP_FILES = ${JSON.stringify(APP_FILES)}`
  if (!/[\\/]package\.json$/.test(id)) return undefined
  const { version, peerDependencies, devDependencies } = JSON.parse(readFileSync(id, 'utf8'))
  const { node, wrangler, '@20minutes/s3rver': s3rver } = devDependencies
  return JSON.stringify({
    version,
    peerDependencies: { hono: peerDependencies.hono },
    devDependencies: { node, wrangler, '@20minutes/s3rver': s3rver },
  })
}
