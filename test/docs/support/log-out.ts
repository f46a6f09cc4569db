import type { Browser, BrowserContext, Page, Response, Route } from 'playwright-core'
import { expect } from 'vitest'
import * as z from 'zod/mini'

/**
 * The page's own knowledge of who is logged in, instead of that of a recipe: the cookie when it was
 * loaded, and in the tab of somebody who logs in, the new user. Other tabs don't see that.
 */
export const USER_OF_PAGE =
  '(Object(globalThis).pageUser ??= /\\buser=(\\w+)/.exec(document.cookie)?.[1] ?? null)'

export interface LogOut {
  readonly browser: Browser
  /** The page of the recipe. */
  readonly url: string
  /** Logs somebody in, also in the page if there is one. By default, with a cookie. */
  readonly logIn?: (user: string, context: BrowserContext, page?: Page) => Promise<unknown>
  /** Whether the page shows what it has uploaded. */
  readonly showsFiles?: boolean
}

const EXPIRED = {
  status: 401,
  headers: { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'application/json' },
  body: JSON.stringify({ code: 'unauthenticated', message: 'Expired.', reason: 'expired' }),
}
const recordAnswer = z.object({ key: z.string(), name: z.string(), createdAt: z.string() })
const batchAnswer = z.object({ files: z.array(recordAnswer) })

const filesOf = (user: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    name: `${user}-${index}.png`,
    mimeType: 'image/png',
    buffer: Buffer.from('hello'),
  }))

/** Logs in by a cookie, and tells the page. */
export async function logInByCookie(user: string, context: BrowserContext, page?: Page) {
  const [url = ''] = context.pages().map((each) => each.url())
  await context.addCookies([{ name: 'user', value: user, url }])
  await page?.evaluate((name) => Reflect.set(globalThis, 'pageUser', name), user)
}

/**
 * Follows a recipe's log-out while twelve files of Ann are on their way, in this tab or in another one.
 * Bob logs in afterwards, and gets none of them.
 */
export async function expectLogOut(recipe: LogOut, tabs: 1 | 2): Promise<void> {
  const { browser, url, logIn = logInByCookie, showsFiles = true } = recipe
  const [ann, bob] = [`ann${tabs}`, `bob${tabs}`]
  const context = await browser.newContext()
  const held: Route[] = []
  /** The tokens of Ann, and those that have expired. A page without tokens has a cookie. */
  const tokens = new Set<string>()
  const expired = new Set<string>()
  let isHeld = true
  await context.route('**', (route) => {
    const request = route.request()
    const token = request.headers().authorization ?? ''
    if (isHeld && token !== '') tokens.add(token)
    if (isHeld && request.method() === 'PUT') held.push(route)
    else if (expired.has(token)) void route.fulfill(EXPIRED)
    else void route.continue()
  })
  const recorded: string[] = []
  const statuses: number[] = []
  const note = async (response: Response) => {
    if (response.request().method() === 'POST') statuses.push(response.status())
    const body: unknown = await response.json().catch(() => undefined)
    const { data } = batchAnswer.safeParse({ files: [body] })
    for (const { key, name } of (data ?? batchAnswer.safeParse(body).data)?.files ?? [])
      if (response.request().method() === 'POST') recorded.push(`${key.split('/')[1]} ${name}`)
  }
  context.on('response', (response) => void note(response))

  const first = await context.newPage()
  await first.goto(url)
  await logIn(ann, context, first)
  await first.reload()
  const uploading = tabs === 1 ? first : await context.newPage()
  if (tabs === 2) await uploading.goto(url)
  // Again, if the page was not ready, or has loaded again.
  const begin = async () => {
    if (held.length === 0) await uploading.locator('[type=file]').setInputFiles(filesOf('ann', 12))
    return held.length
  }
  await expect.poll(begin, { interval: 5000 }).toBeGreaterThan(0)

  await first.locator('button:text-is("Log out")').click()
  await logIn(bob, context, first)
  isHeld = false
  // Until then, the other tab would go on as Ann, whose token it has.
  if (tabs === 2) for (const token of tokens) expired.add(token)
  for (const route of held) await route.continue().catch(() => undefined) // the page has canceled it
  if (tabs === 2) await expect.poll(() => statuses).toContain(409)
  else await first.waitForTimeout(3000) // what the page does now, it does at once
  expect(recorded).toEqual([])

  await first.locator('[type=file]').setInputFiles(filesOf('bob', 1))
  await expect.poll(() => recorded).toEqual([`${bob} bob-0.png`])
  const shown = first.locator('a:has-text("bob-0.png"), a:has(img[alt="bob-0.png"])')
  if (showsFiles) await expect.poll(() => shown.count()).toBeGreaterThan(0)
  expect(await first.locator('text=ann-').count()).toBe(0)
  // A Worker of several readers shows every file to a page without tokens.
  const remove = first.getByRole('button', { name: 'Delete bob-0.png' })
  if ((await remove.count()) > 0) await remove.click()
  await expect.poll(() => remove.count()).toBe(0)
  await context.close()
}
