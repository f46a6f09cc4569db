import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { codeBlocks, markedBlock, readPage } from './support/markdown.ts'
import { type Snippets, writeSnippets } from './support/snippets.ts'

const PAGE = 'docs/recipes/plugin.md'
const MAX_LINES = 40

/** The login and the settings, which the page leaves to its readers. */
const SESSION = `
export const currentUser = async ({ headers }: Request): Promise<{ id: string } | null> => {
  const id = headers.get('X-User')
  return id === null ? null : { id }
}
`
const SETTINGS = `
import { defineSettings } from 'edge-presigner'

interface Env {
  OPEN_SECONDS: number
}
export const settings = defineSettings((_: Env) => ({
  buckets: {
    files: {
      endpoint: 'https://s3.example.com',
      region: 'us-east-1',
      bucket: 'files',
      credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    },
  },
  signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
}))
`
const MAIN = `
import { media } from './media.ts'

console.log = () => undefined // the log of requests
const ask = async (path: string, env: { OPEN_SECONDS: number }, headers = {}) => {
  const response = await media.fetch(new Request('http://app' + path, { headers }), env)
  return {
    status: response.status,
    url: response.headers.get('Location'),
    kept: response.headers.get('Cache-Control'),
    body: (await response.text()) || null,
  }
}
const ann = { 'X-User': 'ann' }
const env = { OPEN_SECONDS: 90 }
const open = '/files/users%2Fann%2Fa.pdf/open'
console.info(JSON.stringify({
  own: await ask(open, env, ann),
  foreign: await ask(open, env, { 'X-User': 'bob' }),
  nobody: await ask(open, env),
  health: await ask('/healthz', { OPEN_SECONDS: 0 }),
}))
`

let snippets: Snippets
beforeAll(() => {
  snippets = writeSnippets({
    'open.ts': markedBlock(PAGE, 'open'),
    'media.ts': markedBlock(PAGE, 'media'),
    'session.ts': SESSION,
    'settings.ts': SETTINGS,
    'main.ts': MAIN,
  })
})
afterAll(() => snippets.remove())

describe('the plugin in docs/recipes/plugin.md', () => {
  it(`has at most ${MAX_LINES} lines, and compiles`, async () => {
    expect(codeBlocks(readPage(PAGE)).map(({ mark }) => mark)).toEqual(['open', 'media'])
    expect(markedBlock(PAGE, 'open').trim().split('\n').length).toBeLessThanOrEqual(MAX_LINES)
    expect(await snippets.typeErrors()).toBe('')
  })

  it('redirects to a signed URL with its own lifetime, only for keys of the caller', async () => {
    const { own, foreign, nobody, health } = JSON.parse(await snippets.run('main.ts', {}))
    const { pathname, searchParams } = new URL(own.url)
    expect(own).toMatchObject({ status: 302, kept: 'no-store' })
    expect(pathname).toBe('/files/users/ann/a.pdf')
    expect(searchParams.get('X-Amz-Expires')).toBe('90')
    expect(searchParams.get('X-Amz-Signature')).toMatch(/^[0-9a-f]{64}$/)
    expect(foreign).toMatchObject({ status: 403, url: null })
    expect(nobody).toMatchObject({ status: 401, url: null })
    expect(health.status).toBe(503)
    expect(JSON.parse(health.body).issues).toEqual([
      { path: 'open.seconds', message: 'must be a whole number from 1 to 3600' },
    ])
  })
})
