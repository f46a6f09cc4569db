import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { installOwnPackages } from './own-packages.ts'

const SITE = join(import.meta.dirname, '..', 'site')

/**
 * `npm run docs [-- build | preview]`: serves the documentation site, builds it into
 * `tools/site/.vitepress/dist`, or serves what was built.
 */
const [first = '', ...others] = process.argv.slice(2)
const args = /^[a-z]/.test(first)
  ? [first, SITE, ...others]
  : ['dev', SITE, ...process.argv.slice(2)]
await installOwnPackages(SITE)
const vitepress = join(SITE, 'node_modules/vitepress/bin/vitepress.js')
const { status } = spawnSync(process.execPath, [vitepress, ...args], {
  stdio: 'inherit',
})
process.exitCode = status ?? 1
