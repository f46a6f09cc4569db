import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { chooseByKeyboard } from '../e2e/chromium.ts'
import { CHROMIUM, describeWith } from '../e2e/system-package.ts'
import {
  alerts,
  expectListed,
  expectLogOuts,
  expectUploads,
  ORIGINAL,
  open,
  PDF,
  PNG,
  THUMBNAIL,
} from './support/files-page.ts'
import { EXAMPLES, type Reader, type Readers, startReaders } from './support/follow.ts'
import { USER_OF_PAGE } from './support/log-out.ts'
import { ROOT } from './support/markdown.ts'
import { FOLLOWED } from './support/recipe.ts'

/** The members of the responses that the tests need. */
const answer = z.object({
  token: z.catch(z.string(), ''),
  uploadUrl: z.catch(z.string(), ''),
  key: z.catch(z.string(), ''),
  files: z.catch(z.array(z.unknown()), []),
})
type Answer = z.infer<typeof answer>

/** An app with Uppy, which the reader of the migration has. `server` is its own server. */
const uppyApp = (server: string): Readonly<Record<string, string>> => ({
  'vite.config.ts': `export default { server: { proxy: { '/api': '${server}' } } }`,
  'src/main.ts': `
import './after-upload'
import { client, uppy } from './uppy'

const input = Object.assign(document.createElement('input'), { type: 'file', multiple: true })
input.onchange = () => {
  uppy.addFiles([...(input.files ?? [])].map((data) => ({ name: data.name, type: data.type, data })))
  void uppy.upload()
}
const button = Object.assign(document.createElement('button'), { textContent: 'Log out' })
button.onclick = () => client.end()
document.body.append(input, button)
`,
})

let readers: Readers
beforeAll(async () => {
  readers = await startReaders()
})
afterAll(() => readers?.[Symbol.asyncDispose]())

/** An upload that fails can be tried again, and a screen reader knows what happens. */
async function expectAnotherTry(page: Page): Promise<void> {
  let isFailing = true
  await page.route('http://127.0.0.1:*/**', async (route) =>
    isFailing && route.request().method() === 'PUT'
      ? route.fulfill({ status: 400, headers: { 'Access-Control-Allow-Origin': '*' } })
      : route.continue(),
  )
  await chooseByKeyboard(page, PDF)
  await page.waitForSelector('[aria-label=Uploads] [role=alert]')
  await page.addScriptTag({ path: join(ROOT, 'node_modules/axe-core/axe.min.js') })
  const violations = 'axe.run().then(({ violations }) => violations.map(({ id }) => id))'
  expect(await page.evaluate(violations)).toEqual([])
  isFailing = false
  await page.click('text=Try again')
  await page.waitForSelector('[role=status] >> text=1 of 1 files uploaded.')
  await page.click('text=Hide')
  await page.click(`button[aria-label="Delete ${PDF.name}"]`)
  await page.waitForSelector('text=No files yet.')
}

/**
 * The logins of the recipes, for which everybody is `demo`: of a page, and of servers, which read a
 * cookie here. Somebody without a cookie is still `demo`.
 */
const PAGE_LOGIN = `export const currentUser = (): string | null => ${USER_OF_PAGE} ?? 'demo'\n`
const DEMO = "({ id: 'demo' })"
const EXPRESS_LOGIN = {
  'async (_: Request)': 'async ({ headers }: Request)',
  [DEMO]: "({ id: /user=(\\w+)/.exec(headers.cookie ?? '')?.[1] ?? 'demo' })",
}
/** Lets an app with Vite get tokens from the server of the recipe for Express. */
async function useTokens(reader: Reader, server: Reader): Promise<void> {
  const write = (path: string, text: string) => writeFile(join(reader.folder(), path), text)
  const text = await readFile(join(reader.folder(), 'vite.config.ts'), 'utf8')
  const config = text.replace(/^ *server: \{ proxy.*\n/m, '') // of the recipe for React
  await write('src/current-user.ts', PAGE_LOGIN)
  await write('.env.local', `VITE_PRESIGNER_URL=${readers.worker}\n`)
  const proxy = `server: { proxy: { '/api': '${server.origin()}' } }`
  await write('vite.config.ts', config.replace('defineConfig({', `defineConfig({ ${proxy},`))
}

/** Starts examples/token-server, with a login that reads a cookie. */
async function startTokenServer(): Promise<Reader> {
  const server = await readers.start()
  await copyTokenServer(server)
  await server.run('npm start')
  return server
}

async function copyTokenServer(server: Reader): Promise<void> {
  const files = '{package.json,server.ts,mint-file-token.ts,session.ts}'
  await server.run(`curl -fsSL '${EXAMPLES}token-server/${files}' -o '#1'\nnpm install`)
  const session = join(server.folder(), 'session.ts')
  let text = await readFile(session, 'utf8')
  for (const [from, to] of Object.entries(EXPRESS_LOGIN)) text = text.replace(from, to)
  await writeFile(session, text)
}

/** The sections of the plain page that another recipe names. */
const PLAIN_PAGE = ['', 'Page', 'Server']

describeWith([CHROMIUM], 'a reader who follows', () => {
  it('plain-html.md', async () => {
    await using reader = await readers.start()
    await reader.follow('plain-html', { sections: ['', 'Page', 'Run it'] })
    await using page = await open(reader.origin())
    await expectUploads(page)
  })

  it('plain-html.md, with tokens', async () => {
    await using reader = await readers.start()
    // Before the server, whose package.json npm would find above the folder of the page.
    await reader.follow('plain-html', { sections: PLAIN_PAGE, folder: 'public' })
    await copyTokenServer(reader)
    await writeFile(
      join(reader.folder(), 'public/presigner.js'),
      `import { currentUser } from './current-user.js'
import { createClient } from './edge-presigner-client.js'
import { fileToken } from './file-token.js'
export const presigner = createClient({
  baseUrl: '${readers.worker}', token: fileToken, user: currentUser,
})
`,
    )
    await reader.run('npm start')
    await using page = await open(reader.origin())
    await expectUploads(page)
  })

  it('the README of examples/mounted-app', async () => {
    await using reader = await readers.start({ project: 'own' })
    const files = [
      ...['package.json', 'tsconfig.json', 'build.js', 'wrangler.toml', 'src/app-env.ts'],
      ...['src/index.ts', 'src/media.ts', 'src/session.ts'],
      ...['public/index.html', 'public/style.css', 'public/page.js'],
    ]
    await reader.run(`curl -fsSL --create-dirs '${EXAMPLES}mounted-app/{${files}}' -o '#1'
npm install
npm install @20minutes/s3rver@5
npm run check
echo 'SESSION_SECRET=0123456789abcdef0123456789abcdef' > .dev.vars
echo 'PASSWORD=secret' >> .dev.vars`)
    await reader.run('npx edge-presigner dev --bucket .dev.vars')
    await reader.run('npm run dev -- --port 8788')
    const logIn = async (user: string, page: Page | undefined) => {
      await page?.fill('[name=user]', user)
      await page?.fill('[name=password]', 'secret')
      await page?.click('form button')
      await page?.waitForSelector('main:not([hidden])')
    }
    {
      await using page = await open(reader.origin())
      await logIn('ada', page)
      await page.setInputFiles('[type=file]', [PNG, PDF])
      await expectListed(page, THUMBNAIL)
      await page.reload()
      await expectListed(page, THUMBNAIL)
    }
    await expectLogOuts(reader.origin(), { logIn: (user, _, page) => logIn(user, page) })
  })

  it.each([
    ['react', undefined],
    ['vue-svelte', 'Vue'],
    ['vue-svelte', 'Svelte'],
  ])('%s.md %s', async (name, framework) => {
    await using reader = await readers.start()
    await reader.follow(name, framework ? { sections: [framework, 'Run it'] } : {})
    await reader.run('npm run build')
    {
      await using page = await open(reader.origin())
      await expectUploads(page)
      // first-hour.full.test.ts has the errors of the page for React.
      if (name !== 'react') {
        await page.reload()
        await expectAnotherTry(page)
      }
    }
    await using server = await startTokenServer()
    await useTokens(reader, server)
    await reader.stop()
    await reader.run('npm run dev')
    await expectLogOuts(reader.origin())
  })

  it('from-better-upload.md', async () => {
    await using reader = await readers.start({ project: 'own' }) // with ports for a bucket
    await reader.run('npx create-next-app@latest my-app --empty --yes\ncd my-app')
    await reader.follow('from-better-upload', { sections: ['', 'Server', 'The page'] })
    const write = (path: string, text: string) => writeFile(join(reader.folder(), path), text)
    const read = (path: string) => readFile(join(reader.folder(), path), 'utf8')
    await write('app/photos/current-user.ts', PAGE_LOGIN)
    const session = await read('lib/session.ts')
    const login = session.replace(DEMO, "({ id: (await cookies()).get('user')?.value ?? 'demo' })")
    expect(login).not.toBe(session)
    await write('lib/session.ts', `import { cookies } from 'next/headers'\n${login}`)
    // The port of the page, which another program may have.
    const env = (await read('.env.local')).replaceAll(':3000', `:${reader.port('3000')}`)
    await write('.env.local', env)
    await reader.follow('from-better-upload', { sections: ['Run it'] })
    {
      await using page = await open(`${reader.origin()}/photos`)
      await page.setInputFiles('[type=file]', PNG)
      const width = () => page.$eval('img', (image) => Reflect.get(image, 'naturalWidth'))
      await expect.poll(width).toBe(ORIGINAL)
      expect(await alerts(page)).toBe('')
    }
    await expectLogOuts(`${reader.origin()}/photos`)
    await reader.stop()
    await reader.run('npm run build\nnpm start')
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const url = `${reader.origin()}/api/media/healthz`
      const { status, headers } = await fetch(url, { method })
      expect([method, status]).toEqual([method, /GET|HEAD/.test(method) ? 200 : 404])
      expect(headers.has('X-Request-Id')).toBe(true)
    }
  }, 900_000) // a page, its log-outs, and a build

  it('from-uppy-companion.md', async () => {
    await using server = await startTokenServer()
    await using reader = await readers.start()
    await reader.run('npm create vite@latest my-app -- --template vanilla-ts')
    await reader.run('cd my-app\nnpm install @uppy/core@6 @uppy/aws-s3@6')
    for (const [path, text] of Object.entries(uppyApp(server.origin())))
      await writeFile(join(reader.folder(), path), text)
    const worker = join(reader.folder(), '../my-files/src/worker.ts')
    const text = await readFile(worker, 'utf8')
    await writeFile(worker, text.replace('// edge.uppy', 'edge.uppy'))
    const isThere = async () =>
      (await fetch(`${readers.worker}/s3/sign`, { method: 'POST' })).status !== 404
    await expect.poll(isThere).toBe(true)
    const replace = { 'https://files.example.com': readers.worker }
    await reader.follow('from-uppy-companion', { replace })
    await reader.run('npm run build\nnpm run dev')
    await using page = await open(reader.origin())
    await page.setInputFiles('[type=file]', [PNG, PDF])
    await page.waitForSelector(`a:text-is("${PDF.name}")`)
    const width = () => page.$eval('a img', (image) => Reflect.get(image, 'naturalWidth'))
    await expect.poll(width).toBe(2 * THUMBNAIL)
    await writeFile(join(reader.folder(), 'src/current-user.ts'), PAGE_LOGIN)
    await expectLogOuts(reader.origin())
  })
})

describe('a reader who follows', () => {
  it('d1-index.md', async () => {
    await using reader = await readers.start({ project: 'own' })
    await reader.follow('d1-index')
    const post = async (path: string, body: object, token = ''): Promise<Answer> => {
      const response = await fetch(reader.origin() + path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...(token && { Authorization: token }) },
        body: JSON.stringify(body),
      })
      return answer.parse(await response.json())
    }
    const scopes = ['files:upload', 'files:read']
    const { token } = await post('/tokens', { scopes, prefix: 'users/demo/' })
    const file = { fileName: 'Boat.txt', mimetype: 'text/plain' }
    const { uploadUrl, key } = await post('/files/upload-url', file, `Bearer ${token}`)
    const headers = { 'Content-Type': 'text/plain' }
    await fetch(uploadUrl, { method: 'PUT', headers, body: 'hello' })
    await post('/files', { key, name: 'Boat.txt' }, `Bearer ${token}`)
    const query = '"SELECT key, name, size FROM files" --json'
    const commands = `cd ../files-index
npx wrangler d1 execute files-index --local --command ${query} | grep '"key": "${key}"'`
    const isFound = () =>
      reader.run(commands).then(
        () => true,
        () => false,
      )
    await expect.poll(isFound, { timeout: 60_000 }).toBe(true)
  })

  it('the README of examples/node-server', async () => {
    await using reader = await readers.start({ project: 'own' })
    const files = '{package.json,tsconfig.json,upload.js,src/app.ts,src/main.ts}'
    await reader.run(`curl -fsSL --create-dirs '${EXAMPLES}node-server/${files}' -o '#1'
npm install
npm install @20minutes/s3rver@5
echo 'LINK_BASE=https://files.example.com' > .env
echo 'USERS={"a-long-random-token": "ada"}' >> .env`)
    await reader.run('npx edge-presigner dev --bucket .env')
    await reader.run('npm run check\nnpm start')
    const { upload } = await import(join(reader.folder(), 'upload.js'))
    const token = 'a-long-random-token'
    const original = globalThis.fetch
    globalThis.fetch = (path, init) => original(new URL(String(path), reader.origin()), init)
    const key: string = await upload(new File(['hello'], 'a.txt', { type: 'text/plain' }), token)
    globalThis.fetch = original
    const headers = { Authorization: `Bearer ${token}` }
    const path = `${reader.origin()}/files/${encodeURIComponent(key)}`
    expect(await (await fetch(path, { headers })).text()).toBe('hello')
  })
})

it.each(FOLLOWED)('a reader has done every step of %s.md', (name) => {
  expect(readers.left(name)).toEqual([])
})
