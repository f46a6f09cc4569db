import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { D1Database } from '@cloudflare/workers-types'
import { Webhook } from 'standardwebhooks'
import { build } from 'vite'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTestHarness, type TestHarness } from 'wrangler'
import { startS3rver } from '../../cli/s3rver.ts'
import { type BuiltWorker, startBuiltWorker } from '../e2e/built-worker.ts'
import { readPage } from './support/markdown.ts'
import { recipeFile } from './support/recipe.ts'
import { ENTRIES, type Snippets, writeSnippets } from './support/snippets.ts'

const CLIENT = 'edge-presigner-client/server'
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const OLD_SECRET = `whsec_${Buffer.alloc(32, 8).toString('base64')}`
const API_KEY = `ep_app_${'0123456789abcdef'.repeat(3).slice(5)}`

const SETTINGS = `
import { defineSettings } from 'edge-presigner'
export const settings = defineSettings(() => ({ buckets: {}, signingSecrets: '' }))
`

const example = (path: string): string => readPage(`examples/files-index/${path}`)

interface Row {
  readonly key: string
  readonly name: string
  readonly owner: string | null
  readonly size: number
}

interface Fill {
  fill(db: D1Database, baseUrl: string, apiKey: string): Promise<number>
}

let app: Snippets
let harness: TestHarness
let origin: string
let db: D1Database
beforeAll(async () => {
  app = writeSnippets({
    // The client is not installed here.
    'wrangler.toml': `${example('wrangler.toml')}
[alias]
"${CLIENT}" = ${JSON.stringify(ENTRIES[CLIENT])}
`,
    'src/file-events.ts': example('src/file-events.ts'),
    'src/index.ts': example('src/index.ts'),
    'src/media.ts': recipeFile('d1-index', 'src/media.ts'),
    'src/settings.ts': SETTINGS,
    'src/fill.ts': example('src/fill.ts'),
  })
  // The page's own Worker, not this project's.
  harness = createTestHarness({
    root: app.directory,
    workers: [
      { configPath: 'wrangler.toml', secrets: { WEBHOOK_SECRET: `${SECRET} ${OLD_SECRET}` } },
    ],
  })
  origin = (await harness.listen()).url.origin
  db = (await harness.getWorker<{ DB: D1Database }>().getEnv()).DB
  const statements = example('schema.sql').replaceAll(/--.*$/gm, '').split(';')
  for (const statement of statements) if (statement.trim()) await db.prepare(statement).run()
})
afterAll(async () => {
  await harness?.close()
  app?.remove()
})
beforeEach(() => db.prepare('DELETE FROM files').run())

const minute = (count: number): string => new Date(Date.UTC(2026, 0, 1, 0, count)).toISOString()
const key = (name: string): string => `users/ada/uploads/${name}`

/** Sends a webhook as the presigner does: `at` is in minutes. */
function send(
  type: string,
  file: object,
  at: number,
  secret = SECRET,
  more: object = {},
): Promise<Response> {
  const data = { ...more, file, principal: 'app/ada', subject: 'ada', context: null }
  const body = JSON.stringify({ type: `file.${type}`, timestamp: minute(at), data })
  const now = new Date()
  const headers = {
    'webhook-id': `evt_${at}`,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(`evt_${at}`, now, body),
  }
  return fetch(`${origin}/webhooks/files`, { method: 'POST', headers, body })
}

const record = (name: string, more: object = {}): object => ({
  ...{ bucket: 'files', key: key(name), name, size: 1, mimetype: 'text/plain' },
  ...{ etag: '"e"', owner: 'app:ada', createdAt: minute(0), ...more },
})
const deleted = (name: string): object => ({ bucket: 'files', key: key(name) })

async function rows(): Promise<Row[]> {
  const { results } = await db
    .prepare('SELECT * FROM files WHERE is_deleted = 0 ORDER BY key')
    .all<Row>()
  return results
}
const names = async (): Promise<string[]> => (await rows()).map(({ name }) => name)

describe('the recipe for an index in D1', () => {
  it('compiles', async () => {
    expect(await app.typeErrors()).toBe('')
  })

  it('records, replaces and deletes, also when an event arrives twice', async () => {
    for (const [type, file, at] of [
      ['recorded', record('a.txt'), 1],
      ['recorded', record('a.txt'), 1],
      ['replaced', record('a.txt', { size: 2, etag: '"f"' }), 2],
      ['replaced', record('a.txt', { size: 2, etag: '"f"' }), 2],
      ['recorded', record('b.txt'), 3],
      ['deleted', deleted('b.txt'), 4],
      ['deleted', deleted('b.txt'), 4],
      ['deleted', deleted('never-recorded.txt'), 5],
    ] as const)
      expect((await send(type, file, at)).status).toBe(204)
    expect(await rows()).toMatchObject([{ key: key('a.txt'), size: 2, owner: 'app:ada' }])
  })

  it('ignores an event that is older than what it knows', async () => {
    await send('replaced', record('a.txt', { size: 2, etag: '"f"' }), 2)
    await send('recorded', record('a.txt'), 1)
    await send('deleted', deleted('a.txt'), 0)
    expect(await rows()).toMatchObject([{ size: 2 }])
    await send('deleted', deleted('b.txt'), 4)
    await send('recorded', record('b.txt'), 3)
    expect(await names()).toEqual(['a.txt'])
    await send('recorded', record('b.txt'), 5)
    expect(await names()).toEqual(['a.txt', 'b.txt'])
  })

  it('keeps the owner and the name when a bucket notification of the same upload comes later', async () => {
    const notified = { owner: null, name: 'from-key.txt' }
    await send('recorded', record('a.txt', notified), 1)
    expect(await rows()).toMatchObject([notified])
    await send('recorded', record('a.txt'), 2)
    await send('recorded', record('a.txt', notified), 3)
    expect(await rows()).toMatchObject([{ owner: 'app:ada', name: 'a.txt' }])
    await send('replaced', record('a.txt', { ...notified, etag: '"f"' }), 4)
    expect(await rows()).toMatchObject([notified])
  })

  it('refuses webhooks that are forged or malformed, and accepts the old secret', async () => {
    const forged = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
    expect((await send('recorded', record('a.txt'), 1, forged)).status).toBe(400)
    expect((await send('recorded', { bucket: 'files' }, 1)).status).toBe(400)
    const unsigned = await fetch(`${origin}/webhooks/files`, { method: 'POST', body: '{}' })
    expect(unsigned.status).toBe(400)
    expect(await names()).toEqual([])
    expect((await send('recorded', record('a.txt'), 1, OLD_SECRET)).status).toBe(204)
    // Of a grant, and of a newer Worker.
    expect((await send('tagged', record('b.txt'), 2)).status).toBe(204)
    expect(await names()).toEqual(['a.txt'])
    expect((await fetch(origin)).status).toBe(404)
  })

  it('renames also a file without an owner, and follows copies and moves', async () => {
    const notified = { owner: null }
    await send('recorded', record('a.txt', notified), 1)
    await send('renamed', record('a.txt', { ...notified, name: 'b.txt' }), 2)
    await send('recorded', record('a.txt', notified), 3)
    expect(await names()).toEqual(['b.txt'])
    const from = deleted('a.txt')
    await send('copied', record('c.txt'), 4, SECRET, { from })
    await send('moved', record('d.txt'), 5, SECRET, { from })
    await send('deleted', from, 6)
    expect(await names()).toEqual(['c.txt', 'd.txt'])
  })

  it('forgets deleted files after 30 days', async () => {
    await send('deleted', deleted('old.txt'), 0)
    await send('recorded', record('a.txt'), 0)
    await harness.getWorker().scheduled({ cron: '17 3 * * *' })
    const { results } = await db.prepare('SELECT name, is_deleted FROM files').all()
    expect(results).toEqual([{ name: 'a.txt', is_deleted: 0 }])
  })
})

describe('with the built presigner', () => {
  let presigner: BuiltWorker
  const stack = new AsyncDisposableStack()
  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const s3 = await startS3rver({ port: 0, directory, corsOrigins: [origin] })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    presigner = await startBuiltWorker({
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: {
        API_KEYS: JSON.stringify([
          {
            id: 'app',
            sha256: createHash('sha256').update(API_KEY).digest('hex'),
            scopes: ['files:upload', 'files:list', 'files:delete'],
            prefix: 'users/ada/',
          },
        ]),
        WEBHOOKS: JSON.stringify([
          {
            url: `http://localhost:${new URL(origin).port}/webhooks/files`,
            secret: SECRET,
            private: true,
          },
        ]),
      },
    })
    stack.defer(() => presigner.close())
  })
  afterAll(() => stack.disposeAsync())

  it('finds what is uploaded, and nothing that is deleted', async () => {
    const call = (method: string, path: string, body?: object): Promise<Response> =>
      fetch(presigner.origin + path, {
        method,
        headers: { Authorization: `Bearer ${API_KEY}`, 'Content-Type': 'application/json' },
        body: body ? JSON.stringify(body) : null,
      })
    const start = { fileName: 'Report.txt', mimetype: 'text/plain' }
    const signed = await call('POST', '/files/upload-url', start)
    const { uploadUrl, key } = (await signed.json()) as { uploadUrl: string; key: string }
    const headers = { 'Content-Type': 'text/plain' }
    await fetch(uploadUrl, { method: 'PUT', headers, body: 'hello' })
    expect((await call('POST', '/files', { key, name: 'Report.txt' })).status).toBe(201)
    await expect.poll(rows).toMatchObject([{ key, size: 5 }])

    await db.prepare('DELETE FROM files').run()
    const { fill } = await bundled<Fill>('fill')
    expect(await fill(db, presigner.origin, API_KEY)).toBe(1)
    expect(await names()).toEqual(['Report.txt'])

    expect((await call('DELETE', `/files/${encodeURIComponent(key)}`)).status).toBe(204)
    await expect.poll(() => names()).toEqual([])
  })
})

/** Returns what a file of the page exports, bundled for Node. */
async function bundled<Exports>(name: string): Promise<Exports> {
  const entry = join(app.directory, `src/${name}.ts`)
  const outDir = join(app.directory, 'dist')
  await build({
    configFile: false,
    logLevel: 'warn',
    resolve: { alias: { [CLIENT]: ENTRIES[CLIENT] ?? '' } },
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2022',
      lib: { entry, formats: ['es'], fileName: () => `${name}.js` },
      rolldownOptions: { external: /^node:/ },
    },
  })
  return import(join(outDir, `${name}.js`))
}
