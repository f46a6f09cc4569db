import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const PUBLIC = join(ROOT, 'public')

const run = promisify(execFile)

describe('npm run build', () => {
  it('builds the page only when it is stale', async () => {
    await run('npm', ['run', 'build'], { cwd: ROOT })
    const { stdout } = await run('npm', ['run', 'build'], { cwd: ROOT })
    expect(stdout).toContain('The page is up to date.')
  })

  it('loads nothing from other origins', async () => {
    const html = await readFile(join(PUBLIC, 'index.html'), 'utf8')
    const loaded = [...html.matchAll(/<(?:script|link|img)\b[^>]*\b(?:src|href)="([^"]*)"/g)]
    expect(loaded.length).toBeGreaterThan(2)
    expect(loaded.filter(([, url = '']) => !/^\/[^/]/.test(url))).toEqual([])
    for (const name of await readdir(join(PUBLIC, 'assets'))) {
      const text = await readFile(join(PUBLIC, 'assets', name), 'utf8')
      expect(text).not.toMatch(/@import|url\(["']?(?:https?:)?\/\//)
    }
  })
})
