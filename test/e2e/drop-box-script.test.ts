import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { PAGE_SCRIPT, PAGE_SCRIPT_NAME } from '../../src/plugins/drop-boxes/page-script.ts'
import { buildDropBox, DROP_BOX_MODULE } from '../../tools/dev/build-drop-box.ts'

describe('the script of the pages of drop boxes', () => {
  it('is what npm run build:drop-box writes', async () => {
    expect(await readFile(DROP_BOX_MODULE, 'utf8')).toBe(await buildDropBox())
  })

  it('has a name with the digest of its text', () => {
    const digest = createHash('sha256').update(PAGE_SCRIPT).digest('hex')
    expect(PAGE_SCRIPT_NAME).toBe(`page-${digest.slice(0, 16)}.js`)
  })

  it('is small, since it is part of the Worker', () => {
    expect(gzipSync(PAGE_SCRIPT, { level: 9 }).length).toBeLessThan(14_000)
  })

  it('needs nothing that the policy of the page forbids', () => {
    expect(PAGE_SCRIPT).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function\b/,
    )
    expect(PAGE_SCRIPT).not.toMatch(/https?:\/\//)
  })
})
