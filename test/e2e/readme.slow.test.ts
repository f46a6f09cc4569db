import { execFileSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  configuredRegistry,
  createReader,
  freeWorkerPorts,
  newTerminal,
  type Reader,
} from '../docs/support/follow.ts'
import { markedBlock, ROOT, readPage } from '../docs/support/markdown.ts'
import { connectChromium, newTab } from './chromium.ts'
import { exec } from './package/packed.ts'
import { expectReadmeCalls, OLDEST_NODE } from './readme-calls.ts'
import { shared } from './shared.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

/** Where the README clones from. Here, git gets this repository, with its changes. */
const REPOSITORY = 'https://github.com/edge-presigner/edge-presigner'
/** The npm that comes with the oldest Node. */
const NPM = 10

describe(`the README, from its first block on, with Node ${OLDEST_NODE}`, () => {
  const stack = new AsyncDisposableStack()
  let directory: string
  let env: NodeJS.ProcessEnv
  let reader: Reader
  /** The Worker of the clone, without which the other tests have nothing to show. */
  let origin = ''

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 20 }))
    const registry = await configuredRegistry()
    await commitSources(join(directory, 'origin'))
    const bin = await installNode(join(directory, 'tools'))
    env = {
      ...newTerminal(registry, bin),
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: `url.file://${directory}/origin.insteadOf`,
      GIT_CONFIG_VALUE_0: REPOSITORY,
    }
    await mkdir(join(directory, 'reader'))
    reader = stack.use(createReader(join(directory, 'reader'), env, await freeWorkerPorts()))
  })
  afterAll(() => stack.disposeAsync())

  /** Follows a block of the README, with free ports. */
  const follow = async (mark: string): Promise<void> => {
    const ports = `--port ${reader.port('8787')} --s3-port ${reader.port('4568')}`
    await reader.run(
      markedBlock('README.md', mark)
        .replace(/^npm run dev$/m, `$& -- ${ports}`)
        .replace(/^npm run create .*$/m, '$& > ../created'),
    )
    origin = reader.origin()
  }

  /** Runs `npm run create` in a folder of the reader. Rejects with what it prints if it fails. */
  const createIn = (
    folder: string,
    project: string,
    more: Readonly<Record<string, string>> = {},
  ) => {
    const variables = Object.entries({ PATH: env.PATH, ...more }).map((each) => each.join('='))
    const npm = ['npm', 'run', 'create', '--', project]
    return exec(join(directory, 'reader', folder), 'env', ...variables, ...npm)
  }

  it('starts with a clone', async () => {
    expect(readPage('README.md')).toMatch(/`EBADENGINE` warnings\. They don't matter/)
    await reader.run('node --version > version')
    expect(await readFile(join(directory, 'reader/version'), 'utf8')).toMatch(`v${OLDEST_NODE}.`)
    await follow('clone')
  })

  it('gets what the six calls promise', () => expectReadmeCalls(origin))

  describeWith([CHROMIUM], 'in Chromium', () => {
    it('drops a picture on the page, and sees it through a link', () => expectShown(origin))
  })

  it('creates a project of its own, without a terminal and without a question', async () => {
    await reader.stop()
    await follow('create')
    const { status } = await fetch(`${origin}/healthz`)
    expect(status).toBe(200)
    expect(reader.folder()).toBe(join(directory, 'reader/my-files'))
    const printed = await readFile(join(directory, 'reader/created'), 'utf8')
    expect(printed).toContain('\n  cd ../my-files\n  npx edge-presigner dev\n')
    expect(printed).not.toContain('npm install')
  })

  describeWith([CHROMIUM], 'in Chromium, with the project', () => {
    it('drops a picture on the page, and sees it through a link', () => expectShown(origin))
  })

  it('refuses to create it again, also from another folder of the clone', async () => {
    const again = createIn('edge-presigner/docs', '../../my-files')
    await expect(again).rejects.toThrow(
      /The folder already has package\.json, .*\.\nUsage: npm run/,
    )
  })

  it('leaves a project to install if npm fails', async () => {
    const offline = { npm_config_offline: 'true', npm_config_cache: join(directory, 'empty') }
    const failed = createIn('edge-presigner', '../offline', offline)
    await expect(failed).rejects.toThrow(
      /\n {2}cd \.\.\/offline\n {2}npm install\n {2}npx edge-pre/,
    )
    const text = await readFile(join(directory, 'reader/offline/package.json'), 'utf8')
    expect(text).toContain('"edge-presigner": "file:packages/edge-presigner-')
  })

  it('installs the packages in an app of its own', async () => {
    await reader.run(`mkdir ../my-app\ncd ../my-app\n${markedBlock('README.md', 'app')}`)
    const manifest = JSON.parse(await readFile(join(reader.folder(), 'package.json'), 'utf8'))
    expect(Object.keys(manifest.dependencies)).toEqual([
      'edge-presigner',
      'edge-presigner-client',
      'hono',
    ])
  })

  it('creates a project with the packed command, as after the release', async () => {
    const create = await shared('tarball', 'create-edge-presigner')
    await reader.run(`tar -xf '${create}'
node package/dist/create-edge-presigner.js after --yes --no-page`)
    const toml = await readFile(join(reader.folder(), 'after/wrangler.toml'), 'utf8')
    expect(toml).not.toContain('[assets]')
  })
})

/** Commits the files of this repository, with what has changed, to a new one in `folder`. */
async function commitSources(folder: string): Promise<void> {
  const git = (cwd: string, ...args: string[]): string =>
    execFileSync('git', args, { cwd, encoding: 'utf8', stdio: 'pipe' })
  const files = git(ROOT, 'ls-files', '-z', '--cached', '--others', '--exclude-standard')
  for (const path of files.split('\0').filter(Boolean)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    // A file that was deleted and not yet committed is still listed.
    await cp(join(ROOT, path), join(folder, path)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }
  git(folder, 'init', '--quiet')
  git(folder, 'add', '--all', '--force')
  const author = ['-c', 'user.name=a', '-c', 'user.email=a@example.com']
  git(folder, ...author, 'commit', '--quiet', '--message', 'a')
}

/** Installs the oldest Node and its npm. Resolves with the folder of their commands. */
async function installNode(folder: string): Promise<string> {
  await mkdir(folder)
  await writeFile(join(folder, 'package.json'), '{"private":true,"allowScripts":{"node":true}}')
  const options = ['--prefer-offline', '--no-audit', '--no-fund']
  await exec(folder, 'npm', 'install', ...options, `node@${OLDEST_NODE}`, `npm@${NPM}`)
  return join(folder, 'node_modules/.bin')
}

/** Drops a picture on the page of the Worker, and expects it in the gallery, through a link. */
async function expectShown(origin: string): Promise<void> {
  const browser = await connectChromium()
  try {
    const { page, failures } = await newTab(browser)
    await page.goto(origin)
    const picture = { name: 'first.png', mimeType: 'image/png', buffer: smallPng(8, 6) }
    await page.setInputFiles('#uploader input[type=file]', picture)
    const shown = () =>
      page
        .locator('.gallery img')
        .evaluateAll((all) =>
          all
            .filter((image) => Reflect.get(image, 'naturalWidth') > 0)
            .map((image) => decodeURIComponent(Reflect.get(image, 'currentSrc'))),
        )
    const link = new RegExp(`^${origin}/i/files/uploads/\\w+-first\\.png\\?.*&sig=`)
    await expect.poll(shown).toContainEqual(expect.stringMatching(link))
    expect(failures).toEqual([])
  } finally {
    await browser.close()
  }
}
