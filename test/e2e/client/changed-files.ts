import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { ClientPage } from '../../../client/test/page-api.ts'
import { chooseFromDisk } from '../chromium.ts'
import { patternBytes } from '../pattern-bytes.ts'
import { type ClientTab, openClientTab, PART_BYTES } from './client-tab.ts'
import type { ClientContext } from './context.ts'

declare const page: ClientPage

/** Three parts. */
const SIZE = 2 * PART_BYTES + 1000

/** Files that have changed. */
export function changedFileRules(context: () => ClientContext): void {
  let directory: string
  let tab: ClientTab

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  })
  afterAll(() => rm(directory, { recursive: true }))
  beforeEach(async () => {
    tab = await openClientTab(context())
  })
  afterEach(() => tab.close())

  const holdAfter = (count: number) => {
    const held = Promise.withResolvers<'cut'>()
    context().proxy.failure = ({ partNumber }) => (partNumber > count ? held.promise : null)
    return () => held.resolve('cut')
  }
  const expectDropped = async (): Promise<void> => {
    const { key, s3UploadId } = tab.parts()[0] ?? { key: '', s3UploadId: '' }
    await expect.poll(() => context().hasUpload(key, s3UploadId)).toBe(false)
  }

  it.each([
    ['changes', (path: string) => appendFile(path, '!')],
    ['was deleted', (path: string) => rm(path)],
  ])(
    'fails immediately when the file %s during the upload, and aborts the upload',
    async (_, change) => {
      const path = join(directory, 'film.bin')
      await writeFile(path, patternBytes(SIZE))
      await chooseFromDisk(tab.page, 'input', path)
      const cut = holdAfter(1)
      await tab.page.evaluate(() => page.beginChosen({ multipart: true }))
      await tab.partsTaken(1)
      await change(path)
      cut()
      expect(await tab.failure()).toMatchObject({
        ...{ type: 'PresignerError', code: 'file_changed', status: 0 },
        message: 'The file has changed or no longer exists',
      })
      expect(await tab.stalls()).toEqual([])
      await expectDropped()
      // The page forgets the upload once the answer to its abort has arrived.
      await expect.poll(() => tab.page.evaluate(() => page.stored())).toEqual([])
    },
  )

  it('fails immediately when the file was deleted before its last parts were read', async () => {
    const path = join(directory, 'long.bin')
    await writeFile(path, patternBytes(5 * PART_BYTES + 1000))
    await chooseFromDisk(tab.page, 'input', path)
    const held = Promise.withResolvers<null>()
    context().proxy.failure = () => held.promise
    await tab.page.evaluate(() => page.beginChosen({ multipart: true }))
    await expect.poll(() => tab.parts().length).toBe(4)
    await rm(path)
    held.resolve(null)
    expect(await tab.failure()).toMatchObject({ code: 'file_changed', status: 0 })
    expect(await tab.stalls()).toEqual([])
    expect(await tab.progress()).not.toContain(Number.NaN)
    await expectDropped()
  })

  it.each(['before', 'after'])(
    'fails immediately when a small file was deleted %s its size was read',
    async (when) => {
      const path = join(directory, 'gone.bin')
      await writeFile(path, 'here')
      await chooseFromDisk(tab.page, 'input', path)
      if (when === 'after')
        await tab.page.locator('input').evaluate((input) => Reflect.get(input, 'files')[0].size)
      await rm(path)
      for (const options of [{}, { multipart: true }, { sha256: true }]) {
        await tab.page.evaluate((given) => page.beginChosen(given), options)
        const message = 'The file has changed or no longer exists'
        expect(await tab.failure()).toMatchObject({ code: 'file_changed', message })
        expect(await tab.stalls()).toEqual([])
      }
      expect(context().proxy.requests.filter(({ status }) => status === 200)).toEqual([])
    },
  )

  it('does not resume with other content, and aborts the old upload', async () => {
    holdAfter(1)
    await tab.begin(SIZE, { multipart: true })
    await tab.partsTaken(1)
    const [first] = tab.parts()
    await tab.reload()
    context().proxy.failure = () => null
    await tab.begin(SIZE, { multipart: true }, Math.floor(SIZE / 2))
    const { key } = await tab.end()
    expect(key).not.toBe(first?.key)
    const sent = tab.parts().filter((part) => part.key === key)
    expect(sent).toHaveLength(3)
    await expectDropped()
  })

  it('fails immediately when a small file has changed since it was chosen', async () => {
    const path = join(directory, 'small.bin')
    await writeFile(path, 'before')
    await chooseFromDisk(tab.page, 'input', path)
    // Chromium compares the file with its state when the page first read it.
    await tab.page.locator('input').evaluate((input) => Reflect.get(input, 'files')[0].size)
    await writeFile(path, 'afterwards')
    await tab.page.evaluate(() => page.beginChosen())
    expect(await tab.failure()).toMatchObject({ code: 'file_changed' })
    await tab.page.evaluate(() => page.beginChosen({ sha256: true }))
    expect(await tab.failure()).toMatchObject({ code: 'file_changed' })
    expect(context().proxy.requests.filter(({ status }) => status === 200)).toEqual([])
  })

  it('aborts an upload that was not resumed for six days', async () => {
    holdAfter(1)
    await tab.begin(SIZE, { multipart: true })
    await tab.partsTaken(1)
    const [abandoned] = tab.parts()
    const upload = () => context().hasUpload(abandoned?.key ?? '', abandoned?.s3UploadId ?? '')
    const beginOther = async () => {
      context().proxy.failure = () => null
      await tab.begin(SIZE - 1, { multipart: true })
      await tab.end()
    }
    const soon = new Date(Date.now() + 23 * 3_600_000)
    await tab.reload()
    await beginOther()
    expect(await tab.page.evaluate(() => page.stored())).toHaveLength(1)
    expect(await upload()).toBe(true)

    await tab.page.evaluate((date) => page.expireStored(date), soon.toISOString())
    await beginOther()
    expect(await tab.page.evaluate(() => page.stored())).toEqual([])
    await expect.poll(upload).toBe(false)
  })
}
