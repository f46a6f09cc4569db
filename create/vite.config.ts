import { readFileSync } from 'node:fs'
import { defineConfig } from 'vite'

/**
 * Bundles the command into one file, with the Worker's rules for settings. So the package has no
 * dependencies, and runs on Node 20.
 */
export default defineConfig({
  plugins: [{ name: 'only-versions', enforce: 'pre', load: loadVersions }],
  build: {
    ssr: 'src/main.ts',
    target: 'node20',
    minify: false,
    rolldownOptions: { output: { entryFileNames: 'create-edge-presigner.js' } },
  },
  ssr: { noExternal: true },
})

/** Returns of the repository's package.json what src/versions.ts reads. */
function loadVersions(id: string): string | undefined {
  if (!/[\\/]package\.json$/.test(id)) return undefined
  const { version, peerDependencies, devDependencies } = JSON.parse(readFileSync(id, 'utf8'))
  const { node, wrangler, '@20minutes/s3rver': s3rver } = devDependencies
  return JSON.stringify({
    version,
    peerDependencies: { hono: peerDependencies.hono },
    devDependencies: { node, wrangler, '@20minutes/s3rver': s3rver },
  })
}
