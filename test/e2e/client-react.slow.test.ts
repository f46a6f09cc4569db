import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Route } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PageFile } from '../../client/test/page-api.ts'
import type { PageMount, PageState, ReactPage } from '../../client/test/react-page-api.ts'
import { startR2 } from '../../tools/dev/r2.ts'
import { PART_BYTES } from './client/client-tab.ts'
import { type ClientContext, startClientContext } from './client/context.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

declare const reactPage: ReactPage

const SMALL: PageFile = { name: 'a.txt', type: 'text/plain', size: 5, lastModified: 1 }
/** In two parts. */
const LARGE: PageFile = { ...SMALL, name: 'b.bin', size: PART_BYTES + 5 }
const small = (...names: string[]): PageFile[] => names.map((name) => ({ ...SMALL, name }))

describeWith([CHROMIUM], 'the hooks for React', () => {
  let context: ClientContext
  beforeAll(async () => {
    context = await startClientContext(startR2)
  })
  afterAll(() => context?.close())

  describe.each([18, 19])('with React %i', (version) => {
    /** Opens a page of its own folder of the bucket. Its uncaught errors fail the test. */
    async function open(options: Partial<PageMount> = {}) {
      context.proxy.reset()
      const browserContext = await context.browser.newContext()
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
      await tab.goto(`${context.page}/react-${version}`)
      const mount = (more: Partial<PageMount> = {}) =>
        tab.evaluate((given) => reactPage.mount(given), {
          ...{ baseUrl: context.worker, token: context.apiKey, ...options, ...more },
        })
      await mount()
      const state = () => tab.evaluate(() => reactPage.state())
      return {
        tab,
        errors,
        requests,
        mount,
        state,
        add: (...files: readonly PageFile[]) =>
          tab.evaluate((given) => reactPage.add(given), files),
        uploads: (...args: Parameters<ReactPage['uploads']>) =>
          tab.evaluate((given) => reactPage.uploads(...given), args),
        files: (...args: Parameters<ReactPage['files']>) =>
          tab.evaluate((given) => reactPage.files(...given), args),
        statuses: async () => (await state()).uploads.uploads.map(({ status }) => status),
        names: async () => (await state()).files.files.map(({ name }) => name),
        reaches: (wanted: PageState['uploads']['status']) =>
          expect.poll(async () => (await state()).uploads.status).toBe(wanted),
        isReady: () => expect.poll(async () => (await state()).files.status).toBe('ready'),
        async [Symbol.asyncDispose]() {
          await browserContext.close()
          expect(errors).toEqual([])
        },
      }
    }

    /** Deletes all files, so that a test knows what it lists. */
    async function emptyIndex(): Promise<void> {
      const headers = { Authorization: `Bearer ${context.apiKey}` }
      const listed = await fetch(`${context.worker}/files`, { headers })
      const { files } = (await listed.json()) as { files: { key: string }[] }
      for (const { key } of files)
        await fetch(`${context.worker}/files/${encodeURIComponent(key)}`, {
          method: 'DELETE',
          headers,
        })
    }

    const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()
    async function apiCall(path: string, body: object) {
      const response = await fetch(context.worker + path, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${context.apiKey}`,
          'Content-Type': 'application/json',
        },
        body: JSON.stringify(body),
      })
      expect(response.status).toBe(201)
      return (await response.json()) as { id: string; url: string }
    }
    const puts = () => context.proxy.requests.filter(({ method }) => method === 'PUT')
    /** Holds the PUTs of the page at the bucket, until the returned function is called. */
    function holdPuts(isHeld = (_: { partNumber: number; key: string }) => true): () => void {
      const { promise, resolve } = Promise.withResolvers<null>()
      context.proxy.failure = (request) =>
        request.method === 'PUT' && isHeld(request) ? promise : null
      return () => resolve(null)
    }

    it('lists the files once for each render of a component that creates a client', async () => {
      await emptyIndex()
      await using page = await open({ clientInRender: true })
      await page.isReady()
      await page.add(SMALL)
      await page.reaches('done')
      expect(page.requests.filter((request) => request === 'GET /files')).toHaveLength(1)
    })

    it('uploads some files at a time, and lists them at once, with links', async () => {
      await emptyIndex()
      await using page = await open({ links: true })
      expect((await page.state()).uploads).toMatchObject({ status: 'idle', progress: 0 })
      await page.isReady()
      const release = holdPuts()
      await page.add(...small('1.txt', '2.txt', '3.txt', '4.txt', '5.txt', '6.txt'))
      await expect.poll(() => puts().length).toBe(4)
      const sending = [...Array(4).fill('uploading'), 'waiting', 'waiting']
      await expect.poll(page.statuses).toEqual(sending)
      release()
      await page.reaches('done')
      await expect
        .poll(async () => (await page.state()).files.files.map(({ link }) => typeof link))
        .toEqual(Array(6).fill('string'))
      const { uploads, files, uploaded } = await page.state()
      expect(uploads).toMatchObject({ loaded: 30, total: 30, progress: 1 })
      expect(uploads.uploads[0]).toMatchObject({ name: '1.txt', progress: 1, error: '' })
      const keys = uploads.uploads.map(({ record }) => record?.key)
      expect(files.files.map(({ key }) => key).toSorted()).toEqual(keys.toSorted())
      expect(uploaded.toSorted()).toEqual(keys.toSorted())
      expect(await (await fetch(files.files[0]?.link ?? '')).text()).toHaveLength(5)
      // StrictMode mounts twice, and the upload didn't load the list again.
      expect(page.requests.filter((request) => request === 'GET /files')).toHaveLength(1)
      expect(await page.tab.evaluate(() => reactPage.hasSameActions())).toBe(true)

      await page.uploads('dismiss', uploads.uploads[1]?.id)
      expect(await page.statuses()).toEqual(Array(5).fill('done'))
      await page.uploads('dismiss')
      expect((await page.state()).uploads).toMatchObject({ uploads: [], status: 'idle' })
      expect(await page.names()).toHaveLength(6)
    })

    it('continues uploads after the component unmounts, and renders nothing more', async () => {
      await using page = await open()
      await page.isReady()
      const release = holdPuts()
      await page.add(SMALL)
      await expect.poll(() => puts().length).toBe(1)
      await page.tab.evaluate(() => reactPage.unmount())
      const { renders } = await page.state()
      release()
      await expect.poll(async () => (await page.state()).uploaded).toHaveLength(1)
      const [key = ''] = (await page.state()).uploaded
      expect(await context.head(key)).toMatchObject({ size: 5 })
      expect((await page.state()).renders).toBe(renders)
    })

    it('cancels uploads when the component unmounts, if the app asks for it', async () => {
      await using page = await open({ cancels: true })
      await page.isReady() // StrictMode has mounted, unmounted and mounted it.
      holdPuts()
      await page.add(SMALL)
      await expect.poll(() => puts().length).toBe(1)
      const cancelled = page.tab.waitForEvent('requestfailed')
      await page.tab.evaluate(() => reactPage.unmount())
      await cancelled
      expect((await page.state()).uploaded).toEqual([])
    })

    it('renders on a server without a request, and hydrates that HTML', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
      try {
        const file = join(directory, 'server.mjs')
        const script = await fetch(`${context.page}/react-${version}-server.js`)
        await writeFile(file, await script.text())
        const fetched: unknown[] = []
        const { fetch: real } = globalThis
        globalThis.fetch = async (url) => {
          fetched.push(url)
          throw new TypeError('no network')
        }
        const { html, boxHtml } = await import(pathToFileURL(file).href)
        const rendered: string = html()
        const renderedBox: string = boxHtml()
        globalThis.fetch = real
        expect(rendered.replaceAll('<!-- -->', '')).toBe('<p>idle, loading</p><ul></ul>')
        expect(renderedBox).toContain('opening')
        expect(fetched).toEqual([])
        await using page = await open({ html: rendered })
        await page.isReady()
        expect(await page.tab.evaluate(() => reactPage.recovered())).toEqual([])
      } finally {
        await rm(directory, { recursive: true })
      }
    })

    // Both versions run the same code between a mount and an unmount.
    if (version === 18) return

    it('uploads to a drop box of another origin, with a password and a sender', async () => {
      const headers = { Authorization: `Bearer ${context.apiKey}` }
      const terms = {
        from: 'Example GmbH',
        title: 'Papers',
        password: 'open sesame',
        deadline: inAnHour(),
      }
      const limits = { maxFiles: 3, maxBytes: PART_BYTES * 2, maxTotalBytes: PART_BYTES * 5 }
      const { id, url } = await apiCall('/drop-boxes', { prefix: 'team/in/', ...terms, ...limits })
      await using page = await open()
      await page.tab.evaluate((box) => reactPage.mountBox(box), url)
      const box = () => page.tab.evaluate(() => reactPage.box())
      await expect.poll(async () => (await box()).access).toBe('password')
      expect(await box()).toMatchObject({ accessError: '', status: 'idle' })
      const openAs = (visitor: object) =>
        page.tab.evaluate((given) => reactPage.openBox(given), visitor)
      expect(await openAs({ password: 'shut sesame' })).toBe(false)
      expect((await box()).accessError).toBe('The password is wrong.')
      expect(await openAs({ password: 'open sesame', sender: { name: 'Ada', note: 'two' } })).toBe(
        true,
      )
      expect((await box()).box).toMatchObject({ title: 'Papers', left: { files: 3 } })
      const files = [SMALL, { ...SMALL, name: 'b.txt' }]
      await page.tab.evaluate((given) => reactPage.addToBox(given), files)
      await expect.poll(async () => (await box()).status).toBe('done')
      expect(await box()).toMatchObject({ loaded: 10, total: 10, box: { left: { files: 1 } } })
      const received = await fetch(`${context.worker}/drop-boxes/${id}/files`, { headers })
      expect(await received.json()).toMatchObject({
        files: [{ sender: { name: 'Ada', note: 'two' } }, { sender: { name: 'Ada', note: 'two' } }],
      })
    })

    it('lists files with the links of an srcset', async () => {
      await emptyIndex()
      await using page = await open({ links: { widths: [320, 640] } })
      await page.isReady()
      await page.add(...small('1.png'))
      await page.reaches('done')
      await expect
        .poll(async () => (await page.state()).files.files.map(({ srcset }) => srcset))
        .toEqual([expect.stringMatching(/^http\S+ 320w, http\S+ 640w$/)])
    })

    it('pauses and resumes: a file in parts sends only the missing ones', async () => {
      await using page = await open({ multipart: true })
      holdPuts(({ partNumber }) => partNumber > 1)
      const [id] = await page.add(LARGE)
      await expect.poll(() => puts().filter(({ status }) => status === 200)).toHaveLength(1)
      await expect
        .poll(async () => (await page.state()).uploads.loaded)
        .toBeGreaterThanOrEqual(PART_BYTES)
      await page.uploads('pause', id)
      await page.reaches('paused')
      const [{ key = '', s3UploadId = '' } = {}] = puts()
      expect(await context.hasUpload(key, s3UploadId)).toBe(true)
      context.proxy.reset()
      await page.uploads('resume')
      await page.reaches('done')
      expect(puts().map(({ partNumber }) => partNumber)).toEqual([2])
      expect(puts()[0]).toMatchObject({ key, s3UploadId })
      expect(await context.head(key)).toMatchObject({ size: LARGE.size })
    })

    it('cancels active, waiting and paused uploads, and leaves no parts', async () => {
      await using page = await open({ multipart: true })
      holdPuts(({ partNumber }) => partNumber > 1)
      const files = ['1.bin', '2.bin', '3.bin', '4.bin'].map((name) => ({ ...LARGE, name }))
      const [first, second] = await page.add(...files)
      const taken = () => puts().filter(({ status }) => status === 200)
      await expect.poll(taken).toHaveLength(3)
      const started = new Map(puts().map(({ key, s3UploadId }) => [key, s3UploadId]))
      expect(started.size).toBe(3)
      await page.uploads('pause', first)
      await page.uploads('pause', second)
      await expect.poll(taken).toHaveLength(4) // the fourth file has begun
      await page.uploads('cancel')
      expect(await page.statuses()).toEqual(Array(4).fill('canceled'))
      expect((await page.state()).uploads.status).toBe('idle')
      for (const { key, s3UploadId } of puts())
        await expect.poll(() => context.hasUpload(key, s3UploadId)).toBe(false)
      expect((await page.state()).failed).toEqual([])
    })

    it('reports an error, tries again, and drops the parts of an upload that is removed', async () => {
      await using page = await open({ multipart: true })
      context.proxy.failure = ({ partNumber }) => (partNumber === 2 ? 400 : null)
      const [id] = await page.add(LARGE)
      await page.reaches('failed')
      const { uploads, failed } = await page.state()
      expect(failed).toEqual([uploads.uploads[0]?.error])
      expect(failed[0]).toContain('The bucket returned 400')
      const [{ key = '', s3UploadId = '' } = {}] = puts()
      expect(await context.hasUpload(key, s3UploadId)).toBe(true)
      await page.uploads('retry')
      await page.reaches('failed')
      expect(new Set(puts().map(({ s3UploadId }) => s3UploadId)).size).toBe(1)
      await page.uploads('dismiss', id)
      await expect.poll(() => context.hasUpload(key, s3UploadId)).toBe(false)

      context.proxy.reset()
      const [other] = await page.add({ ...LARGE, name: 'c.bin' })
      await page.reaches('done')
      expect((await page.state()).uploads.uploads).toMatchObject([{ id: other, error: '' }])
    })

    it('keeps the uploads going when a callback of the app throws', async () => {
      await using page = await open({ throws: true })
      await page.add(...small('1.txt', '2.txt'))
      await page.reaches('done')
      expect(page.errors.splice(0)).toEqual(Array(2).fill(expect.stringContaining('by the app')))
    })

    it('loads pages, and deletes at once: a file returns if the API refuses', async () => {
      await emptyIndex()
      await using page = await open({ limit: 2, prefix: 'team/' })
      await page.add(...small('1.txt', '2.txt', '3.txt'))
      await page.reaches('done')
      await page.files('refresh')
      expect((await page.state()).files.files).toHaveLength(3) // one is new, on the second page
      await page.mount()
      await page.isReady()
      expect((await page.state()).files).toMatchObject({ hasMore: true })
      const before = await page.names()
      expect(before).toHaveLength(2)
      // Two clicks load one page.
      const lists = () => page.requests.filter((request) => request === 'GET /files').length
      const listed = lists()
      await Promise.all([page.files('loadMore'), page.files('loadMore')])
      expect(lists()).toBe(listed + 1)
      const { files } = (await page.state()).files
      expect(new Set(files.map(({ name }) => name))).toEqual(new Set(['1.txt', '2.txt', '3.txt']))
      expect((await page.state()).files.hasMore).toBe(false)

      const held: Route[] = []
      await page.tab.route(`${context.worker}/files/**`, async (route) => {
        if (route.request().method() === 'DELETE') held.push(route)
        else await route.continue()
      })
      const key = files[1]?.key ?? ''
      const refused = page.files('remove', key)
      await expect.poll(() => held.length).toBe(1)
      expect(await page.names()).toEqual([files[0]?.name, files[2]?.name])
      await held[0]?.fulfill({
        status: 502,
        headers: { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'application/json' },
        body: JSON.stringify({ code: 'storage_error', message: 'The bucket failed.' }),
      })
      expect(await refused).toBe(false)
      expect(await page.names()).toEqual(files.map(({ name }) => name))
      expect((await page.state()).files.error).toBe('The bucket failed.')

      const removed = page.files('remove', key)
      await expect.poll(() => held.length).toBe(2)
      await held[1]?.continue()
      expect(await removed).toBe(true)
      expect(await page.names()).toEqual([files[0]?.name, files[2]?.name])
      expect((await page.state()).files.error).toBe('')
      await page.files('refresh')
      expect(await page.names()).not.toContain(files[1]?.name)
    })

    it('cancels an earlier request, and keeps what changed meanwhile', async () => {
      await emptyIndex()
      await using page = await open()
      await page.isReady()
      const held: Route[] = []
      await page.tab.route(`${context.worker}/files?*`, (route) => void held.push(route))
      await page.tab.route(`${context.worker}/files`, async (route) => {
        if (route.request().method() === 'GET') held.push(route)
        else await route.continue()
      })
      const stale = page.files('refresh')
      await expect.poll(() => held.length).toBe(1)
      const canceled = page.tab.waitForEvent('requestfailed')
      const fresh = page.files('refresh')
      await stale
      expect(await canceled).toBe(held[0]?.request())
      await expect.poll(() => held.length).toBe(2)
      expect((await page.state()).files.isFetching).toBe(true)
      const answer = (name: string) => ({
        headers: { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'application/json' },
        body: JSON.stringify({ files: name ? [recordOf(name)] : [] }),
      })
      await page.add(SMALL)
      await page.reaches('done')
      await held[1]?.fulfill(answer('fresh.txt'))
      await fresh
      expect(await page.names()).toEqual(['a.txt', 'fresh.txt'])
      expect((await page.state()).files.isFetching).toBe(false)
    })

    it('asks again when the question changes, and cancels the request of an earlier one', async () => {
      await using page = await open()
      await page.isReady()
      const held = new Map<string, Route>()
      await page.tab.route(/\/files\?/, (route) => {
        held.set(new URL(route.request().url()).searchParams.get('q') ?? '', route)
      })
      await page.mount({ again: true, q: 'early' })
      await expect.poll(() => held.has('early')).toBe(true)
      const canceled = page.tab.waitForEvent('requestfailed')
      await page.mount({ again: true, q: 'late' })
      await expect.poll(() => held.has('late')).toBe(true)
      expect(await canceled).toBe(held.get('early')?.request())
      expect(await page.names()).toEqual([])
      await held.get('late')?.fulfill({
        headers: { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'application/json' },
        body: JSON.stringify({ files: [recordOf('late.txt')] }),
      })
      await page.isReady()
      expect(await page.names()).toEqual(['late.txt'])
    })

    it('goes on to the next page if one is empty', async () => {
      await emptyIndex()
      await using page = await open()
      await page.isReady()
      const cursors: (string | null)[] = []
      await page.tab.route(/\/files(\?|$)/, async (route) => {
        const cursor = new URL(route.request().url()).searchParams.get('cursor')
        cursors.push(cursor)
        const body = cursor === null ? { files: [], cursor: 'c' } : { files: [recordOf('a')] }
        await route.fulfill({
          headers: { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        })
      })
      await page.files('refresh')
      expect(cursors).toEqual([null, 'c'])
      expect(await page.names()).toEqual(['a'])
    })

    it('starts another list when the prefix changes, and reports what it may not list', async () => {
      await emptyIndex()
      await using page = await open({ prefix: 'team/' })
      await page.add(SMALL)
      await page.reaches('done')
      await page.mount({ again: true, prefix: 'other/' })
      expect(await page.names()).toEqual([])
      await expect.poll(async () => (await page.state()).files.status).toBe('failed')
      expect((await page.state()).files.error).not.toBe('')
      await page.mount({ again: true, prefix: 'team/uploads/' })
      await page.isReady()
      expect(await page.names()).toEqual(['a.txt'])
      expect(await page.statuses()).toEqual(['done'])

      await page.mount({ again: true, prefix: 'team/uploads/elsewhere/' })
      await page.isReady()
      await page.add(SMALL)
      await page.reaches('done')
      expect(await page.names()).toEqual([])
    })
  })
})

const recordOf = (name: string) => ({
  key: `team/uploads/${name}`,
  bucket: 'files',
  name,
  size: 1,
  mimetype: 'text/plain',
  etag: '"e"',
  owner: null,
  createdAt: '2026-01-01T00:00:00.000Z',
})
