import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startS3rver } from '../../cli/s3rver.ts'
import { configWithD1, startBuiltWorker } from '../e2e/built-worker.ts'
import { markedBlock } from './support/markdown.ts'
import { type Snippets, writeSnippets } from './support/snippets.ts'

const PAGE = 'docs/login.md'
/** Uploads a file with a token of Ann. Prints its key, and what the token and a later one may do. */
const UPLOAD = `
import { createServerClient } from 'edge-presigner-client/server'
import { tokenFor } from './token.ts'
const { PRESIGNER_URL: baseUrl = '' } = process.env
const limitsOf = async (apiKey: string) => {
  const headers = { Authorization: 'Bearer ' + apiKey }
  return (await fetch(baseUrl + '/limits', { headers })).json()
}
const token = await tokenFor('ann')
const presigner = createServerClient({ baseUrl, apiKey: token })
const file = { fileName: 'a.pdf', mimetype: 'application/pdf' }
const { key, owner } = await presigner.upload(Buffer.alloc(20, 1), file)
console.log(JSON.stringify([key, owner, await limitsOf(token), await limitsOf(await tokenFor('ann'))]))
`

describe(PAGE, () => {
  const stack = new AsyncDisposableStack()
  let snippets: Snippets
  let env: NodeJS.ProcessEnv

  beforeAll(async () => {
    const directory = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rmSync(directory, { recursive: true }))
    const s3 = await startS3rver({
      port: 0,
      directory: join(directory, 's3'),
      corsOrigins: ['http://localhost:8787'],
    })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    const apiKey = `ep_app_${randomBytes(32).toString('base64url')}`
    const sha256 = createHash('sha256').update(apiKey).digest('hex')
    const scopes = ['tokens:create', 'files:upload', 'files:read', 'files:list', 'links:create']
    const worker = await startBuiltWorker({
      configPath: await configWithD1(directory),
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: { API_KEYS: JSON.stringify([{ id: 'app', sha256, scopes, prefix: 'users/' }]) },
    })
    stack.defer(() => worker.close())
    env = { PRESIGNER_URL: worker.origin, PRESIGNER_KEY: apiKey }
    // With the quota of the page, the test would have to upload a gigabyte.
    const code = markedBlock(PAGE, 'token').replace('1_000_000_000', '20')
    snippets = writeSnippets(
      { 'token.ts': code, 'upload.ts': UPLOAD },
      { compilerOptions: { types: ['node'] } },
    )
    stack.defer(() => snippets.remove())
  })
  afterAll(() => stack.disposeAsync())

  it('has code that compiles', async () => {
    expect(await snippets.typeErrors()).toBe('')
  })

  it('gives a user a token for their own files, and none to upload beyond the quota', async () => {
    const printed = await snippets.run('upload.ts', env)
    const [key, owner, before, after]: unknown[] = JSON.parse(printed)
    expect(key).toMatch(/^users\/ann\/uploads\//)
    expect(owner).toBe('key:app/ann')
    const scopes = ['files:read', 'files:list', 'links:create']
    const limits = { prefix: 'users/ann/', buckets: [{ bucket: 'files', maxBytes: 10_000_000 }] }
    expect(before).toMatchObject({ ...limits, scopes: ['files:upload', ...scopes] })
    expect(after).toMatchObject({ ...limits, scopes })
  })
})
