import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shared } from '../e2e/shared.ts'
import { CHROMIUM, describeWith } from '../e2e/system-package.ts'
import { expectLogOuts, expectUploads, open, WIDTH } from './support/files-page.ts'
import {
  createReader,
  freeAllPorts,
  newTerminal,
  type Reader,
  startOwnRegistry,
  stepsLeft,
} from './support/follow.ts'
import { type LogOut, USER_OF_PAGE } from './support/log-out.ts'
import { IN_APP } from './support/recipe.ts'

const OLDEST_NODE = '22.16.0'

const DEMO = "{ id: 'demo' }"
const userIn = (cookie: string) => `{ id: /user=(\\w+)/.exec(${cookie} ?? '')?.[1] ?? 'demo' }`

/** What the tests change in the files of an app: its login reads a cookie. Somebody without one is `demo`. */
const LOGINS: Readonly<
  Record<string, readonly (readonly [file: string, from: string, to: string])[]>
> = {
  next: [
    ['lib/session.ts', '/** Returns', "import { cookies } from 'next/headers'\n\n/** Returns"],
    ['lib/session.ts', DEMO, "{ id: (await cookies()).get('user')?.value ?? 'demo' }"],
  ],
  express: [
    ['session.js', '_request', 'request'],
    ['session.js', DEMO, userIn('request.headers.cookie')],
    ['public/files.html', "() => 'demo'", `() => ${USER_OF_PAGE} ?? 'demo'`],
  ],
}
const PAGES: Readonly<Record<string, string>> = { next: '/files', express: '/files.html' }
const ENV: Readonly<Record<string, string>> = { next: '.env.local', express: '.env' }

/** In an app that makes its page on the server, that knows the next user after a reload. */
const logInOnServer =
  (url: string): NonNullable<LogOut['logIn']> =>
  async (user, context, page) => {
    await context.addCookies([{ name: 'user', value: user, url }])
    await page?.reload()
  }
const ON_SERVER = ['next']

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

    it.each(IN_APP)('%s.md', async (name) => {
      const folder = await mkdtemp(join(directory, `${name}-`))
      await using reader = createReader(folder, env, await freeAllPorts(), taken)
      await reader.run(`test "$(node -p process.version)" = v${version}`)
      await reader.follow(name, { sections: [''] })
      // The port of the page, which another program may have.
      await change(reader, ENV[name] ?? '', ':3000', `:${reader.port('3000')}`)
      for (const [file, from, to] of LOGINS[name] ?? []) await change(reader, file, from, to)
      await reader.follow(name, { sections: ['Run it'] })
      const url = reader.origin() + PAGES[name]
      {
        await using page = await open(url)
        await expectUploads(page, WIDTH) // Only Workers resize pictures.
      }
      const isOnServer = ON_SERVER.includes(name)
      await expectLogOuts(url, isOnServer ? { logIn: logInOnServer(url) } : {})
      const health = await fetch(`${reader.origin()}/api/media/healthz`)
      expect(await health.json()).toMatchObject({ status: 'ok' })
    })
  })

describe('a reader', () => {
  it.each(IN_APP)('has done every step of %s.md', (name) => {
    expect(stepsLeft(name, taken)).toEqual([])
  })
})
