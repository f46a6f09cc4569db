import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { startBuiltWorker, UNREACHABLE } from '../e2e/built-worker.ts'
import { codeBlocks, readPage } from './support/markdown.ts'
import { recipeFile } from './support/recipe.ts'
import { BROWSER, type Snippets, writeSnippets } from './support/snippets.ts'

/** The server that replaces better-upload's, with a login that reads a header. */
const SERVER = recipeFile('from-better-upload', 'lib/media.ts')
  .replace('authenticate() {', 'authenticate({ req }) {')
  .replace('currentUser()', 'currentUser(req.raw)')
  .replace('data/files.db', join(mkdtempSync(join(tmpdir(), 'edge-presigner-')), 'files.db'))

const photo = (name: string): string => readPage(`examples/better-upload/photos/${name}`)

/** Returns the compiler's errors for files for a browser; empty when there are none. */
async function typeErrorsInBrowser(files: Readonly<Record<string, string>>): Promise<string> {
  const snippets = writeSnippets(files, { compilerOptions: BROWSER })
  try {
    return await snippets.typeErrors()
  } finally {
    snippets.remove()
  }
}

/** Returns `src/uppy.ts` for Uppy 6 (0), for its Companion mode (1), or for Uppy 5 and older (2). */
const uppy = (nth: number): string => recipeFile('from-uppy-companion', 'src/uppy.ts', nth)

/** The login, which the page leaves to its readers. */
const SESSION = `
export const currentUser = async (request: Request): Promise<{ id: string } | null> => {
  const id = request.headers.get('X-Test-User')
  return id === null ? null : { id }
}
`
/** Calls the routes as a server would, and a Worker with its token. */
const MAIN = `
import { media } from './server.ts'
import { media as withCors } from './server-with-cors.ts'

const preflight = await withCors.fetch(new Request('https://localhost:3000/api/media/files/upload-url', {
  method: 'OPTIONS',
  headers: { Origin: 'https://admin.example.com', 'Access-Control-Request-Method': 'POST' },
}), process.env)
const fetchMedia = async (request: Request) => media.fetch(request, process.env)
const statusOf = async (path: string) => (await fetchMedia(new Request('http://app' + path))).status
const ask = async (request: Request) => {
  const response = await fetchMedia(request)
  return { status: response.status, body: await response.json() }
}
const upload = (user: string | null, bucket: string, file: object) =>
  ask(new Request('http://app/api/media/files/upload-url', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...(user && { 'X-Test-User': user }) },
    body: JSON.stringify({ bucket, ...file }),
  }))
const image = { fileName: 'a.png', mimetype: 'image/png', size: 5 }
/** Each method, with the status of its response. */
const methods: Record<string, number> = {}
for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
  const response = await fetchMedia(new Request('http://app/api/media/healthz', { method }))
  methods[method + (response.headers.has('X-Request-Id') ? '' : ' elsewhere')] = response.status
}
const linked = new Request('https://localhost:3000/api/media/files/users%2Fann%2Fa.png/link', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', 'X-Test-User': 'ann' },
  body: '{}',
})
console.log(JSON.stringify({
  methods,
  preflight: [preflight.status, preflight.headers.get('Access-Control-Allow-Origin')],
  elsewhere: [await statusOf('/healthz'), await statusOf('/api/medias/healthz')],
  link: await ask(linked),
  health: await ask(new Request('http://app/api/media/healthz')),
  image: await upload('ann/x', 'images', image),
  nobody: await upload(null, 'images', image),
  large: await upload('ann', 'images', { ...image, size: 20_000_001 }),
  type: await upload('ann', 'documents', image),
  name: await upload('ann', 'images', { ...image, fileName: 'n'.repeat(101) + '.png' }),
}))
`

let server: Snippets
beforeAll(() => {
  server = writeSnippets(
    {
      'server.ts': SERVER,
      'server-with-cors.ts': SERVER.replace(
        '...env,',
        "...env,\n  corsOrigins: ['https://admin.example.com'],",
      ),
      'session.ts': SESSION,
      'main.ts': MAIN,
      'mint-file-token.ts': readPage('examples/token-server/mint-file-token.ts'),
      'process.d.ts': 'declare const process: { env: Record<string, string | undefined> }',
    },
    { aliases: { './session': 'session.ts' } },
  )
})
afterAll(() => server.remove())

describe('the migration pages', () => {
  it('compile on a server', async () => expect(await server.typeErrors()).toBe(''))

  it('compile in a browser', async () => {
    const files = {
      'companion/file-token.ts': readPage('examples/react-app/src/file-token.ts'),
      'companion/uppy.ts': uppy(0),
      'companion/after.ts': recipeFile('from-uppy-companion', 'src/after-upload.ts'),
      'companion/mode.ts': uppy(1),
      'companion/current-user.ts': recipeFile('from-uppy-companion', 'src/current-user.ts'),
      'better/current-user.ts': photo('current-user.ts'),
      'better/client.ts': photo('images.ts'),
      'better/upload-files.ts': photo('upload-files.ts'),
    }
    expect(await typeErrorsInBrowser(files)).toBe('')
    const wrong = { ...files, 'better/client.ts': files['better/client.ts'].replace('Url', 'Uri') }
    expect(await typeErrorsInBrowser(wrong)).toContain('baseUri')
  })

  it('show the same code as docs/uppy.md for Uppy 5 and older', () => {
    const [, section = ''] = readPage('docs/uppy.md').split('## Companion mode, Uppy 2 to 5')
    const options = (code: string) => code.replaceAll('jwt', 'token')
    expect(options(codeBlocks(section)[0]?.code ?? '')).toBe(uppy(2))
  })
})

describe('the server that replaces better-upload', () => {
  it('checks the user, the folder, types and sizes, and gives reasons', async () => {
    const env = {
      S3_ENDPOINT: 'http://127.0.0.1:9',
      S3_REGION: 'us-east-1',
      S3_BUCKET: 'acme-files',
      S3_ACCESS_KEY_ID: 'id',
      S3_SECRET_ACCESS_KEY: 'secret',
      SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
      LINK_BASE: 'https://app.example.com/api/media',
    }
    const lines = (await server.run('main.ts', env)).trim().split('\n')
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      methods: {
        ...{ GET: 200, HEAD: 200, POST: 401, PUT: 401, PATCH: 401, DELETE: 401, OPTIONS: 401 },
      },
      preflight: [204, 'https://admin.example.com'],
      elsewhere: [404, 404],
      link: {
        body: {
          link: expect.stringMatching('^https://app.example.com/api/media/i/images/users%2Fann'),
        },
      },
      health: { status: 200, body: { status: 'ok', edgeCache: false } },
      image: {
        status: 200,
        body: { key: expect.stringMatching(/^users\/ann%2Fx\/uploads\/gallery\/.*-a\.png$/) },
      },
      nobody: { status: 401, body: { code: 'unauthenticated' } },
      large: { status: 413, body: { code: 'file_too_large' } },
      type: { status: 400, body: { code: 'mimetype_not_allowed' } },
      name: {
        status: 403,
        body: { code: 'forbidden', message: expect.stringContaining('100 characters') },
      },
    })
  })
})

describe('uploadFiles, which replaces better-upload,', () => {
  it('gives the client all files at once, reports failures, and continues', async () => {
    const page = writeSnippets({
      'upload-files.ts': photo('upload-files.ts'),
      'main.ts': `
        import { uploadFiles } from './upload-files.ts'

        let running = 0
        let most = 0
        const client = {
          async upload(file, { onProgress }) {
            most = Math.max(most, ++running)
            onProgress({ loaded: file.size, total: file.size })
            await new Promise((resolve) => setTimeout(resolve, 5))
            running--
            if (file.name === '2') throw new Error('refused')
            return { key: file.name }
          },
        }
        const files = [...'0123456'].map((name) => new File(['12345'], name))
        const shares = []
        const result = await uploadFiles(client, files, { onProgress: (share) => shares.push(share) })
        console.log(JSON.stringify({
          most,
          keys: result.files.map(({ key }) => key).sort(),
          failed: result.failed.map(({ file, message }) => file.name + message),
          shares,
          left: files.length,
        }))`,
    })
    try {
      expect(JSON.parse(await page.run('main.ts', {}))).toEqual({
        most: 7,
        keys: ['0', '1', '3', '4', '5', '6'],
        failed: ['2Error: refused'],
        shares: [1, 2, 3, 4, 5, 6, 7].map((sent) => sent / 7),
        left: 7,
      })
    } finally {
      page.remove()
    }
  })
})

describe('the token for a page that used Companion', () => {
  it("lets Uppy 6 upload in Companion mode, only under the user's prefix", async () => {
    const key = `ep_app_${'0123456789'.repeat(5).slice(0, 43)}`
    const sha256 = Buffer.from(
      await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key)),
    ).toString('hex')
    const [, list = ''] = /--scopes (\S+)/.exec(readPage('docs/recipes/README.md')) ?? []
    const scopes = list.split(',')
    const worker = await startBuiltWorker({
      ...UNREACHABLE,
      variables: { API_KEYS: JSON.stringify([{ id: 'app', sha256, scopes, prefix: 'users/' }]) },
    })
    try {
      writeFileSync(
        join(server.directory, 'print.ts'),
        "import { mintFileToken } from './mint-file-token.ts'\nconsole.log(await mintFileToken('ann'))",
      )
      const env = { PRESIGNER_URL: worker.origin, PRESIGNER_KEY: key }
      const token = (await server.run('print.ts', env)).trim()
      const { url, fields } = z
        .object({ url: z.string(), fields: z.record(z.string(), z.string()) })
        .parse(
          await (
            await fetch(`${worker.origin}/u/${token}/s3/params?filename=a.png&type=image/png`)
          ).json(),
        )
      expect(url).toContain('127.0.0.1:9/files')
      expect(fields.key).toMatch(/^users\/ann\/uploads\//)
      const foreign = await fetch(`${worker.origin}/u/${token}/files/users%2Fbob%2Fa.png/url`)
      expect(foreign.status).toBe(403)
    } finally {
      await worker.close()
    }
  })
})
