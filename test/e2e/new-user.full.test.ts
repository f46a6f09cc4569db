import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import manifest from '../../package.json' with { type: 'json' }
import { readPage } from '../docs/support/markdown.ts'
import { connectChromium } from './chromium.ts'
import { startNpmIn } from './npm-process.ts'
import { exec, pack } from './package/packed.ts'
import { shared, sharedCeph } from './shared.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith, RADOSGW } from './system-package.ts'

/** From nothing to an app that can use the deployed Worker. */
const MAX_ACTIONS = 10
const APP_ORIGIN = 'https://app.example.com'
const NPM = ['npm', 'install', '--prefer-offline', '--no-audit', '--no-fund'] as const
/** A setting that "version 0.0.9" calls by another name. */
const OLD = { version: '0.0.9', was: 'PAGE_ORIGINS', now: 'CORS_ORIGINS' }

// The steps of README.md and docs/deploy.md, one after another.
describeWith([CHROMIUM, RADOSGW], 'a new user, with the packed packages in an empty folder', () => {
  const actions: string[] = []
  let directory: string
  let project: string
  let bucket: S3Server
  /** The package, as npm would get it from the registry. */
  let library: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    project = join(directory, 'user', 'my-files')
    await mkdir(join(directory, 'user'))
    bucket = await sharedCeph({ port: 0, directory, corsOrigins: ['http://nobody.test'] })
    library = await shared('tarball', 'edge-presigner')
  })
  afterAll(() => rm(directory, { recursive: true }))

  /** Counts what the user does. The pages say it in these words. */
  function act(action: string): void {
    expect(readPage('README.md') + readPage('docs/deploy.md'), action).toContain(action)
    actions.push(action)
  }

  const run = (...args: string[]) =>
    exec(project, 'npm', 'exec', '--no', '--', 'edge-presigner', ...args)

  /** Runs a command that fails, and returns what it prints. */
  const failing = (...args: string[]): Promise<string> =>
    run(...args).then(
      (output) => expect.fail(output),
      (error) => String(error),
    )

  it('creates a project for the bucket', async () => {
    act('create a bucket')
    act('create one token')
    act('npm create edge-presigner@latest my-files')
    const create = await shared('tarball', 'create-edge-presigner')
    const output = await exec(
      join(project, '..'),
      ...['npm', 'exec', '--yes', '--prefer-offline', `--package=${create}`, '--'],
      ...['create-edge-presigner', 'my-files', '--provider', 'ceph', '--bucket', bucket.bucket],
      ...['--endpoint', bucket.endpoint, '--region', bucket.region, '--app-origin', APP_ORIGIN],
    )
    expect(output).toContain('Created in my-files: ')
    for (const next of ['cd my-files', 'npm install', 'npx edge-presigner dev'])
      expect(output).toContain(next)
    expect(output).toContain('npx edge-presigner deploy')
    const files = await readdir(project, { recursive: true, withFileTypes: true })
    expect(files.filter((file) => file.isFile()).length).toBeLessThanOrEqual(8)
    expect((await stat(join(project, '.dev.vars'))).mode & 0o077).toBe(0)
    // This server lets each user read what they have uploaded: doctor refuses it as the second key.
    const config = join(project, 'wrangler.toml')
    const written = await readFile(config, 'utf8')
    await writeFile(config, written.replace(/^uploadCredentials = .*\n/m, ''))
  })

  it('installs it without a warning', async () => {
    act('cd my-files')
    act('npm install')
    const output = await exec(project, ...NPM, library)
    expect(output).not.toMatch(/warn/i)
  })

  it('uploads a picture on its page, without an account', async () => {
    const [port, s3Port] = [await freePort(), await freePort()]
    const ports = ['--port', `${port}`, '--s3-port', `${s3Port}`]
    await using dev = startNpmIn(project, 'exec', '--no', '--', 'edge-presigner', 'dev', ...ports)
    await dev.printed(/Ctrl-C to stop/)
    expect(dev.output()).not.toContain('.dev.vars')
    const browser = await connectChromium()
    const page = await browser.newPage()
    const errors: string[] = []
    page.on('pageerror', ({ message }) => errors.push(message))
    await page.goto(`http://localhost:${port}`)
    const picture = { name: 'first.png', mimeType: 'image/png', buffer: smallPng(8, 8) }
    await page.setInputFiles('#uploader input[type=file]', picture)
    const shown = () =>
      page.evaluate(
        'document.querySelector(".gallery img")?.complete && document.querySelector(".gallery").textContent',
      )
    await expect.poll(shown).toContain('first.png')
    expect(errors).toEqual([])
    await browser.close()
    dev.signal('SIGINT')
    await dev.gone()
  })

  it('learns from doctor what is missing, and lets it set the CORS rules', async () => {
    const local = await run('doctor')
    for (const said of ['No bucket of your own yet', 'S3_ACCESS_KEY_ID', /pass {2}upload/])
      expect(local).toMatch(said)
    act('Write the access keys of step 1 into `.dev.vars`')
    const keys = {
      S3_ACCESS_KEY_ID: bucket.accessKeyId,
      S3_SECRET_ACCESS_KEY: bucket.secretAccessKey,
    }
    const secrets = await readFile(join(project, '.dev.vars'), 'utf8')
    const filled = Object.entries(keys).reduce(
      (text, [name, value]) => text.replace(new RegExp(`^${name}=.*$`, 'm'), `${name}=${value}`),
      secrets.replaceAll(/^S3_WRITE.*\n/gm, ''),
    )
    expect(parseEnv(filled)).toMatchObject(keys)
    await writeFile(join(project, '.dev.vars'), filled)
    expect(await failing('doctor')).toContain('npx edge-presigner doctor --fix-cors')
    act('npx edge-presigner doctor --fix-cors')
    await run('doctor', '--fix-cors', '--yes')
    expect(await run('doctor')).toContain(APP_ORIGIN)
  })

  it('rehearses the deploy, as far as that needs no account', async () => {
    act('npx wrangler login')
    act('npx edge-presigner deploy')
    const output = await run('deploy', '--dry-run')
    for (const title of ['Check the settings', 'Send the secrets', 'Build the Worker', '/healthz'])
      expect(output).toContain(title)
    expect(output).toMatch(/Total Upload: .* gzip: /)
    for (const { secretAccessKey } of [bucket, bucket.writer])
      expect(output).not.toContain(secretAccessKey)
    act("Copy both lines of `.env.presigner` to your app's server")
    for (const name of ['PRESIGNER_URL', 'PRESIGNER_KEY']) {
      expect(output).toContain(name)
      expect(readPage('docs/deploy.md')).toContain(`\n${name}=`)
    }
  })

  it(`has done at most ${MAX_ACTIONS} things`, () => {
    expect(actions.length).toBeLessThanOrEqual(MAX_ACTIONS)
  })

  it('learns from doctor which setting an update has renamed', async () => {
    const change = async (clone: string, path: string, edit: (text: string) => string) => {
      const text = await readFile(join(clone, path), 'utf8')
      expect(edit(text)).not.toBe(text)
      await writeFile(join(clone, path), edit(text))
    }
    const [older, newer] = await Promise.all([
      pack('edge-presigner', directory, async (clone) => {
        const version = `"version": "${manifest.version}"`
        await change(clone, 'package.json', (text) =>
          text.replace(version, `"version": "${OLD.version}"`),
        )
        await change(clone, 'src/worker/variables.ts', (text) => text.replaceAll(OLD.now, OLD.was))
      }),
      pack('edge-presigner', directory, (clone) =>
        change(clone, 'cli/doctor/changed-settings.json', () =>
          JSON.stringify([{ version: manifest.version, was: OLD.was, now: OLD.now }]),
        ),
      ),
    ])
    const config = join(project, 'wrangler.toml')
    const written = await readFile(config, 'utf8')
    await writeFile(config, written.replace(`${OLD.now} =`, `${OLD.was} =`))
    await exec(project, ...NPM, older)
    expect(await run('--version')).toBe(`${OLD.version}\n`)
    await run('doctor')

    await exec(project, ...NPM, newer)
    const output = await failing('doctor')
    expect(output).toContain(`${OLD.was} was renamed to ${OLD.now} in version ${manifest.version}.`)
    await writeFile(config, written)
    await run('doctor')
  })
})
