import { spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { describe, it } from 'vitest'
import { cephInstalled } from '../../cli/ceph.ts'
import { CHROMIUM_PATH } from '../setup/chromium-options.ts'

/** A system package that some tests need and npm can't install. */
export interface SystemPackage {
  readonly name: string
  readonly installed: boolean
  /** The command that installs it. */
  readonly install: string
}

/** A real browser. */
export const CHROMIUM: SystemPackage = {
  name: 'chromium',
  installed: CHROMIUM_PATH !== null,
  install: 'apt-get install chromium-headless-shell',
}

/** A strict S3 server. */
export const RADOSGW: SystemPackage = {
  name: 'radosgw',
  installed: await cephInstalled(),
  install: 'apt-get install radosgw',
}

/** An S3 server with versions and lists of unfinished uploads. It never checks a signature. */
export const MOTO: SystemPackage = {
  name: 'moto',
  installed: existsSync('/usr/bin/moto_server'),
  install: 'apt-get install python3-moto python3-flask python3-flask-cors',
}

/** What servers of some recipes are written in. */
export const RUBY: SystemPackage = {
  name: 'ruby',
  installed: spawnSync('ruby', ['--version']).status === 0,
  install: 'apt-get install ruby',
}
export const PYTHON: SystemPackage = {
  name: 'python3',
  installed: spawnSync('python3', ['--version']).status === 0,
  install: 'apt-get install python3',
}

/** Debian's folder of the newest Postgres, whose programs are not in the PATH. */
export const POSTGRES_BIN =
  globSync('/usr/lib/postgresql/*/bin').toSorted().at(-1) ?? '/usr/lib/postgresql/bin'
export const POSTGRES: SystemPackage = {
  name: 'postgresql',
  installed: existsSync(`${POSTGRES_BIN}/postgres`),
  install: 'apt-get install postgresql',
}

/** Makes videos. */
export const FFMPEG: SystemPackage = {
  name: 'ffmpeg',
  installed: spawnSync('ffmpeg', ['-version']).status === 0,
  install: 'apt-get install ffmpeg',
}

declare module 'vitest' {
  interface TaskMeta {
    /** The packages for which tests were left out: `test/setup/left-out-reporter.ts` shows them. */
    missing?: readonly SystemPackage[]
  }
}

/**
 * Declares tests that need `packages`. When one is missing, the tests are skipped, and the last line of
 * the run says so. On Linux under `CI=true` a missing package is a failure, because the packages are
 * Debian's.
 */
export function describeWith(
  packages: readonly SystemPackage[],
  title: string,
  declare: () => void,
): void {
  const missing = packages.filter(({ installed }) => !installed)
  if (missing.length === 0) {
    describe(title, declare)
    return
  }
  if (process.env.CI === 'true' && process.platform === 'linux') {
    const remedy = missing.map(({ name, install }) => `${name} is missing: ${install}`).join('; ')
    describe(title, () => {
      it('has its system packages', () => {
        throw new Error(`Under CI=true nothing may be left out, but ${remedy}`)
      })
    })
    return
  }
  describe.skip(title, { meta: { missing } }, declare)
}
