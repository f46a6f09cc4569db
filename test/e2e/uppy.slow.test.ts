import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { holdPart } from './held-part.ts'
import { patternBytes } from './pattern-bytes.ts'
import { CHROMIUM, describeWith, RADOSGW } from './system-package.ts'
import { etagOf, startUppyContext, type UppyContext } from './uppy/context.ts'
import { uploadIsKept } from './uppy/kept-upload.ts'
import type { UppyPage, UppySettings, UppyState } from './uppy/page-api.ts'

const MIB = 1024 ** 2
/** Uppy's part size. */
const PART_BYTES = 5 * MIB
/** Two parts, and small enough for Golden Retriever to keep. */
const SIZE = 6 * MIB

declare const page: UppyPage

describeWith([RADOSGW, CHROMIUM], 'Uppy in Chromium, with Ceph RGW behind the Worker', () => {
  let context: UppyContext
  /** With OPEN_ACCESS for localhost. */
  let worker: string
  let tab: Page

  beforeAll(async () => {
    context = await startUppyContext([5, 6])
    worker = await context.startWorker({ OPEN_ACCESS: 'localhost' })
  })
  afterAll(() => context?.close())
  beforeEach(async () => {
    tab = await (await context.browser.newContext()).newPage()
  })
  afterEach(() => tab.context().close())

  const settings = (changes: Partial<UppySettings> = {}): UppySettings => ({
    endpoint: worker,
    presigner: { baseUrl: worker, token: context.apiKey },
    helpers: true,
    headers: {},
    multipart: true,
    golden: false,
    ...changes,
  })

  const tokenPath = async (): Promise<string> => {
    const response = await fetch(`${worker}/tokens`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${context.apiKey}`,
        'Content-Type': 'application/json',
      },
      body: JSON.stringify({ scopes: ['files:upload'] }),
    })
    const { token } = (await response.json()) as { token: string }
    return `${worker}/u/${token}`
  }

  const begin = async (version: 5 | 6, wanted: UppySettings, size = SIZE): Promise<void> => {
    await tab.goto(context.pages[version])
    await tab.evaluate((given) => page.start(given), wanted)
    await tab.evaluate((bytes) => page.upload(['Grüße.bin'], 'video/mp4', bytes), size)
  }
  const state = (): Promise<UppyState> => tab.evaluate(() => page.state())
  const finished = async (): Promise<NonNullable<UppyState['success']>> => {
    await expect.poll(async () => (await state()).success ?? (await state()).error).toBeTruthy()
    const { success, error } = await state()
    expect(error).toBeNull()
    if (success === null) throw new Error('There is neither success nor error.')
    return success
  }

  const recordOf = async (key: string): Promise<unknown> => {
    const response = await fetch(`${worker}/files/${encodeURIComponent(key)}`)
    return response.json()
  }
  const listedKeys = async (): Promise<string[]> => {
    const response = await fetch(`${worker}/files?limit=1000`)
    const { files } = (await response.json()) as { files: { key: string }[] }
    return files.map(({ key }) => key)
  }

  /** Requests that send a part to the bucket, by part number. */
  const partsSent = (): number[] => {
    const sent: number[] = []
    tab.on('request', (request) => {
      const number = new URL(request.url()).searchParams.get('partNumber')
      if (request.method() === 'PUT' && number !== null) sent.push(Number(number))
    })
    return sent
  }
  /** AWS S3 sends the header that Uppy 5 needs. Ceph RGW 18 has the ETag only in its XML. */
  const addETagToPosts = (): Promise<unknown> =>
    tab.route(
      (url) => url.origin === context.bucket,
      async (route) => {
        if (route.request().method() !== 'POST') return route.continue()
        const response = await route.fetch()
        const etag = /<ETag>(.*)<\/ETag>/.exec(await response.text())?.[1] ?? ''
        await route.fulfill({ response, headers: { ...response.headers(), etag } })
      },
    )

  interface Mode {
    readonly version: 5 | 6
    readonly chosen: () => Promise<UppySettings>
  }
  const modes: Readonly<Record<string, Mode>> = {
    '6, Companion': { version: 6, chosen: async () => settings() },
    '6, a token in the path': {
      version: 6,
      chosen: async () => settings({ endpoint: await tokenPath() }),
    },
    '6, signRequest': { version: 6, chosen: async () => settings({ endpoint: null }) },
    '6, signRequest by hand': {
      version: 6,
      chosen: async () => settings({ endpoint: null, helpers: false }),
    },
    '5, Companion': {
      version: 5,
      chosen: async () => settings({ headers: { Authorization: `Bearer ${context.apiKey}` } }),
    },
    '5, a token in the path': {
      version: 5,
      chosen: async () => settings({ endpoint: await tokenPath() }),
    },
  }

  describe.each(Object.entries(modes))('Uppy %s', (_, { version, chosen }) => {
    const prefix = (wanted: UppySettings) =>
      wanted.endpoint === worker && version === 6 ? '' : 'team/'

    it('uploads a file in one request', async () => {
      const wanted = { ...(await chosen()), multipart: false }
      if (version === 5) await addETagToPosts()
      await begin(version, wanted, 1000)
      const { key } = await finished()
      expect(key).toMatch(new RegExp(`^${prefix(wanted)}uploads/.{20}-.*grüße\\.bin$`))
      expect(await context.object(key)).toMatchObject({
        size: 1000,
        etag: etagOf(patternBytes(1000), null),
        mimetype: 'video/mp4',
      })
      if (wanted.endpoint === null && wanted.helpers) await expect.poll(listedKeys).toContain(key)
    })

    it('uploads a file in parts', async () => {
      const wanted = await chosen()
      const sent = partsSent()
      await begin(version, wanted)
      const { key } = await finished()
      expect(sent.toSorted()).toEqual([1, 2])
      expect(await context.object(key)).toMatchObject({
        size: SIZE,
        etag: etagOf(patternBytes(SIZE), PART_BYTES),
        mimetype: wanted.helpers ? 'video/mp4' : 'application/octet-stream',
      })
      if (!wanted.helpers) return
      await expect.poll(listedKeys).toContain(key)
      expect(await recordOf(key)).toMatchObject({ key, name: 'Grüße.bin', size: SIZE })
    })
  })

  // Both dialects, and both versions. Credentials make no difference here.
  const resumed = ['6, Companion', '6, signRequest', '5, a token in the path']
  const chosenModes = Object.entries(modes).filter(([name]) => resumed.includes(name))
  describe.each(chosenModes)('Uppy %s', (_, { version, chosen }) => {
    it('resumes after a pause, and sends no part twice', async () => {
      const sent = partsSent()
      const { release } = await holdPart(tab, 2)
      await begin(version, await chosen())
      await expect.poll(async () => (await state()).partsUploaded).toBeGreaterThan(0)
      await tab.evaluate(() => page.pause())
      await release()
      await tab.evaluate(() => page.resume())
      const { key } = await finished()
      expect(await context.object(key)).toMatchObject({
        etag: etagOf(patternBytes(SIZE), PART_BYTES),
      })
      expect(sent.filter((number) => number === 1)).toEqual([1])
    })

    it('resumes after a reload, and sends only the missing parts', async () => {
      const { release } = await holdPart(tab, 2)
      const wanted = { ...(await chosen()), golden: true }
      await begin(version, wanted)
      await expect.poll(async () => (await state()).partsUploaded).toBeGreaterThan(0)
      await uploadIsKept(tab)
      const sent = partsSent()
      // Part 2 doesn't reach Ceph RGW before that, because RGW may refuse to list parts while it
      // receives one.
      await tab.reload()
      await release()
      await tab.evaluate((given) => page.start(given), wanted)
      await expect.poll(async () => (await state()).files).toBe(1)
      await tab.evaluate(() => page.confirmRestored())
      const { key } = await finished()
      expect(sent).not.toContain(1)
      expect(await context.object(key)).toMatchObject({
        etag: etagOf(patternBytes(SIZE), PART_BYTES),
      })
    })

    it('leaves no parts in the bucket when it is cancelled', async () => {
      await holdPart(tab, 2)
      const begun = tab.waitForRequest((request) => request.url().includes('partNumber=1&'))
      await begin(version, await chosen())
      const url = new URL((await begun).url())
      const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'))
      const uploadId = url.searchParams.get('uploadId') ?? ''
      await expect.poll(async () => (await state()).partsUploaded).toBeGreaterThan(0)
      expect(await context.hasUpload(key, uploadId)).toBe(true)
      await tab.evaluate(() => page.cancel())
      await expect.poll(() => context.hasUpload(key, uploadId)).toBe(false)
      expect(await listedKeys()).not.toContain(key)
    })
  })

  it('Uppy 5 signs a part again after its URL has expired', async () => {
    // The browser ends a request by its own clock, so it gets the shortest lifetime.
    const lifetimes: unknown[] = []
    await tab.route(/\/s3\/multipart\/[^/]+\/2\?/, async (route) => {
      const response = await route.fetch()
      const signed = await response.json()
      const expires = lifetimes.push(signed.expires) === 1 ? 1 : signed.expires
      await route.fulfill({ response, json: { ...signed, expires } })
    })
    const sent = partsSent()
    const part2 = await holdPart(tab, 2)
    await begin(5, settings({ endpoint: await tokenPath() }))
    await expect.poll(() => sent.filter((number) => number === 2)).toHaveLength(2)
    await part2.release()
    const { key } = await finished()
    expect(lifetimes).toEqual([expect.any(Number), expect.any(Number)])
    expect(await context.object(key)).toMatchObject({
      etag: etagOf(patternBytes(SIZE), PART_BYTES),
    })
  })
})
