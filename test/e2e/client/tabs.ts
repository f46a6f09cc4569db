import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ClientPage } from '../../../client/test/page-api.ts'
import { type ClientTab, openClientTab, PART_BYTES, partedEtag } from './client-tab.ts'
import type { ClientContext } from './context.ts'

declare const page: ClientPage

/** Three parts. */
const SIZE = 2 * PART_BYTES + 1000

/** The same file in two tabs at the same time. */
export function tabRules(context: () => ClientContext): void {
  let first: ClientTab
  let second: ClientTab

  beforeEach(async () => {
    first = await openClientTab(context())
    second = await openClientTab(context(), { browserContext: first.page.context() })
  })
  afterEach(async () => {
    await second.close()
    await first.close()
  })

  /**
   * Starts both uploads, whose first parts arrive. Returns a function that releases the others.
   */
  const beginBothHalf = async (): Promise<() => void> => {
    const held = Promise.withResolvers<null>()
    context().proxy.failure = ({ partNumber }) => (partNumber > 1 ? held.promise : null)
    await first.begin(SIZE, { multipart: true })
    await first.partsTaken(1)
    await second.begin(SIZE, { multipart: true })
    await first.partsTaken(2) // Of both uploads.
    return () => held.resolve(null)
  }

  it.each([{ aborted: 'first' }, { aborted: 'second' }] as const)(
    'completes the upload when the $aborted tab aborts',
    async ({ aborted }) => {
      const [quitter, other] = aborted === 'first' ? [first, second] : [second, first]
      const release = await beginBothHalf()
      await quitter.page.evaluate(() => page.abort())
      expect(await quitter.failure()).toMatchObject({ name: 'AbortError' })
      release()
      const { key } = await other.end()
      const etag = partedEtag(SIZE)
      expect(await context().head(key)).toMatchObject({ size: SIZE, etag })
      const parts = first.parts()
      const sent = parts.filter((part) => part.key === key).map(({ partNumber }) => partNumber)
      expect(sent.toSorted()).toEqual([1, 2, 3])
      const dropped = parts.find((part) => part.key !== key)
      expect(dropped).toBeDefined()
      await expect
        .poll(() => context().hasUpload(dropped?.key ?? '', dropped?.s3UploadId ?? ''))
        .toBe(false)
      expect(await other.page.evaluate(() => page.stored())).toEqual([])
    },
  )

  it('completes the upload in both tabs', async () => {
    const release = await beginBothHalf()
    release()
    const records = [await first.end(), await second.end()]
    const etag = partedEtag(SIZE)
    for (const { key } of records)
      expect(await context().head(key)).toMatchObject({ size: SIZE, etag })
    expect(new Set(records.map(({ key }) => key)).size).toBe(2)
    expect(first.partNumbers()).toEqual([1, 1, 2, 2, 3, 3])
  })

  it('continues in another tab after the parts that a closed tab has sent', async () => {
    context().proxy.failure = ({ partNumber }) =>
      partNumber > 1 ? new Promise(() => undefined) : null
    await first.begin(SIZE, { multipart: true })
    await first.partsTaken(1)
    await first.page.close()
    context().proxy.reset()
    await second.begin(SIZE, { multipart: true })
    await second.end()
    expect(second.partNumbers()).toEqual([2, 3])
  })
}
