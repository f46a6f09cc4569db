import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
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
