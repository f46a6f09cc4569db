import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PATHS } from '../../create/src/files.ts'
import { PROVIDERS } from '../../create/src/providers.ts'
import { exec, install, projectBin } from './package/packed.ts'
import { shared } from './shared.ts'

const FLAGS: Readonly<Record<(typeof PROVIDERS)[number], readonly string[]>> = {
  r2: ['--bucket', 'acme-files', '--account-id', '0123456789abcdef0123456789abcdef'],
  s3: ['--bucket', 'acme-files', '--region', 'eu-central-1'],
  b2: ['--bucket', 'acme-files', '--region', 'us-west-004'],
  wasabi: ['--bucket', 'acme-files', '--region', 'eu-central-1'],
  minio: ['--bucket', 'acme-files', '--endpoint', 'https://minio.example.com'],
  ceph: ['--bucket', 'acme-files', '--endpoint', 'https://rgw.example.com', '--no-page'],
  none: [],
}

describe('a project, from the packed packages', () => {
  let directory: string
  const at = (...path: string[]) => join(directory, ...path)

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    const [create, library] = await Promise.all([
      shared('tarball', 'create-edge-presigner'),
      shared('tarball', 'edge-presigner'),
    ])
    await writeFile(at('package.json'), '{"private":true}')
    await install(directory, create)
    // As npm runs `npm create edge-presigner`, for each provider.
    for (const provider of PROVIDERS)
      await exec(
        directory,
        ...['npx', '--no', '--', 'create-edge-presigner', provider, '--provider', provider],
        ...FLAGS[provider],
      )
    await install(at('none'), library)
    for (const provider of PROVIDERS)
      if (provider !== 'none') await symlink(at('none/node_modules'), at(provider, 'node_modules'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  it('is created by a package of one program, without dependencies', async () => {
    expect(await readdir(at('node_modules'))).toEqual([
      '.bin',
      '.package-lock.json',
      'create-edge-presigner',
    ])
    expect((await readdir(at('node_modules/create-edge-presigner'))).toSorted()).toEqual([
      'LICENSE',
      'README.md',
      'dist',
      'package.json',
    ])
    const dist = at('node_modules/create-edge-presigner/dist')
    expect(await readdir(dist)).toEqual(['create-edge-presigner.js'])
    const program = await readFile(join(dist, 'create-edge-presigner.js'), 'utf8')
    for (const [, name] of program.matchAll(/^import .* from "(.*)"/gm))
      expect(name).toMatch(/^node:/)
    // Only code of this repository, so that no license must come with it.
    const modules = [...program.matchAll(/^\/\/ (\S+\.\w+)$/gm)].map(([, path]) => path)
    expect(modules.length).toBeGreaterThan(5)
    for (const path of modules) expect(path).toMatch(/^(?:\.\.\/)?(?:(?:cli|src)\/|package\.json$)/)
  })

  it.each(PROVIDERS)('is deployed by wrangler, with %s', async (provider) => {
    expect(await readdir(at(provider))).toEqual(
      expect.arrayContaining(PATHS.map((path) => path.split('/')[0])),
    )
    const printed = await projectBin(at(provider), 'wrangler', 'deploy', '--dry-run')
    expect(printed).toMatch(/Total Upload: .* gzip: /)
    expect(printed.includes('env.ASSETS')).toBe(provider !== 'ceph')
    for (const name of ['FILE_INDEX', 'RATE_LIMITER', 'IMAGES', 'BUCKETS'])
      expect(printed).toContain(`env.${name}`)
  })

  it('compiles with the types of wrangler, and of a hook', async () => {
    const types = ['types', '--include-runtime=false', '--strict-vars=false']
    await projectBin(at('s3'), 'wrangler', ...types)
    await writeFile(
      at('s3/src/hook.ts'),
      `import * as edge from 'edge-presigner/worker'
const basic = edge.defaultPlugins()
const onEvent = ({ type }: { type: string }) => console.log(type)
export const { handler } = edge.createWorker<Env>({
  plugins: Object.values({ ...basic, events: edge.events({ onEvent }) }),
  beforeUpload: (file, principal, { env }) => {
    const id: string = principal.id
    const secret: string = env.SIGNING_SECRETS
    // @ts-expect-error
    env.NOTHING
    if (file.size === 0) throw new Error(id + secret)
  },
})
`,
    )
    const compilerOptions = {
      ...{ target: 'es2024', lib: ['es2024'], module: 'esnext', moduleResolution: 'bundler' },
      ...{ strict: true, noEmit: true, types: ['@cloudflare/workers-types'] },
      typeRoots: [join(import.meta.dirname, '../../node_modules')],
    }
    await writeFile(
      at('s3/tsconfig.json'),
      JSON.stringify({ compilerOptions, include: ['src', 'worker-configuration.d.ts'] }),
    )
    await projectBin(at('s3'), 'tsc', '-p', '.')
  })
})
