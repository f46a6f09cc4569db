import { execFileSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { expect, it } from 'vitest'
import { TESTS_BY_PATH, testsOfPath } from '../../tools/dev/test-changed.ts'
import { ROOT } from './support/markdown.ts'

const tracked = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter(Boolean)

it('knows for each file of the repository which tests it can break', () => {
  for (const path of tracked) expect(() => testsOfPath(path), path).not.toThrow()
})

it('has no row without a file, and no pattern without a test', () => {
  const used = new Set(tracked.map((path) => testsOfPath(path)))
  for (const [path, tests] of TESTS_BY_PATH) {
    expect(used.has(tests), path.source).toBe(true)
    for (const test of tests) expect(globSync(test, { cwd: ROOT }), test).not.toEqual([])
  }
})
