import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shared } from '../e2e/shared.ts'
import { CHROMIUM, describeWith } from '../e2e/system-package.ts'
import {
  expectLogOuts,
  expectUploads,
  ORIGINAL,
  open,
  THUMBNAIL,
  WIDTH,
} from './support/files-page.ts'
import {
  createReader,
  freeAllPorts,
  newTerminal,
  type Reader,
  startOwnRegistry,
  stepsLeft,
} from './support/follow.ts'
import { type LogOut, USER_OF_PAGE } from './support/log-out.ts'
import { APP_NAMES, type AppName, IN_APP, IN_APP_PAGES } from './support/recipe.ts'

/** The page's script runs, and has asked for the list. Before that, a file input does nothing. */
const READY = { waitUntil: 'networkidle' } as const

const OLDEST_NODE = '22.16.0'

const DEMO = "id: 'demo'"
const userIn = (cookie: string) => `id: /user=(\\w+)/.exec(${cookie} ?? '')?.[1] ?? 'demo'`
type Change = readonly [file: string, from: string, to: string]
const PLAIN: Change = ['public/files.html', "() => 'demo'", `() => ${USER_OF_PAGE} ?? 'demo'`]

/** What the tests change in the files of an app: its login reads a cookie. Somebody without one is `demo`. */
const LOGINS: Readonly<Record<AppName, readonly Change[]>> = {
  next: [
    ['lib/session.ts', '/** Returns', "import { cookies } from 'next/headers'\n\n/** Returns"],
    ['lib/session.ts', DEMO, "id: (await cookies()).get('user')?.value ?? 'demo'"],
  ],
  express: [['session.mjs', DEMO, userIn('headers.cookie')], PLAIN],
  hono: [['src/session.ts', DEMO, userIn("c.req.header('Cookie')")], PLAIN],
  sveltekit: [
    ['src/lib/server/session.ts', '/**', "import { getRequestEvent } from '$app/server'\n\n/**"],
    ['src/lib/server/session.ts', DEMO, "id: getRequestEvent().cookies.get('user') ?? 'demo'"],
  ],
  astro: [
    ['src/server/session.ts', '_request', 'request'],
    ['src/server/session.ts', DEMO, userIn("request.headers.get('Cookie')")],
  ],
}
/** The frameworks with the plain page, which serves it as a file. */
const WITH_FILE: readonly AppName[] = ['express', 'hono']
/** The files with the base of links. */
const ENV: Readonly<Partial<Record<AppName, string>>> = {
  ...{ next: '.env.local', express: '.env', sveltekit: '.env', astro: '.env' },
}

/** In an app that makes its page on the server, that knows the next user after a reload. */
const logInOnServer =
  (url: string): NonNullable<LogOut['logIn']> =>
  async (user, context, page) => {
    await context.addCookies([{ name: 'user', value: user, url }])
    await page?.reload(READY)
  }

const taken = new Set<string>()
let registry: Awaited<ReturnType<typeof startOwnRegistry>>
beforeAll(async () => {
  registry = await startOwnRegistry()
})
afterAll(() => registry?.[Symbol.asyncDispose]())

/** Replaces text in a file of the reader's app. Throws if it isn't there. */
async function change(reader: Reader, file: string, from: string, to: string): Promise<void> {
  const path = join(reader.folder(), file)
  const text = await readFile(path, 'utf8')
  if (!text.includes(from)) throw new Error(`${file} has no ${from}.`)
  await writeFile(path, text.replaceAll(from, to))
}

for (const version of [OLDEST_NODE, process.versions.node])
  describeWith([CHROMIUM], `on Node ${version}, a reader who follows`, () => {
    let directory: string
    let env: NodeJS.ProcessEnv
    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
      const isOwn = version === process.versions.node
      const bin = isOwn ? dirname(process.execPath) : await shared('node', version)
      env = newTerminal(registry.url, bin)
    })
    afterAll(() => rm(directory, { recursive: true, force: true, maxRetries: 20 }))

    it.each(APP_NAMES)('%s', async (name) => {
      const { page: recipe, begin, run } = IN_APP[name]
      const folder = await mkdtemp(join(directory, `${name}-`))
      await using reader = createReader(folder, env, await freeAllPorts(), taken)
      await reader.run(`test "$(node -p process.version)" = v${version}`)
      await reader.follow(recipe, { sections: [begin] })
      // The port of the page, which another program may have.
      const variables = ENV[name]
      if (variables) await change(reader, variables, ':3000', `:${reader.port('3000')}`)
      for (const [file, from, to] of LOGINS[name]) await change(reader, file, from, to)
      await reader.follow(recipe, { sections: [run] })
      const isFile = WITH_FILE.includes(name)
      const url = `${reader.origin()}/files${isFile ? '.html' : ''}`
      {
        await using page = await open(url)
        await page.reload(READY)
        // Only Workers resize pictures. The plain page asks for small ones, and may get originals.
        await expectUploads(page, name === 'hono' ? THUMBNAIL : isFile ? ORIGINAL : WIDTH)
      }
      await expectLogOuts(url, isFile ? {} : { logIn: logInOnServer(url) })
      const health = await fetch(`${reader.origin()}/api/media/healthz`)
      expect(await health.json()).toMatchObject({ status: 'ok' })
    })
  })

describe('a reader', () => {
  it.each(IN_APP_PAGES)('has done every step of %s.md', (name) => {
    expect(stepsLeft(name, taken)).toEqual([])
  })
})
