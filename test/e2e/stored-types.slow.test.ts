import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { type BuiltWorker, startBuiltWorker } from './built-worker.ts'
import { connectChromium } from './chromium.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'
import { silentWav } from './wav.ts'

const linkSchema = z.object({ link: z.url() })
const urlSchema = z.object({ url: z.url() })

describeWith([CHROMIUM], 'an object of any stored type in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let s3: S3Server
  let worker: BuiltWorker
  let browser: Browser
  let tab: Page
  let reportOrigin: string
  /** The reports of scripts in uploaded pages. */
  let ran: string[] = []
  let serial = 0

  /** A page whose script reports that it runs, before the page has loaded. */
  const hostilePage = () =>
    Buffer.from(
      `<!doctype html><html><body><script>document.write('<img src="${reportOrigin}/ran">')</script>`,
    )

  /** Puts an object into the bucket as another client might, with any `Content-Type`. */
  const store = async (contentType: string, body: Buffer, extension = 'png'): Promise<string> => {
    serial += 1
    const key = `${serial}.${extension}`
    const client = new AwsClient({ ...s3, service: 's3', retries: 0 })
    const init = { method: 'PUT', headers: { 'Content-Type': contentType }, body }
    const put = await client.fetch(`${s3.endpoint}/${s3.bucket}/${key}`, init)
    if (!put.ok) throw new Error(`The bucket answered ${put.status}`)
    return key
  }

  const linkTo = async (key: string): Promise<string> => {
    const headers = { 'Content-Type': 'application/json' }
    const init = { method: 'POST', headers, body: '{}' }
    const response = await fetch(`${worker.origin}/files/${key}/link`, init)
    return linkSchema.parse(await response.json()).link
  }

  /** Opens `url` in the tab, as a click on it would. */
  const visit = (url: string): Promise<'shown' | 'saved'> =>
    tab.goto(url).then(
      () => 'shown',
      (error: Error) => {
        if (error.message.includes('Download is starting')) return 'saved'
        throw error
      },
    )

  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    s3 = await startS3rver({ port: 0, directory, corsOrigins: ['http://localhost'] })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    worker = await startBuiltWorker({
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: { OPEN_ACCESS: 'localhost' },
    })
    stack.defer(() => worker.close())
    const report = createServer((request, response) => {
      if (request.url === '/ran') ran.push(request.headers.referer ?? 'a sandbox')
      response.end()
    })
    await new Promise<void>((resolve) => report.listen(0, 'localhost', resolve))
    stack.defer(() => report[Symbol.asyncDispose]())
    const address = report.address()
    reportOrigin = `http://localhost:${typeof address === 'object' ? address?.port : ''}`
    browser = await connectChromium()
    stack.defer(() => browser.close())
  })

  afterAll(() => stack.disposeAsync())

  beforeEach(async () => {
    ran = []
    tab = await browser.newPage()
  })

  afterEach(() => tab.close())

  it('runs script without protection, so that the other tests can fail', async () => {
    const key = await store('text/html', hostilePage(), 'html')
    const response = await fetch(`${worker.origin}/files/${key}/url?inline=true`)
    const { url } = urlSchema.parse(await response.json())
    expect(await visit(url)).toBe('shown')
    expect(ran).toHaveLength(1)
  })

  // @threat link-runs-script
  it.each([
    'image/png, text/html',
    'text/html,',
    ',text/html',
    'image/png;a="b", text/html',
    'text/html foo',
    'x,text/html',
    '*/*,text/html',
    'text/html',
    'TEXT/HTML; charset=utf-8',
    'image/svg+xml',
    'application/xhtml+xml',
    'unknown/unknown',
    'application/unknown',
    'application/x-unknown-content-type',
    '*/*',
    'text',
    'image/png text/html',
    'image/png;,text/html',
    'image/png;a="\\", text/html;"',
  ])('downloads a page that is stored as %s, and runs none of its scripts', async (contentType) => {
    const key = await store(contentType, hostilePage())
    expect(await visit(await linkTo(key))).toBe('saved')
    expect(ran).toEqual([])
  })

  it.each([
    'image/png',
    'image/png; a="b, text/html"',
    'text/plain; charset=utf-8',
    'audio/wav',
    'video/mp4',
  ])('runs no script of a page that is stored as the inert %s', async (contentType) => {
    const key = await store(contentType, hostilePage())
    expect(await visit(await linkTo(key))).toBe('shown')
    expect(ran).toEqual([])
  })

  it('still shows an image and plain text, and plays audio', async () => {
    expect(await visit(await linkTo(await store('image/png', smallPng(80, 60, 5))))).toBe('shown')
    expect(await tab.evaluate('document.images[0].naturalWidth')).toBe(80)
    const text = await store('text/plain; charset=utf-8', Buffer.from('Grüße'), 'txt')
    expect(await visit(await linkTo(text))).toBe('shown')
    expect(await tab.evaluate('document.body.innerText')).toBe('Grüße')
    const sound = await store('audio/wav; codecs="1, 2"', silentWav(1), 'wav')
    expect(await visit(await linkTo(sound))).toBe('shown')
    expect(await tab.evaluate('document.querySelector("video, audio") !== null')).toBe(true)
  })

  it('still shows an SVG in an <img>', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="70" height="50"/>'
    const link = await linkTo(await store('image/svg+xml', Buffer.from(svg), 'svg'))
    await tab.setContent(`<img src="${link.replaceAll('&', '&amp;')}">`)
    expect(await tab.evaluate('document.images[0].naturalWidth')).toBe(70)
  })

  it('keeps a file name that looks like an encoded word', async () => {
    const key = await store('image/png', smallPng(8, 8, 1))
    const name = '=?UTF-8?B?ZXZpbC5leGU=?='
    const response = await fetch(
      `${worker.origin}/files/${key}/url?${new URLSearchParams({ download: `${name}.png` })}`,
    )
    const { url } = urlSchema.parse(await response.json())
    const download = tab.waitForEvent('download')
    expect(await visit(url)).toBe('saved')
    expect((await download).suggestedFilename()).toMatch(/^=.UTF-8.B.ZXZpbC5leGU=.=\.png$/)
  })
})
