import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { chooseFromDisk, connectChromium, newTab } from './chromium.ts'
import { startNpm } from './npm-process.ts'

const CHOOSER = '#uploader input[type=file]'
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/** The page of `npm run dev`, and a browser to open it. */
export interface DemoPage extends AsyncDisposable {
  readonly origin: string
  /** A folder for the test's files. */
  readonly directory: string
  /** Opens the page in a new tab, without anything that an earlier tab has stored. */
  open(options?: BrowserContextOptions): Promise<DemoTab>
  /** Uploads and records a file without the page. Default: its name as text. Resolves with its key. */
  put(fileName: string, mimetype?: string, body?: string | Uint8Array<ArrayBuffer>): Promise<string>
  /** Replaces the object of a text that `put` has uploaded, and records nothing. */
  replace(key: string): Promise<void>
  /** Deletes files without the page. */
  remove(keys: readonly string[]): Promise<void>
  /** Returns a token with these scopes. */
  token(...scopes: readonly string[]): Promise<string>
  /** The first page of the index. */
  list(): Promise<z.infer<typeof listSchema>>
}

const uploadSchema = z.object({ uploadUrl: z.url(), key: z.string() })
const listSchema = z.object({ files: z.array(z.object({ name: z.string(), size: z.int() })) })

export interface DemoTab extends AsyncDisposable {
  readonly page: Page
  /** The messages of the console and the Content-Security-Policy, and uncaught errors. */
  readonly failures: readonly string[]
}

/** A user's file. */
export interface TestFile {
  readonly name: string
  readonly mimeType: string
  readonly buffer: Buffer
}

/** A file that the page sends in three parts, since it has more than 16 MiB. */
export const FILM = { name: 'film.bin', size: 16 * 1024 ** 2 + 1000, parts: ['1', '2', '3'] }

/** Starts `npm run dev` with an empty bucket, on free ports. `connect` returns a browser. */
export async function startDemoPage(connect = connectChromium): Promise<DemoPage> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const [port, s3Port] = [await freePort(), await freePort()]
  const ports = ['--port', `${port}`, '--s3-port', `${s3Port}`]
  const dev = stack.use(startNpm('run', 'dev', '--', ...ports, '--data', directory))
  const browser = await connect()
  stack.defer(() => browser.close())
  await dev.printed(/Ctrl-C to stop/)
  const origin = `http://localhost:${port}`
  const running = stack.move()
  const uploadUrls = new Map<string, string>()
  const send = async (path: string, init?: RequestInit): Promise<unknown> => {
    const response = await fetch(origin + path, init)
    if (!response.ok) throw new Error(`${path} answered ${await response.text()}`)
    return response.json()
  }
  const post = (path: string, body: unknown) => {
    const headers = { 'Content-Type': 'application/json' }
    return send(path, { method: 'POST', headers, body: JSON.stringify(body) })
  }
  return {
    origin,
    directory,
    list: async () => listSchema.parse(await send('/files')),
    token: async (...scopes) => {
      const made = await post('/tokens', { scopes, expiresIn: 600 })
      return z.object({ token: z.string() }).parse(made).token
    },
    async remove(keys) {
      await post('/files/delete', { keys })
    },
    async replace(key) {
      const url = uploadUrls.get(key) ?? ''
      const headers = { 'Content-Type': 'text/plain' }
      const { ok } = await fetch(url, { method: 'PUT', headers, body: 'replaced' })
      if (!ok) throw new Error(`The bucket refused ${key}`)
    },
    async put(fileName, mimetype = 'text/plain', body = fileName) {
      const { uploadUrl, key } = uploadSchema.parse(
        await post('/files/upload-url', { fileName, mimetype }),
      )
      const headers = { 'Content-Type': mimetype }
      const { ok } = await fetch(uploadUrl, { method: 'PUT', headers, body })
      if (!ok) throw new Error(`The bucket refused ${fileName}`)
      uploadUrls.set(key, uploadUrl)
      await post('/files', { key, name: fileName })
      return key
    },
    async open(options) {
      const { context, page, failures } = await newTab(browser, options)
      await page.goto(origin)
      await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' })
      return { page, failures, [Symbol.asyncDispose]: () => context.close() }
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/**
 * Adds a file to Uppy's Dashboard, as its "browse files" does. A large file is added by its path.
 */
export async function choose(page: Page, file: TestFile | string): Promise<void> {
  const control = page.locator(CHOOSER).first()
  if (typeof file !== 'string') return control.setInputFiles(file)
  await control.waitFor({ state: 'attached' })
  return chooseFromDisk(page, CHOOSER, file)
}

/** Drops files on the element that `selector` names. */
export async function dropOn(page: Page, selector: string, files: readonly TestFile[]) {
  const sent = files.map(({ name, mimeType, buffer }) => [
    name,
    mimeType,
    buffer.toString('base64'),
  ])
  const dataTransfer = await page.evaluateHandle(`(() => {
    const transfer = new DataTransfer()
    for (const [name, type, base64] of ${JSON.stringify(sent)}) {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
      transfer.items.add(new File([bytes], name, { type }))
    }
    return transfer
  })()`)
  for (const type of ['dragover', 'drop'])
    await page.dispatchEvent(selector, type, { dataTransfer })
}

/** Returns the tile of a file. */
export const tile = (page: Page, name: string) =>
  page
    .getByRole('listitem')
    .filter({ has: page.getByRole('button', { name: `Actions for ${name}` }) })

const axeSchema = z.object({
  violations: z.array(
    z.object({
      id: z.string(),
      impact: z.nullish(z.string()),
      nodes: z.array(
        z.object({ target: z.array(z.unknown()), failureSummary: z.optional(z.string()) }),
      ),
    }),
  ),
})

/** Returns axe-core's serious and critical violations on the current page. */
export async function seriousFindings(page: Page): Promise<readonly string[]> {
  await page.evaluate(await readFile(AXE, 'utf8'))
  const { violations } = axeSchema.parse(await page.evaluate('axe.run()'))
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
    )
}
