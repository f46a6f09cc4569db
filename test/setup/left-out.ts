import { existsSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

interface Need {
  /** Shown to people after "needs". */
  readonly what: string
  readonly met: (platform: NodeJS.Platform) => boolean
  readonly files: readonly string[]
}

/**
 * What some test files need and not every system has. For Chromium and Ceph RGW, see
 * `describeWith`.
 */
const NEEDS: readonly Need[] = [
  {
    what: 'the processes in /proc',
    met: (platform) => platform === 'linux',
    files: ['test/e2e/end-leftovers.test.ts', 'test/e2e/image-memory.full.test.ts'],
  },
  {
    what: 'the program script of util-linux',
    met: (platform) => platform === 'linux',
    files: ['test/e2e/deploy.full.test.ts'],
  },
  {
    what: 'the address 127.0.0.2',
    met: (platform) => platform === 'linux',
    files: ['test/e2e/dev.slow.test.ts'],
  },
  {
    what: 'a file system that keeps upper and lower case and all Unicode forms apart',
    met: (platform) => platform === 'linux',
    files: ['test/e2e/s3rver.test.ts', 'test/e2e/r2.test.ts'],
  },
  {
    what: 'a POSIX system: its shell, its signals, file modes or symbolic links',
    met: (platform) => platform !== 'win32',
    files: [
      'test/docs/alerts.slow.test.ts',
      'test/docs/api-examples.test.ts',
      'test/docs/commands.test.ts',
      'test/docs/d1-index.slow.test.ts',
      'test/docs/deploy.test.ts',
      'test/docs/events.test.ts',
      'test/docs/examples.test.ts',
      'test/docs/hls.full.test.ts',
      'test/docs/identity.full.test.ts',
      'test/docs/in-app.full.test.ts',
      'test/docs/left-out.test.ts',
      'test/docs/licenses.test.ts',
      'test/docs/login.slow.test.ts',
      'test/docs/migrations.slow.test.ts',
      'test/docs/mount.slow.test.ts',
      'test/docs/mounted.full.test.ts',
      'test/docs/notifications.test.ts',
      'test/docs/openapi.test.ts',
      'test/docs/operate.test.ts',
      'test/docs/pictures.slow.test.ts',
      'test/docs/plugin.test.ts',
      'test/docs/postgres-index.slow.test.ts',
      'test/docs/printed-secrets.test.ts',
      'test/docs/recipes.full.test.ts',
      'test/docs/recipes.slow.test.ts',
      'test/docs/recipes.test.ts',
      'test/docs/repository.test.ts',
      'test/docs/restricted-links.test.ts',
      'test/docs/server.slow.test.ts',
      'test/docs/sharing.test.ts',
      'test/docs/site.full.test.ts',
      'test/docs/staging.slow.test.ts',
      'test/docs/test-changed.test.ts',
      'test/docs/update.full.test.ts',
      'test/docs/upkeep.test.ts',
      'test/docs/wrangler.slow.test.ts',
      'test/e2e/async-options.test.ts',
      'test/e2e/client-build.slow.test.ts',
      'test/e2e/client-held-bytes.slow.test.ts',
      'test/e2e/create.test.ts',
      'test/e2e/create-project.full.test.ts',
      'test/e2e/credentials.slow.test.ts',
      'test/e2e/default-worker.slow.test.ts',
      'test/e2e/demo-build.test.ts',
      'test/e2e/first-hour.full.test.ts',
      'test/e2e/grants.slow.test.ts',
      'test/e2e/index-command.slow.test.ts',
      'test/e2e/node-versions.slow.test.ts',
      'test/e2e/only-bucket.test.ts',
      'test/e2e/upkeep-command.slow.test.ts',
      'test/e2e/upkeep-command.test.ts',
      'test/e2e/upkeep-killed.full.test.ts',
      'test/e2e/user-data-commands.test.ts',
      'test/e2e/keys.full.test.ts',
      'test/e2e/new-user.full.test.ts',
      'test/e2e/package-cli.slow.test.ts',
      'test/e2e/package.slow.test.ts',
      'test/e2e/replace-text.test.ts',
      'test/e2e/page-app.full.test.ts',
      'test/e2e/page-gallery.slow.test.ts',
      'test/e2e/page-index.full.test.ts',
      'test/e2e/page-shares.slow.test.ts',
      'test/e2e/page-upkeep.slow.test.ts',
      'test/e2e/page-uploads.slow.test.ts',
      'test/e2e/page.slow.test.ts',
      'test/e2e/readme.test.ts',
      'test/e2e/readme.slow.test.ts',
      'test/e2e/visitor-pages.slow.test.ts',
      'test/e2e/without-uppy.test.ts',
      'test/e2e/wrangler-local.slow.test.ts',
    ],
  },
]

/**
 * Returns the test files that can't run on `platform`, and prints them. Throws when a name is
 * wrong.
 */
export function leftOut(
  platform: NodeJS.Platform,
  warn: (line: string) => void = console.warn,
): readonly string[] {
  const wrong = NEEDS.flatMap(({ files }) => files).filter((file) => !existsSync(join(ROOT, file)))
  if (wrong.length > 0) throw new Error(`test/setup/left-out.ts: there is no ${wrong.join(', ')}.`)
  return NEEDS.filter(({ met }) => !met(platform)).flatMap(({ what, files }) => {
    for (const file of files) warn(`!!!!!!!! LEFT OUT on ${platform}: ${file} needs ${what}.`)
    return files
  })
}
