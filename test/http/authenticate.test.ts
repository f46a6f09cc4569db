import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { type TestApiKey, testApiKey } from '../support/credentials.ts'
import { runs } from '../support/fuzz.ts'
import { jwtVariable, testIssuer } from '../support/issuer.ts'
import { type TestWorker, testWorker } from '../support/worker.ts'

let worker: TestWorker
let behindAccess: TestWorker
let apiKey: TestApiKey
let jwt: string

beforeAll(async () => {
  const issuer = await testIssuer()
  jwt = await issuer.sign()
  apiKey = await testApiKey('ci', SCOPES)
  const variables = { OPEN_ACCESS: undefined, API_KEYS: [apiKey.entry], JWT: jwtVariable(issuer) }
  worker = testWorker(variables)
  behindAccess = testWorker({
    ...variables,
    JWT: { ...jwtVariable(issuer), header: 'Cf-Access-Jwt-Assertion' },
  })
})

it('answers malformed credentials of every kind with 401, never with 500', async () => {
  const scrap = fc.oneof(
    fc.constantFrom(
      'ep_',
      'ept_',
      'ep_ci_',
      'eyJhbGciOiJFUzI1NiJ9',
      '.',
      '..',
      'Bearer',
      'bearer ',
      ' ',
      '=',
      '_',
      '%00',
    ),
    fc.string({ maxLength: 60 }).map((text) => text.replace(/[^\x20-\x7e]/g, '~')),
    fc.nat(2000).map((length) => 'A'.repeat(length)),
  )
  const credentials = fc.array(scrap, { maxLength: 6 }).map((scraps) => scraps.join(''))
  await fc.assert(
    fc.asyncProperty(credentials, async (text) => {
      const inHeader = await worker.fetch('/files', {
        headers: { Authorization: `Bearer ${text}` },
      })
      expect(inHeader.status).toBe(401)
      const inPath = await worker.fetch(`/u/${encodeURIComponent(text) || '-'}/files`)
      expect(inPath.status).toBe(401)
    }),
    { numRuns: runs(300) },
  )
})

it('accepts a JWT only in the header that the settings name', async () => {
  const inAuthorization = { headers: { Authorization: `Bearer ${jwt}` } }
  const inAccess = { headers: { 'Cf-Access-Jwt-Assertion': jwt } }
  expect((await worker.fetch('/files', inAuthorization)).status).toBe(200)
  expect((await worker.fetch('/files', inAccess)).status).toBe(401)
  expect((await behindAccess.fetch('/files', inAccess)).status).toBe(200)
  expect((await behindAccess.fetch('/files', inAuthorization)).status).toBe(401)
})

it('accepts the scheme in upper and lower case', async () => {
  for (const scheme of ['Bearer', 'bearer', 'BEARER'])
    expect(
      (await worker.fetch('/files', { headers: { Authorization: `${scheme} ${apiKey.token}` } }))
        .status,
    ).toBe(200)
})

it('refuses invalid credentials on a Worker that needs none', async () => {
  const open = testWorker()
  expect((await open.fetch('/files')).status).toBe(200)
  expect((await open.fetch('/files', { headers: { Authorization: 'Bearer x' } })).status).toBe(401)
})
