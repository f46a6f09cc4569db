import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { connectChromium } from './chromium.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

/**
 * What a foreign page tries: it posts a form, and sends requests with fetch, with and without a
 * preflight.
 */
const attack = (endpoint: string): string => `<!doctype html>
<iframe name="frame"></iframe>
<form method="post" action="${endpoint}/files" enctype="multipart/form-data" target="frame">
  <input name="key" value="evil.html">
  <input name="Content-Type" value="text/html">
  <input name="success_action_redirect" value="${endpoint}/files/evil.html">
  <textarea name="file"><script>top.postMessage('script ran', '*')</script></textarea>
</form>
<script>
  const seen = []
  addEventListener('message', ({ data }) => seen.push(data))
  const target = ${JSON.stringify(endpoint)}
  const tries = [
    ['POST', '/files/p?uploads', 'cors'],
    ['POST', '/files/p?uploadId=..%2F..%2Fkept', 'no-cors'],
    ['PUT', '/files/p?partNumber=.bashrc&uploadId=..%2F..%2Foutside', 'cors'],
    ['PUT', '/files/evil.txt', 'cors'],
    ['DELETE', '/files', 'cors'],
    ['GET', '/files', 'cors'],
    ['GET', '/', 'cors'],
  ]
  onload = async () => {
    const loaded = new Promise((resolve) => { document.querySelector('iframe').onload = resolve })
    document.querySelector('form').submit()
    await loaded
    const open = await Promise.all(tries.map(([method, path, mode]) =>
      fetch(target + path, { method, mode, body: method === 'GET' ? undefined : 'evil' })
        .then(({ type }) => type, () => 'blocked')))
    document.title = JSON.stringify({ open, seen })
  }
</script>`

describeWith([CHROMIUM], 'a page of another origin in Chromium', () => {
  let root = ''
  let server: S3Server
  let pages: Server
  let browser: Browser
  let pagePort = 0

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    const corsOrigins = ['http://localhost:8787'] as const
    server = await startS3rver({ port: 0, directory: join(root, 'data'), corsOrigins })
    pagePort = await freePort()
    pages = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html').end(attack(server.endpoint))
    }).listen(pagePort, '127.0.0.1')
    await once(pages, 'listening')
    browser = await connectChromium()
  })

  afterAll(async () => {
    await browser.close()
    pages.close()
    pages.closeAllConnections()
    await server.close()
    await rm(root, { recursive: true })
  })

  // @threat dev-other-page
  it('writes, deletes, reads and runs nothing on the S3 server', async () => {
    const files = async () => (await readdir(root, { recursive: true })).sort()
    const before = await files()
    const page = await browser.newPage()
    await page.goto(`http://localhost:${pagePort}/`)
    await page.waitForFunction('document.title !== ""')
    const blocked = Array.from({ length: 7 }, (_, i) => (i === 1 ? 'opaque' : 'blocked'))
    expect(JSON.parse(await page.title())).toEqual({ open: blocked, seen: [] })
    expect(await files()).toEqual(before)
    await page.close()
  })
})
