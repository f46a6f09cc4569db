import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startS3rver } from '../../cli/s3rver.ts'
import { SCOPES } from '../../src/access/scopes.ts'
import { signatureHeaders } from '../../src/plugins/events/webhook.ts'
import { startBuiltWorker } from '../e2e/built-worker.ts'
import { codeBlocks, markedBlock, readPage } from './support/markdown.ts'
import { type Snippets, writeSnippets } from './support/snippets.ts'

const PAGE = 'docs/server.md'
const MARKS = ['client', 'tokens', 'upload', 'files', 'errors', 'webhook']
const block = (mark: string): string => markedBlock(PAGE, mark)

/** Calls what the page's modules export. */
const USE_TOKENS = `
import { tokenFor } from './tokens.ts'
const [, claims = ''] = (await tokenFor('alice')).split('.')
console.log(Buffer.from(claims, 'base64url').toString())
`
const USE_WEBHOOK = `
import { POST } from './webhook.ts'
const { headers, body } = JSON.parse(process.env.WEBHOOK ?? '')
for (const sent of [body, body + ' ']) {
  const request = new Request('https://app.example.com', { method: 'POST', headers, body: sent })
  console.log((await POST(request)).status)
}
`

describe(PAGE, () => {
  const stack = new AsyncDisposableStack()
  let snippets: Snippets
  let env: NodeJS.ProcessEnv

  beforeAll(async () => {
    const directory = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rmSync(directory, { recursive: true }))
    mkdirSync(join(directory, 'reports'))
    writeFileSync(join(directory, 'reports/2026-11.pdf'), '%PDF-1.7')
    const s3 = await startS3rver({
      port: 0,
      directory: join(directory, 's3'),
      corsOrigins: ['http://localhost:8787'],
    })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    const apiKey = `ep_app_${randomBytes(32).toString('base64url')}`
    const sha256 = createHash('sha256').update(apiKey).digest('hex')
    const worker = await startBuiltWorker({
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: { API_KEYS: JSON.stringify([{ id: 'app', sha256, scopes: SCOPES, prefix: '' }]) },
    })
    stack.defer(() => worker.close())
    snippets = writeSnippets(
      {
        'presigner.ts': block('client'),
        ...Object.fromEntries(MARKS.slice(1).map((mark) => [`${mark}.ts`, block(mark)])),
        'use-tokens.ts': USE_TOKENS,
        'use-webhook.ts': USE_WEBHOOK,
        'in-folder.ts': `process.chdir(process.env.FOLDER ?? '')\nawait import('./upload.ts')\nexport {}\n`,
      },
      { compilerOptions: { types: ['node'] } },
    )
    stack.defer(() => snippets.remove())
    env = { PRESIGNER_URL: worker.origin, PRESIGNER_KEY: apiKey, FOLDER: directory }
  })
  afterAll(() => stack.disposeAsync())

  it('has only code that a test here runs', () => {
    const blocks = codeBlocks(readPage(PAGE))
    const signer = ['signer', 'node'] // test/docs/mount.slow.test.ts
    expect(blocks.map(({ mark }) => mark).filter((mark) => mark !== '')).toEqual([
      ...[...MARKS, ...signer],
    ])
    expect(blocks.filter(({ mark }) => mark === '').map(({ language }) => language)).toEqual(['sh'])
  })

  it('has code that compiles', async () => {
    expect(await snippets.typeErrors()).toBe('')
  })

  it('creates a token for a user', async () => {
    expect(await snippets.run('use-tokens.ts', env)).toMatch(/"id":"key:app\/alice"/)
  })

  it('uploads a file, a Buffer and a generator', async () => {
    expect(JSON.parse(await snippets.run('in-folder.ts', env))).toEqual([
      ['2026-11.pdf', 8],
      ['hello.txt', 5],
      ['people.csv', 22],
    ])
  })

  it('signs, renames, lists and deletes', async () => {
    expect(await snippets.run('files.ts', env)).toMatch(/^hello hello\nGreeting\.txt\n/)
  })

  it('shows the error that it describes', async () => {
    const [, comment] = / \/\/ (invalid_expiry .*)/.exec(block('errors')) ?? []
    expect(await snippets.run('errors.ts', env)).toBe(`${comment}\n`)
  })

  it('verifies a webhook', async () => {
    const secret = `whsec_${randomBytes(24).toString('base64')}`
    const data = {
      file: { bucket: 'files', key: 'a' },
      principal: null,
      subject: null,
      context: null,
    }
    const now = new Date()
    const body = JSON.stringify({ type: 'file.deleted', timestamp: now.toISOString(), data })
    const headers = await signatureHeaders([secret], 'evt_1', body, now)
    const WEBHOOK = JSON.stringify({ headers, body })
    const printed = await snippets.run('use-webhook.ts', {
      ...env,
      WEBHOOK_SECRET: secret,
      WEBHOOK,
    })
    expect(printed).toBe('204\n400\n')
  })
})
