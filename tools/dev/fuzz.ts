import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const ROOT = join(import.meta.dirname, '../..')
/** How many more examples than `npm test` tries. */
const FACTOR = '20'

const { values } = parseArgs({
  options: {
    /** How many hostile requests to send, a third for each of three seeds. */
    requests: { type: 'string', default: '65000' },
    /** Sends only these. */
    hostile: { type: 'boolean', default: false },
  },
})
// Runs each file with a property test, in workerd and, where it is portable, in Node.
const files = globSync(values.hostile ? 'test/fuzz/*.test.ts' : 'test/**/*.test.ts', {
  cwd: ROOT,
}).filter((file) =>
  /from '(?:fast-check|.*\/support\/fuzz\.ts)'/.test(readFileSync(join(ROOT, file), 'utf8')),
)
const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
const args = [vitest, 'run', '--project=worker', '--project=signer', ...files]
const env = { ...process.env, FUZZ: FACTOR, HOSTILE_REQUESTS: values.requests }
process.exitCode =
  spawnSync(process.execPath, args, { cwd: ROOT, env, stdio: 'inherit' }).status ?? 1
