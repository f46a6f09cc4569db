import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BrowserContextOptions, Page, Route } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { startS3rver } from '../../cli/s3rver.ts'
import type { DropzoneMount, DropzonePage } from '../../client/test/dropzone-page-api.ts'
import { chooseByKeyboard } from './chromium.ts'
import { PART_BYTES } from './client/client-tab.ts'
import { type ClientContext, startClientContext } from './client/context.ts'
import { ROOT } from './package/packed.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

declare const dropzonePage: DropzonePage

const textFile = (name: string) => ({ name, mimeType: 'text/plain', buffer: Buffer.from('hello') })
const TEXT = textFile('a.txt')
const OTHER = textFile('b.txt')
const PNG = { name: 'boat.png', mimeType: 'image/png', buffer: smallPng(8, 8) }
/** In two parts. */
const LARGE = { name: 'c.bin', mimeType: 'text/plain', buffer: Buffer.alloc(PART_BYTES + 5) }

const tokenAnswer = z.object({ token: z.string() })
const SCOPES = ['files:upload', 'files:read', 'files:list', 'links:create']

it('has colors that bundlers keep: some rewrite light-dark() for a color-scheme in the same file', async () => {
  expect(await readFile(join(ROOT, 'client/dropzone.css'), 'utf8')).not.toContain('light-dark')
})

describeWith([CHROMIUM], 'the drop zone for React', () => {
  let context: ClientContext
  beforeAll(async () => {
    context = await startClientContext(startS3rver)
  })
  afterAll(() => context?.close())

  /** Mints a token of one user. */
  async function mint(subject: string, more: object = {}): Promise<string> {
    const answer = await fetch(`${context.worker}/tokens`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${context.apiKey}`,
        'Content-Type': 'application/json',
      },
      body: JSON.stringify({ scopes: SCOPES, subject, prefix: `team/${subject}/`, ...more }),
    })
    return tokenAnswer.parse(await answer.json()).token
  }

  describe.each([18, 19])('with React %i', (version) => {
    /** Opens a page. Its errors fail the test, and so does a style that its policy refuses. */
    async function open(
      { again: _, ...mounted }: Partial<DropzoneMount> = {},
      options: BrowserContextOptions = {},
    ) {
      context.proxy.reset()
      const browserContext = await context.browser.newContext({
        reducedMotion: 'reduce',
        ...options,
      })
      const tab = await browserContext.newPage()
      const errors: string[] = []
      const requests: string[] = []
      tab.on('pageerror', ({ message }) => errors.push(message))
      tab.on('console', (message) => {
        // The browser prints each response with an error, too.
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
          errors.push(message.text())
      })
      tab.on('request', (request) => {
        if (request.url().startsWith(context.worker) && request.method() !== 'OPTIONS')
          requests.push(`${request.method()} ${new URL(request.url()).pathname}`)
      })
      await tab.goto(`${context.page}/dropzone-${version}`)
      const mount = (more: Partial<DropzoneMount> = {}) =>
        tab.evaluate((given) => dropzonePage.mount(given), {
          ...{ baseUrl: context.worker, token: context.apiKey, ...mounted, ...more },
        })
      await mount()
      return {
        tab,
        browserContext,
        errors,
        requests,
        mount,
        rows: tab.locator('ul li'),
        zone: tab.locator('.ep-dropzone-zone'),
        button: (name: string) => tab.getByRole('button', { name, exact: true }),
        choose: (files: Parameters<Page['setInputFiles']>[1]) =>
          tab.setInputFiles('[type=file]', files),
        names: () => tab.locator('.ep-dropzone-file bdi').allTextContents(),
        statuses: () =>
          tab
            .locator('ul li')
            .evaluateAll((rows) => rows.map((row) => row.getAttribute('data-status'))),
        refused: () => tab.locator('.ep-dropzone-refused p').allTextContents(),
        status: () => tab.locator('[role=status]').textContent(),
        said: () => tab.evaluate(() => dropzonePage.said()),
        uploaded: () => tab.evaluate(() => dropzonePage.uploaded()),
        focused: () =>
          tab.evaluate<string>(
            '(({ activeElement: e }) => e.getAttribute("aria-label") ?? e.type ?? e.tagName)(document)',
          ),
        async [Symbol.asyncDispose]() {
          await browserContext.close()
          expect(errors).toEqual([])
        },
      }
    }
    type Opened = Awaited<ReturnType<typeof open>>

    const puts = () => context.proxy.requests.filter(({ method }) => method === 'PUT')
    /** Holds the PUTs of the page at the bucket, until the returned function is called. */
    function holdPuts(isHeld = (_: { partNumber: number; key: string }) => true): () => void {
      const { promise, resolve } = Promise.withResolvers<null>()
      context.proxy.failure = (request) =>
        request.method === 'PUT' && isHeld(request) ? promise : null
      return () => resolve(null)
    }

    /** Sends an event with files that the page makes, as a drop or a paste does. */
    const send = (
      { tab }: Opened,
      type: 'drop' | 'dragover' | 'dragleave' | 'paste',
      names: readonly string[],
      selector = '.ep-dropzone-zone',
      related = 'h1',
    ): Promise<boolean> =>
      tab.evaluate<boolean>(`(() => {
        const data = new DataTransfer()
        for (const name of ${JSON.stringify(names)})
          data.items.add(new File(['hello'], name, { type: 'text/plain' }))
        const init = { bubbles: true, cancelable: true }
        const event = '${type}' === 'paste'
          ? new ClipboardEvent('paste', { ...init, clipboardData: data })
          : new DragEvent('${type}', { ...init, dataTransfer: data, relatedTarget: document.querySelector(${JSON.stringify(related)}) })
        return document.querySelector(${JSON.stringify(selector)}).dispatchEvent(event)
      })()`)

    /** Drops files and folders of the disk, as a person does. */
    async function dropFromDisk({ tab, zone }: Opened, ...files: readonly string[]) {
      const session = await tab.context().newCDPSession(tab)
      const box = await zone.boundingBox()
      const place = { x: (box?.x ?? 0) + 20, y: (box?.y ?? 0) + 20 }
      const data = { items: [], files: [...files], dragOperationsMask: 1 }
      for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
        await session.send('Input.dispatchDragEvent', { type, ...place, data })
      await session.detach()
    }

    it('uploads what somebody drops, and shows that the zone takes it', async () => {
      await using page = await open()
      const isOver = () => page.zone.getAttribute('data-over')
      expect(await send(page, 'dragover', ['a.txt'])).toBe(false) // The browser must not open it.
      await expect.poll(isOver).toBe('true')
      await send(page, 'dragleave', ['a.txt'], '.ep-dropzone-zone', '[type=file]')
      await page.tab.waitForTimeout(100)
      expect(await isOver()).toBe('true')
      await send(page, 'dragleave', ['a.txt'])
      await expect.poll(isOver).toBe(null)
      expect(await send(page, 'drop', ['a.txt', 'b.txt'])).toBe(false)
      await expect.poll(page.statuses).toEqual(['done', 'done'])
      expect(await isOver()).toBe(null)
      expect(await page.names()).toEqual(['a.txt', 'b.txt'])
      const keys = await page.uploaded()
      expect(keys).toHaveLength(2)
      for (const key of keys) expect(await context.head(key)).toMatchObject({ size: 5 })
      // A file that misses the zone doesn't replace the page. One for another input still gets there.
      expect(await send(page, 'dragover', ['a.txt'], 'h1')).toBe(false)
      await page.tab.evaluate('document.body.append(document.createElement("input"))')
      expect(await send(page, 'dragover', ['a.txt'], 'body > input')).toBe(true)
      await page.tab.evaluate(
        'document.body.append(Object.assign(document.createElement("div"), { contentEditable: true, id: "editor" }))',
      )
      expect(await send(page, 'dragover', ['a.txt'], '#editor')).toBe(true)
      await page.tab.evaluate(() => dropzonePage.unmount())
      expect(await send(page, 'dragover', ['a.txt'], 'h1')).toBe(true)
    })

    it('uploads what somebody pastes', async () => {
      await using page = await open()
      await page.tab.focus('[type=file]')
      expect(await send(page, 'paste', ['pasted.txt'], '[type=file]')).toBe(false)
      await expect.poll(page.statuses).toEqual(['done'])
      expect(await page.names()).toEqual(['pasted.txt'])
      expect(await send(page, 'paste', [], '[type=file]')).toBe(true)
    })

    it('works with nothing but a keyboard, which never loses its place', async () => {
      await using page = await open()
      const release = holdPuts()
      await chooseByKeyboard(page.tab, [TEXT, OTHER])
      await expect.poll(page.statuses).toEqual(['uploading', 'uploading'])
      await page.tab.keyboard.press('Tab')
      expect(await page.focused()).toBe('Pause: a.txt')
      await page.tab.keyboard.press('Enter')
      await expect.poll(page.focused).toBe('Resume: a.txt')
      await page.tab.keyboard.press('Enter')
      await expect.poll(page.focused).toBe('Pause: a.txt')
      release()
      // The button disappears under the focus.
      await expect.poll(page.focused).toBe('Hide: a.txt')
      await expect.poll(page.statuses).toEqual(['done', 'done'])
      await page.tab.keyboard.press('Enter')
      await expect.poll(page.focused).toBe('Hide: b.txt')
      await page.tab.keyboard.press('Enter')
      await expect.poll(page.focused).toBe('file')
      expect(await page.rows.count()).toBe(0)
    })

    it('never takes the focus from a field in which somebody goes on', async () => {
      await using page = await open()
      await page.choose(TEXT)
      await expect.poll(page.statuses).toEqual(['done'])
      await page.mount({ again: true, props: { disabled: true } })
      await page.tab.evaluate('document.body.append(document.createElement("input"))')
      await page.tab.focus('[aria-label="Hide: a.txt"]')
      await page.tab.keyboard.press('Enter')
      await expect.poll(() => page.rows.count()).toBe(0)
      await page.tab.focus('body > input')
      await page.mount({ again: true })
      await page.tab.keyboard.type('abc')
      expect(await page.tab.locator('body > input').inputValue()).toBe('abc')
    })

    it('pauses and resumes: a file in parts sends only the missing ones', async () => {
      await using page = await open({ multipart: true })
      holdPuts(({ partNumber }) => partNumber > 1)
      await page.choose(LARGE)
      const value = () => page.tab.getByRole('progressbar', { name: 'c.bin' }).getAttribute('value')
      await expect.poll(async () => Number(await value())).toBeGreaterThan(0.9)
      await expect.poll(() => puts().filter(({ status }) => status === 200)).toHaveLength(1)
      await page.button('Pause: c.bin').click()
      await page.tab.locator('li >> text=Paused').waitFor()
      expect(await page.status()).toBe('0 of 1 files uploaded.')
      const [{ s3UploadId = '' } = {}] = puts()
      context.proxy.reset()
      await page.button('Resume: c.bin').click()
      await expect.poll(page.statuses).toEqual(['done'])
      expect(puts()).toMatchObject([{ partNumber: 2, s3UploadId }])
    })

    it('cancels: the row disappears, and the bucket keeps no parts', async () => {
      await using page = await open({ multipart: true })
      holdPuts(({ partNumber }) => partNumber > 1)
      await page.choose([LARGE, { ...LARGE, name: 'd.bin' }])
      await expect.poll(() => puts().filter(({ status }) => status === 200)).toHaveLength(2)
      const started = puts()
      await page.tab.focus('[aria-label="Cancel: c.bin"]')
      await page.tab.keyboard.press('Enter')
      await expect.poll(page.names).toEqual(['d.bin'])
      expect(await page.focused()).toBe('Cancel: d.bin')
      await page.tab.keyboard.press('Enter')
      await expect.poll(page.focused).toBe('file')
      for (const { key, s3UploadId } of started)
        await expect.poll(() => context.hasUpload(key, s3UploadId)).toBe(false)
      expect(await page.uploaded()).toEqual([])
    })

    it('offers another try after a failure, if that may help', async () => {
      await using page = await open()
      context.proxy.failure = ({ method }) => (method === 'PUT' ? 400 : null)
      await page.choose(TEXT)
      await expect.poll(page.statuses).toEqual(['failed'])
      await expect(page.tab.locator('.ep-dropzone-reason').textContent()).resolves.toContain('400')
      expect(await page.status()).toContain('0 of 1 files uploaded, 1 failed.')
      expect(await page.tab.locator('li button').allTextContents()).toEqual(['Hide'])

      await page.button('Hide: a.txt').click()
      await page.tab.route(`${context.worker}/files/upload-url*`, (route) =>
        route.fulfill({
          status: 401,
          headers: { 'Access-Control-Allow-Origin': '*' },
          json: { code: 'unauthenticated', message: 'no', requestId: 'r', reason: 'expired' },
        }),
      )
      context.proxy.reset()
      await page.choose(OTHER)
      const reason = 'Your session has expired. Reload the page.'
      await page.tab.locator(`.ep-dropzone-reason >> text=${reason}`).waitFor()
      expect(await page.status()).toBe(`0 of 1 files uploaded, 1 failed. ${reason}`)
      // It may still be uploaded.
      await page.mount({ again: true, props: { maxFiles: 1 } })
      await page.choose(TEXT)
      await expect.poll(page.refused).toEqual(['You can add at most 1 file.'])
      await page.tab.unrouteAll()
      await page.button('Try again: b.txt').click()
      await expect.poll(page.statuses).toEqual(['done'])
      expect(await page.status()).toBe('1 of 1 files uploaded.')
    })

    it('shows why files are not added, and what may be', async () => {
      const token = await mint('ada', { allowedTypes: ['text/plain', 'image/*'], maxBytes: 4_990 })
      await using page = await open({ token, props: { maxFiles: 3 } })
      const hint = page.tab.locator('.ep-dropzone-hint')
      await expect.poll(() => hint.allTextContents()).toEqual(['Up to 4.9 kB for each file.'])
      const input = page.tab.locator('[type=file]')
      expect(await input.getAttribute('accept')).toBe('text/plain,image/*')
      expect(await input.getAttribute('aria-describedby')).toBe(await hint.getAttribute('id'))
      const large = { ...TEXT, name: 'large.txt', buffer: Buffer.alloc(4_991) }
      const zip = { ...TEXT, name: 'd.zip', mimeType: 'application/zip' }
      await page.choose([TEXT, large, zip])
      const reasons = [
        'large.txt: This file is too large.',
        'd.zip: Files of this type are not allowed.',
      ]
      await expect.poll(page.refused).toEqual(reasons)
      await expect.poll(page.statuses).toEqual(['done'])
      await page.choose([OTHER, PNG, { ...OTHER, name: 'e.txt' }])
      await expect.poll(page.refused).toEqual(['You can add at most 3 files.'])
      expect(await page.names()).toEqual(['a.txt', 'b.txt', 'boat.png'])
      expect(await input.inputValue()).toBe('') // so that the same file can be chosen again
      await page.choose(Array.from({ length: 8 }, (_, n) => ({ ...zip, name: `${n}.zip` })))
      await expect
        .poll(async () => (await page.refused()).at(-1))
        .toBe('3 more files were not added.')
      expect(await page.refused()).toHaveLength(6)

      await page.mount({ again: true, props: { accept: '.TXT, video/*', multiple: false } })
      expect(await input.getAttribute('accept')).toBe('.TXT, video/*')
      await page.button('Hide uploaded files').click()
      await expect.poll(page.focused).toBe('file')
      await send(page, 'drop', ['f.TXT', 'g.txt', 'h.md'])
      await expect
        .poll(page.refused)
        .toEqual(['You can add at most 1 file.', 'h.md: Files of this type are not allowed.'])
      await expect.poll(page.names).toEqual(['f.TXT'])
      await expect.poll(page.statuses).toEqual(['done'])
      await page.mount({ again: true, props: { disabled: true } })
      await send(page, 'drop', ['i.txt'])
      await send(page, 'paste', ['j.txt'], '[type=file]')
      await page.mount({ again: true })
      await send(page, 'drop', ['k.txt'])
      await expect.poll(page.names).toEqual(['f.TXT', 'k.txt'])
    })

    it('takes folders if the app wants them, with the paths of their files', async () => {
      await using page = await open()
      const folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
      try {
        await mkdir(join(folder, 'trip/day 1'), { recursive: true })
        const paths = ['trip/a.txt', 'trip/day 1/b.txt']
        for (const path of paths) await writeFile(join(folder, path), 'hello')
        await writeFile(join(folder, 'c.txt'), 'hello')
        const dropped = [join(folder, 'trip'), join(folder, 'c.txt')]
        await dropFromDisk(page, ...dropped)
        await expect.poll(page.names).toEqual(['c.txt'])
        expect(await page.refused()).toEqual([
          expect.stringContaining('Folders can’t be uploaded.'),
        ])
        await page.mount({ props: { directory: true } })
        await dropFromDisk(page, ...dropped)
        await expect.poll(page.statuses).toEqual(['done', 'done', 'done'])
        expect((await page.names()).toSorted()).toEqual(['a.txt', 'b.txt', 'c.txt'])
        const found = await page.tab.evaluate(() => dropzonePage.paths())
        expect(found.toSorted()).toEqual(['', ...paths])
        expect(await page.tab.locator('[webkitdirectory]').count()).toBe(1)
      } finally {
        await rm(folder, { recursive: true })
      }
    })

    it('shows uploaded pictures by links, with one request for several', async () => {
      await using page = await open()
      const asked = () => page.requests.filter((each) => each === 'POST /links').length
      const held: Route[] = []
      await page.tab.route(`${context.worker}/links`, async (route) => {
        if (held.length > 0) await route.continue()
        else held.push(route)
      })
      await page.choose(TEXT)
      await page.choose(PNG)
      await expect.poll(() => held.length).toBe(1)
      await page.choose([
        { ...PNG, name: 'c.png' },
        { ...PNG, name: 'd.png' },
      ])
      await expect.poll(page.statuses).toEqual(['done', 'done', 'done', 'done'])
      expect(asked()).toBe(1)
      await held[0]?.continue()
      const widths = () =>
        page.tab
          .locator('li img')
          .evaluateAll((all) => all.map((image) => Reflect.get(image, 'naturalWidth')))
      await expect.poll(widths).toEqual([8, 8, 8])
      expect(await page.tab.locator('li:has-text("a.txt") img').count()).toBe(0)
      expect(asked()).toBe(2)
      // A user who may not create links, and an app that wants no pictures, send none.
      const before = asked()
      await page.mount({ props: { thumbnails: false } })
      await page.choose(PNG)
      await expect.poll(page.statuses).toEqual(['done'])
      await page.mount({ token: await mint('ada', { scopes: ['files:upload'] }) })
      await page.choose(PNG)
      await expect.poll(page.statuses).toEqual(['done'])
      expect(asked()).toBe(before)
      expect(page.errors).toEqual([])
    })

    it('shows no picture for a key that has another one by now', async () => {
      await using page = await open({ key: 'team/avatar.png' })
      const pictures = () => page.tab.locator('li img').count()
      await page.choose(PNG)
      await expect.poll(pictures).toBe(1)
      await page.choose({ ...PNG, buffer: smallPng(16, 16) })
      await expect.poll(page.statuses).toEqual(['done', 'done'])
      await expect.poll(pictures).toBe(0)
      await page.button('Hide: boat.png').first().click()
      await page.tab.waitForTimeout(100)
      expect(await pictures()).toBe(0)
    })

    it('hides a picture that the browser can not show', async () => {
      await using page = await open()
      await page.tab.route('**/i/**', (route) => route.fulfill({ status: 404 }))
      await page.choose(PNG)
      const picture = page.tab.locator('li img')
      await picture.waitFor({ state: 'attached' })
      await expect.poll(() => picture.isVisible()).toBe(false)
    })

    it('tells screen readers of starts, ends and errors, not of each percent', async () => {
      await using page = await open({ multipart: true })
      const release = holdPuts(({ partNumber }) => partNumber > 1)
      await page.choose([LARGE, TEXT])
      await expect.poll(page.statuses).toEqual(['uploading', 'done'])
      const progress = async () => Number(await page.tab.locator('progress').getAttribute('value'))
      await expect.poll(progress).toBeGreaterThan(0.9)
      release()
      await expect.poll(page.statuses).toEqual(['done', 'done'])
      context.proxy.failure = ({ method }) => (method === 'PUT' ? 400 : null)
      await page.choose([OTHER, { ...OTHER, name: 'd.txt' }])
      await expect.poll(page.statuses).toEqual(['done', 'done', 'failed', 'failed'])
      const said = await page.said()
      const [first, second, third, ...errors] = said
      expect([first, second, third]).toEqual([
        'Uploading 2 files.',
        '2 of 2 files uploaded.',
        'Uploading 4 files.',
      ])
      expect(errors.at(-1)).toBe('2 of 4 files uploaded, 2 failed.')
      expect(errors.length).toBeLessThanOrEqual(2)
      // Nothing else is read out.
      expect(await page.tab.locator('[aria-live], [role=alert]:not(:empty)').count()).toBe(0)
    })

    it('forgets everything of a user when another one logs in', async () => {
      const tokens = {
        ann: await mint('ann', { allowedTypes: ['text/plain'], maxBytes: 100 }),
        bob: await mint('bob'),
      }
      const logIn = (name: string) => page.tab.evaluate(`document.cookie = 'user=${name}'`)
      await using page = await open({ user: 'cookie', tokens })
      await logIn('ann')
      await page.mount()
      const hint = page.tab.locator('.ep-dropzone-hint')
      await expect.poll(() => hint.count()).toBe(1)
      const release = holdPuts()
      await page.choose([TEXT, { ...PNG, name: 'secret.png' }])
      await expect.poll(() => puts().length).toBe(1)
      expect(await page.refused()).toHaveLength(1)
      await page.tab.focus('[aria-label="Cancel: a.txt"]')
      await page.tab.evaluate(() => dropzonePage.endSession())
      await expect.poll(() => page.tab.locator('#root').textContent()).not.toContain('a.txt')
      expect(await page.refused()).toEqual([])
      expect(await hint.count()).toBe(0)
      expect(await page.tab.locator('[type=file]').getAttribute('accept')).toBe(null)
      await expect.poll(page.focused).toBe('file')
      await logIn('bob')
      release()
      await page.choose(PNG)
      await expect.poll(page.statuses).toEqual(['done'])
      expect(await page.uploaded()).toEqual([expect.stringContaining('team/bob/')])
      expect(await page.names()).toEqual(['boat.png'])

      // Without a log-out that the page knows of.
      await page.choose({ ...TEXT, name: 'of-bob.txt' })
      await expect.poll(page.statuses).toEqual(['done', 'done'])
      await logIn('ann')
      await page.tab.evaluate('dispatchEvent(new Event("focus"))')
      await expect.poll(page.names).toEqual([])
      await expect.poll(() => hint.count()).toBe(1)
    })

    it('does not upload as the next user what somebody has dropped', async () => {
      const tokens = { ann: await mint('ann'), bob: await mint('bob') }
      await using page = await open({ user: 'cookie', tokens, props: { directory: true } })
      const logIn = (name: string) => page.tab.evaluate(`document.cookie = 'user=${name}'`)
      await logIn('ann')
      await page.mount()
      // A folder that takes its time.
      await page.tab.evaluate(`DataTransferItem.prototype.webkitGetAsEntry = () => ({
        isDirectory: true, name: 'trip',
        createReader: () => ({ readEntries: (resolve) => globalThis.read = resolve }),
      })`)
      const read = (name: string) =>
        page.tab.evaluate(`(() => {
          const file = (resolve) => resolve(new File(['hello'], '${name}', { type: 'text/plain' }))
          const first = globalThis.read
          first([{ isFile: true, fullPath: '/trip/${name}', file }])
          return new Promise((resolve) => setTimeout(resolve)).then(() => globalThis.read([]))
        })()`)
      await send(page, 'drop', ['trip'])
      await read('of-ann.txt')
      await expect.poll(page.statuses).toEqual(['done'])
      await send(page, 'drop', ['trip'])
      await logIn('bob')
      await read('secret-of-ann.txt')
      await send(page, 'paste', ['a.txt'], '[type=file]')
      await expect.poll(page.uploaded).toHaveLength(2)
      expect((await page.uploaded())[1]).toContain('team/bob/')
      expect(await page.names()).toEqual(['a.txt'])
    })

    it('forgets what somebody has added while nobody was logged in', async () => {
      const tokens = { bob: await mint('bob') }
      await using page = await open({ user: 'cookie', tokens, props: { accept: 'text/*' } })
      await page.choose([TEXT, PNG])
      await expect.poll(page.statuses).toEqual(['failed'])
      expect(await page.refused()).toHaveLength(1)
      await page.tab.evaluate('document.cookie = "user=bob"')
      await page.tab.evaluate('dispatchEvent(new Event("focus"))')
      await expect.poll(page.names).toEqual([])
      expect(await page.refused()).toEqual([])
    })

    it('sends nothing while nobody is logged in', async () => {
      await using page = await open({ user: 'cookie', tokens: {} })
      await page.tab.waitForTimeout(300) // It would ask at once, and again and again.
      expect(page.requests).toEqual([])
      expect(await page.tab.evaluate(() => dropzonePage.renders())).toBeLessThan(10)
    })

    it('forgets the limits and refusals of another client', async () => {
      await using page = await open({ token: await mint('ann', { maxBytes: 100 }) })
      const hint = page.tab.locator('.ep-dropzone-hint')
      await expect.poll(() => hint.count()).toBe(1)
      await page.choose({ ...TEXT, buffer: Buffer.alloc(101) })
      await expect.poll(page.refused).toHaveLength(1)
      await page.mount({ again: true, otherClient: true, token: await mint('bob') })
      await expect.poll(page.refused).toEqual([])
      await expect.poll(() => hint.count()).toBe(0)
    })

    it('goes on with uploads after it unmounts, and sends each file once', async () => {
      await using page = await open()
      const release = holdPuts()
      await page.choose([TEXT, OTHER])
      await expect.poll(() => puts().length).toBe(2)
      await page.tab.evaluate(() => dropzonePage.unmount())
      release()
      await expect.poll(page.uploaded).toHaveLength(2)
      expect(puts()).toHaveLength(2)
      // StrictMode mounts twice, and cancels the first request.
      expect(page.requests.filter((each) => each === 'GET /limits').length).toBeLessThanOrEqual(2)
    })

    it('renders on a server without a request, and hydrates that HTML', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
      const { fetch: real } = globalThis
      try {
        const file = join(directory, 'server.mjs')
        await writeFile(
          file,
          await (await real(`${context.page}/react-${version}-server.js`)).text(),
        )
        const fetched: unknown[] = []
        globalThis.fetch = async (url) => {
          fetched.push(url)
          throw new TypeError('no network')
        }
        const { dropzoneHtml } = await import(pathToFileURL(file).href)
        const html: string = dropzoneHtml()
        globalThis.fetch = real
        expect(html).toContain('Drop files here, or choose them')
        expect(fetched).toEqual([])
        await using page = await open({ html })
        await page.choose(TEXT)
        await expect.poll(page.statuses).toEqual(['done'])
        expect(await page.tab.evaluate(() => dropzonePage.recovered())).toEqual([])
      } finally {
        globalThis.fetch = real
        await rm(directory, { recursive: true })
      }
    })

    // What follows depends on the styles and the texts, not on React.
    if (version === 18) return

    it.each<readonly [string, BrowserContextOptions, Partial<DropzoneMount>]>([
      ['light', { colorScheme: 'light' }, {}],
      ['dark', { colorScheme: 'dark' }, {}],
      ['from right to left', {}, { isArabic: true }],
      ['320 pixels wide', { viewport: { width: 320, height: 900 } }, {}],
      // 640 pixels, of which each is two wide
      ['zoomed to 200 %', { viewport: { width: 320, height: 450 }, deviceScaleFactor: 2 }, {}],
      ['with forced colors', { forcedColors: 'active' }, {}],
    ])('is accessible, and fits: %s', async (name, options, mounted) => {
      const token = await mint('ada', { maxBytes: 5_000_000 + PART_BYTES })
      await using page = await open({ token, multipart: true, ...mounted }, options)
      context.proxy.failure = async ({ method, key }) =>
        method === 'PUT' && key.includes('bad') ? 400 : null
      await page.choose([
        PNG,
        textFile('a_rather_long_name_that_has_no_place_to_break_2026_12_01.txt'),
      ])
      await expect.poll(page.statuses).toEqual(['done', 'done'])
      await page.tab.locator('li img').waitFor()
      holdPuts(({ partNumber, key }) => partNumber > 1 || key.includes('held'))
      await page.choose([LARGE, { ...LARGE, name: 'd.mov' }])
      await expect.poll(async () => await page.tab.locator('progress').count()).toBe(2)
      await page.tab.locator('li').nth(3).locator('button').first().click()
      context.proxy.failure = ({ method }) => (method === 'PUT' ? 400 : null)
      await page.choose(textFile('bad.txt'))
      await expect.poll(async () => (await page.statuses()).at(-1)).toBe('failed')
      await page.choose([
        { ...LARGE, name: 'huge.bin', buffer: Buffer.alloc(5_000_001 + PART_BYTES) },
      ])
      await expect.poll(page.refused).toHaveLength(1)
      if (process.env.SCREENSHOTS)
        await page.tab.screenshot({
          path: join(process.env.SCREENSHOTS, `${name}.png`),
          fullPage: true,
        })
      expect(await findings(page.tab)).toEqual([])
      // A policy may refuse them in the HTML of a server.
      expect(await page.tab.locator('#root [style]').count()).toBe(0)
      const sizes = '[document.documentElement.scrollWidth, innerWidth]'
      const [content, view] = await page.tab.evaluate<[number, number]>(sizes)
      expect(content).toBeLessThanOrEqual(view)
      if (!mounted.isArabic) return
      // Every text is Arabic, except names of files.
      const text = await page.tab.locator('#root').textContent()
      expect(text?.replaceAll(/(?:png|txt|bin|mov)?[\w-]+\.(?:png|txt|bin|mov)/g, '')).not.toMatch(
        /\w{3}/,
      )
      const right = (selector: string) =>
        page.tab.$eval(selector, (element) => element.getBoundingClientRect().right)
      expect(await right('li button')).toBeLessThan(await right('li bdi'))
      expect(await right('li bdi')).toBeGreaterThan((await right('li img')) - 100)
    })
  })
})

/** Returns everything that axe finds, not only what is serious. */
async function findings(page: Page): Promise<unknown> {
  await page.evaluate(await readFile(join(ROOT, 'node_modules/axe-core/axe.min.js'), 'utf8'))
  return page.evaluate(`axe.run().then(({ violations }) =>
    violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]))`)
}
