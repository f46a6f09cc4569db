import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { startS3rver } from '../../cli/s3rver.ts'
import { STYLE } from '../../src/http/page-style.ts'
import { type BuiltWorker, type BuiltWorkerOptions, startBuiltWorker } from './built-worker.ts'
import { chooseByKeyboard, chooseFromDisk, connectChromium } from './chromium.ts'
import { startForwarder } from './client/forwarder.ts'
import { dropOn, FILM, seriousFindings, type TestFile } from './demo-page.ts'
import { holdPart } from './held-part.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

const KEY = 'ep_ann_0123456789abcdef0123456789abcdef0123456789a'
const SCOPES = ['files:upload', 'files:read', 'files:list', 'links:create']
const CHOOSER = '.drop input'
const HOSTILE = '<img src=x onerror="document.title=1">'

const grantSchema = z.object({
  ...{ id: z.string(), url: z.url(), usesLeft: z.nullable(z.int()) },
})
const boxSchema = z.object({
  ...{ id: z.string(), url: z.url() },
  received: z.object({ files: z.int(), bytes: z.int() }),
})
const receivedSchema = z.object({
  files: z.array(
    z.object({
      ...{ key: z.string(), name: z.string(), size: z.int() },
      sender: z.nullable(z.object({ name: z.string(), note: z.string() })),
    }),
  ),
})

const text = (name: string, content = name): TestFile => ({
  name,
  mimeType: 'text/plain',
  buffer: Buffer.from(content),
})

interface Tab extends AsyncDisposable {
  readonly page: Page
  /** Messages of the console and of the policy, without responses that are errors. */
  readonly failures: readonly string[]
}

/** The API of a Worker, as its API key uses it. */
function apiAt(origin: string) {
  const send = async (method: string, path: string, body?: object): Promise<unknown> => {
    const response = await fetch(origin + path, {
      method,
      headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
    const answer = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${answer}`)
    return answer === '' ? null : JSON.parse(answer)
  }
  const deadline = () => new Date(Date.now() + 86_400_000).toISOString()
  return {
    send,
    async put({ name, mimeType: mimetype, buffer }: TestFile): Promise<string> {
      const request = { fileName: name, mimetype, size: buffer.length }
      const signed = await send('POST', '/files/upload-url', request)
      const schema = z.object({ uploadUrl: z.url(), key: z.string() })
      const { uploadUrl, key } = schema.parse(signed)
      const headers = { 'Content-Type': mimetype }
      const body = new Uint8Array(buffer)
      expect((await fetch(uploadUrl, { method: 'PUT', headers, body })).ok).toBe(true)
      await send('POST', '/files', { key, name })
      return key
    },
    grant: async (key: string, more: object = {}) =>
      grantSchema.parse(await send('POST', '/grants', { key, deadline: deadline(), ...more })),
    usesLeft: async (id: string) => grantSchema.parse(await send('GET', `/grants/${id}`)).usesLeft,
    box: async (more: object = {}) => {
      const terms = { maxFiles: 20, maxBytes: 50e6, maxTotalBytes: 100e6, deadline: deadline() }
      const words = { from: 'Example GmbH', title: 'Your documents' }
      const body = { prefix: 'inbox/', ...terms, ...words, ...more }
      return boxSchema.parse(await send('POST', '/drop-boxes', body))
    },
    received: async (id: string) =>
      receivedSchema.parse(await send('GET', `/drop-boxes/${id}/files`)).files,
  }
}

describeWith([CHROMIUM], 'pages for visitors in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let options: BuiltWorkerOptions
  let table: BuiltWorkerOptions['buckets'][string]
  let worker: BuiltWorker
  let browser: Browser
  let directory: string
  let api: ReturnType<typeof apiAt>

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const corsOrigins = ['http://localhost'] as const
    const rules = { corsOrigins, loopbackOrigins: true } as const
    const server = await startS3rver({ port: 0, directory: join(directory, 's3'), ...rules })
    stack.defer(() => server.close())
    const { endpoint, region, bucket } = server
    const sha256 = createHash('sha256').update(KEY).digest('hex')
    const scopes = [...SCOPES, 'grants:create', 'drop-boxes:create']
    table = { endpoint, region, bucket, addressing: 'path', credentials: 'S3' }
    options = {
      buckets: { files: table },
      accessKeys: { S3: server },
      variables: { API_KEYS: JSON.stringify([{ id: 'ann', sha256, scopes, prefix: '' }]) },
    }
    worker = await startBuiltWorker(options)
    stack.defer(() => worker.close())
    api = apiAt(worker.origin)
    browser = await connectChromium()
    stack.defer(() => browser.close())
  })

  afterAll(() => stack.disposeAsync())

  async function open(url: string, more?: BrowserContextOptions): Promise<Tab> {
    const context = await browser.newContext({ reducedMotion: 'reduce', ...more })
    const page = await context.newPage()
    const failures: string[] = []
    page.on('pageerror', ({ message }) => failures.push(message))
    page.on('console', (message) => {
      const isResponse = message.text().startsWith('Failed to load resource')
      if (message.type() === 'error' && !isResponse) failures.push(message.text())
    })
    await page.goto(url)
    return { page, failures, [Symbol.asyncDispose]: () => context.close() }
  }

  /** Expects that a page is readable on a small phone, in both schemes, and broke no policy. */
  async function expectGood({ page, failures }: Tab): Promise<void> {
    const size = page.viewportSize()
    await page.setViewportSize({ width: 360, height: 640 })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await seriousFindings(page)).toEqual([])
    }
    if (size) await page.setViewportSize(size)
    expect(failures).toEqual([])
  }

  /** Expects that a page of another origin shows nothing of the page at `url`. */
  async function expectUnframed(url: string): Promise<void> {
    // A real server: Chromium lets no other page frame one of this machine.
    const foreign = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html').end('<iframe></iframe>')
    }).listen(0, '127.0.0.1')
    await using _ = { [Symbol.asyncDispose]: () => foreign[Symbol.asyncDispose]() }
    await once(foreign, 'listening')
    const { port } = foreign.address() as AddressInfo
    await using tab = await open(`http://127.0.0.1:${port}/`)
    const { page } = tab
    const frame = (path: string) =>
      page.evaluate(`document.querySelector('iframe').src = ${JSON.stringify(path)}`)
    const framed = () => page.frames().map((one) => one.url())
    await frame(`${worker.origin}/healthz`)
    await expect.poll(framed).toContain(`${worker.origin}/healthz`)
    // Chromium says so on the console. It doesn't always tell that the frame shows an error then.
    const refused = page.waitForEvent('console', (line) => /frame-ancestors/.test(line.text()))
    await frame(url)
    await refused
    expect(framed()).not.toContain(url)
  }

  describe('a grant', () => {
    const report = text('Bericht – 2026.txt', 'quarterly')
    let key: string

    beforeAll(async () => {
      key = await api.put(report)
    })

    const button = (page: Page) => page.getByRole('button', { name: 'Download' })

    it('is downloaded by a button, and counts only then', async () => {
      const { id, url } = await api.grant(key, { uses: 2, label: HOSTILE })
      for (let visit = 0; visit < 3; visit++) await fetch(url)
      await using tab = await open(url)
      const { page } = tab
      await page.getByRole('heading', { name: report.name }).waitFor()
      await page.getByText(HOSTILE).waitFor()
      expect(await page.locator('style').textContent()).toBe(STYLE)
      await expectGood(tab)
      expect(await api.usesLeft(id)).toBe(2)
      const downloading = page.waitForEvent('download')
      await button(page).click()
      const download = await downloading
      expect(download.suggestedFilename()).toBe(report.name)
      const saved = join(directory, 'download.txt')
      await download.saveAs(saved)
      expect(await readFile(saved, 'utf8')).toBe('quarterly')
      expect(await api.usesLeft(id)).toBe(1)
      await expectUnframed(url)
      expect(tab.failures).toEqual([])
    })

    it('takes one use for a double click, whose first response gets lost', async () => {
      const { id, url } = await api.grant(key, { uses: 1 })
      await using tab = await open(url)
      const { page } = tab
      const { x, y } = (await button(page).boundingBox()) ?? { x: 0, y: 0 }
      const sent: string[] = []
      await page.route(url, async (route) => {
        const request = route.request()
        const body = request.postData() ?? ''
        sent.push(body)
        if (sent.length > 1) return route.continue()
        // The Worker receives it, and the second click ends it in the browser.
        const headers = await request.allHeaders()
        await fetch(url, { method: 'POST', headers, body, redirect: 'manual' })
        await page.mouse.click(x + 5, y + 5)
      })
      const downloading = page.waitForEvent('download')
      await page.mouse.click(x + 5, y + 5)
      expect((await downloading).suggestedFilename()).toBe(report.name)
      expect(sent).toHaveLength(2)
      expect(await api.usesLeft(id)).toBe(0)
    })

    it('asks again after a wrong password', async () => {
      const { id, url } = await api.grant(key, { uses: 1, password: 'right one' })
      await using tab = await open(url)
      const { page } = tab
      const field = page.getByLabel('Password')
      await field.fill('wrong')
      await page.getByRole('button', { name: 'Continue' }).click()
      await page.getByRole('alert').getByText('The password is wrong.').waitFor()
      await expectGood(tab)
      expect(await api.usesLeft(id)).toBe(1)
      await field.fill('right one')
      await field.press('Enter')
      await page.getByRole('heading', { name: report.name }).waitFor()
      await expectGood(tab)
      const downloading = page.waitForEvent('download')
      await button(page).focus()
      await page.keyboard.press('Enter')
      await downloading
      expect(await api.usesLeft(id)).toBe(0)
    })

    it('works without scripts, until it is used up', async () => {
      const { url } = await api.grant(key, { uses: 1 })
      await using tab = await open(url, { javaScriptEnabled: false })
      const { page } = tab
      const downloading = page.waitForEvent('download')
      await button(page).click()
      await downloading
      // The browser that has taken the use may fetch the file again, and no other one.
      await page.goto(url)
      const again = page.waitForEvent('download')
      await page.getByRole('button', { name: 'Download again' }).click()
      await again
      await using other = await open(url, { javaScriptEnabled: false })
      await other.page.getByRole('heading', { name: 'This link is no longer valid' }).waitFor()
    })

    it('that was withdrawn says so, also to a page that is open', async () => {
      const { id, url } = await api.grant(key)
      await using tab = await open(url)
      await api.send('DELETE', `/grants/${id}`)
      await button(tab.page).click()
      await tab.page.getByRole('heading', { name: 'This link is no longer valid' }).waitFor()
      expect(tab.failures).toEqual([])
    })
  })

  describe('a drop box', () => {
    const row = (page: Page, name: string) => page.getByRole('listitem').filter({ hasText: name })
    const sendButton = (page: Page) => page.getByRole('button', { name: /^Send \d+ files?$/ })
    const thanks = (page: Page) => page.locator('#thanks').getByText('has received')
    const choose = (page: Page, ...files: TestFile[]) => page.locator(CHOOSER).setInputFiles(files)

    it('receives files that are dropped anywhere, with a name and a note', async () => {
      const title = `${HOSTILE}\u202Egpj.exe`
      const box = await api.box({ title, message: `1 < 2\n& "3"`, allowedTypes: ['text/*'] })
      await using tab = await open(box.url, { locale: 'de-DE', timezoneId: 'Asia/Tokyo' })
      const { page } = tab
      await page.getByRole('heading', { name: `${HOSTILE} gpj.exe` }).waitFor()
      await page.getByText('1 < 2').waitFor()
      await expect.poll(() => page.locator('time').textContent()).toMatch(/ um .* GMT\+9$/)
      const names = [`${HOSTILE}.txt`, 'b.txt', 'c.txt', 'd.txt', 'e.txt']
      await dropOn(
        page,
        'h1',
        names.slice(0, 3).map((name) => text(name)),
      )
      await dropOn(
        page,
        '.drop',
        names.slice(3).map((name) => text(name)),
      )
      await page.getByLabel('Your name').fill('Ann')
      await page.getByLabel('Note').fill('Line one\nline two')
      await sendButton(page).click()
      await thanks(page).waitFor()
      for (const name of names) await row(page, name).getByText('Arrived').waitFor()
      const received = await api.received(box.id)
      expect(received.map(({ name }) => name).toSorted()).toEqual(names.toSorted())
      const sender = { name: 'Ann', note: 'Line one\nline two' }
      for (const file of received) expect(file.sender).toEqual(sender)
      await expect.poll(() => page.getByRole('status').textContent()).toContain('Thank you.')
      await expectGood(tab)
      await expectUnframed(box.url)
    })

    it('says why it refuses a file, and sends the others', async () => {
      const box = await api.box({ maxBytes: 100, maxFiles: 2, allowedTypes: ['text/*'] })
      await using tab = await open(box.url)
      const { page } = tab
      const image = { ...text('a.png'), mimeType: 'image/png' }
      const files = [text('large.txt', 'x'.repeat(101)), image, text('1.txt'), text('2.txt')]
      await choose(page, ...files, text('3.txt'))
      await row(page, 'large.txt').getByText('Larger than 100 bytes.').waitFor()
      await row(page, 'a.png').getByText('This type is not accepted. Accepted: text.').waitFor()
      await row(page, '3.txt').getByText('There is no room left for it.').waitFor()
      await expectGood(tab)
      await sendButton(page).click()
      await thanks(page).waitFor()
      expect((await api.received(box.id)).map(({ name }) => name).toSorted()).toEqual([
        '1.txt',
        '2.txt',
      ])
      await page.reload()
      await page.getByText('has received all the files').waitFor()
      expect(await page.locator('form').count()).toBe(0)
      expect(tab.failures).toEqual([])
    })

    it('takes thousands of files in one step', async () => {
      const box = await api.box({ maxFiles: 10_000 })
      await using tab = await open(box.url)
      const { page } = tab
      const steps = await page.evaluate(`new Promise((done) => {
        const button = document.querySelector('#send [type=submit]')
        let steps = 0
        new MutationObserver(() => steps++).observe(button, { childList: true })
        const files = new DataTransfer()
        for (let i = 0; i < 3000; i++) files.items.add(new File(['x'], i + '.txt', { lastModified: 1 }))
        const chooser = document.querySelector('[type=file]')
        for (let i = 0; i < 2; i++) {
          chooser.files = files.files
          chooser.dispatchEvent(new Event('change'))
        }
        setTimeout(() => {
          done([steps, document.querySelectorAll('.files li').length, button.textContent])
        })
      })`)
      // The same files again are the same files.
      expect(steps).toEqual([1, 3000, 'Send 3000 files'])
      // Only those near the screen are laid out.
      const isLaidOut = () =>
        page.evaluate(
          `document.querySelectorAll('.files p')[2000].checkVisibility({ contentVisibilityAuto: true })`,
        )
      await expect.poll(isLaidOut).toBe(false)
      expect(tab.failures).toEqual([])
    })

    it('continues a large file after a reload', async () => {
      const film = join(directory, FILM.name)
      await writeFile(film, Buffer.alloc(FILM.size, FILM.name))
      const box = await api.box({ maxFiles: 1 })
      await using tab = await open(box.url)
      const { page } = tab
      const dialogs: string[] = []
      page.on('dialog', (dialog) => {
        dialogs.push(dialog.type())
        void dialog.accept()
      })
      const held = await holdPart(page, 2)
      await page.locator(CHOOSER).waitFor({ state: 'attached' })
      await chooseFromDisk(page, CHOOSER, film)
      await sendButton(page).click()
      await held.isHeld()
      const bar = page.getByRole('progressbar', { name: FILM.name })
      await expect
        .poll(async () => Number(await bar.getAttribute('value')) / FILM.size)
        .toBeGreaterThan(0.4)
      await page.reload()
      expect(dialogs).toEqual(['beforeunload'])
      await page.getByText(`Not finished: ${FILM.name}.`).waitFor()
      const parts: (string | null)[] = []
      page.on('request', (request) => {
        if (request.method() === 'PUT')
          parts.push(new URL(request.url()).searchParams.get('partNumber'))
      })
      await held.release()
      await chooseFromDisk(page, CHOOSER, film)
      await sendButton(page).click()
      await thanks(page).waitFor()
      expect(parts).toEqual(['2'])
      expect(await api.received(box.id)).toMatchObject([{ name: FILM.name, size: FILM.size }])
      expect(tab.failures).toEqual([])
    })

    it('needs only the keyboard, also for its password', async () => {
      const box = await api.box({ password: 'right one' })
      await using tab = await open(box.url)
      const { page } = tab
      const field = page.getByLabel('Password')
      await field.press('w')
      await page.keyboard.press('Enter')
      await page.getByText('The password is wrong.').waitFor()
      await page.keyboard.type('right one')
      await page.keyboard.press('Enter')
      await page.locator('#send').waitFor()
      await chooseByKeyboard(page, [text('keys.txt')], CHOOSER)
      for (let tabs = 0; tabs < 5; tabs++) {
        if (await page.evaluate('document.activeElement.type === "submit"')) break
        await page.keyboard.press('Tab')
      }
      await page.keyboard.press('Enter')
      await thanks(page).waitFor()
      expect(await page.evaluate('document.activeElement.id')).toBe('thanks')
      expect((await api.received(box.id)).map(({ name }) => name)).toEqual(['keys.txt'])
      expect(tab.failures).toEqual([])
    })

    it('cancels a file, and sends it again', async () => {
      const box = await api.box()
      await using tab = await open(box.url)
      const { page } = tab
      let holds = true
      await page.route(
        (url) => url.searchParams.has('X-Amz-Signature'),
        (route) => (holds && route.request().method() === 'PUT' ? undefined : route.continue()),
      )
      await choose(page, text('a.txt'))
      await sendButton(page).click()
      await page.getByRole('button', { name: 'Cancel: a.txt' }).click()
      await row(page, 'a.txt').getByText('Canceled').waitFor()
      expect(await api.received(box.id)).toEqual([])
      holds = false
      await page.getByRole('button', { name: 'Try again: a.txt' }).click()
      await thanks(page).waitFor()
      expect((await api.received(box.id)).map(({ name }) => name)).toEqual(['a.txt'])
    })

    it('starts an upload again that the box gives up', async () => {
      const box = await api.box()
      await using tab = await open(box.url)
      const { page } = tab
      let refused = 0
      await page.route(/\/urls$/, (route) =>
        refused++ === 0
          ? route.fulfill({
              status: 409,
              json: { code: 'upload_ended', message: 'It ends.', requestId: 'x' },
            })
          : route.continue(),
      )
      await choose(page, text('large.txt', 'x'.repeat(6 * 1024 ** 2)))
      await sendButton(page).click()
      await row(page, 'large.txt').getByText('Arrived').waitFor()
      expect(refused).toBeGreaterThan(1)
      expect(await api.received(box.id)).toHaveLength(1)
    })

    it('sends all files, also if the connection is lost when its token ends', async () => {
      const box = await api.box()
      await using tab = await open(box.url)
      const { page } = tab
      let asked = 0
      await page.route(/\/token$/, async (route) => {
        asked++
        if (asked === 2 || asked === 3) return route.abort()
        const response = await route.fetch()
        const session = z.record(z.string(), z.unknown()).parse(await response.json())
        // The page replaces it a minute before that.
        const expiresAt = new Date(Date.now() + 60_300).toISOString()
        await route.fulfill({ response, json: { ...session, expiresAt } })
      })
      const names = Array.from({ length: 20 }, (_, index) => `${index}.txt`)
      await choose(page, ...names.map((name) => text(name)))
      await sendButton(page).click()
      await page.getByText('No connection. It goes on by itself.').first().waitFor()
      for (const name of names)
        await row(page, name).filter({ hasText: 'Arrived' }).first().waitFor()
      expect(await api.received(box.id)).toHaveLength(names.length)
      expect(asked).toBeLessThan(3 * names.length)
    })

    it("doesn't ask for the files that wait after it has closed", async () => {
      const box = await api.box({ maxFiles: 100 })
      await using tab = await open(box.url)
      const { page } = tab
      let asked = 0
      page.on('request', (request) => {
        if (/\/multipart$/.test(request.url())) asked++
      })
      await choose(page, ...Array.from({ length: 60 }, (_, index) => text(`${index}.txt`)))
      await sendButton(page).click()
      await page.getByText('Arrived').first().waitFor()
      await api.send('DELETE', `/drop-boxes/${box.id}`)
      await page.getByRole('alert').getByText('This page no longer accepts files.').waitFor()
      await expect.poll(() => page.getByText('Waiting').count()).toBe(0)
      const arrived = await page.getByText('· Arrived').count()
      expect(asked).toBeLessThan(arrived + 8)
    })

    it('takes names and notes with any character, as they were when it sent', async () => {
      const box = await api.box()
      await using tab = await open(box.url)
      const { page } = tab
      await choose(page, text('a\u202egpj.txt'), text('b\tc.txt'))
      await page.getByLabel('Your name').fill('Ann\tLee')
      await page.getByLabel('Note').fill('one\u000btwo\nthree')
      const held = Promise.withResolvers<void>()
      await page.route(/\/multipart$/, async (route) => {
        await held.promise
        await route.continue()
      })
      await sendButton(page).click()
      // Too long for the API, while the files are on their way.
      await page.getByLabel('Note').fill('x'.repeat(3000))
      held.resolve()
      await thanks(page).waitFor()
      const received = await api.received(box.id)
      expect(received.map(({ name }) => name).toSorted()).toEqual(['a_gpj.txt', 'b_c.txt'])
      for (const { sender } of received)
        expect(sender).toEqual({ name: 'Ann Lee', note: 'one two\nthree' })
    })

    it('leaves no parts of a file that failed and was removed', async () => {
      const box = await api.box()
      await using tab = await open(box.url)
      const { page } = tab
      await page.route(
        (url) => url.searchParams.has('partNumber'),
        (route) => route.fulfill({ status: 400, body: '' }),
      )
      const film = join(directory, FILM.name)
      await writeFile(film, Buffer.alloc(FILM.size))
      await chooseFromDisk(page, CHOOSER, film)
      await sendButton(page).click()
      await row(page, FILM.name).getByText('It could not be sent.').waitFor()
      const deleted = page.waitForResponse((response) => response.request().method() === 'DELETE')
      await page.getByRole('button', { name: `Remove: ${FILM.name}` }).click()
      expect((await deleted).ok()).toBe(true)
    })

    it('that is closed says so, also to a page that is open', async () => {
      const box = await api.box()
      await using tab = await open(box.url)
      const { page } = tab
      await choose(page, text('late.txt'))
      await api.send('DELETE', `/drop-boxes/${box.id}`)
      await sendButton(page).click()
      await page.getByRole('alert').getByText('This page no longer accepts files.').waitFor()
      await page.reload()
      await page.getByRole('heading', { name: 'This page no longer accepts files' }).waitFor()
      await expectGood(tab)
    })

    it('says that it needs its script', async () => {
      const { url } = await api.box()
      await using tab = await open(url, { javaScriptEnabled: false })
      const told = tab.page.locator('noscript p') // Playwright finds no text in it
      await told.waitFor()
      expect(await told.textContent()).toBe('To send files, turn on JavaScript for this page.')
    })
  })

  it('are on the host of LINK_ORIGIN', async () => {
    await using own = new AsyncDisposableStack()
    let port = 0
    const forwarder = await startForwarder(() => port)
    own.defer(() => forwarder.close())
    const origin = `http://localhost:${forwarder.port}`
    const links = `http://links.localhost:${forwarder.port}`
    const variables = { ...options.variables, LINK_ORIGIN: links }
    const other = await startBuiltWorker({ ...options, variables })
    own.defer(() => other.close())
    port = Number(new URL(other.origin).port)
    const api = apiAt(origin)
    const box = await api.box()
    expect(new URL(box.url).origin).toBe(links)
    await using tab = await open(box.url.replace(links, origin))
    const { page } = tab
    expect(page.url()).toBe(box.url)
    await page.locator(CHOOSER).setInputFiles([text('a.txt')])
    await page.getByRole('button', { name: 'Send 1 file' }).click()
    await page.locator('#thanks').getByText('has received').waitFor()
    const [{ key } = { key: '' }] = await api.received(box.id)
    const grant = await api.grant(key, { uses: 1 })
    await page.goto(grant.url.replace(links, origin))
    expect(page.url()).toBe(grant.url)
    const downloading = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download' }).click()
    await downloading
    expect(tab.failures).toEqual([])
  })
})
