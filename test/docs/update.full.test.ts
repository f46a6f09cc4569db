import { execFile, execFileSync } from 'node:child_process'
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROOT, readPage } from './support/markdown.ts'

const run = promisify(execFile)

/** Runs one command of a script in package.json, which finds programs as npm does. */
const command = (text: string, cwd: string) =>
  run('sh', ['-eu', '-c', text], {
    cwd,
    env: { ...process.env, PATH: `${join(cwd, 'node_modules/.bin')}:${process.env.PATH}` },
  })

describe('a clone whose wrangler.toml sets everything', () => {
  let clone: string
  let config: string
  const setConfig = (text: string) => writeFile(join(clone, 'wrangler.toml'), text)
  const failure = (text: string): Promise<string> =>
    command(text, clone).then(
      () => 'nothing failed',
      (error) => `${error.stdout}${error.stderr}`,
    )

  beforeAll(async () => {
    clone = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    const names = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: ROOT })
    for (const name of names.toString().split('\n').filter(Boolean))
      await cp(join(ROOT, name), join(clone, name))
    const modules = join(ROOT, 'node_modules')
    await mkdir(join(clone, 'node_modules'))
    for (const entry of await readdir(modules, { withFileTypes: true })) {
      // A link leads to a package of the repository, which the clone has itself.
      const from = entry.isSymbolicLink()
        ? join(
            clone,
            await readlink(join(modules, entry.name)).then((to) => to.slice('../'.length)),
          )
        : join(modules, entry.name)
      await symlink(from, join(clone, 'node_modules', entry.name))
    }

    config = (await readFile(join(clone, 'wrangler.toml'), 'utf8'))
      .replace('"my-bucket"', '"acme-files"')
      .replace(
        '# [vars]\n# CORS_ORIGINS',
        '[vars]\nLINK_ORIGIN = "https://img.example.net"\nCORS_ORIGINS',
      )
      .replace(/# \[\[queues\.producers[\s\S]+?\n#\n/, (block) => block.replaceAll(/^# ?/gm, ''))
      .replace('[images]\nbinding = "IMAGES"\n', '')
      .concat('\n[vars.JWT]\nissuer = "https://issuer.example.com"\n')
      .concat('\n[env.staging.vars]\nLINK_ORIGIN = "https://img.example.org"\n')
    for (const set of ['acme-files', '\n[vars]', '\nbinding = "EVENTS"', '\nqueue = '])
      expect(config).toContain(set)
    expect(config).not.toContain('\n[images]')
    await setConfig(config)
    const keys = ['cli/keys.ts', 'create', '--scopes', 'files:read', '--id']
    for (const id of ['ci', 'reports']) await run(process.execPath, [...keys, id], { cwd: clone })
  })
  afterAll(() => rm(clone, { recursive: true }))

  const { scripts } = JSON.parse(readPage('package.json')) as { scripts: Record<string, string> }
  // The packages contain nothing that a user sets.
  const steps = (scripts.check ?? '')
    .split(' && ')
    .filter((text) => text !== 'node tools/dev/check-packages.ts')

  it.each(steps)('passes `npm run check`: %s', async (text) => {
    await command(text, clone)
  })

  it.each([
    ['wrangler.toml has no binding FILE_INDEX', /\[\[kv_namespaces\]\]\nbinding = .*/, ''],
    [
      'bindings.d.ts has KVNamespace for FILE_INDEX, and wrangler.toml R2Bucket',
      /kv_namespaces/,
      'r2_buckets',
    ],
    ['for MINE, and wrangler.toml KVNamespace', /$/, '\n[[kv_namespaces]]\nbinding = "MINE"\n'],
  ])(
    'is told about a binding that the code was not compiled for: %s',
    async (message, from, to) => {
      await setConfig(config.replace(from, to))
      expect(await failure(scripts.types ?? '')).toContain(message)
      await setConfig(config)
    },
  )
})
