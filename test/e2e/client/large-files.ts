import { AbortMultipartUploadCommand } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ClientPage } from '../../../client/test/page-api.ts'
import { type ClientTab, openClientTab, PART_BYTES, partedEtag } from './client-tab.ts'
import type { ClientContext } from './context.ts'

declare const page: ClientPage

/** One part more than the client lets the Worker sign at once. */
const PARTS = 21
const LARGE_BYTES = (PARTS - 1) * PART_BYTES + 1
/** Three parts. */
const SIZE = 2 * PART_BYTES + 1000

/** Starts an upload whose first part arrives and whose others don't. */
async function beginHalf(tab: ClientTab, { proxy }: ClientContext): Promise<void> {
  proxy.failure = ({ partNumber }) => (partNumber > 1 ? new Promise(() => undefined) : null)
  await tab.begin(SIZE, { multipart: true })
  await tab.partsTaken(1)
}

/** One upload that is interrupted, and resumed. */
export function resumeRules(context: () => ClientContext): void {
  it('continues after a reload, and sends only the missing parts', async () => {
    await using tab = await openClientTab(context())
    await beginHalf(tab, context())
    const [first] = tab.parts()
    await tab.reload()
    context().proxy.reset()
    await tab.begin(SIZE, { multipart: true })
    const { key } = await tab.end()
    expect(tab.partNumbers()).toEqual([2, 3])
    expect(key).toBe(first?.key)
    const etag = partedEtag(SIZE)
    expect(await context().head(key)).toMatchObject({ size: SIZE, etag })
    await tab.expectGrowth(SIZE)
    expect((await tab.progress())[0]).toBe(PART_BYTES)
  })
}

/** A file that goes in parts because of its size. */
export function manyPartsRules(context: () => ClientContext): void {
  it('uploads more parts than are signed at once, with progress that only grows', async () => {
    await using tab = await openClientTab(context())
    await tab.begin(LARGE_BYTES)
    const record = await tab.end()
    expect(record).toMatchObject({ name: 'Grüße.bin', mimetype: 'video/mp4', size: LARGE_BYTES })
    const etag = partedEtag(LARGE_BYTES)
    expect(await context().head(record.key)).toMatchObject({ size: LARGE_BYTES, etag })
    await tab.expectGrowth(LARGE_BYTES)
    expect((await tab.progress()).length).toBeGreaterThanOrEqual(PARTS)
    expect(tab.partNumbers()).toEqual(Array.from({ length: PARTS }, (_, index) => index + 1))
    expect(await tab.page.evaluate(() => page.tokenCalls())).toBe(4) // Start, sign twice, complete.
    expect(await tab.page.evaluate(() => page.stored())).toEqual([])
  })
}

/** Multipart uploads: canceled, resumed, and removed by the bucket. */
export function largeFileRules(context: () => ClientContext): void {
  let tab: ClientTab

  beforeEach(async () => {
    tab = await openClientTab(context())
  })
  afterEach(() => tab.close())

  /** Aborts half an upload whose DELETE doesn't arrive, and reloads the page. */
  async function abortUnheard() {
    await beginHalf(tab, context())
    const [upload = { key: '', s3UploadId: '' }] = tab.parts()
    await tab.page.route('**/multipart/*', (route) =>
      route.request().method() === 'DELETE' ? route.abort() : route.continue(),
    )
    await tab.page.evaluate(() => page.abort())
    await tab.reload()
    await tab.page.unrouteAll()
    return upload
  }

  it('ends immediately when it is aborted, and leaves no parts', async () => {
    await beginHalf(tab, context())
    const [{ key, s3UploadId } = { key: '', s3UploadId: '' }] = tab.parts()
    const dropped = tab.page.waitForResponse((response) => response.request().method() === 'DELETE')
    // Neither the parts nor the DELETE have a response when it ends.
    const ended = Promise.withResolvers<void>()
    await tab.page.route('**/multipart/*', async (route) => {
      if (route.request().method() === 'DELETE') await ended.promise
      await route.continue()
    })
    await tab.page.evaluate(() => page.abort())
    ended.resolve()
    expect(await tab.failure()).toMatchObject({ name: 'AbortError', type: 'DOMException' })
    expect((await dropped).status()).toBe(204)
    expect(await context().hasUpload(key, s3UploadId)).toBe(false)
    expect(await tab.page.evaluate(() => page.stored())).toEqual([])

    context().proxy.reset()
    await tab.begin(SIZE, { multipart: true })
    expect((await tab.end()).key).not.toBe(key)
    expect(tab.partNumbers()).toEqual([1, 2, 3])
  })

  it('leaves no parts when the page closes as soon as the upload is aborted', async () => {
    await beginHalf(tab, context())
    const [{ key, s3UploadId } = { key: '', s3UploadId: '' }] = tab.parts()
    await tab.page.evaluate(() => {
      void page.abort()
      setTimeout(() => Reflect.get(globalThis, 'location').assign('about:blank'))
    })
    await tab.page.waitForURL('about:blank')
    await expect.poll(() => context().hasUpload(key, s3UploadId)).toBe(false)
  })

  it('remembers an aborted upload until the bucket has deleted it', async () => {
    const { key, s3UploadId } = await abortUnheard()
    expect(await tab.page.evaluate(() => page.stored())).toHaveLength(1)
    expect(await context().hasUpload(key, s3UploadId)).toBe(true)

    context().proxy.reset()
    await tab.begin(SIZE - 1, { multipart: true })
    await tab.end()
    await expect.poll(() => context().hasUpload(key, s3UploadId)).toBe(false)
    await expect.poll(() => tab.page.evaluate(() => page.stored())).toEqual([])
  })

  it('does not resume an aborted upload that the bucket still has, and deletes it', async () => {
    const { key, s3UploadId } = await abortUnheard()
    context().proxy.reset()
    await tab.begin(SIZE, { multipart: true })
    expect((await tab.end()).key).not.toBe(key)
    await expect.poll(() => context().hasUpload(key, s3UploadId)).toBe(false)
    expect(await tab.page.evaluate(() => page.stored())).toEqual([])
  })

  it('resumes and keeps uploads with a clock that is eight days ahead', async () => {
    await beginHalf(tab, context())
    const [{ key } = { key: '' }] = tab.parts()
    await tab.page.clock.setSystemTime(Date.now() + 8 * 86_400_000)
    await tab.reload()
    context().proxy.reset()
    await tab.begin(SIZE - 1, { multipart: true })
    await tab.end()
    expect(await tab.page.evaluate(() => page.stored())).toHaveLength(1)
    context().proxy.reset()
    await tab.begin(SIZE, { multipart: true })
    expect(await tab.end()).toMatchObject({ key })
    expect(tab.partNumbers()).toEqual([2, 3])
  })

  it('finds a completed upload after a reload, even if the response was lost', async () => {
    await tab.page.route('**/complete', async (route) => {
      await route.fetch()
    })
    const complete = tab.page.waitForRequest('**/complete')
    await tab.begin(SIZE, { multipart: true })
    const { key } = (await complete).postDataJSON()
    await expect
      .poll(() =>
        context()
          .head(key)
          .catch(() => null),
      )
      .not.toBeNull()
    await tab.page.unrouteAll()
    await tab.reload()
    context().proxy.reset()
    await tab.begin(SIZE, { multipart: true })
    expect(await tab.end()).toMatchObject({ key, size: SIZE })
    expect(tab.parts()).toEqual([])
    await tab.expectGrowth(SIZE)
  })

  it('gets the same key again when the response to the start was lost', async () => {
    const keys: string[] = []
    await tab.page.route('**/multipart', async (route) => {
      const response = await route.fetch()
      keys.push((await response.json()).key)
      if (keys.length === 1) await route.abort('connectionreset')
      else await route.fulfill({ response })
    })
    await tab.begin(SIZE, { multipart: true })
    const { key } = await tab.end()
    expect(keys).toEqual([key, key])
  })

  it('aborts an upload that has not started', async () => {
    const released = Promise.withResolvers<void>()
    await tab.page.route('**/multipart', async (route) => {
      await released.promise
      await route.continue()
    })
    const begun = tab.page.waitForRequest('**/multipart')
    await tab.begin(SIZE, { multipart: true })
    await begun
    await tab.page.evaluate(() => page.abort())
    const dropped = tab.page.waitForResponse((response) => response.request().method() === 'DELETE')
    released.resolve()
    expect((await dropped).status()).toBe(204)
    expect(tab.parts()).toEqual([])
  })

  it('does not take the object that it replaces for its own upload', async () => {
    const key = 'team/chosen.mp4'
    await tab.begin(1000, { key, overwrite: true })
    await tab.end()
    context().proxy.reset()
    const options = { key, overwrite: true, multipart: true }
    context().proxy.failure = ({ partNumber }) =>
      partNumber > 1 ? new Promise(() => undefined) : null
    await tab.begin(PART_BYTES + 1, options)
    await tab.partsTaken(1)
    const [{ s3UploadId: UploadId } = { s3UploadId: '' }] = tab.parts()
    await context().s3.send(
      new AbortMultipartUploadCommand({ Bucket: context().bucket, Key: key, UploadId }),
    )
    await tab.reload()
    context().proxy.reset()
    await tab.begin(PART_BYTES + 1, options)
    expect(await tab.end()).toMatchObject({ key, size: PART_BYTES + 1 })
    expect(tab.partNumbers()).toEqual([1, 2])
  })

  // @threat replaced-unseen
  it.each([
    { how: 'one request', multipart: false, size: 1000 },
    { how: 'parts, which it sends once', multipart: true, size: PART_BYTES + 1 },
  ])('replaces only the object with the ETag of ifMatch, in $how', async ({ multipart, size }) => {
    const key = `team/seen-${multipart}.mp4`
    await tab.begin(10, { key })
    const { etag: seen } = await tab.end()
    await tab.begin(20, { key, overwrite: true })
    const { etag: present } = await tab.end()
    context().proxy.reset()
    const options = { key, overwrite: true, multipart } as const
    await tab.begin(size, { ...options, ifMatch: seen })
    const changed = { code: 'precondition_failed', status: 412, etag: present }
    expect(await tab.failure()).toMatchObject(changed)
    await tab.begin(size, { ...options, ifMatch: present })
    expect(await tab.end()).toMatchObject({ key, size })
    expect(tab.partNumbers()).toEqual(multipart ? [1, 2] : [])
  })

  it('starts again after a reload when the bucket has removed the upload', async () => {
    await beginHalf(tab, context())
    const [{ key: Key, s3UploadId: UploadId } = { key: '', s3UploadId: '' }] = tab.parts()
    await context().s3.send(
      new AbortMultipartUploadCommand({ Bucket: context().bucket, Key, UploadId }),
    )
    await tab.reload()
    context().proxy.reset()
    await tab.begin(SIZE, { multipart: true })
    expect((await tab.end()).key).not.toBe(Key)
    expect(tab.partNumbers()).toEqual([1, 2, 3])
  })
}
