import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { PAGE_SCRIPT, PAGE_SCRIPT_NAME } from '../../drop-box/dist/page-script.js'
import { bundleScript } from '../../tools/dev/build-drop-box.ts'

describe('the script of the pages of drop boxes', () => {
  it('is built again for tests when its sources have changed', async () => {
    expect(PAGE_SCRIPT).toBe(await bundleScript())
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
