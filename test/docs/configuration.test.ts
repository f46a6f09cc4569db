import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import * as z from 'zod/mini'
import { environmentRules, loadEnvironment } from '../../src/cloudflare/environment.ts'
import type { LoadedSettings } from '../../src/settings/define.ts'
import { codeBlocks, markedBlock, pagePaths, ROOT, readPage } from './support/markdown.ts'

const PAGE = 'docs/configuration.md'
const SECRETS = {
  SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
  ...accessKey('S3'),
  ...accessKey('S3_WRITE'),
  ...accessKey('WASABI'),
}
/** What no block of text can give. */
const BINDINGS = { FILE_INDEX: {}, RATE_LIMITER: {} }
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
  const date = toml.includes('compatibility_date') ? '' : 'compatibility_date = "2026-11-01"\n'
  const name = /^name = /m.test(toml) ? '' : 'name = "example"\n'
  writeFileSync(file, name + date + toml)
  return unstable_readConfig({ config: file }, { hideWarnings: true })
}

const load = (variables: object): LoadedSettings =>
  loadEnvironment({ ...BINDINGS, BUCKETS, ...variables, ...SECRETS })

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
  expect(load({ API_KEYS })).toMatchObject({ ok: true, settings: { apiKeys: [{ id: 'ci' }] } })
})

describe('the table of', () => {
  /** Names in the first column of the tables under a heading, up to the next heading. */
  const documented = (heading: string): string[] => {
    const [, section = ''] = `\n${readPage(PAGE)}`.split(`\n${heading}\n`)
    const rows = section
      .split(/\n#/, 1)
      .join()
      .matchAll(/^\| (.*?) \|/gm)
    return [...rows].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, n = '']) => n),
    )
  }
  /** What the Worker says that a table takes, once it has met a name that it doesn't know. */
  const members = (variables: object): string[] => {
    const loaded = load(variables)
    const messages = loaded.ok ? [] : loaded.issues.map(({ message }) => message)
    const [, names = ''] = /Known members: (.*)/.exec(messages.join('\n')) ?? []
    return names.split(', ')
  }

  it('buckets has every member, and no other', () => {
    expect(documented('## BUCKETS').toSorted()).toEqual(
      members({ BUCKETS: { files: { other: 1 } } }).toSorted(),
    )
  })

  it('JWT has every member, and no other', () => {
    expect(documented('## JWT').toSorted()).toEqual(members({ JWT: { other: 1 } }).toSorted())
  })

  it('variables has every one, and no other but the access keys', () => {
    const names = documented('# Configuration').filter((name) => !name.startsWith('<NAME>_'))
    expect(names.toSorted()).toEqual(Object.keys(environmentRules({})).toSorted())
  })
})

it('package.json describes each secret that the deploy button asks for', () => {
  const { cloudflare } = z
    .object({ cloudflare: z.object({ bindings: z.record(z.string(), z.unknown()) }) })
    .parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')))
  const secrets = Object.keys(parseEnv(readFileSync(join(ROOT, '.dev.vars.example'), 'utf8')))
  expect(secrets.length).toBeGreaterThan(3)
  expect(Object.keys(cloudflare.bindings)).toEqual(expect.arrayContaining(secrets))
})

describe('wrangler.toml', () => {
  const block = (start: string) =>
    blocks('toml')
      .find(({ code }) => code.startsWith(start))
      ?.code.trim()

  it.each(['[cache]', '[observability.logs]'])('has the block %s as the page shows it', (start) => {
    expect(readFileSync(join(ROOT, 'wrangler.toml'), 'utf8')).toContain(block(start))
  })

  it('gives no old version a URL, where removed keys would still work', () => {
    const config = unstable_readConfig({ config: join(ROOT, 'wrangler.toml') })
    expect(config).toMatchObject({ preview_urls: false, workers_dev: true })
  })
})

describe.each(pagePaths())('%s', (path) => {
  it('has JSON that is JSON', () => {
    for (const { language, code } of codeBlocks(readPage(path)))
      if (language === 'json') expect(() => JSON.parse(code), code).not.toThrow()
  })
})
