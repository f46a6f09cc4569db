import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { BuiltWorker } from './built-worker.ts'
import { newTab } from './chromium.ts'
import { seriousFindings, tile } from './demo-page.ts'
import { startPageWorker } from './page-worker.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

const READ = ['files:read', 'files:list', 'links:create']
const SECRET = '0123456789abcdef0123456789abcdef0123456789a'
const KEYS = {
  full: [...READ, 'files:upload', 'files:delete', 'grants:create', 'drop-boxes:create'],
  reader: READ,
  asker: ['files:upload', 'drop-boxes:create'],
}
const PREFIXES: Partial<Record<keyof typeof KEYS, string>> = { asker: 'tenants/42/' }
const HOSTILE = '<img src=x onerror="document.title=1"> \u202egpj.exe'

const uploadSchema = z.object({ uploadUrl: z.string(), key: z.string() })
const grantSchema = z.object({ id: z.string(), url: z.string() })

const keyOf = (id: keyof typeof KEYS) => `ep_${id}_${SECRET}`

describeWith([CHROMIUM], 'limited links and drop boxes on the page, in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let worker: BuiltWorker
  let browser: Browser

  beforeAll(async () => {
    const started = await startPageWorker(
      (['full', 'reader', 'asker'] as const).map((id) => ({
        ...{ id, token: keyOf(id), scopes: KEYS[id], prefix: PREFIXES[id] ?? '' },
      })),
    )
    stack.use(started)
    worker = started.worker
    browser = started.browser
  })

  afterAll(() => stack.disposeAsync())

  async function call(method: string, path: string, body?: object): Promise<unknown> {
    const headers = {
      Authorization: `Bearer ${keyOf('full')}`,
      'Content-Type': 'application/json',
    }
    const response = await fetch(worker.origin + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`${path} answered ${await response.text()}`)
    return response.status === 204 ? null : response.json()
  }

  /** Uploads and records a text without the page. Resolves with its key. */
  async function put(fileName: string): Promise<string> {
    const mimetype = 'text/plain'
    const { uploadUrl, key } = uploadSchema.parse(
      await call('POST', '/files/upload-url', { fileName, mimetype }),
    )
    const headers = { 'Content-Type': mimetype }
    expect((await fetch(uploadUrl, { method: 'PUT', headers, body: fileName })).ok).toBe(true)
    await call('POST', '/files', { key, name: fileName })
    return key
  }

  interface Tab extends AsyncDisposable {
    readonly page: Page
    readonly failures: readonly string[]
    /** Opens the page of somebody who has only this address. */
    visit(url: string): Promise<{ readonly page: Page; readonly status: number | undefined }>
  }

  /** Opens the page with an API key in a new tab. `prepare` changes the page before. */
  async function open(
    id: keyof typeof KEYS,
    prepare: (page: Page) => Promise<unknown> = async () => {},
  ): Promise<Tab> {
    const permissions = ['clipboard-read', 'clipboard-write']
    const { context, page, failures } = await newTab(browser, { permissions })
    const visitors = await browser.newContext({ reducedMotion: 'reduce' })
    await page.addInitScript(`sessionStorage.setItem('token', '${keyOf(id)}')`)
    await prepare(page)
    await page.goto(worker.origin)
    await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' })
    return {
      page,
      failures,
      async visit(url) {
        const other = await visitors.newPage()
        const response = await other.goto(url)
        return { page: other, status: response?.status() }
      },
      async [Symbol.asyncDispose]() {
        await Promise.all([context.close(), visitors.close()])
      },
    }
  }

  /** Checks what is shown on a desktop and on a phone, in light and dark. */
  async function expectAccessible(page: Page): Promise<void> {
    for (const [width, colorScheme] of [
      [1280, 'light'],
      [390, 'dark'],
    ] as const) {
      await page.setViewportSize({ width, height: 844 })
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      expect(await seriousFindings(page)).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
      const wide = `[...document.querySelectorAll('dialog[open], dialog[open] :not(input, textarea)')]
        .filter((item) => item.clientWidth > 0 && item.scrollWidth > item.clientWidth + 1)
        .map((item) => item.outerHTML)`
      expect(await page.evaluate(wide)).toEqual([])
    }
  }

  const focused = (page: Page) =>
    page.evaluate('document.activeElement.ariaLabel ?? document.activeElement.innerText')
  const dialog = (page: Page, name: string) => page.getByRole('dialog', { name })
  const copied = (page: Page) => page.evaluate<string>('navigator.clipboard.readText()')

  /** Opens the dialog for a limited link with the keyboard, from the menu of a tile. */
  async function askForCounted(page: Page, name: string): Promise<void> {
    await page.getByRole('button', { name: `Actions for ${name}` }).press('Enter')
    await page.getByRole('button', { name: 'Copy another link…' }).press('Enter')
    await page.getByRole('button', { name: 'Create a limited link instead…' }).press('Enter')
    await dialog(page, 'Create a limited link').getByLabel('Uses').waitFor()
  }

  describe('a limited link', () => {
    it('is made with the keyboard, used up, changed and revoked', async () => {
      const name = 'Plan für Zoë.txt'
      await put(name)
      await using tab = await open('full')
      const { page } = tab
      await askForCounted(page, name)
      const form = dialog(page, 'Create a limited link')
      expect(await form.getByText(name).isVisible()).toBe(true)
      expect(await form.getByLabel('Uses').inputValue()).toBe('1')
      expect(await form.textContent()).toContain(
        'A use is one link that is valid for 10 minutes and can be passed on meanwhile.',
      )
      await expectAccessible(page)
      await form.getByLabel('Password').fill('Öffne dich ö')
      await form.getByLabel('Label').fill(HOSTILE)
      await page.keyboard.press('Enter')

      const result = dialog(page, 'Your link')
      await result.getByText(`Link to ${name}: 1 use, until`).waitFor()
      const url = await result.getByLabel('Address').inputValue()
      expect(url).toMatch(new RegExp(`^${worker.origin}/g/[\\w-]{22}$`))
      await expectAccessible(page)
      expect(await focused(page)).toBe('Copy')
      await page.keyboard.press('Enter')
      await result.getByRole('status').getByText('Copied.').waitFor()
      expect(await copied(page)).toBe(url)
      await page.keyboard.press('Escape')
      expect(await focused(page)).toBe(`Actions for ${name}`)
      expect(await page.locator('#url-field').inputValue()).toBe('')

      const visitor = await tab.visit(url)
      await visitor.page.getByLabel('Password').fill('Öffne dich ö')
      await visitor.page.getByRole('button', { name: 'Continue' }).click()
      const downloading = visitor.page.waitForEvent('download')
      await visitor.page.getByRole('button', { name: 'Download' }).click()
      expect((await downloading).suggestedFilename()).toBe(name)
      // The browser that took the use may fetch the file again.
      expect((await tab.visit(url)).status).toBe(200)
      expect((await fetch(url)).status).toBe(410)

      await page.getByRole('button', { name: 'Shared' }).press('Enter')
      const live = dialog(page, 'Shared')
      const item = live.getByRole('listitem').filter({ hasText: name })
      await item
        .getByText(/^used up · last used (just now|\dm ago) · until .* · with a password$/)
        .waitFor()
      expect(await item.textContent()).toContain(HOSTILE)
      expect(await live.locator('img').count()).toBe(0)
      await expectAccessible(page)
      await item.getByRole('button', { name: `Copy ${HOSTILE}` }).press('Enter')
      await live.getByText('Copied.').waitFor()
      expect(await copied(page)).toBe(url)

      await item.getByRole('button', { name: 'Change…' }).press('Enter')
      const change = dialog(page, 'Change this link')
      expect(await change.getByText('Used so far: 1.').isVisible()).toBe(true)
      expect(await change.getByLabel('Password').isVisible()).toBe(false)
      await change.getByLabel('Uses').fill('3')
      await change.getByLabel('Label').fill('')
      await page.keyboard.press('Enter')
      await item.getByText('2 of 3 uses left').waitFor()
      expect(await focused(page)).toBe(`Change… ${name}`)
      expect((await tab.visit(url)).status).toBe(200)

      await item.getByRole('button', { name: 'Revoke…' }).press('Enter')
      await dialog(page, 'Revoke this link?').getByText(name).waitFor()
      await page.keyboard.press('Escape')
      expect((await tab.visit(url)).status).toBe(200)
      await item.getByRole('button', { name: 'Revoke…' }).press('Enter')
      await page.getByRole('button', { name: 'Revoke', exact: true }).press('Enter')
      await live.getByText('Revoked.').waitFor()
      expect((await tab.visit(url)).status).toBe(410)
      expect(await live.getByText('You have no limited links.').isVisible()).toBe(true)
      expect(await focused(page)).toBe('Shared')
      expect(await page.title()).toBe('Edge presigner')
      expect(tab.failures).toEqual([])
    })

    it('says in the dialog what is wrong, and what has ended meanwhile', async () => {
      const key = await put('gone.txt')
      await using tab = await open('full')
      const { page } = tab
      await call('POST', '/files/delete', { keys: [key] })
      await askForCounted(page, 'gone.txt')
      await page.keyboard.press('Enter')
      await page.getByRole('alert').getByText('This file was deleted. Reload the page.').waitFor()
      await expectAccessible(page)
      const deadline = dialog(page, 'Create a limited link').getByLabel('Works until')
      expect(await deadline.getAttribute('max')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d$/)
      await page.keyboard.press('Escape')

      const other = { key: await put('other.txt'), deadline: new Date(Date.now() + 9e6).toJSON() }
      const { id } = grantSchema.parse(await call('POST', '/grants', other))
      await page.getByRole('button', { name: 'Shared' }).click()
      const item = dialog(page, 'Shared').getByRole('listitem').filter({ hasText: 'other.txt' })
      await item.getByText('any number of uses · not used yet').waitFor()
      await call('DELETE', `/grants/${id}`)
      await item.getByRole('button', { name: 'Change…' }).click()
      await dialog(page, 'Change this link').getByLabel('Uses').fill('2')
      await page.keyboard.press('Enter')
      await page.getByRole('alert').getByText('This link was revoked').waitFor()
    })

    it('is in a list with pages', async () => {
      const key = await put('many.txt')
      const deadline = new Date(Date.now() + 86_400_000).toJSON()
      const made = await Promise.all(
        Array.from({ length: 23 }, (_, index) =>
          call('POST', '/grants', { key, deadline, uses: index + 1, label: `number ${index}` }),
        ),
      )
      await using tab = await open('full')
      const { page } = tab
      await page.getByRole('button', { name: 'Shared' }).click()
      const live = dialog(page, 'Shared')
      const more = live.getByRole('button', { name: 'Show more' })
      await more.waitFor()
      expect(await live.getByRole('listitem').count()).toBe(20)
      await more.focus()
      await more.evaluate((button: { click(): void }) => {
        button.click()
        button.click()
      })
      await more.waitFor({ state: 'hidden' })
      expect(await live.getByRole('listitem').count()).toBe(23)
      const next = live.getByRole('listitem').nth(20).getByRole('button').first()
      expect(await focused(page)).toBe(await next.getAttribute('aria-label'))

      // A page may be empty although others follow.
      await page.route('**/grants?limit=20', (route) =>
        route.fulfill({ json: { grants: [], cursor: 'next' } }),
      )
      const pageSchema = z.object({ grants: z.tuple([z.looseObject({ label: z.string() })]) })
      const [last] = pageSchema.parse(await call('GET', '/grants?limit=1')).grants
      await page.route('**/grants?*cursor=next', (route) =>
        route.fulfill({ json: { grants: [last] } }),
      )
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'Shared' }).click()
      await live.getByText(last.label).waitFor()
      expect(await live.getByRole('listitem').count()).toBe(1)
      for (const each of made) await call('DELETE', `/grants/${grantSchema.parse(each).id}`)
      expect(tab.failures).toEqual([])
    })
  })

  describe('a drop box', () => {
    it('is made, receives a file, and is closed', async () => {
      await using tab = await open('full')
      const { page } = tab
      await page.getByRole('button', { name: 'Ask for files' }).press('Enter')
      const form = dialog(page, 'Ask for files')
      await form.waitFor()
      expect(await page.evaluate('document.activeElement.id')).toBe('box-from')
      await expectAccessible(page)
      await form.getByLabel('Who asks').fill('Example GmbH')
      await form.getByLabel('Title').fill(HOSTILE)
      await form.getByLabel('Message').fill('Please send\nthe plan.')
      await form.getByLabel('Folder').fill('../x')
      await page.keyboard.press('Enter')
      await form.getByRole('alert').getByText('invalid_key').waitFor()
      await form.getByLabel('Folder').fill('/plans')
      await form.getByLabel('Files').fill('3')
      await form.getByLabel('MB each').fill('1.5')
      await form.getByLabel('MB in all').fill('4')
      await form.getByLabel('Text').check()
      await page.keyboard.press('Enter')
      const result = dialog(page, 'Your drop box')
      await result.getByText(/can send you files until/).waitFor()
      const url = await result.getByLabel('Address').inputValue()
      expect(url).toMatch(new RegExp(`^${worker.origin}/d/[\\w-]{22}$`))
      await page.keyboard.press('Escape')
      expect(await focused(page)).toBe('Ask for files')
      expect(await call('GET', '/drop-boxes')).toMatchObject({
        dropBoxes: [
          {
            from: 'Example GmbH',
            title: HOSTILE,
            prefix: 'plans/',
            maxFiles: 3,
            maxBytes: 1_500_000,
            maxTotalBytes: 4_000_000,
            allowedTypes: ['text/*'],
            hasPassword: false,
          },
        ],
      })

      await page.getByRole('button', { name: 'Shared' }).press('Enter')
      const live = dialog(page, 'Shared')
      await live.getByRole('radio', { name: 'Drop boxes' }).check()
      const item = live.locator('.live-item')
      await item.getByText('nothing received, room for 3 files').waitFor()
      await item.getByRole('button', { name: 'What arrived' }).press('Enter')
      await item.getByText('Nothing has arrived yet.').waitFor()

      const visitor = await tab.visit(url)
      await visitor.page.locator('input[type=file]').setInputFiles({
        name: 'plan.txt',
        mimeType: 'text/plain',
        buffer: Buffer.from('the plan'),
      })
      await visitor.page.getByLabel('Your name').fill('<b>Eve</b>')
      await visitor.page.getByLabel('Note').fill(`Hello,\n${HOSTILE}`)
      await visitor.page.getByRole('button', { name: 'Send 1 file' }).click()
      await visitor.page.getByRole('heading', { name: 'Thank you' }).waitFor()

      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'Shared' }).press('Enter')
      await live.getByRole('radio', { name: 'Drop boxes' }).check()
      await item.getByText('1 of 3 files, 8 bytes of 4 MB').waitFor()
      const arrived = item.getByRole('button', { name: `What arrived ${HOSTILE}` })
      await arrived.press('Enter')
      expect(await arrived.getAttribute('aria-expanded')).toBe('true')
      await item.getByText('plan.txt').waitFor()
      expect(await item.textContent()).toContain('8 bytes · text/plain · ')
      expect(await item.getByText('Sent by <b>Eve</b>').isVisible()).toBe(true)
      expect(await item.locator('blockquote').textContent()).toBe(`Hello,\n${HOSTILE}`)
      expect(await live.locator('img, b').count()).toBe(0)
      await expectAccessible(page)

      await item.getByRole('button', { name: 'Close…' }).press('Enter')
      await page.getByRole('button', { name: 'Close', exact: true }).press('Enter')
      await live.getByText('Closed.').waitFor()
      expect(await live.getByText('No drop box is open.').isVisible()).toBe(true)
      expect((await tab.visit(url)).status).toBe(410)
      expect(tab.failures).toEqual([expect.stringContaining('400')])
      await page.reload()
      await tile(page, 'plan.txt').waitFor()
    })

    it('is below the prefix of a token that may do nothing else', async () => {
      await using tab = await open('asker')
      const { page } = tab
      await page.getByRole('button', { name: 'Ask for files' }).click()
      const form = dialog(page, 'Ask for files')
      await form.getByText('Below tenants/42/').waitFor()
      await form.getByLabel('Who asks').fill('Example GmbH')
      await form.getByLabel('Title').fill('Your documents')
      await page.keyboard.press('Enter')
      await dialog(page, 'Your drop box').waitFor()
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'Shared' }).click()
      const live = dialog(page, 'Shared')
      await live.getByText('For Example GmbH, into tenants/42/received/').waitFor()
      expect(await live.getByRole('radio').count()).toBe(0)
      expect(tab.failures).toEqual([])
    })
  })

  it('asks for other credentials when the token has expired', async () => {
    await using tab = await open('full')
    const { page } = tab
    await page.getByRole('button', { name: 'Shared' }).waitFor()
    await page.route('**/grants?*', (route) =>
      route.fulfill({
        status: 401,
        json: { message: 'It has expired.', code: 'unauthenticated', reason: 'expired' },
      }),
    )
    await page.getByRole('button', { name: 'Shared' }).click()
    await page.getByRole('alert').getByText('This token has expired.').waitFor()
    expect(await dialog(page, 'Shared').isVisible()).toBe(false)
  })

  it('shows why a list could not be loaded, and tries again', async () => {
    await using tab = await open('full')
    const { page } = tab
    await page.getByRole('button', { name: 'Shared' }).waitFor()
    const message = 'This could not be looked up. Try again.'
    await page.route('**/grants?*', (route) =>
      route.fulfill({
        status: 503,
        json: { message, code: 'unavailable', reason: 'state', requestId: 'r-1' },
      }),
    )
    await page.getByRole('button', { name: 'Shared' }).click()
    const live = dialog(page, 'Shared')
    await live.getByRole('alert').getByText(message).waitFor()
    await page.unroute('**/grants?*')
    await live.getByRole('button', { name: 'Try again' }).press('Enter')
    await live.getByText('You have no limited links.').waitFor()
    expect(await live.getByText(message).isVisible()).toBe(false)
  })

  it('says that some items of a list could not be loaded', async () => {
    await using tab = await open('full')
    const { page } = tab
    await page.getByRole('button', { name: 'Shared' }).waitFor()
    await page.route('**/grants?*', (route) =>
      route.fulfill({ json: { grants: [], unavailable: ['4598ac794eaa5ca01c10c2fdbad11996'] } }),
    )
    await page.getByRole('button', { name: 'Shared' }).click()
    const live = dialog(page, 'Shared')
    await live.getByRole('alert').getByText('Some could not be loaded.').waitFor()
    expect(await live.getByText('You have no limited links.').isVisible()).toBe(false)
  })

  it('opens a dialog once, also after two clicks, and says that it could not be loaded', async () => {
    await using tab = await open('full')
    const { page } = tab
    const ask = page.getByRole('button', { name: 'Ask for files' })
    const part = '**/assets/shares-*.js'
    await page.route(part, (route) => route.abort())
    await ask.click()
    await page.getByText('A part of this page could not be loaded. Reload the page.').waitFor()
    await page.unroute(part)
    await page.reload()
    const held = Promise.withResolvers<void>()
    await page.route(part, async (route) => {
      await held.promise
      await route.continue()
    })
    await ask.press('Enter')
    await ask.press('Enter')
    held.resolve()
    const form = dialog(page, 'Ask for files')
    await form.getByLabel('Who asks').fill('Example GmbH')
    await form.getByLabel('Title').fill('Once')
    const sent: string[] = []
    page.on('request', (request) => sent.push(request.method()))
    await page.keyboard.press('Enter')
    await dialog(page, 'Your drop box').waitFor()
    expect(sent).toEqual(['POST'])
  })

  it.each([1280, 1120, 800, 390])('moves nothing when it appears, at %i pixels', async (width) => {
    await put('plan.txt')
    await using tab = await open('full', (page) => page.setViewportSize({ width, height: 844 }))
    const { page } = tab
    await tile(page, 'plan.txt').first().waitFor()
    const tops = () =>
      page.evaluate(`['#files-title', '#tools', '#files']
        .map((id) => document.querySelector(id).getBoundingClientRect().top)`)
    await page.getByRole('button', { name: 'Shared' }).waitFor()
    const after = await tops()
    await page.evaluate(`document.documentElement.dataset.shares = ''`) // as before the answer of /limits
    expect(await page.getByRole('button', { name: 'Shared' }).count()).toBe(0)
    expect(await tops()).toEqual(after)
  })

  it.each([
    ['to a token without their scopes', 'reader', []],
    ['without their plugins', 'full', ['grants', 'dropBoxes']],
  ] as const)('are not offered %s, and nothing is asked', async (_, id, missing) => {
    await put('plain.txt')
    const sent: string[] = []
    await using tab = await open(id, async (page) => {
      await page.route('**/limits', async (route) => {
        const response = await route.fetch()
        const limits = z.looseObject({ plugins: z.array(z.string()) }).parse(await response.json())
        const plugins = limits.plugins.filter((name) => !missing.some((one) => one === name))
        await route.fulfill({ response, json: { ...limits, plugins } })
      })
      page.on('request', (request) => sent.push(new URL(request.url()).pathname))
    })
    const { page } = tab
    await page.getByRole('button', { name: 'Actions for plain.txt' }).first().click()
    await page.getByRole('button', { name: 'Copy another link…' }).click()
    await dialog(page, 'Copy a link').getByLabel('Valid for').waitFor()
    for (const name of ['Create a limited link instead…', 'Ask for files', 'Shared'])
      expect(await page.getByRole('button', { name, includeHidden: true }).isVisible()).toBe(false)
    expect(sent.filter((path) => /^\/(?:grants|drop-boxes)/.test(path))).toEqual([])
  })

  it('say what is missing without Durable Objects', async () => {
    await using tab = await open('full', async (page) => {
      await page.route(/\/(?:grants|drop-boxes)\?/, (route) =>
        route.fulfill({ status: 501, json: { message: 'No objects.', code: 'not_supported' } }),
      )
    })
    const { page } = tab
    await page.getByRole('button', { name: 'Shared' }).click()
    await dialog(page, 'Shared').getByText('No objects.').first().waitFor()
  })
})
