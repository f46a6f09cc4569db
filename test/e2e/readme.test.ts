import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import { markedBlock } from '../docs/support/markdown.ts'
import { connectChromium } from './chromium.ts'
import { startNpm } from './npm-process.ts'
import { expectReadmeCalls } from './readme-calls.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

/** The README's calls and its page, at a Worker that this file starts instead of the reader. */
const stack = new AsyncDisposableStack()
let directory = ''
let port = 0

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  port = await freePort()
  const ports = ['--port', `${port}`, '--s3-port', `${await freePort()}`]
  const dev = stack.use(startNpm('run', 'dev', '--', ...ports, '--data', join(directory, 'dev')))
  await dev.printed(/Ctrl-C to stop/)
})

afterAll(() => stack.disposeAsync())

it('the six calls of the README return what it says', () =>
  expectReadmeCalls(`http://localhost:${port}`))

describeWith(
  [CHROMIUM],
  'the page of docs/upload.md in Chromium, served from another port,',
  () => {
    let sitePort = 0
    let browser: Browser

    beforeAll(async () => {
      // What a reader does: saves the block as a file, and serves it with a static server.
      const html = markedBlock('docs/upload.md', 'browser')
      const here = html.replaceAll('http://localhost:8787', `http://localhost:${port}`)
      await writeFile(join(directory, 'index.html'), `<!doctype html>\n${here}`)
      const site = createServer(async (_, response) => {
        response.setHeader('Content-Type', 'text/html; charset=utf-8')
        response.end(await readFile(join(directory, 'index.html')))
      })
      sitePort = await freePort()
      site.listen(sitePort, '127.0.0.1')
      stack.defer(() => site[Symbol.asyncDispose]())
      await once(site, 'listening')
      browser = await connectChromium()
      stack.defer(() => browser.close())
    })

    it.each(['localhost', '127.0.0.1', 'shop.localhost'])(
      'uploads the chosen image and shows it, as %s',
      async (host) => {
        const picture = join(directory, 'Grüne Wiese.png')
        await writeFile(picture, smallPng(3, 2))
        const page = await browser.newPage()
        const errors: string[] = []
        page.on('pageerror', ({ message }) => errors.push(message))
        page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
        await page.goto(`http://${host}:${sitePort}/`)
        await page.setInputFiles('input', picture)
        await expect
          .poll(async () => [
            await page.evaluate('document.querySelector("img").naturalWidth'),
            errors.filter((error) => !error.includes('favicon')),
          ])
          .toEqual([3, []])
        await page.close()
      },
    )
  },
)
