import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ROOT, readPage } from '../docs/support/markdown.ts'

const run = promisify(execFile)

/** The project without `src/plugins/uppy/`, its exports, imports and use. */
let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
  for (const name of [
    ...['src', 'drop-box', 'package.json', 'tsconfig.json', 'wrangler.toml', 'bindings.d.ts'],
  ])
    cpSync(join(ROOT, name), join(directory, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  rmSync(join(directory, 'src', 'plugins', 'uppy'), { recursive: true })
  const without = (path: string, ...uses: readonly (readonly [use: string, other: string])[]) => {
    const file = join(directory, 'src', path)
    const text = readFileSync(file, 'utf8')
    const kept = uses.reduce((left, [use, other]) => left.replace(use, other), text)
    expect(kept).not.toMatch(/uppy/i)
    writeFileSync(file, kept)
  }
  without('worker/plugins.ts', ["export { uppy } from '../plugins/uppy/index.ts'\n", ''])
  const lines =
    /^ +\/\/ Uploads by Uppy.+\n.+edge\.uppy\(.+\n/m.exec(readPage('src/worker.ts'))?.[0] ?? ''
  without('worker.ts', [lines, ''])
})

afterAll(() => rmSync(directory, { recursive: true }))

it('type-checks without src/plugins/uppy and its place in the Worker', async () => {
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  await run(tsc, ['-p', '.', '--noUnusedLocals', '--singleThreaded'], { cwd: directory })
})

it("works without src/plugins/uppy and its place in the Worker, except for Uppy's routes", async () => {
  const { createPresigner } = await import(join(directory, 'src', 'index.ts'))
  const { defineSettings } = await import(join(directory, 'src', 'settings', 'define.ts'))
  const settings = defineSettings(() => ({
    buckets: {
      files: {
        endpoint: 'http://127.0.0.1:1',
        region: 'us-east-1',
        bucket: 'files',
        credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
      },
    },
    signingSecrets: `k1:${'s'.repeat(32)}`,
  }))
  const { app } = createPresigner(settings, {
    authenticate: () => ({ id: '1', scopes: ['files:upload', 'files:read'], prefix: '' }),
    log: () => undefined,
  })
  const ask = (method: string, path: string, body?: object): Promise<Response> =>
    app.request(path, {
      method,
      headers: { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const png = { fileName: 'a.png', mimetype: 'image/png' }
  expect((await ask('POST', '/files/upload-url', png)).status).toBe(200)
  expect((await ask('GET', '/files/a.png/url')).status).toBe(200)
  expect((await ask('GET', '/s3/params?filename=a.png')).status).toBe(404)
})

it('names Uppy nowhere else in src, except as the reader of a member, and of routes', async () => {
  const src = join(directory, 'src')
  const { stdout } = await run('grep', ['-riE', 'uppy|companion', src])
  const lines = stdout.trim().split('\n').toSorted()
  expect(lines).toEqual([
    expect.stringMatching(/[/]app\.ts: +uppy: 's3',$/), // the plugin to name for a missing route
    expect.stringMatching(/[/]bucket-rules\.ts: +postUploads: r\.usedBy\('uppy', /),
  ])
})
