import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { BuiltWorker } from './built-worker.ts'
import { newTab } from './chromium.ts'
import { seriousFindings } from './demo-page.ts'
import { startPageWorker } from './page-worker.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

const READ = ['files:read', 'files:list', 'links:create'] as const
const SECRET = '0123456789abcdef0123456789abcdef0123456789a'
const KEYS = {
  keeper: { scopes: [...READ, 'upkeep:read'], prefix: '' },
  tenant: { scopes: [...READ, 'upkeep:read'], prefix: 'tenants/42/' },
  reader: { scopes: [...READ], prefix: '' },
}
const IDS = ['keeper', 'tenant', 'reader'] as const
type Id = (typeof IDS)[number]

const keyOf = (id: Id) => `ep_${id}_${SECRET}`

const COUNTS = {
  ...{ objects: 0, records: 0, unrecorded: 0, young: 0, unmanaged: 0, ownerless: 0, different: 0 },
  ...{ gone: 0, oldUploads: 0, unreadable: 0, foreign: 0, refused: 0, failed: 0, recorded: 0 },
  ...{ returned: 0, updated: 0, corrected: 0, dropped: 0, aborted: 0 },
}

/** An answer of `GET /upkeep`. */
const answerWith = (bucket: object, changes: object = {}) => ({
  ...{ mode: 'record', plan: 'free' },
  buckets: [
    {
      ...{ bucket: 'files', phase: 'objects', startedAt: new Date().toISOString() },
      ...{ counts: COUNTS, collected: 0, failing: 0, stopped: null, last: null },
      ...bucket,
    },
  ],
  ...changes,
})

const ended = (counts: object) => ({
  mode: 'record',
  startedAt: new Date(Date.now() - 3_600_000).toISOString(),
  // Five minutes and a half: the page has half a minute to show it.
  endedAt: new Date(Date.now() - 330_000).toISOString(),
  counts: { ...COUNTS, ...counts },
})

/** Made when the page asks, since the page shows how long ago something was. */
const stopped = () =>
  answerWith({
    ...{ collected: 2, last: ended({ objects: 1234, unrecorded: 3, recorded: 3, dropped: 1 }) },
    stopped: { reason: 'empty list', at: new Date().toISOString() },
  })

describeWith([CHROMIUM], 'upkeep on the page, in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let worker: BuiltWorker
  let browser: Browser

  beforeAll(async () => {
    const started = await startPageWorker(IDS.map((id) => ({ id, token: keyOf(id), ...KEYS[id] })))
    stack.use(started)
    worker = started.worker
    browser = started.browser
  })

  afterAll(() => stack.disposeAsync())

  interface Tab extends AsyncDisposable {
    readonly page: Page
    readonly failures: readonly string[]
    /** How often the page has asked for the state of upkeep. */
    readonly asked: () => number
  }

  /** Opens the page. `answer` replaces what the Worker answers. */
  async function open(
    id: Id,
    answer?: (count: number) => { status?: number; json: object },
  ): Promise<Tab> {
    const { context, page, failures } = await newTab(browser)
    let count = 0
    await page.route('**/upkeep', (route) => {
      count += 1
      return answer === undefined ? route.continue() : route.fulfill(answer(count))
    })
    await page.addInitScript(`sessionStorage.setItem('token', '${keyOf(id)}')`)
    await page.goto(worker.origin)
    await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' })
    return {
      ...{ page, failures, asked: () => count },
      [Symbol.asyncDispose]: () => context.close(),
    }
  }

  const part = (page: Page) => page.getByRole('region', { name: 'Upkeep' })

  it('shows why it has stopped and what to do, what waits, and its last look', async () => {
    await using tab = await open('keeper', () => ({ json: stopped() }))
    const { page } = tab
    const upkeep = part(page)
    for (const text of [
      'The bucket says that it is empty, but the list of files is not.',
      'Check the name of the bucket, and whether somebody has emptied it.',
      `npx edge-presigner upkeep go-on --bucket files --url ${worker.origin}`,
      'Last look through all 1,234 files: 5m ago.',
      '3 files that are not in the list',
      '3 files added to the list',
      '2 entries wait for a second look.',
      `npx edge-presigner upkeep kept --bucket files --url ${worker.origin}`,
    ])
      await upkeep.getByText(text).waitFor()
    for (const [width, colorScheme] of [
      [1280, 'light'],
      [390, 'dark'],
    ] as const) {
      await page.setViewportSize({ width, height: 844 })
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
      expect(await seriousFindings(page), `${width} ${colorScheme}`).toEqual([])
      const shots = process.env.SCREENSHOTS
      if (shots) {
        await upkeep.scrollIntoViewIfNeeded()
        await page.screenshot({ path: join(shots, `upkeep-${width}-${colorScheme}.png`) })
      }
    }
    // Its end is in reach next to a long list of files.
    await page.setViewportSize({ width: 1280, height: 844 })
    const side = "getComputedStyle(document.querySelector('.side')).position"
    expect(await page.evaluate(side)).toBe('static')
    await upkeep.locator('summary').click()
    expect(await page.evaluate(side)).toBe('sticky')
    expect(tab.failures).toEqual([])
  })

  it('is not there before its first run, as the Worker itself answers', async () => {
    await using tab = await open('keeper')
    const { page } = tab
    await page.locator('#upkeep').waitFor({ state: 'attached' })
    expect(await part(page).count()).toBe(0)
    expect(tab.failures).toEqual([])
  })

  it('opens and looks again with the keyboard alone', async () => {
    const calm = () => answerWith({ last: ended({ objects: 10 }) })
    const waiting = () => answerWith({ collected: 1, last: ended({ objects: 11 }) })
    await using tab = await open('keeper', (count) => ({ json: count === 2 ? waiting() : calm() }))
    const { page } = tab
    const upkeep = part(page)
    await upkeep.getByText('all is well').waitFor()
    expect(await upkeep.getByText('Last look').isVisible()).toBe(false)
    await upkeep.locator('summary').focus()
    await page.keyboard.press('Enter')
    await upkeep.getByText('Last look through all 10 files: 5m ago.').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await upkeep.getByText('1 entry waits for a second look.').waitFor()
    await upkeep.getByRole('status').getByText('This is up to date.').waitFor()
    expect(await upkeep.getByText('something waits').isVisible()).toBe(true)
    expect(tab.failures).toEqual([])
  })

  it('stays while the Worker does not answer, and goes away if it refuses', async () => {
    const answers = [
      ...[{ json: stopped() }, { status: 503, json: { message: 'Wait.', code: 'storage_busy' } }],
      { status: 403, json: { message: 'No.', code: 'forbidden' } },
    ]
    await using tab = await open('keeper', (count) => answers[count - 1] ?? { json: stopped() })
    const again = part(tab.page).getByRole('button', { name: 'Look again' })
    await again.click()
    await part(tab.page).getByRole('status').getByText('No answer. Try again later.').waitFor()
    expect(await part(tab.page).getByText('It has stopped.').isVisible()).toBe(true)
    await again.click()
    await expect.poll(() => part(tab.page).isVisible()).toBe(false)
  })

  it('shows a name of a bucket as text, and one heading for each of several', async () => {
    const hostile = '<img src=x onerror="document.title=1">'
    const { buckets } = answerWith({ bucket: hostile })
    const json = { ...stopped(), buckets: [...stopped().buckets, ...buckets] }
    await using tab = await open('keeper', () => ({ json }))
    await part(tab.page).getByRole('heading', { name: hostile, exact: true }).waitFor()
    expect(await part(tab.page).getByRole('heading', { level: 3 }).count()).toBe(2)
    expect(await tab.page.title()).toBe('Edge presigner')
  })

  it.each<[string, Id, number, number]>([
    ['without its scope', 'reader', 200, 0],
    ['with a prefix', 'tenant', 200, 0],
    ['without Durable Objects', 'keeper', 501, 1],
  ])('is not there %s', async (_, id, status, count) => {
    const code = 'not_supported'
    const json = status === 200 ? stopped() : { message: 'No.', code }
    await using tab = await open(id, () => ({ status, json }))
    await expect.poll(tab.asked).toBe(count)
    await tab.page.getByText('Nothing here yet').waitFor()
    expect(await part(tab.page).count()).toBe(0)
  })

  it('goes away with the token that could see it', async () => {
    await using tab = await open('keeper', () => ({ json: stopped() }))
    const { page } = tab
    await part(page).getByText('It has stopped.').waitFor()
    await page.getByRole('button', { name: 'Token' }).click()
    await page.getByLabel('Token or API key').fill(keyOf('reader'))
    await page.getByRole('button', { name: 'Use it', exact: true }).click()
    await expect.poll(() => part(page).isVisible()).toBe(false)
  })
})
