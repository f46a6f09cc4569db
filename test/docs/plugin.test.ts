import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { codeBlocks, markedBlock, readPage } from './support/markdown.ts'
import { type Snippets, writeSnippets } from './support/snippets.ts'

const PAGE = 'docs/recipes/plugin.md'
const MAX_LINES = 40
const WORKER = readPage('template/src/worker.ts')

/** Returns the Worker of a created project, with the lines of the excerpt that it lacks. */
function followed(): string {
  const [imported = '', ...lines] = markedBlock(PAGE, 'worker').trim().split('\n')
  const rest = lines.join('\n').trim()
  const old = rest.split('\n').filter((line) => !/^ *open\(/.test(line))
  expect(WORKER).toContain(old.join('\n'))
  return `${imported}\n${WORKER.replace(old.join('\n'), rest)}`
}

/** The same plugin where Node can run it, in an app with a login that also refuses. */
const MAIN = `
import { createPresigner, defineSettings } from 'edge-presigner'
import { open } from './src/open.ts'

interface Env {
  OPEN_SECONDS: number
}
const bucket = {
  endpoint: 'https://s3.example.com',
  region: 'us-east-1',
  bucket: 'files',
  credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
}
const settings = defineSettings((_: Env) => ({
  buckets: { files: bucket, other: { ...bucket, bucket: 'other' } },
  signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
}))
const media = createPresigner(settings, {
  plugins: [open({ seconds: (env) => env.OPEN_SECONDS })],
  async authenticate({ req }) {
    const id = req.header('X-User')
    if (id === undefined) return null
    const scopes = req.header('X-Scope') === undefined ? ['files:read' as const] : []
    return { id, scopes, prefix: 'users/' + id + '/', limits: { buckets: ['files'] } }
  },
  beforeDownload: ({ key }) => (key.endsWith('.lock') ? { refuse: 'It is locked.' } : undefined),
})
console.log = () => undefined // the log of requests
const ask = async (path: string, env: Env, headers = {}) => {
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
const open1 = '/files/users%2Fann%2Fa.pdf/open'
console.info(JSON.stringify({
  own: await ask(open1, env, ann),
  refused: {
    'of somebody else': await ask(open1, env, { 'X-User': 'bob' }),
    'without the scope': await ask(open1, env, { ...ann, 'X-Scope': 'none' }),
    'of another bucket': await ask(open1 + '?bucket=other', env, ann),
    'that the app refuses': await ask('/files/users%2Fann%2Fa.lock/open', env, ann),
  },
  nobody: await ask(open1, env),
  health: await ask('/healthz', { OPEN_SECONDS: 0 }),
}))
`

let snippets: Snippets
beforeAll(() => {
  snippets = writeSnippets({
    'src/open.ts': markedBlock(PAGE, 'open'),
    'src/worker.ts': followed(),
    'main.ts': MAIN,
  })
})
afterAll(() => snippets.remove())

describe('the plugin in docs/recipes/plugin.md', () => {
  it(`has at most ${MAX_LINES} lines, and compiles in a created project`, async () => {
    expect(codeBlocks(readPage(PAGE)).map(({ mark }) => mark)).toEqual(['open', 'worker'])
    expect(markedBlock(PAGE, 'open').trim().split('\n').length).toBeLessThanOrEqual(MAX_LINES)
    expect(followed().split('\n').length).toBe(WORKER.split('\n').length + 2)
    expect(await snippets.typeErrors()).toBe('')
  })

  // @threat download-refused
  it('redirects to a signed URL with its own lifetime, only for files that the caller may read', async () => {
    const { own, refused, nobody, health } = JSON.parse(await snippets.run('main.ts', {}))
    const { pathname, searchParams } = new URL(own.url)
    expect(own).toMatchObject({ status: 302, kept: 'no-store' })
    expect(pathname).toBe('/files/users/ann/a.pdf')
    expect(searchParams.get('X-Amz-Expires')).toBe('90')
    expect(searchParams.get('X-Amz-Signature')).toMatch(/^[0-9a-f]{64}$/)
    for (const [file, answer] of Object.entries(refused))
      expect.soft(answer, file).toMatchObject({ status: 403, url: null })
    expect(nobody).toMatchObject({ status: 401, url: null })
    expect(health.status).toBe(503)
    expect(JSON.parse(health.body).issues).toEqual([
      { path: 'open.seconds', message: 'must be a whole number from 1 to 3600' },
    ])
  })
})
