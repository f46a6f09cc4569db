import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { installOwnPackages } from '../../tools/dev/own-packages.ts'
import { startBuiltWorker } from '../e2e/built-worker.ts'
import { connectChromium } from '../e2e/chromium.ts'
import { CHROMIUM, describeWith, FFMPEG } from '../e2e/system-package.ts'
import { codeBlocks, markedBlock, readPage } from './support/markdown.ts'
import { BROWSER, type Snippets, writeSnippets } from './support/snippets.ts'

const PAGE = 'docs/recipes/hls.md'
const PACKAGES = join(import.meta.dirname, 'recipes')
const COMMANDS = ['hls', 'dash']
const MODULES = ['upload-folder', 'video-base', 'play', 'picture-url']
const block = (mark: string): string => markedBlock(PAGE, mark)
const run = promisify(execFile)

/** Seconds: two segments of HLS, and the rest of a third. */
const SECONDS = 14

/** Uploads both folders, and prints the start of the URLs of each. */
const SHARE = `
import { presigner } from './presigner.ts'
import { uploadFolder } from './upload-folder.ts'
import { videoBase } from './video-base.ts'

process.chdir(import.meta.dirname)
await uploadFolder('intro', 'videos/intro/')
await uploadFolder('film', 'videos/film/')
await presigner.upload(new TextEncoder().encode('secret'), { key: 'videos/secret.txt' })
const { base } = await presigner.folderLink('videos/film/')
console.log(JSON.stringify([await videoBase(), base]))
`
const MAIN = `
import { play } from './play.ts'

const video = document.querySelector('video')!
play(video, new URLSearchParams(location.hash.slice(1)).get('base')!)
video.playbackRate = 8
void video.play()
`

let snippets: Snippets
beforeAll(async () => {
  await installOwnPackages(PACKAGES)
  snippets = writeSnippets(
    {
      ...Object.fromEntries(MODULES.map((mark) => [`${mark}.ts`, block(mark)])),
      'presigner.ts': markedBlock('docs/server.md', 'client'),
      'share.ts': SHARE,
      'main.ts': MAIN,
    },
    { packages: join(PACKAGES, 'node_modules'), compilerOptions: { ...BROWSER, types: ['node'] } },
  )
})
afterAll(() => snippets.remove())

describe(PAGE, () => {
  it('has only code that a test here compiles or runs', () => {
    const marks = codeBlocks(readPage(PAGE)).map(({ mark }) => mark)
    expect(marks.toSorted()).toEqual([...COMMANDS, ...MODULES].toSorted())
  })

  it('compiles', async () => expect(await snippets.typeErrors()).toBe(''))
})

describeWith([CHROMIUM, FFMPEG], `${PAGE} in Chromium`, () => {
  const stack = new AsyncDisposableStack()
  let browser: Browser
  let site: string
  let log: () => Promise<string>
  /** The starts of the URLs of both folders. */
  let intro: string
  let film: string

  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const folder = snippets.directory
    await makeVideo(join(folder, 'intro.mp4'))
    for (const mark of COMMANDS) {
      const fast = block(mark).replace('-c:v libx264', '-c:v libx264 -preset ultrafast')
      await run('sh', ['-eu', '-c', fast.replace('ffmpeg ', 'ffmpeg -v error ')], { cwd: folder })
    }

    const port = await freePort()
    site = `http://localhost:${port}`
    const s3 = await startS3rver({ port: 0, directory, corsOrigins: ['http://localhost'] })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    const apiKey = `ep_app_${randomBytes(32).toString('base64url')}`
    const sha256 = createHash('sha256').update(apiKey).digest('hex')
    const scopes = ['files:upload', 'keys:choose', 'links:create', 'files:read']
    const worker = await startBuiltWorker({
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: {
        API_KEYS: JSON.stringify([{ id: 'app', sha256, scopes, prefix: 'videos/' }]),
        CORS_ORIGINS: JSON.stringify([site]),
      },
    })
    stack.defer(() => worker.close())
    log = () => worker.logs()
    const env = { PRESIGNER_URL: worker.origin, PRESIGNER_KEY: apiKey }
    ;[intro, film] = JSON.parse(await snippets.run('share.ts', env))

    await writeFile(
      join(folder, 'index.html'),
      '<!doctype html><video muted></video><script type="module" src="./main.ts"></script>',
    )
    const outDir = join(folder, 'built')
    await build({ root: folder, configFile: false, logLevel: 'error', build: { outDir } })
    const server = createServer(async ({ url = '/' }, response) => {
      response.setHeader('Content-Type', url.endsWith('.js') ? 'text/javascript' : 'text/html')
      response.end(await readFile(join(outDir, url === '/' ? 'index.html' : url)).catch(() => ''))
    }).listen(port, 'localhost')
    await once(server, 'listening')
    stack.defer(() => void server.close())
    browser = await connectChromium()
    stack.defer(() => browser.close())
  })
  afterAll(() => stack.disposeAsync())

  it('plays to the end, in the quality of the player', async () => {
    const page = await browser.newPage()
    const requests = watch(page)
    await page.goto(`${site}/#${new URLSearchParams({ base: intro })}`)
    await expect.poll(() => page.evaluate("document.querySelector('video').ended")).toBe(true)
    const [width, duration] = await page.evaluate<[number, number]>(
      "(({ videoWidth, duration }) => [videoWidth, duration])(document.querySelector('video'))",
    )
    expect([640, 1280]).toContain(width)
    expect(Math.round(duration)).toBe(SECONDS)
    const { failed, paths, referers } = requests
    expect(failed).toEqual([])
    expect(paths.map((path) => path.replace(new URL(intro).pathname, ''))).toEqual(
      expect.arrayContaining(['index.m3u8', expect.stringMatching(/^[01]\/002\.ts$/)]),
    )
    const [, , token = 'no token'] = new URL(intro).pathname.split('/')
    expect(referers.join()).not.toContain(token)
    expect(await log()).toContain('"route":"/f/:token/:key"')
    expect(await log()).not.toContain(token)
    await page.close()
  })

  it('shows every file of a DASH video to the page, also by ranges', async () => {
    const page = await browser.newPage()
    await page.goto(site)
    const names = await readdir(join(snippets.directory, 'film'))
    expect(names).toEqual(expect.arrayContaining(['manifest.mpd', 'init-stream0.m4s']))
    const read = (url: string, range?: string) =>
      page.evaluate<[number, string | null, number]>(`(async () => {
        const headers = ${JSON.stringify(range === undefined ? {} : { Range: range })}
        const response = await fetch(${JSON.stringify(url)}, { headers })
        const { byteLength } = await response.arrayBuffer()
        return [response.status, response.headers.get('Content-Range'), byteLength]
      })()`)
    for (const name of names) {
      const { length } = await readFile(join(snippets.directory, 'film', name))
      expect(await read(film + name), name).toEqual([200, null, length])
      const range = `bytes 1-2/${length}`
      expect(await read(film + name, 'bytes=1-2'), name).toEqual([206, range, 2])
    }
    await page.close()
  })

  // @threat folder-escaped
  it('refuses a key outside, in every spelling that Chromium sends', async () => {
    const page = await browser.newPage()
    await page.goto(site)
    const paths = [
      ...['../secret.txt', '%2e%2e/secret.txt', '.%2E/secret.txt', '..%2Fsecret.txt'],
      ...['..%5Csecret.txt', '..\\secret.txt', '//secret.txt'],
      ...['../film/manifest.mpd', '', '..', '0/../../secret.txt', 'index.m3u8?', '%69ndex.m3u8'],
    ]
    for (const path of paths) {
      const status = page.evaluate(
        `fetch(${JSON.stringify(intro + path)}).then(({ status }) => status)`,
      )
      expect(await status, path).toBe(403)
    }
    await page.close()
  })
})

/** Makes a video with a picture that moves and a tone. */
const makeVideo = (path: string) =>
  run('ffmpeg', [
    ...['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=24:duration=${SECONDS}`],
    ...['-f', 'lavfi', '-i', `sine=frequency=440:duration=${SECONDS}`],
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'aac', path],
  ])

/** Notes the requests of a page below /f/, and those that fail. */
function watch(page: Page) {
  const noted: { paths: string[]; failed: string[]; referers: string[] } = {
    paths: [],
    failed: [],
    referers: [],
  }
  page.on('request', (request) => noted.referers.push(request.headers().referer ?? ''))
  page.on('response', (response) => {
    const { pathname } = new URL(response.url())
    if (!pathname.startsWith('/f/')) return
    noted.paths.push(pathname)
    if (![200, 206].includes(response.status())) noted.failed.push(pathname)
  })
  page.on('requestfailed', (request) => noted.failed.push(request.url()))
  return noted
}
