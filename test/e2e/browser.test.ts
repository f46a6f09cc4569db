import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { markedBlock } from '../docs/support/markdown.ts'
import { startBuiltWorker } from './built-worker.ts'
import { connectChromium } from './chromium.ts'
import { sharedCeph } from './shared.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith, RADOSGW } from './system-package.ts'

const WIDTH = 3
const HEIGHT = 2

/** The page's results: `etag` from the bucket's response, and the size of the <img>. */
const outcomeSchema = z.object({
  record: z.object({ name: z.string(), mimetype: z.string(), etag: z.string() }),
  etag: z.string(),
  width: z.int(),
  height: z.int(),
})

const linkSchema = z.object({ link: z.string() })
const signedSchema = z.object({
  uploadUrl: z.string(),
  headers: z.record(z.string(), z.string()),
})

/** The flow of the README, in a page with a different origin than the Worker and the bucket. */
const page = (worker: string): string => `<!doctype html>
<meta charset="utf-8">
<input type="file"><img alt=""><output></output>
<script type="module">
  const presigner = ${JSON.stringify(worker)}
  const post = async (path, body) => {
    const headers = { 'Content-Type': 'application/json' }
    const response = await fetch(presigner + path, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(path + ' answered ' + (await response.text()))
    return response.json()
  }

  const upload = async (file) => {
    const { uploadUrl, key } = await post('/files/upload-url', { fileName: file.name, mimetype: file.type })
    const put = await fetch(uploadUrl, { method: 'PUT', headers: { 'Content-Type': file.type }, body: file })
    if (!put.ok) throw new Error('The bucket answered ' + put.status)
    const record = await post('/files', { key, name: file.name })
    const response = await fetch(presigner + '/files/' + encodeURIComponent(key) + '/url')
    const { url } = await response.json()

    const image = document.querySelector('img')
    image.src = url
    await image.decode()
    return { record, etag: put.headers.get('ETag'), width: image.naturalWidth, height: image.naturalHeight }
  }

  document.querySelector('input').addEventListener('change', async ({ target }) => {
    const outcome = await upload(target.files[0]).catch((error) => ({ error: String(error) }))
    document.querySelector('output').textContent = JSON.stringify(outcome)
  })
</script>
`

function browserRules(start: typeof startS3rver): void {
  const stack = new AsyncDisposableStack()
  let directory = ''
  let pageUrl = ''
  let origin = ''
  let browser: Browser

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const sitePort = await freePort()
    pageUrl = `http://localhost:${sitePort}`
    const s3 = await start({ port: 0, directory: join(directory, 's3'), corsOrigins: [pageUrl] })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    const worker = await startBuiltWorker({
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: { OPEN_ACCESS: 'localhost', CORS_ORIGINS: JSON.stringify([pageUrl]) },
    })
    stack.defer(() => worker.close())
    origin = worker.origin
    const html = page(origin)
    const site = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html').end(html)
    }).listen(sitePort, 'localhost')
    stack.defer(() => site[Symbol.asyncDispose]())
    await once(site, 'listening')
    browser = await connectChromium()
    stack.defer(() => browser.close())
  })

  afterAll(() => stack.disposeAsync())

  it('uploads an image from a page with only fetch, and shows it', async () => {
    const file = join(directory, 'Grüne Wiese.png')
    await writeFile(file, smallPng(WIDTH, HEIGHT))
    const tab = await browser.newPage()
    await tab.goto(pageUrl)
    await tab.setInputFiles('input', file)
    const output = await tab.locator('output:not(:empty)').textContent()
    const outcome = outcomeSchema.parse(JSON.parse(output ?? ''))
    expect(outcome).toMatchObject({ width: WIDTH, height: HEIGHT })
    expect(outcome.etag).toMatch(/^"[0-9a-f]{32}"$/)
    const { etag } = outcome
    expect(outcome.record).toEqual({ name: 'Grüne Wiese.png', mimetype: 'image/png', etag })
  })

  // @threat copy-outdated
  it('shows a replaced avatar under the same link when the page is loaded again', async () => {
    const key = 'avatars/42.png'
    const post = async (path: string, body: object): Promise<unknown> => {
      const headers = { 'Content-Type': 'application/json' }
      const init = { method: 'POST', headers, body: JSON.stringify(body) }
      return (await fetch(origin + path, init)).json()
    }
    const replace = async (width: number) => {
      const asked = { key, mimetype: 'image/png', overwrite: true }
      const { uploadUrl, headers } = signedSchema.parse(await post('/files/upload-url', asked))
      await fetch(uploadUrl, { method: 'PUT', headers, body: smallPng(width, HEIGHT) })
      await post('/files', { key })
    }
    await replace(5)
    const path = `/files/${encodeURIComponent(key)}/link`
    const { link } = linkSchema.parse(await post(path, {}))
    const tab = await browser.newPage()
    const width = async () => {
      await tab.goto(pageUrl)
      return tab.evaluate(`(async () => {
        const image = document.querySelector('img')
        image.src = ${JSON.stringify(link)}
        await image.decode()
        return image.naturalWidth
      })()`)
    }
    expect([await width(), await width()]).toEqual([5, 5])
    await replace(7)
    expect(await width()).toBe(7)

    // docs/upload.md, in the page that already shows the picture
    await replace(9)
    const shown = (how: string, url: string) =>
      tab.evaluate(`(async () => {
        ${markedBlock('docs/upload.md', 'reload-picture')}
        const image = document.querySelector('img')
        await (${how})(image, ${JSON.stringify(url)})
        await image.decode()
        return image.naturalWidth
      })()`)
    expect(await shown('reloadPicture', link)).toBe(9)
    await replace(11)
    const { link: other } = linkSchema.parse(await post(path, { expiresIn: 7200 }))
    expect(await shown('(image, link) => { image.src = link }', other)).toBe(11)
  })
}

describeWith([CHROMIUM], 'a page in Chromium with s3rver', () => browserRules(startS3rver))
describeWith([CHROMIUM, RADOSGW], 'a page in Chromium with Ceph RGW', () =>
  browserRules(sharedCeph),
)
