import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startChild } from '../../cli/child.ts'
import { freePort } from '../../cli/ports.ts'
import { answers, waitUntil } from '../../cli/wait-until.ts'
import { createApiClient } from './api-client.ts'
import { connectChromium, newTab } from './chromium.ts'
import { dropOn, tile } from './demo-page.ts'
import { exec, install, ROOT } from './package/packed.ts'
import { shared } from './shared.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

const CONFIG = 'wrangler.local.toml'
const PNG = { name: 'a.png', mimeType: 'image/png', buffer: smallPng(64, 40, 90) }

/** A folder, and how its user calls edge-presigner there. */
interface Project {
  readonly folder: string
  readonly command: (...words: readonly string[]) => readonly [program: string, ...args: string[]]
}

/** Copies the repository as git has it, with the packages of this one. */
async function copyRepository(directory: string): Promise<Project> {
  const folder = join(directory, 'clone')
  const left =
    /(?:^|[\\/])(?:node_modules|dist|\.git|\.dev|\.wrangler|[^\\/]*\.(?:vars|env|local\.toml))$|^public$/
  const filter = (path: string) => !left.test(relative(ROOT, path))
  await cp(ROOT, folder, { recursive: true, filter })
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
  return { folder, command: (name, ...args) => ['npm', 'run', name ?? '', '--', ...args] }
}

/** Creates a project from the packed packages. */
async function createProject(directory: string): Promise<Project> {
  const folder = join(directory, 'my-files')
  await writeFile(join(directory, 'package.json'), '{"private":true}')
  await install(directory, await shared('tarball', 'create-edge-presigner'))
  await exec(
    directory,
    'npx',
    '--no',
    '--',
    'create-edge-presigner',
    'my-files',
    '--provider',
    'none',
  )
  await install(folder, await shared('tarball', 'edge-presigner'))
  // Instead of a second installation of 300 MB.
  for (const path of ['wrangler', '.bin/wrangler'])
    await symlink(join(ROOT, 'node_modules', path), join(folder, 'node_modules', path))
  return { folder, command: (...words) => ['npx', '--no', '--', 'edge-presigner', ...words] }
}

describeWith([CHROMIUM], 'plain wrangler dev', () => {
  const keys = new Set<string>()

  describe.each([
    ['the repository', copyRepository],
    ['a created project', createProject],
  ])('in %s', (_, make) => {
    const stack = new AsyncDisposableStack()
    let project: Project
    let origin: string
    let apiKey: string
    const run = (...words: readonly string[]) => exec(project.folder, ...project.command(...words))
    const read = (name: string) => readFile(join(project.folder, name), 'utf8')

    beforeAll(async () => {
      const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
      stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 20 }))
      project = await make(directory)
      await exec(project.folder, 'git', 'init', '--quiet')
      const port = String(await freePort())
      const printed = await run('dev', '--wrangler', '--port', port)
      apiKey = /ep_localhost_[\w-]{43}/.exec(printed)?.[0] ?? ''
      const [, command = ''] = /^ {2}(npx wrangler .*)$/m.exec(printed) ?? []
      const [program = '', ...args] = command.split(' ')
      const wrangler = await startChild(program, args, { cwd: project.folder, stdio: 'ignore' })
      stack.defer(() => wrangler.close())
      origin = `http://localhost:${port}`
      await waitUntil('The Worker is healthy', () => answers(`${origin}/healthz`, 200), 240)
    })
    afterAll(() => stack.disposeAsync())

    it('signs, uploads, records, reads, links, resizes and deletes, in the bucket of wrangler', async () => {
      const api = createApiClient(origin, apiKey)
      const { uploadUrl, key, headers } = await api.uploadUrl({
        fileName: 'Ä b.png',
        mimetype: 'image/png',
      })
      expect(uploadUrl).toContain(`${origin}/cdn-cgi/local/r2/s3/local-files/`)
      const body = PNG.buffer
      expect((await fetch(uploadUrl, { method: 'PUT', headers, body })).status).toBe(200)
      expect(await api.confirm({ key })).toMatchObject({
        size: body.length,
        owner: 'key:localhost',
      })
      const { url } = await api.url(key)
      const bytes = async (of: string) => Buffer.from(await (await fetch(of)).arrayBuffer())
      expect(await bytes(url)).toEqual(body)
      const link = await api.link(key)
      expect(await bytes(link)).toEqual(body)
      const part = await fetch(link, { headers: { Range: 'bytes=1-3' } })
      expect([part.status, await part.text()]).toEqual([206, 'PNG'])
      const resized = await bytes(await api.link(key, { width: 32 }))
      expect(resized.readUInt32BE(16), 'the width in the PNG').toBe(32)
      await api.remove(key)
      expect((await fetch(url)).status).toBe(404)
    })

    it('takes requests only with the API key, and pages only of this machine', async () => {
      expect((await fetch(`${origin}/files`)).status).toBe(401)
      expect(await (await fetch(`${origin}/healthz`)).text()).not.toContain('warnings')
      const bucket = `${origin}/cdn-cgi/local/r2/s3/local-files/a`
      const statusFor = async (Origin: string) =>
        (await fetch(bucket, { headers: { Origin } })).status
      expect(await statusFor('http://localhost:5173')).toBe(400)
      expect(await statusFor('http://192.0.2.7:5173')).toBe(403)
    })

    it('shows an uploaded picture on the page, with the API key', async () => {
      const browser = await connectChromium()
      stack.defer(() => browser.close())
      const { page, failures } = await newTab(browser)
      await page.goto(origin)
      await page.getByRole('textbox', { name: 'Token or API key' }).fill(apiKey)
      await page.keyboard.press('Enter')
      await page.locator('#access').waitFor({ state: 'hidden' })
      await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' })
      await dropOn(page, 'h1', [PNG])
      await tile(page, 'a.png').waitFor()
      await expect.poll(() => page.locator('.preview img.is-loaded').count()).toBe(1)
      expect(failures.filter((failure) => !failure.includes('401'))).toEqual([])
    })

    it('has a configuration that neither command deploys', async () => {
      const refusal = (...words: readonly string[]) =>
        exec(project.folder, words[0] ?? '', ...words.slice(1)).then(String, String)
      const buildFails = /Running custom build `node .*` failed/
      for (const words of [['deploy'], ['versions', 'upload']])
        expect(await refusal('npx', 'wrangler', ...words, '-c', CONFIG)).toMatch(buildFails)
      const deploy = project.command('deploy', '--yes', '--config', CONFIG)
      expect(await refusal(...deploy)).toContain(`${CONFIG} is only for \`wrangler dev\``)
    })

    it('has a random key in a file that git ignores, and keeps it', async () => {
      expect(apiKey).not.toBe('')
      expect(keys).not.toContain(apiKey)
      keys.add(apiKey)
      const before = await read(CONFIG)
      expect(before).toContain(`# The API key is ${apiKey}.\n`)
      await run('dev', '--wrangler')
      expect(await read(CONFIG)).toBe(before.replaceAll(origin.slice(-5), '8787'))
      expect(await exec(project.folder, 'git', 'status', '--short', '-uall')).not.toContain(CONFIG)
      await writeFile(join(project.folder, '.gitignore'), '')
      await expect(run('dev', '--wrangler')).rejects.toThrow(`git does not ignore`)
    })
  })
})
