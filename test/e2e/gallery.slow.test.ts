import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { countingProxy } from '../setup/counting-proxy.ts'
import { type BuiltWorker, startBuiltWorker } from './built-worker.ts'
import { connectChromium } from './chromium.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'
import { silentWav } from './wav.ts'

const PICTURES = 50
const SECONDS_OF_SOUND = 60

const linksSchema = z.object({ links: z.array(z.object({ key: z.string(), link: z.url() })) })
const uploadSchema = z.object({ uploadUrl: z.url(), key: z.string() })

describeWith([CHROMIUM], 'links in a page in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let directory: string
  let worker: BuiltWorker
  let linkOrigin: string
  let siteOrigin: string
  let browser: Browser
  let pictures: readonly string[]
  let body = ''

  const post = async (path: string, json: unknown): Promise<unknown> => {
    const headers = { 'Content-Type': 'application/json' }
    const init = { method: 'POST', headers, body: JSON.stringify(json) }
    const response = await fetch(worker.origin + path, init)
    if (!response.ok) throw new Error(`${path} answered ${await response.text()}`)
    return response.json()
  }

  const upload = async (fileName: string, mimetype: string, file: Buffer): Promise<string> => {
    const { uploadUrl, key } = uploadSchema.parse(
      await post('/files/upload-url', { fileName, mimetype }),
    )
    const put = await fetch(uploadUrl, {
      method: 'PUT',
      headers: { 'Content-Type': mimetype },
      body: new Uint8Array(file),
    })
    if (!put.ok) throw new Error(`The bucket answered ${put.status}`)
    return key
  }

  const mint = async (keys: readonly string[]): Promise<readonly string[]> =>
    linksSchema.parse(await post('/links', { keys })).links.map(({ link }) => link)

  /** Returns how often links to `key` have reached the Worker. */
  const visits = async (key: string): Promise<number> => {
    const path = `/i/files/${encodeURIComponent(key)}`
    return Number(
      await (await fetch(`${linkOrigin}/.count?${new URLSearchParams({ path })}`)).text(),
    )
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const s3 = await startS3rver({
      port: 0,
      directory: join(directory, 's3'),
      corsOrigins: ['http://localhost'],
    })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    const linkPort = await freePort()
    // The API keeps the name localhost.
    linkOrigin = `http://127.0.0.1:${linkPort}`
    worker = await startBuiltWorker({
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: { OPEN_ACCESS: 'localhost', LINK_ORIGIN: linkOrigin },
    })
    stack.defer(() => worker.close())

    const counter = countingProxy(Number(new URL(worker.origin).port)).listen(linkPort, '127.0.0.1')
    stack.defer(() => counter[Symbol.asyncDispose]())
    await once(counter, 'listening')
    const site = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html; charset=utf-8').end(`<!doctype html>${body}`)
    }).listen(0, 'localhost')
    stack.defer(() => site[Symbol.asyncDispose]())
    await once(site, 'listening')
    const address = site.address()
    siteOrigin = `http://localhost:${typeof address === 'object' ? address?.port : ''}`
    browser = await connectChromium()
    stack.defer(() => browser.close())
    pictures = await Promise.all(
      Array.from({ length: PICTURES }, (_, i) =>
        upload(`${i}.png`, 'image/png', smallPng(80 + i, 60, 5 * i)),
      ),
    )
  })

  afterAll(() => stack.disposeAsync())

  it('shows fifty images, and transfers none of them again through new links', async () => {
    const context = await browser.newContext({ viewport: { width: 1000, height: 560 } })
    const tab = await context.newPage()
    const load = async () => {
      const links = await mint(pictures)
      body = `<style>img { margin: 4px }</style>${links.map((link) => `<img src="${link.replaceAll('&', '&amp;')}">`).join('')}`
      await tab.goto(siteOrigin, { waitUntil: 'load' })
      return tab
        .locator('img')
        .evaluateAll((images) => images.map((image) => Reflect.get(image, 'naturalWidth')))
    }
    const widths = pictures.map((_, i) => 80 + i)
    expect(await load()).toEqual(widths)
    expect(await Promise.all(pictures.map(visits))).toEqual(pictures.map(() => 1))

    const looks = await tab.screenshot()

    expect(await load()).toEqual(widths)
    expect(await Promise.all(pictures.map(visits))).toEqual(pictures.map(() => 1))
    expect(looks.equals(await tab.screenshot({ path: join(directory, 'gallery.png') }))).toBe(true)
    await context.close()
  })

  it('lets a <video> seek by range', async () => {
    const key = await upload('sound.wav', 'audio/wav', silentWav(SECONDS_OF_SOUND))
    const [link = ''] = await mint([key])
    body = `<video src="${link.replaceAll('&', '&amp;')}" preload="metadata" muted></video>`
    const tab = await browser.newPage()
    const ranges: [string | undefined, number][] = []
    tab.on('response', (response) => {
      if (response.url() === link)
        ranges.push([response.request().headers().range, response.status()])
    })
    await tab.goto(siteOrigin)
    const position = await tab.locator('video').evaluate(async (video, seconds) => {
      const media = video as unknown as EventTarget & { currentTime: number; readyState: number }
      if (media.readyState < 1)
        await new Promise((resolve) => media.addEventListener('loadedmetadata', resolve))
      media.currentTime = seconds
      await new Promise((resolve) => media.addEventListener('seeked', resolve))
      return media.currentTime
    }, SECONDS_OF_SOUND - 5)
    expect(position).toBe(SECONDS_OF_SOUND - 5)
    expect(ranges[0]).toEqual(['bytes=0-', 206])
    expect(ranges.every(([range, status]) => range !== undefined && status === 206)).toBe(true)
    await tab.close()
  })
})
