import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { holdPart } from '../held-part.ts'
import { patternBytes } from '../pattern-bytes.ts'
import { CHROMIUM, describeWith, RADOSGW } from '../system-package.ts'
import { etagOf, startUppyContext, type UppyContext } from '../uppy/context.ts'
import type { UppyPage, UppySettings, UppyState } from '../uppy/page-api.ts'
import type { UppyVersion } from '../uppy/serve-page.ts'
import { bucketFront } from './bucket-front.ts'
import { docTable } from './doc-table.ts'

const MIB = 1024 ** 2
/** Uppy's part size. */
const PART_BYTES = 5 * MIB
/** Two parts. */
const LARGE = 6 * MIB
const SMALL = 1000
const NAME = 'Grüße aus Köln 1.bin'
const META = { caption: 'Zoë & Co', 'user.name': 'zoe', größe: '1', nothing: null }
/** How long to wait for what works, and for what results.md says does not. */
const PATIENCE_MILLISECONDS = { works: 60_000, fails: 15_000 }

declare const page: UppyPage

/** One package of Uppy, and its features. */
interface Package {
  readonly version: UppyVersion
  readonly plugin: 'aws-s3' | 'aws-s3-multipart'
  readonly single: boolean
  readonly parts: boolean
}

const PACKAGES: Readonly<Record<string, Package>> = {
  'aws-s3 2.2.4': { version: 2, plugin: 'aws-s3', single: true, parts: false },
  'aws-s3-multipart 2.4.3': { version: 2, plugin: 'aws-s3-multipart', single: false, parts: true },
  'aws-s3 3.6.2': { version: 3, plugin: 'aws-s3', single: true, parts: false },
  'aws-s3-multipart 3.12.0': { version: 3, plugin: 'aws-s3-multipart', single: true, parts: true },
  'aws-s3 4.3.2': { version: 4, plugin: 'aws-s3', single: true, parts: true },
  'aws-s3 5.1.0': { version: 5, plugin: 'aws-s3', single: true, parts: true },
  'aws-s3 6.3.1': { version: 6, plugin: 'aws-s3', single: true, parts: true },
}

describeWith([RADOSGW, CHROMIUM], 'Companion mode of each package in Chromium', () => {
  const table = docTable('versions', ['In Chromium', ...Object.keys(PACKAGES)])
  let context: UppyContext
  /** Accepts only credentials, no cookies. */
  let worker: string
  /** Also accepts cookies from the pages. */
  let cookieWorker: string
  /** A path with an expired token of the same principal. */
  let endedPath: string
  let tab: Page
  const patience = { timeout: PATIENCE_MILLISECONDS.works }

  beforeAll(async () => {
    context = await startUppyContext([2, 3, 4, 5, 6], bucketFront)
    worker = await context.startWorker()
    const origins = JSON.stringify(Object.values(context.pages))
    endedPath = await tokenPath(worker, 1)
    cookieWorker = await context.startWorker({ CORS_COOKIE_ORIGINS: origins })
  })
  afterAll(() => context?.close())
  beforeEach(async () => {
    tab = await (await context.browser.newContext()).newPage()
  })
  afterEach(() => tab.context().close())

  const ask = (path: string, init: RequestInit = {}, of = worker): Promise<Response> =>
    fetch(of + path, {
      ...init,
      headers: {
        Authorization: `Bearer ${context.apiKey}`,
        'Content-Type': 'application/json',
      },
    })
  const tokenPath = async (of = worker, expiresIn = 3600): Promise<string> => {
    const body = JSON.stringify({ scopes: ['files:upload'], expiresIn })
    const response = await ask('/tokens', { method: 'POST', body }, of)
    return `${of}/u/${((await response.json()) as { token: string }).token}`
  }

  /** Creates an Uppy of this package with these settings, by default with a token in the path. */
  const open = async (
    { version, plugin, single }: Package,
    changes: Partial<UppySettings> = {},
  ): Promise<void> => {
    await tab.goto(context.pages[version])
    const settings: UppySettings = {
      endpoint: changes.endpoint ?? (await tokenPath()),
      presigner: { baseUrl: worker, token: '' },
      helpers: false,
      headers: {},
      multipart: !single,
      golden: false,
      plugin,
      ...changes,
    }
    await tab.evaluate((given) => page.start(given), settings)
  }
  const upload = (size: number, names: readonly string[] = [NAME]): Promise<void> =>
    tab.evaluate(([given, bytes, meta]) => page.upload(given, 'video/mp4', bytes, meta), [
      names,
      size,
      META,
    ] as const)
  const state = (): Promise<UppyState> => tab.evaluate(() => page.state())
  /** Waits until `count` files are uploaded, or something fails. */
  const settled = async (count = 1): Promise<UppyState> => {
    let last = await state()
    const isSettled = async () => {
      last = await state()
      return last.error !== null || last.keys.length === count
    }
    await expect.poll(isSettled, patience).toBe(true)
    return last
  }
  const finished = async (count = 1): Promise<UppyState> => {
    const last = await settled(count)
    expect(last.error).toBeNull()
    return last
  }
  /** What Uppy sends to the bucket. Some versions don't pass on the key of a form. */
  const watchSent = () => {
    const sent = { key: '', s3UploadId: '', parts: [] as number[] }
    tab.on('response', async (response) => {
      const isForm = response.url().includes('/s3/params') && response.request().method() === 'GET'
      // If the tab is closed in the meantime, this is no longer needed.
      const form = isForm ? await response.json().catch(() => null) : null
      if (form?.fields) sent.key = form.fields.key
    })
    tab.on('request', (request) => {
      const { origin, pathname, searchParams } = new URL(request.url())
      const number = searchParams.get('partNumber')
      if (origin !== context.bucket || number === null) return
      sent.key = decodeURIComponent(pathname.split('/').slice(2).join('/'))
      sent.s3UploadId = searchParams.get('uploadId') ?? ''
      if (request.method() === 'PUT') sent.parts.push(Number(number))
    })
    return sent
  }
  /** Waits until the test has read the key of a form, which may be later than the page. */
  const hasKey = (sent: { readonly key: string }) =>
    expect.poll(() => sent.key, patience).not.toBe('')
  const isWhole = async (key: string, size: number): Promise<void> => {
    expect(key).toMatch(/^team\/uploads\/.{20}-grüße-aus-köln-.*\.bin$/)
    const etag = etagOf(patternBytes(size), size > PART_BYTES ? PART_BYTES : null)
    expect(await context.object(key)).toMatchObject({ size, etag, mimetype: 'video/mp4' })
  }

  /**
   * How the upload of a large file ends: without help or after `retry`, and whether it sends its
   * first part twice.
   */
  const endOf = async (sent: { readonly parts: readonly number[] }): Promise<string> => {
    const byItself = (await settled()).error === null
    if (!byItself) await tab.evaluate(() => page.retry())
    const { success } = await finished()
    await isWhole(success?.key ?? '', LARGE)
    const again = sent.parts.filter((number) => number === 1).length > 1
    return `${byItself ? '' : 'after `retry`: '}${again ? 'uploads again' : 'continues'}`
  }

  /** Makes the token of such requests expire before they reach the Worker, while `isOn`. */
  const endToken = async (
    method: string,
    path: RegExp,
    isOn: (url: string) => boolean,
  ): Promise<void> => {
    await tab.route(path, async (route) => {
      const request = route.request()
      if (request.method() !== method || !isOn(request.url())) return route.fallback()
      await route.continue({ url: request.url().replace(/^.*\/u\/[^/]+/, endedPath) })
    })
  }
  const part1IsSent = () =>
    expect.poll(async () => (await state()).partsUploaded, patience).toBeGreaterThan(0)

  /** What happens with each package. Undefined when it doesn't have the feature. */
  const scenarios: Readonly<Record<string, (of: Package) => Promise<string> | undefined>> = {
    'a file in one request': (of) => (of.single ? inOneRequest(of) : undefined),
    'what `upload-success` then contains': (of) => (of.single ? tellsOfForm(of) : undefined),
    'a file in parts': (of) => (of.parts ? inParts(of) : undefined),
    'eight files at once': eightFiles,
    'credentials in headers': (of) => (of.version === 6 ? undefined : withHeaders(of)),
    'cookies included': (of) => (of.version === 6 ? undefined : withCookies(of)),
    'an endpoint that ends in `/`': withSlash,
    'pause and resume': (of) => (of.parts ? pauseAndResume(of) : undefined),
    'canceled, nothing is left': (of) => (of.parts ? cancel(of) : undefined),
    'canceled with an expired token': (of) => (of.parts ? cancelLate(of) : undefined),
    'a new token, before the old one expires': (of) =>
      of.version === 4 || of.version === 5 ? renewInTime(of) : undefined,
    'a new token, after a refusal': (of) => (of.parts ? renewLate(of) : undefined),
    'a token that ends before all parts are signed': (of) => (of.parts ? endEarly(of) : undefined),
    'a part fails once': (of) => (of.parts ? failOnce(of) : undefined),
    'the response to `complete` is lost': (of) => (of.parts ? loseComplete(of) : undefined),
  }

  async function inOneRequest(of: Package): Promise<string> {
    const sent = watchSent()
    await open(of, { multipart: false })
    await upload(SMALL)
    await finished()
    await hasKey(sent)
    await isWhole(sent.key, SMALL)
    expect((await context.object(sent.key)).metadata).toMatchObject({ 'user.name': 'zoe' })
    return 'yes'
  }

  /** The bucket exposes `Location`, as docs/configuration.md says. */
  async function tellsOfForm(of: Package): Promise<string> {
    const sent = watchSent()
    await open(of, { multipart: false })
    await upload(SMALL)
    const { success } = await finished()
    await hasKey(sent)
    const path = decodeURIComponent(new URL(success?.uploadURL ?? 'none:').pathname)
    const told = [
      success?.key === sent.key ? 'key' : '',
      path === `/${context.bucketName}/${sent.key}` ? 'URL' : '',
    ]
    // As docs/uppy.md shows it: the event has enough to record the file.
    const key = success?.key || path.replace(`/${context.bucketName}/`, '')
    const body = JSON.stringify({ key, name: NAME })
    expect((await ask('/files', { method: 'POST', body })).status).toBe(201)
    return told.filter(Boolean).join(', ') || 'nothing'
  }

  async function inParts(of: Package): Promise<string> {
    await open(of, { multipart: true })
    await upload(LARGE)
    const { success } = await finished()
    const key = success?.key ?? ''
    await isWhole(key, LARGE)
    expect((await context.object(key)).metadata).toMatchObject({ 'user.name': 'zoe' })
    expect((await ask(`/files/${encodeURIComponent(key)}`)).status).toBe(200)
    return 'yes'
  }

  async function eightFiles(of: Package): Promise<string> {
    await open(of)
    await upload(
      SMALL,
      Array.from({ length: 8 }, (_, i) => `${i} ${NAME}`),
    )
    await finished(8)
    return 'yes'
  }

  async function withHeaders(of: Package): Promise<string> {
    await open(of, { endpoint: worker, headers: { Authorization: `Bearer ${context.apiKey}` } })
    await upload(SMALL)
    await finished()
    return 'yes'
  }

  async function withCookies(of: Package): Promise<string> {
    await open(of, { endpoint: await tokenPath(cookieWorker), cookies: true })
    await upload(SMALL)
    await finished()
    return 'yes'
  }

  async function withSlash(of: Package): Promise<string> {
    await open(of, { endpoint: `${await tokenPath()}/` })
    await upload(SMALL)
    await finished()
    return 'yes'
  }

  async function pauseAndResume(of: Package): Promise<string> {
    const sent = watchSent()
    const part2 = await holdPart(tab, 2)
    await open(of, { multipart: true })
    await upload(LARGE)
    await part1IsSent()
    await tab.evaluate(() => page.pause())
    await part2.release()
    await tab.evaluate(() => page.resume())
    const { success } = await finished()
    await isWhole(success?.key ?? '', LARGE)
    expect(sent.parts.filter((number) => number === 1)).toEqual([1])
    return 'yes'
  }

  async function cancel(of: Package): Promise<string> {
    const sent = watchSent()
    await holdPart(tab, 2)
    await open(of, { multipart: true })
    await upload(LARGE)
    await part1IsSent()
    const [key, s3UploadId] = [sent.key, sent.s3UploadId]
    expect(await context.hasUpload(key, s3UploadId)).toBe(true)
    await tab.evaluate(() => page.cancel())
    await expect.poll(() => context.hasUpload(key, s3UploadId), patience).toBe(false)
    return 'yes'
  }

  async function cancelLate(of: Package): Promise<string> {
    await endToken('DELETE', /\/s3\/multipart\//, () => true)
    return cancel(of)
  }

  async function renewInTime(of: Package): Promise<string> {
    const sent = watchSent()
    const part2 = await holdPart(tab, 2)
    // Two tokens from the same second with the same members are equal.
    const old = await tokenPath(worker, 3000)
    let hasEnded = false
    for (const method of ['GET', 'POST'])
      await endToken(method, /\/s3\//, (url) => hasEnded && url.startsWith(old))
    await open(of, { endpoint: old, multipart: true })
    await upload(LARGE)
    await part1IsSent()
    await part2.isHeld()
    await tab.evaluate((endpoint) => page.renew(endpoint), await tokenPath())
    hasEnded = true
    await part2.release()
    return endOf(sent)
  }

  async function renewLate(of: Package): Promise<string> {
    const sent = watchSent()
    let hasEnded = true
    await endToken('POST', /\/complete\?/, () => hasEnded)
    await open(of, { multipart: true })
    await upload(LARGE)
    expect((await settled()).error).not.toBeNull()
    hasEnded = false
    await tab.evaluate((endpoint) => page.renew(endpoint), await tokenPath())
    return endOf(sent)
  }

  async function endEarly(of: Package): Promise<string> {
    await endToken('GET', /\/s3\/multipart\/[^/]+\/(?:batch|\d+)\?/, () => true)
    await open(of, { multipart: true })
    await upload(LARGE)
    return settled().then(
      ({ error }) => (error === null ? 'continues' : 'fails'),
      () => 'hangs',
    )
  }

  async function failOnce(of: Package): Promise<string> {
    const sent = watchSent()
    let isFirst = true
    await tab.route(/[?&]partNumber=2&/, async (route) => {
      if (!isFirst || route.request().method() !== 'PUT') return route.continue()
      isFirst = false
      await route.abort('connectionreset')
    })
    await open(of, { multipart: true })
    await upload(LARGE)
    return endOf(sent)
  }

  async function loseComplete(of: Package): Promise<string> {
    const sent = watchSent()
    let isFirst = true
    await tab.route(/\/complete\?/, async (route) => {
      if (!isFirst || route.request().method() !== 'POST') return route.continue()
      isFirst = false
      await route.fetch()
      await route.abort('connectionreset')
    })
    await open(of, { multipart: true })
    await upload(LARGE)
    return endOf(sent)
  }

  describe.each(Object.entries(scenarios))('%s', (scenario, run) => {
    it.each(Object.entries(PACKAGES))('%s', async (name, of) => {
      const fails = ['no', 'hangs'].includes(table.said(scenario, name) ?? '')
      patience.timeout = PATIENCE_MILLISECONDS[fails ? 'fails' : 'works']
      let outcome: string
      try {
        outcome = (await run(of)) ?? '–'
      } catch (error) {
        // A failure that the page lists may occur. For any other, the error is thrown.
        if ((table.said(scenario, name) ?? 'no') !== 'no') throw error
        console.warn(`${name}, ${scenario}: ${error}`)
        outcome = 'no'
      }
      table.found(scenario, name, outcome)
    })
  })

  it('behave as results.md states', () => table.finish())
})
