import { createHash } from 'node:crypto'
import { AbortMultipartUploadCommand } from '@aws-sdk/client-s3'
import type { Page } from 'playwright-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { UppyHelperPage, UppySetup } from '../../../client/test/uppy-page-api.ts'
import { coded } from '../../support/errors.ts'
import { patternBytes } from '../pattern-bytes.ts'
import { etagOf } from '../uppy/context.ts'
import type { ClientContext } from './context.ts'

declare const page: UppyHelperPage

const PART_BYTES = 5 * 1024 ** 2
/** Three parts. Uppy sends them one after the other. */
const SIZE = 2 * PART_BYTES + 1000

/**
 * `edge-presigner-client/uppy` with the real `@uppy/aws-s3`. In front of s3rver, the proxy answers
 * ListParts like a server that lacks it.
 */
export function uppyHelperRules(context: () => ClientContext, server: 'Ceph RGW' | 's3rver'): void {
  const lists = server === 'Ceph RGW'
  let tab: Page
  let errors: string[]
  let lastPart = { key: '', s3UploadId: '' }

  beforeEach(async () => {
    context().proxy.reset()
    errors = []
    tab = await (await context().browser.newContext()).newPage()
    tab.on('pageerror', ({ message }) => errors.push(message))
  })
  afterEach(async () => {
    await tab.context().close()
    expect(errors).toEqual([])
  })

  const upload = async (
    size: number,
    setup: Partial<UppySetup> = {},
    meta: Record<string, unknown> = {},
    path = '/uppy',
  ): Promise<void> => {
    await tab.goto(context().page + path)
    const whole = { baseUrl: context().worker, token: context().apiKey, multipart: true, ...setup }
    await tab.evaluate((args) => page.upload(...args), [whole, size, meta] as const)
  }
  const outcome = () => tab.evaluate(() => page.outcome())
  const events = async (count: number): Promise<readonly string[]> => {
    await expect.poll(async () => (await outcome()).events.length).toBeGreaterThanOrEqual(count)
    return (await outcome()).events
  }
  const parts = () => context().proxy.requests.filter(({ partNumber }) => partNumber > 0)
  const partNumbers = () => parts().map(({ partNumber }) => partNumber)
  /** Uploads two parts and pauses in the third. */
  const pauseHalf = async (path?: string): Promise<void> => {
    context().proxy.failure = ({ partNumber }) =>
      partNumber === 3 ? new Promise(() => undefined) : null
    await upload(SIZE, {}, {}, path)
    await expect.poll(async () => (await outcome()).partsUploaded).toBe(2)
    await expect.poll(() => partNumbers().at(-1)).toBe(3)
    await tab.evaluate(() => page.pause())
    lastPart = parts().at(-1) ?? lastPart
    context().proxy.reset()
    if (!lists) context().proxy.failure = ({ method }) => (method === 'GET' ? 501 : null)
  }
  const expectWhole = async (key: string): Promise<void> => {
    const etag = etagOf(patternBytes(SIZE), PART_BYTES)
    expect(await context().head(key)).toMatchObject({ size: SIZE, etag })
  }

  it('fails at once after an error that lasts', async () => {
    for (const code of [
      'misconfigured clock',
      'misconfigured credentials',
      'misconfigured expired',
    ]) {
      let requests = 0
      await tab.route('**/s3/sign', (route) => {
        requests++
        const headers = { 'Access-Control-Allow-Origin': '*' }
        return route.fulfill({ status: 503, headers, json: { ...coded(code), message: 'No.' } })
      })
      await upload(SIZE)
      expect((await events(1))[0]).toBe('upload-error')
      expect(requests).toBe(1)
      await tab.unroute('**/s3/sign')
    }
  })

  it('resumes after a pause without sending a part twice', async () => {
    await pauseHalf()
    await tab.evaluate(() => page.resume())
    const [success = '', ...rest] = await events(3)
    const key = success.split(' ')[1] ?? ''
    expect(rest).toEqual([`record ${key}`, 'complete 1 0'])
    expect(partNumbers()).toEqual([3])
    await expectWhole(key)
  })

  if (!lists) {
    it('starts again after a pause when the page cannot read data: URLs', async () => {
      await pauseHalf('/uppy-strict')
      await tab.evaluate(() => page.resume())
      const [error, ...rest] = await events(4)
      expect(error).toBe('upload-error')
      const key = rest.find((event) => event.startsWith('record'))?.split(' ')[1] ?? ''
      expect(partNumbers()).toEqual([1, 2, 3])
      expect((await outcome()).error).toBeNull()
      await expectWhole(key)
    })
    return
  }

  it('starts again after a pause when the bucket has removed the upload', async () => {
    await pauseHalf()
    const { key: Key, s3UploadId: UploadId } = lastPart
    await context().s3.send(
      new AbortMultipartUploadCommand({ Bucket: context().bucket, Key, UploadId }),
    )
    await tab.evaluate(() => page.resume())
    const [error, ...rest] = await events(4)
    expect(error).toBe('upload-error')
    const key = rest.find((event) => event.startsWith('record'))?.split(' ')[1] ?? ''
    expect(key).not.toBe(Key)
    expect(partNumbers()).toEqual([3, 1, 2, 3]) // The first request shows this to Uppy.
    await expectWhole(key)
  })

  it('signs size, type, SHA-256 and metadata, and records before Uppy is complete', async () => {
    const meta = { album: 'x', number: 7, Upper: 'no', name: 'Neuer Name.mp4' }
    await upload(1000, { multipart: false, sha256: true, directory: 'from-uppy' }, meta)
    const [success = '', ...rest] = await events(3)
    const key = success.split(' ')[1] ?? ''
    expect(key).toMatch(/^team\/uploads\/from-uppy\/.{20}-neuer-name\.mp4$/)
    expect(rest).toEqual([`record ${key}`, 'complete 1 0'])
    const [put] = context().proxy.requests
    expect(put?.headers).toMatchObject({
      'x-amz-checksum-sha256': createHash('sha256').update(patternBytes(1000)).digest('base64'),
      'content-type': 'video/mp4',
    })
    expect((await context().head(key)).metadata).toEqual({ album: 'x' })
  })

  it('treats an unrecorded file as failed, and records it on retry', async () => {
    await tab.route(`${context().worker}/files`, (route) =>
      route.fulfill({
        status: 403,
        headers: { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': '*' },
        json: { code: 'forbidden', message: 'Not now.', requestId: '1' },
      }),
    )
    await upload(1000, { multipart: false })
    const [success = '', ...failed] = await events(3)
    expect(failed).toEqual(['upload-error', 'complete 0 1'])
    expect((await outcome()).error).toBe('Not now.')
    await tab.unrouteAll()
    await tab.evaluate(() => page.retry())
    const key = success.split(' ')[1] ?? ''
    expect((await events(5)).slice(3)).toEqual([`record ${key}`, 'complete 1 0'])
    expect((await outcome()).error).toBeNull()
    expect(context().proxy.requests).toHaveLength(1)
  })
}
