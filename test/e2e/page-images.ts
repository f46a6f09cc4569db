/**
 * `node test/e2e/page-images.ts DIRECTORY` takes screenshots of the page with files, in light and
 * dark mode, on a desktop and on a phone. Those at 1280 pixels are docs/images/page-light.png and
 * docs/images/page-dark.png.
 */
import { join } from 'node:path'
import { dropOn, startDemoPage, type TestFile, tile } from './demo-page.ts'
import { paintedPngs } from './painted-png.ts'

const SIZES = [
  { width: 1280, height: 900 },
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
    await tab.page.waitForLoadState('networkidle')
    const path = join(directory, `page-${colorScheme}-${viewport.width}.png`)
    await tab.page.screenshot({ path })
  }
