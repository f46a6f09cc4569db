import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { startBuiltWorker } from '../e2e/built-worker.ts'
import { connectChromium } from '../e2e/chromium.ts'
import { shared } from '../e2e/shared.ts'
import { smallPng } from '../e2e/small-png.ts'
import { CHROMIUM, describeWith } from '../e2e/system-package.ts'
import { codeBlocks, markedBlock, readPage } from './support/markdown.ts'
import { BROWSER, type Snippets, writeSnippets } from './support/snippets.ts'

const PAGE = 'docs/pictures.md'
const PACKAGES = join(import.meta.dirname, 'recipes')
const block = (mark: string): string => markedBlock(PAGE, mark)

const FILES: Readonly<Record<string, string>> = {
  links: 'photos.ts',
  photo: 'photo.tsx',
  'next-config': 'next.config.ts',
  'pick-link': 'lib/pick-link.ts',
  'private-image': 'app/photos/private-image.tsx',
  'next-page': 'app/photos/page.tsx',
}

/** The types of `next/image` (Next.js 16) that the recipe uses. The package is too large for a test. */
const NEXT_TYPES = `
declare module 'next/image' {
  export type ImageLoader = (p: { src: string; width: number; quality?: number }) => string
  export interface ImageProps {
    src: string
    alt: string
    width?: number
    height?: number
    sizes?: string
    loader?: ImageLoader
  }
  export default function Image(props: ImageProps): import('react').JSX.Element
}
`
const SRCSET = 'https://x/a?w=320 320w, https://x/a?w=1280 1280w, https://x/a?w=640 640w'
/** Prints the link for each width. */
const PICK = `
import { pickLink } from './lib/pick-link.ts'

const picked = [1, 320, 321, 640, 1000, 1280, 4000].map((w) => pickLink('${SRCSET}', w).slice(-3))
console.log(JSON.stringify([...picked, pickLink('', 640)]))
`
/** Shows one photo with the component. */
const MAIN = `
import { createRoot } from 'react-dom/client'
import { Photo } from './photo.tsx'

const { photo } = JSON.parse(document.querySelector('#photo')?.textContent ?? '')
const sizes = '(max-width: 600px) 100vw, 300px'
createRoot(document.querySelector('#app')!).render(
  <Photo photo={photo} width={1500} height={1000} alt="Photo" sizes={sizes} />,
)
`

let snippets: Snippets
beforeAll(async () => {
  snippets = writeSnippets(
    {
      ...Object.fromEntries(Object.entries(FILES).map(([mark, path]) => [path, block(mark)])),
      'presigner.ts':
        "import { createClient } from 'edge-presigner-client'\nexport const presigner = createClient({ baseUrl: '' })\n",
      'pick.ts': PICK,
      'main.tsx': MAIN,
      'next.d.ts': NEXT_TYPES,
      'process.d.ts': 'declare const process: { env: Record<string, string | undefined> }',
    },
    {
      packages: await shared('ownPackages', PACKAGES),
      aliases: { '@/lib/pick-link': 'lib/pick-link.ts' },
      compilerOptions: BROWSER,
    },
  )
})
afterAll(() => snippets.remove())

describe(PAGE, () => {
  it('has only code that a test here compiles or runs', () => {
    // Commands: commands.test.ts. The block of TOML: configuration.test.ts.
    const marks = codeBlocks(readPage(PAGE))
      .filter(({ language }) => language !== 'sh' && language !== 'toml')
      .map(({ mark }) => mark)
    expect(marks.toSorted()).toEqual([...Object.keys(FILES), 'html'].toSorted())
  })

  it('compiles', async () => expect(await snippets.typeErrors()).toBe(''))

  it('picks the smallest image that is wide enough', async () => {
    const picked: unknown = JSON.parse(await snippets.run('pick.ts', {}))
    expect(picked).toEqual(['320', '320', '640', '640', '280', '280', '280', ''])
  })

  it('asks Next.js for the widths that it links', () => {
    const [, widths] = /widths: \[(.*?)\]/.exec(block('next-page')) ?? []
    expect(widths).toMatch(/^\d+, \d+/)
    expect(block('next-config')).toContain(`deviceSizes: [${widths}],\n    imageSizes: [],`)
  })
})

const linkSchema = z.object({ link: z.url(), srcset: z.string() })
const uploadSchema = z.object({ uploadUrl: z.url(), key: z.string() })

describeWith([CHROMIUM], `${PAGE} in Chromium`, () => {
  const stack = new AsyncDisposableStack()
  let photo: z.infer<typeof linkSchema>
  let site: string

  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const s3 = await startS3rver({ port: 0, directory, corsOrigins: ['http://localhost'] })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    const worker = await startBuiltWorker({
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: { OPEN_ACCESS: 'localhost' },
    })
    stack.defer(() => worker.close())
    const post = async (path: string, body: object): Promise<unknown> => {
      const headers = { 'Content-Type': 'application/json' }
      const init = { method: 'POST', headers, body: JSON.stringify(body) }
      return (await fetch(worker.origin + path, init)).json()
    }
    const file = { fileName: 'boat.png', mimetype: 'image/png' }
    const { uploadUrl, key } = uploadSchema.parse(await post('/files/upload-url', file))
    const headers = { 'Content-Type': file.mimetype }
    await fetch(uploadUrl, { method: 'PUT', headers, body: new Uint8Array(smallPng(1500, 1000)) })
    const path = `/files/${encodeURIComponent(key)}/link`
    photo = linkSchema.parse(await post(path, { widths: [320, 640, 1280] }))

    const folder = snippets.directory
    await writeFile(
      join(folder, 'index.html'),
      `<!doctype html><div id="app"></div><script id="photo" type="application/json">${JSON.stringify({ photo })}</script><script type="module" src="./main.tsx"></script>`,
    )
    const outDir = join(folder, 'built')
    await build({
      root: folder,
      configFile: false,
      logLevel: 'warn',
      oxc: { jsx: { runtime: 'automatic' } },
      build: { outDir },
    })
    const html = block('html').replace('LINK', photo.link).replace('SRCSET', photo.srcset)
    const port = await freePort()
    const server = createServer(async ({ url = '/' }, response) => {
      if (url === '/html') return response.setHeader('Content-Type', 'text/html').end(html)
      const name = url === '/react' ? 'index.html' : url
      response.setHeader('Content-Type', name.endsWith('.js') ? 'text/javascript' : 'text/html')
      return response.end(await readFile(join(outDir, name)).catch(() => ''))
    }).listen(port)
    await once(server, 'listening')
    stack.defer(() => void server.close())
    site = `http://localhost:${port}`
  })
  afterAll(() => stack.disposeAsync())

  it.each(['html', 'react'])('loads the size that fits the screen: %s', async (path) => {
    await using browser = await connectChromium()
    const loadedAt = async (width: number, deviceScaleFactor: number) => {
      const viewport = { width, height: 900 }
      const page = await browser.newPage({ viewport, deviceScaleFactor })
      const types: (string | undefined)[] = []
      page.on('response', (response) => {
        if (response.url().includes('/i/files/')) types.push(response.headers()['content-type'])
      })
      await page.goto(`${site}/${path}`)
      await page.waitForFunction("document.querySelector('img')?.currentSrc")
      // An image without srcset shows how wide the file itself is.
      const loaded = await page.evaluate<number>(`(async () => {
        const { currentSrc } = document.querySelector('img')
        const file = Object.assign(new Image(), { src: currentSrc })
        await file.decode()
        return file.naturalWidth
      })()`)
      await page.close()
      return [loaded, ...new Set(types)]
    }
    expect(await loadedAt(1000, 1)).toEqual([320, 'image/avif'])
    expect(await loadedAt(1000, 2)).toEqual([640, 'image/avif'])
    expect(await loadedAt(500, 1)).toEqual([640, 'image/avif'])
    // Too wide for AVIF.
    expect(await loadedAt(500, 3)).toEqual([1280, 'image/webp'])
  })
})
