import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page, Route } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { buildPage } from '../../tools/dev/build-page.ts'
import {
  type BuiltWorker,
  type BuiltWorkerOptions,
  startBuiltWorker,
  UNREACHABLE,
} from './built-worker.ts'
import { chooseByKeyboard, connectChromium, newTab } from './chromium.ts'
import { type Forwarder, startForwarder } from './client/forwarder.ts'
import { choose, dropOn, FILM, seriousFindings, type TestFile, tile } from './demo-page.ts'
import { type HeldPart, holdPart } from './held-part.ts'
import { patternBytes } from './pattern-bytes.ts'
import { shared } from './shared.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

const FULL = 'ep_full_0123456789abcdef0123456789abcdef0123456789a'
const READ_ONLY = 'ep_reader_0123456789abcdef0123456789abcdef0123456789a'
const COLLEAGUE = 'ep_colleague_0123456789abcdef0123456789abcdef0123456789a'
const UPLOAD_ONLY = 'ep_uploader_0123456789abcdef0123456789abcdef0123456789a'
const READ = ['files:read', 'files:list', 'links:create']

const PHONE = { width: 390, height: 844 }

const tokenSchema = z.object({ token: z.string() })
const listSchema = z.object({
  files: z.array(z.object({ key: z.string(), name: z.string(), size: z.int() })),
})
const urlSchema = z.object({ url: z.url() })

const apiKey = (key: string, scopes: readonly string[]) => ({
  id: key.split('_')[1],
  sha256: createHash('sha256').update(key).digest('hex'),
  scopes,
  prefix: '',
})

const picture = (name: string): TestFile => ({
  name,
  mimeType: 'image/png',
  buffer: smallPng(64, 40, 90),
})

const names = (page: Page): Promise<string[]> => page.locator('.file-name').allTextContents()

const connection = (page: Page) => page.locator('#connection')

const notice = (page: Page) => page.locator('#notice')

/** Tells whether the storage of the page has a file, that its upload began, and the id of the upload. */
const IS_KEPT = `(async () => {
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open('uppy-blobs')
    request.onsuccess = () => resolve(request.result)
    request.onerror = reject
  })
  const ask = (name, method) =>
    new Promise((resolve, reject) => {
      const request = database.transaction(name).objectStore(name)[method]()
      request.onsuccess = () => resolve(request.result)
      request.onerror = reject
    })
  try {
    const states = await ask('metadata', 'getAll')
    const hasBegun = states.some(({ metadata }) => metadata.includes('"uploadStarted":1'))
    const hasUpload = Object.keys(localStorage).some((name) => name.startsWith('edge-presigner:'))
    return hasBegun && hasUpload && (await ask('files', 'count')) > 0
  } finally {
    database.close()
  }
})()`

/** Waits until a reload of the page can continue its upload. Golden Retriever writes twice a second. */
const uploadIsKept = (page: Page): Promise<void> =>
  expect.poll(() => page.evaluate<boolean>(IS_KEPT)).toBe(true)

/** Expects that the line about the connection disappears, four seconds after its last text. */
const expectConnected = (page: Page): Promise<void> =>
  expect
    .poll(async () => {
      await page.clock.fastForward(4000)
      return connection(page).textContent()
    })
    .toBe('')

describeWith([CHROMIUM], 'uploads on the page of a Worker in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let directory: string
  let origin: string
  let options: BuiltWorkerOptions
  /** At the Worker's origin, which stays the same when the Worker is killed and started. */
  let gate: Forwarder
  /** The port of the Worker. 0 while it hangs. */
  let workerPort = 0
  let worker: BuiltWorker
  let browser: Browser
  let film: string

  const startWorker = async () => {
    worker = await startBuiltWorker(options)
    workerPort = Number(new URL(worker.origin).port)
  }

  const call = async (path: string, init: RequestInit = {}): Promise<unknown> => {
    const headers = { Authorization: `Bearer ${FULL}`, 'Content-Type': 'application/json' }
    const response = await fetch(worker.origin + path, { ...init, headers })
    if (!response.ok) throw new Error(`${path} answered ${await response.text()}`)
    return response.json()
  }
  const mint = async (body: object): Promise<string> =>
    tokenSchema.parse(await call('/tokens', { method: 'POST', body: JSON.stringify(body) })).token
  /**
   * Returns credentials that have expired. Only the Worker's own clock ends a token, so requests of
   * the page get these.
   */
  const endedToken = async (scopes: readonly string[]): Promise<string> => {
    const Authorization = `Bearer ${await mint({ scopes, expiresIn: 1 })}`
    const status = async () =>
      (await fetch(`${worker.origin}/limits`, { headers: { Authorization } })).status
    await expect.poll(status).toBe(401)
    return Authorization
  }
  const list = async () => listSchema.parse(await call('/files')).files

  interface Tab extends AsyncDisposable {
    readonly page: Page
    readonly context: BrowserContext
    readonly failures: readonly string[]
  }

  /** Opens the page with a token in a new tab. */
  async function open(token: string, at = origin): Promise<Tab> {
    const { context, page, failures } = await newTab(browser)
    if (token !== '')
      await page.addInitScript(
        `if (!sessionStorage.getItem('token')) sessionStorage.setItem('token', '${token}')`,
      )
    await page.goto(at)
    await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' })
    return { page, context, failures, [Symbol.asyncDispose]: () => context.close() }
  }

  /** Checks the page on a desktop and on a phone. */
  async function expectAccessible(page: Page): Promise<void> {
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 })
      expect(await seriousFindings(page)).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
    }
    await page.setViewportSize({ width: 1280, height: 800 })
  }

  /** Starts the upload of a large file, of which the bucket doesn't get the second part. */
  async function sendSomeParts(page: Page): Promise<HeldPart & { readonly parts: string[] }> {
    const parts: string[] = []
    page.on('requestfinished', (request) => {
      const part = new URL(request.url()).searchParams.get('partNumber')
      if (request.method() === 'PUT' && part !== null) parts.push(part)
    })
    const part2 = await holdPart(page, 2)
    await choose(page, film)
    await part2.isHeld()
    await expect.poll(() => parts.toSorted()).toEqual(['1', '3'])
    return { ...part2, parts }
  }

  beforeAll(async () => {
    await buildPage()
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    film = join(directory, FILM.name)
    await writeFile(film, patternBytes(FILM.size))
    const port = await freePort()
    origin = `http://localhost:${port}`
    const s3 = await startS3rver({
      port: 0,
      directory: join(directory, 's3'),
      corsOrigins: [origin],
    })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    options = {
      configPath: await shared('worker', 'default'),
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: {
        API_KEYS: JSON.stringify([
          apiKey(FULL, [...READ, 'files:upload', 'files:delete', 'tokens:create']),
          apiKey(READ_ONLY, READ),
          apiKey(UPLOAD_ONLY, ['files:upload']),
          apiKey(COLLEAGUE, [...READ, 'files:upload']),
        ]),
      },
    }
    gate = await startForwarder(() => workerPort, port)
    stack.defer(() => gate.close())
    await startWorker()
    stack.defer(() => worker.close())
    browser = await connectChromium()
    stack.defer(() => browser.close())
  })

  afterAll(() => stack.disposeAsync())

  it('keeps the order of names in a batch', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    const inOrder = Array.from({ length: 12 }, (_, index) => `picture ${index + 1}.png`)
    const shuffled = [7, 2, 11, 0, 9, 4, 1, 10, 3, 8, 6, 5].map((index) => inOrder[index] ?? '')
    const signed: string[] = []
    page.on('request', (request) => {
      const { pathname } = new URL(request.url())
      if (request.method() === 'POST' && pathname.includes('upload-url')) signed.push(pathname)
    })
    await dropOn(page, 'h1', shuffled.map(picture))
    await notice(page).getByText('12 files uploaded.').waitFor()
    await expect.poll(() => names(page)).toEqual(inOrder)
    expect(signed).toEqual(['/files/upload-urls'])
    await page.reload()
    await tile(page, 'picture 1.png').waitFor()
    expect(await names(page)).toEqual(inOrder)
    expect(tab.failures).toEqual([])
  })

  it.each([
    [1280, 640],
    [1280, 900],
    [390, 844],
  ])('keeps the panel in view while the user scrolls, at %i × %i', async (width, height) => {
    await using tab = await open(FULL)
    const { page } = tab
    await page.setViewportSize({ width, height: height })
    await page.evaluate(`document.querySelector('.gallery').style.minHeight = '3000px'`)
    await page.evaluate('scrollTo(0, 2000)')
    const box = await page.locator('#uploader').boundingBox()
    expect(box?.y).toBeGreaterThanOrEqual(0)
    expect((box?.y ?? 0) + (box?.height ?? 0)).toBeLessThanOrEqual(height)
    await page.getByRole('button', { name: /^(browse|Choose) files$/ }).click({ trial: true })
  })

  it('gives the pinned panel little of a phone, also while files are uploading', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    await page.setViewportSize(PHONE)
    const button = page.getByRole('button', { name: 'Choose files' })
    await button.waitFor()
    expect(
      await page
        .getByText(/^Drop /)
        .filter({ visible: true })
        .count(),
    ).toBe(0)
    await page.evaluate(`document.querySelector('.gallery').style.minHeight = '3000px'`)
    await page.evaluate('scrollTo(0, 2000)')
    /** How much of the screen the panel and the bar above it cover. */
    const covered = async () => {
      const box = await page.locator('.panel').boundingBox()
      return ((box?.y ?? PHONE.height) + (box?.height ?? 0)) / PHONE.height
    }
    expect(await covered()).toBeLessThan(0.15)
    await sendSomeParts(page)
    expect(await covered()).toBeLessThan(0.15)
    for (const name of ['Pause', 'Add more files'])
      await page.getByRole('button', { name, exact: true }).click({ trial: true })
    await expectAccessible(page)
    await page.setViewportSize(PHONE)
    await page.getByRole('button', { name: 'Cancel', exact: true }).click()
    await button.click({ trial: true })
    await page.setViewportSize({ width: 1280, height: 800 })
    await page.getByRole('button', { name: 'browse files' }).waitFor()
  })

  it.each([
    ['tiles', 1280, ''],
    ['tiles', PHONE.width, ''],
    ['a list', 1280, 'list'],
  ])('moves nothing while uploads finish, in %s on %i pixels', async (_, width, view) => {
    await using tab = await open(FULL)
    const { page } = tab
    await page.setViewportSize({ width, height: 844 })
    if (view !== '') await page.getByRole('button', { name: 'List view' }).click()
    const files = page.locator('.file')
    const earlier = `earlier ${width} ${view}.png` // its record must not be among those below
    await choose(page, picture(earlier))
    await tile(page, earlier).waitFor()
    const before = await files.count()
    const boxes = () =>
      page.evaluate(`[...document.querySelectorAll('#files > *')].map((item) => {
        const { x, y, width, height } = item.getBoundingClientRect()
        return [x, y + scrollY, width, height].map(Math.round).join(' ')
      })`)
    const sent: Route[] = []
    await page.route(
      (url) => url.searchParams.has('X-Amz-Signature'),
      async (route) => {
        if (route.request().method() === 'PUT') sent.push(route)
        else await route.continue()
      },
    )
    const added = ['still 1.png', 'still 2.png', 'still 3.png', 'still 4.png']
    await dropOn(page, 'h1', added.map(picture))
    await expect.poll(() => sent.length).toBe(added.length)
    const reserved = await boxes()
    for (const [index, route] of sent.entries()) {
      await route.continue()
      await expect.poll(() => files.count()).toBe(before + index + 1)
      expect(await boxes()).toEqual(reserved)
    }
    await notice(page).getByText('4 files uploaded.').waitFor()
    expect(await boxes()).toEqual(reserved)
    await page.getByRole('button', { name: /^(browse|Choose) files$/ }).waitFor()
    expect(await boxes()).toEqual(reserved)
    expect((await names(page)).slice(0, added.length)).toEqual(added)
    expect(tab.failures).toEqual([])
  })

  it('gives up the place of an upload that is canceled or fails', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    const places = page.locator('.place')
    await sendSomeParts(page)
    expect(await places.count()).toBe(1)
    await page.getByRole('button', { name: 'Cancel', exact: true }).last().click()
    await expect.poll(() => places.count()).toBe(0)
    await page.route('**/files/upload-url', (route) =>
      route.fulfill({ status: 413, json: { message: 'Too large.', code: 'file_too_large' } }),
    )
    await choose(page, picture('failed.png'))
    await notice(page).getByText('“failed.png” was not uploaded.').waitFor()
    expect(await places.count()).toBe(0)
    await page.unroute('**/files/upload-url')
    await page.getByRole('button', { name: 'Retry upload' }).last().click()
    await tile(page, 'failed.png').waitFor()
    expect(await places.count()).toBe(0)
  })

  it('offers to continue after a reload, and sends only the missing parts', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    page.on('dialog', (dialog) => dialog.accept())
    const { parts, release } = await sendSomeParts(page)
    await uploadIsKept(page)
    await page.reload()
    await release()
    await page.getByText('Continue the upload?').waitFor()
    await expectAccessible(page)
    expect(parts.toSorted()).toEqual(['1', '3'])
    await page.getByRole('button', { name: 'Continue with 1 file' }).press('Enter')
    await tile(page, FILM.name).first().waitFor()
    expect(parts.toSorted()).toEqual(['1', '2', '3'])

    const [file] = await list()
    expect(file).toMatchObject({ name: FILM.name, size: FILM.size })
    const path = `/files/${encodeURIComponent(file?.key ?? '')}/url`
    const { url } = urlSchema.parse(await call(path))
    const bytes = Buffer.from(await (await fetch(url)).arrayBuffer())
    expect(bytes.equals(patternBytes(FILM.size))).toBe(true)
    await page.getByText('Drop files here').waitFor()
    await page.reload()
    await tile(page, FILM.name).first().waitFor()
    expect(await page.getByText('Continue the upload?').count()).toBe(0)
    expect(tab.failures).toEqual([])
  })

  it('deletes what the bucket has of a file that the user does not continue after a reload', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    page.on('dialog', (dialog) => dialog.accept())
    const { release } = await sendSomeParts(page)
    await uploadIsKept(page)
    await page.reload()
    await release()
    await page.getByText('Continue the upload?').waitFor()
    const aborts: number[] = []
    page.on('response', (response) => {
      if (response.request().method() === 'DELETE') aborts.push(response.status())
    })
    await page.locator('.uppy-Dashboard-Item-action--remove').click()
    await expect.poll(() => aborts).toEqual([204])
    await page.getByText('Drop files here').first().waitFor()
    // Uppy notes twice a second what it would continue.
    await expect.poll(() => page.evaluate<boolean>(IS_KEPT)).toBe(false)
    await page.reload()
    await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' })
    expect(await page.getByText('Continue the upload?').count()).toBe(0)
    const kept = `Object.keys(localStorage).filter((name) => name.startsWith('edge-presigner:'))`
    expect(await page.evaluate(kept)).toEqual([])
    expect(tab.failures).toEqual([])
  })

  it('waits for the bucket longer than the client does, and continues when it is back', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    await page.clock.install()
    await choose(page, picture('first.png'))
    await notice(page).getByText('1 file uploaded.').waitFor()
    let tries = 0
    const bucket = (url: URL) => url.searchParams.has('X-Amz-Signature')
    await page.route(bucket, (route) => {
      tries += 1
      return route.abort()
    })
    await choose(page, picture('patient.png'))
    await connection(page).getByText('No connection to the bucket. Trying again…').waitFor()
    await expect
      .poll(async () => {
        await page.clock.fastForward(16_000) // the longest pause between two tries
        return tries
      })
      .toBeGreaterThan(16) // The client gives up after eleven.
    expect(await connection(page).textContent()).toContain('Trying again…')
    expect(await notice(page).getAttribute('class')).not.toContain('is-error')
    await page.unroute(bucket)
    await expect
      .poll(async () => {
        await page.clock.fastForward(16_000)
        return tile(page, 'patient.png').count()
      })
      .toBe(1)
    await expectConnected(page)
  })

  it('stores a type by the name where the browser knows none', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    await dropOn(page, 'h1', [{ name: 'notes.md', mimeType: '', buffer: Buffer.from('# Notes') }])
    await tile(page, 'notes.md').waitFor()
    const { files } = z
      .object({ files: z.array(z.object({ name: z.string(), mimetype: z.string() })) })
      .parse(await call('/files'))
    expect(files.find(({ name }) => name === 'notes.md')?.mimetype).toBe('text/markdown')
    expect(tab.failures).toEqual([])
  })

  it('asks for a file that the browser did not keep, and sends only its missing parts', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    page.on('dialog', (dialog) => dialog.accept())
    const { parts, release } = await sendSomeParts(page)
    await uploadIsKept(page)
    await page.evaluate(`new Promise((resolve, reject) => {
      const request = indexedDB.open('uppy-blobs')
      request.onerror = reject
      request.onsuccess = () => {
        const change = request.result.transaction('files', 'readwrite')
        change.objectStore('files').clear()
        change.oncomplete = resolve
      }
    })`)
    await page.reload()
    await release()
    await page.getByText('Choose the marked file again.').waitFor()
    await expectAccessible(page)
    await page.getByRole('button', { name: 'Choose it again' }).click()
    await choose(page, film)
    await page.getByRole('button', { name: 'Continue with 1 file' }).click()
    await notice(page).getByText('1 file uploaded.').waitFor()
    expect(parts.toSorted()).toEqual(['1', '2', '3'])
  })

  it('uploads and lists files in a browser that refuses to open a database', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    await page.addInitScript(`IDBFactory.prototype.open = () => {
      throw new DOMException('The operation is insecure.', 'SecurityError')
    }`)
    await page.reload()
    await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' })
    await choose(page, film)
    await notice(page).getByText('1 file uploaded.').waitFor()
    await tile(page, FILM.name).first().waitFor()
    expect(tab.failures).toEqual([])
  })

  it('asks before the user leaves while files are uploading, and only then', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    await page.locator('h1').click() // a browser asks only after the user has used the page
    const asked: string[] = []
    page.on('dialog', async (dialog) => {
      asked.push(dialog.type())
      await dialog.dismiss()
    })
    const { release } = await sendSomeParts(page)
    await page.close({ runBeforeUnload: true })
    await expect.poll(() => asked).toEqual(['beforeunload'])
    await release()
    await notice(page).getByText('1 file uploaded.').waitFor()
    await page.reload()
    await tile(page, FILM.name).first().waitFor()
    expect(asked).toEqual(['beforeunload'])
  })

  it('shows one number as progress', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    await sendSomeParts(page)
    const text = () => page.locator('.uppy-StatusBar-content').textContent()
    await expect.poll(text).toMatch(/^Uploading: \d+%$/)
    await page.getByRole('button', { name: 'Cancel', exact: true }).last().click()
  })

  it('says how many files it uploads, and shows 100 % only when they are complete', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    const title = page.locator('.uppy-DashboardContent-title')
    const uploads = (url: URL) => url.searchParams.has('X-Amz-Signature')
    const held: Route[] = []
    let sent = 0
    await page.route(uploads, async (route) => {
      const isHeld = route.request().method() === 'PUT' && ++sent > 4 && sent <= 8
      if (isHeld) held.push(route)
      else await route.continue()
    })
    const many = Array.from({ length: 10 }, (_, index) => `many ${index}.png`)
    await dropOn(page, 'h1', many.map(picture))
    await expect.poll(() => held.length).toBe(4) // The client sends four at a time.
    for (const name of many.slice(6)) await tile(page, name).waitFor()
    expect(await title.textContent()).toBe('Uploading 10 files')
    for (const route of held) await route.continue()
    await notice(page).getByText('10 files uploaded.').waitFor()
    await page.getByRole('button', { name: 'browse files' }).waitFor()

    const joins: Route[] = []
    await page.route(
      (url) => url.pathname.includes('/complete'),
      async (route) => {
        if (route.request().method() === 'POST') joins.push(route)
        else await route.continue()
      },
    )
    await choose(page, film)
    await expect.poll(() => joins.length).toBe(1)
    await title.getByText('Finishing…').waitFor()
    const status = page.locator('.uppy-StatusBar-content')
    await status.getByText('Uploading: 99%').waitFor()
    for (const route of joins) await route.continue()
    await notice(page).getByText('1 file uploaded.').waitFor()
    await status.getByText('Complete').waitFor()
  })

  it('shows that the browser is offline, and continues when it is online', async () => {
    await using tab = await open(FULL)
    const { page, context } = tab
    const { parts, release } = await sendSomeParts(page)
    await page.clock.install()
    await context.setOffline(true)
    await release()
    await connection(page).getByText('You are offline.').waitFor()
    await expectAccessible(page)
    await context.setOffline(false)
    await page.clock.fastForward(5000) // the pause before the next try
    await notice(page).getByText('1 file uploaded.').waitFor()
    await expectConnected(page)
    expect([...new Set(parts)].toSorted()).toEqual(['1', '2', '3'])
  })

  it('waits for a Worker that was killed, and continues when it is back', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    const { release } = await sendSomeParts(page)
    await page.clock.install()
    await worker.close()
    await release()
    await connection(page).getByText('No connection to the Worker. Trying again…').waitFor()
    await expectAccessible(page)
    expect(await notice(page).getAttribute('class')).not.toContain('is-error')
    await startWorker()
    await notice(page).getByText('1 file uploaded.').waitFor()
    await expectConnected(page)
    expect(await list()).toMatchObject([{ name: FILM.name, size: FILM.size }])
  })

  it('notices a Worker that does not answer, and continues when it does', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    await page.clock.install()
    const port = workerPort
    workerPort = 0
    gate.cut()
    const asked = page.waitForRequest('**/files/upload-url')
    await choose(page, picture('patient.png'))
    await asked
    await page.clock.fastForward(7500) // the client's patience
    await connection(page).getByText('No connection to the Worker. Trying again…').waitFor()
    workerPort = port
    gate.cut()
    await expect
      .poll(async () => {
        await page.clock.fastForward(2000) // the pauses before the next tries
        return notice(page).textContent()
      })
      .toContain('1 file uploaded.')
    await expectConnected(page)
  })

  it('opens without a Worker, and shows the files as soon as it answers', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    await page.route('**/limits', (route) => route.abort())
    await page.reload()
    await connection(page).getByText('No connection to the Worker.').waitFor()
    await page.getByRole('heading', { name: 'The files are not available' }).waitFor()
    await expectAccessible(page)
    await page.unroute('**/limits')
    await tile(page, FILM.name).first().waitFor()
  })

  it('names a file that the token does not allow, and the reason', async () => {
    const limits = { maxBytes: 4096, allowedTypes: ['image/png'] }
    const scopes = ['files:upload', 'files:list']
    await using tab = await open(await mint({ scopes, ...limits }))
    const { page } = tab
    await page.getByText('Files of up to 4 kB. Only image/png.').waitFor()
    await choose(page, picture('small.png'))
    await tile(page, 'small.png').waitFor()
    await choose(page, { ...picture('large.png'), buffer: Buffer.alloc(5000) })
    await notice(page).getByText('large.png').waitFor()
    await choose(page, { ...picture('notes.txt'), mimeType: 'text/plain' })
    await notice(page).getByText('“notes.txt” was not uploaded.').waitFor()
    await expectAccessible(page)
    expect(tab.failures).toEqual([])
  })

  describe('with a token', () => {
    it('for uploads only, takes files and does not ask for a list', async () => {
      await using tab = await open(UPLOAD_ONLY)
      const { page } = tab
      await page.getByRole('heading', { name: 'Only for uploads' }).waitFor()
      await choose(page, picture('one.png'))
      await notice(page).getByText('1 file uploaded.').waitFor()
      await expectAccessible(page)
      expect(await page.locator('.is-error').count()).toBe(0)
      expect(tab.failures).toEqual([])
    })

    it('for reading only, offers neither uploads nor deletes', async () => {
      await using tab = await open(READ_ONLY)
      const { page } = tab
      await tile(page, FILM.name).first().waitFor()
      expect(await page.locator('#uploader').isVisible()).toBe(false)
      await dropOn(page, 'h1', [picture('refused.png')])
      await page
        .getByRole('button', { name: `Actions for ${FILM.name}` })
        .first()
        .click()
      await page.getByRole('button', { name: 'Download' }).waitFor()
      for (const name of ['Delete…', 'Rename…'])
        expect(await page.getByRole('button', { name }).isVisible()).toBe(false)
      await page.keyboard.press('Escape')
      await expectAccessible(page)
      expect((await list()).map(({ name }) => name)).not.toContain('refused.png')
      expect(tab.failures).toEqual([])
    })

    it('without files:delete, renames only its own files', async () => {
      {
        await using tab = await open(FULL)
        await choose(tab.page, picture('theirs.png'))
        await tile(tab.page, 'theirs.png').waitFor()
      }
      await using tab = await open(COLLEAGUE)
      const { page } = tab
      const rename = async (name: string) => {
        await page.getByRole('button', { name: `Actions for ${name}` }).click()
        await page.getByRole('button', { name: 'Rename…' }).click()
        await page.getByLabel('New name').fill('renamed.png')
        await page.keyboard.press('Enter')
      }
      await rename('theirs.png')
      await page
        .getByText('This file has another owner. To rename it, your token needs files:delete.')
        .waitFor()
      await expectAccessible(page)
      await page.keyboard.press('Escape')
      await choose(page, picture('own.png'))
      await tile(page, 'own.png').waitFor()
      await rename('own.png')
      await tile(page, 'renamed.png').waitFor()
      const renamed = (await list()).filter(({ name }) => name === 'renamed.png')
      expect(renamed.length).toBe(1)
      expect(tab.failures.filter((failure) => !failure.includes('403'))).toEqual([])
    })

    it('that is missing, asks for one and claims nothing else', async () => {
      await using tab = await open('')
      const { page } = tab
      await page.getByRole('heading', { name: 'These files are private' }).waitFor()
      expect(await page.locator('#uploader').isVisible()).toBe(false)
      expect(await page.getByText("don't need").filter({ visible: true }).count()).toBe(0)
      await expectAccessible(page)
      const field = page.getByRole('textbox', { name: 'Token or API key' })
      await field.fill(FULL)
      await field.press('Enter')
      await tile(page, FILM.name).first().waitFor()
      await page.getByRole('button', { name: 'browse files' }).waitFor()
      expect(await field.isVisible()).toBe(false)
    })

    it('that expires on the open page, keeps the upload for the next token', async () => {
      const scopes = ['files:upload', 'files:list']
      const token = await mint({ scopes })
      await using tab = await open(token)
      const { page } = tab
      const ended = await endedToken(scopes)
      await page.route('**/files/upload-url', (route) => {
        const headers = route.request().headers()
        if (headers.authorization === `Bearer ${token}`) headers.authorization = ended
        return route.continue({ headers })
      })
      await choose(page, picture('kept.png'))
      await page.getByText('This token has expired. Enter a new one to continue.').waitFor()
      await expectAccessible(page)
      const field = page.getByRole('textbox', { name: 'Token or API key' })
      await field.fill(FULL)
      await field.press('Enter')
      await tile(page, 'kept.png').waitFor()
    })

    it('that expires between an upload and its record, says only that', async () => {
      const scopes = ['files:upload', 'files:list']
      const token = await mint({ scopes })
      await using tab = await open(token)
      const { page } = tab
      const ended = await endedToken(scopes)
      await page.clock.install()
      await choose(page, picture('earlier.png'))
      await notice(page).getByText('1 file uploaded.').waitFor()
      let inTime = 0
      await page.route(/\/files(?:\/batch)?$/, (route) => {
        const headers = route.request().headers()
        const isRecord = route.request().method() === 'POST'
        if (isRecord && headers.authorization === `Bearer ${token}`) {
          const { files = [null] }: { files?: unknown[] } = route.request().postDataJSON()
          if (inTime > 0) headers.authorization = ended
          else inTime = files.length // at most 16
        }
        return route.continue({ headers })
      })
      const names = Array.from({ length: 18 }, (_, i) => `${i}.png`)
      await dropOn(page, 'h1', names.map(picture))
      await page.getByText('This token has expired. Enter a new one to continue.').waitFor()
      const uploader = page.locator('#uploader')
      await uploader.getByText('Upload failed').waitFor()
      for (const text of ['Upload complete', 'files uploaded'])
        expect(await uploader.getByText(text).filter({ visible: true }).count(), text).toBe(0)
      expect(await notice(page).getByRole('status').textContent()).toBe('')
      await page.clock.fastForward(2500) // Uppy then forgets the earlier file, and no other
      await expectAccessible(page)
      const field = page.getByRole('textbox', { name: 'Token or API key' })
      await field.fill(FULL)
      await field.press('Enter')
      await notice(page)
        .getByText(`${names.length - inTime} files uploaded.`)
        .waitFor()
      for (const name of names) await tile(page, name).waitFor()
      expect(await uploader.getByText('Upload failed').count()).toBe(0)
    })
  })

  it('says that the settings of the Worker are not complete', async () => {
    await using broken = new AsyncDisposableStack()
    const other = await startBuiltWorker({ ...UNREACHABLE, buckets: {}, variables: {} })
    broken.defer(() => other.close())
    await using tab = await open('', other.origin)
    const { page } = tab
    await page.getByRole('heading', { name: 'This Worker is not set up yet' }).waitFor()
    expect(await page.locator('#uploader').isVisible()).toBe(false)
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByText('/healthz names what is missing').waitFor()
    await expectAccessible(page)
  })

  it('uploads with the keyboard alone', async () => {
    await using tab = await open(FULL)
    const { page } = tab
    await chooseByKeyboard(page, picture('typed.png'), '.uppy-Dashboard-browse')
    await tile(page, 'typed.png').waitFor()
    expect(tab.failures).toEqual([])
  })
})
