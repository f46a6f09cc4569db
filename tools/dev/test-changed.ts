import { execFileSync, spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import * as z from 'zod/mini'

const ROOT = join(import.meta.dirname, '../..')
const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs')
/** What `npm test` runs. */
const EVERYTHING = 'test/**/!(*.slow|*.full).test.ts'

/**
 * The tests of what other processes run: Vitest sees only what a test imports. For each changed
 * file, the first row whose pattern matches names them.
 */
export const TESTS_BY_PATH: readonly (readonly [path: RegExp, tests: readonly string[]])[] = [
  [/^(?:vitest\.config\.ts|package.*\.json|wrangler\.toml|bindings\.d\.ts)$/, [EVERYTHING]],
  [/^test\/(?:setup|support)\//, [EVERYTHING]],
  [/^src\/plugins\/uppy\//, ['test/e2e/{uppy,client-uppy,without-uppy}*.test.ts']],
  [/^src\/plugins\/events\//, ['test/e2e/webhooks*.test.ts']],
  [
    /^src\/plugins\/(?:links|notifications)\//,
    ['test/e2e/{gallery,stored-types,browser,mount-browser,notification-queue,image-}*.test.ts'],
  ],
  [
    /^src\/(?:signing|storage|core|records|keys|bucket|plugins\/(?:files|multipart))\//,
    ['test/e2e/{s3rver,ceph,r2,credentials*}.test.ts', 'test/e2e/client.*test.ts'],
  ],
  [/^src\/[\w-]+\//, ['test/e2e/s3rver.test.ts']],
  [/^src\//, ['test/e2e/{s3rver,package*}.test.ts', 'test/docs/mount*.test.ts']],
  [/^client\//, ['test/e2e/{client,drop-box-script}*.test.ts', 'test/docs/recipes*.test.ts']],
  [/^(?:create\/|template\/|tools\/dev\/template\.ts$)/, ['test/e2e/{create,package}*.test.ts']],
  [/^drop-box\//, ['test/e2e/{drop-box-script,visitor-pages}*.test.ts', 'test/docs/words.test.ts']],
  [/^demo\//, ['test/e2e/{page,demo-build}*.test.ts', 'test/docs/{licenses,words}.test.ts']],
  [/^tools\/(?:site\/|dev\/docs\.ts$)/, ['test/docs/site*.test.ts']],
  [/^cli\/doctor/, ['test/e2e/doctor/**/*.test.ts', 'test/e2e/{doctor,deploy}*.test.ts']],
  [/^cli\/(?:keys|deploy|env-file|wrangler)\.ts$/, ['test/e2e/{keys,deploy}*.test.ts']],
  [/^tools\/dev\/types\.ts$/, ['test/docs/update*.test.ts']],
  [/^tools\/dev\/openapi/, ['test/docs/{openapi,api-}*.test.ts']],
  [
    /^(?:cli|tools\/dev)\/(?:s3rver.*|r2|ceph|s3-server)\.ts$/,
    ['test/e2e/{s3rver*,r2,ceph}.test.ts'],
  ],
  [/^(?:cli|tools\/dev)\//, ['test/e2e/{dev,package-cli}*.test.ts']],
  [/^examples\/everything\//, [EVERYTHING]],
  [/^examples\//, ['test/e2e/{package,first-hour}*.test.ts', 'test/docs/**/*.test.ts']],
  [/^(?:docs\/|\.changeset\/|\.github\/|[^/]+\.md$|biome\.json$)/, ['test/docs/**/*.test.ts']],
  [/^test\/e2e\/uppy(?:-[56])?\//, ['test/e2e/uppy*.test.ts']],
  [/^test\/e2e\/(?:client|server-sdk|react-18)\//, ['test/e2e/client*.test.ts']],
  [/^test\/mount\/host\//, ['test/e2e/mount-browser*.test.ts']],
  [/^test\/mount\/credentials-host\//, ['test/e2e/credentials*.test.ts']],
  // Vitest finds these itself, or nothing runs them here.
  [/^(?:test|tools\/bench|\.ci)\/|^(?:\.[^/]+|LICENSE|tsconfig.*\.json)$/, []],
]

/** Returns the tests, as globs, of what other processes run. Throws for a path without a row. */
export function testsOfPath(path: string): readonly string[] {
  const row = TESTS_BY_PATH.find(([pattern]) => pattern.test(path))
  if (row === undefined) throw new Error(`tools/dev/test-changed.ts has no row for ${path}`)
  return row[1]
}

/** Runs git, and returns the lines of its output. */
const git = (...args: string[]): readonly string[] =>
  execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\n').filter(Boolean)

/** Returns the commit where this branch left `base`. */
function startOfBranch(base: string): string {
  const [start] = git('merge-base', base, 'HEAD')
  if (start === undefined) throw new Error(`This branch has no commit in common with ${base}.`)
  return start
}

/** Returns the test files that import, according to Vitest, something that has changed since `start`. */
function importers(start: string): readonly string[] {
  const args = ['list', '--filesOnly', '--json', '--project=!full', '--changed', start]
  const output = execFileSync(process.execPath, [VITEST, ...args], { cwd: ROOT, encoding: 'utf8' })
  return z
    .array(z.object({ file: z.string() }))
    .parse(JSON.parse(output.slice(output.indexOf('['))))
    .map(({ file }) => relative(ROOT, file).split(sep).join('/'))
}

/** `npm run test:changed [-- BASE]` */
if (import.meta.main) {
  const start = startOfBranch(process.argv[2] ?? 'origin/main')
  const changed = [
    ...git('diff', '--name-only', start),
    ...git('ls-files', '--others', '--exclude-standard'),
  ]
  const others = globSync([...new Set(changed.flatMap(testsOfPath))], { cwd: ROOT })
  const tests = new Set([...importers(start), ...others].filter((file) => !file.includes('.full.')))
  console.log(`${changed.length} changed files, ${tests.size} test files`)
  if (tests.size > 0) {
    const args = [VITEST, 'run', '--project=!full', ...tests]
    process.exitCode =
      spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' }).status ?? 1
  }
}
