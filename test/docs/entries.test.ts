import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT } from './support/markdown.ts'

const TYPES_ONLY = /^(?:import|export) type [^']*'[^']+'$/gm

/** Returns every module outside src/ that an entry needs at run time, directly or indirectly. */
async function modulesOf(entry: string): Promise<string[]> {
  const seen = new Set<string>()
  const modules = new Set<string>()
  const files = [join(ROOT, 'src', entry)]
  for (const file of files) {
    if (seen.has(file)) continue
    seen.add(file)
    const source = (await readFile(file, 'utf8')).replace(TYPES_ONLY, '')
    for (const [, name = ''] of source.matchAll(/(?:\bfrom|\bimport|import\()\s*'([^']+)'/g))
      if (name.startsWith('.')) files.push(resolve(file, '..', name))
      else modules.add(name)
  }
  return [...modules]
}

const ofWorkers = /^(?:cloudflare|node):/

describe('an entry of the package', () => {
  it.each(['index.ts', 'signer.ts', 'testing.ts'])(
    "runs on every runtime: %s imports no runtime's modules",
    async (entry) => {
      expect((await modulesOf(entry)).filter((name) => ofWorkers.test(name))).toEqual([])
    },
  )

  it('for Cloudflare imports a module of Workers, which shows that these tests detect it', async () => {
    expect(await modulesOf('cloudflare.ts')).toContain('cloudflare:workers')
    expect(await modulesOf('index.ts')).toContain('hono/hono-base')
  })

  it('for signing needs neither Hono nor zod nor jose', async () => {
    const modules = await modulesOf('signer.ts')
    expect(modules.filter((name) => /^(?:hono|zod|jose)\b/.test(name))).toEqual([])
  })
})
