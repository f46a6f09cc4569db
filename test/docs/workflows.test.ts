import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { leftOut } from '../setup/left-out.ts'
import { ROOT, readPage } from './support/markdown.ts'

const FOLDER = '.github/workflows'

describe.each(readdirSync(join(ROOT, FOLDER)))('the workflow %s', (name) => {
  const text = readPage(`${FOLDER}/${name}`)

  it('names each action by a commit, with its version', () => {
    const actions = [...text.matchAll(/\buses: *(.*)/g)].map(([, action = '']) => action)
    expect(actions).not.toEqual([])
    for (const action of actions)
      expect(action).toMatch(/^[\w-]+\/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  })

  it('has no permission but those that a job asks for', () => {
    expect(text).toMatch(/^permissions: \{\}$/m)
  })
})

it('leaves tests out on other systems than Linux, and says which', () => {
  const lines: string[] = []
  expect(leftOut('linux', (line) => lines.push(line))).toEqual([])
  expect(lines).toEqual([])
  expect(leftOut('darwin', (line) => lines.push(line))).toContain('test/e2e/dev.test.ts')
  expect(leftOut('win32', (line) => lines.push(line))).toContain('test/e2e/keys.test.ts')
  expect(lines).toContain(
    '!!!!!!!! LEFT OUT on darwin: test/e2e/dev.test.ts needs the address 127.0.0.2.',
  )
})
