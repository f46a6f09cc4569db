import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { leftOut } from '../setup/left-out.ts'
import { ROOT, readPage } from './support/markdown.ts'

/** Code that starts npm, a shell or another program. */
const POSIX =
  /^(?:import|\}).* from '(?:node:child_process|\.\/(?:npm-process|demo-page|support\/shell|support\/snippets)\.ts)'$/m

it('skips tests on systems other than Linux, and lists them', () => {
  const lines: string[] = []
  expect(leftOut('linux', (line) => lines.push(line))).toEqual([])
  expect(lines).toEqual([])
  expect(leftOut('darwin', (line) => lines.push(line))).toContain('test/e2e/dev.slow.test.ts')
  expect(leftOut('win32', (line) => lines.push(line))).toContain('test/e2e/keys.full.test.ts')
  expect(lines).toContain(
    '!!!!!!!! LEFT OUT on darwin: test/e2e/dev.slow.test.ts needs the address 127.0.0.2.',
  )
})

it('lists every test whose programs are missing on Windows', () => {
  const files = ['test/docs', 'test/e2e'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => `${folder}/${name}`),
  )
  const needy = files.filter((file) => POSIX.test(readPage(file)))
  expect(needy).not.toEqual([])
  const known = new Set(leftOut('win32', () => {}))
  expect(needy.filter((file) => !known.has(file))).toEqual([])
})

describe('without a system package', () => {
  const TEST = (installed: boolean) => `
import { expect, it } from 'vitest'
import { describeWith } from '${ROOT}/test/e2e/system-package.ts'

const camera = { name: 'camera', installed: ${installed}, install: 'apt-get install camera' }
describeWith([camera], 'a photo', () => {
  it('is taken', () => expect(${installed}).toBe(true))
})
`
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
    symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
    const reporters = ['default', join(ROOT, 'test/setup/left-out-reporter.ts')]
    writeFileSync(
      join(directory, 'vitest.config.ts'),
      `export default ${JSON.stringify({ test: { reporters } })}`,
    )
    writeFileSync(join(directory, 'photo.test.ts'), TEST(false))
    writeFileSync(join(directory, 'with-camera.test.ts'), TEST(true))
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  const run = (env: NodeJS.ProcessEnv, ...files: readonly string[]) => {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
    const { status, stdout } = spawnSync(process.execPath, [vitest, 'run', ...files], {
      cwd: directory,
      encoding: 'utf8',
      env: { ...process.env, CI: '', NO_COLOR: '1', ...env },
    })
    return { status, lines: stdout.trimEnd().split('\n') }
  }

  it('passes, and the last line names what was left out', () => {
    const { status, lines } = run({})
    expect(status).toBe(0)
    expect(lines.at(-1)).toBe(
      'LEFT OUT: tests of photo.test.ts. Missing: camera (apt-get install camera)',
    )
    expect(run({}, 'with-camera').lines.join()).not.toContain('LEFT OUT')
    const { test } = manifest.scripts
    expect(test).not.toContain('--reporter')
    expect(readPage('vitest.config.ts')).toContain("'./test/setup/left-out-reporter.ts'")
  })

  it.runIf(process.platform === 'linux')('fails under CI=true', () => {
    const { status, lines } = run({ CI: 'true' })
    expect(status).toBe(1)
    expect(lines.join()).toContain('has its system packages')
  })
})
