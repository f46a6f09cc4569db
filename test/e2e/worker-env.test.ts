import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { unstable_getVarsForDev as variablesOf } from 'wrangler'
import { bucketNames, hintFor, writeWorkerEnv } from '../../cli/worker-env.ts'

it.each([
  ['a quote', "users/o'brien/"],
  ['a quote before a hash', "users/o'brien#1/"],
  ['a reference to a variable', 'team$HOME/$PATH/'],
  ['a backslash before a dollar sign', 'a\\$HOME/'],
  ['other marks', '"#`\\n\\\' é/'],
])('npm run dev passes a prefix with %s to the Worker unchanged', async (_, prefix) => {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  await using _directory = {
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
  const file = join(directory, 'worker.env')
  const entry = { id: 'app', sha256: '0'.repeat(64), scopes: ['files:read'], prefix }
  await writeWorkerEnv(file, {
    s3: undefined,
    given: { API_KEYS: JSON.stringify([entry]) },
    apiKey: 'key',
    origin: 'http://localhost:8787',
  })
  const { API_KEYS } = variablesOf(join(directory, 'wrangler.toml'), [file], {}, undefined, true)
  expect(JSON.parse(String(API_KEYS?.value))).toEqual([
    entry,
    expect.objectContaining({ id: 'localhost' }),
  ])
})

it('says how to use .dev.vars only if that changes something', () => {
  const secrets = { SIGNING_SECRETS: 'k1:new', S3_ACCESS_KEY_ID: '', S3_SECRET_ACCESS_KEY: '' }
  expect(hintFor('.dev.vars', secrets)).toBeUndefined()
  const filled = { ...secrets, S3_ACCESS_KEY_ID: 'AK' }
  expect(hintFor('.dev.vars', filled)).toContain('add --env-file .dev.vars')
  expect(hintFor('.dev.vars', { ...secrets, WEBHOOKS: '[]' })).toBe(
    'Not used: WEBHOOKS of .dev.vars. To use the file, add --vars .dev.vars.',
  )
  // `--vars .dev.vars` must then be possible.
  expect([bucketNames(secrets), bucketNames(filled)]).toEqual([[], ['S3_ACCESS_KEY_ID']])
})
