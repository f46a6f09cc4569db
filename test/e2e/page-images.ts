/**
 * `node test/e2e/page-images.ts DIRECTORY` takes screenshots of the page with files, in light and
 * dark mode, on four screens: the gallery, the viewer, and a selection in the list. In docs/images
 * are page-light-1280.png and page-dark-1280.png, without their widths.
 */
import { join } from 'node:path'
import { dropOn, startDemoPage, type TestFile, tile } from './demo-page.ts'
import { paintedPngs } from './painted-png.ts'

const SIZES = [
  { width: 1920, height: 1080 },
  { width: 1280, height: 900 },
  { width: 768, height: 1024 },
  { width: 390, height: 844 },
] as const

const [directory = '.'] = process.argv.slice(2)
const pictures: TestFile[] = paintedPngs().map(([name, buffer]) => ({
  name,
  mimeType: 'image/png',
  buffer,
}))
pictures.splice(7, 0, {
  name: 'Agreement.pdf',
  mimeType: 'application/pdf',
  buffer: Buffer.alloc(184_320),
})

await using demo = await startDemoPage()
{
  await using tab = await demo.open()
  for (const file of pictures.toReversed()) {
    await dropOn(tab.page, 'h1', [file])
    await tile(tab.page, file.name).waitFor()
  }
}
for (const colorScheme of ['light', 'dark'] as const)
  for (const viewport of SIZES) {
    await using tab = await demo.open({ colorScheme, viewport })
    const { page } = tab
    const take = async (name: string) => {
      await page.waitForLoadState('networkidle')
      const path = join(directory, `${name}-${colorScheme}-${viewport.width}.png`)
      await page.screenshot({ path })
    }
    await take('page')
    await page.getByRole('link', { name: 'Moon on the bay.png' }).click()
    await page.locator('#viewer-media:not(.is-loading)').waitFor()
    await take('viewer')
    await page.goBack()
    await page.getByRole('button', { name: 'List view' }).click()
    await page.getByRole('checkbox', { name: 'Select Plates.png' }).check()
    await page.getByRole('checkbox', { name: 'Select Peach.png' }).click({ modifiers: ['Shift'] })
    await take('list')
  }
