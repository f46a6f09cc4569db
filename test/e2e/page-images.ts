/**
 * `node test/e2e/page-images.ts` takes the pictures in docs/images: the page with files, in light
 * and dark mode. With a DIRECTORY, it takes screenshots on five screens there, to look at: the
 * gallery, the viewer, a selection in the list, and the dialogs.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { startChromium } from './chromium.ts'
import { dropOn, startDemoPage, type TestFile, tile } from './demo-page.ts'
import { paintedPngs } from './painted-png.ts'

const README_SCREEN = { width: 1280, height: 900 }
const SCREENS = [
  { width: 1920, height: 1080 },
  README_SCREEN,
  { width: 768, height: 1024 },
  { width: 390, height: 844 },
  { width: 320, height: 700 },
]
const IMAGES = join(import.meta.dirname, '../../docs/images')

const [directory] = process.argv.slice(2)
if (directory !== undefined) await mkdir(directory, { recursive: true })
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

await using demo = await startDemoPage(startChromium)
{
  await using tab = await demo.open()
  for (const file of pictures.toReversed()) {
    await dropOn(tab.page, 'h1', [file])
    await tile(tab.page, file.name).waitFor()
  }
}
const screens = directory === undefined ? [README_SCREEN] : SCREENS
for (const colorScheme of ['light', 'dark'] as const)
  for (const viewport of screens) {
    await using tab = await demo.open({ colorScheme, viewport })
    const { page } = tab
    const take = async (name: string) => {
      await page.waitForLoadState('networkidle')
      const path =
        directory === undefined
          ? join(IMAGES, `${name}-${colorScheme}.png`)
          : join(directory, `${name}-${colorScheme}-${viewport.width}.png`)
      await page.screenshot({ path })
    }
    await take('page')
    if (directory === undefined) continue
    await page.getByRole('button', { name: 'Use it in your app' }).click()
    await take('app')
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Actions for Plates.png' }).click()
    await page.getByRole('button', { name: 'Rename…' }).click()
    await take('rename')
    await page.keyboard.press('Escape')
    await page.getByRole('link', { name: 'Moon on the bay.png' }).click()
    await page.locator('#viewer-media:not(.is-loading)').waitFor()
    await take('viewer')
    await page.goBack()
    await page.getByRole('button', { name: 'List view' }).click()
    await page.getByRole('checkbox', { name: 'Select Plates.png' }).check()
    await page.getByRole('checkbox', { name: 'Select Peach.png' }).click({ modifiers: ['Shift'] })
    await take('list')
  }
