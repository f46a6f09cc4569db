import { once } from 'node:events'
import { createServer } from 'node:http'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { ClientPage, PageFile, PageUpload } from '../../client/test/page-api.ts'
import type { PageMount, ReactPage } from '../../client/test/react-page-api.ts'
import { startR2 } from '../../tools/dev/r2.ts'
import { PART_BYTES } from './client/client-tab.ts'
import { type ClientContext, startClientContext } from './client/context.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

declare const page: ClientPage
declare const reactPage: ReactPage

const SMALL: PageFile = { name: 'a.txt', type: 'text/plain', size: 5, lastModified: 1 }
/** In two parts. */
const LARGE: PageFile = { ...SMALL, name: 'b.bin', size: PART_BYTES + 5 }
const IN_PARTS: PageUpload = { multipart: true }
const queueOf = (count: number): PageFile[] =>
  Array.from({ length: count }, (_, index) => ({ ...SMALL, name: `ann-${index}.txt` }))

describeWith([CHROMIUM], 'two people in one browser', () => {
  let context: ClientContext
  /** Different ones for each test, since the index and the rate limit have no other end. */
  let run = 0
  beforeAll(async () => {
    context = await startClientContext(startR2)
  })
  afterAll(() => context?.close())

  /** Calls the API with the key of the server. */
  async function ask(path: string, body?: object) {
    const response = await fetch(context.worker + path, {
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
      headers: { Authorization: `Bearer ${context.apiKey}`, 'Content-Type': 'application/json' },
    })
    return (await response.json()) as { token: string; files: { name: string }[] }
  }

  /** A browser in which Ann is logged in, and the tokens of both. */
  async function browser({ subject = true } = {}) {
    run++
    context.proxy.reset()
    const prefixOf = (user: string) => `team/${user}-${run}/`
    const mint = async (user: string) => {
      const files = ['upload', 'read', 'list', 'delete'].map((name) => `files:${name}`)
      const scopes = [...files, 'links:create', 'keys:choose']
      const own = subject ? { subject: `${user}-${run}` } : {}
      return (await ask('/tokens', { scopes, prefix: prefixOf(user), ...own })).token
    }
    const tokens = { ann: await mint('ann'), bob: await mint('bob') }
    const browserContext = await context.browser.newContext()
    const logIn = (user: string) =>
      browserContext.addCookies([{ name: 'user', value: user, url: context.page }])
    await logIn('ann')
    return {
      tokens,
      logIn,
      logOut: () => browserContext.clearCookies(),
      browserContext,
      filesOf: async (user: string) =>
        (await ask(`/files?prefix=${prefixOf(user)}`)).files.map(({ name }) => name),
      prefixOf,
      isOf: (user: string, key: string) => key.startsWith(prefixOf(user)),
      [Symbol.asyncDispose]: () => browserContext.close(),
    }
  }

  /** Opens a page, and notes its requests to the API. Its uncaught errors fail the test. */
  async function openPage(browserContext: BrowserContext, path = '', isClockStopped = false) {
    const tab = await browserContext.newPage()
    let running = 0
    tab.on('request', () => running++)
    tab.on('requestfinished', () => running--)
    tab.on('requestfailed', () => running--)
    const errors: string[] = []
    const requests: { readonly path: string; readonly tag: string | undefined }[] = []
    const statuses: number[] = []
    tab.on('pageerror', ({ message }) => errors.push(message))
    tab.on('request', (request) => {
      const { pathname: path, origin } = new URL(request.url())
      // The links are for an <img>, which sends no header.
      const isApi = origin === context.worker && !path.startsWith('/i/')
      if (!isApi || request.method() === 'OPTIONS') return
      requests.push({ path, tag: request.headers()['x-user-tag'] })
    })
    tab.on('response', (response) => {
      if (response.url().startsWith(context.worker)) statuses.push(response.status())
    })
    if (isClockStopped) await tab.clock.install()
    await tab.goto(context.page + path)
    if (isClockStopped) await tab.clock.pauseAt(Date.now() + 60_000)
    /** Moves the clock while no request is running, until `isOver`. */
    const skipPauses = async (isOver: () => Promise<boolean>) => {
      const skip = async () => {
        if (running === 0) await tab.clock.fastForward(100)
        return isOver()
      }
      await expect.poll(skip, { interval: 10, timeout: 100_000 }).toBe(true)
    }
    return { tab, requests, statuses, errors, skipPauses }
  }

  /** Opens a page with the hooks. */
  async function openHooks(
    browserContext: BrowserContext,
    options: Partial<PageMount>,
    isClockStopped = false,
  ) {
    const { tab, ...rest } = await openPage(browserContext, '/react-19', isClockStopped)
    await tab.evaluate((given) => reactPage.mount(given), { baseUrl: context.worker, ...options })
    const state = () => tab.evaluate(() => reactPage.state())
    const statuses = async () => (await state()).uploads.uploads.map(({ status }) => status)
    return {
      tab,
      ...rest,
      state,
      uploads: statuses,
      add: (...files: PageFile[]) => tab.evaluate((given) => reactPage.add(given), files),
      names: async () => (await state()).files.files.map(({ name }) => name),
      isReady: () => expect.poll(async () => (await state()).files.status).toBe('ready'),
    }
  }

  /** Holds the PUTs to the bucket, and returns a function that lets them go on. */
  function holdPuts(isHeld = (_: { partNumber: number }) => true): () => void {
    const { promise, resolve } = Promise.withResolvers<null>()
    context.proxy.failure = (request) =>
      request.method === 'PUT' && isHeld(request) ? promise : null
    return () => resolve(null)
  }
  const puts = () => context.proxy.requests.filter(({ method }) => method === 'PUT')

  /** Waits until the page has sent nothing for a moment: all that it does at once, it has done. */
  async function isQuiet(requests: readonly unknown[]): Promise<void> {
    let count = -1
    await expect
      .poll(
        () => {
          const isSame = count === requests.length
          count = requests.length
          return isSame
        },
        { interval: 1500 },
      )
      .toBe(true)
  }

  it('a client with a user asks for its tag first, and sends it with each request', async () => {
    await using users = await browser()
    const { requests, isReady, add, state, errors } = await openHooks(users.browserContext, {
      tokens: users.tokens,
      user: 'ann',
      links: true,
    })
    await isReady()
    await add(SMALL)
    await expect
      .poll(async () => (await state()).files.files.map(({ link }) => !!link))
      .toEqual([true])
    const [first, ...others] = requests
    expect(first).toEqual({ path: '/limits', tag: undefined })
    expect(others.length).toBeGreaterThan(3)
    const headers = { Authorization: `Bearer ${users.tokens.ann}` }
    const limits = await fetch(`${context.worker}/limits`, { headers })
    const own = limits.headers.get('X-User-Tag')
    expect(others.filter(({ tag }) => tag !== own)).toEqual([])
    expect(errors).toEqual([])
  })

  // @threat other-user-in-browser
  it.each([
    ['the client ends', true],
    ['only the cookie tells', false],
  ])('after a log-out in the tab, nothing of a queue of 12 files is sent: %s', async (_, ends) => {
    await using users = await browser()
    const { tab, requests, state, uploads, add, names, isReady, errors } = await openHooks(
      users.browserContext,
      { tokens: users.tokens, user: 'cookie' },
    )
    await isReady()
    await add({ ...SMALL, name: 'ann-first.txt' })
    await expect.poll(uploads).toEqual(['done'])
    expect(await names()).toEqual(['ann-first.txt'])
    const release = holdPuts()
    await add(...queueOf(12))
    await expect.poll(() => puts().length).toBe(5)
    const ended = tab.waitForEvent('requestfailed')
    await users.logOut()
    if (ends) await tab.evaluate(() => reactPage.endSession())
    await ended
    await expect.poll(uploads).toEqual([])
    await expect.poll(names).toEqual([])
    const sent = requests.length
    await users.logIn('bob')
    release()
    await isQuiet(requests)
    const later = requests.slice(sent).map(({ path }) => path)
    // The list of the next user, but for the client that ended: it waits for somebody to act.
    expect(later.filter((path) => !['/limits', '/files'].includes(path))).toEqual([])

    await add({ ...SMALL, name: 'bob.txt' })
    await expect.poll(uploads).toEqual(['done'])
    await expect.poll(names).toEqual(['bob.txt'])
    expect(await users.filesOf('bob')).toEqual(['bob.txt'])
    expect(await users.filesOf('ann')).toEqual(['ann-first.txt'])
    expect((await state()).failed).toEqual([])
    expect(errors).toEqual([])
  })

  // @threat other-user-in-browser
  it('a list is empty when the window is in front again, after a log-out in another one', async () => {
    await using users = await browser()
    const options = { tokens: users.tokens, user: 'cookie' }
    const { tab, add, names, isReady, state } = await openHooks(users.browserContext, options)
    await isReady()
    await add({ ...SMALL, name: 'ann.txt' })
    await expect.poll(names).toEqual(['ann.txt'])
    await users.logIn('bob')
    await tab.evaluate("dispatchEvent(new Event('focus'))")
    await expect.poll(names).toEqual([])
    await expect.poll(async () => (await state()).uploads.uploads).toEqual([])
  })

  // @threat other-user-in-browser
  it.each([
    ['tokens with a subject', true],
    ['tokens without a subject, which share an id', false],
  ])('a second tab does nothing for the next user: %s', async (_, subject) => {
    await using users = await browser({ subject })
    const second = await openHooks(users.browserContext, { tokens: users.tokens, user: 'ann' })
    await second.isReady()
    const release = holdPuts()
    await second.add(...queueOf(12))
    await expect.poll(() => puts().length).toBe(4)

    const first = await openHooks(users.browserContext, { tokens: users.tokens, user: 'cookie' })
    await first.tab.evaluate(() => reactPage.endSession())
    await users.logIn('bob')
    release()
    await expect.poll(second.uploads).toEqual(Array(12).fill('failed'))
    const { uploads, failed } = await second.state()
    const message = 'Another user is logged in now. Reload the page, or log in again.'
    expect(new Set(uploads.uploads.map(({ error }) => error))).toEqual(new Set([message]))
    expect(failed).toHaveLength(12)
    expect(second.statuses.filter((status) => status >= 400)).toEqual([409])
    await second.tab.evaluate(() => reactPage.uploads('retry'))
    await expect.poll(second.uploads).toEqual(Array(12).fill('failed'))
    await second.tab.evaluate(() => reactPage.files('refresh'))
    expect((await second.state()).files.error).toBe(message)

    await first.add({ ...SMALL, name: 'bob.txt' })
    await expect.poll(first.uploads).toEqual(['done'])
    expect(await users.filesOf('bob')).toEqual(['bob.txt'])
    expect(await users.filesOf('ann')).toEqual([])

    await users.logIn('ann')
    await second.tab.evaluate(() => reactPage.uploads('retry'))
    await expect.poll(second.uploads).toEqual(Array(12).fill('done'))
    await second.tab.evaluate(() => reactPage.files('refresh'))
    expect(await second.names()).toHaveLength(12)
    expect(await users.filesOf('ann')).toHaveLength(12)
    expect(await users.filesOf('bob')).toEqual(['bob.txt'])
    expect([first.errors, second.errors]).toEqual([[], []])
  })

  /** Opens a page with the client alone, and uploads the parted file until its second part. */
  async function openClient(browserContext: BrowserContext, options: object) {
    const { tab, ...rest } = await openPage(browserContext)
    const given = { baseUrl: context.worker, ...options }
    await tab.evaluate((options) => page.connect(options), given)
    const start = (file = LARGE, more: PageUpload = {}) => {
      const args = [file, Object.assign({}, file === LARGE ? IN_PARTS : {}, more)] as const
      return tab.evaluate(([given, more]) => page.start(given, more), args)
    }
    const outcome = () => tab.evaluate(() => page.end())
    return {
      tab,
      ...rest,
      start,
      outcome,
      async startHalf() {
        holdPuts(({ partNumber }) => partNumber > 1)
        await start()
        await expect.poll(() => puts().filter(({ status }) => status === 200)).toHaveLength(1)
        const [{ key = '', s3UploadId = '' } = {}] = puts()
        return { key, s3UploadId }
      },
      async ends() {
        const { value, failure } = await outcome()
        expect(failure).toBeNull()
        return value?.key ?? ''
      },
      stored: () => tab.evaluate(() => page.stored()),
    }
  }
  const partNumbers = () => puts().map(({ partNumber }) => partNumber)

  it('parts stay for the user, and the next one uploads the same file at once', async () => {
    await using users = await browser()
    const ann = await openClient(users.browserContext, { tokens: users.tokens, user: 'cookie' })
    const { key, s3UploadId } = await ann.startHalf()
    await ann.tab.evaluate(() => page.endSession())
    expect((await ann.outcome()).failure).toMatchObject({ code: 'user_changed', status: 0 })
    await isQuiet(ann.requests)
    expect(ann.requests.map(({ path }) => path)).not.toContain(`/multipart/${s3UploadId}`)
    expect(await context.hasUpload(key, s3UploadId)).toBe(true)
    expect(await ann.stored()).toHaveLength(1)

    await users.logIn('bob')
    context.proxy.reset()
    await ann.start()
    expect(users.isOf('bob', await ann.ends())).toBe(true)
    expect(partNumbers().toSorted()).toEqual([1, 2])
    expect(await context.hasUpload(key, s3UploadId)).toBe(true)

    await users.logIn('ann')
    context.proxy.reset()
    await ann.start()
    expect(await ann.ends()).toBe(key)
    expect(partNumbers()).toEqual([2])
    expect(await ann.stored()).toEqual([])
    expect(ann.errors).toEqual([])
  })

  it('an upload that another user has left does not block a file, without names of users', async () => {
    await using users = await browser()
    const client = await openClient(users.browserContext, { tokens: users.tokens })
    await client.startHalf()
    await client.tab.reload()
    await users.logIn('bob')
    const next = await openClient(users.browserContext, { tokens: users.tokens })
    context.proxy.reset()
    await next.start()
    expect(users.isOf('bob', await next.ends())).toBe(true)
    await expect.poll(next.stored).toEqual([])
  })

  it('nothing is sent for nobody, nor with a client that has ended', async () => {
    await using users = await browser()
    const { tab, requests, outcome, start } = await openClient(users.browserContext, {
      tokens: users.tokens,
      user: 'cookie',
    })
    const list = () => tab.evaluate(() => page.call('list'))
    await users.logOut()
    expect((await list()).failure).toMatchObject({ code: 'user_changed' })
    expect(requests).toEqual([])
    await users.logIn('ann')
    expect((await list()).value).toMatchObject({ files: [] })

    const connect = { baseUrl: context.worker, tokens: users.tokens, user: 'ann' }
    await tab.evaluate((given) => page.connect(given), connect)
    await tab.evaluate(() => page.endSession())
    const sent = requests.length
    expect((await list()).failure).toMatchObject({ code: 'user_changed' })
    await start()
    expect((await outcome()).failure).toMatchObject({ code: 'user_changed' })
    expect(requests).toHaveLength(sent)
  })

  // @threat other-user-in-browser
  it.each([
    ['the first one was here before', true],
    ['only the next one was', false],
  ])('a tab that has sent nothing yet sends nothing for the next user: %s', async (_, before) => {
    await using users = await browser()
    const list = ({ tab }: { tab: Page }) => tab.evaluate(() => page.call('list'))
    const named = (user: string) => ({ tokens: users.tokens, user })
    if (before) await list(await openClient(users.browserContext, named('ann')))
    const late = await openClient(users.browserContext, named('ann'))
    const later = await openClient(users.browserContext, named('ann'))
    await users.logIn('bob')
    if (!before) await list(await openClient(users.browserContext, named('bob')))
    await late.start({ ...SMALL, name: 'ann.txt' })
    expect((await late.outcome()).failure).toMatchObject({ code: 'user_changed', status: 409 })
    expect((await list(late)).failure).toMatchObject({ code: 'user_changed' })
    expect(await users.filesOf('bob')).toEqual([])
    expect(late.requests).toHaveLength(before ? 2 : 1)
    // Another tab of the first one's doesn't get the files either, nor does this one afterwards.
    for (const { tab } of [later, late, later])
      expect((await list({ tab })).failure).toMatchObject({ code: 'user_changed', status: 409 })
    expect(puts()).toEqual([])
    // After a reload, the page knows who is logged in, by whatever name.
    const reloaded = await openClient(users.browserContext, named('bobby'))
    expect((await list(reloaded)).failure).toBeNull()
    // When the first one is back, this one goes on, but for a page that has never known its user.
    await users.logIn('ann')
    await list(await openClient(users.browserContext, named('ann')))
    const { failure } = await list(late)
    if (before) expect(failure).toBeNull()
    else expect(failure).toMatchObject({ code: 'user_changed' })
  })

  // @threat other-user-in-browser
  it('bytes that are on their way to the bucket stop when only the cookie tells of a log-out', async () => {
    await using users = await browser()
    const options = { tokens: users.tokens, user: 'cookie' }
    const { start, outcome } = await openClient(users.browserContext, options)
    const release = holdPuts()
    await start({ ...SMALL, name: 'ann.txt' })
    await expect.poll(() => puts().length).toBe(1)
    await users.logIn('bob')
    expect((await outcome()).failure).toMatchObject({ code: 'user_changed', status: 0 })
    release()
  })

  /** Starts an app in front of the Worker, with CORS headers of its own. */
  async function startApp(allowed: string, exposed: string) {
    const headers = ['authorization', 'content-type', 'x-user-tag']
    const cors = {
      'Access-Control-Allow-Origin': context.page,
      'Access-Control-Allow-Headers': allowed,
      'Access-Control-Expose-Headers': exposed,
    }
    const app = createServer(async ({ method, url, headers: given }, response) => {
      if (method === 'OPTIONS') {
        response.writeHead(204, cors).end()
        return
      }
      const sent = headers.flatMap((name) => (given[name] ? [[name, String(given[name])]] : []))
      const answer = await fetch(context.worker + url, { headers: Object.fromEntries(sent) })
      const tag = answer.headers.get('X-User-Tag') ?? ''
      response.writeHead(answer.status, { ...cors, 'X-User-Tag': tag }).end(await answer.text())
    }).listen(0, 'localhost')
    await once(app, 'listening')
    const { port } = z.object({ port: z.number() }).parse(app.address())
    return {
      origin: `http://localhost:${port}`,
      [Symbol.asyncDispose]: app[Symbol.asyncDispose].bind(app),
    }
  }

  it('an app that does not expose the tag is told so once', async () => {
    await using users = await browser()
    await using app = await startApp('Authorization, X-User-Tag', 'Retry-After')
    const options = { baseUrl: app.origin, tokens: users.tokens, user: 'ann' }
    const { tab } = await openClient(users.browserContext, options)
    const told: string[] = []
    tab.on('console', (message) => told.push(`${message.type()}: ${message.text()}`))
    const list = () => tab.evaluate(() => page.call('list'))
    expect((await list()).failure).toBeNull()
    expect((await list()).failure).toBeNull()
    expect(told).toEqual([`warning: ${app.origin}: Its CORS headers must expose X-User-Tag.`])
    // The tag in the body is enough to notice another user.
    await users.logIn('bob')
    expect((await list()).failure).toMatchObject({ code: 'user_changed', status: 409 })
  })

  it('an app that does not allow the tag is told so', async () => {
    await using users = await browser()
    await using app = await startApp('Authorization', 'X-User-Tag')
    const options = { baseUrl: app.origin, tokens: users.tokens, user: 'ann' }
    const { tab } = await openClient(users.browserContext, options)
    expect((await tab.evaluate(() => page.call('list'))).failure).toMatchObject({
      code: 'network',
      message: `No response to GET ${app.origin}/files. Its CORS headers must allow X-User-Tag.`,
    })
  })

  it('a user who logs in again in the same tab goes on', async () => {
    await using users = await browser()
    const { tab, requests } = await openClient(users.browserContext, {
      tokens: users.tokens,
      user: 'cookie',
    })
    const list = () => tab.evaluate(() => page.call('list'))
    expect((await list()).failure).toBeNull()
    await tab.evaluate(() => page.endSession())
    expect((await list()).failure).toBeNull()
    expect(requests.map(({ path }) => path)).toEqual(['/limits', '/files', '/files'])
  })

  describe('a handle', () => {
    // @threat other-user-in-browser
    it.each([
      ['the client ends', true],
      ['only the cookie tells', false],
    ])('of a paused upload belongs to its user: %s', async (_, ends) => {
      await using users = await browser()
      const options = { tokens: users.tokens, user: 'cookie' }
      const { tab, start, outcome, requests } = await openClient(users.browserContext, options)
      const act = (action: Parameters<ClientPage['handle']>[0]) =>
        tab.evaluate((given) => page.handle(given), action)
      const release = holdPuts()
      await start({ ...SMALL, name: 'ann.txt' })
      await expect.poll(() => puts().length).toBe(1)
      await act('pause')
      await isQuiet(requests)
      const sent = requests.length
      await users.logIn('bob')
      if (ends) await tab.evaluate(() => page.endSession())
      else await act('resume')
      expect((await outcome()).failure).toMatchObject({ code: 'user_changed' })
      await act('resume')
      release()
      await isQuiet(requests)
      expect(requests).toHaveLength(sent)
      expect(await users.filesOf('bob')).toEqual([])
    })

    it.each(['its bytes', 'its record'])(
      'stores a small file once, paused during %s',
      async (what) => {
        await using users = await browser()
        const options = { tokens: users.tokens, user: 'ann' }
        const { tab, start, ends, requests } = await openClient(users.browserContext, options)
        const act = (action: Parameters<ClientPage['handle']>[0]) =>
          tab.evaluate((given) => page.handle(given), action)
        let isHeld = true
        const held = what === 'its bytes' ? 'PUT' : 'POST'
        // The page has no answer, but what it has sent has arrived.
        await tab.route(/\/files$|once/, async (route) => {
          if (route.request().method() !== held) return route.continue()
          const response = await route.fetch()
          if (!isHeld) await route.fulfill({ response })
        })
        await start({ ...SMALL, name: 'once.txt' })
        await expect.poll(() => puts().length).toBe(1)
        await isQuiet(requests)
        await act('pause')
        isHeld = false
        await act('resume')
        const key = await ends()
        expect(new Set(puts().map((put) => put.key))).toEqual(new Set([key]))
        expect(requests.filter(({ path }) => path === '/files/upload-url')).toHaveLength(1)
      },
    )

    it.each([
      ['its record', SMALL, '/files'],
      ['its completion', LARGE, '/complete'],
    ] as const)(
      'stores a file under a chosen key once, paused during %s',
      async (_, file, ending) => {
        await using users = await browser()
        const options = { tokens: users.tokens, user: 'ann' }
        const { tab, start, ends, stored } = await openClient(users.browserContext, options)
        const act = (action: Parameters<ClientPage['handle']>[0]) =>
          tab.evaluate((given) => page.handle(given), action)
        const answered = Promise.withResolvers<number>()
        // The page has no answer, but what it has sent has arrived.
        await tab.route(`**${ending}`, async (route) => {
          if (route.request().method() !== 'POST') return route.continue()
          answered.resolve((await route.fetch()).status())
        })
        const key = `${users.prefixOf('ann')}chosen`
        await start(file, { key })
        expect(await answered.promise).toBe(201)
        await act('pause')
        await tab.unroute(`**${ending}`)
        const sent = puts().length
        await act('resume')
        expect(await ends()).toBe(key)
        expect(puts()).toHaveLength(sent)
        expect(await users.filesOf('ann')).toHaveLength(1)
        expect(await stored()).toEqual([])
      },
    )

    it('pauses, and goes on with the missing parts', async () => {
      await using users = await browser()
      const client = await openClient(users.browserContext, { tokens: users.tokens })
      const { key, s3UploadId } = await client.startHalf()
      const act = (action: Parameters<ClientPage['handle']>[0]) =>
        client.tab.evaluate((given) => page.handle(given), action)
      await act('pause')
      context.proxy.reset()
      await isQuiet(client.requests)
      expect(puts()).toEqual([])
      expect(await context.hasUpload(key, s3UploadId)).toBe(true)
      await act('resume')
      await act('resume')
      expect(await client.ends()).toBe(key)
      expect(partNumbers()).toEqual([2])
    })

    it.each(['while it runs', 'in a pause', 'after it failed'])(
      'deletes the parts when it is canceled %s',
      async (when) => {
        await using users = await browser()
        const client = await openClient(users.browserContext, { tokens: users.tokens })
        const act = (action: Parameters<ClientPage['handle']>[0]) =>
          client.tab.evaluate((given) => page.handle(given), action)
        const { key, s3UploadId } = await client.startHalf()
        if (when === 'in a pause') await act('pause')
        if (when === 'after it failed') {
          await client.tab.reload()
          await client.tab.evaluate((given) => page.connect(given), {
            baseUrl: context.worker,
            tokens: users.tokens,
          })
          context.proxy.failure = ({ partNumber }) => (partNumber > 1 ? 400 : null)
          await client.start()
          expect((await client.outcome()).failure).toMatchObject({ code: 'bucket_refused' })
          expect(await context.hasUpload(key, s3UploadId)).toBe(true)
        }
        await act('cancel')
        if (when !== 'after it failed')
          expect((await client.outcome()).failure).toMatchObject({ name: 'AbortError' })
        await expect.poll(() => context.hasUpload(key, s3UploadId)).toBe(false)
        await expect.poll(client.stored).toEqual([])
        expect(client.errors).toEqual([])
      },
    )
  })

  describe('many small files, with useUpload and useFiles({ links: true })', () => {
    /** Uploads files with the hooks, whatever the machine does. Returns the requests to the API. */
    async function uploadMany(count: number) {
      await using users = await browser()
      const options = { tokens: users.tokens, user: 'ann', links: true }
      const hooks = await openHooks(users.browserContext, options, true)
      await hooks.skipPauses(async () => (await hooks.state()).files.status === 'ready')
      await hooks.tab.route('**/i/**', (route) => route.abort())
      await hooks.add(...queueOf(count))
      await hooks.skipPauses(async () => {
        const { files } = (await hooks.state()).files
        return files.filter(({ link }) => link).length === count
      })
      expect((await hooks.state()).uploads.status).toBe('done')
      expect(hooks.statuses.filter((status) => status >= 400)).toEqual([])
      expect(hooks.errors).toEqual([])
      return hooks.requests.map(({ path }) => path)
    }

    it('300 files need at most 40 requests', async () => {
      const requests = await uploadMany(300)
      const counts = Map.groupBy(requests, (path) => path)
      console.info(Object.fromEntries(Array.from(counts, ([path, all]) => [path, all.length])))
      expect(requests.length).toBeLessThanOrEqual(40)
    })

    it('500 files end without a refusal, at 1,200 requests a minute', async () => {
      const requests = await uploadMany(500)
      console.info(`500 files: ${requests.length} requests`)
    })
  })
})
