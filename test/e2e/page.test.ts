import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../dev/ports.ts'
import { startChromium } from './chromium.ts'
import { type NpmProcess, startNpm } from './npm-process.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

describeWith([CHROMIUM], 'the page of npm run dev in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let directory: string
  let origin: string
  let dev: NpmProcess
  let browser: Browser

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const ports = [await freePort(), await freePort()]
    origin = `http://localhost:${ports[0]}`
    const flags = ['--port', `${ports[0]}`, '--s3-port', `${ports[1]}`, '--data', directory]
    dev = stack.use(startNpm('run', 'dev', '--', ...flags))
    await dev.printed(/Ctrl-C ends/)
    browser = await startChromium()
    stack.defer(() => browser.close())
  })

  afterAll(() => stack.disposeAsync())

  it('uploads a picture and shows it again', async () => {
    const picture = join(directory, 'Grüne Wiese.png')
    await writeFile(picture, smallPng(320, 200, 0xa0))
    const tab = await browser.newPage({ viewport: { width: 800, height: 640 } })
    const faults: string[] = []
    tab.on('pageerror', ({ message }) => faults.push(message))
    tab.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text())
    })
    await tab.goto(origin)
    await tab.getByLabel('File').setInputFiles(picture)
    await tab.getByText('Uploaded Grüne Wiese.png.').waitFor({ timeout: 15_000 })
    const image = tab.getByRole('img', { name: 'Grüne Wiese.png' })
    await expect.poll(() => image.evaluate((shown) => Reflect.get(shown, 'naturalWidth'))).toBe(320)
    expect(await tab.getByRole('link').textContent()).toMatch(/^uploads\/.{20}-grüne-wiese\.png$/)
    await tab.screenshot({ path: join(directory, 'page.png') })
    expect(faults).toEqual([])
    await tab.close()
  })

  it('says what the Worker says to a key that is wrong', async () => {
    const tab = await browser.newPage()
    await tab.goto(origin)
    await tab.getByLabel('Token or API key').fill('ep_nobody_x')
    const text = { name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('a') }
    await tab.getByLabel('File').setInputFiles(text)
    await tab
      .getByText('unauthenticated: Valid credentials are needed.')
      .waitFor({ timeout: 15_000 })
    await tab.close()
  })
})
