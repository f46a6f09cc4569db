import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts'
import { codeBlocks, markedBlock, pagePaths, readPage } from './support/markdown.ts'

const PAGE = 'docs/configuration.md'
const SECRETS = {
  SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
  ...accessKey('S3'),
  ...accessKey('S3_WRITE'),
  ...accessKey('WASABI'),
}
/** For blocks that show other settings than the buckets. */
const BUCKETS = {
  files: { endpoint: 'http://s3', region: 'auto', bucket: 'files', credentials: 'S3' },
}

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

function accessKey(name: string): Record<string, string> {
  return { [`${name}_ACCESS_KEY_ID`]: 'id', [`${name}_SECRET_ACCESS_KEY`]: 'secret' }
}

/** `toml` as wrangler reads it. Throws where wrangler refuses it. */
function readToml(toml: string): ReturnType<typeof unstable_readConfig> {
  const file = join(directory, 'wrangler.toml')
  writeFileSync(file, `name = "example"\ncompatibility_date = "2026-11-01"\n${toml}`)
  return unstable_readConfig({ config: file }, { hideWarnings: true })
}

const load = (variables: object): LoadedConfig => loadConfig({ BUCKETS, ...variables, ...SECRETS })

/** The line of a block that tells it from others. */
const subject = (code: string): string =>
  code.split('\n').find((line) => /^(endpoint|issuer) /.test(line)) ?? code.split('\n', 1).join()

const blocks = (language: string) =>
  pagePaths()
    .flatMap((path) => codeBlocks(readPage(path)))
    .filter((block) => block.language === language)

describe('a block of TOML', () => {
  it.each(blocks('toml').map(({ code }) => [subject(code), code]))('passes: %s', (_, code) => {
    const { vars } = readToml(code)
    expect(load(vars)).toMatchObject({ ok: true })
  })

  it('shows every provider, and each of the issuers', () => {
    const shown = blocks('toml').map(({ code }) => code)
    for (const host of [
      'amazonaws',
      'r2.cloudflarestorage',
      'backblazeb2',
      'wasabisys',
      'minio',
      'rgw',
    ])
      expect(shown.some((code) => code.includes(host))).toBe(true)
    for (const host of ['auth0.com', 'clerk.example', 'supabase.co', 'cloudflareaccess.com'])
      expect(shown.some((code) => code.includes(host))).toBe(true)
  })

  it('is refused with a typing error in it, so that this test proves something', () => {
    const { vars } = readToml('[vars.JWT]\nisuer = "https://issuer.example.com"')
    expect(load(vars)).toMatchObject({ ok: false })
  })
})

it('gives buckets as JSON in an environment file', () => {
  expect(load(parseEnv(markedBlock(PAGE, 'environment')))).toMatchObject({ ok: true })
})

it('gives API keys that the Worker takes', () => {
  const [API_KEYS] = blocks('json')
    .map(({ code }) => code)
    .filter((code) => code.includes('sha256'))
  expect(load({ API_KEYS })).toMatchObject({ ok: true, config: { apiKeys: [{ id: 'ci' }] } })
})

describe.each(pagePaths())('%s', (path) => {
  it('has JSON that is JSON', () => {
    for (const { language, code } of codeBlocks(readPage(path)))
      if (language === 'json') expect(() => JSON.parse(code), code).not.toThrow()
  })
})
