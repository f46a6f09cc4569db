import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTestHarness } from 'wrangler'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { connectChromium } from './chromium.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

const ROOT = join(import.meta.dirname, '../..')
const harness = (endpoint: string) =>
  createTestHarness({
    root: ROOT,
    workers: [{ configPath: 'test/mount/host/wrangler.toml', vars: { S3_ENDPOINT: endpoint } }],
  })

const uploadSchema = z.object({ key: z.string(), uploadUrl: z.url(), link: z.url() })
const seenSchema = z.object({
  seen: z.array(z.object({ request: z.string(), hadCookie: z.boolean(), status: z.int() })),
  events: z.array(z.object({ type: z.string() })),
})

describeWith([CHROMIUM], 'a mounted presigner with a session cookie, in a browser', () => {
  let app: string
  let foreign: string
  let worker: ReturnType<typeof createTestHarness>
  let s3: S3Server
  let server: Server
  let browser: Browser
  let page: Page
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    s3 = await startS3rver({ port: 0, directory, corsOrigins: ['http://localhost:1'] })
    worker = harness(s3.endpoint)
    const { url } = await worker.listen()
    app = `http://localhost:${url.port}`
    const port = await freePort()
    foreign = `http://localhost:${port}`
    server = createServer((_, response) =>
      response.setHeader('Content-Type', 'text/html').end('<title>foreign</title><img>'),
    )
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    browser = await connectChromium()
    page = await browser.newPage()
  })
  afterAll(async () => {
    await browser.close()
    server.close()
    server.closeAllConnections()
    await worker.close()
    await s3.close()
    await rm(directory, { recursive: true })
  })

  /** Returns what the app has recorded since the last call. */
  const seen = async () => seenSchema.parse(await (await fetch(`${app}/seen`)).json())

  /** Runs `script`, the body of an async function of `args`, in the page. */
  const run = (script: string, args: object = {}): Promise<unknown> =>
    page.evaluate(`(async (args) => { ${script} })(${JSON.stringify(args)})`)

  /** Uploads an image as the app's user, who requests the URL in the app's own page. */
  async function uploadInApp() {
    await page.goto(`${app}/login`)
    const asked = await run(`
      const post = async (path, body) => {
        const headers = { 'Content-Type': 'application/json' }
        const init = { method: 'POST', headers, body: JSON.stringify(body) }
        const response = await fetch('/media' + path, init)
        if (!response.ok) throw new Error(path + ' answered ' + response.status)
        return response.json()
      }
      const file = { fileName: 'a.png', mimetype: 'image/png' }
      const { key, uploadUrl } = await post('/files/upload-url', file)
      return { key, uploadUrl, ...await post('/files/' + encodeURIComponent(key) + '/link', {}) }
    `)
    const { key, uploadUrl, link } = uploadSchema.parse(asked)
    const headers = { 'Content-Type': 'image/png' }
    const put = await fetch(uploadUrl, { method: 'PUT', headers, body: smallPng(3, 2) })
    expect(put.status).toBe(200)
    return { key, link }
  }

  it('serves the pages of its own origin', async () => {
    await uploadInApp()
    const { seen: requests } = await seen()
    expect(requests.map(({ status }) => status)).toEqual([200, 200])
    expect(requests.every(({ hadCookie }) => hadCookie)).toBe(true)
  })

  // @threat app-csrf
  it('changes nothing for a page of a different origin, although the browser sends the cookie', async () => {
    const { key } = await uploadInApp()
    await seen()
    await page.goto(foreign)
    const path = `${app}/media/files/${encodeURIComponent(key)}`
    const record = JSON.stringify({ key, name: 'Mine.png' })
    const failed = await run(
      `
      const { app, path, record } = args
      const post = (init) =>
        fetch(app + '/media/files', { method: 'POST', body: record, credentials: 'include', ...init })
      const attempts = [
        fetch(path, { method: 'DELETE', credentials: 'include' }),
        post({ headers: { 'Content-Type': 'application/json' } }),
        post({}),
        fetch(app + '/media/s3/params?filename=a.png', { credentials: 'include' }),
      ]
      await post({ mode: 'no-cors' })
      navigator.sendBeacon(app + '/media/tokens', '{"scopes":["files:delete"]}')
      return Promise.all(attempts.map((answer) => answer.then(() => 'read', () => 'failed')))
      `,
      { app, path, record },
    )
    expect(failed).toEqual(['failed', 'failed', 'failed', 'failed'])
    for (const enctype of ['application/x-www-form-urlencoded', 'text/plain']) {
      await page.goto(foreign)
      await run(
        `
        const form = Object.assign(document.createElement('form'), { method: 'POST', ...args })
        const input = { name: '{"fileName":"a.txt","mimetype":"text/plain","x":"', value: '"}' }
        form.append(Object.assign(document.createElement('input'), input))
        document.body.append(form)
        form.submit()
        `,
        { action: `${app}/media/files/upload-url`, enctype },
      )
      await page.waitForURL(`${app}/**`)
      expect(await page.textContent('body')).toContain('"code":"forbidden"')
    }

    const { seen: requests, events } = await seen()
    const changes = requests.filter(({ request }) => !/^(?:OPTIONS|GET) /.test(request))
    expect(changes.map(({ request }) => request).toSorted()).toEqual([
      'POST /media/files',
      'POST /media/files',
      'POST /media/files/upload-url',
      'POST /media/files/upload-url',
      'POST /media/tokens',
    ])
    expect(changes.every(({ hadCookie }) => hadCookie)).toBe(true)
    expect(changes.every(({ status }) => status === 403)).toBe(true)
    expect(events).toEqual([])
    const still = await fetch(path, { headers: { Cookie: 'session=ann' } })
    expect(still.status).toBe(200)
  })

  it('shows an image by its link, through its own edge cache, in a page of a different origin', async () => {
    const { link } = await uploadInApp()
    const health = await fetch(`${app}/media/healthz`)
    expect(await health.json()).toMatchObject({ status: 'ok', edgeCache: true })
    await page.goto(foreign)
    const size = await run(
      `
      const image = document.querySelector('img')
      image.src = args.link
      await image.decode()
      return [image.naturalWidth, image.naturalHeight]
      `,
      { link },
    )
    expect(size).toEqual([3, 2])
  })
})
